// States of transposed convolutions: linked convolutions, read counts, gradients of sub-batches, updates.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/CNNConvolutionTranspose.hpp>

#include "TestKernel.h"
#include "TransposedLoops.h"

using namespace pewter::test;
using testing::HasSubstr;

namespace {

using Transpose = MPS::CNNConvolutionTranspose;
using TransposeGradient = MPS::CNNConvolutionTransposeGradient;
using TransposeState = MPS::CNNConvolutionTransposeGradientState;

/// A convolution of stride 2 and the transposed convolution that undoes it.
struct Autoencoder {
    DevicePtr device;
    std::size_t taps, width;
    std::shared_ptr<MPS::CNNConvolutionDescriptor> down, up;
    std::shared_ptr<ListSource> encoderSource, decoderSource;
    std::shared_ptr<MPS::CNNConvolution> encoder;
    std::shared_ptr<Transpose> decoder;
    ImagePtr x;

    explicit Autoencoder(DevicePtr d, std::size_t windowTaps = 3, std::size_t sourceWidth = 7)
        : device(std::move(d)), taps(windowTaps), width(sourceWidth) {
        Random random(41);
        down = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(taps, taps, 2, 3);
        up = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(taps, taps, 3, 2);
        for (auto& one : {down, up}) {
            one->setStrideInPixelsX(2);
            one->setStrideInPixelsY(2);
        }
        encoderSource = listSource(down, integers(random, down->weightCount(), -2, 2));
        decoderSource = listSource(up, integers(random, up->weightCount(), -2, 2), {1, -1});
        encoder = std::make_shared<MPS::CNNConvolution>(device, encoderSource);
        decoder = std::make_shared<Transpose>(device, decoderSource);
        encoder->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        decoder->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        x = imageOf(device, width, width, 2, integers(random, width * width * 2, -2, 2));
    }
    BufferPtr commands() const { return device->newCommandQueue()->commandBuffer(); }
};

std::shared_ptr<MPS::CNNConvolutionGradientState> convolutionState(const std::shared_ptr<MPS::State>& state) {
    return std::dynamic_pointer_cast<MPS::CNNConvolutionGradientState>(state);
}

}  // namespace

TEST(ConvolutionTransposeState, ALinkedConvolutionGivesBackItsSizeAndItsPlace) {
    for (const auto& device : weightedDevices())
        for (const std::size_t taps : {1u, 2u, 3u, 4u, 5u})
            for (const std::size_t width : {6u, 7u}) {
                Autoencoder net(device, taps, width);
                const auto c = net.commands();
                std::shared_ptr<MPS::State> state;
                const auto hidden = net.encoder->encode(c, net.x, &state, false);
                const auto y = net.decoder->encode(c, hidden, convolutionState(state));
                finish(c);
                ASSERT_EQ(y->width(), width);
                ASSERT_EQ(y->height(), width);
                ASSERT_EQ(y->featureChannels(), 2u);
                // The adjoint of the convolution with its own weights, taken backwards: pixels meet where
                // they were.
                Loops loops;
                loops.d = net.down;
                loops.width = loops.height = width;
                loops.offsetX = net.encoder->offset().x;
                loops.offsetY = net.encoder->offset().y;
                loops.outWidth = static_cast<std::int64_t>(hidden->width());
                loops.outHeight = static_cast<std::int64_t>(hidden->height());
                // w[c][k-1-r][k-1-q][o] of the decoder is [o][r][q][c] of that adjoint.
                const Numbers own(net.decoderSource->floats.begin(), net.decoderSource->floats.end());
                Numbers turned(own.size());
                for (std::size_t o = 0; o < 3; ++o)
                    for (std::size_t r = 0; r < taps; ++r)
                        for (std::size_t q = 0; q < taps; ++q)
                            for (std::size_t i = 0; i < 2; ++i)
                                turned[((o * taps + r) * taps + q) * 2 + i] =
                                    own[((i * taps + taps - 1 - r) * taps + taps - 1 - q) * 3 + o];
                auto expected = loops.dataGradient(read(*hidden), turned);
                for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += i % 2 ? -1 : 1;
                EXPECT_EQ(read(*y), expected) << taps << " taps, width " << width << ", " << device->name();
            }
}

TEST(ConvolutionTransposeState, EveryFormWithALinkedStateGivesTheSame) {
    for (const auto& device : weightedDevices()) {
        Autoencoder net(device);
        const auto c = net.commands();
        const MPS::ImageBatch xs = {net.x, net.x};
        MPS::StateBatch states;
        const auto hidden = net.encoder->encodeBatch(c, xs, &states, false);
        const auto linked = MPS::convolutionGradientStates(states);
        const auto y = net.decoder->encode(c, hidden[0], linked[0]);
        const auto batch = net.decoder->encodeBatch(c, hidden, linked);
        const auto given = imageOf(device, 7, 7, 2);
        net.decoder->setKernelOffsetX(3);  // comes from the state
        net.decoder->setOffset({2, 1, 0});
        net.decoder->encode(c, hidden[0], linked[0], given);
        const auto givenBatch = batchOf(device, 2, 7, 7, 2);
        net.decoder->setKernelOffsetY(3);
        net.decoder->encodeBatch(c, hidden, linked, givenBatch);
        std::shared_ptr<MPS::State> state;
        const auto training = net.decoder->encode(c, hidden[0], linked[0], &state, false);
        MPS::StateBatch trainingStates;
        const auto trainingBatch = net.decoder->encodeBatch(c, hidden, linked, &trainingStates, false);
        // And a state made before.
        const auto made = net.decoder->resultState(hidden[0], {states[0]}, given);
        const auto again = imageOf(device, 7, 7, 2);
        net.decoder->encode(c, hidden[0], made, again);
        finish(c);
        for (const auto& image : {batch[0], batch[1], given, givenBatch[0], givenBatch[1], training,
                                  trainingBatch[0], trainingBatch[1], again})
            EXPECT_EQ(read(*image), read(*y)) << device->name();
        for (const auto& one : {state, trainingStates[0], trainingStates[1], made}) {
            const auto own = std::dynamic_pointer_cast<TransposeState>(one);
            ASSERT_NE(own, nullptr);
            EXPECT_EQ(own->convolutionTranspose(), net.decoder);
            EXPECT_EQ(own->convolutionGradientState(), linked[0]);
            EXPECT_EQ(own->convolution(), net.encoder);
            EXPECT_EQ(own->sourceWidth(), 4u);
        }
        EXPECT_EQ(trainingStates[0], trainingStates[1]);
    }
}

TEST(ConvolutionTransposeState, WithoutALinkHasNoConvolution) {
    Autoencoder net(testDevice());
    const auto h = imageOf(net.device, 4, 4, 3), y = imageOf(net.device, 7, 7, 2);
    const auto state = std::dynamic_pointer_cast<TransposeState>(net.decoder->resultState(h, {}, y));
    ASSERT_NE(state, nullptr);
    EXPECT_EQ(state->convolution(), nullptr);
    EXPECT_EQ(state->convolutionGradientState(), nullptr);
    EXPECT_EQ(state->weightCount(), net.up->weightCount());
    EXPECT_EQ(state->biasCount(), 2u);
    EXPECT_EQ(state->resource(0, false), nullptr) << "memory comes with first use";
    EXPECT_EQ(floatsOf(*state->gradientForBiases()), (Numbers{0, 0}));
    EXPECT_THAT(state->description(), HasSubstr("CNNConvolutionTranspose 'layer'"));
}

TEST(ConvolutionTransposeState, AWholeAutoencoderTrainsThroughTemporaryStates) {
    for (const auto& device : weightedDevices()) {
        Autoencoder net(device);
        MPS::CNNConvolutionGradient encoderGradient(device, net.encoderSource);
        TransposeGradient decoderGradient(device, net.decoderSource);
        encoderGradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        decoderGradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto c = net.commands();
        std::shared_ptr<MPS::State> down, up;
        const auto hidden = net.encoder->encode(c, net.x, &down, true);
        // Two readers: the transposed convolution and the convolution's own gradient kernel.
        down->setReadCount(2);
        const auto y = net.decoder->encode(c, hidden, convolutionState(down), &up, true);
        EXPECT_EQ(down->readCount(), 1u);
        EXPECT_EQ(up->readCount(), 1u);
        up->setReadCount(2);
        const auto e = imageOf(device, 7, 7, 2, Numbers(98, 1));
        const auto dHidden = decoderGradient.encode(c, e, hidden, up);
        EXPECT_EQ(up->readCount(), 1u);
        EXPECT_EQ(down->readCount(), 1u)
            << "the gradient of the transposed convolution does not read the link";
        const auto dx = encoderGradient.encode(c, dHidden, net.x, down);
        EXPECT_EQ(down->readCount(), 0u);
        up->setReadCount(0);
        finish(c);

        TransposedLoops loops;
        loops.d = net.up;
        loops.width = loops.height = 4;
        loops.outWidth = loops.outHeight = 7;
        loops.totalX = loops.totalY = -net.encoder->offset().x;
        const auto expectedHidden = loops.dataGradient(
            read(*e), Numbers(net.decoderSource->floats.begin(), net.decoderSource->floats.end()));
        EXPECT_EQ(read(*dHidden), expectedHidden) << device->name();
        Loops back;
        back.d = net.down;
        back.width = back.height = 7;
        back.outWidth = back.outHeight = 4;
        back.offsetX = back.offsetY = net.encoder->offset().x;
        EXPECT_EQ(read(*dx), back.dataGradient(expectedHidden, Numbers(net.encoderSource->floats.begin(),
                                                                       net.encoderSource->floats.end())))
            << device->name();
    }
}

TEST(ConvolutionTransposeState, AnEncodeIntoAStateThatHasALinkReadsTheLinkToo) {
    Autoencoder net(testDevice());
    const auto c = testQueue()->commandBuffer();
    std::shared_ptr<MPS::State> down;
    const auto hidden = net.encoder->encode(c, net.x, &down, true);
    down->setReadCount(3);
    const auto y = imageOf(net.device, 7, 7, 2);
    const auto up = net.decoder->temporaryResultState(c, hidden, {down}, y);
    EXPECT_EQ(down->readCount(), 3u) << "making a state reads nothing";
    net.decoder->encode(c, hidden, up, y);
    EXPECT_EQ(down->readCount(), 2u);
    net.decoder->encodeBatch(c, {hidden}, MPS::StateBatch{up}, {y});
    EXPECT_EQ(down->readCount(), 1u);
    net.decoder->encode(c, hidden, convolutionState(down), y);
    EXPECT_EQ(down->readCount(), 0u);
    const Recorded before(c);
    EXPECT_THAT(sentenceOf([&] { net.decoder->encode(c, hidden, up, y); }),
                HasSubstr("convolutionGradientState"));
    EXPECT_EQ(Recorded(c), before);
    up->setReadCount(0);
}

TEST(ConvolutionTransposeState, SubBatchesAddUpToTheBatch) {
    for (const auto& device : weightedDevices()) {
        Autoencoder net(device);
        TransposeGradient gradient(device, net.decoderSource);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        Random random(42);
        const auto h = batchOf(device, 3, 4, 4, 3, integers(random, 144)), y = batchOf(device, 3, 7, 7, 2);
        const auto e = batchOf(device, 3, 7, 7, 2, integers(random, 294));
        const auto c = net.commands();
        const auto whole = net.decoder->resultStateBatch(h, {}, y),
                   parts = net.decoder->resultStateBatch(h, {}, y);
        net.decoder->encodeBatch(c, h, whole, y);
        net.decoder->encodeBatch(c, h, parts, y);
        gradient.encodeBatch(c, e, h, whole);
        gradient.encodeBatch(c, {e[0]}, {h[0]}, {parts[0]});
        gradient.encodeBatch(c, {e[1], e[2]}, {h[1], h[2]}, {parts[0], parts[0]});
        finish(c);
        auto &a = dynamic_cast<TransposeState&>(*whole[0]), &b = dynamic_cast<TransposeState&>(*parts[0]);
        EXPECT_EQ(floatsOf(*a.gradientForWeights()), floatsOf(*b.gradientForWeights())) << device->name();
        EXPECT_EQ(floatsOf(*a.gradientForBiases()), floatsOf(*b.gradientForBiases())) << device->name();
        EXPECT_TRUE(a.hasGradients());
    }
}

TEST(ConvolutionTransposeState, TheOptionChoosesTheGradients) {
    Autoencoder net(testDevice());
    TransposeGradient gradient(net.device, net.decoderSource);
    const auto h = imageOf(net.device, 4, 4, 3, Numbers(48, 1)), y = imageOf(net.device, 7, 7, 2);
    const auto e = imageOf(net.device, 7, 7, 2, Numbers(98, 1));
    const auto c = testQueue()->commandBuffer();
    const auto state = net.decoder->resultState(h, {}, y);
    net.decoder->encode(c, h, state, y);
    gradient.setGradientOption(MPS::CNNConvolutionGradientOptionGradientWithData);
    const auto dx = imageOf(net.device, 4, 4, 3, Numbers(48, 9));
    gradient.destinationImageDescriptor({e, h}, {state});
    EXPECT_EQ(gradient.primaryOffset().x, 0);
    gradient.encode(c, e, h, state, dx);
    auto& own = dynamic_cast<TransposeState&>(*state);
    EXPECT_FALSE(own.hasGradients());
    gradient.setGradientOption(MPS::CNNConvolutionGradientOptionGradientWithWeightsAndBias);
    const auto untouched = imageOf(net.device, 4, 4, 3, Numbers(48, 9));
    gradient.encode(c, e, h, state, untouched);
    EXPECT_TRUE(own.hasGradients());
    finish(c);
    EXPECT_NE(read(*dx), Numbers(48, 9));
    EXPECT_EQ(read(*untouched), Numbers(48, 9));
    EXPECT_EQ(floatsOf(*own.gradientForBiases()), (Numbers{49, 49}));
}

TEST(ConvolutionTransposeState, ReloadsReachWhatIsEncodedAfterThem) {
    for (const auto& device : weightedDevices()) {
        auto d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(3, 1, 1, 1);
        d->setStrideInPixelsX(2);
        const auto source = listSource(d, {100, 10, 1}, {0});
        const auto kernel = std::make_shared<Transpose>(device, source);
        TransposeGradient gradient(device, source);
        const auto x = imageOf(device, 2, 1, 1, {1, 2}), e = imageOf(device, 3, 1, 1, {1, 0, 0});
        const auto before = imageOf(device, 3, 1, 1), after = imageOf(device, 3, 1, 1),
                   last = imageOf(device, 3, 1, 1);
        const auto dxBefore = imageOf(device, 2, 1, 1), dxAfter = imageOf(device, 2, 1, 1);
        const auto c = device->newCommandQueue()->commandBuffer();
        const auto state = kernel->resultState(x, {}, before);
        kernel->encode(c, x, state, before);
        gradient.destinationImageDescriptor({e, x}, {state});
        gradient.encode(c, e, x, state, dxBefore);
        const auto exported = kernel->exportWeightsAndBiases(c, false);
        const auto fresh = std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(
            bufferOf(device, {200, 20, 2}), bufferOf(device, {1}));
        kernel->reloadWeightsAndBiases(c, fresh);
        kernel->encode(c, x, after);
        gradient.reloadWeightsAndBiases(c, fresh);
        gradient.encode(c, e, x, state, dxAfter);
        const auto counted = kernel->exportWeightsAndBiases(c, true);
        EXPECT_EQ(counted->readCount(), counted->isTemporary() ? 1u : 0u);
        counted->setReadCount(0);
        // From the host: into new memory, work that is encoded keeps the old.
        source->floats = {300, 30, 3};
        source->biases = {0};
        kernel->reloadWeightsAndBiasesFromDataSource();
        kernel->encode(c, x, last);
        finish(c);
        EXPECT_EQ(read(*before), (Numbers{10, 102, 20})) << device->name();
        EXPECT_EQ(read(*after), (Numbers{21, 205, 41})) << device->name();
        EXPECT_EQ(read(*last), (Numbers{30, 306, 60})) << device->name();
        EXPECT_EQ(read(*dxBefore), (Numbers{10, 0})) << device->name();
        EXPECT_EQ(read(*dxAfter), (Numbers{20, 0})) << device->name();
        EXPECT_EQ(floatsOf(*exported->weights()), (Numbers{100, 10, 1}));
        EXPECT_EQ(floatsOf(*exported->biases()), (Numbers{0}));
        gradient.reloadWeightsAndBiasesFromDataSource();
        const auto d2 = device->newCommandQueue()->commandBuffer();
        gradient.encode(d2, e, x, state, dxAfter);
        finish(d2);
        EXPECT_EQ(read(*dxAfter), (Numbers{30, 0})) << device->name();
    }
}
