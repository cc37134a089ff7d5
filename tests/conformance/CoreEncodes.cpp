#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "DeviceName.h"
#include "TestKernel.h"

using namespace pewter::test;
using namespace MPS;
using testing::HasSubstr;

/// The encode forms and the geometry of images, on every device of the machine.
class CoreEncodes : public testing::TestWithParam<std::string> {
protected:
    std::shared_ptr<MTL::Device> device = MTL::copyDevice(GetParam());
    std::shared_ptr<MTL::CommandQueue> queue = device->newCommandQueue();
    BufferPtr commands = queue->commandBuffer();

    ImagePtr make(std::size_t w, std::size_t h, std::size_t c, float first = 0, std::size_t n = 1) {
        auto image = std::make_shared<Image>(device, describe(w, h, c, n));
        writeFloats(*image, counting(w * h * c * n, first));
        return image;
    }
    ImagePtr constant(std::size_t w, std::size_t h, std::size_t c, float value, std::size_t n = 1) {
        auto image = std::make_shared<Image>(device, describe(w, h, c, n));
        writeFloats(*image, std::vector<float>(w * h * c * n, value));
        return image;
    }
    std::shared_ptr<CopyKernel> copier() {
        auto kernel = std::make_shared<CopyKernel>(device);
        kernel->setDestinationImageAllocator(Image::defaultAllocator());
        return kernel;
    }
    std::shared_ptr<SumKernel> adder() {
        auto kernel = std::make_shared<SumKernel>(device);
        kernel->setDestinationImageAllocator(Image::defaultAllocator());
        return kernel;
    }
};

INSTANTIATE_TEST_SUITE_P(Devices, CoreEncodes, testing::ValuesIn([] {
                             std::vector<std::string> names;
                             for (const auto& device : MTL::copyAllDevices()) names.push_back(device->name());
                             return names;
                         }()),
                         [](const auto& info) { return testNameOf(info.param); });

TEST_P(CoreEncodes, TheExplicitFormUsesTheOffsetAsItIsAndLeavesIt) {
    const auto kernel = copier();
    kernel->setOffset({1, 2, 0});
    const auto result = constant(2, 2, 1, -1);
    kernel->encode(commands, make(4, 4, 1), result);
    EXPECT_EQ(kernel->offset(), (Offset{1, 2, 0}));
    run(commands);
    EXPECT_EQ(readFloats(*result), (std::vector<float>{9, 10, 13, 14}));
}

TEST_P(CoreEncodes, TheReturnedFormSizesTheResultAndStoresTheOffset) {
    const auto kernel = copier();
    kernel->window(3, 3);
    kernel->setPadding(NNDefaultPadding::padding(NNPaddingMethodSizeValidOnly));
    kernel->setOffset({50, 50, 0});
    const auto result = kernel->encode(commands, make(4, 4, 1));
    EXPECT_EQ(kernel->offset(), (Offset{1, 1, 0}));
    EXPECT_EQ(result->width(), 2u);
    run(commands);
    EXPECT_EQ(readFloats(*result), (std::vector<float>{5, 6, 9, 10}));
}

TEST_P(CoreEncodes, ReadsOutsideFollowTheEdgeMode) {
    const auto kernel = copier();
    kernel->setOffset({-1, 1, 0});
    const auto zero = constant(3, 2, 1, -1), clamp = constant(3, 2, 1, -1);
    kernel->encode(commands, make(2, 2, 1, 1), zero);
    kernel->setEdgeMode(ImageEdgeMode::Clamp);
    kernel->encode(commands, make(2, 2, 1, 1), clamp);
    run(commands);
    EXPECT_EQ(readFloats(*zero), (std::vector<float>{0, 3, 4, 0, 0, 0}));
    EXPECT_EQ(readFloats(*clamp), (std::vector<float>{3, 3, 4, 3, 3, 4}));
}

TEST_P(CoreEncodes, OnlyTheClipRectangleIsWrittenAndItsOriginDoesNotMoveTheSource) {
    const auto kernel = copier();
    kernel->setClipRect({{1, 2, 0}, {2, 100, 1}});
    const auto result = constant(4, 4, 1, -1);
    kernel->encode(commands, make(4, 4, 1), result);
    run(commands);
    EXPECT_EQ(readFloats(*result), (std::vector<float>{-1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, -1, -1, 4, 5, -1}));
}

TEST_P(CoreEncodes, ChannelsAreReadAndWrittenAtTheirOffsets) {
    const auto kernel = copier();
    kernel->setSourceFeatureChannelOffset(4);
    kernel->setSourceFeatureChannelMaxCount(4);
    kernel->setDestinationFeatureChannelOffset(8);
    const auto result = constant(1, 1, 16, -1);
    kernel->encode(commands, make(1, 1, 12), result);
    run(commands);
    EXPECT_EQ(readFloats(*result),
              (std::vector<float>{-1, -1, -1, -1, -1, -1, -1, -1, 4, 5, 6, 7, -1, -1, -1, -1}));
}

TEST_P(CoreEncodes, UnusedLanesOfTheLastSliceGetZerosInsideTheClipOnly) {
    const auto kernel = copier();
    kernel->setClipRect({{0, 0, 0}, {1, 1, 1}});
    const auto result = constant(2, 1, 9, -1);
    kernel->encode(commands, make(2, 1, 5, 1), result);
    run(commands);
    EXPECT_EQ(readFloats(*result),
              (std::vector<float>{1, 2, 3, 4, 5, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}));
}

TEST_P(CoreEncodes, TwoKernelsConcatenateIntoOneTemporary) {
    const auto kernel = copier();
    const auto joined = TemporaryImage::temporaryImage(commands, describe(2, 1, 28));
    kernel->encode(commands, make(2, 1, 23, 1), joined);
    kernel->setDestinationFeatureChannelOffset(24);
    kernel->encode(commands, make(2, 1, 4, 100), joined);
    EXPECT_EQ(joined->readCount(), 1u);
    kernel->setDestinationFeatureChannelOffset(0);
    const auto result = kernel->encode(commands, joined);
    run(commands);
    const auto v = readFloats(*result);
    for (std::size_t p = 0; p < 2; ++p) {
        EXPECT_EQ(v[p * 28 + 22], static_cast<float>(23 + 23 * p));
        EXPECT_EQ(v[p * 28 + 23], 0);
        EXPECT_EQ(v[p * 28 + 24], static_cast<float>(100 + 4 * p));
    }
}

TEST_P(CoreEncodes, SubImagesOfOneParentMayBeSourceAndDestination) {
    const auto parent = make(1, 1, 8);
    copier()->encode(commands, parent->subImage({0, 4}), parent->subImage({4, 4}));
    run(commands);
    EXPECT_EQ(readFloats(*parent), (std::vector<float>{0, 1, 2, 3, 0, 1, 2, 3}));
}

TEST_P(CoreEncodes, OneImageMayHoldSeveralAndZSelectsThem) {
    const auto kernel = copier();
    kernel->setOffset({0, 0, 2});
    kernel->setClipRect({{0, 0, 1}, {2, 1, 2}});
    const auto source = make(2, 1, 1, 0, 5), result = constant(2, 1, 1, -1, 4);
    kernel->encode(commands, source, result);
    run(commands);
    EXPECT_EQ(readFloats(*result), (std::vector<float>{-1, -1, 4, 5, 6, 7, -1, -1}));
}

TEST_P(CoreEncodes, WithoutAClipAsManyImagesAsBothSidesHaveAreProcessed) {
    const auto kernel = copier();
    kernel->setOffset({0, 0, 1});
    const auto source = make(1, 1, 1, 0, 3), result = constant(1, 1, 1, -1, 4);
    kernel->encode(commands, source, result);
    kernel->setOffset({0, 0, 0});
    const auto all = kernel->encode(commands, source);
    EXPECT_EQ(all->numberOfImages(), 3u);
    run(commands);
    EXPECT_EQ(readFloats(*result), (std::vector<float>{1, 2, -1, -1}));
    EXPECT_EQ(readFloats(*all), (std::vector<float>{0, 1, 2}));
}

TEST_P(CoreEncodes, LooseImagesAndLibraryBatchesGiveTheSameAsOneImageAtATime) {
    const auto kernel = copier();
    kernel->setOffset({1, 0, 0});
    kernel->setClipRect({{1, 1, 0}, {3, 2, 1}});
    kernel->setSourceFeatureChannelOffset(4);
    ImageBatch loose, single, scattered;
    for (int i = 0; i < 4; ++i) {
        loose.push_back(make(5, 4, 9, static_cast<float>(1000 * i)));
        single.push_back(constant(5, 4, 6, -1));
        scattered.push_back(constant(5, 4, 6, -1));
    }
    auto together = Image::defaultAllocator()->imageBatch(commands, describe(5, 4, 9), kernel.get(), 4);
    auto backToBack = Image::defaultAllocator()->imageBatch(commands, describe(5, 4, 6), kernel.get(), 4);
    for (std::size_t i = 0; i < 4; ++i) {
        writeFloats(*together[i], readFloats(*loose[i]));
        writeFloats(*backToBack[i], std::vector<float>(120, -1));
        kernel->encode(commands, loose[i], single[i]);
    }
    kernel->encodeBatch(commands, together, scattered);
    kernel->encodeBatch(commands, loose, backToBack);
    const auto reversed = ImageBatch{constant(5, 4, 6, -1), constant(5, 4, 6, -1)};
    kernel->encodeBatch(commands, {together[3], together[1]}, reversed);
    run(commands);
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(readFloats(*scattered[i]), readFloats(*single[i])) << i;
        EXPECT_EQ(readFloats(*backToBack[i]), readFloats(*single[i])) << i;
    }
    EXPECT_EQ(readFloats(*reversed[0]), readFloats(*single[3]));
    EXPECT_EQ(readFloats(*reversed[1]), readFloats(*single[1]));
    EXPECT_EQ(readFloats(*single[1])[6 * 6 + 5], 0) << "the sixth channel is a padding lane of five written";
}

TEST_P(CoreEncodes, AReturnedBatchHasOneImageForEachSourceAndReadsEachOnce) {
    const auto kernel = std::make_shared<CopyKernel>(device);
    const auto sources = kernel->encodeBatch(commands, {make(2, 2, 1, 0), make(2, 2, 1, 10), make(2, 2, 1, 20)});
    const auto results = kernel->encodeBatch(commands, sources);
    ASSERT_EQ(results.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(temporary(sources[i]).readCount(), 0u);
        EXPECT_EQ(temporary(results[i]).readCount(), 1u);
    }
    const ImageBatch plain{constant(2, 2, 1, -1), constant(2, 2, 1, -1), constant(2, 2, 1, -1)};
    kernel->encodeBatch(commands, results, plain);
    EXPECT_EQ(commands->peakTemporaryMemory(), 128u) << "each batch lies back to back: 48 bytes, rounded up once";
    run(commands);
    EXPECT_EQ(readFloats(*plain[2]), counting(4, 20));
}

TEST_P(CoreEncodes, ABatchOfOneIsABatch) {
    const auto kernel = copier();
    const auto results = kernel->encodeBatch(commands, {make(2, 2, 1, 4)});
    ASSERT_EQ(results.size(), 1u);
    run(commands);
    EXPECT_EQ(readFloats(*results[0]), counting(4, 4));
}

TEST_P(CoreEncodes, AnEmptyBatchEncodesNothing) {
    const auto kernel = copier();
    StateBatch states;
    EXPECT_TRUE(kernel->encodeBatch(commands, ImageBatch{}).empty());
    EXPECT_TRUE(kernel->encodeBatch(commands, ImageBatch{}, &states, true).empty());
    kernel->encodeBatch(commands, ImageBatch{}, ImageBatch{});
    EXPECT_TRUE(adder()->encodeBatch(commands, ImageBatch{}, ImageBatch{}).empty());
    EXPECT_TRUE(std::make_shared<ProductGradient>(device)->encodeBatch(commands, {}, {}, StateBatch{}).empty());
    EXPECT_EQ(Recorded(commands).commands, 0u);
}

TEST_P(CoreEncodes, ResultStatesComeTemporaryOrPlainSingleOrInBatches) {
    const auto kernel = copier();
    const auto source = make(2, 2, 1);
    std::shared_ptr<State> state = std::make_shared<State>(device, 4);
    kernel->encode(commands, source, &state, true);
    EXPECT_EQ(state, nullptr) << "a kernel without states stores null";
    kernel->makesState = true;
    kernel->encode(commands, source, &state, false);
    ASSERT_TRUE(state);
    EXPECT_FALSE(state->isTemporary());
    kernel->encode(commands, source, &state, true);
    EXPECT_TRUE(state->isTemporary());
    EXPECT_EQ(state->readCount(), 1u);
    state->setReadCount(0);

    StateBatch states;
    kernel->encodeBatch(commands, {source, make(2, 2, 1)}, &states, true);
    ASSERT_EQ(states.size(), 2u);
    EXPECT_NE(states[0], states[1]);
    StateBatchIncrementReadCount(states, -1);
    kernel->reusesState = true;
    kernel->encodeBatch(commands, {source, make(2, 2, 1)}, &states, false);
    EXPECT_EQ(states[0], states[1]);

    const auto result = constant(2, 2, 1, 0);
    const auto given = kernel->temporaryResultState(commands, source, {}, result);
    kernel->encode(commands, source, given, result);
    EXPECT_EQ(given->readCount(), 1u) << "written, not read";
    given->setReadCount(0);
    const auto givenBatch = kernel->resultStateBatch({source, source}, {}, {result, constant(2, 2, 1, 0)});
    EXPECT_EQ(givenBatch.size(), 2u);
    run(commands);
}

TEST_P(CoreEncodes, BinaryFormsAddAndReadBothSources) {
    const auto kernel = adder();
    const auto forward = std::make_shared<CopyKernel>(device);
    const auto a = forward->encode(commands, make(2, 2, 1, 1)), b = forward->encode(commands, make(2, 2, 1, 10));
    const auto returned = kernel->encode(commands, a, b);
    EXPECT_EQ(temporary(a).readCount() + temporary(b).readCount(), 0u);
    const auto given = constant(2, 2, 1, 0);
    kernel->setSecondaryOffset({1, 0, 0});
    kernel->setSecondaryEdgeMode(ImageEdgeMode::Clamp);
    kernel->encode(commands, make(2, 2, 1, 1), make(2, 2, 1, 10), given);
    EXPECT_EQ(kernel->secondaryOffset(), (Offset{1, 0, 0}));
    const auto batch = kernel->encodeBatch(commands, {make(1, 1, 1, 1), make(1, 1, 1, 2)},
                                           {make(1, 1, 1, 10), make(1, 1, 1, 20)});
    const ImageBatch explicitBatch{constant(1, 1, 1, 0), constant(1, 1, 1, 0)};
    kernel->encodeBatch(commands, {make(1, 1, 1, 3), make(1, 1, 1, 4)}, {make(1, 1, 1, 30), make(1, 1, 1, 40)},
                        explicitBatch);
    run(commands);
    EXPECT_EQ(readFloats(*returned), (std::vector<float>{11, 13, 15, 17}));
    EXPECT_EQ(readFloats(*given), (std::vector<float>{12, 13, 16, 17}));
    EXPECT_EQ(readFloats(*batch[1])[0], 22);
    EXPECT_EQ(readFloats(*explicitBatch[1])[0], 44);
}

TEST_P(CoreEncodes, BinaryResultStatesComeInEveryForm) {
    const auto kernel = adder();
    kernel->makesState = true;
    const auto a = make(2, 2, 1, 1), b = make(2, 2, 1, 2);
    std::shared_ptr<State> state;
    kernel->encode(commands, a, b, &state, true);
    EXPECT_EQ(state->readCount(), 1u);
    state->setReadCount(0);
    StateBatch states;
    kernel->encodeBatch(commands, {a, b}, {b, a}, &states, false);
    EXPECT_EQ(states.size(), 2u);
    kernel->reusesState = true;
    kernel->encodeBatch(commands, {a, b}, {b, a}, &states, true);
    EXPECT_EQ(states[0], states[1]);
    states[0]->setReadCount(0);
    run(commands);
}

TEST_P(CoreEncodes, AGradientReadsGradientSourceAndStateOnceInEveryForm) {
    const auto forward = std::make_shared<CopyKernel>(device);
    forward->makesState = true;
    const auto gradient = std::make_shared<ProductGradient>(device);
    const auto x = forward->encode(commands, make(2, 2, 1, 1));
    temporary(x).setReadCount(2);
    std::shared_ptr<State> state;
    const auto y = forward->encode(commands, x, &state, true);
    const auto dx = gradient->encode(commands, y, x, state);
    EXPECT_EQ(temporary(x).readCount() + temporary(y).readCount() + state->readCount(), 0u);
    EXPECT_EQ(temporary(dx).readCount(), 1u);
    const auto result = constant(2, 2, 1, 0);
    forward->encode(commands, dx, result);

    const ImageBatch sources{make(2, 2, 1, 1), make(2, 2, 1, 5)};
    StateBatch states;
    const auto results = forward->encodeBatch(commands, sources, &states, true);
    MPS::ImageBatchIncrementReadCount(results, 1);
    MPS::StateBatchIncrementReadCount(states, 1);
    gradient->setDestinationImageAllocator(Image::defaultAllocator());
    const auto returned = gradient->encodeBatch(commands, results, sources, states);
    const ImageBatch given{constant(2, 2, 1, 0), constant(2, 2, 1, 0)};
    gradient->encodeBatch(commands, results, sources, states, given);
    EXPECT_EQ(states[0]->readCount() + states[1]->readCount(), 0u);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    run(commands);
    EXPECT_EQ(readFloats(*result), (std::vector<float>{1, 4, 9, 16}));
    EXPECT_EQ(readFloats(*returned[1]), (std::vector<float>{25, 36, 49, 64}));
    EXPECT_EQ(readFloats(*given[0]), (std::vector<float>{1, 4, 9, 16}));
}

TEST_P(CoreEncodes, TheExplicitGradientFormCopiesNothingFromTheState) {
    const auto forward = copier();
    forward->makesState = true;
    forward->window(3, 3);
    std::shared_ptr<State> state;
    const auto source = make(2, 2, 1, 1);
    const auto y = forward->encode(commands, source, &state, false);
    const auto gradient = std::make_shared<ProductGradient>(device);
    gradient->setSecondaryOffset({0, 0, 0});
    gradient->encode(commands, y, source, state, constant(2, 2, 1, 0));
    EXPECT_EQ(gradient->secondaryKernelWidth(), 1u);
    gradient->setDestinationImageAllocator(Image::defaultAllocator());
    gradient->encode(commands, y, source, state);
    EXPECT_EQ(gradient->secondaryKernelWidth(), 3u);
    run(commands);
}

TEST_P(CoreEncodes, AGradientIsCutToItsClipRectangle) {
    const auto forward = copier();
    forward->makesState = true;
    std::shared_ptr<State> state;
    const auto source = make(3, 2, 1, 1);
    const auto y = forward->encode(commands, source, &state, false);
    const auto gradient = std::make_shared<ProductGradient>(device);
    gradient->setClipRect({{1, 0, 0}, {2, 1, 1}});
    const auto result = constant(4, 3, 1, -1);
    gradient->encode(commands, y, source, state, result);
    run(commands);
    EXPECT_EQ(readFloats(*result), (std::vector<float>{-1, 4, 9, -1, -1, -1, -1, -1, -1, -1, -1, -1}));
}

TEST_P(CoreEncodes, FormatsAreConvertedOnTheWay) {
    const auto source = std::make_shared<Image>(device, describe(2, 1, 1, 1, Format::Unorm8));
    const unsigned char bytes[2] = {0, 255};
    source->writeBytes(bytes, DataLayout::HeightxWidthxFeatureChannels, 0);
    const auto result = constant(2, 1, 1, -1);
    copier()->encode(commands, source, result);
    const auto half = copier()->encode(commands, source);
    EXPECT_EQ(half->featureChannelFormat(), Format::Float16);
    run(commands);
    EXPECT_EQ(readFloats(*result), (std::vector<float>{0, 1}));
    std::uint16_t bits[2];
    half->readBytes(bits, DataLayout::HeightxWidthxFeatureChannels, 0);
    EXPECT_EQ(bits[1], 0x3C00);
}

TEST_P(CoreEncodes, AFailingHostFunctionBetweenKernelsIsNamedUnderTheDebugGroup) {
    const auto kernel = copier();
    kernel->setLabel("conv1");
    kernel->setOptions(KernelOptionsInsertDebugGroups);
    commands->pushDebugGroup("forward");
    const auto result = kernel->encode(commands, make(2, 2, 1));
    commands->encodeHostFunction("check", [] { throw std::runtime_error("NaN"); });
    commands->popDebugGroup();
    commands->commit();
    commands->waitUntilCompleted();
    EXPECT_EQ(commands->error()->command, "forward/check");
}
