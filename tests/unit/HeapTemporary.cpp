#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "TestKernel.h"

using namespace pewter::test;
using testing::HasSubstr;

namespace {

/// A chain of three images of `side` x `side`, run to its end; the last temporary is handed out.
ImagePtr runChain(const BufferPtr& commands, std::size_t side, const ImagePtr& source, const ImagePtr& result) {
    CopyKernel kernel;
    const auto a = kernel.encode(commands, source);
    const auto b = kernel.encode(commands, a);
    kernel.encode(commands, b, result);
    EXPECT_EQ(b->width(), side);
    run(commands);
    return b;
}

}  // namespace

TEST(HeapTemporary, ASteadyLoopAsksTheSystemForNothing) {
    const auto device = testDevice();
    const auto source = makeImage(33, 33, 3), result = makeImage(33, 33, 3);
    const auto queue = device->newCommandQueue();
    for (int i = 0; i < 2; ++i) runChain(queue->commandBuffer(), 33, source, result);
    const auto count = device->systemAllocationCount();
    const auto bytes = device->currentAllocatedSize();
    for (int i = 0; i < 20; ++i) runChain(queue->commandBuffer(), 33, source, result);
    EXPECT_EQ(device->systemAllocationCount(), count);
    EXPECT_EQ(device->currentAllocatedSize(), bytes);
}

TEST(HeapTemporary, ADurationOfZeroReturnsTheMemoryWhenTheBufferCompletes) {
    const auto device = testDevice();
    const auto source = makeImage(301, 7, 3), result = makeImage(301, 7, 3);
    for (const double seconds : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
        const auto before = device->currentAllocatedSize();
        const auto commands = testQueue()->commandBuffer();
        MPS::SetHeapCacheDuration(commands, seconds);
        runChain(commands, 301, source, result);
        EXPECT_EQ(device->currentAllocatedSize(), before) << seconds;
    }
}

TEST(HeapTemporary, WithinTheDurationTheNextBufferGetsTheSameMemory) {
    const auto device = testDevice();
    const auto source = makeImage(307, 7, 3), result = makeImage(307, 7, 3);
    const auto before = device->currentAllocatedSize();
    const auto commands = testQueue()->commandBuffer();
    MPS::SetHeapCacheDuration(commands, 1000);
    runChain(commands, 307, source, result);
    const auto count = device->systemAllocationCount();
    EXPECT_GT(device->currentAllocatedSize(), before);
    const auto again = testQueue()->commandBuffer();
    MPS::SetHeapCacheDuration(again, 0);
    runChain(again, 307, source, result);
    EXPECT_EQ(device->systemAllocationCount(), count);
    EXPECT_EQ(device->currentAllocatedSize(), before);
}

TEST(HeapTemporary, AfterTheDurationTheMemoryGoesBackWithTheNextQuestionOrAllocation) {
    const auto device = testDevice();
    const auto source = makeImage(313, 7, 3), result = makeImage(313, 7, 3);
    const auto before = device->currentAllocatedSize();
    const auto commands = testQueue()->commandBuffer();
    MPS::SetHeapCacheDuration(commands, 0.02);
    runChain(commands, 313, source, result);
    // The memory was given back before now, so its time is up then at the latest.
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
    EXPECT_EQ(device->currentAllocatedSize(), before);
    // A buffer that comes after the duration gets fresh memory.
    const auto count = device->systemAllocationCount();
    const auto again = testQueue()->commandBuffer();
    MPS::SetHeapCacheDuration(again, 0);
    runChain(again, 313, source, result);
    EXPECT_GT(device->systemAllocationCount(), count);
    EXPECT_EQ(device->currentAllocatedSize(), before);
}

TEST(HeapTemporary, AHandleKeptAfterCompletionKeepsNoMemory) {
    const auto device = testDevice();
    const auto source = makeImage(311, 7, 3), result = makeImage(311, 7, 3);
    const auto before = device->currentAllocatedSize();
    const Diagnostics diagnostics;
    const auto commands = testQueue()->commandBuffer();
    MPS::SetHeapCacheDuration(commands, 0);
    CopyKernel kernel;
    kernel.makesState = true;
    kernel.stateBytes = 1 << 16;
    std::shared_ptr<MPS::State> state;
    const auto unread = kernel.encode(commands, source, &state, true);
    const auto spent = runChain(commands, 311, source, result);
    EXPECT_EQ(device->currentAllocatedSize(), before);
    EXPECT_EQ(diagnostics.messages.size(), 2u);
    EXPECT_THAT(errorOf([&] { unread->texture(); }), HasSubstr("given back"));
    EXPECT_THAT(errorOf([&] { state->resource(0, true); }), HasSubstr("committed"));
}

TEST(HeapTemporary, AHintMakesTheMemoryAtLeastThatLarge) {
    const auto device = testDevice();
    const auto before = device->currentAllocatedSize();
    const auto commands = testQueue()->commandBuffer();
    MPS::SetHeapCacheDuration(commands, 0);
    MPS::HintTemporaryMemoryHighWaterMark(commands, 1 << 22);
    EXPECT_EQ(device->currentAllocatedSize(), before);
    const auto t = makeTemporary(commands, 4, 4, 1);
    CopyKernel().encode(commands, makeImage(4, 4, 1), t);
    t->setReadCount(0);
    std::uint64_t during = 0;
    commands->encodeHostFunction("look", [&] { during = device->currentAllocatedSize(); });
    run(commands);
    EXPECT_GE(during, before + (1 << 22));
    EXPECT_EQ(commands->peakTemporaryMemory(), 64u);
}

TEST(HeapTemporary, AHintThatIsTooSmallIsHarmless) {
    const auto commands = testQueue()->commandBuffer();
    MPS::HintTemporaryMemoryHighWaterMark(commands, 1);
    MPS::TemporaryImage::prefetchStorage(commands, {describe(1, 1, 1), describe(2, 2, 1)});
    const auto source = makeImage(31, 7, 3, 4), result = makeImage(31, 7, 3);
    runChain(commands, 31, source, result);
    EXPECT_EQ(readFloats(*result), readFloats(*source));
}

TEST(HeapTemporary, HintsAndDurationsNeedACommandBufferThatRecords) {
    EXPECT_THAT(errorOf([] { MPS::HintTemporaryMemoryHighWaterMark(nullptr, 1); }), HasSubstr("null"));
    EXPECT_THAT(errorOf([] { MPS::SetHeapCacheDuration(nullptr, 1); }), HasSubstr("null"));
    const auto commands = testQueue()->commandBuffer();
    run(commands);
    EXPECT_THAT(errorOf([&] { MPS::SetHeapCacheDuration(commands, 1); }), HasSubstr("not committed yet"));
}

TEST(HeapTemporary, TemporaryMemoryNeverMovesPastTheSumOfWhatLivesByMoreThanItsHoles) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    const auto source = makeImage(16, 16, 1);
    std::vector<std::shared_ptr<MPS::TemporaryImage>> images;
    for (int i = 0; i < 4; ++i) {
        images.push_back(makeTemporary(commands, 16, 16, 1));
        kernel.encode(commands, source, images.back());
    }
    images[1]->setReadCount(0);
    const auto wide = makeTemporary(commands, 16, 16, 2);  // does not fit the hole
    kernel.encode(commands, makeImage(16, 16, 2), wide);
    const auto small = makeTemporary(commands, 16, 16, 1);  // does
    kernel.encode(commands, source, small);
    EXPECT_EQ(Extent::of(*small).first, 1024u);
    EXPECT_EQ(commands->liveTemporaryMemoryPeak(), 6u * 1024);
    EXPECT_EQ(commands->peakTemporaryMemory(), 6u * 1024);
    for (const auto& image : images)
        if (image->readCount()) image->setReadCount(0);
    wide->setReadCount(0);
    small->setReadCount(0);
    run(commands);
}
