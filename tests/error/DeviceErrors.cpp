/// Devices that run out of memory, stop, or are not there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <new>

#include "DeviceName.h"
#include "GraphNets.h"
#include "mtl/Device.h"
#include "ops/DeviceFault.h"
#include "profile/ForwardingBackend.h"

namespace pewter::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// Another device's memory up to a limit, and its operations up to the one that stops it.
class FragileBackend final : public profile::ForwardingBackend {
public:
    explicit FragileBackend(const MTL::Device& device)
        : ForwardingBackend({std::shared_ptr<void>(), &mtl::deviceOf(const_cast<MTL::Device&>(device)).backend()}) {}

    void* allocate(std::size_t bytes) override {
        if (bytes > limit - taken) throw std::bad_alloc();
        void* memory = ForwardingBackend::allocate(bytes);
        taken += bytes;
        return memory;
    }
    void deallocate(void* memory, std::size_t bytes) noexcept override {
        taken -= bytes;
        ForwardingBackend::deallocate(memory, bytes);
    }

#define PEWTER_DECLARE(Op)                                              \
    void run(const ops::Op& op, ops::Stream& stream) override {         \
        if (untilFault == 0) throw ops::DeviceFault("illegal address"); \
        --untilFault;                                                   \
        inner().run(op, stream);                                        \
    }
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE

    std::size_t taken = 0, limit = std::numeric_limits<std::size_t>::max();
    std::size_t untilFault = std::numeric_limits<std::size_t>::max();
};

/// A network that trains on such a device.
struct Fragile {
    explicit Fragile(const DevicePtr& inner)
        : backend(std::make_shared<FragileBackend>(*inner)), device(std::make_shared<mtl::Device>(backend, 77)), net(device) {
        buildChain(net);
        net.train();
    }
    std::shared_ptr<FragileBackend> backend;
    DevicePtr device;
    Net net;
};

class DeviceErrors : public testing::TestWithParam<DevicePtr> {};

INSTANTIATE_TEST_SUITE_P(EveryDevice, DeviceErrors, testing::ValuesIn(MTL::copyAllDevices()),
                         [](const auto& info) { return testNameOf(info.param->name()); });

TEST_P(DeviceErrors, TemporaryMemoryThatIsNotThereIsAnErrorThatTellsHowMuchAndChangesNothing) {
    Fragile fragile(GetParam()), other(GetParam());
    auto& net = fragile.net;
    const double first = net.step(3), second = other.net.step(3) == first ? other.net.step(3) : -1;
    const auto images = net.images(64);
    const auto labels = net.labels(64);
    const std::size_t wanted = net.graph->memoryReport({images}, {labels}).peakBytes;
    const std::size_t before = fragile.backend->taken;
    fragile.backend->limit = before + wanted / 2;
    {
        const auto commands = net.queue->commandBuffer();
        const auto sentence = errorOf([&] {
            net.graph->encodeBatch(commands, {images}, {labels});
            commands->commit();
        });
        EXPECT_THAT(sentence, StartsWith("device " + GetParam()->name() + ": "));
        EXPECT_THAT(sentence, HasSubstr("temporary memory: expected " + std::to_string(wanted) +
                                        " bytes of memory, found out of memory, with "));
        EXPECT_THAT(sentence, HasSubstr(" bytes taken."));
    }
    EXPECT_LE(fragile.backend->taken, before);
    // A batch for which there is memory trains on, and the large one once there is more: no weight has changed.
    EXPECT_EQ(net.step(3), second);
    fragile.backend->limit = std::numeric_limits<std::size_t>::max();
    const auto commands = net.queue->commandBuffer();
    net.graph->encodeBatch(commands, {images}, {labels});
    run(commands);
}

TEST_P(DeviceErrors, ABufferThatFindsNoMemoryIsAnErrorAndTakesNone) {
    const auto backend = std::make_shared<FragileBackend>(*GetParam());
    const DevicePtr device = std::make_shared<mtl::Device>(backend, 78);
    const auto kept = device->newBuffer(1000, MTL::ResourceStorageModeManaged);
    backend->limit = backend->taken + 1024;
    const auto size = device->currentAllocatedSize();
    EXPECT_THAT(errorOf([&] { device->newBuffer(1 << 20, MTL::ResourceStorageModeManaged); }),
                HasSubstr("a buffer: expected 1048576 bytes of memory, found out of memory, with "));
    EXPECT_EQ(device->currentAllocatedSize(), size);
    EXPECT_NO_THROW(device->newBuffer(1000, MTL::ResourceStorageModeManaged));
}

TEST_P(DeviceErrors, ADeviceThatStopsFailsItsBufferAndEveryLaterOneWithTheCause) {
    Fragile fragile(GetParam()), other(GetParam());
    auto& net = fragile.net;
    net.step(3);
    const auto encoded = [&](const std::shared_ptr<MTL::CommandQueue>& queue) {
        const auto commands = queue->commandBuffer();
        net.graph->encodeBatch(commands, {net.images(3)}, {net.labels(3)});
        return commands;
    };
    const auto bad = encoded(net.queue), behind = encoded(net.queue), elsewhere = encoded(fragile.device->newCommandQueue());
    bool ran = false, handled = false;
    behind->encodeHostFunction("host", [&] { ran = true; });
    behind->addCompletedHandler([&](const auto&) { handled = true; });
    fragile.backend->untilFault = 2;
    bad->commit();
    behind->commit();
    behind->waitUntilCompleted();
    ASSERT_EQ(bad->status(), MTL::CommandBufferStatus::Error);
    EXPECT_EQ(bad->error()->code, MTL::CommandBufferError::PageFault);
    EXPECT_THAT(bad->error()->localizedDescription, HasSubstr(bad->error()->command + " failed: illegal address"));
    EXPECT_NE(bad->error()->command, "");
    elsewhere->commit();
    elsewhere->waitUntilCompleted();
    for (const auto& later : {behind, elsewhere}) {
        ASSERT_EQ(later->status(), MTL::CommandBufferStatus::Error);
        EXPECT_EQ(later->error()->code, MTL::CommandBufferError::DeviceRemoved);
        EXPECT_EQ(later->error()->localizedDescription,
                  "not run: device " + GetParam()->name() + " has stopped since " + bad->error()->localizedDescription);
        EXPECT_EQ(later->error()->command, bad->error()->command);
    }
    EXPECT_FALSE(ran);
    EXPECT_TRUE(handled);
    // The process lives, and so do other devices, those of the same kind included.
    EXPECT_TRUE(std::isfinite(other.net.step(3)));
    const DevicePtr fresh = std::make_shared<mtl::Device>(std::make_shared<FragileBackend>(*GetParam()), 79);
    Net again(fresh);
    buildChain(again);
    again.train();
    EXPECT_TRUE(std::isfinite(again.step(3)));
}

TEST(MissingDevice, AGpuThatIsNotThereIsAnErrorThatNamesIt) {
    std::string names;
    for (const auto& device : MTL::copyAllDevices()) names += (names.empty() ? "" : ", ") + device->name();
    EXPECT_EQ(errorOf([] { MTL::copyDevice("cuda:99"); }),
              "device registry: name: expected one of " + names + ", found \"cuda:99\".");
    if (names.find("cuda:0") != std::string::npos) GTEST_SKIP() << "this machine has a GPU";
    EXPECT_THAT(errorOf([] { MTL::copyDevice("cuda:0"); }),
                StartsWith("device registry: name: expected one of " + names + ", found \"cuda:0\", which is not available: "));
}

}  // namespace
}  // namespace pewter::test
