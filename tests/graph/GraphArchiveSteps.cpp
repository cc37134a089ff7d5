#include <gmock/gmock.h>

#include <MPS/CNNBinaryConvolutionNode.hpp>
#include <MPS/CNNConvolutionTransposeNode.hpp>
#include <MPS/CNNGroupNormalizationNode.hpp>
#include <MPS/CNNInstanceNormalizationNode.hpp>
#include <MPS/CNNNormalizationNode.hpp>
#include <MPS/CNNUpsamplingNode.hpp>
#include <MPS/NNConcatenationNode.hpp>
#include <MPS/NNForwardLossNode.hpp>
#include <MPS/NNInitialGradientNode.hpp>
#include <MPS/NNPadNode.hpp>
#include <MPS/NNReductionNode.hpp>
#include <MPS/NNReshapeNode.hpp>
#include <MPS/NNScaleNode.hpp>
#include <Pewter/HostKernel.hpp>
#include <Pewter/KernelNode.hpp>
#include <Pewter/train/DataSources.hpp>
#include <algorithm>
#include <set>

#include "ArchiveBytes.h"
#include "BinaryWeights.h"
#include "GraphRuns.h"

/// Every kind of step that a graph is made of, through an archive.
using namespace pewter::test;
using namespace pewter::train;
using testing::ElementsAre;

namespace {

/// A kernel of the application with a state: y = factor x, and for the gradient the factor.
class Times final : public pewter::HostStateKernel {
public:
    Times(const DevicePtr& device, double factor) : HostStateKernel(device), factor_(factor) {}
    explicit Times(MPS::Coder& coder)
        : HostStateKernel(coder.device()), factor_(coder.decodeDouble("factor")) {
        restoreProperties(coder);
    }
    const char* className() const override { return "GraphArchiveSteps.Times"; }
    void encodeWithCoder(MPS::Coder& coder) const override {
        HostStateKernel::encodeWithCoder(coder);
        coder.encodeDouble(factor_, "factor");
    }

protected:
    std::size_t stateSize(const MPS::Image&, const MPS::Image&) const override { return 1; }
    Computation computation() const override {
        return [factor = factor_](const pewter::HostTensor& x, const pewter::HostTensor&,
                                  const pewter::HostGeometry&, pewter::HostTensor& y,
                                  pewter::HostTensor& state) {
            // Whatever channels and clip rectangle an archive says.
            for (std::size_t i = 0; i < std::min(x.values.size(), y.values.size()); ++i)
                y.values[i] = factor * x.values[i];
            for (double& value : state.values) value = factor;
        };
    }

private:
    double factor_;
};

/// What a binary convolution reads.
class Bits final : public MPS::CNNConvolutionDataSource {
public:
    bool load() override { return true; }
    void purge() override {}
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor() const override { return descriptor_; }
    MPS::DataType dataType() const override { return MPS::DataType::UInt32; }
    const void* weights() const override { return words_.data(); }
    const float* biasTerms() const override { return nullptr; }
    std::string label() const override { return "bits"; }

private:
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor_ =
        MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 3, 2);
    std::vector<std::uint32_t> words_ = packedBits(std::vector<int>{1, 0, 1, 0, 0, 1}, 3);
};

/// The steps in an archive.
std::vector<nlohmann::json> stepsOf(const std::shared_ptr<MPS::NNGraph>& graph) {
    std::vector<nlohmann::json> steps;
    const auto contents = contentsOf(MPS::KeyedArchiver::archivedData(graph));
    for (const auto& object : contents["objects"])
        if (object[0] == "NNGraphStep") steps.push_back(object[1]);
    return steps;
}

/// Runs on every device.
class GraphArchiveSteps : public testing::TestWithParam<std::size_t> {
protected:
    DevicePtr device = MTL::copyAllDevices()[GetParam()];
    Node input = MPS::NNImageNode::node(nullptr);
    OptimizerSettings optimizer;

    std::shared_ptr<MPS::NNGraph> graphOf(const std::vector<Node>& results) const {
        for (const auto& result : results) result->setImageAllocator(MPS::Image::defaultAllocator());
        auto graph = std::make_shared<MPS::NNGraph>(device, results);
        graph->setFormat(Format::Float32);
        return graph;
    }
    std::shared_ptr<ConvolutionDataSource> weights(const std::string& label, std::size_t inputs,
                                                   std::size_t outputs) const {
        return std::make_shared<ConvolutionDataSource>(device, label, ConvolutionShape{3, 3, inputs, outputs},
                                                       Initializer::xavier(), 0.25f, optimizer, 5, inputs);
    }
    /// A training graph whose gradient kernels are of many classes.
    std::shared_ptr<MPS::NNGraph> training(Net& net) const {
        net.input = input;
        auto x = MPS::CNNConvolutionNode::node(input, weights("first", 3, 4))->resultImage();
        x = MPS::CNNBatchNormalizationNode::node(
                x, std::make_shared<BatchNormalizationDataSource>(device, "batch", 4, optimizer))
                ->resultImage();
        x = Net::relu(MPS::CNNCrossChannelNormalizationNode::node(x, 3)->resultImage());
        x = MPS::CNNInstanceNormalizationNode::node(
                x, std::make_shared<InstanceNormalizationDataSource>(device, "instance", 4, optimizer))
                ->resultImage();
        x = MPS::CNNGroupNormalizationNode::node(
                x, std::make_shared<GroupNormalizationDataSource>(device, "group", 4, 2, optimizer))
                ->resultImage();
        x = MPS::NNConcatenationNode::node({x, MPS::CNNNeuronTanHNode::node(x)->resultImage()})
                ->resultImage();
        x = MPS::CNNConvolutionTransposeNode::node(x, nullptr, weights("up", 8, 4))->resultImage();
        x = MPS::NNSubtractionNode::node(x, MPS::CNNDropoutNode::node(x, 0.5f, 4)->resultImage())
                ->resultImage();
        x = MPS::NNMultiplicationNode::node(x, MPS::CNNNeuronSigmoidNode::node(x)->resultImage())
                ->resultImage();
        x = MPS::CNNUpsamplingBilinearNode::node(MPS::CNNPoolingMaxNode::node(x, 2)->resultImage(), 2, 2)
                ->resultImage();
        x = MPS::NNPadNode::node(x, MPS::ImageCoordinate{1, 1, 0}, MPS::ImageCoordinate{1, 1, 0},
                                 MPS::ImageEdgeMode::Zero)
                ->resultImage();
        x = MPS::NNReshapeNode::node(x, 4, 4, 16)->resultImage();
        x = MPS::NNReductionSpatialMeanNode::node(x)->resultImage();
        net.logits = MPS::CNNConvolutionNode::node(x, weights("logits", 16, net.classes))->resultImage();
        net.train();
        return net.graph;
    }
    /// A normalisation with a sum and a neuron that become part of it.
    std::shared_ptr<MPS::NNGraph> residual(Net& net) const {
        net.input = input;
        const auto x = MPS::CNNConvolutionNode::node(input, weights("stem", 3, 4))->resultImage();
        const auto y = MPS::CNNBatchNormalizationNode::node(
                           MPS::CNNConvolutionNode::node(x, weights("inner", 4, 4))->resultImage(),
                           std::make_shared<BatchNormalizationDataSource>(device, "batch", 4, optimizer))
                           ->resultImage();
        const auto sum = Net::relu(MPS::NNAdditionNode::node(y, x)->resultImage());
        net.classes = 4;
        net.logits = MPS::NNReductionSpatialMeanNode::node(sum)->resultImage();
        net.train();
        return net.graph;
    }
    std::shared_ptr<MPS::NNGraph> forwardLoss() const {
        auto descriptor = MPS::CNNLossDescriptor::cnnLossDescriptor(MPS::CNNLossType::MeanSquaredError,
                                                                    MPS::CNNReductionType::Sum);
        descriptor.weight = 0.5f;
        const auto loss = MPS::NNForwardLossNode::node(input, MPS::NNImageNode::node(nullptr), descriptor);
        const auto gradients =
            loss->gradientFilters(MPS::NNInitialGradientNode::node(loss->resultImage())->resultImage());
        return graphOf({loss->resultImage(), gradients[0]->resultImage(), gradients[1]->resultImage()});
    }
    std::shared_ptr<MPS::NNGraph> binary() const {
        return graphOf({MPS::CNNBinaryConvolutionNode::node(input, std::make_shared<Bits>(), 2,
                                                            MPS::CNNBinaryConvolutionType::XNOR,
                                                            MPS::CNNBinaryConvolutionFlags::None)
                            ->resultImage()});
    }
    std::shared_ptr<MPS::NNGraph> scaled() const {
        return graphOf({MPS::NNBilinearScaleNode::node(input, MTL::Size{4, 9, 0})->resultImage()});
    }
    /// Two kernels of the application, the second with the state of the first.
    std::shared_ptr<MPS::NNGraph> ofTheApplication() const {
        MPS::RegisterArchivedClass<Times>("GraphArchiveSteps.Times");
        const auto by = [](double factor) {
            return [factor](const DevicePtr& on) { return std::make_shared<Times>(on, factor); };
        };
        const auto first = pewter::KernelNode::node(input, by(3));
        const auto second = pewter::KernelNode::node(first->resultImage(), first->resultState(), by(-0.5));
        second->setLabel("second");
        return graphOf({second->resultImage()});
    }
};

}  // namespace

TEST_P(GraphArchiveSteps, EveryTypeOfStepIsInOneOfTheseArchives) {
    Net net(device);
    std::set<std::string> types;
    Net second(device);
    for (const auto& graph : {training(net), residual(second), forwardLoss(), binary(), scaled(), ofTheApplication()})
        for (const auto& step : stepsOf(graph)) types.insert(step["type"].get<std::string>());
    EXPECT_THAT(types, ElementsAre("Arithmetic", "BatchNormalization", "BatchNormalizationGradient",
                                   "BinaryConvolution", "Concatenation", "Convolution", "ConvolutionGradient",
                                   "ConvolutionTranspose", "ConvolutionTransposeGradient",
                                   "CrossChannelGradient", "Dropout", "ForwardLoss", "Gradient",
                                   "GroupNormalization", "GroupNormalizationGradient",
                                   "InstanceNormalization", "InstanceNormalizationGradient", "Kernel", "Loss",
                                   "LossGradient", "NormalizationSumGradient", "Reshape", "Scale", "Unary"));
}

TEST_P(GraphArchiveSteps, GradientsOfEveryClassTrainOnTheSameWay) {
    Net net(device);
    const auto graph = training(net);
    trainSteps(net, *graph, 1, 2);
    const auto again = archivedAndRead(graph);
    EXPECT_EQ(again->debugDescription(), graph->debugDescription());
    EXPECT_EQ(trainSteps(net, *again, 3, 6), trainSteps(net, *graph, 3, 6));
}

TEST_P(GraphArchiveSteps, WithoutRewritesToo) {
    Net net(device);
    training(net);
    const auto graph =
        std::make_shared<MPS::NNGraph>(device, std::vector<Node>{net.termini.front()->resultImage()},
                                       std::vector<bool>{false}, MPS::NNGraph::Options::none());
    graph->setFormat(Format::Float32);
    const auto again = archivedAndRead(graph);
    EXPECT_EQ(trainSteps(net, *again, 1, 3), trainSteps(net, *graph, 1, 3));
}

TEST_P(GraphArchiveSteps, GradientsThatAddUpAndCarryNeuronsBackDoSoAgain) {
    Net net(device);
    net.input = input;
    const auto x = MPS::CNNConvolutionNode::node(input, weights("stem", 3, 4))->resultImage();
    const auto left = MPS::CNNConvolutionNode::node(x, weights("left", 4, 4))->resultImage();
    const auto right = Net::relu(MPS::CNNConvolutionNode::node(x, weights("right", 4, 4))->resultImage());
    const auto sum = MPS::NNAdditionNode::node(left, right)->resultImage();
    net.classes = 4;
    net.logits = MPS::NNReductionSpatialMeanNode::node(sum)->resultImage();
    net.train();
    std::size_t adding = 0, neurons = 0;
    for (const auto& step : stepsOf(net.graph)) {
        const auto& numbers = step["numbers"]["i64"].get_binary();
        if (step["type"] != "ConvolutionGradient") continue;
        adding += !numbers.empty() && numbers[0] != 0;
        neurons += !step["neuron"].is_null();
    }
    EXPECT_GT(adding, 0u);
    EXPECT_GT(neurons, 0u);
    const auto again = archivedAndRead(net.graph);
    EXPECT_EQ(trainSteps(net, *again, 1, 4), trainSteps(net, *net.graph, 1, 4));
}

TEST_P(GraphArchiveSteps, NormalisationsKeepTheirSums) {
    Net net(device);
    const auto graph = residual(net);
    const auto again = archivedAndRead(graph);
    EXPECT_EQ(again->debugDescription(), graph->debugDescription());
    EXPECT_EQ(trainSteps(net, *again, 1, 4), trainSteps(net, *graph, 1, 4));
}

TEST_P(GraphArchiveSteps, ForwardLossesWithTheirGradients) {
    const auto graph = forwardLoss();
    const auto expected = infer(*graph, 1);
    EXPECT_EQ(expected.size(), 2u * (1 + 36 + 36));
    EXPECT_EQ(infer(*archivedAndRead(graph), 1), expected);
}

TEST_P(GraphArchiveSteps, BinaryConvolutionsKeepTheirBitsAndTerms) {
    const auto graph = binary();
    const auto again = archivedAndRead(graph);
    const auto expected = infer(*graph);
    EXPECT_EQ(infer(*again), expected);
    again->reloadFromDataSources();
    EXPECT_EQ(infer(*again), expected);
}

TEST_P(GraphArchiveSteps, KernelsOfTheApplicationHandTheirStatesOn) {
    const auto graph = ofTheApplication();
    const auto expected = infer(*graph);
    EXPECT_EQ(infer(*archivedAndRead(graph)), expected);
    Random random(4);
    const auto x = drawValues(random, 6 * 6 * 3);
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(expected[i], -1.5 * x[i]);
}

INSTANTIATE_TEST_SUITE_P(Devices, GraphArchiveSteps,
                         testing::Range(std::size_t{0}, MTL::copyAllDevices().size()),
                         [](const auto& info) { return testNameOf(MTL::copyAllDevices()[info.param]->name()); });
