#ifdef PEWTER_HAVE_CPU

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>

#include "backends/cpu/AlignedMemory.h"

namespace pewter::test {
namespace {

TEST(CpuAlignedMemory, OfEverySizeBeginsAtALineAndCanBeWritten) {
    constexpr std::size_t kLarge = std::size_t{2} << 20;
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{65}, kLarge - 1, kLarge, 3 * kLarge + 5}) {
        const std::unique_ptr<void, decltype(&std::free)> memory(cpu::allocateAligned(bytes), &std::free);
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

}  // namespace
}  // namespace pewter::test

#endif
