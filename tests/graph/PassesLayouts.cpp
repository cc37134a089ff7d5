#include <MPS/NNRecomputePolicy.hpp>

#include "GraphRuns.h"
#include "PassesPlans.h"
#include "mtl/Device.h"
#include "profile/ProfilingBackend.h"

/// Images inside a graph that lie in blocks of channels, by what a backend says of its convolutions.
using namespace pewter::test;
namespace ops = pewter::ops;

namespace {

/// Device cpu, whose small convolutions nobody measures, with times that are made up: in blocks of channels a convolution
/// takes `gain` less of 10 ms, and a reorder takes 1.
class Said final : public pewter::profile::ProfilingBackend {
public:
    Said(const DevicePtr& cpu, double gain)
        : ProfilingBackend(std::shared_ptr<ops::Backend>(&pewter::mtl::deviceOf(*cpu).backend(), [](auto*) {}),
                           [] { return 0.0; }),
          gain_(gain) {}

    static inline int asked = 0;

    bool hasLayouts() const override { return true; }
    using ProfilingBackend::layoutCost;
    ops::LayoutCost layoutCost(const ops::ConvolutionForward& op) override { return cost(op.src, op.dst); }
    ops::LayoutCost layoutCost(const ops::ConvolutionDataGradient& op) override { return cost(op.diffSrc, op.diffDst); }
    ops::LayoutCost layoutCost(const ops::ConvolutionWeightsGradient& op) override { return cost(op.src, op.diffDst); }

private:
    ops::LayoutCost cost(const ops::Tensor& one, const ops::Tensor& other) const {
        ++asked;
        return {{&one, &other}, {{{{10, 11}, {11, 10 - gain_}}}}};
    }
    double gain_;
};

DevicePtr deviceThatSays(double gain) {
    const auto cpu = MTL::copyDevice("cpu");
    return cpu ? std::make_shared<pewter::mtl::Device>(std::make_shared<Said>(cpu, gain), 1002) : nullptr;
}

#define PEWTER_NEEDS(device) \
    if (!device) GTEST_SKIP() << "built without the cpu device"

MPS::NNGraphOptions with(bool layouts) {
    MPS::NNGraphOptions options;
    options.chooseLayouts = layouts;
    return options;
}

/// Two convolutions with a way around them, and another behind the sum.
void buildResidual(Net& net, std::size_t channels, bool norms) {
    const auto normed = [&](const Node& x, const std::string& name) { return norms ? net.norm(x, name, channels) : x; };
    const Node first = Net::relu(normed(net.layer(net.input, "first", 3, net.channels, channels)->resultImage(), "one"));
    const Node inside = Net::relu(normed(net.layer(first, "inside", 3, channels, channels)->resultImage(), "two"));
    const Node around = normed(net.layer(inside, "around", 3, channels, channels)->resultImage(), "three");
    const Node sum = Net::relu(MPS::NNAdditionNode::node(around, first)->resultImage());
    net.logits = net.layer(net.layer(sum, "last", 1, channels, channels)->resultImage(), "dense", 6, channels, net.classes, true)
                     ->resultImage();
}

struct Trained {
    std::vector<double> losses;
    std::vector<double> weights;
    MPS::NNGraphReport report;
};

Trained train(const DevicePtr& device, std::size_t channels, bool norms, bool layouts,
              const MPS::NNRecomputePolicy& policy = MPS::NNRecomputePolicy::none()) {
    Net net(device);
    buildResidual(net, channels, norms);
    net.train();
    net.graph = MPS::NNGraph::graph(device, {net.termini.front()->resultImage()}, {false}, with(layouts));
    net.graph->setFormat(Format::Float32);
    net.graph->setRecomputePolicy(policy);
    Trained trained;
    trained.report = net.graph->memoryReport({net.images(3)}, {net.labels(3)});
    for (std::uint64_t i = 0; i < 3; ++i) {
        trained.losses.push_back(net.step(3, i));
        EXPECT_EQ(net.peak, trained.report.peakBytes);
    }
    for (const auto& layer : net.layers)
        for (const float value : layer->trained()) trained.weights.push_back(static_cast<double>(value));
    return trained;
}

std::size_t inBlocks(const MPS::NNGraphReport& report) {
    return static_cast<std::size_t>(
        std::count_if(report.images.begin(), report.images.end(), [](const auto& image) { return image.inBlocks; }));
}

}  // namespace

TEST(PassLayouts, TrainingInBlocksGivesTheBitsOfTrainingInPixelsFromAsManyBytes) {
    const auto device = deviceThatSays(5);
    PEWTER_NEEDS(device);
    const auto plain = train(device, 32, false, false), blocks = train(device, 32, false, true);
    EXPECT_EQ(blocks.losses, plain.losses);
    EXPECT_EQ(blocks.weights, plain.weights);
    EXPECT_EQ(blocks.report.peakBytes, plain.report.peakBytes);
    EXPECT_EQ(inBlocks(plain.report), 0U);
    EXPECT_GE(inBlocks(blocks.report), 7U);
    EXPECT_EQ(blocks.report.imagesInBlocks, inBlocks(blocks.report));
    EXPECT_GT(blocks.report.millisecondsByLayouts, 0);
    expectApart(blocks.report);
}

TEST(PassLayouts, NormalisationInBlocksAddsUpTheSameNumbersInAnotherOrder) {
    const auto device = deviceThatSays(5);
    PEWTER_NEEDS(device);
    const auto plain = train(device, 32, true, false), blocks = train(device, 32, true, true);
    EXPECT_GE(inBlocks(blocks.report), 12U);
    EXPECT_EQ(blocks.report.peakBytes, plain.report.peakBytes);
    for (std::size_t i = 0; i < plain.losses.size(); ++i)
        EXPECT_NEAR(blocks.losses[i], plain.losses[i], 1e-4 * std::abs(plain.losses[i]));
    for (std::size_t i = 0; i < plain.weights.size(); ++i)
        EXPECT_NEAR(blocks.weights[i], plain.weights[i], 1e-3) << i;
}

TEST(PassLayouts, NothingIsInBlocksThatIsNoSixteensOfChannelsOrGainsNothing) {
    const auto device = deviceThatSays(5), other = deviceThatSays(-1);
    PEWTER_NEEDS(device);
    EXPECT_EQ(train(device, 24, true, true).report.imagesInBlocks, 0U);
    EXPECT_EQ(train(other, 32, true, true).report.imagesInBlocks, 0U);
    EXPECT_EQ(train(MTL::copyDevice("reference"), 32, true, true).report.imagesInBlocks, 0U);
    // Times below what is worth a measurement.
    EXPECT_EQ(train(MTL::copyDevice("cpu"), 32, true, true).report.imagesInBlocks, 0U);
}

TEST(PassLayouts, ImagesComputedAgainWithinABudgetLieInBlocksToo) {
    const auto device = deviceThatSays(5);
    PEWTER_NEEDS(device);
    const auto kept = train(device, 32, true, true);
    const std::size_t budget = kept.report.peakBytes * 9 / 10;
    const auto again = train(device, 32, true, true, MPS::NNRecomputePolicy::budget(budget));
    EXPECT_EQ(again.losses, kept.losses);
    EXPECT_EQ(again.weights, kept.weights);
    EXPECT_GT(again.report.recomputedSteps, 0U);
    EXPECT_GT(again.report.imagesInBlocks, 0U);
}

namespace {

/// A chain of four convolutions; what `change` does to the image in its middle.
std::shared_ptr<MPS::NNGraph> chain(const DevicePtr& device, const std::function<void(const Node&)>& change, bool layouts) {
    std::vector<Node> images{MPS::NNImageNode::node(nullptr)};
    for (std::size_t i = 0; i < 4; ++i)
        images.push_back(MPS::CNNConvolutionNode::node(
                             images.back(), std::make_shared<LayerSource>(device, "layer" + std::to_string(i), 3, 16, 16, i))
                             ->resultImage());
    change(images[2]);
    const auto graph = MPS::NNGraph::graph(device, {images.back()}, {true}, with(layouts));
    graph->setFormat(Format::Float32);
    return graph;
}

/// Which results of the chain lie in blocks.
std::vector<bool> blocksOf(const MPS::NNGraphReport& report) {
    std::vector<bool> found;
    for (const auto& step : report.steps) found.push_back(report.images.at(step.resultImage).inBlocks);
    return found;
}

MPS::NNGraphReport reportOf(MPS::NNGraph& graph) { return graph.memoryReport({drawImages(graph.device(), 2, 6, 6, 16, 4)}); }

}  // namespace

TEST(PassLayouts, WhatIsSeenFromOutsideLiesInPixels) {
    const auto device = deviceThatSays(5);
    PEWTER_NEEDS(device);
    using Flags = std::vector<bool>;
    const auto expect = [&](const std::function<void(const Node&)>& change, const Flags& flags) {
        const auto graph = chain(device, change, true), plain = chain(device, change, false);
        EXPECT_EQ(blocksOf(reportOf(*graph)), flags);
        EXPECT_EQ(infer(*graph, 16), infer(*plain, 16));
    };
    expect([](const Node&) {}, {true, true, true, false});
    // The gain of a convolution in blocks is that of both its images; the image behind an export is worth two reorders.
    expect(
        [](const Node& node) {
            node->setExportFromGraph(true);
            node->setImageAllocator(MPS::Image::defaultAllocator());
        },
        {false, false, false, false});
    expect([](const Node& node) { node->setImageAllocator(MPS::Image::defaultAllocator()); }, {false, false, false, false});
    expect([](const Node& node) { node->setFormat(Format::Float16); }, {false, false, false, false});
}

TEST(PassLayouts, NobodyIsAskedWhatAConvolutionTakesWhoseImagesLieInPixelsAnyway) {
    const auto device = deviceThatSays(5);
    PEWTER_NEEDS(device);
    for (const bool soft : {false, true}) {
        std::vector<Node> images{MPS::NNImageNode::node(nullptr)};
        for (std::size_t i = 0; i < 3; ++i) {
            images.push_back(MPS::CNNConvolutionNode::node(
                                 images.back(), std::make_shared<LayerSource>(device, "layer" + std::to_string(i), 3, 16, 16, i))
                                 ->resultImage());
            if (soft) images.push_back(MPS::CNNSoftMaxNode::node(images.back())->resultImage());
        }
        const auto graph = MPS::NNGraph::graph(device, {images.back()}, {true}, with(true));
        graph->setFormat(Format::Float32);
        Said::asked = 0;
        EXPECT_EQ(reportOf(*graph).imagesInBlocks, soft ? 0U : 2U);
        EXPECT_EQ(Said::asked > 0, !soft);
    }
}

TEST(PassLayouts, ACopyAndAnArchiveOfTheGraphHaveThePass) {
    const auto device = deviceThatSays(5);
    PEWTER_NEEDS(device);
    for (const bool on : {false, true}) {
        const auto graph = chain(device, [](const Node&) {}, on);
        const auto copy = std::static_pointer_cast<MPS::NNGraph>(graph->copy());
        EXPECT_EQ(reportOf(*copy).imagesInBlocks, on ? 3U : 0U);
        EXPECT_EQ(infer(*copy, 16), infer(*graph, 16));
        EXPECT_EQ(reportOf(*archivedAndRead(graph)).imagesInBlocks, on ? 3U : 0U);
    }
}
