#include <MPS/CNNNeuron.hpp>
#include <MPS/CNNNormalization.hpp>
#include <MPS/NNGramMatrix.hpp>

#include "UnaryKernels.h"

/// Mistakes with local normalisations and Gram matrices: kernel, argument, expected and found in one
/// sentence, and a valid encode on the same command buffer afterwards.
using namespace pewter::test;
using testing::AllOf;

namespace {

struct LocalNormalizationErrors : testing::Test {
    DevicePtr device = MTL::copyDevice("reference");
    std::shared_ptr<MTL::CommandBuffer> commands = device->newCommandQueue()->commandBuffer();
    ImagePtr source = imageOf(device, 4, 3, 4, Numbers(48, 1)), result = imageOf(device, 4, 3, 4),
             dx = imageOf(device, 4, 3, 4);

    /// Refusals that every gradient of the three shares; `forward` and `gradient` fit each other.
    template <class Forward, class Gradient>
    void checkGradient(Forward& forward, Gradient& gradient) {
        gradient.setLabel("back");
        const auto state = forward.resultState(source, {}, result);
        forward.encode(commands, source, state, result);
        const auto sentence = [&](const std::function<void()>& mistake) { return sentenceOf(mistake); };
        EXPECT_THAT(sentence([&] { gradient.encode(commands, imageOf(device, 4, 3, 8), source, state, dx); }),
                    AllOf(HasSubstr(std::string(gradient.className()) + " 'back': sourceGradient"),
                          HasSubstr("expected 4 feature channels"), HasSubstr("found 8")));
        EXPECT_THAT(sentence([&] { gradient.encode(commands, imageOf(device, 3, 3, 4), source, state, dx); }),
                    HasSubstr("sourceGradient: expected 4 x 3 pixels"));
        EXPECT_THAT(sentence([&] { gradient.encode(commands, result, imageOf(device, 5, 3, 4), state, dx); }),
                    HasSubstr("sourceImage: expected 4 x 3 pixels of 4 feature channels"));
        EXPECT_THAT(sentence([&] { gradient.encode(commands, result, source, nullptr, dx); }),
                    HasSubstr("gradientState: expected a NNGradientState, found null"));
        MPS::CNNNeuron other(device,
                             MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU, 0));
        const auto foreign = other.resultState(source, {}, result);
        EXPECT_THAT(
            sentence([&] { gradient.encode(commands, result, source, foreign, dx); }),
            AllOf(HasSubstr(std::string("gradientState: expected a state made by ") + forward.className()),
                  HasSubstr("made by CNNNeuron")));
        // Other parameters than the forward kernel's.
        gradient.setBeta(2.5f);
        EXPECT_THAT(sentence([&] { gradient.encode(commands, result, source, state, dx); }),
                    AllOf(HasSubstr("beta: expected 0.5, as " + std::string(forward.className()) + " had"),
                          HasSubstr("found 2.5")));
        gradient.setBeta(0.5f);
        gradient.setKernelOffsetY(1);
        EXPECT_THAT(sentence([&] { gradient.encode(commands, result, source, state, dx); }),
                    HasSubstr("kernelOffset: expected (0, 0)"));
        gradient.setKernelOffsetY(0);
        gradient.encode(commands, imageOf(device, 4, 3, 4, Numbers(48, 1)), source, state, dx);
        finish(commands);
        EXPECT_NE(read(*dx), Numbers(48, 0));
    }
};

}  // namespace

TEST_F(LocalNormalizationErrors, AWindowHasAtLeastOnePixel) {
    EXPECT_THAT(sentenceOf([&] { MPS::CNNSpatialNormalization(device, 0, 3); }),
                HasSubstr("CNNSpatialNormalization: kernelWidth: expected at least 1, found 0"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNSpatialNormalizationGradient(device, 3, 0); }),
                HasSubstr("CNNSpatialNormalizationGradient: kernelHeight"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNLocalContrastNormalization(device, 3, 0); }),
                HasSubstr("CNNLocalContrastNormalization: kernelHeight"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNLocalContrastNormalizationGradient(device, 0, 3); }),
                HasSubstr("CNNLocalContrastNormalizationGradient: kernelWidth"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNCrossChannelNormalization(device, 0); }),
                HasSubstr("CNNCrossChannelNormalization: kernelSize: expected at least 1, found 0"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNCrossChannelNormalizationGradient(device, 0); }),
                HasSubstr("CNNCrossChannelNormalizationGradient: kernelSize"));
}

TEST_F(LocalNormalizationErrors, AlphaIsNotNegative) {
    const auto check = [](auto& kernel) {
        EXPECT_THAT(sentenceOf([&] { kernel.setAlpha(-1); }),
                    HasSubstr("alpha: expected at least 0, found -1"));
        EXPECT_THAT(sentenceOf([&] { kernel.setAlpha(std::nanf("")); }), HasSubstr("alpha"));
        EXPECT_EQ(kernel.alpha(), 1) << "as before";
    };
    MPS::CNNSpatialNormalization spatial(device, 3, 3);
    MPS::CNNSpatialNormalizationGradient spatialGradient(device, 3, 3);
    MPS::CNNCrossChannelNormalization channels(device);
    MPS::CNNCrossChannelNormalizationGradient channelsGradient(device);
    check(spatial), check(spatialGradient), check(channels), check(channelsGradient);
}

TEST_F(LocalNormalizationErrors, OnlyZeroAndClampAreEdgeModes) {
    MPS::CNNSpatialNormalization spatial(device, 3, 3);
    spatial.setEdgeMode(MPS::ImageEdgeMode::Mirror);
    EXPECT_THAT(sentenceOf([&] { spatial.encode(commands, source, result); }),
                HasSubstr("edgeMode: expected Zero or Clamp"));
}

TEST_F(LocalNormalizationErrors, ASpatialGradientNeedsWhatItsForwardKernelHad) {
    MPS::CNNSpatialNormalization forward(device, 3, 3);
    MPS::CNNSpatialNormalizationGradient gradient(device, 3, 3), wide(device, 5, 3);
    forward.setBeta(0.5f), gradient.setBeta(0.5f), wide.setBeta(0.5f);
    const auto state = forward.resultState(source, {}, result);
    EXPECT_THAT(
        sentenceOf([&] { wide.encode(commands, result, source, state, dx); }),
        AllOf(HasSubstr("gradientState: expected a forward window of 5 x 3"), HasSubstr("found 3 x 3")));
    checkGradient(forward, gradient);
}

TEST_F(LocalNormalizationErrors, ALocalContrastGradientNeedsWhatItsForwardKernelHad) {
    MPS::CNNLocalContrastNormalization forward(device, 3, 3);
    MPS::CNNLocalContrastNormalizationGradient gradient(device, 3, 3), wide(device, 3, 5);
    const auto state = forward.resultState(source, {}, result);
    EXPECT_THAT(
        sentenceOf([&] { wide.encode(commands, result, source, state, dx); }),
        AllOf(HasSubstr("gradientState: expected a forward window of 3 x 5"), HasSubstr("found 3 x 3")));
    gradient.setP0(2);
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, result, source, state, dx); }),
                HasSubstr("p0: expected 1, as CNNLocalContrastNormalization had, found 2"));
    gradient.setP0(1);
    checkGradient(forward, gradient);
}

TEST_F(LocalNormalizationErrors, ACrossChannelGradientNeedsWhatItsForwardKernelHad) {
    MPS::CNNCrossChannelNormalization forward(device, 3);
    MPS::CNNCrossChannelNormalizationGradient gradient(device, 3), wide(device, 4);
    forward.setBeta(0.5f), gradient.setBeta(0.5f), wide.setBeta(0.5f);
    const auto state = forward.resultState(source, {}, result);
    EXPECT_THAT(sentenceOf([&] { wide.encode(commands, result, source, state, dx); }),
                HasSubstr("kernelSize: expected 3, as CNNCrossChannelNormalization had, found 4"));
    checkGradient(forward, gradient);
}

TEST_F(LocalNormalizationErrors, AGramMatrixTakesInTheWholeSourceAndIsWrittenWhole) {
    MPS::NNGramMatrixCalculation kernel(device);
    kernel.setLabel("style");
    const auto matrix = imageOf(device, 4, 1, 4);
    kernel.setOffset({1, 0, 0});
    EXPECT_THAT(sentenceOf([&] { kernel.encode(commands, source, matrix); }),
                HasSubstr("NNGramMatrixCalculation 'style': offset: expected the default (0, 0, 0)"));
    kernel.setOffset({});
    kernel.setClipRect({{0, 0, 0}, {2, 1, 1}});
    EXPECT_THAT(sentenceOf([&] { kernel.encode(commands, source, matrix); }),
                AllOf(HasSubstr("clipRect: expected the default RectNoClip"), HasSubstr("2 x 1")));
    kernel.setClipRect(MPS::RectNoClip);
    EXPECT_THAT(sentenceOf([&] { kernel.encode(commands, source, imageOf(device, 5, 1, 4)); }),
                AllOf(HasSubstr("destinationImage: expected 4 x 1 pixels"), HasSubstr("found 5 x 1")));
    EXPECT_THAT(sentenceOf([&] { kernel.encode(commands, source, imageOf(device, 4, 1, 3)); }),
                HasSubstr("destinationImage"));
    kernel.encode(commands, source, matrix);
    finish(commands);
    EXPECT_EQ(read(*matrix), Numbers(16, 12));
}

TEST_F(LocalNormalizationErrors, AGramMatrixGradientNeedsAMatrixAndItsState) {
    MPS::NNGramMatrixCalculation forward(device);
    MPS::NNGramMatrixCalculationGradient gradient(device);
    const auto matrix = imageOf(device, 4, 1, 4, Numbers(16, 1));
    const auto state = forward.resultState(source, {}, matrix);
    MPS::CNNNeuron other(device, MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU, 0));
    EXPECT_THAT(sentenceOf([&] {
                    gradient.encode(commands, matrix, source, other.resultState(source, {}, result), dx);
                }),
                AllOf(HasSubstr("gradientState: expected a state made by NNGramMatrixCalculation"),
                      HasSubstr("made by CNNNeuron")));
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, imageOf(device, 3, 1, 4), source, state, dx); }),
                HasSubstr("sourceGradient: expected 4 x 1 pixels"));
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, matrix, imageOf(device, 4, 4, 4), state, dx); }),
                HasSubstr("sourceImage: expected 4 x 3 pixels of 4 feature channels"));
    gradient.setKernelOffsetX(1);
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, matrix, source, state, dx); }),
                HasSubstr("kernelOffset: expected (0, 0)"));
    gradient.setKernelOffsetX(0);
    gradient.setSecondaryOffset({1, 0, 0});
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, matrix, source, state, dx); }),
                HasSubstr("secondaryOffset: expected (0, 0)"));
    gradient.setSecondaryOffset({});
    // States of two alphas in one batch.
    const auto two = forward.resultState(source, {}, matrix);
    forward.setAlpha(3);
    const auto three = forward.resultState(source, {}, matrix);
    const auto more = imageOf(device, 4, 3, 4);
    EXPECT_THAT(
        sentenceOf([&] {
            gradient.encodeBatch(commands, {matrix, matrix}, {source, source}, {two, three}, {dx, more});
        }),
        AllOf(HasSubstr("gradientState: expected one forward configuration in a batch (alpha 1)"),
              HasSubstr("found 3")));
    gradient.encode(commands, matrix, source, state, dx);
    finish(commands);
    EXPECT_EQ(read(*dx), Numbers(48, 8));
}
