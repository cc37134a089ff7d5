#include <cmath>

#include "GraphNets.h"

/// Whole training steps of every device against the oracle in double: losses, gradients of the pictures and
/// what every layer learned.
///
/// Tolerances: a number that passed through m stored images and sums of L terms in all is off by at most
/// m u + L v relative to the largest number of its kind, with u half the distance of neighbours of the image
/// format and v that of float32, times the gain of what lies behind it. Weights below 1/2 and sums of random
/// signs keep the gain of these networks below kGain.
using namespace pewter::test;

namespace {

constexpr double kGain = 1;

/// No kinks: a picture rounded to half precision must not change which path a value takes.
void buildSmooth(Net& net) {
    const auto first = net.layer(net.input, "first", 3, net.channels, 4)->resultImage();
    const auto x = MPS::CNNNeuronTanHNode::node(net.norm(first, "norm", 4))->resultImage();
    const auto inside = MPS::CNNNeuronSigmoidNode::node(net.layer(x, "inside", 3, 4, 4)->resultImage());
    const auto sum = MPS::NNAdditionNode::node(x, inside->resultImage())->resultImage();
    const auto product = MPS::NNMultiplicationNode::node(sum, x)->resultImage();
    const auto mean =
        MPS::CNNPoolingAverageNode::node(MPS::CNNDropoutNode::node(product, 0.75f, 3)->resultImage(), 2);
    net.logits = net.layer(mean->resultImage(), "dense", 3, 4, net.classes, true)->resultImage();
}

struct Outcome {
    std::vector<double> losses;
    std::vector<std::vector<double>> learned, pictures;
    std::size_t images = 0, terms = 0;
};

Outcome trainOn(const char* device, const std::function<void(Net&)>& build, Format format, int steps) {
    Net net(MTL::copyDevice(device));
    build(net);
    net.train(nullptr, true, format);
    Outcome outcome;
    for (int i = 0; i < steps; ++i) {
        outcome.losses.push_back(net.step(3, static_cast<std::uint64_t>(i), format));
        for (const auto& image : net.result) outcome.pictures.push_back(valuesOf(*image));
    }
    for (const auto& layer : net.layers) {
        auto before = layer->values;
        before.insert(before.end(), layer->biases.begin(), layer->biases.end());
        const auto after = layer->trained();
        auto& learned = outcome.learned.emplace_back();
        for (std::size_t i = 0; i < after.size(); ++i) learned.push_back(after[i] - before[i]);
        // A sum over taps and inputs forward, over outputs backward, over pixels of the batch for the
        // weights.
        outcome.terms += before.size() + 3 * net.width * net.height;
    }
    outcome.images = net.graph->memoryReport({net.images(1, 1, format)}, {net.labels(1)}).images.size();
    return outcome;
}

/// The largest error over what is allowed.
double shareOf(const std::vector<double>& actual, const std::vector<double>& expected, double relative) {
    EXPECT_EQ(actual.size(), expected.size());
    double size = 0, worst = 0;
    for (const double value : expected) size = std::max(size, std::fabs(value));
    EXPECT_GT(size, 0);
    for (std::size_t i = 0; i < actual.size(); ++i) {
        const double share = std::fabs(actual[i] - expected[i]) / (relative * size);
        worst = std::isnan(share) ? HUGE_VAL : std::max(worst, share);
    }
    return worst;
}

void agree(const std::function<void(Net&)>& build, Format format, double unit) {
    constexpr int kSteps = 2;
    const auto exact = trainOn("reference", build, Format::Float64, kSteps);
    for (const auto& each : MTL::copyAllDevices()) {
        const char* device = each->name().c_str();
        const auto outcome = trainOn(device, build, format, kSteps);
        const double relative =
            kGain * kSteps *
            (static_cast<double>(exact.images) * unit +
             static_cast<double>(exact.terms) * std::numeric_limits<float>::epsilon() / 2);
        double worst = shareOf(outcome.losses, exact.losses, relative);
        for (std::size_t i = 0; i < exact.learned.size(); ++i)
            worst = std::max(worst, shareOf(outcome.learned[i], exact.learned[i], relative));
        for (std::size_t i = 0; i < exact.pictures.size(); ++i)
            worst = std::max(worst, shareOf(outcome.pictures[i], exact.pictures[i], relative));
        EXPECT_LE(worst, 1) << device;
        std::printf("%s: %.3f of an allowance of %.2g\n", device, worst, relative);
    }
}

}  // namespace

TEST(GraphDevices, AStepOfEveryKindOfFilterAgreesInFloat32) { agree(buildWhole, Format::Float32, 0x1p-24); }
TEST(GraphDevices, AStepOfSmoothFiltersAgreesInFloat32) { agree(buildSmooth, Format::Float32, 0x1p-24); }
TEST(GraphDevices, AStepOfSmoothFiltersAgreesInFloat16) { agree(buildSmooth, Format::Float16, 0x1p-11); }
TEST(GraphDevices, AStepOfSmoothFiltersAgreesInBFloat16) { agree(buildSmooth, Format::BFloat16, 0x1p-8); }

#ifdef PEWTER_HAVE_CPU

TEST(GraphDevices, TheSameStepsTwiceGiveTheSameBitsOnCpu) {
    const auto a = trainOn("cpu", buildWhole, Format::Float32, 3),
               b = trainOn("cpu", buildWhole, Format::Float32, 3);
    EXPECT_EQ(a.losses, b.losses);
    EXPECT_EQ(a.learned, b.learned);
    EXPECT_EQ(a.pictures, b.pictures);
}

TEST(GraphDevices, TheReportOfCpuPredictsItsPeakToo) {
    for (const std::size_t count : {1u, 5u}) {
        Net net(MTL::copyDevice("cpu"));
        buildWhole(net);
        net.train();
        const auto report = net.graph->memoryReport({net.images(count)}, {net.labels(count)});
        net.step(count);
        EXPECT_EQ(report.peakBytes, net.peak);
        EXPECT_EQ(report.lowerBoundBytes, net.livePeak);
    }
}

TEST(GraphDevices, TwoCommandBuffersInFlightOnCpuTrainBitForBitAsOneAfterTheOther) {
    std::vector<std::vector<float>> weights[2];
    for (const bool inFlight : {false, true}) {
        Net net(MTL::copyDevice("cpu"));
        buildWhole(net);
        net.train();
        BufferPtr last;
        for (std::uint64_t i = 0; i < 6; ++i) {
            last = net.queue->commandBuffer();
            net.graph->encodeBatch(last, {net.images(3, i)}, {net.labels(3, i)});
            last->commit();
            if (!inFlight) last->waitUntilCompleted();
        }
        last->waitUntilCompleted();
        for (const auto& layer : net.layers) weights[inFlight].push_back(layer->trained());
    }
    EXPECT_EQ(weights[0], weights[1]);
}

#endif
