#pragma once

#include <limits>

#include "backends/cuda/Stream.h"
#include "backends/cuda/gpu/Check.h"
#include "backends/cuda/gpu/CudnnGraph.h"

namespace pewter::cuda {

/// Milliseconds that f() takes on the stream; infinite when cuDNN refuses it.
template <class F>
double timeOf(CudaStream& stream, F f) {
    constexpr int kRuns = 4;
    cudaEvent_t begin, end;
    check(cudaEventCreate(&begin), "cudaEventCreate");
    check(cudaEventCreate(&end), "cudaEventCreate");
    float milliseconds = std::numeric_limits<float>::infinity();
    try {
        f();
        check(cudaEventRecord(begin, stream.native()), "cudaEventRecord");
        for (int i = 0; i < kRuns; ++i) f();
        check(cudaEventRecord(end, stream.native()), "cudaEventRecord");
        check(cudaEventSynchronize(end), "cudaEventSynchronize");
        check(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
    } catch (const CudnnRefusal&) {
        milliseconds = std::numeric_limits<float>::infinity();
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return milliseconds / kRuns;
}

}  // namespace pewter::cuda
