/// What becomes of queues, memory and later work where a device stops, with made-up faults. With real ones:
/// tests/graph/GpuFaults.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "DeviceName.h"
#include "GraphData.h"
#include "mtl/Device.h"
#include "ops/DeviceFault.h"
#include "profile/ForwardingBackend.h"

namespace pewter::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

/// Another device's work, with streams and ways to its memory that can be cut.
class CutBackend : public profile::ForwardingBackend {
public:
    explicit CutBackend(MTL::Device& device)
        : ForwardingBackend({std::shared_ptr<void>(), &mtl::deviceOf(device).backend()}) {}

    std::unique_ptr<ops::Stream> newStream() override {
        if (withoutStreams) throw std::runtime_error("no streams left");
        return ForwardingBackend::newStream();
    }
    void upload(void* device, const void* host, std::size_t bytes) override {
        if (withoutUploads) throw ops::DeviceFault("illegal address");
        ForwardingBackend::upload(device, host, bytes);
    }
#define PEWTER_DECLARE(Op) \
    void run(const ops::Op& op, ops::Stream& stream) override { inner().run(op, stream); }
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE

    std::atomic<bool> withoutStreams = false, withoutUploads = false;
};

/// One that works beside the host, as a GPU does: its first operation faults when the host looks for it, which the host does
/// only after the next one was refused.
class LateBackend final : public CutBackend {
public:
    using CutBackend::CutBackend;

    std::unique_ptr<ops::Stream> newStream() override { return std::make_unique<LateStream>(*this); }
    void run(const ops::Fill&, ops::Stream&) override {
        if (runs++ == 0) return;
        nextCame.set_value();
        throw ops::DeviceFault("met by the next launch");
    }

    int runs = 0;
    std::promise<void> nextCame;

private:
    struct LateStream final : ops::Stream {
        explicit LateStream(LateBackend& backend) : backend(backend) {}
        bool isAsynchronous() const override { return true; }
        void wait(std::uint64_t) override {
            backend.nextCame.get_future().wait();
            throw ops::DeviceFault("illegal address");
        }
        LateBackend& backend;
    };
};

void encodeFill(const BufferPtr& commands, const std::string& label) {
    mtl::encodeOp(*commands, label, mtl::deviceOf(*commands->device()).backend(), [] { return ops::Fill{}; });
}

class DeviceFaults : public testing::TestWithParam<DevicePtr> {};

INSTANTIATE_TEST_SUITE_P(EveryDevice, DeviceFaults, testing::ValuesIn(MTL::copyAllDevices()),
                         [](const auto& info) { return testNameOf(info.param->name()); });

TEST_P(DeviceFaults, AQueueWithoutAStreamFailsItsBuffersWithTheReasonAndTheProcessLives) {
    const auto backend = std::make_shared<CutBackend>(*GetParam());
    const DevicePtr device = std::make_shared<mtl::Device>(backend, 81);
    backend->withoutStreams = true;
    const auto queue = device->newCommandQueue();
    bool ran = false;
    for (int i = 0; i < 2; ++i) {
        const auto commands = queue->commandBuffer();
        commands->encodeHostFunction("host", [&] { ran = true; });
        commands->commit();
        commands->waitUntilCompleted();
        ASSERT_EQ(commands->status(), MTL::CommandBufferStatus::Error);
        EXPECT_EQ(commands->error()->code, MTL::CommandBufferError::Internal);
        EXPECT_EQ(commands->error()->localizedDescription, "the stream of its queue failed: no streams left");
    }
    EXPECT_FALSE(ran);
    backend->withoutStreams = false;
    run(device->newCommandQueue()->commandBuffer());
}

TEST_P(DeviceFaults, PixelsForADeviceThatHasStoppedAreRefusedWithTheCause) {
    if (GetParam()->hasUnifiedMemory()) GTEST_SKIP() << "the host writes where the device reads";
    const auto backend = std::make_shared<CutBackend>(*GetParam());
    const DevicePtr device = std::make_shared<mtl::Device>(backend, 82);
    MPS::Image image(device, describe(2, 2, 1));
    const std::vector<float> pixels(4, 1);
    const auto write = [&] { image.writeBytes(pixels.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, 0); };
    write();
    backend->withoutUploads = true;
    {
        // Nobody knows yet: the bytes are on their way when the device stops.
        Diagnostics said;
        write();
        EXPECT_THAT(said.messages, ElementsAre(AllOf(HasSubstr(" bytes of the host did not reach their buffer: "),
                                                     HasSubstr("illegal address"))));
    }
    mtl::deviceOf(*device).noteFault({MTL::CommandBufferError::PageFault, "step failed: illegal address", "step"});
    EXPECT_THAT(errorOf(write), AllOf(StartsWith("device " + device->name() + ": "),
                                      HasSubstr("has stopped since step failed: illegal address")));
}

TEST(LateFaults, BelongToTheBufferThatCausedThemNotToTheOneThatMetThem) {
    const DevicePtr device = std::make_shared<mtl::Device>(std::make_shared<LateBackend>(*MTL::copyDevice("reference")), 83);
    const auto queue = device->newCommandQueue();
    const auto bad = queue->commandBuffer(), behind = queue->commandBuffer();
    bad->setLabel("first");
    behind->setLabel("second");
    encodeFill(bad, "stray");
    bad->encodeHostFunction("host", [] {});
    encodeFill(behind, "good");
    bad->commit();
    behind->commit();
    behind->waitUntilCompleted();
    ASSERT_EQ(bad->status(), MTL::CommandBufferStatus::Error);
    EXPECT_EQ(bad->error()->code, MTL::CommandBufferError::PageFault);
    EXPECT_EQ(bad->error()->localizedDescription,
              "command buffer 'first' (2 commands, 'stray' to 'host') failed: illegal address");
    ASSERT_EQ(behind->status(), MTL::CommandBufferStatus::Error);
    EXPECT_EQ(behind->error()->code, MTL::CommandBufferError::DeviceRemoved);
    EXPECT_THAT(behind->error()->localizedDescription,
                HasSubstr("has stopped since " + bad->error()->localizedDescription));
}

}  // namespace
}  // namespace pewter::test
