#include <gmock/gmock.h>

#include <MPS/CNNConvolutionTransposeNode.hpp>
#include <MPS/CNNGroupNormalizationNode.hpp>
#include <MPS/NNRecomputePolicy.hpp>
#include <MPS/NNReductionNode.hpp>
#include <Pewter/train/NetworkBuilder.hpp>
#include <filesystem>

#include "GraphRuns.h"

using namespace pewter::test;
using namespace pewter::train;

namespace {

/// A layer of the application's that archives can hold. Its weights are those that it began with: what
/// updates make of them, only the kernel has.
class CodedLayer final : public LayerSource, public MPS::SecureCoding {
public:
    using LayerSource::LayerSource;
    explicit CodedLayer(MPS::Coder& coder)
        : LayerSource(coder.device(), coder.decodeString("label"), 3, coder.decodeSize("inputs"),
                      coder.decodeSize("outputs"), 1) {
        values = coder.decodeFloats("values");
        biases = coder.decodeFloats("biases");
    }
    const char* className() const override { return "GraphArchiveTraining.CodedLayer"; }
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
            builder.batchNormalization(builder.convolution(input, "stem", 3, 3, 4, start), "norm", 4),
            "stem relu");
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
class GraphArchiveTraining : public testing::TestWithParam<std::size_t> {
protected:
    DevicePtr device = MTL::copyAllDevices()[GetParam()];
};

}  // namespace

TEST_P(GraphArchiveTraining, TrainingGoesOnWithTheSameBitsUnderEveryOptimizer) {
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

TEST_P(GraphArchiveTraining, TrainingOnTheHostGoesOnToo) {
    LearningNet net(device, settings(OptimizerSettings::Kind::Adam));
    net.train([](const auto& gradient, const auto&, const auto&, const auto&) {
        if (auto* trainable = dynamic_cast<MPS::NNTrainableNode*>(gradient.get()))
            trainable->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceCPU);
    });
    trainSteps(net, *net.graph, 1, 2);
    const auto again = archivedAndRead(net.graph);
    EXPECT_EQ(trainSteps(net, *again, 3, 5), trainSteps(net, *net.graph, 3, 5));
}

TEST_P(GraphArchiveTraining, AGraphIsSavedToAndLoadedFromOneFile) {
    LearningNet net(device, settings(OptimizerSettings::Kind::Adam));
    net.train();
    trainSteps(net, *net.graph, 1, 2);
    const auto path =
        std::filesystem::temp_directory_path() / ("GraphArchiveTraining" + device->name() + ".pewter");
    MPS::KeyedArchiver::archiveRootObject(net.graph, path);
    const auto again = MPS::KeyedUnarchiver::unarchivedObjectOfFile<MPS::NNGraph>(path, device);
    EXPECT_EQ(MPS::KeyedUnarchiver::dataOfFile(path), MPS::KeyedArchiver::archivedData(net.graph));
    EXPECT_FALSE(std::filesystem::exists(path.string() + ".part"));
    std::filesystem::remove(path);
    EXPECT_EQ(trainSteps(net, *again, 3, 5), trainSteps(net, *net.graph, 3, 5));
}

TEST_P(GraphArchiveTraining, TrainingGoesOnOnAnotherDevice) {
    for (const auto& other : MTL::copyAllDevices()) {
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

TEST_P(GraphArchiveTraining, WeightsThatOnlyTheKernelHasAreSaved) {
    MPS::RegisterArchivedClass<CodedLayer>("GraphArchiveTraining.CodedLayer");
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

TEST_P(GraphArchiveTraining, FrozenLayersOfSourcesWithoutCodingAreSavedWithTheirWeights) {
    Net net(device);
    net.input = neutral();
    buildWhole(net);
    net.train(
        [](const auto& gradient, const auto&, const auto&, const auto&) {
            if (auto* trainable = dynamic_cast<MPS::NNTrainableNode*>(gradient.get()))
                trainable->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
        },
        true);
    const auto again = archivedAndRead(net.graph);
    EXPECT_EQ(trainSteps(net, *again, 1, 3), trainSteps(net, *net.graph, 1, 3));
}

TEST_P(GraphArchiveTraining, APolicyOfRecomputationIsReadAndTheLossesStayTheSame) {
    LearningNet net(device, settings(OptimizerSettings::Kind::Adam));
    net.train();
    const auto sources = [&] { return std::vector<MPS::ImageBatch>{net.images(3)}; };
    const auto report = net.graph->memoryReport(sources(), {net.labels(3)});
    net.graph->setRecomputePolicy(MPS::NNRecomputePolicy::budget(report.peakBytes * 9 / 10));
    const auto again = archivedAndRead(net.graph);
    EXPECT_EQ(again->recomputePolicy().bytes(), report.peakBytes * 9 / 10);
    EXPECT_GT(again->memoryReport(sources(), {net.labels(3)}).recomputedSteps, 0u);
    EXPECT_EQ(trainSteps(net, *again, 1, 3), trainSteps(net, *net.graph, 1, 3));
}

INSTANTIATE_TEST_SUITE_P(Devices, GraphArchiveTraining,
                         testing::Range(std::size_t{0}, MTL::copyAllDevices().size()),
                         [](const auto& info) { return testNameOf(MTL::copyAllDevices()[info.param]->name()); });
