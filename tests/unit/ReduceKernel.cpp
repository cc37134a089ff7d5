#include <MPS/NNReduce.hpp>
#include <cmath>
#include <functional>

#include "UnaryKernels.h"

using namespace pewter::test;

namespace {

using Make = std::function<std::shared_ptr<MPS::NNReduceUnary>(const DevicePtr&)>;

template <class K>
Make maker() {
    return [](const DevicePtr& device) { return std::make_shared<K>(device); };
}

/// 2 rows, 3 columns, 2 channels.
const Numbers kImage = {1, -1, 2, -2, 3, -3, 4, 8, 5, 5, 6, -6};

struct Expected {
    Make make;
    const char* name;
    Extents extents;
    Numbers values;
};

const std::vector<Expected>& allUnary() {
    static const std::vector<Expected> all = {
        {maker<MPS::NNReduceRowMin>(), "NNReduceRowMin", {1, 2, 1, 2}, {1, -3, 4, -6}},
        {maker<MPS::NNReduceRowMax>(), "NNReduceRowMax", {1, 2, 1, 2}, {3, -1, 6, 8}},
        {maker<MPS::NNReduceRowMean>(), "NNReduceRowMean", {1, 2, 1, 2}, {2, -2, 5, 7.0f / 3}},
        {maker<MPS::NNReduceRowSum>(), "NNReduceRowSum", {1, 2, 1, 2}, {6, -6, 15, 7}},
        {maker<MPS::NNReduceColumnMin>(), "NNReduceColumnMin", {1, 1, 3, 2}, {1, -1, 2, -2, 3, -6}},
        {maker<MPS::NNReduceColumnMax>(), "NNReduceColumnMax", {1, 1, 3, 2}, {4, 8, 5, 5, 6, -3}},
        {maker<MPS::NNReduceColumnMean>(),
         "NNReduceColumnMean",
         {1, 1, 3, 2},
         {2.5, 3.5, 3.5, 1.5, 4.5, -4.5}},
        {maker<MPS::NNReduceColumnSum>(), "NNReduceColumnSum", {1, 1, 3, 2}, {5, 7, 7, 3, 9, -9}},
        {maker<MPS::NNReduceFeatureChannelsMin>(),
         "NNReduceFeatureChannelsMin",
         {1, 2, 3, 1},
         {-1, -2, -3, 4, 5, -6}},
        {maker<MPS::NNReduceFeatureChannelsMax>(),
         "NNReduceFeatureChannelsMax",
         {1, 2, 3, 1},
         {1, 2, 3, 8, 5, 6}},
        {maker<MPS::NNReduceFeatureChannelsMean>(),
         "NNReduceFeatureChannelsMean",
         {1, 2, 3, 1},
         {0, 0, 0, 6, 5, 0}},
        {maker<MPS::NNReduceFeatureChannelsSum>(),
         "NNReduceFeatureChannelsSum",
         {1, 2, 3, 1},
         {0, 0, 0, 12, 10, 0}},
        {maker<MPS::NNReduceFeatureChannelsArgumentMin>(),
         "NNReduceFeatureChannelsArgumentMin",
         {1, 2, 3, 1},
         {1, 1, 1, 0, 0, 1}},
        {maker<MPS::NNReduceFeatureChannelsArgumentMax>(),
         "NNReduceFeatureChannelsArgumentMax",
         {1, 2, 3, 1},
         {0, 0, 0, 1, 0, 0}},
    };
    return all;
}

std::size_t readsLeft(const ImagePtr& image) {
    return dynamic_cast<MPS::TemporaryImage&>(*image).readCount();
}

}  // namespace

TEST(ReduceKernel, EveryClassCollapsesItsAxisOnEveryDevice) {
    for (const auto& device : weightedDevices())
        for (const auto& expected : allUnary()) {
            const auto kernel = expected.make(device);
            EXPECT_STREQ(kernel->className(), expected.name);
            kernel->setDestinationImageAllocator(MPS::Image::defaultAllocator());
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto y = kernel->encode(commands, imageOf(device, 3, 2, 2, kImage));
            finish(commands);
            EXPECT_EQ(y->height(), expected.extents.h) << expected.name;
            EXPECT_EQ(y->width(), expected.extents.w) << expected.name;
            EXPECT_EQ(y->featureChannels(), expected.extents.c) << expected.name;
            EXPECT_EQ(read(*y), expected.values) << expected.name << " on " << device->name();
        }
}

TEST(ReduceKernel, BatchesGivenDestinationsAndCopiesGiveTheSameNumbers) {
    for (const auto& device : weightedDevices())
        for (const auto& expected : allUnary()) {
            Numbers two = kImage, twice = expected.values;
            two.insert(two.end(), kImage.begin(), kImage.end());
            twice.insert(twice.end(), expected.values.begin(), expected.values.end());
            for (const auto memory : {Memory::Together, Memory::Loose}) {
                const auto kernel =
                    std::dynamic_pointer_cast<MPS::NNReduceUnary>(expected.make(device)->copy());
                const auto commands = device->newCommandQueue()->commandBuffer();
                const auto xs = imagesOf(device, {2, 2, 3, 2}, two, Format::Float32, memory);
                auto e = expected.extents;
                e.n = 2;
                const auto ys = imagesOf(device, e, Numbers(e.count(), 77), Format::Float32, memory);
                kernel->encodeBatch(commands, xs, ys);
                MPS::StateBatch states = {nullptr};
                kernel->setDestinationImageAllocator(MPS::Image::defaultAllocator());
                const auto returned = kernel->encodeBatch(commands, xs, &states, false);
                finish(commands);
                EXPECT_TRUE(states.empty());
                EXPECT_EQ(read(ys), twice) << expected.name << " on " << device->name();
                EXPECT_EQ(read(returned), twice) << expected.name;
            }
        }
}

TEST(ReduceKernel, OnlyTheSourceRegionIsReadAndTheOffsetIsNot) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto source = imageOf(device, 3, 2, 2, kImage);
        const auto encode = [&](MPS::NNReduceUnary& kernel) {
            kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            // Reaches beyond the image: cut.
            kernel.setClipRectSource({{1, 0, 0}, {9, 9, 1}});
            kernel.setOffset({2, 2, 0});
            return kernel.encode(commands, source);
        };
        MPS::NNReduceRowMean row(device);
        MPS::NNReduceColumnSum column(device);
        MPS::NNReduceFeatureChannelsSum channels(device);
        EXPECT_EQ(channels.weight(), 1);
        channels.setWeight(-2);
        const auto a = encode(row), b = encode(column), c = encode(channels);
        finish(commands);
        EXPECT_EQ(read(*a), (Numbers{2.5, -2.5, 5.5, -0.5})) << device->name();
        EXPECT_EQ(read(*b), (Numbers{7, 3, 9, -9}));
        EXPECT_EQ(c->width(), 2u);
        EXPECT_EQ(read(*c), (Numbers{0, 0, -20, 0}));
        EXPECT_EQ(std::dynamic_pointer_cast<MPS::NNReduceFeatureChannelsSum>(channels.copy())->weight(), -2);
        EXPECT_EQ(row.clipRectSource().origin.x, 1u);
    }
}

TEST(ReduceKernel, TheClipRectanglePlacesTheResultAndNothingElseIsWritten) {
    for (const auto& device : weightedDevices())
        for (const auto memory : {Memory::Together, Memory::Loose}) {
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto xs = imagesOf(device, {1, 2, 3, 2}, kImage, Format::Float32, memory);
            Numbers two = kImage;
            two.insert(two.end(), kImage.begin(), kImage.end());
            const auto pair = imagesOf(device, {2, 2, 3, 2}, two, Format::Float32, memory);
            const auto row = imagesOf(device, {2, 3, 3, 4}, Numbers(72, 7), Format::Float32, memory);
            MPS::NNReduceRowSum sum(device);
            sum.setClipRect({{1, 1, 0}, {2, 2, 1}});
            sum.encodeBatch(commands, pair, row);
            const auto column = imagesOf(device, {1, 2, 2, 6}, Numbers(24, 7), Format::Float32, memory);
            MPS::NNReduceColumnMax max(device);
            max.setClipRect({{0, 1, 0}, {2, 1, 1}});  // two of three columns
            max.setDestinationFeatureChannelOffset(4);
            max.encodeBatch(commands, xs, column);
            finish(commands);
            Numbers expected(72, 7);
            for (const std::size_t image : {0u, 36u})
                for (std::size_t y = 0; y < 2; ++y) {
                    // Pixel (1, 1 + y); lanes to the next multiple of 4 get zeros.
                    const std::size_t at = image + ((1 + y) * 3 + 1) * 4;
                    expected[at] = y ? 15 : 6, expected[at + 1] = y ? 7 : -6;
                    expected[at + 2] = expected[at + 3] = 0;
                }
            EXPECT_EQ(read(row), expected) << device->name();
            Numbers corner(24, 7);
            corner[16] = 4, corner[17] = 8, corner[22] = 5, corner[23] = 5;
            EXPECT_EQ(read(column), corner) << device->name();
        }
}

TEST(ReduceKernel, ImagesOfOneImageAreChosenByTheRegion) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto source = imageOf(device, 1, 2, 1, {1, 2, 3, 4, 5, 6}, Format::Float32, 3);
        const auto y = imageOf(device, 1, 1, 1, {}, Format::Float32, 2);
        MPS::NNReduceColumnSum sum(device);
        sum.setClipRectSource({{0, 0, 1}, {1, 2, 2}});
        sum.encode(commands, source, y);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{7, 11})) << device->name();
    }
}

TEST(ReduceKernel, ChannelWindowsCountFromTheirFirstChannelAndNaNIsTheExtremum) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto source = imageOf(device, 1, 1, 8, {9, 9, 9, 9, 1, 3, 3, 2});
        const auto broken = imageOf(device, 1, 1, 3, {1, std::nan(""), 2});
        MPS::NNReduceFeatureChannelsArgumentMax argument(device);
        argument.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        argument.setSourceFeatureChannelOffset(4);
        const auto index = argument.encode(commands, source);
        argument.setSourceFeatureChannelOffset(0);
        const auto nan = argument.encode(commands, broken);
        MPS::NNReduceFeatureChannelsMean mean(device);
        mean.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        mean.setSourceFeatureChannelOffset(4);
        mean.setSourceFeatureChannelMaxCount(2);
        const auto average = mean.encode(commands, source);
        finish(commands);
        EXPECT_EQ(read(*index), (Numbers{1})) << device->name();
        EXPECT_EQ(read(*nan), (Numbers{1})) << device->name();
        EXPECT_EQ(read(*average), (Numbers{2})) << device->name();
    }
}

TEST(ReduceKernel, ATemporarySourceIsReadOnce) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    MPS::NNReduceRowSum row(device);
    MPS::NNReduceColumnSum column(device);
    const auto rows = row.encode(commands, imageOf(device, 3, 2, 2, kImage));
    EXPECT_EQ(readsLeft(rows), 1u);
    column.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto total = column.encode(commands, rows);
    EXPECT_EQ(readsLeft(rows), 0u);
    finish(commands);
    EXPECT_EQ(read(*total), (Numbers{21, 1}));
}

TEST(ReduceKernel, WeightsMultiplyTheChannelsOnEveryDevice) {
    const Numbers x = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w = {2, 0, 4, 1, 1, 1, 0, 0, 0};
    for (const auto& device : weightedDevices())
        for (const auto memory : {Memory::Together, Memory::Loose}) {
            const auto commands = device->newCommandQueue()->commandBuffer();
            MPS::NNReduceFeatureChannelsAndWeightsMean mean(device);
            MPS::NNReduceFeatureChannelsAndWeightsSum sum(device), byNonZero(device, true);
            EXPECT_FALSE(sum.doWeightedSumByNonZeroWeights());
            EXPECT_TRUE(byNonZero.doWeightedSumByNonZeroWeights());
            const auto copy =
                std::dynamic_pointer_cast<MPS::NNReduceFeatureChannelsAndWeightsSum>(byNonZero.copy());
            EXPECT_TRUE(copy->doWeightedSumByNonZeroWeights());
            const auto encode = [&](MPS::NNReduceBinary& kernel) {
                kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
                return kernel.encodeBatch(commands,
                                          imagesOf(device, {3, 1, 1, 3}, x, Format::Float32, memory),
                                          imagesOf(device, {3, 1, 1, 3}, w, Format::Float32, memory));
            };
            const auto a = encode(mean), b = encode(sum), c = encode(*copy);
            finish(commands);
            EXPECT_EQ(read(a), (Numbers{14.0f / 3, 5, 0})) << device->name();
            EXPECT_EQ(read(b), (Numbers{14, 15, 0}));
            EXPECT_EQ(read(c), (Numbers{7, 5, 0}));
        }
}

TEST(ReduceKernel, EachSourceOfAWeightedReductionHasItsOwnRegion) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        MPS::NNReduceFeatureChannelsAndWeightsSum sum(device);
        sum.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        sum.setPrimarySourceClipRect({{1, 1, 0}, {2, 1, 1}});
        sum.setSecondarySourceClipRect({{0, 0, 0}, {2, 1, 1}});
        sum.setPrimaryOffset({1, 1, 0});
        const auto y = sum.encode(commands, imageOf(device, 3, 2, 2, kImage),
                                  imageOf(device, 3, 1, 2, {1, 2, 3, 4, 5, 6}));
        const auto given = imageOf(device, 3, 1, 1, {7, 7, 7});
        sum.setClipRect({{2, 0, 0}, {5, 5, 1}});
        sum.encode(commands, imageOf(device, 3, 2, 2, kImage), imageOf(device, 3, 1, 2, {1, 2, 3, 4, 5, 6}),
                   given);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{15, -6})) << device->name();
        EXPECT_EQ(read(*given), (Numbers{7, 7, 15})) << device->name();
        EXPECT_EQ(sum.primarySourceClipRect().origin.y, 1u);
        EXPECT_EQ(sum.secondarySourceClipRect().size.width, 2u);
    }
}
