#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/CNNConvolutionTransposeNode.hpp>
#include <MPS/CNNNeuron.hpp>
#include <MPS/NNConcatenationNode.hpp>
#include <MPS/NNRecomputePolicy.hpp>
#include <MPS/NNReshapeNode.hpp>
#include <MPS/NNScaleNode.hpp>
#include <Pewter/KernelNode.hpp>

#include "GraphRuns.h"

using namespace pewter::test;

namespace {

/// A layer whose copies train on their own.
class OwnSource final : public LayerSource {
public:
    using LayerSource::LayerSource;
    std::shared_ptr<MPS::CNNConvolutionDataSource> copy(const DevicePtr& device) const override {
        ++copies;
        auto other = std::make_shared<OwnSource>(device, "copy", 3, 3, 3, 1);
        other->values = values;
        other->biases = biases;
        last = other;
        return other;
    }
    mutable std::size_t copies = 0;
    mutable std::shared_ptr<OwnSource> last;
};

/// Runs on every device.
class GraphCopies : public testing::TestWithParam<std::size_t> {
protected:
    DevicePtr device = MTL::copyAllDevices()[GetParam()];
};

}  // namespace

TEST_P(GraphCopies, ACopyHasThePropertiesHandlesAndStepsOfTheOriginal) {
    Net net(device);
    buildWhole(net);
    net.train();
    net.graph->setOptions(MPS::KernelOptionsInsertDebugGroups);
    net.graph->setOutputStateIsTemporary(true);
    net.graph->setDestinationImageAllocator(MPS::TemporaryImage::defaultAllocator());
    net.graph->setFormat(Format::BFloat16);
    const auto copy = std::dynamic_pointer_cast<MPS::NNGraph>(net.graph->copy());
    ASSERT_TRUE(copy);
    EXPECT_NE(copy, net.graph);
    EXPECT_EQ(copy->device(), device);
    EXPECT_EQ(copy->label(), "training");
    EXPECT_EQ(copy->options(), MPS::KernelOptionsInsertDebugGroups);
    EXPECT_TRUE(copy->outputStateIsTemporary());
    EXPECT_EQ(copy->destinationImageAllocator(), MPS::TemporaryImage::defaultAllocator());
    EXPECT_EQ(copy->format(), Format::BFloat16);
    EXPECT_EQ(copy->resultImageIsNeeded(), net.graph->resultImageIsNeeded());
    EXPECT_EQ(copy->sourceImageHandles(), net.graph->sourceImageHandles());
    EXPECT_EQ(copy->sourceStateHandles(), net.graph->sourceStateHandles());
    EXPECT_EQ(copy->resultStateHandles(), net.graph->resultStateHandles());
    EXPECT_EQ(copy->resultHandle(), net.graph->resultHandle());
    EXPECT_EQ(copy->debugDescription(), net.graph->debugDescription());
}

TEST_P(GraphCopies, TrainingACopyDoesNotChangeTheOriginalAndBothGoTheSameWay) {
    Net net(device);
    const auto first = net.norm(net.layer(net.input, "first", 3, 3, 4)->resultImage(), "norm", 4);
    const auto sum = MPS::NNAdditionNode::node(first, Net::relu(net.layer(first, "inside", 3, 4, 4)->resultImage()));
    const auto pooled = MPS::CNNPoolingMaxNode::node(sum->resultImage(), 2)->resultImage();
    net.logits = net.layer(pooled, "dense", 3, 4, net.classes, true)->resultImage();
    net.train();
    for (std::uint64_t seed = 1; seed <= 2; ++seed) trainStep(net, *net.graph, seed);
    const auto copy = std::static_pointer_cast<MPS::NNGraph>(net.graph->copy());
    // Sources without copies are shared; they start from the weights that they are given.
    std::vector<double> ofCopy, ofOriginal;
    for (std::uint64_t seed = 3; seed <= 6; ++seed) ofCopy.push_back(trainStep(net, *copy, seed));
    for (std::uint64_t seed = 3; seed <= 6; ++seed) ofOriginal.push_back(trainStep(net, *net.graph, seed));
    EXPECT_EQ(ofCopy, ofOriginal);
    EXPECT_NE(trainStep(net, *copy, 3), ofCopy.front());
}

TEST_P(GraphCopies, ACopyOfATrainingGraphWithNormalisationDropoutAndArithmeticTrainsAsTheOriginalDoes) {
    Net net(device);
    buildWhole(net);
    net.train();
    const auto copy = std::static_pointer_cast<MPS::NNGraph>(net.graph->copy());
    std::vector<double> ofCopy, ofOriginal;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) ofCopy.push_back(trainStep(net, *copy, seed));
    for (std::uint64_t seed = 1; seed <= 3; ++seed) ofOriginal.push_back(trainStep(net, *net.graph, seed));
    EXPECT_EQ(ofCopy, ofOriginal);
}

TEST_P(GraphCopies, ACopyOnAnotherDeviceGivesEqualResults) {
    for (const auto& other : MTL::copyAllDevices()) {
        Net net(device);
        buildChain(net);
        const auto graph = MPS::NNGraph::graph(device, net.logits);
        graph->setFormat(Format::Float32);
        const auto copy = std::static_pointer_cast<MPS::NNGraph>(graph->copy(other));
        EXPECT_EQ(copy->device(), other);
        const auto expected = infer(*graph), found = infer(*copy);
        ASSERT_EQ(found.size(), expected.size());
        for (std::size_t i = 0; i < found.size(); ++i)
            if (other == device)
                EXPECT_EQ(found[i], expected[i]);
            else
                EXPECT_NEAR(found[i], expected[i], 1e-5 * (1 + std::abs(expected[i])));
    }
}

TEST_P(GraphCopies, AFoldedNormalisationAndAFusedNeuronAreCopiedAndReloaded) {
    Net net(device);
    const auto conv = net.layer(net.input, "conv", 3, 3, 4)->resultImage();
    net.norms.push_back(std::make_shared<NormSource>(device, "norm", 4, 9));
    const auto norm = MPS::CNNBatchNormalizationNode::node(conv, net.norms.back());
    norm->setFlags(MPS::CNNBatchNormalizationFlagsCalculateStatisticsNever);
    const auto graph = MPS::NNGraph::graph(device, Net::relu(norm->resultImage()));
    graph->setFormat(Format::Float32);
    const auto before = infer(*graph);
    const auto copy = std::static_pointer_cast<MPS::NNGraph>(graph->copy());
    EXPECT_EQ(copy->debugDescription(), graph->debugDescription());
    EXPECT_EQ(infer(*copy), before);
    for (float& value : net.layers[0]->values) value = -value;
    for (float& beta : net.norms[0]->betas) beta += 1;
    copy->reloadFromDataSources();
    EXPECT_EQ(infer(*graph), before);
    const auto changed = infer(*copy);
    EXPECT_NE(changed, before);
    graph->reloadFromDataSources();
    EXPECT_EQ(infer(*graph), changed);
}

TEST_P(GraphCopies, ADataSourceIsCopiedOnceForAllItsKernelsAndTheCopyAloneIsUpdated) {
    Net net(device);
    const auto source = std::make_shared<OwnSource>(device, "own", 3, 3, 3, 7);
    const auto first = MPS::CNNConvolutionNode::node(net.input, source);
    const auto second = MPS::CNNConvolutionNode::node(Net::relu(first->resultImage()), source);
    net.logits = net.layer(MPS::CNNPoolingAverageNode::node(second->resultImage(), 2)->resultImage(), "dense", 3, 3,
                           net.classes, true)
                     ->resultImage();
    net.train();
    const auto copy = std::static_pointer_cast<MPS::NNGraph>(net.graph->copy());
    EXPECT_EQ(source->copies, 1u);
    const double loss = trainStep(net, *copy, 1);
    EXPECT_EQ(source->updates, 0u);
    EXPECT_EQ(source->last->updates, 2u);
    EXPECT_EQ(trainStep(net, *net.graph, 1), loss);
    EXPECT_EQ(source->updates, 2u);
}

TEST_P(GraphCopies, DropoutInACopyBeginsItsMasksAnewAsACopiedKernelDoes) {
    const auto graph = MPS::NNGraph::graph(
        device, MPS::CNNDropoutNode::node(MPS::NNImageNode::node(nullptr), 0.5f, 3)->resultImage());
    graph->setFormat(Format::Float32);
    const auto first = infer(*graph), second = infer(*graph);
    const auto copy = std::static_pointer_cast<MPS::NNGraph>(graph->copy());
    EXPECT_EQ(infer(*copy), first);
    EXPECT_EQ(infer(*copy), second);
    EXPECT_NE(infer(*graph), first);
}

TEST_P(GraphCopies, AKernelOfTheApplicationWithoutACopyIsRefusedByItsLabel) {
    class Plain final : public MPS::CNNNeuron {
    public:
        using MPS::CNNNeuron::CNNNeuron;
        std::shared_ptr<MPS::Kernel> copy(const DevicePtr& to) const override { return Kernel::copy(to); }
    };
    const auto node = pewter::KernelNode::node(MPS::NNImageNode::node(nullptr), [](const DevicePtr& d) {
        return std::make_shared<Plain>(d, MPS::NNNeuronDescriptor());
    });
    node->setLabel("mine");
    const auto graph = MPS::NNGraph::graph(device, node->resultImage());
    try {
        graph->copy();
        ADD_FAILURE() << "copied";
    } catch (const MPS::Error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("'mine'"));
        EXPECT_THAT(error.what(), testing::HasSubstr("a class that can be copied"));
    }
}

TEST_P(GraphCopies, StepsWithValuesOfTheirOwnAreCopiedWithThem) {
    const auto input = MPS::NNImageNode::node(nullptr);
    const auto scaled = MPS::NNBilinearScaleNode::node(input, MTL::Size{5, 4, 0})->resultImage();
    const auto both = MPS::NNConcatenationNode::node({scaled, Net::relu(scaled)})->resultImage();
    const auto weights = std::make_shared<LayerSource>(device, "up", 2, 8, 3, 5);
    const auto up = MPS::CNNConvolutionTransposeNode::node(both, nullptr, weights)->resultImage();
    const auto flat = MPS::NNReshapeNode::node(MPS::CNNPoolingAverageNode::node(up, 1)->resultImage(), 1, 1, 60);
    const auto result = flat->resultImage();
    const auto graph = MPS::NNGraph::graph(device, result);
    graph->setFormat(Format::Float32);
    const auto expected = infer(*graph);
    const auto copy = std::static_pointer_cast<MPS::NNGraph>(graph->copy());
    EXPECT_EQ(infer(*copy), expected);
    EXPECT_EQ(expected.size(), 120u);
}

TEST_P(GraphCopies, ARecomputePolicyIsCopied) {
    Net net(device);
    buildWhole(net);
    net.train();
    net.graph->setRecomputePolicy(MPS::NNRecomputePolicy::budget(1u << 20));
    const auto copy = std::static_pointer_cast<MPS::NNGraph>(net.graph->copy());
    EXPECT_EQ(copy->recomputePolicy().kind(), MPS::NNRecomputePolicy::Kind::Budget);
    EXPECT_EQ(copy->recomputePolicy().bytes(), 1u << 20);
}

INSTANTIATE_TEST_SUITE_P(Devices, GraphCopies, testing::Range(std::size_t{0}, MTL::copyAllDevices().size()),
                         [](const auto& info) { return testNameOf(MTL::copyAllDevices()[info.param]->name()); });
