#pragma once

#include <memory>
#include <string>

#include "backends/cuda/Stream.h"
#include "ops/Backend.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

class Libraries;

/// One NVIDIA GPU: cuDNN for convolutions and cuBLASLt for matrices where they serve, own kernels for the rest, over any
/// strides and types. Sums are taken in float32 or better, in an order that depends on extents alone.
///
/// The same class runs the kernels on the host, as the emulated device (Platform.cuh).
class Cuda final : public ops::Backend {
public:
    explicit Cuda(int device);
    ~Cuda() override;

    std::string name() const override;
    std::string description() const override;
    int threads() const override { return 0; }

    bool hostVisible() const override { return false; }
    std::uint64_t memoryBytes() const override;
    void* allocate(std::size_t bytes) override;
    void deallocate(void* memory, std::size_t bytes) noexcept override;
    void* allocateShared(std::size_t bytes) override;
    void deallocateShared(void* memory, std::size_t bytes) noexcept override;
    void* share(void* memory, std::size_t bytes) override;
    void unshare(void* memory) noexcept override;
    void download(void* host, const void* device, std::size_t bytes) override;
    void upload(void* device, const void* host, std::size_t bytes) override;
    void copyBytes(void* to, const void* from, std::size_t bytes, ops::Stream& stream) override;
    void fillBytes(void* to, std::uint8_t value, std::size_t bytes, ops::Stream& stream) override;
    std::unique_ptr<ops::Stream> newStream() override;

    bool supports(ops::Type imageType) const override;
    bool joinsUpdates() const override { return true; }

#define PEWTER_DECLARE(Op) void run(const ops::Op& op, ops::Stream& stream) override;
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE

private:
    int device_;
    /// cuDNN and cuBLASLt, loaded with the first operation that wants them.
    std::unique_ptr<Libraries> libraries_;
};

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
