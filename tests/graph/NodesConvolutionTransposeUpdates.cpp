#include <gmock/gmock.h>

#include <MPS/CNNConvolutionTransposeNode.hpp>

#include "GraphNets.h"
#include "WeightedKernels.h"

// Updates of transposed convolutions through data sources, on nets so small that every number can be worked
// out by hand: images of one value, layers of one weight. The gradient of the input shows the weights in use.

using namespace pewter::test;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

constexpr auto kNone = MPS::NNTrainingStyle::UpdateDeviceNone;
constexpr auto kCPU = MPS::NNTrainingStyle::UpdateDeviceCPU;
constexpr auto kGPU = MPS::NNTrainingStyle::UpdateDeviceGPU;

std::shared_ptr<LayerSource> oneWeight(const DevicePtr& device, const std::string& label, float weight,
                                       const std::shared_ptr<CallLog>& log = nullptr) {
    auto source = std::make_shared<LayerSource>(device, label, 1, 1, 1, 1, log);
    source->values = {weight};
    source->biases = {0};
    return source;
}

/// y = up (down x); the second filter is given the state of the first, unless the first is transposed too.
struct Pair {
    explicit Pair(DevicePtr d = testDevice()) : device(std::move(d)) {}

    void build(MPS::NNTrainingStyle style, bool needed = true) {
        if (bothTransposed)
            first = MPS::CNNConvolutionTransposeNode::node(x, nullptr, down);
        else
            first = MPS::CNNConvolutionNode::node(x, down);
        second = MPS::CNNConvolutionTransposeNode::node(
            first->resultImage(), bothTransposed ? nullptr : first->convolutionGradientState(), up);
        first->setTrainingStyle(style);
        second->setTrainingStyle(style);
        const auto last = second->trainingGraph(start).at(0);
        graph = MPS::NNGraph::graph(device, last->resultImage(), needed);
        graph->setFormat(Format::Float32);
        log->clear();
    }
    /// Samples x = 1, 2 with gradients 1, 3. Returns the gradients of x.
    Numbers step() {
        std::vector<MPS::ImageBatch> sources;
        for (const auto& handle : graph->sourceImageHandles())
            sources.push_back(
                batchOf(device, 2, 1, 1, 1, handle == x->handle() ? Numbers{1, 2} : Numbers{1, 3}));
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = graph->encodeBatch(commands, sources);
        EXPECT_EQ(Recorded(commands).liveBytes, 0u);
        finish(commands);
        return result.empty() ? Numbers() : read(result);
    }

    DevicePtr device;
    std::shared_ptr<CallLog> log = std::make_shared<CallLog>();
    std::shared_ptr<LayerSource> down = oneWeight(device, "down", 2, log),
                                 up = oneWeight(device, "up", 4, log);
    bool bothTransposed = false;
    Node x = MPS::NNImageNode::node(tag("x")), start = MPS::NNImageNode::node(tag("g"));
    std::shared_ptr<MPS::CNNConvolutionNode> first, second;
    std::shared_ptr<MPS::NNGraph> graph;
};

// Of up: sum of g (2 x) = 14; of down: sum of g 4 x = 28. Rate 1/16: up 4 - 14/16 = 3.125, down 2 - 28/16 =
// 1/4. The gradient of x is g up down.
const Numbers kBefore{8, 24}, kAfter{0.78125, 2.34375};

}  // namespace

TEST(NodesConvolutionTransposeUpdates, OnTheDeviceTheNextEncodeUsesWhatTheUpdateReturns) {
    for (const auto& device : weightedDevices())
        for (const auto answer : {Answer::Own, Answer::Temporary, Answer::InPlace}) {
            Pair net(device);
            net.up->answer = net.down->answer = answer;
            net.build(kGPU);
            EXPECT_EQ(net.step(), kBefore);
            EXPECT_EQ(net.step(), kAfter) << device->name() << ", answer " << static_cast<int>(answer);
            EXPECT_EQ(net.up->values[0], 4) << "the graph must not write the data source's memory";
            EXPECT_EQ(net.up->updates, 2u);
        }
}

TEST(NodesConvolutionTransposeUpdates, WithoutAnAnswerTheWeightsStay) {
    for (const auto answer : {Answer::Nothing, Answer::Missing}) {
        Pair net;
        net.up->answer = net.down->answer = answer;
        net.build(kGPU);
        EXPECT_EQ(net.step(), kBefore);
        EXPECT_EQ(net.step(), kBefore);
    }
    Pair net;
    net.up->answer = Answer::Forgetful;
    net.build(kGPU);
    EXPECT_THAT(sentenceOf([&] { net.step(); }),
                testing::AllOf(HasSubstr("CNNConvolutionTransposeGradient 'up'"), HasSubstr("gradientState"),
                               HasSubstr("read count of 0"), HasSubstr("found 1")));
}

TEST(NodesConvolutionTransposeUpdates, OnTheHostTheyComeInEncodeOrderEachFollowedByItsReload) {
    for (const auto& device : weightedDevices()) {
        Pair net(device);
        net.build(kCPU);
        EXPECT_EQ(net.step(), kBefore);
        EXPECT_THAT(*net.log, ElementsAre("host update up", "load up", "purge up", "host update down",
                                          "load down", "purge down"));
        EXPECT_EQ(net.step(), kAfter) << device->name();
        net.up->accepts = net.down->accepts = false;
        const auto now = net.step();
        EXPECT_EQ(net.step(), now);
    }
}

TEST(NodesConvolutionTransposeUpdates, FrozenWeightsAreNeverAskedFor) {
    Pair net;
    net.build(kNone);
    EXPECT_EQ(net.step(), kBefore);
    EXPECT_EQ(net.step(), kBefore);
    EXPECT_TRUE(net.log->empty());
}

TEST(NodesConvolutionTransposeUpdates, WithADataSourceOfItsOwnTheGradientFilterStaysInStep) {
    for (const auto style : {kGPU, kCPU}) {
        Pair net;
        const auto own = oneWeight(net.device, "own", 4, net.log);
        net.build(style);
        // The same again, with that data source for the gradient filter.
        const auto state = std::dynamic_pointer_cast<MPS::CNNConvolutionTransposeGradientStateNode>(
            net.second->resultState());
        const auto gradient =
            MPS::CNNConvolutionTransposeGradientNode::node(net.start, net.first->resultImage(), state, own);
        gradient->setTrainingStyle(style);
        net.graph = MPS::NNGraph::graph(net.device,
                                        net.first->gradientFilter(gradient->resultImage())->resultImage());
        net.graph->setFormat(Format::Float32);
        EXPECT_EQ(net.step(), kBefore);
        EXPECT_EQ(own->updates, 1u);
        EXPECT_EQ(net.up->updates, 0u) << "the gradient filter's data source gets the calls";
        if (style == kGPU) {
            EXPECT_EQ(net.step(), kAfter);
        } else {
            // On the host every kernel reloads from its own source: the two must hold equal values.
            net.up->values = own->values;
            net.graph->reloadFromDataSources();
            EXPECT_EQ(net.step(), kAfter);
        }
    }
}

TEST(NodesConvolutionTransposeUpdates, FiltersThatShareADataSourceChangeTogetherAfterTheLastOfThem) {
    for (const bool bothTransposed : {false, true})
        for (const auto answer : {Answer::Own, Answer::Temporary}) {
            Pair net;
            net.bothTransposed = bothTransposed;
            net.up = net.down;
            net.down->answer = answer;
            net.build(kGPU);
            // The first layer's gradient still passes the old weight of the second: w w g.
            EXPECT_EQ(net.step(), (Numbers{4, 12}));
            EXPECT_EQ(net.down->updates, 2u);
            // Either gradient is w sum(g x) = 14; each update starts from 2 and gives 1.125.
            EXPECT_EQ(net.step(), (Numbers{1.265625, 3.796875})) << bothTransposed;
        }
}

TEST(NodesConvolutionTransposeUpdates, AResultThatNobodyNeedsChangesNothingAboutTheUpdate) {
    for (const auto& device : weightedDevices()) {
        std::vector<float> trained[2];
        for (const bool needed : {false, true}) {
            Pair net(device);
            net.bothTransposed = true;
            net.build(kGPU, needed);
            EXPECT_EQ(net.step().empty(), !needed);
            net.step();
            trained[needed] = net.down->trained();
        }
        EXPECT_EQ(trained[0], trained[1]) << device->name();
        EXPECT_NE(trained[0][0], 2) << device->name();
    }
}

TEST(NodesConvolutionTransposeUpdates, AReportAsksNobodyAndChangesNothing) {
    Pair net;
    net.build(kGPU);
    const auto values = batchOf(net.device, 2, 1, 1, 1, {1, 2});
    const auto report = net.graph->memoryReport({values, values}, {});
    EXPECT_EQ(net.up->updates, 0u);
    EXPECT_EQ(net.step(), kBefore);
    EXPECT_EQ(net.step(), kAfter);
}

TEST(NodesConvolutionTransposeUpdates, ReloadFromDataSourcesReadsTheWeightsAgain) {
    Pair net;
    net.build(kNone);
    EXPECT_EQ(net.step(), kBefore);
    net.up->values = {1};
    EXPECT_EQ(net.step(), kBefore);
    net.log->clear();
    net.graph->reloadFromDataSources();
    EXPECT_THAT(*net.log, ElementsAre("load down", "purge down", "load up", "purge up"));
    EXPECT_EQ(net.step(), (Numbers{2, 6}));
}

TEST(NodesConvolutionTransposeUpdates, TheWeightGradientsOfTheKernelNeedNoResultImage) {
    const auto device = testDevice();
    const auto source = oneWeight(device, "up", 4);
    const auto kernel = std::make_shared<MPS::CNNConvolutionTranspose>(device, source);
    MPS::CNNConvolutionTransposeGradient gradient(device, source);
    const auto x = batchOf(device, 2, 1, 1, 1, {1, 2}), g = batchOf(device, 2, 1, 1, 1, {1, 3});
    const auto commands = device->newCommandQueue()->commandBuffer();
    MPS::StateBatch states;
    kernel->setDestinationImageAllocator(MPS::Image::defaultAllocator());
    kernel->encodeBatch(commands, x, &states, false);
    gradient.encodeWeightGradients(commands, g, x, states);
    const Recorded before(commands);
    EXPECT_THAT(sentenceOf([&] { gradient.encodeWeightGradients(commands, g, x, {states[0]}); }),
                testing::AllOf(HasSubstr("CNNConvolutionTransposeGradient 'up'"), HasSubstr("gradientState"),
                               HasSubstr("2 states"), HasSubstr("found 1")));
    EXPECT_THAT(sentenceOf([&] {
                    gradient.encodeWeightGradients(commands, g, x, {states[0], nullptr});
                }),
                testing::AllOf(HasSubstr("a CNNConvolutionTransposeGradientState"), HasSubstr("found null")));
    EXPECT_EQ(Recorded(commands), before);
    finish(commands);
    auto& state = dynamic_cast<MPS::CNNConvolutionGradientState&>(*states[0]);
    EXPECT_EQ(floatsOf(*state.gradientForWeights()), Numbers{7});
    EXPECT_EQ(floatsOf(*state.gradientForBiases()), Numbers{4});
}
