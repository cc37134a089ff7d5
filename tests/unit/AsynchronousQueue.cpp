/// Queues of devices whose commands are still under way when their call has returned, as a GPU's are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MTL/MTL.hpp>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "mtl/CommandBuffer.h"
#include "mtl/Device.h"
#include "profile/ForwardingBackend.h"

namespace {

namespace mtl = pewter::mtl;
namespace ops = pewter::ops;
using MTL::CommandBufferStatus;
using testing::ElementsAre;
using testing::HasSubstr;

/// How far a device has come: its streams wait for it.
class Progress {
public:
    void reach(std::uint64_t mark) {
        std::lock_guard lock(mutex_);
        reached_ = mark + 1;
        changed_.notify_all();
    }
    void wait(std::uint64_t mark) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return reached_ > mark; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::uint64_t reached_ = 0;
};

/// Notes what is asked of it.
class LateStream final : public ops::Stream {
public:
    LateStream(std::shared_ptr<Progress> progress, std::shared_ptr<std::vector<std::string>> notes)
        : progress_(std::move(progress)), notes_(std::move(notes)) {}

    bool isAsynchronous() const override { return true; }
    std::uint64_t mark() override { return marks_++; }
    void wait(std::uint64_t mark) override { progress_->wait(mark); }
    void synchronize() override { notes_->push_back("synchronize"); }
    void replay(const Stretch& stretch, const std::function<void()>& work) override {
        notes_->push_back("replay " + std::to_string(stretch.first) + " to " + std::to_string(stretch.last));
        work();
    }
    void endReplay() override { notes_->push_back("endReplay"); }
    std::vector<std::string> describeReplays() const override { return *notes_; }

private:
    std::shared_ptr<Progress> progress_;
    std::shared_ptr<std::vector<std::string>> notes_;
    std::uint64_t marks_ = 0;
};

class LateBackend final : public pewter::profile::ForwardingBackend {
public:
    explicit LateBackend(std::shared_ptr<Progress> progress)
        : ForwardingBackend({std::shared_ptr<void>(), &mtl::deviceOf(*MTL::copyDevice("reference")).backend()}),
          progress_(std::move(progress)) {}

    std::unique_ptr<ops::Stream> newStream() override { return std::make_unique<LateStream>(progress_, notes); }

#define PEWTER_DECLARE(Op) \
    void run(const ops::Op& op, ops::Stream& stream) override { inner().run(op, stream); }
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE

    std::shared_ptr<std::vector<std::string>> notes = std::make_shared<std::vector<std::string>>();

private:
    std::shared_ptr<Progress> progress_;
};

struct AsynchronousQueue : testing::Test {
    std::shared_ptr<Progress> progress = std::make_shared<Progress>();
    std::shared_ptr<LateBackend> backend = std::make_shared<LateBackend>(progress);
    std::shared_ptr<MTL::Device> device = std::make_shared<mtl::Device>(backend, 1002);
    std::shared_ptr<MTL::CommandQueue> queue = device->newCommandQueue();
};

}  // namespace

TEST_F(AsynchronousQueue, HandsABufferOverWhileTheOneBeforeRunsButNotAThird) {
    std::atomic<int> begun = 0;
    std::vector<std::shared_ptr<MTL::CommandBuffer>> buffers;
    for (int i = 0; i < 3; ++i) {
        buffers.push_back(queue->commandBuffer());
        mtl::append(*buffers.back(), "count", [&](ops::Stream&) { ++begun; });
        buffers.back()->commit();
    }
    buffers[1]->waitUntilScheduled();
    while (begun < 2) std::this_thread::yield();
    EXPECT_EQ(buffers[0]->status(), CommandBufferStatus::Scheduled);
    EXPECT_EQ(buffers[1]->status(), CommandBufferStatus::Scheduled);
    EXPECT_EQ(buffers[2]->status(), CommandBufferStatus::Committed);
    EXPECT_EQ(begun, 2);
    progress->reach(0);
    buffers[0]->waitUntilCompleted();
    buffers[2]->waitUntilScheduled();
    EXPECT_EQ(buffers[1]->status(), CommandBufferStatus::Scheduled);
    progress->reach(2);
    buffers[2]->waitUntilCompleted();
    EXPECT_EQ(buffers[1]->status(), CommandBufferStatus::Completed);
}

TEST_F(AsynchronousQueue, AHandlerOfACompletedBufferMayCommitTheNextButNotWaitForIt) {
    progress->reach(10);
    std::string refusal;
    std::shared_ptr<MTL::CommandBuffer> second;
    const auto first = queue->commandBuffer();
    first->addCompletedHandler([&](const auto&) {
        second = queue->commandBuffer();
        second->commit();
        try {
            second->waitUntilCompleted();
        } catch (const MTL::Error& e) {
            refusal = e.what();
        }
    });
    first->commit();
    first->waitUntilCompleted();
    second->waitUntilCompleted();
    EXPECT_THAT(refusal, HasSubstr("a thread other than the queue's worker"));
}

TEST_F(AsynchronousQueue, ACommandThatFailsEndsItsBufferWhenWhatCameBeforeIsDone) {
    progress->reach(10);
    const auto failing = queue->commandBuffer(), next = queue->commandBuffer();
    mtl::append(*failing, "breaks", [](ops::Stream&) { throw std::runtime_error("no"); });
    bool ran = false;
    mtl::append(*next, "runs", [&](ops::Stream&) { ran = true; });
    failing->commit();
    next->commit();
    failing->waitUntilCompleted();
    next->waitUntilCompleted();
    ASSERT_TRUE(failing->error());
    EXPECT_EQ(failing->error()->localizedDescription, "breaks failed: no");
    EXPECT_EQ(next->status(), CommandBufferStatus::Completed);
    EXPECT_TRUE(ran);
    EXPECT_THAT(*backend->notes, ElementsAre("synchronize"));
}

TEST_F(AsynchronousQueue, StretchesOfOneRunFollowOneAnotherAndASecondRunEndsTheFirst) {
    progress->reach(10);
    auto commands = std::make_shared<mtl::CommandList>();
    for (int i = 0; i < 4; ++i) commands->push_back({"nothing", [](ops::Stream&) {}});
    const auto buffer = queue->commandBuffer();
    const auto run = [&](std::size_t first, std::size_t last) {
        mtl::appendList(*buffer, "list", commands, first, last, [] { return std::vector<const void*>(); });
    };
    run(0, 1), run(1, 4), run(0, 1);
    buffer->commit();
    buffer->waitUntilCompleted();
    EXPECT_THAT(*backend->notes, ElementsAre("replay 0 to 1", "replay 1 to 4", "endReplay", "replay 0 to 1"));
}

TEST_F(AsynchronousQueue, TheLastBufferOfAQueueThatIsGoneStillRuns) {
    progress->reach(10);
    std::atomic<bool> done = false;
    const auto buffer = queue->commandBuffer();
    buffer->addCompletedHandler([&](const auto&) { done = true; });
    buffer->commit();
    queue.reset();
    buffer->waitUntilCompleted();
    EXPECT_TRUE(done);
}
