#include <gmock/gmock.h>

#include <MPS/CNNConvolutionTransposeNode.hpp>
#include <MPS/CNNNormalizationNode.hpp>
#include <MPS/CNNUpsamplingNode.hpp>
#include <MPS/NNConcatenationNode.hpp>
#include <MPS/NNGramMatrixNode.hpp>
#include <MPS/NNPadNode.hpp>
#include <MPS/NNRecomputePolicy.hpp>
#include <MPS/NNReductionNode.hpp>
#include <MPS/NNReshapeNode.hpp>
#include <MPS/NNScaleNode.hpp>

#include "GraphRuns.h"

using namespace pewter::test;
using testing::ElementsAre;

namespace {

Node neutral() { return MPS::NNImageNode::node(nullptr); }

/// Runs on every device.
class GraphArchives : public testing::TestWithParam<std::size_t> {
protected:
    DevicePtr device = MTL::copyAllDevices()[GetParam()];

    std::shared_ptr<MPS::NNGraph> graphOf(const Node& result) const {
        const auto graph = MPS::NNGraph::graph(device, result);
        graph->setFormat(Format::Float32);
        return graph;
    }
    /// The graph read again computes the same bits, also after it was on another device, and nearly the same
    /// there.
    void expectSameResults(const std::shared_ptr<MPS::NNGraph>& graph, std::size_t channels = 3) const {
        // All read before anything runs: dropout goes on from encode to encode.
        const auto again = archivedAndRead(graph);
        std::vector<std::shared_ptr<MPS::NNGraph>> there, back;
        for (const auto& other : MTL::copyAllDevices()) {
            there.push_back(archivedAndRead(graph, other));
            back.push_back(archivedAndRead(there.back(), device));
        }
        const auto expected = infer(*graph, channels);
        EXPECT_EQ(infer(*again, channels), expected);
        for (std::size_t d = 0; d < there.size(); ++d) {
            EXPECT_EQ(infer(*back[d], channels), expected);
            const auto found = infer(*there[d], channels);
            ASSERT_EQ(found.size(), expected.size());
            for (std::size_t i = 0; i < found.size(); ++i)
                EXPECT_NEAR(found[i], expected[i], 1e-4 * (1 + std::abs(expected[i])))
                    << there[d]->device()->name();
        }
    }
};

}  // namespace

TEST_P(GraphArchives, AGraphComesBackWithPropertiesHandlesAndSteps) {
    Net net(device);
    net.input = MPS::NNImageNode::node(codedTag("picture"));
    const auto conv = net.layer(net.input, "conv", 3, 3, 4);
    const auto middle = conv->resultImage();
    middle->setHandle(codedTag("middle"));
    middle->setExportFromGraph(true);
    middle->setSynchronizeResource(true);
    const auto pool = MPS::CNNPoolingMaxNode::node(middle, 2);
    pool->resultState()->setHandle(codedTag("where"));
    pool->resultState()->setExportFromGraph(true);
    const auto left = Net::relu(pool->resultImage()),
               right = MPS::CNNNeuronTanHNode::node(middle)->resultImage();
    left->setHandle(codedTag("left"));
    right->setFormat(Format::Float16);
    right->setImageAllocator(MPS::Image::defaultAllocator());
    const auto graph =
        std::make_shared<MPS::NNGraph>(device, std::vector<Node>{left, right}, std::vector<bool>{true, true});
    graph->setLabel("whole");
    graph->setOptions(MPS::KernelOptionsInsertDebugGroups);
    graph->setFormat(Format::BFloat16);
    graph->setOutputStateIsTemporary(true);
    graph->setRecomputePolicy(MPS::NNRecomputePolicy::nodes({"conv", "other"}));
    const auto again = archivedAndRead(graph);
    EXPECT_EQ(again->label(), "whole");
    EXPECT_EQ(again->options(), MPS::KernelOptionsInsertDebugGroups);
    EXPECT_EQ(again->format(), Format::BFloat16);
    EXPECT_TRUE(again->outputStateIsTemporary());
    EXPECT_TRUE(again->resultImageIsNeeded());
    EXPECT_EQ(again->destinationImageAllocator(), MPS::Image::defaultAllocator());
    EXPECT_EQ(again->recomputePolicy().kind(), MPS::NNRecomputePolicy::Kind::Nodes);
    EXPECT_THAT(again->recomputePolicy().labels(), ElementsAre("conv", "other"));
    EXPECT_THAT(labelsOf(again->sourceImageHandles()), ElementsAre("picture"));
    EXPECT_THAT(labelsOf(again->intermediateImageHandles()), ElementsAre("middle"));
    EXPECT_THAT(labelsOf(again->resultStateHandles()), ElementsAre("where"));
    EXPECT_EQ(again->resultHandle()->label(), "left");
    EXPECT_EQ(again->debugDescription(), graph->debugDescription());
    // The exported image, both results.
    for (const auto& one : {graph, again}) {
        one->setRecomputePolicy(MPS::NNRecomputePolicy::none());
        one->setFormat(Format::Float32);
        one->setOutputStateIsTemporary(false);
    }
    const auto commands = device->newCommandQueue()->commandBuffer();
    for (const auto& one : {graph, again}) {
        std::vector<MPS::ImageBatch> images;
        std::vector<MPS::StateBatch> states;
        one->encodeBatch(commands, {drawImages(device, 2, 6, 6, 3, 4)}, {}, &images, &states);
        EXPECT_EQ(images.size(), 2u);
        EXPECT_EQ(images.at(1).at(0)->featureChannelFormat(), Format::Float16);
        ASSERT_EQ(states.size(), 1u);
        EXPECT_FALSE(states[0].at(0)->isTemporary());
        EXPECT_EQ(states[0][0]->label(), "where");
    }
}

TEST_P(GraphArchives, InferenceGraphsOfSourcesWithoutCodingGiveTheSameBits) {
    for (const auto build : {buildChain, buildWhole}) {
        Net net(device);
        net.input = neutral();
        build(net);
        expectSameResults(graphOf(net.logits));
    }
}

TEST_P(GraphArchives, AFoldedNormalisationAndAFusedNeuronStayPartOfTheConvolution) {
    Net net(device);
    const auto source = std::make_shared<LayerSource>(device, "shared", 3, 3, 3, 5);
    const auto plain = MPS::CNNConvolutionNode::node(neutral(), source)->resultImage();
    const auto conv = MPS::CNNConvolutionNode::node(plain, source)->resultImage();
    net.norms.push_back(std::make_shared<NormSource>(device, "norm", 3, 9));
    const auto norm = MPS::CNNBatchNormalizationNode::node(conv, net.norms.back());
    norm->setFlags(MPS::CNNBatchNormalizationFlagsCalculateStatisticsNever);
    // The same data source without what the graph has made part of the second kernel.
    const auto graph =
        graphOf(MPS::NNSubtractionNode::node(Net::relu(norm->resultImage()), plain)->resultImage());
    const auto again = archivedAndRead(graph);
    EXPECT_EQ(again->debugDescription(), graph->debugDescription());
    EXPECT_NE(again->debugDescription().find("CNNBatchNormalization"), std::string::npos);
    expectSameResults(graph);
    const auto before = infer(*again);
    again->reloadFromDataSources();
    EXPECT_EQ(infer(*again), before) << "from what stands in for the data sources";
}

TEST_P(GraphArchives, DropoutGoesOnWithItsSequenceOfMasks) {
    const auto graph = graphOf(MPS::CNNDropoutNode::node(neutral(), 0.5f, 3)->resultImage());
    const auto first = infer(*graph);
    const auto again = archivedAndRead(graph);
    const auto second = infer(*graph);
    EXPECT_NE(second, first);
    EXPECT_EQ(infer(*again), second);
}

TEST_P(GraphArchives, StepsWithValuesOfTheirOwnComeBackWithThem) {
    const auto input = neutral();
    const auto scaled = MPS::NNBilinearScaleNode::node(input, MTL::Size{5, 4, 0})->resultImage();
    const auto both = MPS::NNConcatenationNode::node({scaled, Net::relu(scaled)})->resultImage();
    const auto weights = std::make_shared<LayerSource>(device, "up", 2, 8, 3, 5);
    const auto up = MPS::CNNConvolutionTransposeNode::node(both, nullptr, weights)->resultImage();
    const auto flat =
        MPS::NNReshapeNode::node(MPS::CNNPoolingAverageNode::node(up, 1)->resultImage(), 1, 1, 60);
    expectSameResults(graphOf(flat->resultImage()));
    expectSameResults(graphOf(MPS::NNLanczosScaleNode::node(input, MTL::Size{7, 5, 0})->resultImage()));
    expectSameResults(graphOf(MPS::NNGramMatrixCalculationNode::node(input, 0.25f)->resultImage()));
    expectSameResults(graphOf(MPS::CNNCrossChannelNormalizationNode::node(input, 3)->resultImage()));
    const auto pad = MPS::NNPadNode::node(input, MPS::ImageCoordinate{1, 0, 0}, MPS::ImageCoordinate{0, 2, 0},
                                          MPS::ImageEdgeMode::Constant);
    pad->setFillValue(0.5f);
    expectSameResults(graphOf(pad->resultImage()));
}

TEST_P(GraphArchives, EveryReductionAndEveryNeuronComesBack) {
    const auto input = neutral();
    for (const std::shared_ptr<MPS::NNFilterNode>& filter :
         std::initializer_list<std::shared_ptr<MPS::NNFilterNode>>{
             MPS::NNReductionRowMinNode::node(input), MPS::NNReductionColumnMaxNode::node(input),
             MPS::NNReductionFeatureChannelsArgumentMaxNode::node(input),
             MPS::NNReductionFeatureChannelsSumNode::node(input),
             MPS::NNReductionSpatialMeanNode::node(input), MPS::CNNNeuronELUNode::node(input, 0.5f),
             MPS::CNNNeuronHardSigmoidNode::node(input, 0.5f, 0.25f), MPS::CNNNeuronGeLUNode::node(input),
             MPS::CNNSoftMaxNode::node(input), MPS::CNNLogSoftMaxNode::node(input),
             MPS::CNNUpsamplingBilinearNode::node(input, 2, 2), MPS::CNNPoolingL2NormNode::node(input, 3)})
        expectSameResults(graphOf(filter->resultImage()));
}

INSTANTIATE_TEST_SUITE_P(Devices, GraphArchives, testing::Range(std::size_t{0}, MTL::copyAllDevices().size()),
                         [](const auto& info) { return testNameOf(MTL::copyAllDevices()[info.param]->name()); });
