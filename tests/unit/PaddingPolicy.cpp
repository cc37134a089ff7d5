#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "TestKernel.h"
#include "mps/core/Geometry.h"

using namespace pewter::test;
using namespace MPS;
using testing::HasSubstr;

namespace {

constexpr NNPaddingMethod kValid = NNPaddingMethodSizeValidOnly, kSame = NNPaddingMethodSizeSame,
                          kFull = NNPaddingMethodSizeFull;
constexpr NNPaddingMethod kRemainders[4] = {
    NNPaddingMethodAddRemainderToTopLeft, NNPaddingMethodAddRemainderToTopRight,
    NNPaddingMethodAddRemainderToBottomLeft, NNPaddingMethodAddRemainderToBottomRight};

struct Placed {
    std::size_t width, height;
    std::int64_t x, y;
    friend bool operator==(const Placed&, const Placed&) = default;
};

void PrintTo(const Placed& p, std::ostream* out) {
    *out << p.width << " x " << p.height << " at offset (" << p.x << ", " << p.y << ")";
}

/// What a kernel of that window makes of a source, and where it puts the window.
Placed place(CopyKernel& kernel, std::size_t width, std::size_t height, NNPaddingMethod method) {
    kernel.setPadding(NNDefaultPadding::padding(method));
    kernel.setOffset({77, 77, 0});
    const auto d = kernel.destinationImageDescriptor({makeImage(width, height, 1)});
    return {d.width, d.height, kernel.offset().x, kernel.offset().y};
}

/// A policy that notes what it is given and sets what it is told.
class Custom final : public NNPadding {
public:
    explicit Custom(NNPaddingMethod method) : method_(method) {}
    NNPaddingMethod paddingMethod() const override { return method_ | NNPaddingMethodCustom; }
    ImageDescriptor destinationImageDescriptor(const std::vector<ImagePtr>& images, const StateBatch& states,
                                               Kernel& kernel, const ImageDescriptor& suggested) override {
        ++calls;
        sources = images.size();
        stateCount = states.size();
        given = suggested;
        auto& copy = dynamic_cast<CopyKernel&>(kernel);
        offsetGiven = copy.offset();
        copy.order += "policy ";
        if (act) act(copy);
        auto result = suggested;
        if (width) result.width = width;
        return result;
    }
    int calls = 0;
    std::size_t sources = 0, stateCount = 0, width = 0;
    ImageDescriptor given;
    Offset offsetGiven;
    std::function<void(CopyKernel&)> act;

private:
    NNPaddingMethod method_;
};

/// A state whose hook widens the result.
class WideningState final : public State {
public:
    WideningState() : State(testDevice(), 4) {}
    ImageDescriptor destinationImageDescriptor(const std::vector<ImagePtr>&, const StateBatch&, Kernel& kernel,
                                               const ImageDescriptor& suggested) override {
        dynamic_cast<CopyKernel&>(kernel).order += "state ";
        auto d = suggested;
        d.width += 100;
        return d;
    }
};

}  // namespace

TEST(PaddingPolicy, EveryPublishedVectorGivesItsExtentAndOffsetForBothRemainders) {
    struct Row {
        std::size_t source, window, stride, dilation;
        NNPaddingMethod size;
        std::size_t extent;
        std::int64_t topLeft, bottomRight;
    };
    const Row rows[] = {
        {28, 5, 1, 1, kSame, 28, 0, 0},   {28, 5, 1, 1, kValid, 24, 2, 2},  {28, 5, 1, 1, kFull, 32, -2, -2},
        {28, 2, 2, 1, kSame, 14, 1, 1},   {7, 2, 2, 1, kSame, 4, 0, 1},     {7, 2, 2, 1, kValid, 3, 1, 1},
        {8, 3, 2, 1, kSame, 4, 0, 1},     {8, 3, 2, 1, kFull, 5, -1, 0},    {13, 2, 1, 1, kSame, 13, 0, 1},
        {10, 2, 3, 1, kValid, 3, 1, 2},   {9, 1, 3, 1, kSame, 3, 0, 1},     {16, 3, 1, 2, kSame, 16, 0, 0},
        {224, 3, 2, 1, kSame, 112, 0, 1}, {225, 3, 2, 1, kSame, 113, 0, 0}, {28, 4, 1, 1, kSame, 28, 0, 1},
        {8, 2, 2, 1, kSame, 4, 1, 1},     {8, 1, 4, 1, kSame, 2, 1, 1},     {5, 3, 1, 1, kFull, 7, -1, -1},
        {6, 3, 2, 1, kValid, 2, 1, 1},    {7, 2, 3, 1, kValid, 2, 1, 2},    {10, 3, 4, 1, kValid, 2, 2, 2},
        {9, 3, 1, 1, kValid, 7, 1, 1},    {9, 3, 1, 1, kSame, 9, 0, 0},     {9, 3, 1, 1, kFull, 11, -1, -1}};
    for (const auto& r : rows) {
        CopyKernel kernel;
        kernel.window(r.window, r.window, r.stride, r.stride, r.dilation, r.dilation);
        EXPECT_EQ(place(kernel, r.source, r.source, r.size),
                  (Placed{r.extent, r.extent, r.topLeft, r.topLeft}))
            << r.source << " " << r.window << " " << r.stride;
        EXPECT_EQ(place(kernel, r.source, r.source, r.size | NNPaddingMethodAddRemainderToBottomRight),
                  (Placed{r.extent, r.extent, r.bottomRight, r.bottomRight}))
            << r.source << " " << r.window << " " << r.stride;
    }
}

TEST(PaddingPolicy, TheRemainderGoesToTheNamedCorner) {
    CopyKernel kernel;
    kernel.window(2, 2);
    // One pixel is missing on each axis; the offset is 0 when it goes to the low side and 1 otherwise.
    EXPECT_EQ(place(kernel, 13, 13, kSame | kRemainders[0]), (Placed{13, 13, 0, 0}));
    EXPECT_EQ(place(kernel, 13, 13, kSame | kRemainders[1]), (Placed{13, 13, 1, 0}));
    EXPECT_EQ(place(kernel, 13, 13, kSame | kRemainders[2]), (Placed{13, 13, 0, 1}));
    EXPECT_EQ(place(kernel, 13, 13, kSame | kRemainders[3]), (Placed{13, 13, 1, 1}));
}

// The windows of a centred policy cover the source evenly: what is missing on both sides differs by at most one pixel.
TEST(PaddingPolicy, CentredWindowsMissAsMuchOnOneSideAsOnTheOther) {
    for (std::int64_t s = 1; s <= 3; ++s)
        for (std::int64_t k = 1; k <= 5; ++k)
            for (std::int64_t source = 1; source <= 20; ++source)
                for (const auto size : {kValid, kSame, kFull})
                    for (const auto remainder : kRemainders)
                        for (const auto axis : {pewter::mps::Axis::X, pewter::mps::Axis::Y}) {
                            if (size == kValid && source < k) continue;
                            const auto p = pewter::mps::forwardPadding(source, k, s, size | remainder, axis, "test");
                            const std::int64_t low = k / 2 - p.offset;
                            const std::int64_t high = (p.extent - 1) * s + k - source - low;
                            const bool toLow = remainder == 0 ||
                                               (axis == pewter::mps::Axis::X ? remainder == 8 : remainder == 4);
                            if (low + high >= 0) {
                                EXPECT_EQ(low - high, (low + high) % 2 == 0 ? 0 : toLow ? 1 : -1);
                            }
                            const std::int64_t style = size == kValid ? -1 : size == kSame ? 0 : 1;
                            EXPECT_EQ(p.extent, (source + style * (k - 1) + s - 1) / s);
                            if (size == kSame) {
                                EXPECT_EQ(p.extent, (source + s - 1) / s);
                            }
                        }
}

TEST(PaddingPolicy, AxesAreIndependent) {
    CopyKernel kernel;
    kernel.window(5, 2, 1, 2);
    EXPECT_EQ(place(kernel, 28, 7, kSame), (Placed{28, 4, 0, 0}));
    EXPECT_EQ(place(kernel, 28, 7, kValid), (Placed{24, 3, 2, 1}));
}

TEST(PaddingPolicy, AlignmentPutsAllMissingPixelsOnOneSide) {
    CopyKernel kernel;
    kernel.window(5, 5);
    EXPECT_EQ(place(kernel, 28, 28, kSame | NNPaddingMethodAlignTopLeft), (Placed{28, 28, -2, -2}));
    EXPECT_EQ(place(kernel, 28, 28, kSame | NNPaddingMethodAlignBottomRight), (Placed{28, 28, 2, 2}));
    for (const auto remainder : kRemainders)
        EXPECT_EQ(place(kernel, 28, 28, kSame | NNPaddingMethodAlignTopLeft | remainder), (Placed{28, 28, -2, -2}));
    kernel.window(2, 2, 3, 3);  // two pixels are left over
    EXPECT_EQ(place(kernel, 10, 10, kValid | NNPaddingMethodAlignTopLeft), (Placed{3, 3, 3, 3}));
    EXPECT_EQ(place(kernel, 10, 10, kValid | NNPaddingMethodAlignBottomRight), (Placed{3, 3, 1, 1}));
}

TEST(PaddingPolicy, FiltersThatEnlargeTakeTheirStrideOnTheResult) {
    CopyKernel kernel;
    kernel.backwards = true;
    kernel.window(3, 3, 2, 2);
    EXPECT_EQ(place(kernel, 4, 4, kFull), (Placed{9, 9, 0, 0}));
    EXPECT_EQ(place(kernel, 4, 4, kSame), (Placed{7, 7, 0, 0}));
    EXPECT_EQ(place(kernel, 4, 4, kValid), (Placed{5, 5, 0, 0}));
    using pewter::mps::Axis;
    EXPECT_EQ(pewter::mps::backwardPadding(4, 3, 2, kFull, Axis::X, "t").offset, -1);
    EXPECT_EQ(pewter::mps::backwardPadding(4, 3, 2, kSame, Axis::X, "t").offset, 0);
    EXPECT_EQ(pewter::mps::backwardPadding(4, 3, 2, kValid, Axis::X, "t").offset, 1);
    kernel.window(9, 9, 1, 1);
    EXPECT_THAT(errorOf([&] { place(kernel, 4, 4, kValid); }), HasSubstr("at least one pixel for a window of 9"));
}

TEST(PaddingPolicy, ASourceSmallerThanAValidWindowIsRefused) {
    CopyKernel kernel;
    kernel.setLabel("pool");
    kernel.window(5, 1);
    EXPECT_THAT(errorOf([&] { place(kernel, 4, 9, kValid); }),
                HasSubstr("CopyKernel 'pool': source width: expected at least the window of 5 pixels, found 4"));
    kernel.window(1, 3, 1, 1, 1, 4);
    EXPECT_THAT(errorOf([&] { place(kernel, 4, 8, kValid); }), HasSubstr("source height"));
    EXPECT_EQ(place(kernel, 4, 9, kValid), (Placed{4, 1, 0, 4}));
}

TEST(PaddingPolicy, ReservedBitsAndTheCustomBitAreRefused) {
    for (const NNPaddingMethod method : {NNPaddingMethod{3}, NNPaddingMethod{0x30}, NNPaddingMethod{0x40},
                                         NNPaddingMethod{0x7F0}, NNPaddingMethod{0x13}})
        EXPECT_THAT(errorOf([&] { NNDefaultPadding::padding(method); }), HasSubstr("not reserved")) << method;
    EXPECT_THAT(errorOf([] { NNDefaultPadding::padding(NNPaddingMethodCustom); }), HasSubstr("without the bit Custom"));
    CopyKernel kernel;
    kernel.setPadding(std::make_shared<Custom>(NNPaddingMethodSize_reserved));
    EXPECT_THAT(errorOf([&] { kernel.destinationImageDescriptor({makeImage(4, 4, 1)}); }), HasSubstr("reserved"));
    kernel.setPadding(std::make_shared<Custom>(NNPaddingMethodAlign_reserved));
    EXPECT_THAT(errorOf([&] { kernel.destinationImageDescriptor({makeImage(4, 4, 1)}); }), HasSubstr("reserved"));
    EXPECT_THAT(errorOf([&] { kernel.setPadding(nullptr); }), HasSubstr("padding: expected a padding policy"));
}

TEST(PaddingPolicy, EqualMethodsAreOneObjectAndTheDefaultIsSame) {
    EXPECT_EQ(NNDefaultPadding::padding(kFull), NNDefaultPadding::padding(kFull));
    EXPECT_NE(NNDefaultPadding::padding(kFull), NNDefaultPadding::padding(kSame));
    EXPECT_EQ(CopyKernel().padding()->paddingMethod(), 0x10u);
    EXPECT_EQ(SumKernel().padding()->paddingMethod(), 0x10u);
    EXPECT_EQ(NNDefaultPadding::padding(kSame | NNPaddingMethodExcludeEdges)->paddingMethod(), 0x8010u);
    EXPECT_FALSE(NNDefaultPadding::padding(kSame)->label().empty());
}

TEST(PaddingPolicy, TheInverseOfValidIsFull) {
    EXPECT_EQ(NNDefaultPadding::padding(kValid)->inverse(), NNDefaultPadding::padding(kFull));
    EXPECT_EQ(NNDefaultPadding::padding(kFull | 12)->inverse(), NNDefaultPadding::padding(kValid | 12));
    EXPECT_EQ(NNDefaultPadding::padding(kSame)->inverse(), NNDefaultPadding::padding(kSame));
    const auto tensorflow = NNDefaultPadding::paddingForTensorflowAveragePooling();
    EXPECT_EQ(tensorflow->inverse(), tensorflow);
}

TEST(PaddingPolicy, TheTensorflowPoliciesClampAndPlaceLikeTensorflow) {
    const auto same = NNDefaultPadding::paddingForTensorflowAveragePooling();
    const auto valid = NNDefaultPadding::paddingForTensorflowAveragePoolingValidOnly();
    EXPECT_EQ(same->paddingMethod(), 0x401Cu);
    EXPECT_EQ(valid->paddingMethod(), 0x4002u);
    CopyKernel kernel;
    kernel.window(2, 2, 2, 2);
    kernel.setPadding(same);
    auto d = kernel.destinationImageDescriptor({makeImage(7, 7, 1)});
    EXPECT_EQ(d.width, 4u);
    EXPECT_EQ(kernel.offset(), (Offset{1, 1, 0}));  // nothing on the left, one pixel on the right
    EXPECT_EQ(kernel.edgeMode(), ImageEdgeMode::Clamp);
    kernel.setEdgeMode(ImageEdgeMode::Zero);
    kernel.window(2, 2, 3, 3);
    kernel.setPadding(valid);
    d = kernel.destinationImageDescriptor({makeImage(10, 10, 1)});
    EXPECT_EQ(d.width, 3u);
    EXPECT_EQ(kernel.offset(), (Offset{1, 1, 0}));  // the first window starts at pixel 0
    EXPECT_EQ(kernel.edgeMode(), ImageEdgeMode::Clamp);
    EXPECT_EQ(same, NNDefaultPadding::paddingForTensorflowAveragePooling());
}

TEST(PaddingPolicy, ClassStatesAndCustomPolicyHaveTheirSayInThisOrder) {
    CopyKernel kernel;
    kernel.window(3, 3);
    const auto custom = std::make_shared<Custom>(kValid);
    custom->width = 50;
    kernel.setPadding(custom);
    const auto state = std::make_shared<WideningState>();
    const auto d = kernel.destinationImageDescriptor({makeImage(9, 9, 5)}, {state, state});
    EXPECT_EQ(kernel.order, "class state state policy ");
    EXPECT_EQ(custom->given.width, 207u);
    EXPECT_EQ(custom->given.height, 7u);
    EXPECT_EQ(custom->offsetGiven, (Offset{1, 1, 0})) << "the default offset is set before";
    EXPECT_EQ(custom->sources, 1u);
    EXPECT_EQ(custom->stateCount, 2u);
    EXPECT_EQ(d.width, 50u) << "the policy's word is final";
}

TEST(PaddingPolicy, WithoutTheCustomBitTheHookIsNotCalled) {
    class Quiet final : public NNPadding {
    public:
        NNPaddingMethod paddingMethod() const override { return kSame; }
        ImageDescriptor destinationImageDescriptor(const std::vector<ImagePtr>&, const StateBatch&, Kernel&,
                                                   const ImageDescriptor&) override {
            throw MTL::Error("called");
        }
    };
    CopyKernel kernel;
    kernel.setPadding(std::make_shared<Quiet>());
    EXPECT_EQ(kernel.destinationImageDescriptor({makeImage(3, 3, 1)}).width, 3u);
    EXPECT_EQ(kernel.padding()->inverse(), nullptr);
}

TEST(PaddingPolicy, OnlyTheOffsetIsComputedAnewSoThatAPolicyThatAddsDrifts) {
    CopyKernel kernel;
    kernel.window(3, 3);
    const auto custom = std::make_shared<Custom>(kSame);
    custom->act = [](CopyKernel& k) {
        k.setOffset({k.offset().x + 1, k.offset().y, k.offset().z});
        k.setSourceFeatureChannelOffset(k.sourceFeatureChannelOffset() + 4);
    };
    kernel.setPadding(custom);
    const auto source = makeImage(9, 9, 16);
    for (std::size_t i = 1; i <= 3; ++i) {
        kernel.destinationImageDescriptor({source});
        EXPECT_EQ(kernel.offset(), (Offset{1, 0, 0}));
        EXPECT_EQ(kernel.sourceFeatureChannelOffset(), 4 * i);
    }
}

TEST(PaddingPolicy, ABatchAsksThePolicyOnceWithItsFirstImage) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    const auto custom = std::make_shared<Custom>(kSame);
    kernel.setPadding(custom);
    kernel.setDestinationImageAllocator(Image::defaultAllocator());
    kernel.encodeBatch(commands, {makeImage(3, 3, 1), makeImage(3, 3, 1), makeImage(3, 3, 1)});
    EXPECT_EQ(custom->calls, 1);
    EXPECT_EQ(custom->sources, 1u);
    EXPECT_EQ(custom->stateCount, 0u);
    run(commands);
}

TEST(PaddingPolicy, TheDescriptorTakesChannelsImagesAndAFormatThatHoldsActivations) {
    CopyKernel kernel;
    const auto of = [&](Format format) {
        return kernel
            .destinationImageDescriptor({std::make_shared<Image>(testDevice(), describe(3, 3, 11, 2, format))});
    };
    EXPECT_EQ(of(Format::Float32).featureChannels, 11u);
    EXPECT_EQ(of(Format::Float32).numberOfImages, 2u);
    EXPECT_EQ(of(Format::Float32).channelFormat, Format::Float32);
    EXPECT_EQ(of(Format::Float16).channelFormat, Format::Float16);
    EXPECT_EQ(of(Format::Unorm8).channelFormat, Format::Float16);
    EXPECT_EQ(of(Format::Unorm16).channelFormat, Format::Float16);
    EXPECT_EQ(of(Format::BFloat16).channelFormat, Format::BFloat16);
    kernel.setSourceFeatureChannelOffset(4);
    EXPECT_EQ(of(Format::Float32).featureChannels, 7u);
    kernel.setSourceFeatureChannelMaxCount(3);
    EXPECT_EQ(of(Format::Float32).featureChannels, 3u);
}

TEST(PaddingPolicy, ThePrimarySourceSizesABinaryResultUnlessItIsBroadcast) {
    SumKernel kernel;
    kernel.primary().kernelWidth = kernel.primary().kernelHeight = 3;
    const auto a = makeImage(9, 9, 4), b = makeImage(13, 13, 4);
    kernel.setPadding(NNDefaultPadding::padding(kValid));
    auto d = kernel.destinationImageDescriptor({a, b});
    EXPECT_EQ(d.width, 7u);
    EXPECT_EQ(kernel.primaryOffset(), (Offset{1, 1, 0}));
    // From its own extent: 7 - 13 = -6 pixels missing, trunc((-6 + 1) / 2) = -2 of them on the left.
    EXPECT_EQ(kernel.secondaryOffset(), (Offset{2, 2, 0}));
    kernel.setPrimaryStrideInPixelsX(0);
    kernel.setPrimaryStrideInPixelsY(0);
    d = kernel.destinationImageDescriptor({makeImage(1, 1, 4), b});
    EXPECT_EQ(d.width, 13u);
    EXPECT_EQ(kernel.primaryOffset(), (Offset{0, 0, 0}));
}

TEST(PaddingPolicy, ABinaryClassMayChangeTheSuggestedChannels) {
    SumKernel kernel;
    kernel.adjustedChannels = 9;
    EXPECT_EQ(kernel.destinationImageDescriptor({makeImage(2, 2, 4), makeImage(2, 2, 4)}).featureChannels, 9u);
}

TEST(PaddingPolicy, AGradientTakesTheGeometryOfItsState) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel forward;
    forward.makesState = true;
    forward.window(3, 2, 1, 1, 2, 1);
    forward.setEdgeMode(ImageEdgeMode::Clamp);
    forward.setSourceFeatureChannelOffset(4);
    forward.setSourceFeatureChannelMaxCount(8);
    forward.setDestinationImageAllocator(Image::defaultAllocator());
    std::shared_ptr<State> state;
    const auto source = makeImage(9, 8, 16);
    const auto result = forward.encode(commands, source, &state, false);
    ProductGradient gradient;
    const auto d = gradient.destinationImageDescriptor({result, source}, {state});
    EXPECT_EQ(d.width, 9u);
    EXPECT_EQ(d.height, 8u);
    EXPECT_EQ(d.featureChannels, 8u);
    EXPECT_EQ(gradient.secondaryOffset(), forward.offset());
    EXPECT_EQ(gradient.secondaryKernelWidth(), 3u);
    EXPECT_EQ(gradient.secondaryKernelHeight(), 2u);
    EXPECT_EQ(gradient.secondaryDilationRateX(), 2u);
    EXPECT_EQ(gradient.secondaryEdgeMode(), ImageEdgeMode::Clamp);
    EXPECT_EQ(gradient.secondarySourceFeatureChannelOffset(), 4u);
    EXPECT_EQ(gradient.secondarySourceFeatureChannelMaxCount(), 8u);
    EXPECT_EQ(gradient.clipRect(), RectNoClip);
    run(commands);
}
