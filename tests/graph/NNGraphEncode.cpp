#include <gmock/gmock.h>

#include "GraphNets.h"

/// The forms of encode: what goes in, what comes out, and that all of them compute the same.
using namespace pewter::test;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

struct Forward : Net {
    explicit Forward(bool batchNorm = true) {
        auto x = layer(input, "conv", 3, 3, 4)->resultImage();
        if (batchNorm) x = norm(x, "norm", 4);
        logits = layer(MPS::CNNPoolingMaxNode::node(relu(x), 2)->resultImage(), "dense", 3, 4, classes, true)
                     ->resultImage();
        inference = MPS::NNGraph::graph(device, logits);
        inference->setFormat(Format::Float32);
        inference->setLabel("inference");
    }
    std::shared_ptr<MPS::NNGraph> inference;

    std::vector<double> inferBatch(const MPS::ImageBatch& images) {
        const auto commands = queue->commandBuffer();
        const auto results = inference->encodeBatch(commands, {images});
        run(commands);
        std::vector<double> values;
        for (const auto& image : results)
            for (const double value : valuesOf(*image)) values.push_back(value);
        return values;
    }
};

/// The pictures of a batch in one image.
ImagePtr stacked(const MPS::ImageBatch& images) {
    const auto& first = *images[0];
    auto image = std::make_shared<MPS::Image>(
        first.device(), describe(first.width(), first.height(), first.featureChannels(), images.size()));
    std::vector<double> values;
    for (const auto& one : images)
        for (const double value : valuesOf(*one)) values.push_back(value);
    fillImage(*image, values);
    return image;
}

}  // namespace

TEST(NNGraphEncode, OneImageThatHoldsSeveralPicturesGivesOneThatHoldsTheResultsOfTheBatch) {
    Forward net;
    const auto images = net.images(3);
    const auto expected = net.inferBatch(images);
    const auto commands = net.queue->commandBuffer();
    const auto result = net.inference->encode(commands, {stacked(images)});
    run(commands);
    ASSERT_EQ(result->numberOfImages(), 3u);
    EXPECT_EQ(result->featureChannels(), net.classes);
    EXPECT_EQ(valuesOf(*result), expected);
}

TEST(NNGraphEncode, ATrainingGraphTakesAnImageThatHoldsSeveralPicturesAndAGradientOfItsOwn) {
    // Without a loss: the incoming gradient is an input.
    std::vector<float> trained[2];
    std::vector<double> gradients[2];
    for (const bool single : {false, true}) {
        Forward net(false);
        const auto incoming = MPS::NNImageNode::node(tag("gradient"));
        const auto termini = net.logits->producer()->trainingGraph(incoming);
        MPS::NNGraph graph(net.device, termini[0]->resultImage());
        graph.setFormat(Format::Float32);
        ASSERT_EQ(graph.sourceImageHandles().size(), 2u);
        EXPECT_EQ(graph.sourceImageHandles()[0]->label(), "gradient");
        const auto images = net.images(3), sums = drawImages(net.device, 3, 1, 1, net.classes, 8);
        const auto commands = net.queue->commandBuffer();
        MPS::ImageBatch results;
        if (single)
            results = {graph.encode(commands, {stacked(sums), stacked(images)})};
        else
            results = graph.encodeBatch(commands, {sums, images});
        EXPECT_EQ(Recorded(commands).liveBytes, 0u);
        run(commands);
        for (const auto& image : results)
            for (const double value : valuesOf(*image)) gradients[single].push_back(value);
        for (const auto& layer : net.layers)
            for (const float value : layer->trained()) trained[single].push_back(value);
    }
    EXPECT_EQ(trained[0], trained[1]);
    EXPECT_EQ(gradients[0], gradients[1]);
}

TEST(NNGraphEncode, BatchNormalisationTrainsOnAnImageThatHoldsSeveralPictures) {
    std::vector<float> trained[2];
    for (const bool single : {false, true}) {
        Forward net;
        const auto termini = net.logits->producer()->trainingGraph(MPS::NNImageNode::node());
        MPS::NNGraph graph(net.device, termini[0]->resultImage(), false);
        graph.setFormat(Format::Float32);
        const auto images = net.images(3), sums = drawImages(net.device, 3, 1, 1, net.classes, 8);
        const auto commands = net.queue->commandBuffer();
        if (single)
            EXPECT_EQ(graph.encode(commands, {stacked(sums), stacked(images)}), nullptr);
        else
            EXPECT_THAT(graph.encodeBatch(commands, {sums, images}), IsEmpty());
        EXPECT_EQ(Recorded(commands).liveBytes, 0u);
        run(commands);
        for (const auto& layer : net.layers)
            for (const float value : layer->trained()) trained[single].push_back(value);
        for (const float value : floatsOf(net.norms[0]->state->gamma())) trained[single].push_back(value);
    }
    EXPECT_EQ(trained[0], trained[1]);
}

TEST(NNGraphEncode, ATemporarySourceThatHoldsSeveralPicturesIsReleasedByTheEncode) {
    Forward net;
    const auto images = net.images(3);
    const auto commands = net.queue->commandBuffer();
    CopyKernel copy;
    const auto source = copy.encode(commands, stacked(images));
    const auto result = net.inference->encode(commands, {source});
    EXPECT_EQ(temporary(source).readCount(), 0u);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    run(commands);
    EXPECT_EQ(valuesOf(*result), net.inferBatch(images));
}

TEST(NNGraphEncode, OneObjectAtSeveralPlacesOfABatchCountsOnce) {
    Forward net;
    const auto image = net.images(1)[0];
    const auto one = net.inferBatch({image});
    const auto commands = net.queue->commandBuffer();
    CopyKernel copy;
    const auto source = copy.encode(commands, image);
    const auto results = net.inference->encodeBatch(commands, {{source, source, source}});
    EXPECT_EQ(temporary(source).readCount(), 0u);
    run(commands);
    ASSERT_EQ(results.size(), 3u);
    for (const auto& result : results) EXPECT_EQ(valuesOf(*result), one);
}

TEST(NNGraphEncode, OneTemporaryForTwoInputsIsReadOnceForEach) {
    const auto device = testDevice();
    const auto a = MPS::NNImageNode::node(tag("a")), b = MPS::NNImageNode::node(tag("b"));
    // b is read twice, a once.
    const auto ab = MPS::NNAdditionNode::node(a, b)->resultImage();
    MPS::NNGraph graph(device, MPS::NNMultiplicationNode::node(ab, b)->resultImage());
    graph.setFormat(Format::Float32);
    const auto commands = device->newCommandQueue()->commandBuffer();
    CopyKernel copy;
    const auto x = makeImage(3, 2, 1, 1);
    const auto t = copy.encode(commands, x);
    const auto sentence = errorOf([&] { graph.encode(commands, {t, t}); });
    EXPECT_THAT(sentence, HasSubstr("read count of at least 2"));
    EXPECT_THAT(sentence, HasSubstr("with read count 1"));
    EXPECT_EQ(temporary(t).readCount(), 1u);
    temporary(t).setReadCount(3);
    const auto result = graph.encode(commands, {t, t});
    EXPECT_EQ(temporary(t).readCount(), 1u);
    temporary(t).setReadCount(0);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    run(commands);
    const auto values = valuesOf(*x);
    for (std::size_t i = 0; i < values.size(); ++i)
        EXPECT_EQ(valuesOf(*result)[i], 2 * values[i] * values[i]);
}

TEST(NNGraphEncode, ReadCountsOfSourcesAreOneWhereAKernelReadsAndZeroElsewhere) {
    Net net;
    // "side" leads to a result that is not needed and has no effect: nothing reads it.
    const auto side = MPS::NNImageNode::node(tag("side"));
    const auto wanted = MPS::NNAdditionNode::node(Net::relu(net.input), net.input)->resultImage();
    MPS::NNGraph graph(net.device, {wanted, Net::relu(side)}, {true, false});
    graph.setFormat(Format::Float32);
    ASSERT_EQ(graph.sourceImageHandles().size(), 2u);
    EXPECT_EQ(graph.sourceImageHandles()[1]->label(), "side");
    EXPECT_EQ(graph.readCountForSourceImage(0), 1u);
    EXPECT_EQ(graph.readCountForSourceImage(1), 0u);
    const auto sentence = errorOf([&] { graph.readCountForSourceImage(2); });
    EXPECT_THAT(sentence, HasSubstr("less than 2"));
    EXPECT_THAT(sentence, HasSubstr("found 2"));
    EXPECT_THAT(errorOf([&] { graph.readCountForSourceState(0); }), HasSubstr("less than 0"));
    const auto commands = net.queue->commandBuffer();
    CopyKernel copy;
    const auto read = copy.encode(commands, net.images(1)[0]),
               unread = copy.encode(commands, net.images(1)[0]);
    graph.encode(commands, {read, unread});
    EXPECT_EQ(temporary(read).readCount(), 0u);
    EXPECT_EQ(temporary(unread).readCount(), 1u);
    temporary(unread).setReadCount(0);
    run(commands);

    Net training;
    buildChain(training);
    training.train();
    EXPECT_EQ(training.graph->readCountForSourceState(0), 1u);
}

TEST(NNGraphEncode, ImagesHaveTheirNodesFormatElseTheGraphsAndTheGraphsIsReadByEveryEncode) {
    Net net;
    const auto first = Net::relu(net.input);
    const auto second = Net::relu(first);
    second->setFormat(Format::BFloat16);
    const auto third = Net::relu(second);  // copies the format of its source when it is made
    second->setFormat(Format::Float64);
    for (const auto& node : {first, second, third}) node->setExportFromGraph(true);
    MPS::NNGraph graph(net.device, third);
    EXPECT_EQ(graph.format(), Format::Float16);
    for (const auto format : {Format::Float16, Format::Float32}) {
        graph.setFormat(format);
        const auto commands = net.queue->commandBuffer();
        std::vector<ImagePtr> exported;
        const auto result = graph.encode(commands, {net.images(1)[0]}, {}, &exported, nullptr);
        ASSERT_EQ(exported.size(), 3u);
        EXPECT_EQ(exported[2]->featureChannelFormat(), format);
        EXPECT_EQ(exported[1]->featureChannelFormat(), Format::Float64);
        EXPECT_EQ(result->featureChannelFormat(), Format::BFloat16);
        for (const auto& image : exported)
            if (image->isTemporary()) temporary(image).setReadCount(0);
        run(commands);
    }
}

TEST(NNGraphEncode, ThroughACommandBufferThatHandsOverAndGoesOnTheResultsAreTheSame) {
    Forward net;
    const auto images = net.images(2);
    const auto expected = net.inferBatch(images);
    const auto commands = MPS::CommandBuffer::commandBufferFromCommandQueue(net.queue);
    CopyKernel copy;
    const auto sources = copy.encodeBatch(commands, images);
    MPS::ImageBatchIncrementReadCount(sources, 1);
    const auto first = net.inference->encodeBatch(commands, {sources});
    commands->commitAndContinue();
    const auto second = net.inference->encodeBatch(commands, {sources});
    EXPECT_EQ(temporary(sources[0]).readCount(), 0u);
    run(commands);
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(valuesOf(*first[i]), valuesOf(*second[i]));
        EXPECT_EQ(valuesOf(*first[i]),
                  std::vector<double>(expected.begin() + static_cast<std::ptrdiff_t>(5 * i),
                                      expected.begin() + static_cast<std::ptrdiff_t>(5 * i + 5)));
    }
}
