// What convolutions refuse, each with one sentence, nothing encoded, and the objects still working.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "TestKernel.h"
#include "WeightedKernels.h"

using namespace pewter::test;
using testing::HasSubstr;

namespace {

using Descriptor = MPS::CNNConvolutionDescriptor;

std::shared_ptr<ListSource> source(std::size_t taps = 3, std::size_t in = 2, std::size_t out = 4) {
    auto d = Descriptor::cnnConvolutionDescriptor(taps, taps, in, out);
    return listSource(d, Numbers(d->weightCount(), 1));
}

std::string construct(const std::shared_ptr<ListSource>& s) {
    return sentenceOf([&] { MPS::CNNConvolution(testDevice(), s); });
}
std::string constructGradient(const std::shared_ptr<ListSource>& s) {
    return sentenceOf([&] { MPS::CNNConvolutionGradient(testDevice(), s); });
}

struct Layer {
    std::shared_ptr<ListSource> list = source();
    std::shared_ptr<MPS::CNNConvolution> forward = std::make_shared<MPS::CNNConvolution>(testDevice(), list);
    std::shared_ptr<MPS::CNNConvolutionGradient> gradient =
        std::make_shared<MPS::CNNConvolutionGradient>(testDevice(), list);
    ImagePtr x = makeImage(5, 5, 2), y = makeImage(5, 5, 4), e = makeImage(5, 5, 4), dx = makeImage(5, 5, 2);
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
        forward->encode(commands, x, y);
        gradient->encode(commands, e, x, state, dx);
        return sentence;
    }
};

}  // namespace

TEST(ConvolutionErrors, ConstructionNamesWhatIsWrongWithTheDataSource) {
    EXPECT_THAT(sentenceOf([] { MPS::CNNConvolution(testDevice(), nullptr); }),
                HasSubstr("CNNConvolution: weights: expected a data source, found null"));
    EXPECT_THAT(sentenceOf([] { MPS::CNNConvolution(nullptr, source()); }), HasSubstr("device"));
    auto s = source();
    s->loadable = false;
    EXPECT_THAT(construct(s), HasSubstr("a data source whose load() succeeds, found false"));
    EXPECT_THAT(constructGradient(s), HasSubstr("load()"));
    EXPECT_EQ(s->purges, 0);
    s = source();
    s->shape = nullptr;
    EXPECT_THAT(construct(s), HasSubstr("CNNConvolution 'layer': descriptor"));
    EXPECT_EQ(s->purges, 1);
    s = source();
    s->floats.clear();
    EXPECT_THAT(construct(s), HasSubstr("weights: expected a pointer to the weights, found null"));
    EXPECT_EQ(s->purges, 1);
    s = source();
    s->type = MPS::DataType::Int32;
    EXPECT_THAT(construct(s), HasSubstr("dataType: expected Float32, Float16 or UInt8"));
    s = source();
    s->kept = MPS::DataType::UInt8;
    EXPECT_THAT(construct(s), HasSubstr("kernelWeightsDataType"));
    s = source();
    s->type = MPS::DataType::UInt8;
    s->bytes.assign(s->shape->weightCount(), 0);
    EXPECT_THAT(construct(s), HasSubstr("weightsQuantizationType"));
}

TEST(ConvolutionErrors, ConstructionNamesWhatIsWrongWithTheDescriptor) {
    EXPECT_THAT(sentenceOf([] { Descriptor::cnnConvolutionDescriptor(0, 3, 1, 1); }),
                HasSubstr("CNNConvolutionDescriptor: kernelWidth: expected at least 1, found 0"));
    EXPECT_THAT(sentenceOf([] { Descriptor::cnnConvolutionDescriptor(3, 3, 1, 0); }),
                HasSubstr("outputFeatureChannels"));
    auto s = source();
    s->shape->setStrideInPixelsY(0);
    EXPECT_THAT(construct(s), HasSubstr("strideInPixelsY: expected at least 1, found 0"));
    s = source(3, 6, 8);
    s->shape->setGroups(4);
    EXPECT_THAT(construct(s),
                HasSubstr("groups: expected a divisor of both channel counts, found 4 for 6 to 8"));
    s = source(3, 6, 8);
    s->shape->setGroups(2);
    EXPECT_THAT(construct(s), HasSubstr("multiples of 4 channels in each group"));
    auto depthwise = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(3, 3, 4, 6);
    EXPECT_THAT(construct(listSource(depthwise, Numbers(54))),
                HasSubstr("a multiple of inputFeatureChannels"));
    auto sub = MPS::CNNSubPixelConvolutionDescriptor::cnnConvolutionDescriptor(3, 3, 1, 6);
    sub->setSubPixelScaleFactor(2);
    EXPECT_THAT(
        construct(listSource(sub, Numbers(54))),
        HasSubstr("a factor whose square divides outputFeatureChannels, found 2 for 1 to 6 channels"));
    s = source();
    s->shape->setFusedNeuronDescriptor(MPS::NNNeuronDescriptor::cnnNeuronPReLUDescriptor({1, 2}));
    EXPECT_THAT(construct(s), HasSubstr("a PReLU slope for each of 4 channels, found 2 slopes"));
    EXPECT_THAT(
        sentenceOf([] { source()->shape->setBatchNormalizationParametersForInference({1}, {}, {}, {}, 0); }),
        HasSubstr("mean: expected 4 values"));
    EXPECT_THAT(sentenceOf([] { MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::Count); }),
                HasSubstr("found 16"));
}

TEST(ConvolutionErrors, GradientKernelsRefuseWhatHasNoGradient) {
    auto s = source();
    s->shape->setFusedNeuronDescriptor(
        MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU));
    EXPECT_THAT(constructGradient(s), HasSubstr("CNNConvolutionGradient 'layer': fusedNeuronDescriptor"));
    EXPECT_EQ(s->loads, s->purges);
    s = source();
    s->shape->setBatchNormalizationParametersForInference({}, {}, {}, {}, 1);
    EXPECT_THAT(constructGradient(s), HasSubstr("no folded batch normalisation"));
    const auto d = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(3, 3, 2, 4);
    EXPECT_THAT(constructGradient(listSource(d, Numbers(36))),
                HasSubstr("channelMultiplier: expected at most 1, found 2"));
}

TEST(ConvolutionErrors, FullyConnectedKernelsTakeNoStrideDilationGroupsOrDepthwise) {
    const auto construct = [](const std::shared_ptr<ListSource>& s) {
        return sentenceOf([&] { MPS::CNNFullyConnected(testDevice(), s); });
    };
    auto s = source();
    s->shape->setStrideInPixelsX(2);
    EXPECT_THAT(construct(s), HasSubstr("CNNFullyConnected 'layer': strideInPixelsX: expected 1"));
    s = source();
    s->shape->setDilationRateY(2);
    EXPECT_THAT(construct(s), HasSubstr("dilationRateY"));
    const auto d = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(3, 3, 2, 2);
    EXPECT_THAT(construct(listSource(d, Numbers(18))), HasSubstr("a plain convolution descriptor"));
    MPS::CNNFullyConnected kernel(testDevice(), source());
    const auto commands = testQueue()->commandBuffer();
    EXPECT_THAT(sentenceOf([&] { kernel.encode(commands, makeImage(4, 3, 2)); }),
                HasSubstr("sourceImage: expected 3 x 3 pixels, the kernel's size, found 4 x 3"));
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
}

TEST(ConvolutionErrors, WrongChannelCountsAreNamed) {
    Layer l;
    EXPECT_THAT(l.refused([&] { l.forward->encode(l.commands, makeImage(5, 5, 3), l.y); }),
                HasSubstr("CNNConvolution 'layer': sourceImage: expected 2 feature channels, found 3"));
    EXPECT_THAT(l.refused([&] { l.forward->encode(l.commands, l.x, makeImage(5, 5, 3)); }),
                HasSubstr("destinationImage: expected at least 4 feature channels"));
    EXPECT_THAT(l.refused([&] { l.gradient->encode(l.commands, makeImage(5, 5, 3), l.x, l.state, l.dx); }),
                HasSubstr("sourceGradient: expected 4 feature channels, found 3"));
    EXPECT_THAT(l.refused([&] { l.gradient->encode(l.commands, l.e, makeImage(5, 5, 1), l.state, l.dx); }),
                HasSubstr("sourceImage: expected 2 feature channels, found 1"));
}

TEST(ConvolutionErrors, WrongExtentsAreNamed) {
    Layer l;
    EXPECT_THAT(l.refused([&] { l.gradient->encode(l.commands, makeImage(4, 5, 4), l.x, l.state, l.dx); }),
                HasSubstr("sourceGradient: expected 5 x 5 pixels, the forward clip rectangle, found 4 x 5"));
    EXPECT_THAT(l.refused([&] { l.gradient->encode(l.commands, l.e, makeImage(5, 6, 2), l.state, l.dx); }),
                HasSubstr("sourceImage: expected 5 x 5 pixels, the forward source, found 5 x 6"));
}

TEST(ConvolutionErrors, StatesOfOtherKernelsAreNamed) {
    Layer l;
    const auto foreign = std::make_shared<MPS::NNGradientState>(MPS::StateOwner::of(testDevice()));
    EXPECT_THAT(
        l.refused([&] { l.forward->encode(l.commands, l.x, foreign, l.y); }),
        HasSubstr("destinationState: expected a CNNConvolutionGradientState, found a NNGradientState"));
    EXPECT_THAT(l.refused([&] { l.gradient->encode(l.commands, l.e, l.x, foreign, l.dx); }),
                HasSubstr("gradientState: expected a CNNConvolutionGradientState, found a NNGradientState"));
    EXPECT_THAT(l.refused([&] { l.gradient->encode(l.commands, l.e, l.x, nullptr, l.dx); }),
                HasSubstr("null"));
    EXPECT_THAT(l.refused([&] { l.gradient->encodeWeightGradients(l.commands, {l.e}, {l.x}, {foreign}); }),
                HasSubstr("found a NNGradientState"));
    EXPECT_THAT(l.refused([&] { l.gradient->encodeWeightGradients(l.commands, {l.e}, {l.x}, {}); }),
                HasSubstr("expected 1 states"));
    Layer other;
    EXPECT_THAT(l.refused([&] { l.forward->encode(l.commands, l.x, other.state, l.y); }),
                HasSubstr("a state made by this kernel"));
    auto strided = source();
    strided->shape->setStrideInPixelsX(2);
    const auto kernel = std::make_shared<MPS::CNNConvolution>(testDevice(), strided);
    const auto y = makeImage(3, 5, 4);
    const auto state = kernel->resultState(l.x, {}, y);
    EXPECT_THAT(l.refused([&] { l.gradient->encode(l.commands, l.e, l.x, state, l.dx); }),
                HasSubstr("gradientState: expected one of a convolution of 3 x 3 taps, stride 1 x 1"));
    const auto empty =
        std::make_shared<MPS::CNNConvolutionGradientState>(MPS::StateOwner::of(testDevice()), 72, 4, nullptr);
    EXPECT_THAT(l.refused([&] { l.gradient->encode(l.commands, l.e, l.x, empty, l.dx); }),
                HasSubstr("found an empty one"));
}

TEST(ConvolutionErrors, ReloadsNameAWrongState) {
    Layer l;
    EXPECT_THAT(l.refused([&] { l.forward->reloadWeightsAndBiases(l.commands, nullptr); }),
                HasSubstr("state: "));
    const auto small =
        std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(bufferOf(testDevice(), {1}), nullptr);
    EXPECT_THAT(l.refused([&] { l.forward->reloadWeightsAndBiases(l.commands, small); }),
                HasSubstr("state: expected 72 weights, found 1"));
    EXPECT_THAT(l.refused([&] { l.gradient->reloadWeightsAndBiases(l.commands, small); }),
                HasSubstr("CNNConvolutionGradient 'layer': state: expected 72 weights, found 1"));
    const auto biases = std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(
        bufferOf(testDevice(), Numbers(72)), bufferOf(testDevice(), {1, 2}));
    EXPECT_THAT(l.refused([&] { l.forward->reloadWeightsAndBiases(l.commands, biases); }),
                HasSubstr("expected 4 biases, or none, found 2"));
    l.list->shape->setStrideInPixelsX(2);
    EXPECT_THAT(l.refused([&] { l.forward->reloadWeightsAndBiasesFromDataSource(); }),
                HasSubstr("descriptor: expected the geometry of the kernel"));
    l.list->loadable = false;
    EXPECT_THAT(sentenceOf([&] { l.forward->reloadWeightsAndBiasesFromDataSource(); }), HasSubstr("load()"));
    run(l.commands);
}

TEST(ConvolutionErrors, WeightStatesNameRangesThatDoNotFit) {
    const auto d = source()->shape;
    const auto buffer = bufferOf(testDevice(), Numbers(72));
    using State = MPS::CNNConvolutionWeightsAndBiasesState;
    EXPECT_THAT(sentenceOf([&] { State(nullptr, nullptr); }),
                HasSubstr("weights: expected a buffer, found null"));
    EXPECT_THAT(sentenceOf([&] { State(buffer, 4, nullptr, 0, *d); }),
                HasSubstr("weights: expected at least 292 bytes, 288 from byte 4, found 288 bytes"));
    EXPECT_THAT(sentenceOf([&] { State(buffer, 2, nullptr, 0, *d); }),
                HasSubstr("weightsOffset: expected a multiple of 4"));
    EXPECT_THAT(sentenceOf([&] { State(buffer, 0, buffer, 280, *d); }),
                HasSubstr("biases: expected at least 296 bytes"));
}
