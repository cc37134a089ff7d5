#include "backends/cpu/AlignedMemory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace pewter::cpu {

namespace {

/// What processors of both architectures that there are kernels for call large.
constexpr std::size_t kLargePage = std::size_t{2} << 20;

constexpr std::size_t upTo(std::size_t unit, std::size_t bytes) { return (bytes + unit - 1) / unit * unit; }

// The C library keeps what is freed of up to 32 MiB, and cuts it up for smaller requests; between large pages that are to
// begin at their multiples it leaves what nothing fits into. The checker of addresses knows the C library's memory alone.
#if defined(MAP_ANONYMOUS) && !defined(__SANITIZE_ADDRESS__)
constexpr bool kMapped = true;
constexpr std::size_t kPage = 4096;

void* mapLarge(std::size_t bytes) {
    if (bytes > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_alloc();
    const std::size_t whole = upTo(kPage, bytes);
    void* const memory =
        mmap(nullptr, whole + kLargePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    // Of the room to move in, what lies before and behind.
    auto* const from = static_cast<std::byte*>(memory);
    const auto address = reinterpret_cast<std::uintptr_t>(from);
    const std::size_t before = upTo(kLargePage, address) - address;
    if (before > 0) munmap(from, before);
    if (before < kLargePage) munmap(from + before + whole, kLargePage - before);
    return from + before;
}

void unmapLarge(void* memory, std::size_t bytes) noexcept { munmap(memory, upTo(kPage, bytes)); }
#else
constexpr bool kMapped = false;
void* mapLarge(std::size_t) { throw std::bad_alloc(); }
void unmapLarge(void*, std::size_t) noexcept {}
#endif

void* allocateFromLibrary(std::size_t bytes) {
    void* memory = nullptr;
    const std::size_t alignment = bytes >= kLargePage ? kLargePage : kAlignment;
    if (posix_memalign(&memory, alignment, upTo(kAlignment, std::max<std::size_t>(bytes, 1))) != 0) throw std::bad_alloc();
    return memory;
}

}  // namespace

void* allocateAligned(std::size_t bytes) {
    void* const memory = kMapped && bytes >= kLargePage ? mapLarge(bytes) : allocateFromLibrary(bytes);
#if defined(MADV_HUGEPAGE)
    // Whole pages alone: the rest of the last one would be paid for and not used. A refusal changes nothing but the speed.
    if (const std::size_t whole = bytes / kLargePage * kLargePage; whole > 0) (void)madvise(memory, whole, MADV_HUGEPAGE);
#endif
    return memory;
}

void freeAligned(void* memory, std::size_t bytes) noexcept {
    if (kMapped && bytes >= kLargePage)
        unmapLarge(memory, bytes);
    else
        std::free(memory);
}

}  // namespace pewter::cpu
