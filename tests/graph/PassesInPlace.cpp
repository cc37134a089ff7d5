#include <gmock/gmock.h>

#include "PassesPlans.h"

/// Results that lie where a source did.
using namespace pewter::test;

namespace {

using Options = MPS::NNGraphOptions;

Options inPlace() {
    auto options = Options::none();
    options.inPlace = true;
    return options;
}

constexpr double kImage = 8 * 5 * 4 * sizeof(float);

/// Peaks in images, for one picture: a batch that does not lie in one piece is gathered first.
void expectPeaks(const Build& build, double without, double with) {
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        const auto apart = outcome(device, build, Options::none(), 1), together = outcome(device, build, inPlace(), 1);
        EXPECT_EQ(together.values, apart.values);
        for (const auto* one : {&apart, &together}) {
            expectApart(one->report);
            EXPECT_EQ(one->measured, one->report.peakBytes);
            EXPECT_LE(one->report.lowerBoundBytes, one->report.peakBytes);
        }
        EXPECT_EQ(static_cast<double>(apart.report.peakBytes), without * kImage);
        EXPECT_EQ(static_cast<double>(together.report.peakBytes), with * kImage);
    }
}

Node linear(const Node& x, float a) { return MPS::CNNNeuronLinearNode::node(x, a, 0.5F)->resultImage(); }

}  // namespace

TEST(PassInPlace, AChainOfNeuronsTakesOneImageInsteadOfTwo) {
    expectPeaks(
        [](const Node& x) {
            Node y = x;
            for (const float a : {2.0F, -0.5F, 4.0F, 0.25F, -1.0F}) y = linear(y, a);
            return MPS::CNNPoolingMaxNode::node(y, 1, 1)->resultImage();
        },
        2, 1);
}

TEST(PassInPlace, ArithmeticLiesWhereTheOperandDidThatEndsThere) {
    for (const bool left : {false, true})
        expectPeaks(
            [=](const Node& x) {
                const auto a = linear(x, 2), b = linear(x, -3);
                // b (or a) is read again after the sum.
                const auto sum = MPS::NNAdditionNode::node(a, b)->resultImage();
                const auto again = MPS::NNSubtractionNode::node(sum, left ? a : b)->resultImage();
                return MPS::CNNPoolingMaxNode::node(MPS::NNMultiplicationNode::node(again, x)->resultImage(), 1, 1)->resultImage();
            },
            3, 2);
}

TEST(PassInPlace, AnImageThatIsReadLaterOrTwiceByTheSameFilterIsNotLost) {
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        const std::vector<Build> builds{
            [](const Node& x) {
                const auto a = linear(x, 2), b = linear(a, -3);
                return MPS::NNMultiplicationNode::node(linear(b, 0.5F), a)->resultImage();
            },
            [](const Node& x) {
                const auto a = linear(x, 2);
                return linear(MPS::NNMultiplicationNode::node(a, a)->resultImage(), 3);
            },
            [](const Node& x) {
                // The smaller operand is stretched over the larger one.
                const auto small = linear(MPS::CNNPoolingAverageNode::node(x, 8, 5, 8, 5)->resultImage(), 2);
                const auto large = linear(x, -1);
                const auto sum = MPS::NNAdditionNode::node(small, large);
                sum->setPrimaryStrideInPixelsX(0);
                sum->setPrimaryStrideInPixelsY(0);
                return linear(sum->resultImage(), 3);
            },
            [](const Node& x) {
                // A softmax reads a whole pixel before it writes.
                return linear(MPS::CNNSoftMaxNode::node(linear(x, 2))->resultImage(), 2);
            },
            [](const Node& x) {
                const auto y = MPS::CNNDropoutNode::node(linear(x, 2), 0.5F, 3)->resultImage();
                return MPS::CNNPoolingAverageNode::node(linear(y, 3), 3, 2)->resultImage();
            },
        };
        for (const auto& build : builds) {
            const auto apart = outcome(device, build, Options::none()), together = outcome(device, build, inPlace());
            // A dropout draws another mask for every encode, the same for both graphs.
            EXPECT_EQ(together.values, apart.values);
            EXPECT_LE(together.report.peakBytes, apart.report.peakBytes);
            expectApart(together.report);
        }
    }
}

TEST(PassInPlace, AnImageOfAnotherFormatGetsMemoryOfItsOwn) {
    expectPeaks(
        [](const Node& x) {
            const auto a = linear(x, 2);
            const auto b = linear(a, 3);
            b->setFormat(Format::BFloat16);
            const auto c = linear(b, 1);
            c->setFormat(Format::Float32);
            return MPS::CNNPoolingMaxNode::node(linear(c, 2), 1, 1)->resultImage();
        },
        // a + b, b + c, c + d: the last two lie in one place.
        2, 1.5);
}

TEST(PassInPlace, TrainingGivesTheSameLossesAndWeightsWithLessMemory) {
    const auto buildResidual = [](Net& net) {
        Node x = net.layer(net.input, "first", 3, net.channels, 8)->resultImage();
        x = MPS::CNNNeuronTanHNode::node(x)->resultImage();
        x = MPS::NNAdditionNode::node(x, MPS::CNNNeuronTanHNode::node(x)->resultImage())->resultImage();
        net.logits = net.layer(x, "dense", 6, 8, net.classes, true)->resultImage();
    };
    for (const auto& device : MTL::copyAllDevices())
        for (const bool whole : {true, false}) {
            SCOPED_TRACE(device->name());
            std::vector<double> losses[2];
            std::vector<float> weights[2];
            std::size_t peaks[2];
            for (const bool together : {false, true}) {
                Net net(device);
                    whole ? buildWhole(net) : buildResidual(net);
                net.train();
                net.graph = MPS::NNGraph::graph(device, {net.termini.front()->resultImage()}, {false},
                                                together ? inPlace() : Options::none());
                net.graph->setFormat(Format::Float32);
                const auto report = net.graph->memoryReport({net.images(16)}, {net.labels(16)});
                expectApart(report);
                peaks[together] = report.peakBytes;
                for (std::uint64_t i = 0; i < 4; ++i) {
                    losses[together].push_back(net.step(16, i));
                    EXPECT_EQ(net.peak, report.peakBytes);
                }
                for (const auto& layer : net.layers)
                    for (const float value : layer->trained()) weights[together].push_back(value);
            }
            EXPECT_EQ(losses[0], losses[1]);
            EXPECT_EQ(weights[0], weights[1]);
            EXPECT_LE(peaks[1], peaks[0]);
            // The gradient of the sum, and those of its two operands: the second lies where the first did.
            if (!whole) {
                EXPECT_LT(peaks[1], peaks[0]);
            }
        }
}
