// What transposed convolutions refuse, each with one sentence, nothing encoded, and the objects still
// working.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/CNNConvolutionTranspose.hpp>

#include "TestKernel.h"
#include "WeightedKernels.h"

using namespace pewter::test;
using testing::HasSubstr;

namespace {

using Descriptor = MPS::CNNConvolutionDescriptor;
using Transpose = MPS::CNNConvolutionTranspose;
using TransposeGradient = MPS::CNNConvolutionTransposeGradient;

std::shared_ptr<Descriptor> geometry(std::size_t taps = 3) {
    auto d = Descriptor::cnnConvolutionDescriptor(taps, taps, 2, 4);
    d->setStrideInPixelsX(2);
    d->setStrideInPixelsY(2);
    return d;
}

std::shared_ptr<ListSource> source(const std::shared_ptr<Descriptor>& d = geometry()) {
    return listSource(d, Numbers(d->weightCount(), 1));
}

std::string construct(const std::shared_ptr<ListSource>& s) {
    return sentenceOf([&] { Transpose(testDevice(), s); });
}
std::string constructGradient(const std::shared_ptr<ListSource>& s) {
    return sentenceOf([&] { TransposeGradient(testDevice(), s); });
}

struct Layer {
    std::shared_ptr<ListSource> list = source();
    std::shared_ptr<Transpose> forward = std::make_shared<Transpose>(testDevice(), list);
    std::shared_ptr<TransposeGradient> gradient = std::make_shared<TransposeGradient>(testDevice(), list);
    ImagePtr x = makeImage(3, 3, 2), y = makeImage(5, 5, 4), e = makeImage(5, 5, 4), dx = makeImage(3, 3, 2);
    BufferPtr commands = testQueue()->commandBuffer();
    std::shared_ptr<MPS::State> state = forward->resultState(x, {}, y);

    Layer() { forward->encode(commands, x, state, y); }
    /// The sentence, after checking that nothing was recorded and that the kernels still work.
    template <class Body>
    std::string refused(Body body) {
        const Recorded before(commands);
        const auto sentence = sentenceOf(body);
        EXPECT_FALSE(sentence.empty());
        EXPECT_EQ(Recorded(commands), before) << sentence;
        forward->setEdgeMode(MPS::ImageEdgeMode::Zero);
        forward->encode(commands, x, y);
        gradient->encode(commands, e, x, state, dx);
        return sentence;
    }
};

}  // namespace

TEST(ConvolutionTransposeErrors, ConstructionNamesWhatIsWrongWithTheDataSource) {
    EXPECT_THAT(sentenceOf([] { Transpose(testDevice(), nullptr); }),
                HasSubstr("CNNConvolutionTranspose: weights: expected a data source, found null"));
    auto s = source();
    s->loadable = false;
    EXPECT_THAT(construct(s),
                HasSubstr("CNNConvolutionTranspose 'layer': weights: expected a data source whose "
                          "load() succeeds"));
    EXPECT_THAT(constructGradient(s), HasSubstr("CNNConvolutionTransposeGradient 'layer'"));
    s = source();
    s->type = MPS::DataType::Float16;
    s->bytes.assign(1000, 0);
    for (const auto& sentence : {construct(s), constructGradient(s)})
        EXPECT_THAT(sentence, HasSubstr("dataType: expected Float32 for a transposed convolution"));
    auto blocks = MPS::CNNSubPixelConvolutionDescriptor::cnnConvolutionDescriptor(3, 3, 2, 4);
    blocks->setSubPixelScaleFactor(2);
    EXPECT_THAT(construct(source(blocks)),
                HasSubstr("subPixelScaleFactor: expected 1 for a transposed convolution, found 2"));
    s = source();
    s->floats.clear();
    EXPECT_THAT(construct(s), HasSubstr("weights: expected a pointer to the weights, found null"));
    EXPECT_EQ(s->loads, s->purges);
}

TEST(ConvolutionTransposeErrors, WhatHasNoGradientIsRefusedByTheGradientKernel) {
    auto d = geometry();
    d->setFusedNeuronDescriptor(MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU));
    EXPECT_EQ(construct(source(d)), "");
    EXPECT_THAT(constructGradient(source(d)), HasSubstr("fusedNeuronDescriptor: expected none"));
    d = geometry();
    d->setBatchNormalizationParametersForInference({}, {}, {}, {}, 0);
    EXPECT_THAT(constructGradient(source(d)), HasSubstr("setBatchNormalizationParametersForInference"));
}

TEST(ConvolutionTransposeErrors, ForwardEncodesNameTheArgument) {
    Layer layer;
    EXPECT_THAT(layer.refused([&] { layer.forward->encode(layer.commands, makeImage(3, 3, 3), layer.y); }),
                HasSubstr("sourceImage: expected 2 feature channels, found 3"));
    EXPECT_THAT(
        layer.refused([&] {
            layer.forward->setEdgeMode(MPS::ImageEdgeMode::Clamp);
            layer.forward->encode(layer.commands, layer.x, layer.y);
        }),
        HasSubstr("edgeMode: expected Zero: outside the source of a transposed convolution are zeros, found "
                  "Clamp"));
    const std::shared_ptr<MPS::State> plain = std::make_shared<MPS::State>(testDevice(), 4);
    EXPECT_THAT(
        layer.refused([&] { layer.forward->encode(layer.commands, layer.x, plain, layer.y); }),
        HasSubstr("destinationState: expected a CNNConvolutionTransposeGradientState, found a State"));
    const auto other = std::make_shared<Transpose>(testDevice(), source());
    const auto foreign = other->resultState(layer.x, {}, layer.y);
    EXPECT_THAT(layer.refused([&] { layer.forward->encode(layer.commands, layer.x, foreign, layer.y); }),
                HasSubstr("destinationState: expected a state made by this kernel"));
    EXPECT_THAT(layer.refused([&] { layer.forward->encode(layer.commands, layer.x, makeImage(5, 5, 3)); }),
                HasSubstr("destinationImage: expected at least 4 feature channels"));
}

TEST(ConvolutionTransposeErrors, LinkedStatesMustBeThoseOfAConvolution) {
    Layer layer;
    const auto own = std::dynamic_pointer_cast<MPS::CNNConvolutionGradientState>(layer.state);
    EXPECT_THAT(layer.refused([&] { layer.forward->encode(layer.commands, layer.x, own, layer.y); }),
                HasSubstr("convolutionGradientState: expected a CNNConvolutionGradientState, found a "
                          "CNNConvolutionTransposeGradientState"));
    EXPECT_THAT(layer.refused([&] { layer.forward->resultState(layer.x, {nullptr}, layer.y); }),
                HasSubstr("convolutionGradientState: expected a CNNConvolutionGradientState, found null"));
    EXPECT_THAT(
        sentenceOf([&] { MPS::convolutionGradientStates({std::make_shared<MPS::State>(testDevice(), 4)}); }),
        HasSubstr("states: expected CNNConvolutionGradientState objects, found a State"));
    EXPECT_THAT(layer.refused([&] {
        layer.forward->encode(layer.commands, layer.x, std::shared_ptr<MPS::CNNConvolutionGradientState>(),
                              nullptr, false);
    }),
                HasSubstr("destinationState: expected an address for the new state, found null"));
}

TEST(ConvolutionTransposeErrors, TheGradientKernelNamesWhatDoesNotFit) {
    Layer layer;
    MPS::CNNConvolution convolution(testDevice(), source());
    const auto wrong = convolution.resultState(layer.x, {}, makeImage(2, 2, 4));
    EXPECT_THAT(
        layer.refused([&] { layer.gradient->encode(layer.commands, layer.e, layer.x, wrong, layer.dx); }),
        HasSubstr("gradientState: expected a CNNConvolutionTransposeGradientState, found a "
                  "CNNConvolutionGradientState"));
    // And the other way round: a convolution's gradient kernel takes no transposed state.
    MPS::CNNConvolutionGradient plain(testDevice(), source());
    EXPECT_THAT(sentenceOf([&] { plain.encode(layer.commands, layer.e, layer.x, layer.state, layer.dx); }),
                HasSubstr("expected a state that the encode of a convolution has filled, found one of "
                          "CNNConvolutionTranspose 'layer'"));
    EXPECT_THAT(layer.refused([&] {
        layer.gradient->encode(layer.commands, makeImage(4, 5, 4), layer.x, layer.state, layer.dx);
    }),
                HasSubstr("sourceGradient: expected 5 x 5 pixels, the forward clip rectangle, found 4 x 5"));
    EXPECT_THAT(layer.refused([&] {
        layer.gradient->encode(layer.commands, layer.e, makeImage(4, 3, 2), layer.state, layer.dx);
    }),
                HasSubstr("sourceImage: expected 3 x 3 pixels, the forward source, found 4 x 3"));
    EXPECT_THAT(layer.refused([&] {
        layer.gradient->encode(layer.commands, makeImage(5, 5, 3), layer.x, layer.state, layer.dx);
    }),
                HasSubstr("sourceGradient: expected 4 feature channels, found 3"));
    TransposeGradient larger(testDevice(), source(geometry(5)));
    EXPECT_THAT(sentenceOf([&] { larger.encode(layer.commands, layer.e, layer.x, layer.state, layer.dx); }),
                HasSubstr("gradientState: expected one of a transposed convolution of 5 x 5 taps"));
}

TEST(ConvolutionTransposeErrors, ReloadsCheckTheStateAndTheSource) {
    Layer layer;
    const auto small = std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(
        testDevice(), *Descriptor::cnnConvolutionDescriptor(1, 1, 2, 4));
    for (const auto& body :
         {std::function<void()>([&] { layer.forward->reloadWeightsAndBiases(layer.commands, small); }),
          std::function<void()>([&] { layer.gradient->reloadWeightsAndBiases(layer.commands, small); })})
        EXPECT_THAT(layer.refused(body), HasSubstr("state: expected 72 weights, found 8"));
    EXPECT_THAT(layer.refused([&] { layer.forward->reloadWeightsAndBiases(layer.commands, nullptr); }),
                HasSubstr("state: expected a CNNConvolutionWeightsAndBiasesState, found null"));
    layer.list->type = MPS::DataType::Float16;
    layer.list->bytes.assign(1000, 0);
    EXPECT_THAT(layer.refused([&] { layer.forward->reloadWeightsAndBiasesFromDataSource(); }),
                HasSubstr("dataType: expected Float32"));
    EXPECT_THAT(layer.refused([&] { layer.gradient->reloadWeightsAndBiasesFromDataSource(); }),
                HasSubstr("dataType: expected Float32"));
}
