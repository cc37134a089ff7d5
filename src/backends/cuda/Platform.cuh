#pragma once

// The kernels of this folder compile for two targets: for GPUs under nvcc, and as plain host code, where one thread does
// the work of a grid, block after block. The second one exists so that the kernels are checked on machines without a GPU:
// every kernel is written to be right for any number of threads in a block, one included.

#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define PEWTER_CUDA_NAMESPACE cuda
#define PEWTER_HD __host__ __device__ __forceinline__
#define PEWTER_DEVICE __device__ __forceinline__
/// A function object for forEach() and its kind.
#define PEWTER_KERNEL_LAMBDA [=] __device__
/// The same behind a capture list of one's own.
#define PEWTER_DEVICE_CALL __device__

#else

#define PEWTER_CUDA_NAMESPACE cuda_emulated
#define PEWTER_HD inline
#define PEWTER_DEVICE inline
#define PEWTER_KERNEL_LAMBDA [=]
#define PEWTER_DEVICE_CALL
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static thread_local

namespace pewter::cuda_emulated {

struct Dim3 {
    unsigned x = 1, y = 1, z = 1;
};
inline thread_local Dim3 gridDim, blockIdx;
inline constexpr Dim3 blockDim, threadIdx{0, 0, 0};
inline void __syncthreads() {}
inline void __syncwarp() {}

}  // namespace pewter::cuda_emulated

#endif
