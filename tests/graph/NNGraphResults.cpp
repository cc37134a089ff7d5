#include <gmock/gmock.h>

#include "GraphNets.h"

/// What leaves a graph: several results, exported images and states, allocators; and what does not.
using namespace pewter::test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

/// Two neurons after another on one input.
struct Pair : Net {
    Node a = relu(input), b = MPS::CNNNeuronAbsoluteNode::node(a)->resultImage();
};

std::size_t live(const BufferPtr& commands) { return Recorded(commands).liveBytes; }

}  // namespace

TEST(NNGraphResults, ResultZeroIsReturnedTheOthersFollowTheExportedImagesInTheOrderAsked) {
    Pair net;
    const auto c = MPS::CNNNeuronTanHNode::node(net.b)->resultImage();
    c->setExportFromGraph(true);
    c->setHandle(tag("exported"));
    net.b->setHandle(tag("b"));
    MPS::NNGraph graph(net.device, {net.b, c, net.a});
    graph.setFormat(Format::Float32);
    EXPECT_EQ(graph.resultHandle()->label(), "b");
    ASSERT_EQ(graph.intermediateImageHandles().size(), 1u);
    EXPECT_EQ(graph.intermediateImageHandles()[0]->label(), "exported");
    for (const auto& node : {net.a, c}) node->setImageAllocator(MPS::Image::defaultAllocator());
    MPS::NNGraph persistent(net.device, {net.b, c, net.a});
    persistent.setFormat(Format::Float32);
    const auto commands = net.queue->commandBuffer();
    std::vector<MPS::ImageBatch> others{net.images(2)};
    const auto front = others[0];
    const auto results = persistent.encodeBatch(commands, {net.images(2)}, {}, &others, nullptr);
    EXPECT_EQ(live(commands), 0u);
    run(commands);
    ASSERT_EQ(others.size(), 4u);  // appended
    EXPECT_EQ(others[0], front);
    EXPECT_EQ(others[1], others[2]);  // exported, and result 1
    const auto a = valuesOf(*others[3][0]), b = valuesOf(*results[0]), tanh = valuesOf(*others[1][0]);
    for (std::size_t i = 0; i < a.size(); ++i) {
        EXPECT_EQ(b[i], std::fabs(a[i]));
        EXPECT_NEAR(tanh[i], std::tanh(b[i]), 1e-6);
    }
    // By default further results are temporary and leave with one read; exported as well, with two.
    const auto more = net.queue->commandBuffer();
    std::vector<MPS::ImageBatch> temporaries;
    graph.encodeBatch(more, {net.images(2)}, {}, &temporaries, nullptr);
    ASSERT_EQ(temporaries.size(), 3u);
    EXPECT_EQ(temporary(temporaries[0][0]).readCount(), 2u);
    EXPECT_EQ(temporary(temporaries[2][1]).readCount(), 1u);
    for (const auto& batch : {temporaries[0], temporaries[1], temporaries[2]})
        MPS::ImageBatchIncrementReadCount(batch, -1);
    EXPECT_EQ(live(more), 0u);
    // Null: dropped.
    graph.encodeBatch(more, {net.images(2)}, {}, nullptr, nullptr);
    EXPECT_EQ(live(more), 0u);
    run(more);
}

TEST(NNGraphResults, ResultsThatAreNotNeededAreLeftOut) {
    Pair net;
    net.a->setImageAllocator(MPS::Image::defaultAllocator());
    MPS::NNGraph graph(net.device, {net.b, net.a, Net::relu(net.b)}, {false, true, false});
    graph.setFormat(Format::Float32);
    EXPECT_FALSE(graph.resultImageIsNeeded());
    const auto report = graph.memoryReport({net.images(1)});
    EXPECT_EQ(report.steps.size(), 1u);
    const auto commands = net.queue->commandBuffer();
    std::vector<MPS::ImageBatch> others;
    EXPECT_THAT(graph.encodeBatch(commands, {net.images(1)}, {}, &others, nullptr), IsEmpty());
    EXPECT_EQ(others.size(), 1u);
    std::vector<ImagePtr> singles;
    EXPECT_EQ(graph.encode(commands, {net.images(1)[0]}, {}, &singles, nullptr), nullptr);
    EXPECT_EQ(singles.size(), 1u);
    run(commands);
}

TEST(NNGraphResults, OneImageAskedForTwiceComesTwice) {
    Pair net;
    MPS::NNGraph graph(net.device, {net.b, net.b});
    graph.setDestinationImageAllocator(MPS::TemporaryImage::defaultAllocator());
    const auto commands = net.queue->commandBuffer();
    std::vector<MPS::ImageBatch> others;
    const auto results = graph.encodeBatch(commands, {net.images(2)}, {}, &others, nullptr);
    EXPECT_THAT(others, ElementsAre(results));
    EXPECT_EQ(temporary(results[0]).readCount(), 2u);
    MPS::ImageBatchIncrementReadCount(results, -2);
    EXPECT_EQ(live(commands), 0u);
    run(commands);
}

TEST(NNGraphResults, AnInteriorImageMayBeTheResultAndItsConsumersAreNotThere) {
    Pair net;
    MPS::NNGraph graph(net.device, net.a);
    EXPECT_EQ(graph.memoryReport({net.images(1)}).steps.size(), 1u);
}

TEST(NNGraphResults, ExportedStatesComeWithTheirHandlesAndAreTemporaryOnlyOnRequest) {
    Net net;
    const auto conv = net.layer(net.input, "conv", 3, 3, 4);
    const auto dense = net.layer(Net::relu(conv->resultImage()), "dense", 6, 4, net.classes, true);
    net.logits = dense->resultImage();
    for (const auto& [node, name] : {std::pair{conv, "of conv"}, {dense, "of dense"}}) {
        node->resultState()->setExportFromGraph(true);
        node->resultState()->setHandle(tag(name));
    }
    conv->resultState()->setSynchronizeResource(true);
    net.train();
    const auto& handles = net.graph->resultStateHandles();
    ASSERT_EQ(handles.size(), 2u);
    for (const bool isTemporary : {false, true}) {
        net.graph->setOutputStateIsTemporary(isTemporary);
        const auto commands = net.queue->commandBuffer();
        std::vector<MPS::StateBatch> states;
        net.graph->encodeBatch(commands, {net.images(3)}, {net.labels(3)}, nullptr, &states);
        ASSERT_EQ(states.size(), 2u);
        for (std::size_t i = 0; i < 2; ++i) {
            ASSERT_EQ(states[i].size(), 3u);
            const auto& state = dynamic_cast<MPS::CNNConvolutionGradientState&>(*states[i][0]);
            EXPECT_EQ(states[i][0], states[i][2]);
            EXPECT_EQ("of " + state.convolution()->label(), handles[i]->label());
            EXPECT_EQ(state.label(), handles[i]->label());
            EXPECT_EQ(state.isTemporary(), isTemporary);
            EXPECT_EQ(state.readCount(), isTemporary ? 1u : 0u);
            if (isTemporary) states[i][0]->setReadCount(0);
        }
        EXPECT_EQ(live(commands), 0u);
        // Not asked for: dropped, whatever they are made of.
        net.graph->encodeBatch(commands, {net.images(3)}, {net.labels(3)});
        EXPECT_EQ(live(commands), 0u);
        run(commands);
        if (!isTemporary) {
            const auto g =
                floatsOf(dynamic_cast<MPS::CNNConvolutionGradientState&>(*states[0][0]).gradientForWeights());
            EXPECT_NE(g, std::vector<float>(g.size()));
        }
    }
}

TEST(NNGraphResults, ForwardStatesOfAFrozenLayerAreFilledForTheOneWhoExportsThem) {
    Net net;
    const auto conv = net.layer(net.input, "conv", 3, 3, 4);
    net.logits = net.layer(Net::relu(conv->resultImage()), "dense", 6, 4, net.classes, true)->resultImage();
    conv->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
    conv->resultState()->setExportFromGraph(true);
    net.train(nullptr, true);
    const auto commands = net.queue->commandBuffer();
    std::vector<MPS::StateBatch> states;
    net.graph->encodeBatch(commands, {net.images(2)}, {net.labels(2)}, nullptr, &states);
    run(commands);
    EXPECT_EQ(net.layers[0]->updates, 0u);
    EXPECT_EQ(net.layers[1]->updates, 1u);
    ASSERT_EQ(states.size(), 1u);
    const auto g =
        floatsOf(dynamic_cast<MPS::CNNConvolutionGradientState&>(*states[0][0]).gradientForWeights());
    EXPECT_NE(g, std::vector<float>(g.size()));
}

TEST(NNGraphResults, AFrozenLayerWhoseStateIsExportedHasItsGradientsComputedEvenWhenNobodyNeedsTheResult) {
    std::vector<float> gradients[2];
    for (const bool needed : {false, true}) {
        Net net;
        const auto conv = net.layer(net.input, "conv", 3, 3, 4);
        net.logits = net.layer(conv->resultImage(), "dense", 6, 4, net.classes, true)->resultImage();
        conv->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
        conv->resultState()->setExportFromGraph(true);
        net.train(nullptr, needed);
        const auto commands = net.queue->commandBuffer();
        std::vector<MPS::StateBatch> states;
        net.graph->encodeBatch(commands, {net.images(2)}, {net.labels(2)}, nullptr, &states);
        run(commands);
        ASSERT_EQ(states.size(), 1u);
        auto& state = dynamic_cast<MPS::CNNConvolutionGradientState&>(*states[0][0]);
        EXPECT_TRUE(state.hasGradients());
        gradients[needed] = floatsOf(state.gradientForWeights());
        EXPECT_EQ(net.layers[0]->updates, 0u);
    }
    EXPECT_EQ(gradients[0], gradients[1]);
    EXPECT_NE(gradients[0], std::vector<float>(gradients[0].size()));
}

TEST(NNGraphResults, StopGradientInACompiledGraphLeavesEarlierLayersAsTheyAre) {
    Net net;
    const auto frozen = net.layer(net.input, "frozen", 3, 3, 4)->resultImage();
    frozen->setStopGradient(true);
    net.logits = net.layer(Net::relu(frozen), "dense", 6, 4, net.classes, true)->resultImage();
    net.train();
    const double before = net.step(2);
    EXPECT_LT(net.step(2), before);
    EXPECT_EQ(net.layers[0]->updates, 0u);
    EXPECT_EQ(net.layers[1]->updates, 2u);
    const auto report = net.graph->memoryReport({net.images(2)}, {net.labels(2)});
    for (const auto& step : report.steps) EXPECT_NE(step.className, "CNNConvolutionGradient");
}

TEST(NNGraphResults, TheGraphsAllocatorMakesResultZeroAndNoneElse) {
    class Counting : public MPS::ImageAllocator {
    public:
        ImagePtr image(const BufferPtr& commandBuffer, const MPS::ImageDescriptor& descriptor,
                       const MPS::Kernel* kernel) override {
            kernels.push_back(kernel->className());
            return MPS::Image::defaultAllocator()->image(commandBuffer, descriptor, kernel);
        }
        std::vector<std::string> kernels;
    };
    Pair net;
    const auto ofGraph = std::make_shared<Counting>(), ofNode = std::make_shared<Counting>();
    for (const auto& node : {net.a, net.b}) node->setImageAllocator(ofNode);
    MPS::NNGraph graph(net.device, net.b);
    graph.setDestinationImageAllocator(ofGraph);
    EXPECT_EQ(graph.destinationImageAllocator(), ofGraph);
    const auto commands = net.queue->commandBuffer();
    graph.encodeBatch(commands, {net.images(2)});
    EXPECT_THAT(ofGraph->kernels, ElementsAre("CNNNeuron", "CNNNeuron"));  // one an image
    EXPECT_THAT(ofNode->kernels, ElementsAre("CNNNeuron", "CNNNeuron"));
    run(commands);
    EXPECT_THAT(errorOf([&] { graph.setDestinationImageAllocator(nullptr); }),
                HasSubstr("destinationImageAllocator"));
}
