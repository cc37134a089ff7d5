#pragma once

#include <algorithm>
#include <utility>

#include "backends/cuda/Element.cuh"
#include "backends/cuda/Stream.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// Throws std::runtime_error with the call's name when the last launch failed.
void checkLaunch(const char* what);

/// Starts a kernel on a stream: `blocks` blocks of `threads` threads (the emulated device: of one).
template <class... Parameters, class... Arguments>
void launch(CudaStream& stream, void (*kernel)(Parameters...), std::int64_t blocks, int threads, Arguments&&... arguments) {
    if (blocks <= 0) return;
#if defined(__CUDACC__)
    kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), 0, stream.native()>>>(
        std::forward<Arguments>(arguments)...);
    checkLaunch("kernel");
#else
    static_cast<void>(stream);
    static_cast<void>(threads);
    gridDim = {static_cast<unsigned>(blocks), 1, 1};
    for (unsigned b = 0; b < gridDim.x; ++b) {
        blockIdx = {b, 0, 0};
        kernel(arguments...);
    }
#endif
}

/// launch() whose arguments a kept graph takes anew each time it is run (CudaStream::Later::renew).
template <class... Parameters>
void launchRenewably(CudaStream& stream, void (*kernel)(Parameters...), std::int64_t blocks, int threads, Parameters... arguments) {
    if (blocks <= 0) return;
    void* list[] = {&arguments...};
    if (stream.renewLaunch(reinterpret_cast<const void*>(kernel), static_cast<unsigned>(blocks), static_cast<unsigned>(threads), list))
        return;
    launch(stream, kernel, blocks, threads, arguments...);
    stream.noteLaunch();
}

inline constexpr int kThreads = 256;

#if defined(__CUDACC__)
/// Enough blocks to fill the largest GPUs several times; more would only cost their start.
inline constexpr std::int64_t kMaximumBlocks = 132 * 16;
#else
inline constexpr std::int64_t kMaximumBlocks = 1;
#endif

inline std::int64_t blocksFor(std::int64_t count, int threads = kThreads) {
    return std::min((count + threads - 1) / threads, kMaximumBlocks);
}

template <class F>
__global__ void forEachKernel(std::int64_t count, F f) {
    const std::int64_t step = std::int64_t{1} * gridDim.x * blockDim.x;
    for (std::int64_t i = std::int64_t{1} * blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) f(i);
}

/// f(i) for every i below count, in any order.
template <class F>
void forEach(CudaStream& stream, std::int64_t count, F f) {
    launch(stream, forEachKernel<F>, blocksFor(count), kThreads, count, f);
}

/// f(position) for every element of t.
template <class F>
void forEachElement(CudaStream& stream, const View& t, F f) {
    forEach(stream, t.count(), PEWTER_KERNEL_LAMBDA(std::int64_t i) { f(positionOf(t, i)); });
}

/// All threads of a block have the sum (in `combine`'s sense) of their values when it returns; always added in the same
/// order. T is trivially copyable.
template <class T, class Combine>
PEWTER_DEVICE T combineInBlock(T value, Combine combine) {
#if defined(__CUDACC__)
    constexpr int kMost = 1024;
    __shared__ alignas(16) char storage[kMost / 32 * sizeof(T)];
    T* shared = reinterpret_cast<T*>(storage);
    // Within a warp through shuffles of 32-bit words, then the warps through shared memory.
    constexpr int kWords = (sizeof(T) + 3) / 4;
    for (int offset = 16; offset > 0; offset /= 2) {
        union Words {
            T value;
            unsigned words[kWords];
            __device__ Words() {}
        } mine, other;
        mine.value = value;
        for (int k = 0; k < kWords; ++k) other.words[k] = __shfl_xor_sync(0xffffffffu, mine.words[k], offset);
        // Lower lanes first, so that every lane adds in one order.
        value = (threadIdx.x & offset) ? combine(other.value, value) : combine(value, other.value);
    }
    const int warps = static_cast<int>(blockDim.x + 31) / 32;
    if (warps > 1) {
        __syncthreads();  // an earlier call may still be reading
        if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
        __syncthreads();
        value = shared[0];
        for (int k = 1; k < warps; ++k) value = combine(value, shared[k]);
    }
    return value;
#else
    static_cast<void>(combine);
    return value;
#endif
}

template <class T, class Map, class Combine, class Finish>
__global__ void reduceRowsKernel(std::int64_t length, T start, Map map, Combine combine, Finish finish) {
    const std::int64_t row = blockIdx.x;
    T sum = start;
    for (std::int64_t i = threadIdx.x; i < length; i += blockDim.x) sum = combine(sum, map(row, i));
    sum = combineInBlock(sum, combine);
    if (threadIdx.x == 0) finish(row, sum);
}

/// For every row: finish(row, start + map(row, 0) + ... + map(row, length - 1)), `+` being combine, with start its
/// neutral element. One block a row; the order of the sum depends on nothing but length.
template <class T, class Map, class Combine, class Finish>
void reduceRows(CudaStream& stream, std::int64_t rows, std::int64_t length, T start, Map map, Combine combine,
                Finish finish) {
    const int threads = length <= 32 ? 32 : length <= 4096 ? 128 : 512;
    launch(stream, reduceRowsKernel<T, Map, Combine, Finish>, rows, threads, length, start, map, combine, finish);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
