#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <new>
#include <string>
#include <utility>

namespace pewter::cuda {

/// Want of memory of the device, with who wanted how much of it.
class OutOfMemory : public std::bad_alloc {
public:
    explicit OutOfMemory(std::string what) : what_(std::move(what)) {}
    const char* what() const noexcept override { return what_.c_str(); }

private:
    std::string what_;
};

/// Throws what a failed call of the CUDA runtime means: OutOfMemory, ops::DeviceFault for a fault that
/// stays with the device, else std::runtime_error; both with the call's name.
void check(cudaError_t status, const char* call);

/// Memory of the current device for `purpose`, which errors name. Goes back by cudaFree().
void* newMemory(std::size_t bytes, const char* purpose);

/// Makes `device` the calling thread's current one.
void use(int device);

}  // namespace pewter::cuda
