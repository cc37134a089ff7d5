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
    void endReplay() override { flush(); }
    std::vector<std::string> describeReplays() const override;

    /// Whether what is run now becomes part of a kept graph and only takes place later.
    bool isCapturing() const;

    /// An operation writes parameters: forms of them that are kept are not theirs any more. Those that an update trains are
    /// worth keeping.
    void noteWritten(const void* values, bool isTraining = false);

    NativeStream native() const { return native_; }
    Graphs& graphs() { return *graphs_; }
    int device() const { return device_; }

    /// Small operations that follow one another (updates of parameters, copies of them) are put off and done in one launch:
    /// at the latest before anything else happens on the stream. Between stretches of commands they become part of the
    /// graph that is kept of all.
    class Later {
    public:
        virtual ~Later() = default;
        virtual void run(CudaStream& stream) = 0;
        /// Adds all that makes this a launch of its own: addresses, and extents as if they were addresses.
        virtual void describe(std::vector<const void*>& to) const = 0;
        /// Brings a kept graph's launches the numbers of this time, by launchRenewably() in the order of run().
        virtual void renew(CudaStream&) {}
    };
    template <class L>
    L& later() {
        auto* pending = dynamic_cast<L*>(later_.get());
        if (!pending) {
            settleLater();
            later_ = std::make_unique<L>();
            pending = static_cast<L*>(later_.get());
        }
        return *pending;
    }
    /// What came together comes before what follows, in a launch of its own.
    void settleLater();
    /// Does everything that was put off.
    void flush();

    /// While kept launches are renewed: gives the next of them these arguments and returns true. Else false: launch it.
    bool renewLaunch(const void* kernel, unsigned blocks, unsigned threads, void** arguments);
    /// After a launch that renewLaunch() is to find again, if a graph is being made.
    void noteLaunch();

    /// Device memory for one operation, good until the next call on this stream; throws std::bad_alloc. Never moves under
    /// a kept graph: what became too small lives on if one uses it.
    void* scratch(std::size_t bytes);
    /// Waits for the stream and frees scratch memory that no kept graph uses.
    void giveBackScratch();

    /// Device memory with these bytes of the host, for good: for the few tables that operations bring along.
    const void* constants(const void* host, std::size_t bytes);

    /// For kernels with a number that differs from run to run of a kept graph: where the device finds the number that
    /// stands at `cell` on the host. Null when nothing is being kept: then the value at hand will do.
    const std::uint64_t* numberOnDevice(const std::uint64_t* cell);

private:
    int device_;
    NativeStream native_{};
    struct Scratch {
        void* memory;
        std::size_t bytes;
        bool isKept;  ///< a kept graph uses it
    };
    std::vector<Scratch> scratch_;
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
