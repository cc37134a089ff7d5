#pragma once

#include <array>
#include <compare>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "backends/cuda/Stream.h"
#include "backends/cuda/gpu/CudnnGraph.h"
#include "backends/cuda/gpu/Operands.h"
#include "ops/Convolution.h"

namespace pewter::cuda {

class Libraries;

/// One convolution as cuDNN's operation graphs describe it; images are N,H,W,C in memory, described as N,C,H,W with strides.
struct CudnnTask {
    Direction direction = Direction::Forward;
    enum Epilogue : std::int64_t { None, Bias, BiasRelu } epilogue = None;
    std::int64_t type = dnn::kFloat;        ///< of images and weights
    std::int64_t resultType = dnn::kFloat;  ///< of what is written
    std::int64_t exactness = 0, accumulate = 0;
    std::int64_t packs = 0;  ///< which operands are packed for it
    float slope = 0;
    std::array<std::int64_t, 4> x{}, xStrides{}, w{}, wStrides{}, y{}, yStrides{};
    std::array<std::int64_t, 2> stride{}, dilation{}, before{}, after{};

    auto operator<=>(const CudnnTask&) const = default;
};

/// The convolutions of one device. Each problem's engine is chosen by measurement at its first use; which ones may be chosen
/// follows the operation's exactness: engines that round float32 to TF32 only for Reduced, Winograd's from Transformed on,
/// ones whose sums depend on the order of threads never.
class CudnnConvolutions {
public:
    CudnnConvolutions(Libraries& libraries, int device) : libraries_(libraries), device_(device) {}
    ~CudnnConvolutions();

    bool forward(CudaStream& stream, const ops::ConvolutionForward& op);
    bool dataGradient(CudaStream& stream, const ops::ConvolutionDataGradient& op);
    bool weightsGradient(CudaStream& stream, const ops::ConvolutionWeightsGradient& op);

    /// Whether these or the own kernels for few channels serve a problem better: measured at its first use, and kept.
    bool areSlowerThanOwn(CudaStream& stream, const ops::ConvolutionForward& op);
    bool areSlowerThanOwn(CudaStream& stream, const ops::ConvolutionWeightsGradient& op);

private:
    /// What tells problems apart.
    using Key = std::vector<std::int64_t>;
    /// theirs() is false where there is no engine.
    bool isOwnFaster(CudaStream& stream, const Key& key, const std::function<void()>& own, const std::function<bool()>& theirs);

    struct Plan {
        CudnnDescriptor plan;
        std::size_t workspace = 0;
        double milliseconds = 0;  ///< as measured, with the packing of operands; 0 where it was not
    };
    /// What is to be computed.
    struct Problem {
        Direction direction;
        Operands operands;
        const ops::Window& window;
        ops::Exactness exactness;
        bool accumulate = false;
        CudnnTask::Epilogue epilogue = CudnnTask::None;
        float slope = 0;
        ops::Array bias = {};
    };
    /// A way to have cuDNN do it, and the operands it is given.
    struct Way {
        CudnnTask task;
        Operands used;
    };
    struct Pointers {
        void *x, *w, *y, *bias, *workspace;
        void*& result(Direction direction) {
            return direction == Direction::Forward ? y : direction == Direction::DataGradient ? x : w;
        }
    };

    /// The ways that leave the counts of channels as they are, or those that pad them.
    static void addWays(const Problem& problem, bool padded, std::vector<Way>& ways);
    /// Operands in place, and so many bytes besides; as lend().
    static Pointers pointersOf(CudaStream& stream, const Problem& problem, Way way, std::size_t workspace,
                               bool bothWays = false);
    /// Runs the fastest way; gives where the result lies, without the channels it was padded with: in its own memory, or in
    /// scratch memory. Null when cuDNN has no plan.
    std::optional<ops::Tensor> run(CudaStream& stream, const Problem& problem);

    /// Whether bias and neuron may be applied to the result: in 16 bits the sum would be rounded before they come to it.
    static bool mayComeAfter(const ops::Array& bias, const ops::Neuron& neuron, const Problem& problem);

    /// The best plan for a way, or null when cuDNN has none; measured on these operands. Of a task that adds to its result
    /// the measured runs write elsewhere.
    const Plan* planFor(CudaStream& stream, const Way& way, const Problem& problem);
    std::vector<Plan> candidates(const CudnnTask& task);
    void addPlans(dnn::Descriptor graph, int mode, const CudnnTask& task, std::vector<Plan>& found);
    /// Whether the task's exactness allows the engine of a configuration.
    bool mayRun(const CudnnDescriptor& configuration, const CudnnTask& task) const;
    void execute(CudaStream& stream, const Plan& plan, const Pointers& pointers);
    bool isReady();

    Libraries& libraries_;
    int device_;
    std::mutex mutex_;  // one queue at a time: the handle has one stream
    const dnn::Api* api_ = nullptr;
    dnn::Handle handle_ = nullptr;
    std::map<CudnnTask, std::unique_ptr<Plan>> plans_;
    std::mutex choicesMutex_;  // taken before the other one
    std::map<Key, bool> choices_;
};

}  // namespace pewter::cuda
