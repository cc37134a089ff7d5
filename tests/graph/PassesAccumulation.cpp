#include <MPS/NNConcatenationNode.hpp>

#include "PassesTraining.h"

/// Sums of gradients that are added up where the first one lies.
using namespace pewter::test;

namespace {

constexpr auto kAdd = &Options::accumulateGradients;

/// Two convolutions read x, and their results are added.
Image forked(TrainedNet& net, const Image& x) {
    return MPS::NNAdditionNode::node(net.convolved(x, 3, 3, 3), net.convolved(x, 1, 3, 3))->resultImage();
}

/// The fork inside a net, so that neither the image nor its gradient leaves the graph.
Image inside(TrainedNet& net) {
    return net.convolved(forked(net, net.convolved(net.x, 3, 3, 3)), 1, 3, 3);
}

Options inPlace(bool adding) {
    auto options = Options::none();
    options.inPlace = true;
    options.accumulateGradients = adding;
    return options;
}

/// With the rewrite `less` steps are missing; the numbers are the same.
void expectAdded(const BuildTrained& build, std::size_t less, const TrainedShape& shape = {}) {
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        const auto without = train(device, build, inPlace(false), shape), with = train(device, build, inPlace(true), shape);
        EXPECT_EQ(with.steps + less, without.steps);
        expectSame(with, without);
        EXPECT_LE(with.peak, without.peak);
    }
}

constexpr std::size_t kImage = 8 * 4 * 3 * sizeof(float);
/// The least piece of temporary memory.
constexpr std::size_t kSmall = 64;

}  // namespace

TEST(PassAccumulation, TheSecondConvolutionAddsToTheGradientOfTheFirst) {
    // The image that both read is the largest by far.
    const auto strided = [](TrainedNet& net) {
        const auto x = net.convolved(net.x, 1, 3, 3);
        const auto small = [&] {
            const auto weights = net.weights(3, 3, 3);
            weights->descriptor()->setStrideInPixelsX(4);
            weights->descriptor()->setStrideInPixelsY(4);
            return MPS::CNNConvolutionNode::node(x, weights)->resultImage();
        };
        const auto a = small();
        return MPS::NNAdditionNode::node(a, small())->resultImage();
    };
    const TrainedShape shape{.outputWidth = 2, .outputHeight = 1};
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        const auto without = train(device, strided, inPlace(false), shape), with = train(device, strided, inPlace(true), shape);
        expectSame(with, without);
        EXPECT_EQ(with.steps + 1, without.steps);
        // What is left is at its most where the second small gradient still waits.
        EXPECT_EQ(with.peak + kImage - kSmall, without.peak);
        // The second gradient and the sum have no images of their own.
        EXPECT_EQ(with.report.images.size() + 2, without.report.images.size());
    }
}

TEST(PassAccumulation, ASumHandsOnItsGradientWhereItLiesUnlessOneIsAddedToBeforeTheOtherIsRead) {
    // Around the sum a block of `depth` convolutions, the first of which adds its gradient to that of the sum.
    const auto block = [](std::size_t depth) {
        return [=](TrainedNet& net) {
            const auto x = net.convolved(net.x, 1, 3, 3);
            auto y = x;
            for (std::size_t i = 0; i < depth; ++i) y = net.convolved(y, 3, 3, 3);
            return net.convolved(MPS::NNAdditionNode::node(x, y)->resultImage(), 1, 3, 3);
        };
    };
    // Of the two gradients those that lie where the incoming one does.
    const auto handedOn = [](const Training& training) {
        std::size_t count = 0;
        for (const auto& step : training.report.steps)
            if (step.className == "CNNAddGradient" &&
                training.report.images[step.resultImage].offset == MPS::NNGraphReport::npos)
                ++count;
        return count;
    };
    for (const auto& device : graphDevices())
        for (const std::size_t depth : {1u, 2u}) {
            SCOPED_TRACE(device->name() + " depth " + std::to_string(depth));
            const auto apart = train(device, block(depth), Options::none()), there = train(device, block(depth), inPlace(true));
            expectSame(there, apart);
            EXPECT_EQ(handedOn(apart), 0u);
            EXPECT_EQ(handedOn(there), depth);
        }
}

TEST(PassAccumulation, ChainsOfSumsAndBatchesGiveTheSame) {
    const auto three = [](TrainedNet& net) {
        const auto x = net.convolved(net.x, 1, 3, 3);
        return net.convolved(MPS::NNAdditionNode::node(forked(net, x), net.convolved(x, 3, 3, 3))->resultImage(), 1, 3, 3);
    };
    expectAdded(three, 2);
    expectAdded(three, 2, {.count = 3});
}

TEST(PassAccumulation, OtherGradientsAreAddedToAndDoNotAdd) {
    // The gradient that comes past the convolution is made first.
    expectAdded(
        [](TrainedNet& net) {
            const auto x = net.convolved(net.x, 1, 3, 3);
            return net.convolved(MPS::NNAdditionNode::node(x, net.convolved(x, 3, 3, 3))->resultImage(), 1, 3, 3);
        },
        1);
    // Poolings alone.
    expectAdded(
        [](TrainedNet& net) {
            const auto x = net.convolved(net.x, 1, 3, 3);
            const auto sum = MPS::NNAdditionNode::node(MPS::CNNPoolingMaxNode::node(x, 3, 1)->resultImage(),
                                                       MPS::CNNPoolingMaxNode::node(x, 1, 1)->resultImage());
            return net.convolved(sum->resultImage(), 1, 3, 3);
        },
        0);
}

TEST(PassAccumulation, WithAllRewritesANetOfBlocksTrainsTheSame) {
    const auto blocks = [](TrainedNet& net) {
        auto x = net.convolved(net.x, 3, 3, 3);
        for (int i = 0; i < 2; ++i) {
            const auto branch = MPS::CNNNeuronReLUNode::node(net.convolved(x, 1, 3, 3), 0.5F)->resultImage();
            x = MPS::CNNNeuronReLUNode::node(MPS::NNAdditionNode::node(x, branch)->resultImage())->resultImage();
        }
        return net.convolved(x, 1, 3, 3);
    };
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        const auto without = train(device, blocks, Options::none()), with = train(device, blocks, Options{});
        expectSame(with, without);
        EXPECT_LT(with.steps, without.steps);
        EXPECT_LT(with.peak, without.peak);
    }
}

TEST(PassAccumulation, ACopyOfTheGraphAddsToo) {
    for (const auto& device : graphDevices()) {
        std::vector<Pictures> found;
        TrainedNet net;
        const auto graph = trainedGraph(device, net, inside, {}, Options{}, MPS::NNTrainingStyle::UpdateDeviceNone);
        const auto copy = std::dynamic_pointer_cast<MPS::NNGraph>(graph->copy());
        ASSERT_TRUE(copy);
        EXPECT_EQ(copy->debugDescription(), graph->debugDescription());
        const NamedPictures given{{"x", integers(8, 4, 3, 2)}, {"gradient", integers(8, 4, 3, 2)}};
        for (const auto& one : {graph, copy, graph, copy}) found.push_back(run(device, *one, given)[0]);
        for (const auto& pictures : found) EXPECT_EQ(pictures, found[0]);
    }
}

TEST(PassAccumulation, WhatSomebodyElseSeesOrScalesIsSummedApart) {
    using Change = std::function<void(const Filter&)>;
    const auto steps = [](const std::shared_ptr<MTL::Device>& device, const Change& ofGradients, const Change& ofSums,
                          const Options& options) {
        TrainedNet net;
        const auto termini = inside(net)->producer()->trainingGraph(
            inputNamed("gradient"), [&](const auto& filter, const auto& forward, const auto&, const auto&) {
                const bool sum = !forward;
                if (sum && ofSums) ofSums(filter);
                if (!sum && ofGradients && std::string(filter->className()) == "CNNConvolutionGradientNode")
                    ofGradients(filter);
            });
        return stepsOf(*compile(device, {termini.front()->resultImage()}, options));
    };
    const Change exports = [](const Filter& filter) { filter->resultImage()->setExportFromGraph(true); };
    const Change clamps = [](const Filter& filter) { filter->resultImage()->setFormat(PixelFormat::Unorm16); };
    const Change halves = [](const Filter& filter) { filter->resultImage()->setFormat(PixelFormat::Float16); };
    const Change scales = [](const Filter& filter) {
        std::dynamic_pointer_cast<MPS::NNAdditionNode>(filter)->setPrimaryScale(2);
    };
    for (const auto& device : graphDevices()) {
        const std::size_t all = steps(device, nullptr, nullptr, Options::none());
        EXPECT_EQ(steps(device, nullptr, nullptr, only(kAdd)), all - 1);
        for (const auto& change : {exports, clamps}) {
            EXPECT_EQ(steps(device, nullptr, change, only(kAdd)), all);
            EXPECT_EQ(steps(device, change, nullptr, only(kAdd)), all);
        }
        EXPECT_EQ(steps(device, nullptr, halves, only(kAdd)), all);
        EXPECT_EQ(steps(device, nullptr, scales, only(kAdd)), all);
    }
}

TEST(PassAccumulation, AGraphWideFormatThatClampsIsRefusedWhereAnImageWasLeftOut) {
    for (const auto& device : graphDevices())
        for (const auto format : {PixelFormat::Unorm8, PixelFormat::Unorm16}) {
            const auto encode = [&](const Options& options) {
                const auto x = inputNamed("x");
                const auto neuron = MPS::CNNNeuronLinearNode::node(
                    MPS::CNNConvolutionNode::node(x, integerWeights(1, 1, 1))->resultImage(), 0.5F, 0);
                neuron->setLabel("half");
                const auto graph = compile(device, {neuron->resultImage()}, options);
                graph->setLabel("clamped");
                graph->setFormat(format);
                const auto commands = device->newCommandQueue()->commandBuffer();
                graph->encodeBatch(commands, {batchAs<float>(device, PixelFormat::Float32, counted(2, 1, 1))});
                commands->commit();
                commands->waitUntilCompleted();
            };
            EXPECT_EQ(messageOf([&] { encode(Options::none()); }), "no error");
            const auto message = messageOf([&] { encode({}); });
            EXPECT_THAT(message, testing::HasSubstr("clamped"));
            EXPECT_THAT(message, testing::HasSubstr("format"));
            EXPECT_THAT(message, testing::HasSubstr("CNNNeuron 'half' became part of CNNConvolution 'weights'"));
        }
}
