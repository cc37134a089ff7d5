#include <MPS/NNCompare.hpp>
#include <cmath>

#include "UnaryKernels.h"

using namespace pewter::test;

namespace {

using Type = MPS::NNComparisonType;

Numbers compared(const DevicePtr& device, MPS::NNCompare& compare, const ImagePtr& x, const ImagePtr& y) {
    const auto commands = device->newCommandQueue()->commandBuffer();
    compare.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto result = compare.encode(commands, x, y);
    finish(commands);
    return read(*result);
}

std::size_t readsLeft(const ImagePtr& image) {
    return dynamic_cast<MPS::TemporaryImage&>(*image).readCount();
}

}  // namespace

TEST(CompareKernel, DefaultsAreEqualWithoutToleranceAndCopiesKeepTheirSettings) {
    const auto device = MTL::copyDevice("reference");
    MPS::NNCompare compare(device);
    EXPECT_EQ(compare.comparisonType(), Type::Equal);
    EXPECT_EQ(compare.threshold(), 0);
    compare.setComparisonType(Type::Greater);
    compare.setThreshold(0.5f);
    compare.setSecondaryStrideInFeatureChannels(0);
    const auto copy = std::dynamic_pointer_cast<MPS::NNCompare>(compare.copy());
    EXPECT_EQ(copy->comparisonType(), Type::Greater);
    EXPECT_EQ(copy->threshold(), 0.5f);
    EXPECT_EQ(copy->secondaryStrideInFeatureChannels(), 0u);
}

TEST(CompareKernel, EveryComparisonGivesOneOrZeroOnEveryDevice) {
    const Numbers x = {1, 2, 3, 4, std::nan("")}, y = {3, 3, 3, 3, 3};
    const std::pair<Type, Numbers> expected[] = {
        {Type::Equal, {0, 0, 1, 0, 0}},   {Type::NotEqual, {1, 1, 0, 1, 0}},
        {Type::Less, {1, 1, 0, 0, 0}},    {Type::LessOrEqual, {1, 1, 1, 0, 0}},
        {Type::Greater, {0, 0, 0, 1, 0}}, {Type::GreaterOrEqual, {0, 0, 1, 1, 0}}};
    for (const auto& device : weightedDevices())
        for (const auto& [type, result] : expected) {
            MPS::NNCompare compare(device);
            compare.setComparisonType(type);
            // None of these has an effect.
            compare.setPrimaryScale(5);
            compare.setSecondaryScale(-1);
            compare.setBias(3);
            compare.setMinimumValue(0.25f);
            compare.setMaximumValue(0.5f);
            EXPECT_EQ(compared(device, compare, imageOf(device, 5, 1, 1, x), imageOf(device, 5, 1, 1, y)),
                      result)
                << static_cast<int>(type) << " on " << device->name();
        }
}

TEST(CompareKernel, TheThresholdWidensEqualityOnlyAndIsMetExactly) {
    const Numbers x = {1, 1.25, 1.5, 2}, y = {1.5, 1.5, 1.5, 1.5};
    for (const auto& device : weightedDevices()) {
        MPS::NNCompare compare(device);
        compare.setThreshold(0.25f);
        const auto a = imageOf(device, 4, 1, 1, x), b = imageOf(device, 4, 1, 1, y);
        EXPECT_EQ(compared(device, compare, a, b), (Numbers{0, 1, 1, 0})) << device->name();
        compare.setComparisonType(Type::NotEqual);
        EXPECT_EQ(compared(device, compare, a, b), (Numbers{1, 0, 0, 1})) << device->name();
        compare.setComparisonType(Type::Less);
        EXPECT_EQ(compared(device, compare, a, b), (Numbers{1, 1, 0, 0})) << device->name();
    }
}

TEST(CompareKernel, OperandsAreBroadcastByTheirStridesAndPlacedByTheirOffsets) {
    for (const auto& device : weightedDevices()) {
        const auto x = imageOf(device, 2, 2, 2, {1, 2, 3, 4, 5, 6, 7, 8});
        MPS::NNCompare compare(device);
        compare.setComparisonType(Type::GreaterOrEqual);
        compare.setSecondaryStrideInPixelsX(0);
        compare.setSecondaryStrideInPixelsY(0);
        EXPECT_EQ(compared(device, compare, x, imageOf(device, 1, 1, 2, {3, 6})),
                  (Numbers{0, 0, 1, 0, 1, 1, 1, 1}));
        compare.setSecondaryStrideInFeatureChannels(0);
        EXPECT_EQ(compared(device, compare, x, imageOf(device, 1, 1, 1, {4})),
                  (Numbers{0, 0, 0, 1, 1, 1, 1, 1}));

        MPS::NNCompare shifted(device);
        shifted.setComparisonType(Type::Less);
        shifted.setPrimaryOffset({1, 0, 0});
        shifted.setPrimaryEdgeMode(MPS::ImageEdgeMode::Clamp);
        shifted.setClipRect({{0, 1, 0}, {2, 1, 1}});
        const auto y = imageOf(device, 2, 2, 2, Numbers(8, 9));
        const auto commands = device->newCommandQueue()->commandBuffer();
        shifted.encode(commands, x, imageOf(device, 2, 2, 2, Numbers(8, 4)), y);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{9, 9, 9, 9, 1, 0, 1, 0})) << device->name();
    }
}

TEST(CompareKernel, BatchesLooseOrTogetherAndTemporariesAreReadOnceAndNoStateComesBack) {
    Random random(64);
    for (const auto& device : weightedDevices()) {
        const auto a = integers(random, 54, 0, 2), b = integers(random, 54, 0, 2);
        Numbers expected;
        for (std::size_t i = 0; i < a.size(); ++i) expected.push_back(a[i] == b[i] ? 1 : 0);
        for (const auto memory : {Memory::Together, Memory::Loose}) {
            const auto commands = device->newCommandQueue()->commandBuffer();
            MPS::NNCompare compare(device);
            const auto xs = imagesOf(device, {3, 2, 3, 3}, a, Format::Float32, memory),
                       ys = imagesOf(device, {3, 2, 3, 3}, b, Format::Float32, memory);
            MPS::StateBatch states = {nullptr};
            const auto first = compare.encodeBatch(commands, xs, ys, &states, true);
            EXPECT_TRUE(states.empty());
            compare.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            // 1 where a flag equals itself.
            const auto flags = compare.encodeBatch(commands, first, imagesOf(device, {3, 2, 3, 3}, expected));
            for (const auto& image : first) EXPECT_EQ(readsLeft(image), 0u);
            finish(commands);
            EXPECT_EQ(read(flags), Numbers(54, 1)) << device->name();
        }
    }
}
