#include <MPS/CNNBinaryConvolutionNode.hpp>
#include <cmath>

#include "BinaryWeights.h"
#include "NodesRun.h"

using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::HasSubstr;

namespace {

using Type = CNNBinaryConvolutionType;
using Flags = CNNBinaryConvolutionFlags;

/// Bits for windows of taps x taps, by output, row, column and input.
class Bits final : public CNNConvolutionDataSource {
public:
    Bits(std::size_t taps, std::size_t inputs, std::size_t outputs, const std::vector<int>& bits)
        : descriptor_(CNNConvolutionDescriptor::cnnConvolutionDescriptor(taps, taps, inputs, outputs)),
          words(packedBits(bits, inputs)) {}

    bool load() override { return true; }
    void purge() override {}
    std::shared_ptr<CNNConvolutionDescriptor> descriptor() const override { return descriptor_; }
    DataType dataType() const override { return DataType::UInt32; }
    const void* weights() const override { return words.data(); }
    const float* biasTerms() const override { return biases.empty() ? nullptr : biases.data(); }
    std::string label() const override { return "bits"; }
    std::optional<std::size_t> weightsLength() const override { return words.size(); }

private:
    std::shared_ptr<CNNConvolutionDescriptor> descriptor_;

public:
    std::vector<std::uint32_t> words;
    std::vector<float> biases;
};

/// 3 inputs, 2 outputs, one tap.
std::shared_ptr<Bits> pixelBits() {
    auto source = std::make_shared<Bits>(1, 3, 2, std::vector<int>{1, 0, 1, 0, 0, 1});
    source->biases = {1, -1};
    return source;
}

Pictures pixel(const Numbers& values) { return {1, 1, values.size(), values}; }

Pictures at(const std::shared_ptr<MTL::Device>& device, const Filter& node, const Numbers& x) {
    return resultOf(device, node->resultImage(), {{"x", pixel(x)}});
}

}  // namespace

TEST(NodesBinaryConvolution, OneScaleServesAllOutputsOfEveryType) {
    const Numbers x{1, -2, 4};
    for (const auto& device : graphDevices()) {
        const auto of = [&](Type type) {
            return at(device,
                      CNNBinaryConvolutionNode::node(inputNamed("x"), pixelBits(), 2, type, Flags::None), x);
        };
        // 1 + 2 + 4 and -1 + 2 + 4; times 2, plus bias.
        EXPECT_EQ(of(Type::BinaryWeights), pixel({15, 9})) << device->name();
        // Signs 1, -1, 1.
        EXPECT_EQ(of(Type::XNOR), pixel({7, 1}));
        // Bits 1, 0, 1.
        EXPECT_EQ(of(Type::AND), pixel({5, 1}));
        // Mean magnitude 2.
        EXPECT_EQ(at(device,
                     std::make_shared<CNNBinaryConvolutionNode>(inputNamed("x"), pixelBits(), 2,
                                                                Type::BinaryWeights, Flags::UseBetaScaling),
                     {1, -2, 3}),
                  pixel({25, 15}));
    }
}

TEST(NodesBinaryConvolution, ArraysOfTermsMayBeLeftOutAndAreCopiedWhenTheGraphIsMade) {
    for (const auto& device : graphDevices()) {
        std::vector<float> outputBias{10, 20}, outputScale{1, 3}, inputBias{1, 2, 3}, inputScale{1, 2, 0.5F};
        const auto node = CNNBinaryConvolutionNode::node(inputNamed("x"), pixelBits(), outputBias.data(),
                                                         outputScale.data(), inputBias.data(),
                                                         inputScale.data(), Type::BinaryWeights, Flags::None);
        outputBias[0] = 11;
        NNGraph graph(device, node->resultImage());
        const NamedPictures x{{"x", pixel({1, -2, 4})}};
        // (2, 0, 3.5): 5.5 and 1.5.
        EXPECT_EQ(run(device, graph, x)[0], pixel({16.5, 24.5})) << device->name();
        outputBias = {0, 0};
        inputScale = {0, 0, 0};
        EXPECT_EQ(run(device, graph, x)[0], pixel({16.5, 24.5}));
        graph.reloadFromDataSources();
        EXPECT_EQ(run(device, graph, x)[0], pixel({16.5, 24.5}))
            << "the terms are the node's, not the source's";
        // Biases 0, scales 1; the data source's own biases are not used.
        EXPECT_EQ(
            at(device,
               std::make_shared<CNNBinaryConvolutionNode>(inputNamed("x"), pixelBits(), nullptr, nullptr,
                                                          nullptr, nullptr, Type::BinaryWeights, Flags::None),
               {1, -2, 4}),
            pixel({7, 5}));
        EXPECT_EQ(at(device,
                     CNNBinaryConvolutionNode::node(inputNamed("x"), pixelBits(), nullptr, outputScale.data(),
                                                    nullptr, nullptr, Type::BinaryWeights, Flags::None),
                     {1, -2, 4}),
                  pixel({7, 15}));
    }
}

TEST(NodesBinaryConvolution, ItIsTheKernelUnderEveryPaddingPolicy) {
    std::vector<int> bits(3 * 3 * 5 * 4);
    for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = std::sin(2.3 * static_cast<double>(i)) > 0;
    const auto source = std::make_shared<Bits>(3, 5, 4, bits);
    source->descriptor()->setStrideInPixelsX(2);
    for (const auto& device : graphDevices())
        for (const auto method : {NNPaddingMethodSizeSame, NNPaddingMethodSizeValidOnly}) {
            const auto x = waves(6, 5, 5, 2);
            CNNBinaryConvolution kernel(device, source, 0.5F, Type::XNOR, Flags::UseBetaScaling);
            kernel.setPadding(NNDefaultPadding::padding(method));
            kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto expected =
                kernel.encodeBatch(commands, batchAs<float>(device, PixelFormat::Float32, x));
            commands->commit();
            commands->waitUntilCompleted();
            const auto node = CNNBinaryConvolutionNode::node(inputNamed("x"), source, 0.5F, Type::XNOR,
                                                             Flags::UseBetaScaling);
            EXPECT_EQ(node->paddingPolicy()->paddingMethod(), NNPaddingMethodSizeSame);
            node->setPaddingPolicy(NNDefaultPadding::padding(method));
            EXPECT_EQ(resultOf(device, node->resultImage(), {{"x", x}}), picturesAs<float>(expected))
                << device->name();
        }
}

TEST(NodesBinaryConvolution, FullyConnectedTakesTheWholePictureIntoOnePixel) {
    // 2 x 2 pixels of one channel; all bits but the last set.
    const auto source = std::make_shared<Bits>(2, 1, 1, std::vector<int>{1, 1, 1, 0});
    source->biases = {100};
    const Pictures x{2, 2, 1, {1, 2, 3, 4}};
    const float scale = 3, bias = 1000;
    for (const auto& device : graphDevices()) {
        const auto of = [&](const std::shared_ptr<CNNBinaryFullyConnectedNode>& node) {
            EXPECT_EQ(node->paddingPolicy()->paddingMethod(), NNPaddingMethodSizeValidOnly);
            return resultOf(device, node->resultImage(), {{"x", x}});
        };
        EXPECT_EQ(of(CNNBinaryFullyConnectedNode::node(inputNamed("x"), source, 2, Type::BinaryWeights,
                                                       Flags::None)),
                  pixel({104}))
            << device->name();
        EXPECT_EQ(of(std::make_shared<CNNBinaryFullyConnectedNode>(inputNamed("x"), source, 2, Type::XNOR,
                                                                   Flags::None)),
                  pixel({104}));
        EXPECT_EQ(of(CNNBinaryFullyConnectedNode::node(inputNamed("x"), source, &bias, &scale, nullptr,
                                                       nullptr, Type::BinaryWeights, Flags::None)),
                  pixel({1006}));
        EXPECT_EQ(of(std::make_shared<CNNBinaryFullyConnectedNode>(inputNamed("x"), source, nullptr, nullptr,
                                                                   nullptr, nullptr, Type::AND, Flags::None)),
                  pixel({3}));
    }
}

TEST(NodesBinaryConvolution, ReloadFromDataSourcesReadsBitsAndBiasesAgain) {
    for (const auto& device : graphDevices()) {
        const auto source = pixelBits();
        const auto node =
            CNNBinaryConvolutionNode::node(inputNamed("x"), source, 2, Type::BinaryWeights, Flags::None);
        NNGraph graph(device, node->resultImage());
        const NamedPictures x{{"x", pixel({1, -2, 4})}};
        EXPECT_EQ(run(device, graph, x)[0], pixel({15, 9}));
        source->words = packedBits(std::vector<int>{0, 0, 0, 1, 1, 1}, 3);
        source->biases = {0, 5};
        EXPECT_EQ(run(device, graph, x)[0], pixel({15, 9})) << device->name();
        graph.reloadFromDataSources();
        EXPECT_EQ(run(device, graph, x)[0], pixel({-6, 11})) << device->name();
        source->descriptor()->setKernelWidth(2);
        source->words.resize(4);
        EXPECT_THAT(messageOf([&] { graph.reloadFromDataSources(); }),
                    AllOf(HasSubstr("CNNBinaryConvolution 'bits'"), HasSubstr("geometry"),
                          HasSubstr("1 x 1 taps"), HasSubstr("2 x 1 taps")));
        EXPECT_EQ(run(device, graph, x)[0], pixel({-6, 11})) << "and keeps what it had";
    }
}

TEST(NodesBinaryConvolution, ThereAreNoGradientsAndNoState) {
    const auto x = inputNamed("x"), g = inputNamed("g");
    const auto conv = CNNBinaryConvolutionNode::node(x, pixelBits(), 2, Type::XNOR, Flags::None);
    conv->setLabel("bin");
    const auto full =
        CNNBinaryFullyConnectedNode::node(conv->resultImage(), pixelBits(), 2, Type::XNOR, Flags::None);
    for (const std::shared_ptr<CNNConvolutionNode>& node :
         std::vector<std::shared_ptr<CNNConvolutionNode>>{conv, full}) {
        EXPECT_EQ(node->resultState(), nullptr);
        EXPECT_TRUE(node->resultStates().empty());
        for (const auto& message :
             {messageOf([&] { node->gradientFilter(g); }), messageOf([&] { node->gradientFilters(g); })})
            EXPECT_THAT(message, AllOf(HasSubstr(node->name()), HasSubstr("gradientFilter"),
                                       HasSubstr("stopGradient"), HasSubstr(node->className())));
        EXPECT_THAT(
            messageOf([&] { node->convolutionGradientState(); }),
            AllOf(HasSubstr(node->name()), HasSubstr("convolutionGradientState"), HasSubstr("inference")));
    }
    EXPECT_THAT(messageOf([&] { CNNNeuronReLUNode::node(conv->resultImage())->trainingGraph(g); }),
                AllOf(HasSubstr("CNNBinaryConvolutionNode 'bin'"), HasSubstr("stopGradient")));
    conv->resultImage()->setStopGradient(true);
    EXPECT_EQ(CNNNeuronReLUNode::node(conv->resultImage())->trainingGraph(g).size(), 1u);
}

TEST(NodesBinaryConvolution, WhatItCannotTakeIsNamed) {
    const auto x = inputNamed("x");
    const auto device = MTL::copyDevice("reference");
    EXPECT_THAT(
        messageOf([&] { CNNBinaryConvolutionNode::node(nullptr, pixelBits(), 1, Type::XNOR, Flags::None); }),
        AllOf(HasSubstr("CNNBinaryConvolutionNode"), HasSubstr("source"), HasSubstr("null")));
    EXPECT_THAT(messageOf([&] { CNNBinaryFullyConnectedNode::node(x, nullptr, 1, Type::XNOR, Flags::None); }),
                AllOf(HasSubstr("CNNBinaryFullyConnectedNode"), HasSubstr("weights"), HasSubstr("null")));
    const auto graphOf = [&](const Filter& filter) {
        filter->setLabel("bin");
        return messageOf([&] { NNGraph graph(device, filter->resultImage()); });
    };
    EXPECT_THAT(graphOf(CNNBinaryConvolutionNode::node(x, pixelBits(), 1, static_cast<Type>(7), Flags::None)),
                AllOf(HasSubstr("CNNBinaryConvolutionNode 'bin'"), HasSubstr("type"), HasSubstr("7")));
    EXPECT_THAT(
        graphOf(
            CNNBinaryConvolutionNode::node(x, std::make_shared<Weights>(1, 3, 2), 1, Type::AND, Flags::None)),
        AllOf(HasSubstr("CNNBinaryConvolutionNode 'bin'"), HasSubstr("dataType"), HasSubstr("UInt32")));
    const auto strided = pixelBits();
    strided->descriptor()->setStrideInPixelsX(2);
    EXPECT_THAT(graphOf(CNNBinaryFullyConnectedNode::node(x, strided, 1, Type::AND, Flags::None)),
                AllOf(HasSubstr("CNNBinaryFullyConnectedNode 'bin'"), HasSubstr("strideInPixelsX")));
    const auto few = pixelBits();
    few->words.pop_back();
    EXPECT_THAT(graphOf(CNNBinaryConvolutionNode::node(x, few, 1, Type::AND, Flags::None)),
                AllOf(HasSubstr("CNNBinaryConvolutionNode 'bin'"), HasSubstr("weights"),
                      HasSubstr("expected 2 elements"), HasSubstr("found 1")));
}
