#pragma once

#include <array>
#include <compare>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "backends/cuda/Stream.h"
#include "backends/cuda/gpu/CudnnGraph.h"
#include "ops/Convolution.h"

namespace pewter::cuda {

class Libraries;

/// One convolution as cuDNN's operation graphs describe it; images are N,H,W,C in memory, described as N,C,H,W with strides.
struct CudnnTask {
    enum Kind : std::int64_t { Forward, DataGradient, WeightsGradient } kind = Forward;
    enum Epilogue : std::int64_t { None, Bias, BiasRelu } epilogue = None;
    std::int64_t type = dnn::kFloat;        ///< of images and weights
    std::int64_t resultType = dnn::kFloat;  ///< of what is written
    std::int64_t exactness = 0, accumulate = 0;
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

private:
    struct Plan {
        CudnnDescriptor plan;
        std::size_t workspace = 0;
        double milliseconds = 0;  ///< as measured; 0 where it was not
    };
    /// Of the operands x, w, y and the bias.
    struct Pointers {
        const void *x, *w, *y, *bias;
    };

    /// The best plan for a task, or null when cuDNN has none; measured on these operands. Of a task that adds to its result,
    /// which takes resultBytes, the measured runs write elsewhere.
    const Plan* planFor(CudaStream& stream, const CudnnTask& task, Pointers pointers, std::size_t resultBytes = 0);
    std::vector<Plan> candidates(const CudnnTask& task);
    void addPlans(dnn::Descriptor graph, int mode, const CudnnTask& task, std::vector<Plan>& found);
    /// Whether the task's exactness allows the engine of a configuration.
    bool mayRun(const CudnnDescriptor& configuration, const CudnnTask& task) const;
    double measure(CudaStream& stream, const Plan& plan, const Pointers& pointers, void* workspace);
    void execute(CudaStream& stream, const Plan& plan, const Pointers& pointers, void* workspace);
    bool isReady();
    /// Runs a task whose w is the weights, converted once to the type of the images; false when cuDNN has no plan for it.
    bool runWeighted(CudaStream& stream, const CudnnTask& task, const ops::Tensor& weights, ops::Type type, Pointers pointers,
                     std::size_t resultBytes = 0);
    /// Weights in the type of the images: their own memory, or converted to `room`.
    static const void* weightsAs(CudaStream& stream, const ops::Tensor& weights, ops::Type type, void* room);

    Libraries& libraries_;
    int device_;
    std::mutex mutex_;  // one queue at a time: the handle has one stream
    const dnn::Api* api_ = nullptr;
    dnn::Handle handle_ = nullptr;
    std::map<CudnnTask, std::unique_ptr<Plan>> plans_;
};

}  // namespace pewter::cuda
