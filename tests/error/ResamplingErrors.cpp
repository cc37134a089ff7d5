#include <gmock/gmock.h>

#include <MPS/CNNUpsampling.hpp>
#include <MPS/NNGridSample.hpp>
#include <MPS/NNResize.hpp>
#include <cmath>

#include "TestKernel.h"

/// Mistakes with upsampling, resizing, cropping and grid sampling: one sentence, and nothing encoded.
using namespace pewter::test;
using testing::AllOf;
using testing::HasSubstr;

namespace {

struct ResamplingErrors : testing::Test {
    std::shared_ptr<MTL::Device> device = testDevice();
    BufferPtr commands = testQueue()->commandBuffer();

    /// The sentence; the command buffer must be as before.
    std::string refused(const std::function<void()>& mistake) {
        const Recorded before(commands);
        const auto sentence = errorOf(mistake);
        EXPECT_EQ(Recorded(commands), before) << sentence;
        return sentence;
    }
};

constexpr MPS::Region kWhole{{0, 0, 0}, {1, 1, 1}};

}  // namespace

TEST_F(ResamplingErrors, ScaleFactorsAreAtLeastOne) {
    EXPECT_THAT(refused([&] { MPS::CNNUpsamplingNearest(device, 0, 2); }),
                HasSubstr("integerScaleFactorX: expected at least 1, found 0"));
    EXPECT_THAT(refused([&] { MPS::CNNUpsamplingBilinear(device, 2, 0, true); }),
                HasSubstr("integerScaleFactorY: expected at least 1, found 0"));
    EXPECT_THAT(refused([&] { MPS::CNNUpsamplingNearestGradient(device, 2, 0); }),
                HasSubstr("integerScaleFactorY"));
    EXPECT_THAT(refused([&] { MPS::CNNUpsamplingBilinearGradient(device, 0, 1); }),
                HasSubstr("integerScaleFactorX"));
    EXPECT_THAT(refused([&] { MPS::CNNUpsamplingNearest(nullptr, 1, 2); }), HasSubstr("device"));
}

TEST_F(ResamplingErrors, AResultTooLargeToCountNamesTheFactor) {
    MPS::CNNUpsamplingNearest kernel(device, std::size_t{1} << 62, 1);
    kernel.setLabel("huge");
    EXPECT_THAT(refused([&] { kernel.encode(commands, makeImage(4, 4, 4)); }),
                AllOf(HasSubstr("CNNUpsamplingNearest 'huge': integerScaleFactorX"), HasSubstr("4 pixels")));
}

TEST_F(ResamplingErrors, AnUpsamplingGradientTakesTheStateOfItsOwnForwardKernel) {
    const auto source = makeImage(2, 2, 4), result = makeImage(4, 4, 4, 1), dx = makeImage(2, 2, 4);
    MPS::CNNUpsamplingNearest nearest(device, 2, 2);
    MPS::CNNUpsamplingBilinear bilinear(device, 2, 2), wide(device, 2, 1);
    const auto ofNearest = nearest.resultState(source, {}, result);
    const auto ofWide = wide.resultState(source, {}, makeImage(4, 2, 4));
    const auto state = bilinear.resultState(source, {}, result);
    MPS::CNNUpsamplingBilinearGradient gradient(device, 2, 2);
    gradient.setLabel("down");
    EXPECT_THAT(refused([&] { gradient.encode(commands, result, source, ofNearest); }),
                AllOf(HasSubstr("CNNUpsamplingBilinearGradient 'down': gradientState"),
                      HasSubstr("a state made by CNNUpsamplingBilinear"),
                      HasSubstr("one made by CNNUpsamplingNearest")));
    EXPECT_THAT(refused([&] { gradient.encode(commands, result, source, ofWide); }),
                AllOf(HasSubstr("gradientState: expected forward scale factors 2 x 2"),
                      HasSubstr("2 x 1 of CNNUpsamplingBilinear")));
    EXPECT_THAT(refused([&] { gradient.encode(commands, result, source, nullptr); }),
                AllOf(HasSubstr("gradientState"), HasSubstr("null")));
    EXPECT_THAT(refused([&] { gradient.encode(commands, result, makeImage(3, 2, 4), state, dx); }),
                HasSubstr("sourceImage: expected 2 x 2 pixels of 4 feature channels"));
    EXPECT_THAT(refused([&] { gradient.encode(commands, makeImage(3, 4, 4), source, state, dx); }),
                HasSubstr("sourceGradient: expected 4 x 4 pixels from (0, 0) on"));
    EXPECT_THAT(refused([&] { gradient.encode(commands, makeImage(4, 4, 8), source, state, dx); }),
                HasSubstr("sourceGradient: expected 4 feature channels"));
    gradient.setKernelOffsetY(1);
    EXPECT_THAT(refused([&] { gradient.encode(commands, result, source, state, dx); }),
                HasSubstr("kernelOffset: expected (0, 0)"));
    gradient.setKernelOffsetY(0);
    gradient.encode(commands, result, source, state, dx);
    run(commands);
}

TEST_F(ResamplingErrors, SizesAndRegionsAreChecked) {
    EXPECT_THAT(refused([&] { MPS::NNResizeBilinear(device, 0, 2); }),
                HasSubstr("NNResizeBilinear: resizeWidth: expected at least 1, found 0"));
    EXPECT_THAT(refused([&] { MPS::NNResizeBilinear(device, 2, 0); }), HasSubstr("resizeHeight"));
    EXPECT_THAT(refused([&] { MPS::NNCropAndResizeBilinear(device, 0, 2, 1, &kWhole); }),
                HasSubstr("NNCropAndResizeBilinear: resizeWidth"));
    EXPECT_THAT(refused([&] { MPS::NNCropAndResizeBilinear(device, 2, 2, 0, &kWhole); }),
                HasSubstr("numberOfRegions: expected at least 1, found 0"));
    EXPECT_THAT(refused([&] { MPS::NNCropAndResizeBilinear(device, 2, 2, 3, nullptr); }),
                HasSubstr("regions: expected 3 regions, found null"));
    const MPS::Region odd[] = {kWhole, {{0, std::nan(""), 0}, {1, 1, 1}}};
    EXPECT_THAT(refused([&] { MPS::NNCropAndResizeBilinear(device, 2, 2, 2, odd); }),
                HasSubstr("regions[1]: expected finite numbers, found nan"));
}

TEST_F(ResamplingErrors, CropsNeedRoomForEveryRegion) {
    const MPS::Region two[] = {kWhole, kWhole};
    MPS::NNCropAndResizeBilinear kernel(device, 2, 2, 2, two);
    kernel.setLabel("crop");
    const auto source = makeImage(3, 3, 4, 0, 2);
    EXPECT_THAT(
        refused([&] { kernel.encode(commands, source, makeImage(2, 2, 4, 0, 3)); }),
        AllOf(HasSubstr("NNCropAndResizeBilinear 'crop': destinationImage: expected room for 4 pictures"),
              HasSubstr("2 regions of 2"), HasSubstr("found 3")));
    kernel.setClipRect({{0, 0, 2}, {2, 2, 2}});
    EXPECT_THAT(refused([&] { kernel.encode(commands, source, makeImage(2, 2, 4, 0, 5)); }),
                HasSubstr("found 3 from clipRect.origin.z on"));
    kernel.setClipRect(MPS::RectNoClip);
    const auto picture = makeImage(3, 3, 4);
    EXPECT_THAT(refused([&] {
                    kernel.encodeBatch(commands, {picture, makeImage(3, 3, 4)},
                                       {makeImage(2, 2, 4, 0, 2), makeImage(2, 2, 4)});
                }),
                HasSubstr("destinationImage: expected room for 2 regions"));
    EXPECT_THAT(refused([&] { kernel.encodeBatch(commands, {picture}, MPS::ImageBatch{}); }),
                HasSubstr("destinationImages: expected 1 images"));
    EXPECT_THAT(refused([&] { kernel.encodeBatch(commands, {source}, {makeImage(2, 2, 4, 0, 4)}); }),
                HasSubstr("an image that holds one picture in a batch"));
    EXPECT_THAT(refused([&] { kernel.encodeBatch(commands, {picture}, nullptr, true); }),
                HasSubstr("destinationStates: expected an address"));
    const auto spent = makeTemporary(commands, 3, 3, 4, 2);
    EXPECT_THAT(refused([&] {
                    kernel.encodeBatch(commands, {spent, spent});
                }),
                HasSubstr("every temporary image once"));
    temporary(spent).setReadCount(0);
    // Through the base class a batch has one picture an image.
    MPS::CNNKernel& base = kernel;
    EXPECT_THAT(refused([&] { base.encodeBatch(commands, {picture}); }), HasSubstr("one picture in a batch"));
    const auto result = makeImage(2, 2, 4, 0, 4);
    kernel.encode(commands, source, result);
    run(commands);
}

TEST_F(ResamplingErrors, AGridHasTwoChannelsAndNoStrides) {
    MPS::NNGridSample kernel(device);
    kernel.setLabel("warp");
    const auto image = makeImage(3, 3, 4), grid = makeImage(3, 3, 2);
    EXPECT_THAT(
        refused([&] { kernel.encode(commands, image, makeImage(3, 3, 1)); }),
        HasSubstr(
            "NNGridSample 'warp': secondaryImage: expected at least 2 feature channels, x and y, found 1"));
    kernel.setSecondarySourceFeatureChannelMaxCount(1);
    EXPECT_THAT(refused([&] { kernel.encode(commands, image, grid); }), HasSubstr("found 1"));
    kernel.setSecondarySourceFeatureChannelMaxCount(2);
    kernel.setPrimaryStrideInPixelsX(2);
    EXPECT_THAT(refused([&] { kernel.encode(commands, image, grid); }),
                HasSubstr("primaryStrideInPixelsX: expected 1, found 2"));
    kernel.setPrimaryStrideInPixelsX(1);
    kernel.setSecondaryStrideInPixelsY(0);
    EXPECT_THAT(refused([&] { kernel.encode(commands, image, grid); }),
                HasSubstr("secondaryStrideInPixelsY: expected 1, found 0"));
    kernel.setSecondaryStrideInPixelsY(1);
    kernel.setPrimaryEdgeMode(MPS::ImageEdgeMode::Mirror);
    EXPECT_THAT(refused([&] { kernel.encode(commands, image, grid); }), HasSubstr("primaryEdgeMode"));
    kernel.setPrimaryEdgeMode(MPS::ImageEdgeMode::Zero);
    const auto result = makeImage(3, 3, 4);
    kernel.encode(commands, image, grid, result);
    run(commands);
}
