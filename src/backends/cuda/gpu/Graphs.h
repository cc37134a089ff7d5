#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "backends/cuda/gpu/Check.h"
#include "ops/Backend.h"

namespace pewter::cuda {

/// Thrown inside a stretch of commands that cannot be kept: a host function must run between them, or the like.
struct CannotCapture {
    std::string why;
};

/// The stretches of recorded commands that a stream keeps as CUDA graphs: one executable graph for every set of addresses
/// that a stretch was run with. The first run of a stretch is plain, so that libraries choose their algorithms outside of
/// a capture.
class Graphs {
public:
    explicit Graphs(cudaStream_t stream) : stream_(stream) {}
    ~Graphs();

    void run(const ops::Stream::Stretch& stretch, const std::function<void()>& work);
    bool isCapturing() const { return capturing_ != nullptr; }
    /// Where the graph under capture will find the number at `cell`.
    const std::uint64_t* numberOnDevice(const std::uint64_t* cell);

private:
    /// Of a stretch with one set of addresses.
    struct Variant {
        std::vector<const void*> addresses;
        cudaGraphExec_t graph = nullptr;
        /// Numbers that differ from run to run: where they stand on the host, and all of them on the device.
        std::vector<const std::uint64_t*> cells;
        std::uint64_t* numbers = nullptr;

        ~Variant();
    };
    struct Kept {
        std::weak_ptr<const void> program;
        std::size_t runs = 0;
        std::string cannot;  ///< why it is run plainly, once that is known
        std::list<Variant> variants;  ///< last used first
    };

    void capture(Kept& kept, const ops::Stream::Stretch& stretch, const std::function<void()>& work);
    void launch(const Variant& variant);

    cudaStream_t stream_;
    std::map<std::tuple<const void*, std::size_t, std::size_t>, Kept> kept_;
    Variant* capturing_ = nullptr;
};

}  // namespace pewter::cuda
