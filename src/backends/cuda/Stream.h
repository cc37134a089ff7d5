#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/cuda/Platform.cuh"
#include "ops/Backend.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

#if defined(__CUDACC__) || defined(PEWTER_CUDA_RUNTIME)
using NativeStream = cudaStream_t;
using NativeEvent = cudaEvent_t;
#else
/// The emulated device has done everything when a call returns.
struct NativeStream {};
struct NativeEvent {};
#endif

class Graphs;

/// A queue's place on the device: a CUDA stream, scratch memory, and the stretches of commands that it keeps as CUDA
/// graphs. Used by one thread at a time.
class CudaStream final : public ops::Stream {
public:
    explicit CudaStream(int device);
    ~CudaStream() override;

    void synchronize() override;
    bool isAsynchronous() const override;
    std::uint64_t mark() override;
    void wait(std::uint64_t mark) override;
    void replay(const Stretch& stretch, const std::function<void()>& work) override;

    /// Whether what is run now becomes part of a kept graph and only takes place later.
    bool isCapturing() const;

    NativeStream native() const { return native_; }
    int device() const { return device_; }

    /// Small operations that follow one another (updates of parameters, copies of them) are put off and done in one launch:
    /// `later` does what has come together, at the latest before anything else happens on the stream.
    class Later {
    public:
        virtual ~Later() = default;
        virtual void run(CudaStream& stream) = 0;
    };
    template <class L>
    L& later() {
        auto* pending = dynamic_cast<L*>(later_.get());
        if (!pending) {
            flush();
            later_ = std::make_unique<L>();
            pending = static_cast<L*>(later_.get());
        }
        return *pending;
    }
    void flush() {
        if (const auto pending = std::move(later_)) pending->run(*this);
    }

    /// Device memory for one operation, good until the next call on this stream; throws std::bad_alloc. Never moves under
    /// a kept graph: what became too small lives on.
    void* scratch(std::size_t bytes);

    /// Device memory with these bytes of the host, for good: for the few tables that operations bring along.
    const void* constants(const void* host, std::size_t bytes);

    /// For kernels with a number that differs from run to run of a kept graph: where the device finds the number that
    /// stands at `cell` on the host. Null when nothing is being kept: then the value at hand will do.
    const std::uint64_t* numberOnDevice(const std::uint64_t* cell);

private:
    int device_;
    NativeStream native_{};
    std::vector<std::pair<void*, std::size_t>> scratch_;
    std::unique_ptr<Later> later_;
    std::map<std::string, void*> constants_;  ///< by content
    std::unique_ptr<Graphs> graphs_;
    /// Places in the stream; two are enough, since at most one command buffer runs while the next is handed over.
    std::uint64_t marks_ = 0;
    NativeEvent events_[4] = {};
};

/// The stream, ready for an operation: what was put off is done first.
inline CudaStream& streamOf(ops::Stream& stream) {
    auto& own = static_cast<CudaStream&>(stream);
    own.flush();
    return own;
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
