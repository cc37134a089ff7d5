// The device that runs the kernels on the host, one thread after the other (Platform.cuh).
#include <cstdlib>
#include <new>

#include "backends/cuda/Cuda.h"
#include "backends/cuda/Element.cuh"
#include "backends/cuda/Launch.cuh"
#include "backends/cuda/LibraryPaths.h"
#include "ops/Backends.h"

namespace pewter::cuda_emulated {

class Libraries {};
class Graphs {};

namespace {

void* tagged(void* address) {
    return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(address) | kDeviceTag);
}

constexpr std::size_t kAlignment = 256;

}  // namespace

Cuda::Cuda(int device) : device_(device) {}
Cuda::~Cuda() = default;
std::string Cuda::name() const { return "cuda:emulated"; }
std::string Cuda::description() const { return "the kernels of device cuda on the host, one thread"; }
std::uint64_t Cuda::memoryBytes() const { return 0; }

void* Cuda::allocate(std::size_t bytes) {
    void* memory = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    if (!memory) throw std::bad_alloc();
    return tagged(memory);
}
void Cuda::deallocate(void* memory, std::size_t) noexcept { std::free(resolve(memory)); }
void* Cuda::allocateShared(std::size_t bytes) { return resolve(allocate(bytes)); }
void Cuda::deallocateShared(void* memory, std::size_t) noexcept { std::free(memory); }
void* Cuda::share(void* memory, std::size_t) { return memory; }
void Cuda::unshare(void*) noexcept {}
void Cuda::download(void* host, const void* device, std::size_t bytes) { std::memcpy(host, resolve(device), bytes); }
void Cuda::upload(void* device, const void* host, std::size_t bytes) { std::memcpy(resolve(device), host, bytes); }
void Cuda::copyBytes(void* to, const void* from, std::size_t bytes, ops::Stream&) {
    std::memmove(resolve(to), resolve(from), bytes);
}
void Cuda::fillBytes(void* to, std::uint8_t value, std::size_t bytes, ops::Stream&) {
    std::memset(resolve(to), value, bytes);
}
std::unique_ptr<ops::Stream> Cuda::newStream() { return std::make_unique<CudaStream>(device_); }

CudaStream::CudaStream(int device) : device_(device) {}
CudaStream::~CudaStream() {
    for (const auto& one : scratch_) std::free(one.memory);
}
bool CudaStream::isCapturing() const { return false; }
void CudaStream::settleLater() {
    if (const auto pending = std::move(later_)) pending->run(*this);
}
void CudaStream::flush() { settleLater(); }
bool CudaStream::renewLaunch(const void*, unsigned, unsigned, void**) { return false; }
void CudaStream::noteLaunch() {}
void CudaStream::noteWritten(const void*, bool) {}
std::vector<std::string> CudaStream::describeReplays() const { return {}; }
void CudaStream::synchronize() { flush(); }
bool CudaStream::isAsynchronous() const { return false; }
std::uint64_t CudaStream::mark() {
    flush();
    return 0;
}
void CudaStream::wait(std::uint64_t) {}
void CudaStream::replay(const Stretch&, const std::function<void()>& work) {
    work();
    flush();
}
const std::uint64_t* CudaStream::numberOnDevice(const std::uint64_t*) { return nullptr; }

const void* CudaStream::constants(const void* host, std::size_t) { return host; }

void* CudaStream::scratch(std::size_t bytes) {
    if (scratch_.empty() || scratch_.back().bytes < bytes)
        scratch_.push_back({resolve(Cuda(device_).allocate(bytes)), bytes, false});
    return scratch_.back().memory;
}

void checkLaunch(const char*) {}

bool runByLibrary(Libraries*, CudaStream&, const ops::ConvolutionForward&) { return false; }
bool runByLibrary(Libraries*, CudaStream&, const ops::ConvolutionDataGradient&) { return false; }
bool runByLibrary(Libraries*, CudaStream&, const ops::ConvolutionWeightsGradient&) { return false; }
bool runByLibrary(Libraries*, CudaStream&, const ops::FullyConnectedForward&) { return false; }
bool runByLibrary(Libraries*, CudaStream&, const ops::FullyConnectedDataGradient&) { return false; }
bool runByLibrary(Libraries*, CudaStream&, const ops::FullyConnectedWeightsGradient&) { return false; }
bool areFewChannelsFaster(Libraries*, CudaStream&, const ops::ConvolutionForward&) { return true; }
bool areFewChannelsFaster(Libraries*, CudaStream&, const ops::ConvolutionWeightsGradient&) { return true; }

}  // namespace pewter::cuda_emulated

namespace pewter::ops {

BackendEntry emulatedCudaBackend() {
    const char* wanted = std::getenv("PEWTER_CUDA_EMULATION");
    if (wanted && *wanted == '1') return {"cuda:emulated", std::make_shared<cuda_emulated::Cuda>(0), ""};
    return {"cuda:emulated", nullptr, "it is there for checks: PEWTER_CUDA_EMULATION=1 lists it"};
}

}  // namespace pewter::ops
