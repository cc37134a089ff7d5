#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "TestKernel.h"

using namespace pewter::test;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::shared_ptr<MPS::CommandBuffer> newWrapper(std::size_t capacity = 64) {
    return MPS::CommandBuffer::commandBufferFromCommandQueue(testDevice()->newCommandQueue(capacity));
}

class Provider final : public MPS::HeapProvider {
public:
    std::shared_ptr<MTL::Heap> newHeap(const MTL::HeapDescriptor& descriptor) override {
        asked.push_back(descriptor.size);
        if (declines) return nullptr;
        auto d = descriptor;
        if (tooSmall) d.size = 64;
        return testDevice()->newHeap(d);
    }
    void retireHeap(const std::shared_ptr<MTL::Heap>& heap, double seconds) override {
        retired.emplace_back(heap->size(), seconds);
    }
    bool declines = false, tooSmall = false;
    std::vector<std::size_t> asked;
    std::vector<std::pair<std::size_t, double>> retired;
};

}  // namespace

TEST(CommandBufferMPS, ATemporaryLivesOnAcrossCommitAndContinue) {
    const auto commands = newWrapper();
    commands->setLabel("loop");
    CopyKernel kernel;
    const auto first = commands->rootCommandBuffer();
    std::vector<std::string> calls;
    commands->addCompletedHandler([&](const BufferPtr& b) { calls.push_back(b == first ? "first" : "?"); });
    const auto a = kernel.encode(commands, makeImage(4, 4, 1, 7));
    commands->commitAndContinue();
    EXPECT_NE(commands->rootCommandBuffer(), first);
    EXPECT_EQ(commands->commandBuffer(), commands->rootCommandBuffer());
    EXPECT_EQ(commands->label(), "loop");
    EXPECT_EQ(commands->status(), MTL::CommandBufferStatus::NotEnqueued);
    first->waitUntilCompleted();
    EXPECT_EQ(first->status(), MTL::CommandBufferStatus::Completed);
    const auto b = kernel.encode(commands, a);
    const auto plain = makeImage(4, 4, 1);
    kernel.encode(commands, b, plain);
    EXPECT_EQ(temporary(a).readCount(), 0u);
    const auto second = commands->rootCommandBuffer();
    commands->addCompletedHandler([&](const BufferPtr& x) { calls.push_back(x == second ? "second" : "?"); });
    run(commands);
    EXPECT_EQ(readFloats(*plain), counting(16, 7));
    EXPECT_THAT(calls, ElementsAre("first", "second"));
}

TEST(CommandBufferMPS, MemoryFreedBeforeIsReusedAfterCommitAndContinue) {
    const auto commands = newWrapper();
    CopyKernel kernel;
    const auto plain = makeImage(4, 4, 1);
    auto image = kernel.encode(commands, makeImage(4, 4, 1, 2));
    image = kernel.encode(commands, image);
    const auto extent = Extent::of(*image);
    for (int i = 0; i < 5; ++i) {
        commands->commitAndContinue();
        image = kernel.encode(commands, image);
        EXPECT_FALSE(Extent::of(*image).overlaps(extent) && i % 2 == 0);
    }
    kernel.encode(commands, image, plain);
    EXPECT_EQ(commands->peakTemporaryMemory(), 128u);
    run(commands);
    EXPECT_EQ(readFloats(*plain), counting(16, 2));
}

TEST(CommandBufferMPS, CommitAndContinueWorksInAQueueWithRoomForOne) {
    const auto commands = newWrapper(1);
    CopyKernel kernel;
    const auto a = kernel.encode(commands, makeImage(4, 4, 1, 1));
    commands->commitAndContinue();
    const auto plain = makeImage(4, 4, 1);
    kernel.encode(commands, a, plain);
    run(commands);
    EXPECT_EQ(readFloats(*plain), counting(16, 1));
}

TEST(CommandBufferMPS, ThePeakOfACommittedPartStaysReadable) {
    const auto commands = newWrapper();
    const auto a = CopyKernel().encode(commands, makeImage(4, 4, 1));
    const auto first = commands->rootCommandBuffer();
    commands->commitAndContinue();
    EXPECT_EQ(first->peakTemporaryMemory(), 64u);
    EXPECT_EQ(first->liveTemporaryMemoryPeak(), 64u);
    temporary(a).setReadCount(0);
    run(commands);
}

TEST(CommandBufferMPS, CommitAndContinueNeedsAnUncommittedBufferWithoutAnOpenEncoder) {
    const auto commands = newWrapper();
    const auto blit = commands->blitCommandEncoder();
    EXPECT_THAT(errorOf([&] { commands->commitAndContinue(); }), HasSubstr("open encoder"));
    blit->endEncoding();
    run(commands);
    EXPECT_THAT(errorOf([&] { commands->commitAndContinue(); }), HasSubstr("not committed yet"));
    EXPECT_THAT(errorOf([] { MPS::CommandBuffer wrapper(nullptr); }), HasSubstr("null"));
    EXPECT_THAT(errorOf([] { MPS::CommandBuffer::commandBufferFromCommandQueue(nullptr); }), HasSubstr("commandQueue"));
}

TEST(CommandBufferMPS, LeftoversAreReportedByTheLastBufferOfTheLine) {
    const Diagnostics diagnostics;
    const auto commands = newWrapper();
    const auto a = makeTemporary(commands, 4, 4, 1);
    commands->commitAndContinue();
    EXPECT_TRUE(diagnostics.messages.empty());
    run(commands);
    EXPECT_EQ(diagnostics.messages.size(), 1u);
}

TEST(CommandBufferMPS, AnOuterWrapperContinuesThroughTheInnerOne) {
    const auto inner = newWrapper();
    const auto outer = MPS::CommandBuffer::commandBuffer(inner);
    EXPECT_EQ(outer->commandBuffer(), inner);
    const auto first = outer->rootCommandBuffer();
    outer->commitAndContinue();
    EXPECT_NE(inner->rootCommandBuffer(), first);
    EXPECT_EQ(outer->rootCommandBuffer(), inner->rootCommandBuffer());
    EXPECT_EQ(outer->commandBuffer(), inner);
    run(outer);
}

TEST(CommandBufferMPS, APredicateDecidesWhenTheKernelRunsAndReadCountsDoNotDependOnIt) {
    for (const std::uint32_t value : {0u, 1u, 0x80000000u}) {
        const auto commands = newWrapper();
        const auto predicate = std::make_shared<MPS::Predicate>(testDevice());
        commands->setPredicate(predicate);
        CopyKernel kernel;
        const auto t = makeTemporary(commands, 2, 2, 1);
        kernel.encode(commands, makeImage(2, 2, 1, 1), t);
        const auto plain = makeImage(2, 2, 1, 50);
        kernel.encode(commands, t, plain);
        EXPECT_EQ(t->readCount(), 0u);
        // Read when the kernel runs, not when it is encoded.
        std::memcpy(predicate->predicateBuffer()->contents(), &value, 4);
        run(commands);
        EXPECT_EQ(readFloats(*plain), counting(4, value ? 1 : 50));
    }
}

TEST(CommandBufferMPS, APredicateWrittenByAnEarlierCommandCounts) {
    const auto commands = newWrapper();
    const auto predicate = std::make_shared<MPS::Predicate>(testDevice());
    const auto blit = commands->blitCommandEncoder();
    blit->fill(predicate->predicateBuffer(), 0, 4, 1);
    blit->endEncoding();
    commands->setPredicate(predicate);
    const auto plain = makeImage(2, 2, 1, 50);
    CopyKernel().encode(commands, makeImage(2, 2, 1, 3), plain);
    run(commands);
    EXPECT_EQ(readFloats(*plain), counting(4, 3));
}

TEST(CommandBufferMPS, TheOutermostPredicateThatIsSetDecides) {
    const auto yes = std::make_shared<MPS::Predicate>(testDevice()), no = std::make_shared<MPS::Predicate>(testDevice());
    std::memset(yes->predicateBuffer()->contents(), 1, 4);
    const auto inner = newWrapper();
    const auto outer = MPS::CommandBuffer::commandBuffer(inner);
    const auto byOuter = makeImage(1, 1, 1), byInner = makeImage(1, 1, 1), inherited = makeImage(1, 1, 1);
    const auto one = makeImage(1, 1, 1, 1);
    bool host = false;
    CopyKernel kernel;
    inner->setPredicate(no);
    kernel.encode(outer, one, inherited);
    outer->setPredicate(yes);
    kernel.encode(outer, one, byOuter);
    kernel.encode(inner, one, byInner);
    outer->encodeHostFunction("host", [&] { host = true; });
    run(outer);
    EXPECT_EQ(readFloats(*inherited), counting(1, 0));
    EXPECT_EQ(readFloats(*byOuter), counting(1, 1));
    EXPECT_EQ(readFloats(*byInner), counting(1, 0));
    EXPECT_TRUE(host);
}

TEST(CommandBufferMPS, PredicatesAreCheckedWhenTheyAreMade) {
    const auto buffer = testDevice()->newBuffer(8);
    EXPECT_EQ(MPS::Predicate(buffer, 4).predicateOffset(), 4u);
    EXPECT_THAT(errorOf([&] { MPS::Predicate(buffer, 2); }), HasSubstr("a multiple of 4 inside 8 bytes"));
    EXPECT_THAT(errorOf([&] { MPS::Predicate(buffer, 8); }), HasSubstr("found 8"));
    EXPECT_THAT(errorOf([&] { MPS::Predicate(std::shared_ptr<MTL::Buffer>(), 0); }), HasSubstr("null"));
    EXPECT_THAT(errorOf([&] { MPS::Predicate(testDevice()->newBuffer(3)); }), HasSubstr("offset"));
}

TEST(CommandBufferMPS, TemporaryMemoryComesFromTheHeapProviderAndGoesBackToIt) {
    const auto provider = std::make_shared<Provider>();
    const auto plain = makeImage(4, 4, 1);
    {
        const auto commands = newWrapper();
        commands->setHeapProvider(provider);
        EXPECT_EQ(MPS::CommandBuffer::commandBuffer(commands)->heapProvider(), provider);
        MPS::SetHeapCacheDuration(commands, 2.5);
        CopyKernel kernel;
        kernel.encode(commands, kernel.encode(commands, makeImage(4, 4, 1, 6)), plain);
        EXPECT_TRUE(provider->asked.empty()) << "storage comes with the commit";
        run(commands);
    }
    EXPECT_THAT(provider->asked, ElementsAre(64u));
    EXPECT_THAT(provider->retired, ElementsAre(std::make_pair(std::size_t{64}, 2.5)));
    EXPECT_EQ(readFloats(*plain), counting(16, 6));
}

TEST(CommandBufferMPS, AProviderThatDeclinesLeavesItToTheDeviceAndOneThatCheatsIsRefused) {
    const auto provider = std::make_shared<Provider>();
    provider->declines = true;
    const auto commands = newWrapper();
    commands->setHeapProvider(provider);
    CopyKernel kernel;
    const auto plain = makeImage(8, 4, 1), source = makeImage(8, 4, 1, 6);
    kernel.encode(commands, kernel.encode(commands, source), plain);
    run(commands);
    EXPECT_EQ(readFloats(*plain), readFloats(*source));

    provider->declines = false;
    provider->tooSmall = true;
    const auto second = newWrapper();
    second->setHeapProvider(provider);
    kernel.encode(second, kernel.encode(second, source), plain);
    EXPECT_THAT(errorOf([&] { second->commit(); }), HasSubstr("a heap of at least 128 bytes, found 64"));
    EXPECT_EQ(second->status(), MTL::CommandBufferStatus::NotEnqueued);
    second->setHeapProvider(nullptr);
    EXPECT_EQ(second->heapProvider(), nullptr);
    run(second);
}

TEST(CommandBufferMPS, PrefetchingAsksTheProviderForAHeapOfThatSize) {
    const auto provider = std::make_shared<Provider>();
    const auto commands = newWrapper();
    commands->setHeapProvider(provider);
    commands->prefetchHeap(5000);
    commands->prefetchHeap(100);  // fits already
    CopyKernel kernel;
    kernel.encode(commands, kernel.encode(commands, makeImage(4, 4, 1)), makeImage(4, 4, 1));
    commands->commitAndContinue();
    ASSERT_EQ(provider->asked.size(), 1u);
    EXPECT_GE(provider->asked[0], 5000u);
    // What was prefetched serves the successor as well.
    kernel.encode(commands, kernel.encode(commands, makeImage(16, 16, 1)), makeImage(16, 16, 1));
    run(commands);
    EXPECT_EQ(provider->asked.size(), 1u);
}

TEST(CommandBufferMPS, APrefetchBeforeAnEmptyCommitWaitsForTheFirstTemporary) {
    const auto provider = std::make_shared<Provider>();
    const auto commands = newWrapper();
    commands->setHeapProvider(provider);
    commands->prefetchHeap(5000);
    commands->commitAndContinue();
    CopyKernel kernel;
    kernel.encode(commands, kernel.encode(commands, makeImage(4, 4, 1)), makeImage(4, 4, 1));
    run(commands);
    ASSERT_EQ(provider->asked.size(), 1u);
    EXPECT_GE(provider->asked[0], 5000u);
}

TEST(CommandBufferMPS, EverythingElseIsForwardedToTheRoot) {
    const auto commands = newWrapper();
    const auto root = commands->rootCommandBuffer();
    EXPECT_EQ(commands->device(), root->device());
    EXPECT_EQ(commands->commandQueue(), root->commandQueue());
    EXPECT_TRUE(commands->retainedReferences());
    commands->setLabel("x");
    EXPECT_EQ(root->label(), "x");
    commands->enqueue();
    EXPECT_EQ(root->status(), MTL::CommandBufferStatus::Enqueued);
    bool scheduled = false;
    commands->addScheduledHandler([&](const BufferPtr& b) { scheduled = b == root; });
    commands->pushDebugGroup("group");
    commands->encodeHostFunction("fail", [] { throw std::runtime_error("x"); });
    commands->popDebugGroup();
    commands->commit();
    commands->waitUntilScheduled();
    EXPECT_TRUE(scheduled);
    commands->waitUntilCompleted();
    EXPECT_EQ(commands->error()->command, "group/fail");
    EXPECT_EQ(commands->gpuEndTime(), root->gpuEndTime());
}
