/// A real GPU that stops. Each test in a process of its own, for the device is spoiled afterwards. The same with a made-up
/// fault, on every device: tests/error/DeviceErrors.cpp.
#include <gmock/gmock.h>

#include <cmath>

#include "Apart.h"
#include "GraphNets.h"
#include "mtl/Device.h"

using namespace pewter::test;
using namespace pewter;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

/// A command that writes where it may not.
struct Fault {
    const char* name;
    /// Bytes from nowhere, or from memory of the device.
    bool inMemory;
    std::size_t offset;
    const char* cause;
};
std::ostream& operator<<(std::ostream& out, const Fault& fault) { return out << fault.name; }

/// Trains on the device, then has one command fault, and looks at everything that may be done afterwards.
void expectOrderAfter(const Fault& fault) {
    const auto device = MTL::copyDevice("cuda:0");
    Net net(device);
    buildChain(net);
    net.train();
    for (int i = 0; i < 5; ++i) net.step(3);  // the step is a kept graph by then
    const auto encoded = [&](const std::shared_ptr<MTL::CommandQueue>& queue) {
        const auto commands = queue->commandBuffer();
        net.graph->encodeBatch(commands, {net.images(3)}, {net.labels(3)});
        return commands;
    };
    const auto buffer = device->newBuffer(8192, MTL::ResourceStorageModePrivate);
    const auto start = fault.inMemory ? reinterpret_cast<std::uintptr_t>(mtl::addressOf(*buffer)) : 0;
    auto* const address = reinterpret_cast<void*>(start + fault.offset);

    const auto bad = net.queue->commandBuffer();
    bad->setLabel("sixth step");
    mtl::encodeOp(*bad, "stray fill", mtl::deviceOf(*device).backend(), [address] {
        ops::Fill op;
        op.dst = ops::Tensor::dense(address, ops::Type::Float32, 1, 1, 1, 1024);
        op.value = 3;
        return op;
    });
    const auto behind = encoded(net.queue), elsewhere = encoded(device->newCommandQueue());
    bool ran = false, handled = false;
    behind->encodeHostFunction("host", [&] { ran = true; });
    behind->addCompletedHandler([&](const auto&) { handled = true; });
    bad->commit();
    behind->commit();
    behind->waitUntilCompleted();
    ASSERT_EQ(bad->status(), MTL::CommandBufferStatus::Error);
    EXPECT_EQ(bad->error()->code, MTL::CommandBufferError::PageFault);
    const std::string cause = bad->error()->localizedDescription;
    EXPECT_THAT(cause, StartsWith("command buffer 'sixth step' ('stray fill') failed: cuda"));
    EXPECT_THAT(cause, HasSubstr(fault.cause));
    EXPECT_FALSE(ran);
    EXPECT_TRUE(handled);

    // Other queues, and such as are made now, fail at once with the first cause.
    elsewhere->commit();
    const auto late = device->newCommandQueue()->commandBuffer();
    late->encodeHostFunction("host", [&] { ran = true; });
    late->commit();
    for (const auto& later : {behind, elsewhere, late}) {
        later->waitUntilCompleted();
        ASSERT_EQ(later->status(), MTL::CommandBufferStatus::Error);
        EXPECT_EQ(later->error()->code, MTL::CommandBufferError::DeviceRemoved);
        EXPECT_EQ(later->error()->localizedDescription, "not run: device cuda:0 has stopped since " + cause);
    }
    EXPECT_FALSE(ran);

    // Memory is refused by errors that say as much, and the process goes on.
    EXPECT_THAT(errorOf([&] { net.images(3); }), HasSubstr("stopped"));
    EXPECT_THAT(errorOf([&] { device->newBuffer(1 << 20, MTL::ResourceStorageModePrivate); }), HasSubstr("stopped"));
    EXPECT_THAT(errorOf([&] { mtl::valuesOf<float>(*buffer, 16); }), HasSubstr("stopped since " + cause));
    Net other;
    buildChain(other);
    other.train();
    EXPECT_TRUE(std::isfinite(other.step(3)));
}

class GpuFaults : public testing::TestWithParam<Fault> {};

INSTANTIATE_TEST_SUITE_P(Kinds, GpuFaults,
                         testing::Values(Fault{"illegal_address", false, 4096, "illegal memory access"},
                                         Fault{"misaligned_address", true, 2, "misaligned address"}),
                         [](const auto& info) { return info.param.name; });

}  // namespace

TEST_P(GpuFaults, FailTheirBufferAndEveryLaterOneWithTheCauseAndTheProcessLives) {
    if (!deviceNamed("cuda:0")) GTEST_SKIP() << "no device cuda:0";
    expectFineApart([] { expectOrderAfter(GetParam()); });
}
