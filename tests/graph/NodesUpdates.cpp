#include <MPS/CNNNormalizationState.hpp>
#include <MPS/NNGraph.hpp>
#include <MPS/NNInitialGradientNode.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MTL/MTL.hpp>

#include "NodesSupport.h"

using namespace pewter::test;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Format = MPS::ImageFeatureChannelFormat;

// Updates through data sources, on nets so small that every number can be worked out by hand: images of one
// value, convolutions of one weight w. With dy/dx = w the gradient of the input shows the weight in use.

namespace {

std::shared_ptr<MTL::Device> device() { return MTL::copyDevice("reference"); }

std::shared_ptr<MPS::Image> pixel(float value) {
    auto image = std::make_shared<MPS::Image>(
        device(), MPS::ImageDescriptor::imageDescriptor(Format::Float32, 1, 1, 1));
    image->writeBytes(&value, MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
    return image;
}

float valueOf(MPS::Image& image) {
    float value = 0;
    image.readBytes(&value, MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
    return value;
}

std::vector<float> valuesOf(const MPS::ImageBatch& batch) {
    std::vector<float> values;
    for (const auto& image : batch) values.push_back(valueOf(*image));
    return values;
}

/// One weight; descends with rate 1/2 on the device or on the host, and notes what it is asked.
class OneWeight : public Weights {
public:
    OneWeight(float weight, std::vector<std::string>* calls = nullptr, std::string name = "w")
        : Weights(1, 1, 1), calls_(calls), name_(std::move(name)) {
        values[0] = weight;
    }

    bool load() override { return note("load"); }
    void purge() override { note("purge"); }
    std::string label() const override { return name_; }

    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> update(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
        const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) override {
        note("update");
        if (forgets) return nullptr;
        MPS::NNOptimizerStochasticGradientDescent optimizer(device(), 0.5F);
        auto result = sourceState;
        if (returnsSource)
            sourceState->setReadCount(sourceState->readCount() + 1);
        else
            result = MPS::CNNConvolutionWeightsAndBiasesState::temporaryCNNConvolutionWeightsAndBiasesState(
                commandBuffer, *descriptor());
        optimizer.encode(commandBuffer, gradientState, sourceState, {}, result);
        return result;
    }

    bool update(const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
                const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) override {
        note("update");
        const float gradient = *static_cast<const float*>(gradientState->gradientForWeights()->contents());
        const float weight = *static_cast<const float*>(sourceState->weights()->contents());
        values[0] = weight - 0.5F * gradient;
        return succeeds;
    }

    bool returnsSource = false, forgets = false, succeeds = true;

private:
    bool note(const char* call) {
        if (calls_) calls_->push_back(name_ + " " + call);
        return true;
    }
    std::vector<std::string>* calls_;
    std::string name_;
};

/// A chain of convolutions with one weight each, its training graph and how to run it.
class Net {
public:
    Net(const std::vector<std::shared_ptr<OneWeight>>& sources, MPS::NNTrainingStyle style) {
        auto image = x;
        for (const auto& source : sources) {
            layers.push_back(MPS::CNNConvolutionNode::node(image, source));
            layers.back()->setTrainingStyle(style);
            image = layers.back()->resultImage();
        }
        x->setHandle(name("x"));
        start->setHandle(name("g"));
        terminus = layers.back()->trainingGraph(start).at(0);
    }

    MPS::NNGraph& graph() {
        if (!graph_) {
            graph_ = std::make_shared<MPS::NNGraph>(device(), terminus->resultImage());
            graph_->setFormat(Format::Float32);
        }
        return *graph_;
    }

    /// Samples x = 1, 2 with gradients 1, 3: sum of g x = 7. Returns the gradients of x.
    std::vector<float> step() {
        std::vector<MPS::ImageBatch> sources;
        for (const auto& handle : graph().sourceImageHandles())
            sources.push_back(handle == x->handle() ? MPS::ImageBatch{pixel(1), pixel(2)}
                                                    : MPS::ImageBatch{pixel(1), pixel(3)});
        const auto commands = device()->newCommandQueue()->commandBuffer();
        const auto result = graph().encodeBatch(commands, sources);
        commands->commit();
        commands->waitUntilCompleted();
        EXPECT_FALSE(commands->error());
        return valuesOf(result);
    }

    Image x = MPS::NNImageNode::node(), start = MPS::NNImageNode::node();
    std::vector<std::shared_ptr<MPS::CNNConvolutionNode>> layers;
    Filter terminus;

private:
    std::shared_ptr<MPS::NNGraph> graph_;
};

constexpr auto kNone = MPS::NNTrainingStyle::UpdateDeviceNone;
constexpr auto kCPU = MPS::NNTrainingStyle::UpdateDeviceCPU;
constexpr auto kGPU = MPS::NNTrainingStyle::UpdateDeviceGPU;

}  // namespace

TEST(NodesUpdates, OnTheDeviceTheNextEncodeUsesWhatTheUpdateReturns) {
    for (const bool returnsSource : {false, true}) {
        const auto weight = std::make_shared<OneWeight>(2.0F);
        weight->returnsSource = returnsSource;
        Net net({weight}, kGPU);
        EXPECT_THAT(net.step(), ElementsAre(2, 6)) << returnsSource;
        // 2 - 7 / 2
        EXPECT_THAT(net.step(), ElementsAre(-1.5F, -4.5F)) << returnsSource;
        EXPECT_EQ(weight->values[0], 2) << "the graph must not write the data source's memory";
    }
}

TEST(NodesUpdates, WithADataSourceOfItsOwnTheGradientFilterStaysInStepWithTheForwardFilter) {
    const auto forward = std::make_shared<OneWeight>(2.0F), backward = std::make_shared<OneWeight>(2.0F);
    Net net({forward}, kGPU);
    net.terminus = MPS::CNNConvolutionGradientNode::node(net.start, net.x,
                                                         net.layers[0]->convolutionGradientState(), backward);
    EXPECT_THAT(net.step(), ElementsAre(2, 6));
    EXPECT_THAT(net.step(), ElementsAre(-1.5F, -4.5F));
}

TEST(NodesUpdates, FiltersThatShareADataSourceChangeTogetherAfterTheLastOfThem) {
    const auto weight = std::make_shared<OneWeight>(2.0F);
    Net net({weight, weight}, kGPU);
    // The first layer's gradient still passes the old weight of the second: w w g.
    EXPECT_THAT(net.step(), ElementsAre(4, 12));
    // Either gradient is w sum(g x) = 14; each update starts from 2 and gives -5.
    EXPECT_THAT(net.step(), ElementsAre(25, 75));
}

TEST(NodesUpdates, AnInitialGradientTrainsASumWithoutALoss) {
    const auto x = MPS::NNImageNode::node();
    const auto conv = MPS::CNNConvolutionNode::node(x, std::make_shared<OneWeight>(2.0F));
    const auto ones = MPS::NNInitialGradientNode::node(conv->resultImage());
    const auto termini = ones->trainingGraph();
    ASSERT_EQ(termini.size(), 1u);
    EXPECT_EQ(termini[0]->sources()[0], ones->resultImage());
    MPS::NNGraph graph(device(), termini[0]->resultImage());
    graph.setFormat(Format::Float32);
    const auto step = [&] {
        const auto commands = device()->newCommandQueue()->commandBuffer();
        const auto result = graph.encodeBatch(commands, {{pixel(1), pixel(3)}});
        commands->commit();
        commands->waitUntilCompleted();
        return valuesOf(result);
    };
    EXPECT_THAT(step(), ElementsAre(2, 2));
    // 2 - (1 + 3) / 2
    EXPECT_THAT(step(), ElementsAre(0, 0));
    EXPECT_THAT(messageOf([&] { ones->gradientFilter(x); }), HasSubstr("its own gradient"));
}

TEST(NodesUpdates, OnTheHostTheyComeInEncodeOrderEachFollowedByItsReload) {
    std::vector<std::string> calls;
    Net net({std::make_shared<OneWeight>(2.0F, &calls, "first"),
             std::make_shared<OneWeight>(1.0F, &calls, "second")},
            kCPU);
    net.graph();
    calls.clear();
    EXPECT_THAT(net.step(), ElementsAre(2, 6));
    EXPECT_THAT(calls, ElementsAre("second update", "second load", "second purge", "first update",
                                   "first load", "first purge"));
    // first: 2 - 7 / 2 = -1.5; second: its source is 2 x, 1 - 14 / 2 = -6.
    EXPECT_THAT(net.step(), ElementsAre(9, 27));
}

TEST(NodesUpdates, OnTheHostAFailureKeepsTheWeights) {
    std::vector<std::string> calls;
    const auto weight = std::make_shared<OneWeight>(2.0F, &calls);
    weight->succeeds = false;
    Net net({weight}, kCPU);
    net.graph();
    calls.clear();
    EXPECT_THAT(net.step(), ElementsAre(2, 6));
    EXPECT_THAT(calls, ElementsAre("w update"));
    EXPECT_THAT(net.step(), ElementsAre(2, 6));
}

TEST(NodesUpdates, FrozenWeightsAreNeverAskedFor) {
    std::vector<std::string> calls;
    Net net({std::make_shared<OneWeight>(2.0F, &calls)}, kNone);
    net.graph();
    calls.clear();
    EXPECT_THAT(net.step(), ElementsAre(2, 6));
    EXPECT_THAT(net.step(), ElementsAre(2, 6));
    EXPECT_TRUE(calls.empty());
}

TEST(NodesUpdates, TheGradientFiltersStyleCounts) {
    std::vector<std::string> calls;
    Net net({std::make_shared<OneWeight>(2.0F, &calls)}, kGPU);
    std::dynamic_pointer_cast<MPS::CNNConvolutionGradientNode>(net.terminus)->setTrainingStyle(kNone);
    net.graph();
    calls.clear();
    net.step();
    EXPECT_TRUE(calls.empty());
}

TEST(NodesUpdates, AnUpdateThatForgetsTheReadCountsIsNamed) {
    const auto weight = std::make_shared<OneWeight>(2.0F);
    weight->forgets = true;
    Net net({weight}, kGPU);
    EXPECT_THAT(messageOf([&] { net.step(); }),
                AllOf(HasSubstr("CNNConvolutionGradient 'w'"), HasSubstr("gradientState"),
                      HasSubstr("read count of 0"), HasSubstr("found 1")));
}

TEST(NodesUpdates, AFusedNeuronCannotBeTrained) {
    const auto weight = std::make_shared<OneWeight>(2.0F);
    weight->descriptor()->setFusedNeuronDescriptor(
        MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU));
    Net net({weight}, kGPU);
    EXPECT_THAT(messageOf([&] { net.graph(); }),
                AllOf(HasSubstr("CNNConvolutionGradient"), HasSubstr("neuron")));
}

TEST(NodesUpdates, ALossRefusesOtherStatesAsLabels) {
    const auto end = loss(MPS::NNImageNode::node());
    MPS::NNGraph graph(device(), end->resultImage());
    graph.setFormat(Format::Float32);
    const auto commands = device()->newCommandQueue()->commandBuffer();
    const auto state = std::make_shared<MPS::State>(device(), std::size_t{4});
    EXPECT_THAT(messageOf([&] { graph.encodeBatch(commands, {{pixel(1)}}, {{state}}); }),
                AllOf(HasSubstr("CNNLoss"), HasSubstr("labels"), HasSubstr("a State")));
}

namespace {

/// Answers every update with gamma 2 and beta 5.
class TwoAndFive : public Normalization {
public:
    TwoAndFive() : Normalization(1) {}
    using Normalization::updateGammaAndBeta;
    using Normalization::updateMeanAndVariance;
    float epsilon() const override { return 0; }
    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> updateGammaAndBeta(
        const std::shared_ptr<MTL::CommandBuffer>&,
        const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) override {
        calls.push_back("gamma and beta");
        state->setReadCount(state->readCount() - 1);
        const auto buffer = [](float value) {
            auto made = device()->newBuffer(sizeof value, 0);
            *static_cast<float*>(made->contents()) = value;
            return made;
        };
        return std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(buffer(2), buffer(5));
    }
    std::shared_ptr<MPS::CNNNormalizationMeanAndVarianceState> updateMeanAndVariance(
        const std::shared_ptr<MTL::CommandBuffer>&,
        const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) override {
        calls.push_back("mean and variance");
        state->setReadCount(state->readCount() - 1);
        return nullptr;
    }
    std::vector<std::string> calls;
};

}  // namespace

TEST(NodesUpdates, BatchNormalizationUsesTheBatchInTrainingAndStoredStatisticsOtherwise) {
    const auto x = MPS::NNImageNode::node(name("x")), start = MPS::NNImageNode::node(name("g"));
    const auto source = std::make_shared<TwoAndFive>();
    const auto node = MPS::CNNBatchNormalizationNode::node(x, source);
    const auto run = [&](MPS::NNGraph& graph, std::vector<MPS::ImageBatch>* exported) {
        graph.setFormat(Format::Float32);
        std::vector<MPS::ImageBatch> sources(graph.sourceImageHandles().size(), {pixel(1), pixel(3)});
        const auto commands = device()->newCommandQueue()->commandBuffer();
        const auto result = graph.encodeBatch(commands, sources, {}, exported, nullptr);
        commands->commit();
        commands->waitUntilCompleted();
        return valuesOf(result);
    };
    MPS::NNGraph inference(device(), node->resultImage());
    EXPECT_THAT(run(inference, nullptr), ElementsAre(1, 3));

    node->resultImage()->setExportFromGraph(true);
    node->resultImage()->setImageAllocator(MPS::Image::defaultAllocator());
    MPS::NNGraph training(device(), node->trainingGraph(start).at(0)->resultImage());
    std::vector<MPS::ImageBatch> exported;
    run(training, &exported);
    EXPECT_THAT(valuesOf(exported.at(0)), ElementsAre(-1, 1));
    EXPECT_THAT(source->calls, ElementsAre("gamma and beta", "mean and variance"));
    run(training, &exported);
    EXPECT_THAT(valuesOf(exported.at(1)), ElementsAre(3, 7));
    // A graph's parameters are its own until it is told to load them again.
    EXPECT_THAT(run(inference, nullptr), ElementsAre(1, 3));
}

TEST(NodesUpdates, BatchNormalizationsThatShareADataSourceChangeTogetherAfterTheLastOfThem) {
    const auto x = MPS::NNImageNode::node(name("x")), start = MPS::NNImageNode::node(name("g"));
    const auto source = std::make_shared<TwoAndFive>();
    const auto first = MPS::CNNBatchNormalizationNode::node(x, source);
    const auto second = MPS::CNNBatchNormalizationNode::node(first->resultImage(), source);
    for (const auto& node : {first, second}) {
        node->setFlags(MPS::CNNBatchNormalizationFlagsCalculateStatisticsNever);
        node->resultImage()->setExportFromGraph(true);
        node->resultImage()->setImageAllocator(MPS::Image::defaultAllocator());
    }
    MPS::NNGraph graph(device(), second->trainingGraph(start).at(0)->resultImage());
    graph.setFormat(Format::Float32);
    const auto step = [&](std::vector<MPS::ImageBatch>& exported) {
        const auto commands = device()->newCommandQueue()->commandBuffer();
        const auto result =
            graph.encodeBatch(commands, {{pixel(1), pixel(3)}, {pixel(1), pixel(3)}}, {}, &exported, nullptr);
        commands->commit();
        commands->waitUntilCompleted();
        return valuesOf(result);
    };
    std::vector<MPS::ImageBatch> exported;
    // Stored statistics 0 and 1 and gamma 1: the gradient passes through both unchanged.
    EXPECT_THAT(step(exported), ElementsAre(1, 3));
    EXPECT_THAT(source->calls, testing::SizeIs(4));
    exported.clear();
    // Now y = 2 x + 5 twice.
    EXPECT_THAT(step(exported), ElementsAre(4, 12));
    ASSERT_EQ(exported.size(), 2u);
    EXPECT_THAT(valuesOf(exported[0]), ElementsAre(7, 11));
    EXPECT_THAT(valuesOf(exported[1]), ElementsAre(19, 27));
}

TEST(NodesUpdates, TheSingleImageFormTrainsOnAllPicturesOfItsImage) {
    const auto weight = std::make_shared<OneWeight>(2.0F);
    Net net({weight}, kGPU);
    const auto pictures = [](float first, float second) {
        auto descriptor = MPS::ImageDescriptor::imageDescriptor(Format::Float32, 1, 1, 1);
        descriptor.numberOfImages = 2;
        auto image = std::make_shared<MPS::Image>(device(), descriptor);
        image->writeBytes(&first, MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
        image->writeBytes(&second, MPS::DataLayout::HeightxWidthxFeatureChannels, 1);
        return image;
    };
    std::vector<std::shared_ptr<MPS::Image>> sources;
    for (const auto& handle : net.graph().sourceImageHandles())
        sources.push_back(handle == net.x->handle() ? pictures(1, 2) : pictures(1, 3));
    const auto commands = device()->newCommandQueue()->commandBuffer();
    const auto result = net.graph().encode(commands, sources);
    commands->commit();
    commands->waitUntilCompleted();
    float second = 0;
    result->readBytes(&second, MPS::DataLayout::HeightxWidthxFeatureChannels, 1);
    EXPECT_EQ(valueOf(*result), 2);
    EXPECT_EQ(second, 6);
    EXPECT_THAT(net.step(), ElementsAre(-1.5F, -4.5F));
}
