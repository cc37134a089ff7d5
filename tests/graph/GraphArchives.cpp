#include <gmock/gmock.h>

#include <MPS/CNNBinaryConvolutionNode.hpp>
#include <MPS/CNNConvolutionTransposeNode.hpp>
#include <MPS/CNNGroupNormalizationNode.hpp>
#include <MPS/CNNInstanceNormalizationNode.hpp>
#include <MPS/CNNNormalizationNode.hpp>
#include <MPS/CNNUpsamplingNode.hpp>
#include <MPS/CNNYOLOLossNode.hpp>
#include <MPS/NNConcatenationNode.hpp>
#include <MPS/NNForwardLossNode.hpp>
#include <MPS/NNGramMatrixNode.hpp>
#include <MPS/NNInitialGradientNode.hpp>
#include <MPS/NNPadNode.hpp>
#include <MPS/NNRecomputePolicy.hpp>
#include <MPS/NNReductionNode.hpp>
#include <MPS/NNReshapeNode.hpp>
#include <MPS/NNScaleNode.hpp>
#include <Pewter/train/NetworkBuilder.hpp>
#include <filesystem>

#include "BinaryWeights.h"
#include "GraphKernels.h"
#include "GraphRuns.h"

using namespace pewter::test;
using namespace pewter::train;
using testing::ElementsAre;

namespace {

/// A layer of the application's that archives can hold. Its weights are those that it began with: what updates make of
/// them, only the kernel has.
class CodedLayer final : public LayerSource, public MPS::SecureCoding {
public:
    using LayerSource::LayerSource;
    explicit CodedLayer(MPS::Coder& coder)
        : LayerSource(coder.device(), coder.decodeString("label"), 3, coder.decodeSize("inputs"),
                      coder.decodeSize("outputs"), 1) {
        values = coder.decodeFloats("values");
        biases = coder.decodeFloats("biases");
    }
    const char* className() const override { return "GraphArchives.CodedLayer"; }
    void encodeWithCoder(MPS::Coder& coder) const override {
        coder.encodeString(label(), "label");
        coder.encodeUnsigned(descriptor()->inputFeatureChannels(), "inputs");
        coder.encodeUnsigned(descriptor()->outputFeatureChannels(), "outputs");
        coder.encodeFloats(values, "values");
        coder.encodeFloats(biases, "biases");
    }
};

OptimizerSettings settings(OptimizerSettings::Kind kind, float momentum = 0) {
    OptimizerSettings s;
    s.kind = kind;
    s.momentum = momentum;
    s.nesterov = momentum != 0;
    s.descriptor.learningRate = 0.01f;
    return s;
}

Node neutral() { return MPS::NNImageNode::node(nullptr); }

/// A net whose layers learn by Pewter's own data sources: the blocks of the library's networks.
struct LearningNet : Net {
    LearningNet(const DevicePtr& d, const OptimizerSettings& optimizer) : Net(d), builder(d, optimizer, 7) {
        input = neutral();
        const NetworkBuilder::Start start{};
        const auto stem = builder.relu(
            builder.batchNormalization(builder.convolution(input, "stem", 3, 3, 4, start), "norm", 4), "stem relu");
        const auto inside = builder.convolution(stem, "block", 3, 4, 4, start);
        auto x = builder.addition(builder.relu(inside, "leaky", 0.125f), stem, "sum");
        x = builder.instanceNormalization(x, "instance", 4);
        x = MPS::CNNGroupNormalizationNode::node(
                x, std::make_shared<GroupNormalizationDataSource>(d, "groups", 4, 2, optimizer))
                ->resultImage();
        x = builder.maxPool(x, "pool");
        x = builder.upsamplingNearest(x, "up", 2);
        x = MPS::CNNConvolutionTransposeNode::node(
                x, nullptr,
                std::make_shared<ConvolutionDataSource>(d, "transpose", ConvolutionShape{3, 3, 4, 4},
                                                        Initializer::xavier(), 0.0f, optimizer, 3, 9))
                ->resultImage();
        x = builder.dropout(builder.sigmoid(x, "sigmoid"), "dropout", 0.75f);
        const auto pooled = builder.spatialMean(x, "mean");
        const auto dense = builder.fullyConnected(pooled, "dense", 1, 1, 4, 8, start);
        logits = builder.fullyConnected(dense, "logits", 1, 1, 8, classes, start);
    }
    NetworkBuilder builder;
};

/// Runs on every device.
class GraphArchives : public testing::TestWithParam<std::size_t> {
protected:
    DevicePtr device = computingDevices()[GetParam()];

    std::shared_ptr<MPS::NNGraph> graphOf(const Node& result) const {
        const auto graph = MPS::NNGraph::graph(device, result);
        graph->setFormat(Format::Float32);
        return graph;
    }
    /// The graph read again computes the same bits, also after it was on another device, and nearly the same there.
    void expectSameResults(const std::shared_ptr<MPS::NNGraph>& graph, std::size_t channels = 3) const {
        // All read before anything runs: dropout goes on from encode to encode.
        const auto again = archivedAndRead(graph);
        std::vector<std::shared_ptr<MPS::NNGraph>> there, back;
        for (const auto& other : computingDevices()) {
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
                EXPECT_NEAR(found[i], expected[i], 1e-4 * (1 + std::abs(expected[i]))) << there[d]->device()->name();
        }
    }
};

}  // namespace

TEST_P(GraphArchives, AGraphComesBackWithPropertiesHandlesAndSteps) {
    Net net(device);
    net.input = MPS::NNImageNode::node(codedTag("picture"));
    LayerSource layer(device, "conv", 3, 3, 4, 1);
    const auto conv = net.layer(net.input, "conv", 3, 3, 4);
    const auto middle = conv->resultImage();
    middle->setHandle(codedTag("middle"));
    middle->setExportFromGraph(true);
    middle->setSynchronizeResource(true);
    const auto pool = MPS::CNNPoolingMaxNode::node(middle, 2);
    pool->resultState()->setHandle(codedTag("where"));
    pool->resultState()->setExportFromGraph(true);
    const auto left = Net::relu(pool->resultImage()), right = MPS::CNNNeuronTanHNode::node(middle)->resultImage();
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
    middle->setImageAllocator(MPS::Image::defaultAllocator());
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

TEST_P(GraphArchives, TrainingGoesOnWithTheSameBitsUnderEveryOptimizer) {
    using Kind = OptimizerSettings::Kind;
    for (const auto& optimizer :
         {settings(Kind::Adam), settings(Kind::RMSProp), settings(Kind::StochasticGradientDescent, 0.9f),
          settings(Kind::StochasticGradientDescent)}) {
        LearningNet net(device, optimizer);
        net.train(nullptr, false);
        const auto before = trainSteps(net, *net.graph, 1, 3);
        const auto again = archivedAndRead(net.graph);
        const auto expected = trainSteps(net, *net.graph, 4, 7);
        EXPECT_EQ(trainSteps(net, *again, 4, 7), expected);
        EXPECT_NE(trainSteps(net, *again, 4, 4)[0], expected[0]) << "it learns";
    }
}

TEST_P(GraphArchives, TrainingOnTheHostGoesOnToo) {
    LearningNet net(device, settings(OptimizerSettings::Kind::Adam));
    net.train([](const auto& gradient, const auto&, const auto&, const auto&) {
        if (auto* trainable = dynamic_cast<MPS::NNTrainableNode*>(gradient.get()))
            trainable->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceCPU);
    });
    trainSteps(net, *net.graph, 1, 2);
    const auto again = archivedAndRead(net.graph);
    EXPECT_EQ(trainSteps(net, *again, 3, 5), trainSteps(net, *net.graph, 3, 5));
}

TEST_P(GraphArchives, AGraphIsSavedToAndLoadedFromOneFile) {
    LearningNet net(device, settings(OptimizerSettings::Kind::Adam));
    net.train();
    trainSteps(net, *net.graph, 1, 2);
    const auto path = std::filesystem::temp_directory_path() / ("GraphArchives" + device->name() + ".pewter");
    MPS::KeyedArchiver::archiveRootObject(net.graph, path);
    const auto again = MPS::KeyedUnarchiver::unarchivedObjectOfFile<MPS::NNGraph>(path, device);
    EXPECT_EQ(MPS::KeyedUnarchiver::dataOfFile(path), MPS::KeyedArchiver::archivedData(net.graph));
    EXPECT_FALSE(std::filesystem::exists(path.string() + ".part"));
    std::filesystem::remove(path);
    EXPECT_EQ(trainSteps(net, *again, 3, 5), trainSteps(net, *net.graph, 3, 5));
}

TEST_P(GraphArchives, TrainingGoesOnOnAnotherDevice) {
    for (const auto& other : computingDevices()) {
        LearningNet net(device, settings(OptimizerSettings::Kind::Adam));
        net.train();
        trainSteps(net, *net.graph, 1, 2);
        const auto there = archivedAndRead(net.graph, other);
        const auto found = trainSteps(net, *there, 3, 5), expected = trainSteps(net, *net.graph, 3, 5);
        for (std::size_t i = 0; i < expected.size(); ++i)
            // Adam divides small gradients by their own size: float32 differences grow with the steps.
            EXPECT_NEAR(found[i], expected[i], 1e-2 * (1 + std::abs(expected[i]))) << other->name();
    }
}

TEST_P(GraphArchives, WeightsThatOnlyTheKernelHasAreSaved) {
    MPS::RegisterArchivedClass<CodedLayer>("GraphArchives.CodedLayer");
    Net net(device);
    net.input = neutral();
    const auto source = std::make_shared<CodedLayer>(device, "own", 3, 3, 4, 5);
    const auto first = MPS::CNNConvolutionNode::node(net.input, source)->resultImage();
    const auto mean = MPS::NNReductionSpatialMeanNode::node(first)->resultImage();
    net.classes = 4;
    net.logits = mean;
    net.train();
    trainSteps(net, *net.graph, 1, 3);
    const auto again = archivedAndRead(net.graph);
    EXPECT_EQ(trainSteps(net, *again, 4, 6), trainSteps(net, *net.graph, 4, 6));
    // The data source has its own still.
    again->reloadFromDataSources();
    net.graph->reloadFromDataSources();
    EXPECT_EQ(trainSteps(net, *again, 4, 6), trainSteps(net, *net.graph, 4, 6));
}

TEST_P(GraphArchives, FrozenLayersOfSourcesWithoutCodingAreSavedWithTheirWeights) {
    Net net(device);
    net.input = neutral();
    buildWhole(net);
    net.train([](const auto& gradient, const auto&, const auto&, const auto&) {
        if (auto* trainable = dynamic_cast<MPS::NNTrainableNode*>(gradient.get()))
            trainable->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
    }, true);
    const auto again = archivedAndRead(net.graph);
    EXPECT_EQ(trainSteps(net, *again, 1, 3), trainSteps(net, *net.graph, 1, 3));
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
    const auto graph = graphOf(MPS::NNSubtractionNode::node(Net::relu(norm->resultImage()), plain)->resultImage());
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
    const auto flat = MPS::NNReshapeNode::node(MPS::CNNPoolingAverageNode::node(up, 1)->resultImage(), 1, 1, 60);
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
    std::vector<Node> images;
    for (const std::shared_ptr<MPS::NNFilterNode>& filter : std::initializer_list<std::shared_ptr<MPS::NNFilterNode>>{
             MPS::NNReductionRowMinNode::node(input), MPS::NNReductionColumnMaxNode::node(input),
             MPS::NNReductionFeatureChannelsArgumentMaxNode::node(input), MPS::NNReductionFeatureChannelsSumNode::node(input),
             MPS::NNReductionSpatialMeanNode::node(input), MPS::CNNNeuronELUNode::node(input, 0.5f),
             MPS::CNNNeuronHardSigmoidNode::node(input, 0.5f, 0.25f), MPS::CNNNeuronGeLUNode::node(input),
             MPS::CNNSoftMaxNode::node(input), MPS::CNNLogSoftMaxNode::node(input),
             MPS::CNNUpsamplingBilinearNode::node(input, 2, 2), MPS::CNNPoolingL2NormNode::node(input, 3)})
        expectSameResults(graphOf(filter->resultImage()));
}

INSTANTIATE_TEST_SUITE_P(Devices, GraphArchives, testing::Range(std::size_t{0}, computingDevices().size()),
                         [](const auto& info) { return computingDevices()[info.param]->name(); });
