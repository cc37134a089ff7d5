#include "backends/cpu/AlignedMemory.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace pewter::cpu {

void* allocateAligned(std::size_t bytes) {
    // What processors of both architectures that there are kernels for call large.
    constexpr std::size_t kLargePage = std::size_t{2} << 20;
    const std::size_t alignment = bytes >= kLargePage ? kLargePage : kAlignment;
    const std::size_t rounded = (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
    void* memory = nullptr;
    if (posix_memalign(&memory, alignment, rounded) != 0) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    // Whole pages alone: the rest of the last one would be paid for and not used. A refusal changes nothing but the speed.
    if (const std::size_t whole = bytes / kLargePage * kLargePage; whole > 0) (void)madvise(memory, whole, MADV_HUGEPAGE);
#endif
    return memory;
}

}  // namespace pewter::cpu
