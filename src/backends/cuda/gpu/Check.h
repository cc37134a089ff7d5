#pragma once

#include <cuda_runtime_api.h>

namespace pewter::cuda {

/// Throws what a failed call of the CUDA runtime means: std::bad_alloc for want of memory, ops::DeviceFault for a fault that
/// stays with the device, else std::runtime_error; both with the call's name.
void check(cudaError_t status, const char* call);

/// Makes `device` the calling thread's current one.
void use(int device);

}  // namespace pewter::cuda
