// Memory and listing of GPUs.
#include <dlfcn.h>

#include <array>
#include <mutex>
#include <stdexcept>
#include <string>

#include "backends/cuda/Cuda.h"
#include "backends/cuda/gpu/Check.h"
#include "backends/cuda/gpu/Libraries.h"
#include "ops/Backends.h"
#include "ops/DeviceFault.h"

namespace pewter::cuda {

namespace {

/// Faults after which the device does nothing more for this process.
bool isSticky(cudaError_t status) {
    switch (status) {
        case cudaErrorIllegalAddress:
        case cudaErrorLaunchFailure:
        case cudaErrorMisalignedAddress:
        case cudaErrorIllegalInstruction:
        case cudaErrorAssert:
        case cudaErrorHardwareStackError:
        case cudaErrorInvalidPc:
        case cudaErrorInvalidAddressSpace:
        case cudaErrorContained:
        case cudaErrorExternalDevice:
        case cudaErrorECCUncorrectable:
        case cudaErrorLaunchTimeout: return true;
        default: return false;
    }
}

}  // namespace

void check(cudaError_t status, const char* call) {
    if (status == cudaSuccess) return;
    cudaGetLastError();  // the next call starts clean
    const std::string what = std::string(call) + ": " + cudaGetErrorString(status);
    if (status == cudaErrorMemoryAllocation) throw OutOfMemory(what);
    if (isSticky(status)) throw ops::DeviceFault(what);
    throw std::runtime_error(what);
}

void* newMemory(std::size_t bytes, const char* purpose) {
    void* memory = nullptr;
    const auto status = cudaMalloc(&memory, bytes);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        std::size_t free = 0, total = 0;
        cudaMemGetInfo(&free, &total);
        throw OutOfMemory("out of memory: " + std::string(purpose) + " wants " + std::to_string(bytes) + " bytes, free are " +
                          std::to_string(free) + " of " + std::to_string(total));
    }
    check(status, "cudaMalloc");
    return memory;
}

namespace {

/// Whether the process uses the device already, with limits that may be the application's.
bool isInUse(int device) {
    // Loaded by the runtime, which has no such question.
    void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (!driver) return true;
    using State = int (*)(int device, unsigned* flags, int* active);
    const auto stateOf = reinterpret_cast<State>(dlsym(driver, "cuDevicePrimaryCtxGetState"));
    unsigned flags = 0;
    int active = 1;
    if (!stateOf || stateOf(device, &flags, &active) != 0) active = 1;
    dlclose(driver);
    return active != 0;
}

/// Bytes of stack a thread. The driver reserves them for every thread that the device can hold: 264 MiB of an H100 with its
/// usual 1024. They serve calls whose depth nobody knows when kernels are compiled, and there are none.
constexpr std::size_t kStack = 256;

/// The first call for a device makes its context.
void start(int device) {
    const bool isOurs = !isInUse(device);
    check(cudaSetDevice(device), "cudaSetDevice");
    if (isOurs) check(cudaDeviceSetLimit(cudaLimitStackSize, kStack), "cudaDeviceSetLimit");
}

}  // namespace

void use(int device) {
    constexpr int kMost = 64;
    static std::array<std::once_flag, kMost> started;
    if (device < kMost) std::call_once(started[static_cast<std::size_t>(device)], start, device);
    check(cudaSetDevice(device), "cudaSetDevice");
}

void checkLaunch(const char* what) { check(cudaGetLastError(), what); }

Cuda::Cuda(int device) : device_(device), libraries_(std::make_unique<Libraries>(device)) {}
Cuda::~Cuda() = default;

std::string Cuda::name() const { return "cuda:" + std::to_string(device_); }

std::string Cuda::description() const {
    cudaDeviceProp properties;
    int driver = 0;
    check(cudaGetDeviceProperties(&properties, device_), "cudaGetDeviceProperties");
    check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
    return std::string(properties.name) + ", " + std::to_string(properties.multiProcessorCount) +
           " multiprocessors, CUDA driver " + std::to_string(driver / 1000) + "." + std::to_string(driver % 1000 / 10) + ", " +
           libraries_->description();
}

std::uint64_t Cuda::memoryBytes() const {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, device_), "cudaGetDeviceProperties");
    return properties.totalGlobalMem;
}

void* Cuda::allocate(std::size_t bytes) {
    use(device_);
    return newMemory(bytes, "the pool");
}
// Failures while memory goes back have nobody to tell; the next call meets them.
void Cuda::deallocate(void* memory, std::size_t) noexcept {
    cudaSetDevice(device_);
    cudaFree(memory);
}
void* Cuda::allocateShared(std::size_t bytes) {
    use(device_);
    void* memory = nullptr;
    check(cudaHostAlloc(&memory, bytes, cudaHostAllocPortable | cudaHostAllocMapped), "cudaHostAlloc");
    return memory;
}
void Cuda::deallocateShared(void* memory, std::size_t) noexcept {
    cudaSetDevice(device_);
    cudaFreeHost(memory);
}
void* Cuda::share(void* memory, std::size_t bytes) {
    use(device_);
    void* address = nullptr;
    check(cudaHostRegister(memory, bytes, cudaHostRegisterPortable | cudaHostRegisterMapped), "cudaHostRegister");
    check(cudaHostGetDevicePointer(&address, memory, 0), "cudaHostGetDevicePointer");
    return address;
}
void Cuda::unshare(void* memory) noexcept {
    cudaSetDevice(device_);
    cudaHostUnregister(memory);
}

// Queues' streams do not wait for these; whoever asks says that nothing is under way (ops::Backend).
void Cuda::download(void* host, const void* device, std::size_t bytes) {
    use(device_);
    check(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
}
void Cuda::upload(void* device, const void* host, std::size_t bytes) {
    use(device_);
    check(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    // From pageable memory the call may return before the last bytes have arrived.
    check(cudaStreamSynchronize(cudaStreamLegacy), "cudaStreamSynchronize");
}

void Cuda::copyBytes(void* to, const void* from, std::size_t bytes, ops::Stream& stream) {
    if (bytes == 0 || to == from) return;
    auto& s = streamOf(stream);
    auto* target = static_cast<char*>(to);
    const auto* source = static_cast<const char*>(from);
    const bool overlap = target < source + bytes && source < target + bytes;
    if (overlap) {
        void* between = s.scratch(bytes);
        check(cudaMemcpyAsync(between, from, bytes, cudaMemcpyDefault, s.native()), "cudaMemcpyAsync");
        from = between;
    }
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, s.native()), "cudaMemcpyAsync");
}

void Cuda::fillBytes(void* to, std::uint8_t value, std::size_t bytes, ops::Stream& stream) {
    check(cudaMemsetAsync(to, value, bytes, streamOf(stream).native()), "cudaMemsetAsync");
}

std::unique_ptr<ops::Stream> Cuda::newStream() { return std::make_unique<CudaStream>(device_); }

}  // namespace pewter::cuda

namespace pewter::ops {

std::vector<BackendEntry> cudaBackends() {
    int count = 0;
    const auto status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0)
        return {{"cuda:0", nullptr, status == cudaSuccess ? "no GPU was found" : cudaGetErrorString(status)}};
    std::vector<BackendEntry> entries;
    for (int device = 0; device < count; ++device) {
        cudaDeviceProp properties;
        const std::string name = "cuda:" + std::to_string(device);
        if (cudaGetDeviceProperties(&properties, device) != cudaSuccess)
            entries.push_back({name, nullptr, "its properties could not be read"});
        else if (properties.major < PEWTER_CUDA_LEAST_CAPABILITY / 10)
            entries.push_back({name, nullptr, "its compute capability " + std::to_string(properties.major) + "." +
                                                  std::to_string(properties.minor) + " is less than this build's kernels need"});
        else
            entries.push_back({name, std::make_shared<cuda::Cuda>(device), ""});
    }
    return entries;
}

}  // namespace pewter::ops
