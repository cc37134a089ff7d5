#include <gmock/gmock.h>

#include <MPS/NNCompare.hpp>
#include <MPS/NNPad.hpp>
#include <MPS/NNReduce.hpp>
#include <MPS/NNReshape.hpp>
#include <MPS/NNSlice.hpp>

#include "UnaryKernels.h"

/// Mistakes with slices, paddings, reshapes, reductions and comparisons: label, argument, expected and found
/// in one sentence; the command buffer stays as it was and goes on to work.
using namespace pewter::test;
using testing::AllOf;
using testing::HasSubstr;

namespace {

struct ShapeErrors : testing::Test {
    DevicePtr device = MTL::copyDevice("reference");
    std::shared_ptr<MTL::CommandBuffer> commands = device->newCommandQueue()->commandBuffer();

    ImagePtr image(std::size_t width, std::size_t height, std::size_t channels, std::size_t images = 1) {
        return imageOf(device, width, height, channels, Numbers(width * height * channels * images, 1),
                       Format::Float32, images);
    }
    template <class K>
    std::shared_ptr<K> labelled(K kernel) {
        auto made = std::make_shared<K>(kernel);
        made->setLabel("mine");
        made->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        return made;
    }
    /// After the refusal the same command buffer copies an image.
    template <class Body>
    std::string refused(Body body) {
        const auto sentence = sentenceOf(body);
        const auto y = image(2, 1, 1);
        MPS::NNSlice(device).encode(commands, imageOf(device, 2, 1, 1, {5, 6}), y);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{5, 6}));
        commands = device->newCommandQueue()->commandBuffer();
        return sentence;
    }
};

}  // namespace

TEST_F(ShapeErrors, ReshapesOfUnequalCountsSayBothShapes) {
    const auto reshape = labelled(MPS::NNReshape(device));
    EXPECT_THAT(refused([&] { reshape->encode(commands, image(2, 3, 4), image(5, 5, 1)); }),
                AllOf(HasSubstr("NNReshape"), HasSubstr("mine"), HasSubstr("destinationImage"),
                      HasSubstr("24 elements, those of 2 x 3 pixels of 4 feature channels"),
                      HasSubstr("5 x 5 of 1")));
    EXPECT_THAT(refused([&] { reshape->encode(commands, image(2, 3, 4), 4, 3, 3); }),
                AllOf(HasSubstr("reshaped size"), HasSubstr("24 elements"), HasSubstr("4 x 3 of 3")));
    EXPECT_THAT(refused([&] { reshape->encode(commands, image(2, 3, 4), 0, 1, 1); }),
                HasSubstr("0 x 1 of 1"));
    // No product of these wraps around to 24.
    EXPECT_THAT(refused([&] { reshape->encode(commands, image(2, 3, 4), std::size_t{1} << 62, 4, 24); }),
                HasSubstr("24 elements"));
    std::shared_ptr<MPS::State>* none = nullptr;
    EXPECT_THAT(refused([&] { reshape->encode(commands, image(2, 3, 4), none, true, 24, 1, 1); }),
                HasSubstr("destinationState"));
    EXPECT_THAT(refused([&] { reshape->encode(commands, nullptr, 1, 1, 1); }),
                AllOf(HasSubstr("sourceImage"), HasSubstr("null")));
}

TEST_F(ShapeErrors, GradientsRefuseStatesOfOthersAndGradientsOfAnotherSize) {
    const auto reshape = labelled(MPS::NNReshape(device));
    const auto pad = labelled(MPS::NNPad(device, {1, 1, 0}, {1, 1, 0}));
    const auto reshapeGradient = labelled(MPS::NNReshapeGradient(device));
    const auto padGradient = labelled(MPS::NNPadGradient(device));
    std::shared_ptr<MPS::State> reshaped, padded;
    const auto source = image(2, 2, 2);
    reshape->encode(commands, source, &reshaped, false, 8, 1, 1);
    pad->encode(commands, source, &padded, false);
    EXPECT_THAT(refused([&] { reshapeGradient->encode(commands, image(8, 1, 1), source, padded); }),
                AllOf(HasSubstr("NNReshapeGradient"), HasSubstr("gradientState"),
                      HasSubstr("made by NNReshape"), HasSubstr("NNPad")));
    EXPECT_THAT(refused([&] { padGradient->encode(commands, image(4, 4, 2), source, reshaped); }),
                AllOf(HasSubstr("NNPadGradient"), HasSubstr("made by NNPad"), HasSubstr("NNReshape")));
    EXPECT_THAT(refused([&] { reshapeGradient->encode(commands, image(7, 1, 1), source, reshaped); }),
                AllOf(HasSubstr("sourceGradient"), HasSubstr("8 x 1")));
    EXPECT_THAT(refused([&] { padGradient->encode(commands, image(4, 3, 2), source, padded); }),
                AllOf(HasSubstr("sourceGradient"), HasSubstr("4 x 4")));
    EXPECT_THAT(refused([&] { padGradient->encode(commands, image(4, 4, 1), source, padded); }),
                AllOf(HasSubstr("sourceGradient"), HasSubstr("2 feature channels")));
    EXPECT_THAT(refused([&] { padGradient->encode(commands, image(4, 4, 2), image(3, 2, 2), padded); }),
                AllOf(HasSubstr("sourceImage"), HasSubstr("2 x 2 pixels of 2")));
    EXPECT_THAT(refused([&] { padGradient->encode(commands, image(4, 4, 2), source, nullptr); }),
                AllOf(HasSubstr("gradientState"), HasSubstr("null")));
}

TEST_F(ShapeErrors, PaddingRefusesShortFillArraysAndOnlyPaddingTakesMirrors) {
    const auto pad = labelled(MPS::NNPad(device, {0, 0, 2}, {0, 0, 1}, {1, 2, 3, 4}));
    pad->setEdgeMode(MPS::ImageEdgeMode::Constant);
    EXPECT_THAT(refused([&] { pad->encode(commands, image(1, 1, 2)); }),
                AllOf(HasSubstr("NNPad"), HasSubstr("mine"), HasSubstr("fillValueArray"),
                      HasSubstr("at least 5 values"), HasSubstr("found 4")));
    pad->setEdgeMode(static_cast<MPS::ImageEdgeMode>(9));
    EXPECT_THAT(refused([&] { pad->encode(commands, image(1, 1, 1)); }),
                AllOf(HasSubstr("edgeMode"), HasSubstr("one of five"), HasSubstr("9")));
    pad->setEdgeMode(MPS::ImageEdgeMode::Zero);
    EXPECT_THAT(refused([&] { pad->encode(commands, image(1, 1, 2), image(1, 1, 4)); }),
                AllOf(HasSubstr("destination"), HasSubstr("5")));
    const auto slice = labelled(MPS::NNSlice(device));
    slice->setEdgeMode(MPS::ImageEdgeMode::Mirror);
    EXPECT_THAT(refused([&] { slice->encode(commands, image(1, 1, 2)); }),
                AllOf(HasSubstr("NNSlice"), HasSubstr("edgeMode"), HasSubstr("Zero or Clamp")));
}

TEST_F(ShapeErrors, SlicesRefuseChannelOffsetsOutsideOrBetweenMultiplesOfFour) {
    const auto slice = labelled(MPS::NNSlice(device));
    slice->setSourceFeatureChannelOffset(2);
    EXPECT_THAT(refused([&] { slice->encode(commands, image(1, 1, 8)); }),
                AllOf(HasSubstr("sourceFeatureChannelOffset"), HasSubstr("a multiple of 4"), HasSubstr("2")));
    slice->setSourceFeatureChannelOffset(8);
    EXPECT_THAT(refused([&] { slice->encode(commands, image(1, 1, 8)); }),
                HasSubstr("less than the image's 8 channels"));
    slice->setSourceFeatureChannelOffset(0);
    slice->setDestinationFeatureChannelOffset(4);
    EXPECT_THAT(refused([&] { slice->encode(commands, image(1, 1, 8), image(1, 1, 4)); }),
                HasSubstr("destination"));
}

TEST_F(ShapeErrors, ReductionsRefuseRegionsOutsideTheImage) {
    const auto row = labelled(MPS::NNReduceRowSum(device));
    row->setClipRectSource({{3, 0, 0}, {1, 1, 1}});
    for (const bool given : {false, true})
        EXPECT_THAT(refused([&] {
                        if (given)
                            row->encode(commands, image(3, 2, 1), image(1, 2, 1));
                        else
                            row->encode(commands, image(3, 2, 1));
                    }),
                    AllOf(HasSubstr("NNReduceRowSum"), HasSubstr("mine"), HasSubstr("clipRectSource"),
                          HasSubstr("meets the image of 3 x 2"), HasSubstr("1 x 1 at (3, 0)")));
    row->setClipRectSource({{0, 0, 1}, {3, 2, 5}});
    EXPECT_THAT(refused([&] { row->encode(commands, image(3, 2, 1)); }),
                AllOf(HasSubstr("clipRectSource"), HasSubstr("1 images"), HasSubstr("from image 1 on")));
    row->setClipRectSource({{0, 0, 0}, {3, 2, 1}});
    EXPECT_THAT(refused([&] { row->encode(commands, image(3, 2, 1, 2)); }),
                AllOf(HasSubstr("clipRectSource"), HasSubstr("2 images"), HasSubstr("found 1")));
}

TEST_F(ShapeErrors, WeightedReductionsRefuseRegionsAndChannelsThatDoNotMatch) {
    const auto sum = labelled(MPS::NNReduceFeatureChannelsAndWeightsSum(device));
    EXPECT_THAT(refused([&] { sum->encode(commands, image(3, 2, 2), image(2, 2, 2)); }),
                AllOf(HasSubstr("NNReduceFeatureChannelsAndWeightsSum"), HasSubstr("secondarySourceClipRect"),
                      HasSubstr("3 x 2 pixels"), HasSubstr("2 x 2")));
    EXPECT_THAT(refused([&] { sum->encode(commands, image(3, 2, 2), image(3, 2, 3)); }),
                AllOf(HasSubstr("secondaryImage"), HasSubstr("2 feature channels"), HasSubstr("3")));
    sum->setPrimarySourceClipRect({{0, 5, 0}, {1, 1, 1}});
    EXPECT_THAT(refused([&] { sum->encode(commands, image(3, 2, 2), image(3, 2, 2)); }),
                AllOf(HasSubstr("primarySourceClipRect"), HasSubstr("meets the image")));
}

TEST_F(ShapeErrors, ComparisonsRefuseUnknownTypesStatesStridesAndUnequalChannels) {
    const auto compare = labelled(MPS::NNCompare(device));
    EXPECT_THAT(refused([&] { compare->setComparisonType(static_cast<MPS::NNComparisonType>(6)); }),
                AllOf(HasSubstr("NNCompare"), HasSubstr("comparisonType"), HasSubstr("0 (Equal) to 5"),
                      HasSubstr("6")));
    EXPECT_EQ(compare->comparisonType(), MPS::NNComparisonType::Equal);
    EXPECT_THAT(refused([&] { compare->encode(commands, image(2, 2, 2), image(2, 2, 3)); }),
                AllOf(HasSubstr("secondaryImage"), HasSubstr("2 feature channels"), HasSubstr("3")));
    compare->setSecondaryStrideInPixelsX(2);
    EXPECT_THAT(refused([&] { compare->encode(commands, image(2, 2, 2), image(2, 2, 2), image(2, 2, 2)); }),
                AllOf(HasSubstr("secondaryStrideInPixelsX"), HasSubstr("0 or 1"), HasSubstr("2")));
    compare->setSecondaryStrideInPixelsX(1);
    const auto x = image(2, 2, 2), y = image(2, 2, 2), result = image(2, 2, 2);
    const auto state = std::dynamic_pointer_cast<MPS::CNNArithmeticGradientState>(
        MPS::CNNAdd(device).resultState(x, y, {}, result));
    ASSERT_TRUE(state);
    EXPECT_THAT(refused([&] { compare->encode(commands, x, y, state, result); }),
                AllOf(HasSubstr("destinationState"), HasSubstr("no gradient"),
                      HasSubstr("CNNArithmeticGradientState")));
    EXPECT_EQ(compare->resultState(x, y, {}, result), nullptr);
}
