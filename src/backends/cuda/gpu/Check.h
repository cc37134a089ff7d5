#pragma once

#include <cuda_runtime_api.h>

namespace pewter::cuda {

/// Throws what a failed call of the CUDA runtime means: std::bad_alloc for want of memory, else std::runtime_error with the
/// call's name. A fault that stays with the device is remembered, and every later failure names the first.
void check(cudaError_t status, const char* call);

/// Makes `device` the calling thread's current one.
void use(int device);

}  // namespace pewter::cuda
