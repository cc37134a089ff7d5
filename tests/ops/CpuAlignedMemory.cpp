#ifdef PEWTER_HAVE_CPU

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "backends/cpu/AlignedMemory.h"

namespace pewter::test {
namespace {

TEST(CpuAlignedMemory, OfEverySizeBeginsAtALineAndCanBeWritten) {
    constexpr std::size_t kLarge = std::size_t{2} << 20;
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{65}, kLarge - 1, kLarge, 3 * kLarge + 5}) {
        const auto free = [bytes](void* memory) { cpu::freeAligned(memory, bytes); };
        const std::unique_ptr<void, decltype(free)> memory(cpu::allocateAligned(bytes), free);
        ASSERT_TRUE(memory) << bytes;
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % cpu::kAlignment, 0u) << bytes;
        // Large pages begin at multiples of their size.
        if (bytes >= kLarge) {
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % kLarge, 0u) << bytes;
        }
        std::memset(memory.get(), 0x5a, bytes);
        if (bytes > 0) {
            EXPECT_EQ(static_cast<const unsigned char*>(memory.get())[bytes - 1], 0x5a) << bytes;
        }
    }
}

TEST(CpuAlignedMemory, ThatDoesNotExistThrows) {
    EXPECT_THROW(cpu::allocateAligned(std::numeric_limits<std::size_t>::max() / 2), std::bad_alloc);
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
/// The C library would keep what is smaller than the largest block that was freed before.
TEST(CpuAlignedMemory, ThatIsLargeGoesBackToTheSystemAtOnce) {
    for (const std::size_t bytes : {std::size_t{24} << 20, (std::size_t{5} << 20) + 64}) {
        void* const memory = cpu::allocateAligned(bytes);
        std::memset(memory, 1, bytes);
        unsigned char page = 0;
        EXPECT_EQ(mincore(memory, 1, &page), 0);
        cpu::freeAligned(memory, bytes);
        EXPECT_EQ(mincore(memory, 1, &page), -1) << bytes;
        EXPECT_EQ(errno, ENOMEM);
    }
}
#endif

}  // namespace
}  // namespace pewter::test

#endif
