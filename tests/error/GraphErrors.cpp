#include <gmock/gmock.h>

#include <MPS/NNInitialGradientNode.hpp>

#include "GraphNets.h"

/// Mistakes through a graph: one sentence with its parts, nothing encoded, and the next encode as if nothing
/// had been.
using namespace pewter::test;
using testing::AllOf;
using testing::HasSubstr;

namespace {

/// A training graph; what an encode on the same command buffer must give after every mistake.
struct Training : Net {
    Training() {
        buildChain(*this);
        train(nullptr, true);
        graph->setLabel("net");
        loss->inputLabels()->setHandle(tag("labels"));
        for (const auto& layer : layers) layer->answer = Answer::Nothing;
        expectedLoss = step(2);
        expected = valuesOf(*result[0]);
    }
    double expectedLoss = 0;
    std::vector<double> expected;

    /// The sentence; checks that command buffer, memory and later results are as without the mistake.
    std::string sentenceOf(const std::function<void(const BufferPtr&)>& mistake) {
        const auto commands = queue->commandBuffer();
        const Recorded before(commands);
        const auto sentence = errorOf([&] { mistake(commands); });
        EXPECT_EQ(Recorded(commands), before) << sentence;
        const auto good = labels(2);
        const auto results = graph->encodeBatch(commands, {images(2)}, {good});
        EXPECT_EQ(Recorded(commands).liveBytes, before.liveBytes) << sentence;
        run(commands);
        EXPECT_EQ(lossOf(good), expectedLoss) << sentence;
        EXPECT_EQ(valuesOf(*results[0]), expected) << sentence;
        return sentence;
    }
    std::string encoding(const std::vector<MPS::ImageBatch>& sources,
                         const std::vector<MPS::StateBatch>& states) {
        return sentenceOf([&](const auto& commands) { graph->encodeBatch(commands, sources, states); });
    }
    /// A batch with its last picture replaced.
    MPS::ImageBatch with(const ImagePtr& last) const {
        auto batch = images(2);
        batch.back() = last;
        return batch;
    }
};

ImagePtr picture(std::size_t width, std::size_t height, std::size_t channels, Format format = Format::Float32,
                 std::size_t count = 1) {
    return std::make_shared<MPS::Image>(testDevice(), describe(width, height, channels, count, format));
}

}  // namespace

TEST(GraphErrors, MissingAndSurplusInputsAreCountedAndNamed) {
    Training net;
    EXPECT_THAT(net.encoding({}, {net.labels(2)}),
                AllOf(HasSubstr("NNGraph 'net'"), HasSubstr("sourceImages"), HasSubstr("expected 1 inputs"),
                      HasSubstr("found 0")));
    EXPECT_THAT(net.encoding({net.images(2), net.images(2)}, {net.labels(2)}),
                AllOf(HasSubstr("sourceImages"), HasSubstr("(input)"), HasSubstr("found 2")));
    EXPECT_THAT(net.encoding({net.images(2)}, {}),
                AllOf(HasSubstr("NNGraph 'net'"), HasSubstr("sourceStates"), HasSubstr("expected 1"),
                      HasSubstr("found 0")));
    EXPECT_THAT(net.encoding({net.images(2)}, {net.labels(2), net.labels(2)}),
                AllOf(HasSubstr("sourceStates"), HasSubstr("found 2")));
}

TEST(GraphErrors, BatchesMustBeFullAndOfOneLength) {
    Training net;
    EXPECT_THAT(net.encoding({{}}, {{}}), AllOf(HasSubstr("sourceImages"), HasSubstr("an empty batch")));
    EXPECT_THAT(net.encoding({net.images(2)}, {net.labels(3)}),
                AllOf(HasSubstr("sourceStates[0]"), HasSubstr("2 entries"), HasSubstr("found 3")));
    EXPECT_THAT(net.encoding({net.images(2)}, {{}}),
                AllOf(HasSubstr("sourceStates[0]"), HasSubstr("found none")));
}

TEST(GraphErrors, UnequalPicturesInABatchAreNamedByTheirPlace) {
    Training net;
    const auto part =
        AllOf(HasSubstr("NNGraph 'net'"), HasSubstr("sourceImages[0][1]"), HasSubstr("6 x 6 x 3"));
    EXPECT_THAT(net.encoding({net.with(picture(5, 6, 3))}, {net.labels(2)}),
                AllOf(part, HasSubstr("5 x 6 x 3")));
    EXPECT_THAT(net.encoding({net.with(picture(6, 6, 4))}, {net.labels(2)}),
                AllOf(part, HasSubstr("6 x 6 x 4")));
    EXPECT_THAT(net.encoding({net.with(picture(6, 6, 3, Format::Float16))}, {net.labels(2)}),
                AllOf(part, HasSubstr("float16")));
    EXPECT_THAT(net.encoding({net.with(picture(6, 6, 3, Format::Float32, 2))}, {net.labels(2)}),
                AllOf(HasSubstr("sourceImages[0][1]"), HasSubstr("one picture")));
}

TEST(GraphErrors, NullIsNamedByItsPlace) {
    Training net;
    EXPECT_THAT(net.encoding({net.with(nullptr)}, {net.labels(2)}),
                AllOf(HasSubstr("sourceImages[0][1]"), HasSubstr("an image"), HasSubstr("found null")));
    auto labels = net.labels(2);
    labels[1] = nullptr;
    EXPECT_THAT(net.encoding({net.images(2)}, {labels}),
                AllOf(HasSubstr("sourceStates[0][1]"), HasSubstr("found null")));
    EXPECT_THAT(net.sentenceOf(
                    [&](const auto&) { net.graph->encodeBatch(nullptr, {net.images(2)}, {net.labels(2)}); }),
                AllOf(HasSubstr("NNGraph 'net'"), HasSubstr("commandBuffer"), HasSubstr("found null")));
}

TEST(GraphErrors, WrongSizesAndChannelsAreRefusedByTheKernelTheyDoNotFit) {
    Training net;
    EXPECT_THAT(net.encoding({{picture(6, 6, 4), picture(6, 6, 4)}}, {net.labels(2)}),
                AllOf(HasSubstr("CNNConvolution 'conv'"), HasSubstr("3"), HasSubstr("4")));
    // The convolution takes it, the fully connected filter at the end does not.
    EXPECT_THAT(net.encoding({{picture(10, 6, 3), picture(10, 6, 3)}}, {net.labels(2)}),
                AllOf(HasSubstr("CNNFullyConnected 'dense'"), HasSubstr("3 x 3"), HasSubstr("5 x 3")));
}

TEST(GraphErrors, LabelsOfAnotherSizeClassOrForAllPicturesOnceAreRefusedByTheLoss) {
    Training net;
    EXPECT_THAT(
        net.encoding({net.images(2)}, {drawLabels(net.device, 2, 7, 1)}),
        AllOf(HasSubstr("CNNLoss"), HasSubstr("labels"), HasSubstr("1 x 1 x 5"), HasSubstr("1 x 1 x 7")));
    const auto state = std::make_shared<MPS::State>(net.device, 16);
    EXPECT_THAT(net.encoding({net.images(2)}, {{state, state}}),
                AllOf(HasSubstr("CNNLoss"), HasSubstr("CNNLossLabels"), HasSubstr("found a State")));
    const auto one = net.labels(1)[0];
    EXPECT_THAT(net.encoding({net.images(2)}, {{one, one}}),
                AllOf(HasSubstr("CNNLoss"), HasSubstr("labels[1]"), HasSubstr("labels of its own")));
}

TEST(GraphErrors, SpentTemporariesAndThoseOfOtherBuffersAreRefusedAndKeepTheirCounts) {
    Training net;
    CopyKernel copy;
    copy.setLabel("reader");
    EXPECT_THAT(net.sentenceOf([&](const auto& commands) {
        const auto t = copy.encode(commands, net.images(1)[0]);
        copy.encode(commands, t, picture(6, 6, 3));
        // What is encoded so far is not the graph's.
        pewter::mtl::rootOf(*commands).truncate(0);
        net.graph->encodeBatch(commands, {{t}}, {net.labels(1)});
    }),
                AllOf(HasSubstr("NNGraph 'net'"), HasSubstr("sourceImages"), HasSubstr("read count 0"),
                      HasSubstr("last read by CopyKernel 'reader'")));
    const auto other = net.queue->commandBuffer();
    const auto foreign = copy.encode(other, net.images(1)[0]);
    EXPECT_THAT(
        net.sentenceOf(
            [&](const auto& commands) { net.graph->encodeBatch(commands, {{foreign}}, {net.labels(1)}); }),
        AllOf(HasSubstr("temporary object of this command buffer"), HasSubstr("of another command buffer")));
    EXPECT_EQ(temporary(foreign).readCount(), 1u);
    temporary(foreign).setReadCount(0);
}

TEST(GraphErrors, AMistakeInTheLastFilterGivesTemporarySourcesTheirReadsBack) {
    Training net;
    const auto commands = net.queue->commandBuffer();
    CopyKernel copy;
    const auto sources = copy.encodeBatch(commands, net.images(2));
    temporary(sources[1]).setReadCount(2);
    const Recorded before(commands);
    EXPECT_THAT(
        errorOf([&] { net.graph->encodeBatch(commands, {sources}, {drawLabels(net.device, 2, 7, 1)}); }),
        HasSubstr("CNNLoss"));
    EXPECT_EQ(Recorded(commands), before);
    EXPECT_EQ(temporary(sources[0]).readCount(), 1u);
    EXPECT_EQ(temporary(sources[1]).readCount(), 2u);
    const auto labels = net.labels(2);
    net.graph->encodeBatch(commands, {sources}, {labels});
    temporary(sources[1]).setReadCount(0);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    run(commands);
    EXPECT_EQ(lossOf(labels), net.expectedLoss);
}

TEST(GraphErrors, DropoutDrawsTheMasksItWouldHaveDrawnWithoutTheMistake) {
    std::vector<double> losses[2];
    for (const bool mistake : {false, true}) {
        Net net;
        buildWhole(net);
        net.train();
        for (std::uint64_t i = 0; i < 3; ++i) {
            if (mistake) {
                EXPECT_THAT(errorOf([&] {
                                net.graph->encodeBatch(net.queue->commandBuffer(), {net.images(2)},
                                                       {drawLabels(net.device, 2, 7, 1)});
                            }),
                            HasSubstr("CNNLoss"));
            }
            losses[mistake].push_back(net.step(2, i));
        }
    }
    EXPECT_EQ(losses[0], losses[1]);
}

TEST(GraphErrors, ACommittedBufferAndOneWithAnOpenEncoderAreRefused) {
    Training net;
    const auto committed = net.queue->commandBuffer();
    run(committed);
    EXPECT_THAT(errorOf([&] { net.graph->encodeBatch(committed, {net.images(2)}, {net.labels(2)}); }),
                AllOf(HasSubstr("NNGraph 'net'"), HasSubstr("commandBuffer"), HasSubstr("not committed")));
    const auto open = net.queue->commandBuffer();
    const auto encoder = open->blitCommandEncoder();
    EXPECT_THAT(errorOf([&] { net.graph->encodeBatch(open, {net.images(2)}, {net.labels(2)}); }),
                HasSubstr("open encoder"));
    encoder->endEncoding();
    const auto labels = net.labels(2);
    net.graph->encodeBatch(open, {net.images(2)}, {labels});
    run(open);
    EXPECT_EQ(lossOf(labels), net.expectedLoss);
}

TEST(GraphErrors, AReportRefusesWhatAnEncodeRefusesAndTheGraphGoesOn) {
    Training net;
    EXPECT_THAT(errorOf([&] { net.graph->memoryReport({net.images(2)}, {net.labels(3)}); }),
                HasSubstr("sourceStates[0]"));
    EXPECT_THAT(errorOf([&] { net.graph->memoryReport({{picture(6, 6, 4)}}, {net.labels(1)}); }),
                HasSubstr("CNNConvolution 'conv'"));
    EXPECT_EQ(net.step(2), net.expectedLoss);
}

TEST(GraphErrors, ConstructionNamesWhatIsMissing) {
    Net net;
    const auto result = Net::relu(net.input);
    EXPECT_THAT(errorOf([&] { MPS::NNGraph(nullptr, result); }), HasSubstr("device"));
    EXPECT_THAT(errorOf([&] { MPS::NNGraph(net.device, Node{}); }),
                AllOf(HasSubstr("NNGraph"), HasSubstr("resultImages[0]"), HasSubstr("found null")));
    EXPECT_THAT(errorOf([&] { MPS::NNGraph(net.device, net.input); }),
                AllOf(HasSubstr("resultImages[0]"), HasSubstr("no filter makes")));
    EXPECT_THAT(errorOf([&] { MPS::NNGraph(net.device, std::vector<Node>{}); }),
                AllOf(HasSubstr("resultImages"), HasSubstr("at least one")));
    EXPECT_THAT(errorOf([&] {
                    MPS::NNGraph(net.device, {result, result}, {true});
                }),
                AllOf(HasSubstr("resultsAreNeeded"), HasSubstr("2 flags"), HasSubstr("found 1")));
    const auto conv = net.layer(net.input, "unwilling", 3, 3, 4)->resultImage();
    net.layers[0]->loads = false;
    EXPECT_THAT(errorOf([&] { MPS::NNGraph(net.device, conv); }),
                AllOf(HasSubstr("unwilling"), HasSubstr("load")));
    EXPECT_EQ(net.log->back(), "load unwilling");  // purge balances only what succeeded
    net.layers[0]->loads = true;
    MPS::NNGraph graph(net.device, conv);
    graph.setFormat(Format::Float32);
    const auto commands = net.queue->commandBuffer();
    EXPECT_NE(graph.encode(commands, {net.images(1)[0]}), nullptr);
    run(commands);
}

TEST(GraphErrors, ASecondGradientFilterOfOneNormalisationStateIsRefusedByItsLabel) {
    Net net;
    const auto norm = MPS::CNNBatchNormalizationNode::node(net.input, std::make_shared<NormSource>(net.device, "norm", 3, 1));
    norm->setLabel("trunk");
    const auto result = norm->resultImage();
    // Two walks over one trunk, whose gradients nobody has added up.
    const auto first = norm->gradientFilter(MPS::NNInitialGradientNode::node(result)->resultImage());
    const auto second = norm->gradientFilter(MPS::NNInitialGradientNode::node(result)->resultImage());
    EXPECT_THAT(errorOf([&] {
                    MPS::NNGraph(net.device, {first->resultImage(), second->resultImage()});
                }),
                AllOf(HasSubstr("trunk"), HasSubstr("gradientState"), HasSubstr("another gradient filter reads")));
    MPS::NNGraph(net.device, first->resultImage());
}

TEST(GraphErrors, AReloadThatIsRefusedLeavesTheWeightsAsTheyWere) {
    Net net;
    buildChain(net);
    MPS::NNGraph graph(net.device, net.logits);
    graph.setFormat(Format::Float32);
    const auto infer = [&] {
        const auto commands = net.queue->commandBuffer();
        const auto result = graph.encode(commands, {net.images(1)[0]});
        run(commands);
        return valuesOf(*result);
    };
    const auto before = infer();
    net.layers[0]->loads = false;
    net.layers[0]->values.assign(net.layers[0]->values.size(), 1);
    EXPECT_THAT(errorOf([&] { graph.reloadFromDataSources(); }), HasSubstr("conv"));
    EXPECT_EQ(infer(), before);
    net.layers[0]->loads = true;
    graph.reloadFromDataSources();
    EXPECT_NE(infer(), before);
}

#ifdef PEWTER_HAVE_CPU
TEST(GraphErrors, ForeignDevicesAreNamed) {
    Training net;
    const auto cpu = MTL::copyDevice("cpu");
    EXPECT_THAT(errorOf([&] {
                    net.graph->encodeBatch(cpu->newCommandQueue()->commandBuffer(), {net.images(2)},
                                           {net.labels(2)});
                }),
                AllOf(HasSubstr("commandBuffer"), HasSubstr("reference"), HasSubstr("cpu")));
    EXPECT_THAT(
        net.encoding({drawImages(cpu, 2, 6, 6, 3, 1)}, {net.labels(2)}),
        AllOf(HasSubstr("sourceImages[0][0]"), HasSubstr("device reference"), HasSubstr("device cpu")));
    Net other(cpu);
    buildChain(other);
    other.train();
    EXPECT_THAT(
        errorOf([&] {
            other.graph->encodeBatch(other.queue->commandBuffer(),
                                     {drawImages(cpu, 2, 6, 6, 3, 1, Format::Float64)}, {other.labels(2)});
        }),
        AllOf(HasSubstr("sourceImages[0][0]"), HasSubstr("device cpu computes"), HasSubstr("float64")));
    EXPECT_TRUE(std::isfinite(other.step(2)));
}
#endif
