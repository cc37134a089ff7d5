#pragma once

#include <cstddef>

namespace pewter::cpu {

/// What all memory of the backend is aligned to: a line of the cache, a register of the widest instruction set.
constexpr std::size_t kAlignment = 64;

/// Memory for freeAligned(), aligned to kAlignment; throws std::bad_alloc. The system is asked to give large memory in large
/// pages: an operation over the parameters of a layer otherwise looks up thousands of small ones.
void* allocateAligned(std::size_t bytes);
/// `bytes` as it was allocated. Large memory goes back to the system at once.
void freeAligned(void* memory, std::size_t bytes) noexcept;

}  // namespace pewter::cpu
