#include <MPS/CNNBatchNormalizationNode.hpp>
#include <MPS/NNGraph.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MPS/Vector.hpp>
#include <MTL/MTL.hpp>

#include "TestKernel.h"
#include "UnaryKernels.h"

/// Batch normalisation nodes: whose statistics they use, and when their data source is asked to update.
using namespace pewter::test;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

constexpr auto kNone = MPS::NNTrainingStyle::UpdateDeviceNone;
constexpr auto kCPU = MPS::NNTrainingStyle::UpdateDeviceCPU;
constexpr auto kGPU = MPS::NNTrainingStyle::UpdateDeviceGPU;

constexpr auto kAutomatic = MPS::CNNBatchNormalizationFlagsCalculateStatisticsAutomatic;
constexpr auto kAlways = MPS::CNNBatchNormalizationFlagsCalculateStatisticsAlways;
constexpr auto kNever = MPS::CNNBatchNormalizationFlagsCalculateStatisticsNever;

enum class Answers { Own, Temporary, Nothing, Missing, ForgetsFirst, ForgetsSecond };

using MPS::CNNBatchNormalizationState;
using MPS::CNNNormalizationGammaAndBetaState;
using MPS::CNNNormalizationMeanAndVarianceState;

/// One channel: gamma 2, beta 5, stored mean 1 and variance 4. Updates descend with rate 1/2 and store mean 7
/// and variance 16.
class Source final : public MPS::CNNBatchNormalizationDataSource {
public:
    explicit Source(DevicePtr device) : device_(std::move(device)), optimizer_(device_, 0.5F) {}
    std::size_t numberOfFeatureChannels() const override { return 1; }
    const float* gamma() override { return &values_[0]; }
    const float* beta() override { return &values_[1]; }
    const float* mean() override { return &values_[2]; }
    const float* variance() override { return &values_[3]; }
    bool load() override { return calls.push_back("load"), true; }
    void purge() override {}
    std::string label() const override { return "norm"; }
    float epsilon() const override { return 0; }

    std::shared_ptr<CNNNormalizationGammaAndBetaState> updateGammaAndBeta(
        const std::shared_ptr<MTL::CommandBuffer>& commands,
        const std::shared_ptr<CNNBatchNormalizationState>& state) override {
        calls.push_back("gamma and beta");
        if (answers == Answers::Missing)
            return CNNBatchNormalizationDataSource::updateGammaAndBeta(commands, state);
        if (answers == Answers::ForgetsFirst) return nullptr;
        if (answers == Answers::Nothing) return give(state), nullptr;
        std::shared_ptr<CNNNormalizationGammaAndBetaState> result;
        if (answers == Answers::Temporary)
            result = CNNNormalizationGammaAndBetaState::temporaryState(commands, 1);
        else
            result = std::make_shared<CNNNormalizationGammaAndBetaState>(buffer(0), buffer(0));
        optimizer_.encode(commands, state, {}, result);
        return result;
    }
    std::shared_ptr<CNNNormalizationMeanAndVarianceState> updateMeanAndVariance(
        const std::shared_ptr<MTL::CommandBuffer>& commands,
        const std::shared_ptr<CNNBatchNormalizationState>& state) override {
        calls.push_back("mean and variance");
        if (answers == Answers::Missing)
            return CNNBatchNormalizationDataSource::updateMeanAndVariance(commands, state);
        if (answers == Answers::ForgetsSecond) return nullptr;
        give(state);
        if (answers == Answers::Nothing) return nullptr;
        if (answers != Answers::Temporary)
            return std::make_shared<CNNNormalizationMeanAndVarianceState>(buffer(7), buffer(16));
        const auto result = CNNNormalizationMeanAndVarianceState::temporaryState(commands, 1);
        optimizer_.encode(commands, vector(buffer(0)), vector(buffer(7)), nullptr, vector(result->mean()));
        optimizer_.encode(commands, vector(buffer(0)), vector(buffer(16)), nullptr,
                          vector(result->variance()));
        return result;
    }
    bool updateGammaAndBeta(const std::shared_ptr<CNNBatchNormalizationState>& state) override {
        calls.push_back("host gamma and beta");
        values_[0] -= 0.5F * valueOf(*state->gradientForGamma());
        values_[1] -= 0.5F * valueOf(*state->gradientForBeta());
        return true;
    }
    bool updateMeanAndVariance(const std::shared_ptr<CNNBatchNormalizationState>&) override {
        calls.push_back("host mean and variance");
        values_[2] = 7;
        values_[3] = 16;
        return true;
    }

    Answers answers = Answers::Own;
    std::vector<std::string> calls;

private:
    static void give(const std::shared_ptr<MPS::State>& state) {
        if (state->isTemporary()) state->setReadCount(state->readCount() - 1);
    }
    static float valueOf(MTL::Buffer& values) { return *static_cast<const float*>(values.contents()); }
    std::shared_ptr<MTL::Buffer> buffer(float value) const {
        return device_->newBuffer(&value, sizeof value, 0);
    }
    static std::shared_ptr<MPS::Vector> vector(const std::shared_ptr<MTL::Buffer>& values) {
        return std::make_shared<MPS::Vector>(
            values, MPS::VectorDescriptor::vectorDescriptor(1, MPS::DataType::Float32));
    }

    float values_[4] = {2, 5, 1, 4};
    DevicePtr device_;
    MPS::NNOptimizerStochasticGradientDescent optimizer_;
};

// Four samples of one pixel: mean 0, variance 1. Gradients of gamma and beta are -1 and 1 with either
// statistics.
const Numbers kX{-1, 1, -1, 1}, kG{1, 0, 0, 0};
const Numbers kByBatch{3, 7, 3, 7}, kByStored{3, 5, 3, 5};
/// The gradient of x.
const Numbers kSlopeByBatch{1, 0, -1, 0}, kSlopeByStored{1, 0, 0, 0};

class Handle final : public MPS::Handle {
public:
    explicit Handle(std::string text) : text_(std::move(text)) {}
    std::string label() const override { return text_; }

private:
    std::string text_;
};

/// One or more nodes in a row over one data source, with their training graph.
struct Nodes {
    Nodes(const DevicePtr& d, MPS::CNNBatchNormalizationFlags flags, MPS::NNTrainingStyle style,
          std::size_t count = 1)
        : device(d), source(std::make_shared<Source>(d)) {
        auto image = x;
        for (std::size_t i = 0; i < count; ++i) {
            all.push_back(MPS::CNNBatchNormalizationNode::node(image, source));
            all.back()->setFlags(flags);
            all.back()->setTrainingStyle(style);
            image = all.back()->resultImage();
        }
        image->setImageAllocator(MPS::Image::defaultAllocator());
    }
    void train() {
        all.back()->resultImage()->setExportFromGraph(true);
        graph = std::make_shared<MPS::NNGraph>(device, all.back()->trainingGraph(g).at(0)->resultImage());
        graph->setFormat(Format::Float32);
        source->calls.clear();
    }
    MPS::ImageBatch input(const MPS::Handle& handle) const {
        return imagesOf(device, {4, 1, 1, 1}, handle.label() == "x" ? kX : kG);
    }
    MPS::ImageBatch encode(const std::shared_ptr<MTL::CommandBuffer>& commands,
                           std::vector<MPS::ImageBatch>* exported = nullptr) const {
        std::vector<MPS::ImageBatch> sources;
        for (const auto& handle : graph->sourceImageHandles()) sources.push_back(input(*handle));
        return graph->encodeBatch(commands, sources, {}, exported, nullptr);
    }
    /// Result and gradient of one training step.
    std::pair<Numbers, Numbers> step() const {
        const auto commands = device->newCommandQueue()->commandBuffer();
        std::vector<MPS::ImageBatch> exported;
        const auto gradient = encode(commands, &exported);
        finish(commands);
        return {read(exported.at(0)), read(gradient)};
    }
    std::pair<Numbers, Numbers> stepAsOneImage() const {
        std::vector<std::shared_ptr<MPS::Image>> sources, exported;
        for (const auto& handle : graph->sourceImageHandles())
            sources.push_back(imageOf(device, 1, 1, 1, handle->label() == "x" ? kX : kG, Format::Float32, 4));
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto gradient = graph->encode(commands, sources, {}, &exported, nullptr);
        finish(commands);
        return {read(*exported.at(0)), read(*gradient)};
    }

    DevicePtr device;
    std::shared_ptr<Source> source;
    std::shared_ptr<MPS::NNImageNode> x = MPS::NNImageNode::node(std::make_shared<Handle>("x")),
                                      g = MPS::NNImageNode::node(std::make_shared<Handle>("g"));
    std::vector<std::shared_ptr<MPS::CNNBatchNormalizationNode>> all;
    std::shared_ptr<MPS::NNGraph> graph;
};

}  // namespace

TEST(NodesBatchNormalization, OnlyAConsumerOfTheStateSwitchesToTheStatisticsOfTheBatchUnlessFlagsSaySo) {
    for (const auto& device : MTL::copyAllDevices())
        for (const auto flags : {kAutomatic, kAlways, kNever}) {
            const auto forward = [&](bool exportsState, MPS::StateBatch* state) {
                Nodes nodes(device, flags, kNone);
                if (exportsState) nodes.all[0]->resultState()->setExportFromGraph(true);
                MPS::NNGraph graph(device, nodes.all[0]->resultImage());
                graph.setFormat(Format::Float32);
                const auto commands = device->newCommandQueue()->commandBuffer();
                std::vector<MPS::StateBatch> states;
                const auto result =
                    graph.encodeBatch(commands, {imagesOf(device, {4, 1, 1, 1}, kX)}, {}, nullptr, &states);
                finish(commands);
                if (exportsState) *state = states.at(0);
                return read(result);
            };
            const auto& expected = flags == kAlways ? kByBatch : kByStored;
            EXPECT_EQ(forward(false, nullptr), expected) << device->name() << flags;
            MPS::StateBatch exported;
            EXPECT_EQ(forward(true, &exported), expected) << device->name() << flags;
            ASSERT_EQ(exported.size(), 4u);
            EXPECT_NE(std::dynamic_pointer_cast<CNNBatchNormalizationState>(exported[0]), nullptr);
            for (const auto& state : exported) EXPECT_EQ(state, exported[0]) << "one state for the batch";

            Nodes nodes(device, flags, kNone);
            nodes.train();
            const auto [result, gradient] = nodes.step();
            EXPECT_EQ(result, flags == kNever ? kByStored : kByBatch) << device->name() << flags;
            EXPECT_EQ(gradient, flags == kNever ? kSlopeByStored : kSlopeByBatch) << device->name() << flags;
        }
}

TEST(NodesBatchNormalization, OnTheDeviceBothUpdatesComeInTheirOrderAndTheNextEncodeUsesWhatTheyReturn) {
    for (const auto& device : MTL::copyAllDevices())
        for (const auto answers : {Answers::Own, Answers::Temporary})
            for (const bool asOneImage : {false, true}) {
                Nodes nodes(device, kNever, kGPU);
                nodes.train();
                nodes.source->answers = answers;
                const auto step = [&] { return asOneImage ? nodes.stepAsOneImage() : nodes.step(); };
                EXPECT_EQ(step(), (std::pair{kByStored, kSlopeByStored})) << device->name();
                EXPECT_THAT(nodes.source->calls, ElementsAre("gamma and beta", "mean and variance"));
                // gamma 2.5, beta 4.5, mean 7, deviation 4.
                EXPECT_EQ(step(), (std::pair{Numbers{-0.5, 0.75, -0.5, 0.75}, Numbers{0.625, 0, 0, 0}}))
                    << device->name();
            }
}

TEST(NodesBatchNormalization, StatisticsOfTheBatchTrainAsOneImageToo) {
    for (const auto& device : MTL::copyAllDevices())
        for (const bool asOneImage : {false, true}) {
            Nodes nodes(device, kAutomatic, kGPU);
            nodes.train();
            const auto step = [&] { return asOneImage ? nodes.stepAsOneImage() : nodes.step(); };
            EXPECT_EQ(step(), (std::pair{kByBatch, kSlopeByBatch})) << device->name();
            EXPECT_EQ(step(), (std::pair{Numbers{2, 7, 2, 7}, Numbers{1.25, 0, -1.25, 0}})) << device->name();
        }
}

TEST(NodesBatchNormalization, OnTheHostBothUpdatesComeAfterCompletionEachFollowedByItsReload) {
    for (const auto& device : MTL::copyAllDevices()) {
        Nodes nodes(device, kNever, kCPU);
        nodes.train();
        const auto commands = device->newCommandQueue()->commandBuffer();
        nodes.encode(commands);
        EXPECT_THAT(nodes.source->calls, IsEmpty());
        finish(commands);
        EXPECT_THAT(nodes.source->calls,
                    ElementsAre("host gamma and beta", "load", "host mean and variance", "load"));
        EXPECT_EQ(nodes.step(), (std::pair{Numbers{-0.5, 0.75, -0.5, 0.75}, Numbers{0.625, 0, 0, 0}}))
            << device->name();
    }
}

TEST(NodesBatchNormalization, NodesThatShareADataSourceLoadTemporaryStatesTogether) {
    for (const auto& device : MTL::copyAllDevices()) {
        Numbers results[2];
        for (const auto answers : {Answers::Own, Answers::Temporary}) {
            Nodes nodes(device, kNever, kGPU, 2);
            nodes.train();
            nodes.source->answers = answers;
            // Twice through (x - 1) + 5.
            EXPECT_EQ(nodes.step().first, (Numbers{7, 9, 7, 9})) << device->name();
            EXPECT_EQ(nodes.source->calls.size(), 4u);
            results[answers == Answers::Temporary] = nodes.step().first;
        }
        EXPECT_EQ(results[0], results[1]);
        EXPECT_NE(results[0], (Numbers{7, 9, 7, 9}));
    }
}

TEST(NodesBatchNormalization, FrozenOnesAreNotAskedAndNothingReturnedChangesNothing) {
    for (const bool frozen : {true, false}) {
        Nodes nodes(testDevice(), kAutomatic, frozen ? kNone : kGPU);
        nodes.train();
        nodes.source->answers = Answers::Nothing;
        nodes.step();
        EXPECT_EQ(nodes.step(), (std::pair{kByBatch, kSlopeByBatch}));
        EXPECT_EQ(nodes.source->calls.size(), frozen ? 0u : 4u);
    }
}

TEST(NodesBatchNormalization, AMissingUpdateOfGammaAndBetaIsReportedOnce) {
    Diagnostics diagnostics;
    Nodes nodes(testDevice(), kAutomatic, kGPU);
    nodes.train();
    nodes.source->answers = Answers::Missing;
    nodes.step();
    EXPECT_EQ(nodes.step(), (std::pair{kByBatch, kSlopeByBatch}));
    // Stored statistics may well be kept in the other method, or not at all.
    EXPECT_THAT(diagnostics.messages,
                ElementsAre("CNNBatchNormalizationDataSource 'norm': no update on the device is implemented, "
                            "gamma and beta stay as they are."));
}

TEST(NodesBatchNormalization, AnUpdateThatForgetsTheReadCountIsNamed) {
    for (const bool first : {true, false}) {
        Nodes nodes(testDevice(), kAutomatic, kGPU);
        nodes.train();
        nodes.source->answers = first ? Answers::ForgetsFirst : Answers::ForgetsSecond;
        const auto commands = testDevice()->newCommandQueue()->commandBuffer();
        EXPECT_EQ(errorOf([&] { nodes.encode(commands); }),
                  std::string("CNNBatchNormalizationGradient 'norm': batchNormalizationState: expected a "
                              "read count of ") +
                      (first ? "1 after the data source's updateGammaAndBeta, one less than before, found 2."
                             : "0 after the data source's updateMeanAndVariance, one less than before, "
                               "found 1."));
        EXPECT_EQ(Recorded(commands), (Recorded{testDevice()->newCommandQueue()->commandBuffer()}));
        nodes.source->answers = Answers::Own;
        EXPECT_EQ(nodes.step(), (std::pair{kByBatch, kSlopeByBatch}));
    }
}

TEST(NodesBatchNormalization, TheStateIsMadeOnlyForSomebodyAndReadByEveryKernelAndUpdate) {
    Nodes nodes(testDevice(), kAutomatic, kGPU);
    const auto images = imagesOf(testDevice(), {4, 1, 1, 1}, kX);
    MPS::NNGraph inference(testDevice(), nodes.all[0]->resultImage());
    EXPECT_THAT(inference.memoryReport({images}).states, IsEmpty());
    nodes.train();
    const auto report = nodes.graph->memoryReport({images, images});
    ASSERT_EQ(report.states.size(), 1u);
    EXPECT_EQ(report.states[0].count, 1u);
    EXPECT_EQ(report.states[0].className, "CNNBatchNormalizationState");
    // The normalising kernel, both gradient kernels, both updates.
    EXPECT_EQ(report.states[0].readCount, 5u);
    Diagnostics diagnostics;
    nodes.step();
    EXPECT_THAT(diagnostics.messages, IsEmpty());
}

TEST(NodesBatchNormalization, AGradientNodeTakesOverStyleLabelStateAndSource) {
    Nodes nodes(testDevice(), kAutomatic, kCPU);
    const auto& node = nodes.all[0];
    node->setLabel("first");
    const auto made =
        std::dynamic_pointer_cast<MPS::CNNBatchNormalizationGradientNode>(node->gradientFilter(nodes.g));
    ASSERT_NE(made, nullptr);
    EXPECT_EQ(made->trainingStyle(), kCPU);
    EXPECT_EQ(made->label(), "first");
    EXPECT_EQ(made->sources(), (MPS::NNImageNodes{nodes.g, nodes.x}));
    EXPECT_EQ(made->sourceStates(), MPS::NNStateNodes{node->resultState()});
    EXPECT_EQ(MPS::CNNBatchNormalizationNode::node(nodes.x, nodes.source)->flags(), kAutomatic);
    EXPECT_EQ(MPS::CNNBatchNormalizationNode::node(nodes.x, nodes.source)->trainingStyle(), kGPU);
}

TEST(NodesBatchNormalization, AStateOfAnotherFamilyIsRefused) {
    Nodes nodes(testDevice(), kAutomatic, kGPU);
    const auto state = std::make_shared<MPS::NNGradientStateNode>(nullptr);
    const auto gradient = MPS::CNNBatchNormalizationGradientNode::node(nodes.g, nodes.x, state);
    gradient->setLabel("back");
    EXPECT_EQ(sentenceOf([&] { MPS::NNGraph(testDevice(), gradient->resultImage()); }),
              "CNNBatchNormalizationGradientNode 'back': gradientState: expected a state that a batch "
              "normalisation of this graph makes, found another one.");
}
