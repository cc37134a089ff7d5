#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MTL/MTL.hpp>
#include <atomic>
#include <cstring>
#include <future>
#include <mutex>
#include <new>
#include <thread>

#include "TestKernel.h"

using namespace pewter::test;
using MTL::CommandBufferStatus;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::shared_ptr<MTL::CommandQueue> newQueue(std::size_t capacity = 64) {
    return testDevice()->newCommandQueue(capacity);
}

/// A gate that a command waits at.
class Gate {
public:
    void open() { promise_.set_value(); }
    std::function<void()> wait() {
        return [future = future_] { future.wait(); };
    }

private:
    std::promise<void> promise_;
    std::shared_future<void> future_ = promise_.get_future().share();
};

}  // namespace

TEST(MTLCommandQueue, BuffersRunInTheOrderTheyWereEnqueued) {
    const auto queue = newQueue();
    std::vector<int> order;
    std::vector<BufferPtr> buffers;
    for (int i = 0; i < 3; ++i) {
        buffers.push_back(queue->commandBuffer());
        buffers[static_cast<std::size_t>(i)]->encodeHostFunction("note", [&order, i] { order.push_back(i); });
    }
    buffers[2]->enqueue();
    buffers[0]->enqueue();
    buffers[0]->commit();
    buffers[1]->commit();
    buffers[2]->commit();
    for (const auto& buffer : buffers) buffer->waitUntilCompleted();
    EXPECT_THAT(order, ElementsAre(2, 0, 1));
}

TEST(MTLCommandQueue, ABufferThatDiesInItsPlaceLetsTheNextOnesRun) {
    const auto queue = newQueue();
    auto first = queue->commandBuffer();
    first->enqueue();
    const auto second = queue->commandBuffer();
    second->commit();
    first.reset();
    second->waitUntilCompleted();
    EXPECT_EQ(second->status(), CommandBufferStatus::Completed);
}

TEST(MTLCommandQueue, AskingBeyondTheCapacityBlocksUntilABufferCompletes) {
    const auto queue = newQueue(2);
    Gate gate;
    std::atomic<bool> opened{false};
    const auto one = queue->commandBuffer();
    const auto two = queue->commandBuffer();
    one->encodeHostFunction("wait", gate.wait());
    one->commit();
    auto third = std::async(std::launch::async, [&] {
        const auto buffer = queue->commandBuffer();
        return opened.load() && buffer != nullptr;
    });
    opened = true;
    gate.open();
    EXPECT_TRUE(third.get());
    run(two);
}

TEST(MTLCommandQueue, ABufferThatIsNeverCommittedGivesItsPlaceBack) {
    const auto queue = newQueue(1);
    for (int i = 0; i < 3; ++i) queue->commandBuffer();
    run(queue->commandBuffer());
}

TEST(MTLCommandQueue, ACapacityOfZeroIsRefused) {
    EXPECT_THAT(errorOf([] { newQueue(0); }), HasSubstr("maxCommandBufferCount: expected at least 1, found 0"));
}

TEST(MTLCommandQueue, AHandlerThatAsksAFullQueueForABufferIsRefusedInsteadOfWaitingForItself) {
    const auto queue = newQueue(1);
    std::string sentence;
    const auto buffer = queue->commandBuffer();
    buffer->encodeHostFunction("ask", [&] { sentence = errorOf([&] { queue->commandBuffer(); }); });
    run(buffer);
    EXPECT_THAT(sentence, HasSubstr("worker"));
}

TEST(MTLCommandQueue, AQueueMayBeReleasedWhileItsBuffersRun) {
    auto queue = newQueue();
    std::atomic<bool> ran{false};
    auto buffer = queue->commandBuffer();
    buffer->encodeHostFunction("late", [&] { ran = true; });
    buffer->commit();
    queue.reset();
    buffer->waitUntilCompleted();
    EXPECT_TRUE(ran);
}

TEST(MTLCommandQueue, TheLastHandleMayDieInsideAHandler) {
    std::promise<void> done;
    {
        auto buffer = newQueue()->commandBuffer();
        buffer->addCompletedHandler([&](const BufferPtr&) { done.set_value(); });
        buffer->commit();
    }
    done.get_future().wait();
}

TEST(MTLCommandBuffer, StatusGoesFromNotEnqueuedToCompleted) {
    const auto queue = newQueue();
    const auto buffer = queue->commandBuffer();
    EXPECT_EQ(buffer->status(), CommandBufferStatus::NotEnqueued);
    buffer->enqueue();
    EXPECT_EQ(buffer->status(), CommandBufferStatus::Enqueued);
    buffer->enqueue();
    CommandBufferStatus inScheduled{}, inCommand{}, inCompleted{};
    buffer->addScheduledHandler([&](const BufferPtr& b) { inScheduled = b->status(); });
    buffer->addCompletedHandler([&](const BufferPtr& b) { inCompleted = b->status(); });
    buffer->encodeHostFunction("look", [&, weak = std::weak_ptr(buffer)] { inCommand = weak.lock()->status(); });
    EXPECT_EQ(buffer->gpuStartTime(), 0);
    run(buffer);
    EXPECT_EQ(inScheduled, CommandBufferStatus::Scheduled);
    EXPECT_EQ(inCommand, CommandBufferStatus::Scheduled);
    EXPECT_EQ(inCompleted, CommandBufferStatus::Completed);
    EXPECT_FALSE(buffer->error());
    EXPECT_GT(buffer->gpuStartTime(), 0);
    EXPECT_GE(buffer->gpuEndTime(), buffer->gpuStartTime());
}

TEST(MTLCommandBuffer, ACommittedBufferBehindAnOpenPlaceIsCommittedAndNotYetScheduled) {
    const auto queue = newQueue();
    const auto first = queue->commandBuffer(), second = queue->commandBuffer();
    first->enqueue();
    second->commit();
    EXPECT_EQ(second->status(), CommandBufferStatus::Committed);
    first->commit();
    second->waitUntilCompleted();
}

TEST(MTLCommandBuffer, HandlersRunOnceInTheOrderTheyWereAdded) {
    const auto buffer = newQueue()->commandBuffer();
    std::vector<std::string> calls;
    for (int i = 0; i < 2; ++i) {
        buffer->addCompletedHandler([&calls, i](const BufferPtr&) { calls.push_back("completed" + std::to_string(i)); });
        buffer->addScheduledHandler([&calls, i](const BufferPtr&) { calls.push_back("scheduled" + std::to_string(i)); });
    }
    buffer->encodeHostFunction("work", [&] { calls.push_back("work"); });
    run(buffer);
    buffer->waitUntilCompleted();
    EXPECT_THAT(calls, ElementsAre("scheduled0", "scheduled1", "work", "completed0", "completed1"));
}

TEST(MTLCommandBuffer, WaitingReturnsAfterTheHandlers) {
    const auto buffer = newQueue()->commandBuffer();
    bool scheduled = false, completed = false;
    buffer->addScheduledHandler([&](const BufferPtr&) { scheduled = true; });
    buffer->addCompletedHandler([&](const BufferPtr&) { completed = true; });
    buffer->commit();
    buffer->waitUntilScheduled();
    EXPECT_TRUE(scheduled);
    buffer->waitUntilCompleted();
    EXPECT_TRUE(completed);
}

TEST(MTLCommandBuffer, WaitingForABufferThatWasNeverCommittedIsRefused) {
    const auto buffer = newQueue()->commandBuffer();
    buffer->setLabel("step 7");
    EXPECT_THAT(errorOf([&] { buffer->waitUntilCompleted(); }), HasSubstr("command buffer 'step 7' that is not"));
    EXPECT_THAT(errorOf([&] { buffer->waitUntilScheduled(); }), HasSubstr("a committed command buffer"));
}

TEST(MTLCommandBuffer, WaitingInsideAHandlerOfTheSameQueueIsRefused) {
    const auto queue = newQueue();
    const auto later = queue->commandBuffer(), buffer = queue->commandBuffer();
    std::string completed, scheduled;
    buffer->addScheduledHandler([&](const BufferPtr& b) { scheduled = errorOf([&] { b->waitUntilScheduled(); }); });
    buffer->addCompletedHandler([&](const BufferPtr&) { completed = errorOf([&] { later->waitUntilCompleted(); }); });
    buffer->enqueue();
    later->commit();
    run(buffer);
    later->waitUntilCompleted();
    EXPECT_THAT(completed, HasSubstr("would wait for itself"));
    EXPECT_THAT(scheduled, HasSubstr("would wait for itself"));
}

TEST(MTLCommandBuffer, AFailingCommandNamesItselfAndStopsTheBufferWhileTheQueueGoesOn) {
    const auto queue = newQueue();
    const auto bad = queue->commandBuffer(), good = queue->commandBuffer();
    bool after = false, handled = false;
    bad->encodeHostFunction("divide the apples", [] { throw std::runtime_error("by zero"); });
    bad->encodeHostFunction("after", [&] { after = true; });
    bad->addCompletedHandler([&](const BufferPtr& b) { handled = b->status() == CommandBufferStatus::Error; });
    bool ran = false;
    good->encodeHostFunction("good", [&] { ran = true; });
    bad->commit();
    run(good);
    bad->waitUntilCompleted();
    EXPECT_EQ(bad->status(), CommandBufferStatus::Error);
    ASSERT_TRUE(bad->error());
    EXPECT_EQ(bad->error()->code, MTL::CommandBufferError::Internal);
    EXPECT_EQ(bad->error()->command, "divide the apples");
    EXPECT_EQ(bad->error()->localizedDescription, "divide the apples failed: by zero");
    EXPECT_FALSE(after);
    EXPECT_TRUE(handled);
    EXPECT_TRUE(ran);
}

TEST(MTLCommandBuffer, RunningOutOfMemoryHasItsOwnCode) {
    const auto buffer = newQueue()->commandBuffer();
    buffer->encodeHostFunction("greedy", [] { throw std::bad_alloc(); });
    buffer->commit();
    buffer->waitUntilCompleted();
    EXPECT_EQ(buffer->error()->code, MTL::CommandBufferError::OutOfMemory);
}

TEST(MTLCommandBuffer, SomethingThrownThatIsNoExceptionIsAFailureToo) {
    const auto buffer = newQueue()->commandBuffer();
    buffer->encodeHostFunction("odd", [] { throw 7; });
    buffer->commit();
    buffer->waitUntilCompleted();
    EXPECT_EQ(buffer->error()->command, "odd");
}

TEST(MTLCommandBuffer, AHandlerThatThrowsIsReportedAndTheOthersRun) {
    const Diagnostics diagnostics;
    const auto buffer = newQueue()->commandBuffer();
    bool second = false, third = false;
    buffer->addCompletedHandler([](const BufferPtr&) { throw std::runtime_error("oops"); });
    buffer->addCompletedHandler([&](const BufferPtr&) { second = true, throw 7; });
    buffer->addCompletedHandler([&](const BufferPtr&) { third = true; });
    run(buffer);
    EXPECT_TRUE(second);
    EXPECT_TRUE(third);
    ASSERT_EQ(diagnostics.messages.size(), 2u);
    EXPECT_THAT(diagnostics.messages[0], HasSubstr("oops"));
}

TEST(MTLCommandBuffer, AfterCommitNothingCanBeAdded) {
    const auto buffer = newQueue()->commandBuffer();
    run(buffer);
    EXPECT_THAT(errorOf([&] { buffer->commit(); }), HasSubstr("commit"));
    EXPECT_THAT(errorOf([&] { buffer->blitCommandEncoder(); }), HasSubstr("not committed yet"));
    EXPECT_THAT(errorOf([&] { buffer->encodeHostFunction("late", [] {}); }), HasSubstr("not committed yet"));
    EXPECT_THAT(errorOf([&] { buffer->addCompletedHandler([](const BufferPtr&) {}); }), HasSubstr("addCompletedHandler"));
    EXPECT_THAT(errorOf([&] { buffer->addScheduledHandler([](const BufferPtr&) {}); }), HasSubstr("addScheduledHandler"));
}

TEST(MTLCommandBuffer, OneEncoderIsOpenAtATime) {
    const auto buffer = newQueue()->commandBuffer();
    const auto blit = buffer->blitCommandEncoder();
    EXPECT_THAT(errorOf([&] { buffer->blitCommandEncoder(); }), HasSubstr("without an open encoder"));
    EXPECT_THAT(errorOf([&] { buffer->commit(); }), HasSubstr("without an open encoder"));
    blit->endEncoding();
    EXPECT_THAT(errorOf([&] { blit->endEncoding(); }), HasSubstr("one whose encoding has ended"));
    run(buffer);
}

TEST(MTLCommandBuffer, BlitsCopyAndFillInOrder) {
    const auto a = testDevice()->newBuffer(8), b = testDevice()->newBuffer(8);
    const auto buffer = newQueue()->commandBuffer();
    const auto blit = buffer->blitCommandEncoder();
    blit->fill(a, 2, 4, 9);
    blit->copy(a, 1, b, 0, 4);
    blit->fill(a, 0, 8, 1);
    blit->synchronize(b);
    blit->endEncoding();
    EXPECT_EQ(static_cast<char*>(b->contents())[1], 0) << "nothing happens while encoding";
    run(buffer);
    const auto* bytes = static_cast<const char*>(b->contents());
    EXPECT_THAT(std::vector<int>(bytes, bytes + 8), ElementsAre(0, 9, 9, 9, 0, 0, 0, 0));
}

TEST(MTLCommandBuffer, BlitRangesMustLieInside) {
    const auto a = testDevice()->newBuffer(8);
    const auto buffer = newQueue()->commandBuffer();
    const auto blit = buffer->blitCommandEncoder();
    EXPECT_THAT(errorOf([&] { blit->fill(a, 4, 5, 0); }), HasSubstr("5 bytes at 4"));
    EXPECT_THAT(errorOf([&] { blit->copy(a, 0, nullptr, 0, 1); }), HasSubstr("destinationBuffer"));
    EXPECT_THAT(errorOf([&] { blit->copy(a, 9, a, 0, 0); }), HasSubstr("sourceBuffer"));
    EXPECT_THAT(errorOf([&] { blit->synchronize(nullptr); }), HasSubstr("resource"));
    blit->endEncoding();
    EXPECT_THAT(errorOf([&] { blit->fill(a, 0, 1, 0); }), HasSubstr("has ended"));
}

TEST(MTLCommandBuffer, DebugGroupsStandBeforeTheNamesOfCommands) {
    const auto buffer = newQueue()->commandBuffer();
    buffer->pushDebugGroup("epoch 1");
    buffer->pushDebugGroup("step 2");
    buffer->encodeHostFunction("fail", [] { throw std::runtime_error("x"); });
    buffer->popDebugGroup();
    buffer->popDebugGroup();
    EXPECT_THAT(errorOf([&] { buffer->popDebugGroup(); }), HasSubstr("debug groups"));
    buffer->commit();
    buffer->waitUntilCompleted();
    EXPECT_EQ(buffer->error()->command, "epoch 1/step 2/fail");
}

TEST(MTLCommandBuffer, AnEmptyHostFunctionIsRefused) {
    const auto buffer = newQueue()->commandBuffer();
    EXPECT_THAT(errorOf([&] { buffer->encodeHostFunction("nothing", {}); }), HasSubstr("an empty one"));
    const auto wrapper = MPS::CommandBuffer::commandBuffer(buffer);
    wrapper->setPredicate(std::make_shared<MPS::Predicate>(testDevice()));
    EXPECT_THAT(errorOf([&] { wrapper->encodeHostFunction("nothing", {}); }), HasSubstr("an empty one"));
}

TEST(MTLCommandBuffer, DescriptorsAndLabelsAreKept) {
    const auto queue = newQueue();
    queue->setLabel("training");
    EXPECT_EQ(queue->label(), "training");
    EXPECT_TRUE(queue->commandBuffer()->retainedReferences());
    EXPECT_FALSE(queue->commandBufferWithUnretainedReferences()->retainedReferences());
    EXPECT_FALSE(queue->commandBuffer(MTL::CommandBufferDescriptor{.retainedReferences = false})->retainedReferences());
    const auto buffer = queue->commandBuffer();
    buffer->setLabel("b");
    EXPECT_EQ(buffer->label(), "b");
    EXPECT_EQ(buffer->device(), testDevice());
    EXPECT_EQ(buffer->commandQueue(), queue);
    EXPECT_EQ(buffer->rootCommandBuffer(), buffer);
}

TEST(MTLCommandBuffer, ManyThreadsMayCommitToOneQueue) {
    const auto queue = newQueue(4);
    std::atomic<int> ran{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 25; ++i) {
                const auto buffer = queue->commandBuffer();
                buffer->encodeHostFunction("count", [&] { ++ran; });
                buffer->commit();
                if (i % 5 == 0) buffer->waitUntilCompleted();
            }
        });
    for (auto& thread : threads) thread.join();
    run(queue->commandBuffer());
    EXPECT_EQ(ran, 100);
}
