#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backends/cuda/Stream.h"
#include "backends/cuda/gpu/Check.h"
#include "backends/cuda/gpu/KeptWeights.h"

namespace pewter::cuda {

/// Thrown inside a stretch of commands that cannot be kept: a host function must run between them, or the like.
struct CannotCapture {
    std::string why;
};

/// What a stream keeps as CUDA graphs. Stretches of recorded commands are put off until something comes that is neither a
/// stretch nor a small operation between two (CudaStream::Later): a training step is one sequence, updates included. The
/// first runs of a sequence are plain, so that libraries choose their algorithms outside of a capture; after them there is an
/// executable graph for every set of addresses it was run with. A sequence that cannot be kept is kept in parts.
class Graphs {
public:
    explicit Graphs(CudaStream& stream) : stream_(stream) {}

    /// Puts off; `work` runs the stretch.
    void add(const ops::Stream::Stretch& stretch, const std::function<void()>& work);
    void add(std::unique_ptr<CudaStream::Later> later);
    bool isPending() const { return !pending_.empty(); }
    /// Runs what was put off.
    void runPending();

    bool isCapturing() const { return capturing_ != nullptr; }
    /// Where the graph under capture will find the number at `cell`.
    const std::uint64_t* numberOnDevice(const std::uint64_t* cell);
    bool renewLaunch(const void* kernel, unsigned blocks, unsigned threads, void** arguments);
    void noteLaunch();

    /// Trained weights in that form, kept for the sequence that is being run; null if they are not.
    const void* keptWeights(const ops::Tensor& weights, const WeightsForm& form);
    void noteWritten(const void* values, bool isTraining);

    std::vector<std::string> describe() const;

private:
    /// A stretch, or a small operation.
    struct Item {
        ops::Stream::Stretch stretch;
        std::function<void()> work;
        std::unique_ptr<CudaStream::Later> later;
    };
    using Items = std::vector<Item>;
    /// Of a sequence with one set of addresses.
    struct Variant {
        std::vector<const void*> addresses;
        cudaGraph_t graph = nullptr;  ///< lives as long as its nodes are renewed
        cudaGraphExec_t executable = nullptr;
        std::vector<cudaGraphNode_t> renewed;
        /// Numbers that differ from run to run: where they stand on the host, and all of them on the device.
        std::vector<const std::uint64_t*> cells;
        std::uint64_t* numbers = nullptr;

        ~Variant();
    };
    struct Kept {
        std::weak_ptr<const void> program;
        std::size_t runs = 0, stretches = 0, others = 0, commands = 0;
        std::string cannot;  ///< why it is not one graph, once that is known
        KeptWeights weights;          ///< outlives the graphs, which hold its addresses
        std::list<Variant> variants;  ///< last used first
    };
    /// Before a graph is made: the first run tells what is trained, the second gets the memory for what is kept of it.
    static constexpr std::size_t kPlainRuns = 2;
    /// The program, and first and last command of every stretch; equal numbers: a small operation.
    using Key = std::pair<const void*, std::vector<std::pair<std::size_t, std::size_t>>>;

    Kept& keptOf(const Items& items);
    void run(Items items);
    void runPlainly(Kept& kept, Items& items);
    void capture(Kept& kept, Items& items, std::vector<const void*> addresses);
    void launch(Variant& variant, Items& items);
    void launchAsIs(Variant& variant);

    CudaStream& stream_;
    Items pending_;
    std::map<Key, Kept> kept_;
    std::set<const void*> trained_;
    KeptWeights* weights_ = nullptr;  ///< of the sequence that is being run
    Variant* capturing_ = nullptr;
    /// The graph whose launches get new arguments, and the next of them.
    Variant* renewing_ = nullptr;
    std::size_t nextRenewed_ = 0;
};

}  // namespace pewter::cuda
