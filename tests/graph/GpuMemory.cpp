/// Real devices that have no room. The same with counted memory, on every device: tests/error/DeviceErrors.cpp.
#include <sys/resource.h>
#include <unistd.h>

#include <MPS/CNNUpsamplingNode.hpp>
#include <chrono>
#include <fstream>
#include <optional>
#include <thread>

#include "Apart.h"
#include "NodesRun.h"
#include "mtl/Device.h"

using namespace pewter::test;
using namespace pewter;
using namespace MPS;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

constexpr std::size_t kGiB = std::size_t{1} << 30;

/// The memory of the emulated device is the process's, which gets this much more for the length of a test.
class LittleMemory {
public:
    explicit LittleMemory(std::size_t bytes) {
        std::size_t pages = 0;
        std::ifstream("/proc/self/statm") >> pages;
        getrlimit(RLIMIT_AS, &before_);
        rlimit now = before_;
        now.rlim_cur = pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) + bytes;
        setrlimit(RLIMIT_AS, &now);
    }
    ~LittleMemory() { setrlimit(RLIMIT_AS, &before_); }
    LittleMemory(const LittleMemory&) = delete;
    LittleMemory& operator=(const LittleMemory&) = delete;

private:
    rlimit before_{};
};

/// A device whose memory ends, by name.
class GpuMemory : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        device_ = deviceNamed(GetParam());
        if (!device_) GTEST_SKIP() << "no device " << GetParam();
        if (device_->name() != "cuda:emulated") {
            room_ = device_->maxBufferLength();
            return;
        }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        GTEST_SKIP() << "a sanitizer needs the whole address space";
#endif
        little_.emplace(kGiB);
        room_ = 4 * kGiB;
    }

    /// A graph that enlarges its pictures 65536 times, to 1 GiB from 64 x 64 pixels, and makes them small again.
    static std::shared_ptr<NNGraph> enlarging(const std::shared_ptr<MTL::Device>& device) {
        const auto large = CNNUpsamplingNearestNode::node(inputNamed("x"), 256, 256)->resultImage();
        return NNGraph::graph(device, CNNPoolingMaxNode::node(large, 256, 256)->resultImage(), true);
    }
    void expectRight(NNGraph& graph) {
        const Pictures small{2, 1, 1, {3, -7}};
        EXPECT_EQ(run(device_, graph, {{"x", small}}).front(), small);
    }

    std::shared_ptr<MTL::Device> device_;
    /// More than there is; about as much where the whole device is ours.
    std::size_t room_ = 0;
    std::optional<LittleMemory> little_;
};

INSTANTIATE_TEST_SUITE_P(Devices, GpuMemory, testing::Values("cuda:0", "cuda:emulated"), [](const auto& info) {
    return std::string(info.param) == "cuda:0" ? "cuda_0" : "cuda_emulated";
});

}  // namespace

TEST_P(GpuMemory, AGraphThatWantsMoreIsAnErrorThatTellsHowMuchAndChangesNothing) {
    const auto graph = enlarging(device_);
    graph->setFormat(PixelFormat::Float32);
    expectRight(*graph);
    Pictures pictures{64, 64, 1, Numbers((room_ / kGiB + 1) * 64 * 64, 1)};
    const auto sources = batchAs<float>(device_, PixelFormat::Float32, pictures);
    const std::size_t wanted = graph->memoryReport({sources}).peakBytes;
    ASSERT_GT(wanted, room_);
    const auto size = device_->currentAllocatedSize();
    {
        const auto commands = device_->newCommandQueue()->commandBuffer();
        const auto sentence = messageOf([&] {
            graph->encodeBatch(commands, {sources}, {});
            commands->commit();
        });
        EXPECT_THAT(sentence, StartsWith("device " + device_->name() + ": "));
        EXPECT_THAT(sentence, HasSubstr("temporary memory: expected " + std::to_string(wanted) +
                                        " bytes of memory, found out of memory, with "));
    }
    // Results of the encode that failed are gone with it, and a little later from what is kept for reuse.
    for (int tenths = 0; tenths < 70 && device_->currentAllocatedSize() > size; ++tenths)
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_LE(device_->currentAllocatedSize(), size);
    expectRight(*graph);
}

TEST_P(GpuMemory, ABufferThatIsTooLargeIsAnErrorThatTellsHowMuchAndTakesNone) {
    const std::size_t wanted = device_->maxBufferLength();
    const auto size = device_->currentAllocatedSize();
    EXPECT_THAT(messageOf([&] { device_->newBuffer(wanted, MTL::ResourceStorageModePrivate); }),
                HasSubstr("device " + device_->name() + ": a buffer: expected " + std::to_string(wanted) +
                          " bytes of memory, found out of memory, with "));
    EXPECT_LE(device_->currentAllocatedSize(), size);  // spare memory went back before the second try
    expectRight(*enlarging(device_));
}

TEST_P(GpuMemory, ACommandThatFindsNoScratchMemoryEndsItsBufferAndTellsHowMuch) {
    if (device_->name() == "cuda:emulated") GTEST_SKIP() << "copies in place where the host copies";
    // A copy onto itself, moved a little, goes by memory of as many bytes.
    const std::size_t bytes = room_ / 5 * 3;
    const auto buffer = mtl::deviceOf(*device_).newUninitializedBuffer(bytes, MTL::ResourceStorageModePrivate);
    const auto commands = device_->newCommandQueue()->commandBuffer();
    const auto blit = commands->blitCommandEncoder();
    blit->copy(buffer, 0, buffer, 256, bytes - 256);
    blit->endEncoding();
    commands->commit();
    commands->waitUntilCompleted();
    ASSERT_EQ(commands->status(), MTL::CommandBufferStatus::Error);
    EXPECT_EQ(commands->error()->code, MTL::CommandBufferError::OutOfMemory);
    const std::string opening = "blit copy failed: out of memory: scratch memory wants ";
    const std::string sentence = commands->error()->localizedDescription;
    ASSERT_THAT(sentence, StartsWith(opening));
    EXPECT_GE(std::stoull(sentence.substr(opening.size())), bytes - 256);
    EXPECT_THAT(sentence, HasSubstr(" bytes, free are "));
    expectRight(*enlarging(device_));
}
