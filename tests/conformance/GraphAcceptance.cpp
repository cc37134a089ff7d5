#include <gmock/gmock.h>

#include <MPS/NNInitialGradientNode.hpp>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "EveryDevice.h"
#include "GraphNets.h"

/// The acceptance tests of graphs, 2 to 8: what a training graph consists of and what an encode of it does.
using namespace pewter::test;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

namespace {

std::size_t countOf(const CallLog& log, const std::string& call) {
    return static_cast<std::size_t>(std::count(log.begin(), log.end(), call));
}

std::vector<std::string> stepsOf(MPS::NNGraph& graph, const Net& net) {
    std::vector<std::string> classes;
    for (const auto& step : graph.memoryReport({net.images(2)}, {net.labels(2)}).steps)
        classes.push_back(step.className);
    return classes;
}

/// Weights, biases and pictures of -1, 0 and 1: every sum is exact in float32, and a network of second degree
/// in its input has exact central differences.
struct Integers : Net {
    explicit Integers(const DevicePtr& d) : Net(d) { width = height = 3; }

    /// The terminus of the sum of all logits against central differences with step 1, through the same
    /// device.
    void compare() {
        for (const auto& layer : layers) {
            layer->answer = Answer::Nothing;
            for (float& value : layer->values) value = std::round(2 * value);
            for (float& value : layer->biases) value = std::round(8 * value);
        }
        termini = MPS::NNInitialGradientNode::node(logits)->trainingGraph();
        ASSERT_EQ(termini.size(), 1u);
        MPS::NNGraph forward(device, logits), backward(device, termini[0]->resultImage());
        const auto picture = images(1, 3)[0];
        auto values = valuesOf(*picture);
        for (double& value : values) value = std::round(1.5 * value);
        fillImage(*picture, values);
        MPS::ImageBatch moved;
        for (std::size_t i = 0; i < values.size(); ++i)
            for (const double step : {1.0, -1.0}) {
                auto other = values;
                other[i] += step;
                moved.push_back(images(1)[0]);
                fillImage(*moved.back(), other);
            }
        for (MPS::NNGraph* each : {&forward, &backward}) each->setFormat(Format::Float32);
        const auto commands = queue->commandBuffer();
        const auto gradients = backward.encodeBatch(commands, {{picture}});
        const auto results = forward.encodeBatch(commands, {moved});
        run(commands);
        std::vector<double> numeric;
        for (std::size_t i = 0; i < results.size(); i += 2) {
            const auto above = valuesOf(*results[i]), below = valuesOf(*results[i + 1]);
            numeric.push_back((std::accumulate(above.begin(), above.end(), 0.0) -
                               std::accumulate(below.begin(), below.end(), 0.0)) /
                              2);
        }
        EXPECT_EQ(valuesOf(*gradients[0]), numeric);
        EXPECT_THAT(numeric, Contains(testing::Not(0.0)));
    }
};

}  // namespace

TEST_ON_EVERY_DEVICE(GraphAcceptance,
                     N02_AChainHasOneTerminusAndItsGradientFiltersComeInReverseWithTheFormatOfTheFirst) {
    Net net(device);
    buildChain(net);
    std::vector<std::string> order;
    net.train([&](const auto& gradient, const auto& forward, const auto&, const auto&) {
        order.push_back(forward->className());
        if (order.size() == 1) gradient->resultImage()->setFormat(Format::Float32);
    });
    EXPECT_EQ(net.termini.size(), 1u);
    EXPECT_THAT(order, ElementsAre("CNNFullyConnectedNode", "CNNPoolingMaxNode", "CNNNeuronReLUNode",
                                   "CNNConvolutionNode"));
    // One step a filter: nothing is taken into another kernel.
    const auto report = MPS::NNGraph(net.device, {net.termini[0]->resultImage()}, {}, MPS::NNGraphOptions::none())
                            .memoryReport({net.images(2)}, {net.labels(2)});
    std::vector<std::string> formats;
    for (const auto& step : report.steps) formats.push_back(report.images[step.resultImage].format);
    // Forward images and the gradient of the loss have the graph's format, all gradients after it the
    // handler's.
    EXPECT_THAT(formats, ElementsAre("float16", "float16", "float16", "float16", "float16", "float32",
                                     "float32", "float32", "float32"));
}

TEST_ON_EVERY_DEVICE(GraphAcceptance, N03_AResidualBlockGetsOneAdditionOfItsGradientsAndItTrains) {
    Net net(device);
    const auto x = net.layer(net.input, "first", 3, 3, 4)->resultImage();
    const auto y = net.layer(x, "inside", 3, 4, 4)->resultImage();
    const auto sum = MPS::NNAdditionNode::node(x, y)->resultImage();
    net.logits = net.layer(sum, "dense", 6, 4, net.classes, true)->resultImage();
    std::size_t inserted = 0;
    net.train([&](const auto& gradient, const auto& forward, const auto& source, const auto&) {
        if (forward) return;
        ++inserted;
        EXPECT_STREQ(gradient->className(), "NNAdditionNode");
        EXPECT_EQ(source, x);
    });
    EXPECT_EQ(inserted, 1u);
    const double before = net.step(4);
    EXPECT_LT(net.step(4), before);
    for (const auto& layer : net.layers) EXPECT_EQ(layer->updates, 2u);
}

TEST_ON_EVERY_DEVICE(GraphAcceptance, N03b_TheGradientThroughAResidualBlockIsTheNumericOneExactly) {
    Integers net(device);
    const auto x = net.layer(net.input, "first", 3, 3, 4)->resultImage();
    const auto squared = MPS::NNMultiplicationNode::node(x, x)->resultImage();
    const auto y = net.layer(squared, "inside", 3, 4, 4)->resultImage();
    const auto sum = MPS::NNAdditionNode::node(x, y)->resultImage();
    net.logits = net.layer(sum, "dense", 3, 4, net.classes, true)->resultImage();
    net.compare();
}

TEST_ON_EVERY_DEVICE(GraphAcceptance, N04_AnInputUsedTwiceEndsInAnAddition) {
    Net net(device);
    const auto a = net.layer(net.input, "a", 3, 3, 4)->resultImage();
    const auto b = net.layer(net.input, "b", 3, 3, 4)->resultImage();
    const auto product = MPS::NNMultiplicationNode::node(a, b)->resultImage();
    net.logits = net.layer(product, "dense", 6, 4, net.classes, true)->resultImage();
    net.train(nullptr, true);
    ASSERT_EQ(net.termini.size(), 1u);
    EXPECT_STREQ(net.termini[0]->className(), "NNAdditionNode");
    const double before = net.step(4);
    ASSERT_EQ(net.result.size(), 4u);
    EXPECT_EQ(net.result[0]->featureChannels(), 3u);
    EXPECT_LT(net.step(4), before);
}

TEST_ON_EVERY_DEVICE(GraphAcceptance, N04b_TheGradientOfAnInputUsedTwiceIsTheNumericOneExactly) {
    Integers net(device);
    const auto a = net.layer(net.input, "a", 3, 3, 4)->resultImage();
    const auto b = net.layer(net.input, "b", 3, 3, 4)->resultImage();
    const auto product = MPS::NNMultiplicationNode::node(a, b)->resultImage();
    net.logits = net.layer(product, "dense", 3, 4, net.classes, true)->resultImage();
    net.compare();
}

TEST_ON_EVERY_DEVICE(GraphAcceptance, N05_StopGradientLeavesTheProducerAloneAndItsConsumersTrain) {
    Net net(device);
    // Preprocessing without a gradient: a division.
    const auto scaled =
        MPS::NNDivisionNode::node(net.input, MPS::NNImageNode::node(tag("divisor")))->resultImage();
    scaled->setStopGradient(true);
    const auto conv = net.layer(scaled, "conv", 3, 3, 4)->resultImage();
    net.logits = net.layer(conv, "dense", 6, 4, net.classes, true)->resultImage();
    net.train();
    ASSERT_EQ(net.termini.size(), 1u);
    EXPECT_STREQ(net.termini[0]->className(), "CNNConvolutionGradientNode");
    const auto divisor = drawImages(net.device, 1, 6, 6, 3, 7)[0];
    fillImage(*divisor, std::vector<double>(108, 2.0));
    ASSERT_EQ(net.graph->sourceImageHandles().size(), 2u);
    EXPECT_EQ(net.graph->sourceImageHandles()[0]->label(), "input");
    double last = 0;
    for (int i = 0; i < 2; ++i) {
        const auto labels = net.labels(3);
        const auto commands = net.queue->commandBuffer();
        net.graph->encodeBatch(commands, {net.images(3), {divisor, divisor, divisor}}, {labels});
        run(commands);
        if (i == 1) {
            EXPECT_LT(lossOf(labels), last);
        }
        last = lossOf(labels);
    }
    EXPECT_EQ(net.layers[0]->updates, 2u);
}

TEST_ON_EVERY_DEVICE(GraphAcceptance, N06_TheBranchWhoseTerminusIsNotPassedGetsNoCall) {
    Net net(device);
    // Two inputs, one layer on each: two termini.
    const auto other = MPS::NNImageNode::node(tag("other"));
    const auto a = net.layer(net.input, "a", 3, 3, 4)->resultImage();
    const auto b = net.layer(other, "b", 3, 3, 4)->resultImage();
    net.logits = net.layer(MPS::NNAdditionNode::node(a, b)->resultImage(), "dense", 6, 4, net.classes, true)
                     ->resultImage();
    net.train();
    ASSERT_EQ(net.termini.size(), 2u);
    const auto encode = [&](MPS::NNGraph& graph) {
        graph.setFormat(Format::Float32);
        const auto commands = net.queue->commandBuffer();
        std::vector<MPS::ImageBatch> sources;
        for (const auto& handle : graph.sourceImageHandles())
            sources.push_back(net.images(2, handle->label().size()));
        graph.encodeBatch(commands, sources, {net.labels(2)});
        run(commands);
    };
    std::size_t callsOfA = 0;
    for (const auto& terminus : net.termini) {
        MPS::NNGraph one(net.device, terminus->resultImage(), false);
        net.log->clear();
        encode(one);
        EXPECT_EQ(countOf(*net.log, "update a") + countOf(*net.log, "update b"), 1u);
        EXPECT_EQ(countOf(*net.log, "update dense"), 1u);
        callsOfA += countOf(*net.log, "update a");
    }
    EXPECT_EQ(callsOfA, 1u);
    MPS::NNGraph both(net.device, {net.termini[0]->resultImage(), net.termini[1]->resultImage()},
                      {false, false});
    net.log->clear();
    encode(both);
    for (const char* call : {"update a", "update b", "update dense"}) EXPECT_EQ(countOf(*net.log, call), 1u);
}

TEST_ON_EVERY_DEVICE(
    GraphAcceptance,
    N07_WithoutANeededResultNothingIsReturnedNoLeadingDataGradientIsComputedAndWeightsChange) {
    Net net(device);
    // The input passes through a neuron first: its gradient is of use to nobody.
    const auto conv = net.layer(Net::relu(net.input), "conv", 3, 3, 4)->resultImage();
    net.logits = net.layer(conv, "dense", 6, 4, net.classes, true)->resultImage();
    net.train();
    EXPECT_FALSE(net.graph->resultImageIsNeeded());
    const double before = net.step(3);
    EXPECT_THAT(net.result, IsEmpty());
    EXPECT_LT(net.step(3), before);
    EXPECT_THAT(stepsOf(*net.graph, net), Not(Contains("CNNNeuronGradient")));
    const auto report = net.graph->memoryReport({net.images(2)}, {net.labels(2)});
    EXPECT_EQ(report.steps.back().className, "CNNConvolutionGradient");
    EXPECT_EQ(report.steps.back().resultImage, MPS::NNGraphReport::npos);

    MPS::NNGraph needed(net.device, net.termini[0]->resultImage(), true);
    EXPECT_THAT(stepsOf(needed, net), Contains("CNNNeuronGradient"));
}

TEST_ON_EVERY_DEVICE(GraphAcceptance, N07b_TheSameStepWithAndWithoutTheResultGivesTheSameWeights) {
    std::vector<std::vector<float>> trained;
    for (const bool needed : {false, true}) {
        Net net(device);
        buildChain(net);
        net.train(nullptr, needed);
        net.step(3);
        trained.push_back(net.layers[0]->trained());
    }
    EXPECT_EQ(trained[0], trained[1]);
    EXPECT_THAT(trained[0], Not(Each(0.0f)));
}

TEST_ON_EVERY_DEVICE(GraphAcceptance,
                     N08_BatchNormalisationUsesStoredStatisticsForInferenceAndTheBatchsInTraining) {
    Net net(device);
    net.width = net.height = 1;
    net.norms.push_back(std::make_shared<NormSource>(net.device, "norm", 3, 5, net.log));
    net.logits = MPS::CNNBatchNormalizationNode::node(net.input, net.norms[0])->resultImage();
    net.classes = 3;
    net.logits->setExportFromGraph(true);
    net.logits->setImageAllocator(MPS::Image::defaultAllocator());
    MPS::NNGraph inference(net.device, net.logits);
    net.train();
    MPS::NNGraph again(net.device, net.logits);
    const auto images = net.images(4, 9);
    const auto& norm = *net.norms[0];
    std::vector<double> mean(3), variance(3);
    for (std::size_t c = 0; c < 3; ++c) {
        for (const auto& image : images) mean[c] += valuesOf(*image)[c] / 4;
        for (const auto& image : images) variance[c] += std::pow(valuesOf(*image)[c] - mean[c], 2) / 4;
    }
    const auto expect = [&](const MPS::ImageBatch& results, bool batch) {
        ASSERT_EQ(results.size(), 4u);
        for (std::size_t i = 0; i < 4; ++i)
            for (std::size_t c = 0; c < 3; ++c) {
                const double m = batch ? mean[c] : norm.means[c], v = batch ? variance[c] : norm.variances[c];
                EXPECT_NEAR(valuesOf(*results[i])[c],
                            (valuesOf(*images[i])[c] - m) * norm.gammas[c] / std::sqrt(v + norm.epsilon()) +
                                norm.betas[c],
                            1e-5);
            }
    };
    for (MPS::NNGraph* graph : {&inference, &again}) {
        graph->setFormat(Format::Float32);
        const auto commands = net.queue->commandBuffer();
        const auto results = graph->encodeBatch(commands, {images});
        run(commands);
        expect(results, false);
    }
    const auto commands = net.queue->commandBuffer();
    std::vector<MPS::ImageBatch> exported;
    net.graph->encodeBatch(commands, {images}, {net.labels(4)}, &exported, nullptr);
    run(commands);
    ASSERT_EQ(exported.size(), 1u);
    expect(exported[0], true);
}
