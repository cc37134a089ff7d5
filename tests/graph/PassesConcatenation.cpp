#include <gmock/gmock.h>

#include <MPS/CNNNormalizationNode.hpp>
#include <MPS/NNConcatenationNode.hpp>
#include <MPS/NNRecomputePolicy.hpp>

#include "PassesPlans.h"

/// Sources of concatenations that are made where the result will lie, and gradients that stay where the whole one lies.
using namespace pewter::test;

namespace {

using Options = MPS::NNGraphOptions;

Options inPlace(bool concatenations) {
    auto options = Options::none();
    options.concatenateInPlace = concatenations;
    return options;
}

Node joined(const MPS::NNImageNodes& sources) { return MPS::NNConcatenationNode::node(sources)->resultImage(); }
Node average(const Node& x, std::size_t size = 3) { return MPS::CNNPoolingAverageNode::node(x, size, 1)->resultImage(); }
Node linear(const Node& x, float a) { return MPS::CNNNeuronLinearNode::node(x, a, 0.5F)->resultImage(); }

constexpr double kImage = 8 * 5 * 4 * sizeof(float);

/// Equal bits; peaks in images of 4 channels of one picture; how many images lie in others.
void expectPeaks(const Build& build, double without, double with, std::size_t parts) {
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        const auto apart = outcome(device, build, inPlace(false), 1), together = outcome(device, build, inPlace(true), 1);
        EXPECT_EQ(together.values, apart.values);
        EXPECT_EQ(outcome(device, build, inPlace(true)).values, outcome(device, build, inPlace(false)).values);
        expectApart(together.report);
        EXPECT_EQ(together.measured, together.report.peakBytes);
        EXPECT_EQ(static_cast<double>(apart.report.peakBytes), without * kImage);
        EXPECT_EQ(static_cast<double>(together.report.peakBytes), with * kImage);
        EXPECT_EQ(together.report.ranges.size() + parts, apart.report.ranges.size());
    }
}

/// Fire module, dense block, source that others read as well: then a loss.
void buildJoins(Net& net) {
    const Node squeezed = Net::relu(net.layer(net.input, "squeeze", 1, net.channels, 4)->resultImage());
    const Node fire = joined({Net::relu(net.layer(squeezed, "left", 1, 4, 8)->resultImage()),
                              Net::relu(net.layer(squeezed, "right", 3, 4, 4)->resultImage())});
    const Node dense = joined({fire, net.norm(net.layer(fire, "grown", 3, 12, 4)->resultImage(), "norm", 4)});
    const Node three = net.layer(dense, "three", 1, 16, 3)->resultImage();
    const Node all = MPS::CNNNeuronTanHNode::node(joined({three, average(dense), three}))->resultImage();
    net.logits = net.layer(all, "dense", 6, 24, net.classes, true)->resultImage();
}

struct Trained {
    std::vector<double> losses;
    std::vector<float> weights;
    MPS::NNGraphReport report;
    bool operator==(const Trained& other) const { return losses == other.losses && weights == other.weights; }
};

Trained train(const DevicePtr& device, const Options& options, const MPS::NNRecomputePolicy& policy = MPS::NNRecomputePolicy::none()) {
    Net net(device);
    buildJoins(net);
    net.train();
    std::vector<Node> ends;
    for (const auto& terminus : net.termini) ends.push_back(terminus->resultImage());
    net.graph = MPS::NNGraph::graph(device, ends, std::vector<bool>(ends.size(), false), options);
    net.graph->setFormat(Format::Float32);
    net.graph->setRecomputePolicy(policy);
    Trained trained;
    trained.report = net.graph->memoryReport({net.images(3)}, {net.labels(3)});
    for (std::uint64_t i = 0; i < 3; ++i) {
        trained.losses.push_back(net.step(3, i));
        EXPECT_EQ(net.peak, trained.report.peakBytes);
    }
    for (const auto& layer : net.layers)
        for (const float value : layer->trained()) trained.weights.push_back(value);
    return trained;
}

}  // namespace

TEST(PassConcatenation, SourcesLieInTheResultInsteadOfBeingCopiedThere) {
    // Both sources and the whole; or the whole alone, and before it what the second source is made of.
    expectPeaks([](const Node& x) { return average(joined({average(x), average(x, 5)})); }, 4, 2, 2);
    expectPeaks([](const Node& x) { return average(joined({average(x), x, average(x, 5)})); }, 5, 3, 2);
    // One in the other.
    expectPeaks([](const Node& x) { return average(joined({joined({average(x), average(x, 5)}), linear(x, 2)})); }, 6, 3, 4);
}

TEST(PassConcatenation, ASourceThatOthersReadIsReadWhereItLies) {
    expectPeaks(
        [](const Node& x) {
            const Node a = average(x), b = average(a, 5);
            return MPS::NNAdditionNode::node(average(joined({a, b})), joined({b, linear(a, 3)}))->resultImage();
        },
        7, 6, 3);
}

TEST(PassConcatenation, WhatIsReadLaterIsNotOverwrittenWithTheWhole) {
    for (const auto& device : MTL::copyAllDevices()) {
        const Build build = [](const Node& x) {
            const Node a = average(x), b = average(x, 5);
            // In place over the whole, were its part not read after it.
            const Node changed = linear(linear(joined({a, b}), -2), 3);
            return MPS::NNAdditionNode::node(changed, joined({average(a), b}))->resultImage();
        };
        EXPECT_EQ(outcome(device, build, Options{}).values, outcome(device, build, Options::none()).values);
    }
}

TEST(PassConcatenation, SourcesThatMustBeImagesOfTheirOwnStayApart) {
    const auto pair = [](const std::function<void(const Node&)>& change) {
        return [=](const Node& x) {
            const Node a = average(x), b = average(x, 5);
            const Node whole = joined({a, b});
            change(a);
            change(b);
            return average(whole);
        };
    };
    expectPeaks(pair([](const Node& a) { a->setFormat(Format::Float16); }), 3, 3, 0);
    expectPeaks(pair([](const Node& a) { a->setSynchronizeResource(true); }), 4, 4, 0);
    // In memory of their own, outside the plan.
    expectPeaks(pair([](const Node& a) { a->setImageAllocator(MPS::Image::defaultAllocator()); }), 2, 2, 0);
    // Twice in one whole: it can lie in one place only.
    expectPeaks([](const Node& x) { const Node a = average(x); return average(joined({a, a})); }, 3, 3, 0);
    // The result of the graph is no memory of the plan's.
    expectPeaks([](const Node& x) { return joined({average(x), average(x, 5)}); }, 2, 2, 0);
    // Exported ones leave.
    for (const auto& device : MTL::copyAllDevices()) {
        const Build build = pair([](const Node& a) { a->setExportFromGraph(true); });
        const auto apart = outcome(device, build, inPlace(false)), together = outcome(device, build, inPlace(true));
        EXPECT_EQ(together.values, apart.values);
        EXPECT_EQ(together.report.ranges.size(), apart.report.ranges.size());
    }
}

TEST(PassConcatenation, ASourceForWhichTheWholeWouldHaveToBeThereTooSoonIsCopied) {
    // While the large images behind the second source are there, the first source takes less than the whole would.
    expectPeaks(
        [](const Node& x) {
            const Node large = joined({x, x, x, x, x, x});
            const Node small = MPS::CNNPoolingAverageNode::node(x, 3, 1)->resultImage();
            const Node mean = MPS::CNNCrossChannelNormalizationNode::node(small, 3)->resultImage();
            const auto weights = std::make_shared<LayerSource>(testDevice(), "thin", 1, 24, 4, 3);
            const Node thin = MPS::CNNConvolutionNode::node(average(average(large)), weights)->resultImage();
            return average(joined({mean, thin}));
        },
        13, 13, 1);
}

TEST(PassConcatenation, TrainingGivesTheSameLossesAndWeightsWithLessMemory) {
    for (const auto& device : MTL::copyAllDevices())
        for (const bool others : {false, true}) {
            SCOPED_TRACE(device->name());
            auto options = others ? Options{} : Options::none();
            options.concatenateInPlace = false;
            const auto apart = train(device, options);
            options.concatenateInPlace = true;
            const auto together = train(device, options);
            EXPECT_TRUE(together == apart);
            EXPECT_LT(together.report.peakBytes, apart.report.peakBytes);
            EXPECT_LT(together.report.ranges.size(), apart.report.ranges.size());
            EXPECT_EQ(together.report.images.size(), apart.report.images.size());
            expectApart(together.report);
        }
}

TEST(PassConcatenation, TheReportHasPartsInsideTheRangeOfTheWhole) {
    for (const auto& device : MTL::copyAllDevices()) {
        const auto report =
            outcome(device, [](const Node& x) { return average(joined({average(x), average(x, 5)})); }, inPlace(true)).report;
        ASSERT_EQ(report.steps.at(2).className, "NNConcatenation");
        const auto& sources = report.steps[2].sourceImages;
        const auto& whole = report.images.at(report.steps[2].resultImage);
        EXPECT_EQ(report.images.at(sources.at(0)).offset, whole.offset);
        EXPECT_EQ(report.images.at(sources.at(1)).offset, whole.offset + 4 * sizeof(float));
        EXPECT_EQ(report.images.at(sources.at(1)).bytes, 3 * 8 * 5 * 4 * sizeof(float));
        for (const auto& range : report.ranges)
            for (const std::size_t source : sources) EXPECT_NE(range.image, source);
    }
}

TEST(PassConcatenation, ImagesComputedAgainWithinABudgetGiveTheSameBits) {
    for (const auto& device : MTL::copyAllDevices()) {
        const auto kept = train(device, Options{});
        const std::size_t budget = kept.report.peakBytes * 9 / 10;
        const auto again = train(device, Options{}, MPS::NNRecomputePolicy::budget(budget));
        EXPECT_TRUE(again == kept);
        EXPECT_LE(again.report.peakBytes, budget);
        EXPECT_GT(again.report.recomputedSteps, 0u);
        const auto named = train(device, Options{}, MPS::NNRecomputePolicy::nodes({"left", "grown"}));
        EXPECT_TRUE(named == kept);
    }
}

TEST(PassConcatenation, ACopyOfTheGraphHasThePassAndGivesTheSameBits) {
    for (const bool on : {false, true}) {
        const auto graph = MPS::NNGraph::graph(
            testDevice(), {average(joined({average(MPS::NNImageNode::node(tag("x"))), average(MPS::NNImageNode::node(tag("y")), 5)}))}, {},
            inPlace(on));
        graph->setFormat(Format::Float32);
        const auto copy = std::static_pointer_cast<MPS::NNGraph>(graph->copy());
        const auto images = drawImages(testDevice(), 1, 8, 5, 4, 7);
        EXPECT_EQ(static_cast<double>(copy->memoryReport({images, images}).peakBytes), (on ? 2 : 4) * kImage);
        std::vector<std::vector<double>> values;
        for (const auto& one : {graph, copy}) {
            const auto commands = testDevice()->newCommandQueue()->commandBuffer();
            const auto results = one->encodeBatch(commands, {images, images});
            run(commands);
            values.push_back(valuesOf(*results.front()));
        }
        EXPECT_EQ(values[0], values[1]);
    }
}
