#include <gmock/gmock.h>

#include <cmath>

#include "EveryDevice.h"
#include "GraphNets.h"

/// The acceptance tests of graphs, 9 to 12, 15 and 16: updates in flight, read counts, exports, batch sizes.
using namespace pewter::test;
using testing::HasSubstr;

namespace {

/// Strict mode for one test: a temporary left over at commit is an error.
struct Strict {
    Strict() { MTL::setStrictTemporaries(true); }
    ~Strict() { MTL::setStrictTemporaries(false); }
};

MPS::ImageBatch infer(const Net& net, MPS::NNGraph& graph, const MPS::ImageBatch& images) {
    const auto commands = net.queue->commandBuffer();
    const auto results = graph.encodeBatch(commands, {images});
    run(commands);
    return results;
}

std::vector<double> all(const MPS::ImageBatch& images) {
    std::vector<double> values;
    for (const auto& image : images)
        for (const double value : valuesOf(*image)) values.push_back(value);
    return values;
}

}  // namespace

TEST_ON_EVERY_DEVICE(GraphAcceptance, N09_TwoCommandBuffersInFlightTrainBitForBitAsOneAfterTheOther) {
    constexpr int kSteps = 6;
    std::vector<double> losses[2];
    std::vector<float> weights[2];
    for (const bool inFlight : {false, true}) {
        Net net(device);
        buildWhole(net);
        for (const auto& layer : net.layers) layer->useMomentum();
        net.train();
        std::vector<MPS::StateBatch> labels;
        std::vector<BufferPtr> buffers;
        for (int i = 0; i < kSteps; ++i) {
            labels.push_back(net.labels(3, static_cast<std::uint64_t>(i)));
            buffers.push_back(net.queue->commandBuffer());
            net.graph->encodeBatch(buffers.back(), {net.images(3, static_cast<std::uint64_t>(i))},
                                   {labels.back()});
            buffers.back()->commit();
            if (!inFlight) buffers.back()->waitUntilCompleted();
            if (inFlight && i > 0) buffers[buffers.size() - 2]->waitUntilCompleted();
        }
        buffers.back()->waitUntilCompleted();
        for (const auto& label : labels) losses[inFlight].push_back(lossOf(label));
        for (const auto& layer : net.layers)
            for (const float value : layer->trained()) weights[inFlight].push_back(value);
    }
    EXPECT_EQ(losses[0], losses[1]);
    EXPECT_EQ(weights[0], weights[1]);
    for (const double loss : losses[0]) EXPECT_TRUE(std::isfinite(loss));
    EXPECT_NE(losses[0].front(), losses[0].back());
}

TEST_ON_EVERY_DEVICE(GraphAcceptance,
                     N10_OnTheHostEachLayerIsUpdatedThenLoadedThenPurgedAndNoLeavesWeightsUnchanged) {
    Net net(device);
    buildChain(net);
    net.train([](const auto& gradient, const auto&, const auto&, const auto&) {
        if (auto* trainable = dynamic_cast<MPS::NNTrainableNode*>(gradient.get()))
            trainable->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceCPU);
    });
    net.log->clear();
    const double before = net.step(3);
    // The last layer first; each one reloads the forward kernel and the gradient kernel, which share their
    // weights.
    EXPECT_EQ(*net.log, (CallLog{"host update dense", "load dense", "purge dense", "host update conv",
                                 "load conv", "purge conv"}));
    const double after = net.step(3);
    EXPECT_LT(after, before);
    for (const auto& layer : net.layers) layer->accepts = false;
    net.log->clear();
    const double same = net.step(3);
    EXPECT_EQ(*net.log, (CallLog{"host update dense", "host update conv"}));
    EXPECT_EQ(net.step(3), same);
}

TEST_ON_EVERY_DEVICE(GraphAcceptance, N11_EveryTemporaryIsAtZeroAfterAnEncodeAndASourceLosesOneRead) {
    const Strict strict;
    Diagnostics diagnostics;
    Net net(device);
    buildWhole(net);
    net.train();
    net.step(3);  // commits in strict mode
    const auto commands = net.queue->commandBuffer();
    const auto source = net.images(2);
    CopyKernel copy(device);
    const auto temporaries = copy.encodeBatch(commands, source);
    const auto kept = net.images(1);
    ASSERT_EQ(net.graph->readCountForSourceImage(0), 1u);
    temporary(temporaries[1]).setReadCount(3);
    net.graph->encodeBatch(commands, {temporaries}, {net.labels(2)});
    EXPECT_EQ(temporary(temporaries[0]).readCount(), 0u);
    EXPECT_EQ(temporary(temporaries[1]).readCount(), 2u);
    EXPECT_GT(Recorded(commands).liveBytes, 0u);
    temporary(temporaries[1]).setReadCount(0);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    run(commands);
    EXPECT_THAT(diagnostics.messages, testing::IsEmpty());
}

TEST_ON_EVERY_DEVICE(GraphAcceptance,
                     N11b_AnExportedTemporaryResultLeavesWithTwoReadsAndOneThatIsOnlyOneOfTheTwoWithOne) {
    Net net(device);
    const auto conv = net.layer(net.input, "conv", 3, 3, 4)->resultImage();
    const auto result = Net::relu(conv);
    for (const auto& node : {conv, result}) node->setExportFromGraph(true);
    MPS::NNGraph graph(net.device, result);
    graph.setFormat(Format::Float32);
    graph.setDestinationImageAllocator(MPS::TemporaryImage::defaultAllocator());
    const auto commands = net.queue->commandBuffer();
    std::vector<MPS::ImageBatch> exported;
    const auto results = graph.encodeBatch(commands, {net.images(2)}, {}, &exported, nullptr);
    // Pre-order: the result is met before what it is made from.
    ASSERT_EQ(exported.size(), 2u);
    EXPECT_EQ(exported[0], results);
    for (const auto& image : results) EXPECT_EQ(temporary(image).readCount(), 2u);
    for (const auto& image : exported[1]) EXPECT_EQ(temporary(image).readCount(), 1u);
    MPS::ImageBatchIncrementReadCount(results, -2);
    MPS::ImageBatchIncrementReadCount(exported[1], -1);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    // Not taken: only the read of the result is left.
    const auto alone = graph.encodeBatch(commands, {net.images(2)});
    for (const auto& image : alone) EXPECT_EQ(temporary(image).readCount(), 1u);
    MPS::ImageBatchIncrementReadCount(alone, -1);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    run(commands);
}

TEST_ON_EVERY_DEVICE(GraphAcceptance,
                     N12_AnExportedPersistentImageIsReadableAfterCompletionAndLiesAtTheIndexOfItsHandle) {
    Net net(device);
    buildChain(net);
    const auto features = net.logits->producer()->sources()[0];
    features->setHandle(tag("features"));
    net.logits->setHandle(tag("logits"));
    for (const auto& node : {features, net.logits}) {
        node->setExportFromGraph(true);
        node->setSynchronizeResource(true);
        node->setImageAllocator(MPS::Image::defaultAllocator());
    }
    net.train();
    const auto commands = net.queue->commandBuffer();
    std::vector<MPS::ImageBatch> exported;
    net.graph->encodeBatch(commands, {net.images(2)}, {net.labels(2)}, &exported, nullptr);
    run(commands);
    const auto& handles = net.graph->intermediateImageHandles();
    ASSERT_EQ(handles.size(), 2u);
    ASSERT_EQ(exported.size(), 2u);
    for (std::size_t i = 0; i < 2; ++i) {
        const bool isLogits = handles[i]->label() == "logits";
        ASSERT_EQ(exported[i].size(), 2u);
        EXPECT_EQ(exported[i][0]->width(), isLogits ? 1u : 3u);
        EXPECT_EQ(exported[i][0]->featureChannels(), isLogits ? 5u : 8u);
        EXPECT_EQ(exported[i][0]->label(), handles[i]->label());
        EXPECT_NE(valuesOf(*exported[i][0]), valuesOf(*exported[i][1]));
    }
    // The logits are those of the features.
    const std::size_t at = handles[0]->label() == "logits" ? 0 : 1;
    const auto x = valuesOf(*exported[1 - at][0]), y = valuesOf(*exported[at][0]);
    const auto& dense = *net.layers[1];
    for (std::size_t o = 0; o < 5; ++o) {
        double sum = dense.biases[o];
        for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * dense.values[o * x.size() + i];
        EXPECT_NEAR(y[o], sum, 1e-5 * (1 + std::fabs(sum)));
    }
}

TEST_ON_EVERY_DEVICE(GraphAcceptance,
                     N15_ASecondGraphSeesTrainedWeightsAfterReloadFromDataSourcesAndNotBefore) {
    Net net(device);
    buildChain(net);
    for (const auto& layer : net.layers) layer->answer = Answer::Own;
    MPS::NNGraph second(net.device, net.logits);
    second.setFormat(Format::Float32);
    const auto images = net.images(3);
    const auto before = all(infer(net, second, images));
    net.train();
    for (int i = 0; i < 3; ++i) net.step(3, static_cast<std::uint64_t>(i));
    EXPECT_EQ(all(infer(net, second, images)), before);
    // The data sources keep their values on the device; load() hands them to the host.
    for (const auto& layer : net.layers) {
        layer->values = floatsOf(layer->state->weights());
        layer->biases = floatsOf(layer->state->biases());
    }
    net.log->clear();
    second.reloadFromDataSources();
    EXPECT_EQ(*net.log, (CallLog{"load conv", "purge conv", "load dense", "purge dense"}));
    MPS::NNGraph fresh(net.device, net.logits);
    fresh.setFormat(Format::Float32);
    const auto after = all(infer(net, second, images));
    EXPECT_NE(after, before);
    EXPECT_EQ(after, all(infer(net, fresh, images)));
}

TEST_ON_EVERY_DEVICE(GraphAcceptance, N16_OneGraphTakesBatchesOfOneSevenAndThreeAndRefusesUnequalOnes) {
    Net net(device);
    buildChain(net);
    net.train(nullptr, true);
    for (const std::size_t count : {1u, 7u, 3u}) {
        Net alone(device);
        buildChain(alone);
        alone.train(nullptr, true);
        // The same step on a graph of its own: nothing of other batch sizes stays behind.
        for (std::size_t i = 0; i < net.layers.size(); ++i) {
            if (!net.layers[i]->state) continue;
            alone.layers[i]->values = floatsOf(net.layers[i]->state->weights());
            alone.layers[i]->biases = floatsOf(net.layers[i]->state->biases());
        }
        alone.graph->reloadFromDataSources();
        EXPECT_EQ(net.step(count, count), alone.step(count, count));
        ASSERT_EQ(net.result.size(), count);
        EXPECT_EQ(all(net.result), all(alone.result));
        EXPECT_EQ(net.peak, alone.peak);
    }
    const auto commands = net.queue->commandBuffer();
    const auto sentence =
        errorOf([&] { net.graph->encodeBatch(commands, {net.images(3)}, {net.labels(2)}); });
    EXPECT_THAT(sentence, HasSubstr("training"));
    EXPECT_THAT(sentence, HasSubstr("sourceStates[0]"));
    EXPECT_THAT(sentence, HasSubstr("3 entries"));
    EXPECT_THAT(sentence, HasSubstr("found 2"));
    EXPECT_EQ(Recorded(commands).commands, 0u);
}
