#pragma once

#include <memory>
#include <optional>
#include <string>

#include "backends/cpu/BlockedLayout.h"
#include "backends/cpu/ConvolutionProblem.h"
#include "backends/cpu/Engine.h"
#include "backends/cpu/Staging.h"
#include "ops/Neuron.h"

namespace pewter::cpu {

/// How a convolution is computed. The names are those of the environment variable PEWTER_CONVOLUTION and of the file
/// of choices.
enum class Algorithm : std::int64_t {
    Direct = 0,     ///< Sums of products on images as they lie, N,H,W,C.
    Blocked = 1,    ///< Sums of products in the library's blocked layout, with a reorder of every image.
    Winograd = 2,   ///< F(4x4, 3x3) in the blocked layout: a quarter of the multiplications.
    Columns = 3,    ///< Sums of products by columns of the window, for few outputs (ConvolutionColumns.h).
    Winograd5 = 4,  ///< F(4x4, 5x5) on images as they lie: a sixth of the multiplications (ConvolutionWinograd.h).
    Winograd2 = 5,  ///< F(2x2, 3x3) in bfloat16 on images as they lie: 4/9 of the multiplications (ConvolutionWinograd2.h).
    Products = 6,   ///< Gradients as products of matrices on images as they lie (ConvolutionProducts.h).
};
constexpr Algorithm kAlgorithms[] = {Algorithm::Direct, Algorithm::Blocked, Algorithm::Winograd, Algorithm::Columns,
                                     Algorithm::Winograd5, Algorithm::Winograd2, Algorithm::Products};

/// Kernels of this library, for images that lie N,H,W,C.
constexpr bool isOwn(Algorithm algorithm) {
    return algorithm != Algorithm::Direct && algorithm != Algorithm::Blocked && algorithm != Algorithm::Winograd;
}

/// "direct", "blocked", "winograd", "columns", "winograd5", "winograd2", "products".
std::string nameOf(Algorithm algorithm);

/// What a convolution is, and what is done besides the sums.
struct ConvolutionTask {
    Direction direction;
    Problem problem;
    bool bias = false;        ///< Forward: added; weights gradient: summed.
    bool accumulate = false;  ///< The result is added to what is there.
    ops::Neuron neuron = {};  ///< Forward.
    /// Of the images: float32 or bfloat16.
    ops::Type srcType = ops::Type::Float32, dstType = ops::Type::Float32;
    /// In blocks: float32, and only where Cpu::layoutCost says so.
    ops::ImageLayout srcLayout = ops::ImageLayout::ChannelsLast, dstLayout = ops::ImageLayout::ChannelsLast;
    /// Operands are multiplied in bfloat16 and summed in float32; weights are rounded for it.
    bool bfloat16 = false;
    /// From pixel to pixel of source and destination, and from tap to tap of the weights, where the problem is a slice of
    /// one with more channels (ConvolutionSlices.h); 0: the problem's own channels. Not part of the key.
    std::int64_t srcStep = 0, dstStep = 0;

    ProblemKey key(ops::Exactness exactness) const;
    bool hasBlocks() const { return srcLayout != dstLayout || srcLayout == ops::ImageLayout::ChannelBlocks; }
};

/// One operand of a primitive: the layout that it wants, the one of the seam (images N,H,W,C, weights
/// [O][kH][kW][I]), and the way between them: the library's reorder, empty where there is none, or a faster one.
struct Operand {
    dnnl::memory::desc wanted, plain;
    dnnl::reorder reorder;
    dnnl::memory::desc scratchpad;
    std::optional<BlockedLayout> blocked = std::nullopt;
    bool accumulates = false;  ///< Written: added to what is there.
};

/// A primitive with its operands.
struct Prepared {
    Algorithm algorithm = Algorithm::Direct;
    /// Winograd5, Winograd2 and Products: the task. Columns: the task, and the narrow convolution that stands in for the primitive.
    std::optional<ConvolutionTask> task;
    std::shared_ptr<const Prepared> narrow;
    /// Some images at a time (ConvolutionChunks.h): the first of them, and the further ones.
    std::shared_ptr<const Prepared> chunk, furtherChunk;
    /// Some channels at a time (ConvolutionSlices.h): the first of them, and the further ones.
    std::shared_ptr<const Prepared> slice, furtherSlice;
    dnnl::primitive primitive;
    Operand src, weights, dst;
    dnnl::memory::desc bias, scratchpad;
    /// False: the neuron is to be applied afterwards.
    bool neuronFused = false;
    /// False: a weights gradient leaves the sums of the bias to the caller.
    bool biasSummed = true;
    std::string implementation;
};

/// The task by `algorithm`; nothing where the library has no such kernel for it.
std::optional<Prepared> prepare(const ConvolutionTask& task, Algorithm algorithm);

/// The operands in the seam's layouts, images in the task's types; the one that `direction` computes is written. `bias`
/// is read forward, written by the weights gradient, or null.
struct ConvolutionOperands {
    void* src;
    float* weights;
    void* dst;
    float* bias;
};

/// Scratch memory that execute() takes for a primitive (not for own kernels).
std::size_t roomOf(const Prepared& prepared);

/// Runs the primitive, reorders included, on this thread's stream. source: that of a weights gradient, as loadedSource() has
/// it; null: it is loaded here.
void execute(const Prepared& prepared, Direction direction, const ConvolutionOperands& operands,
             Scratch::Frame& frame, const dnnl::memory* source = nullptr);

/// The source in the layout of the primitive, which reads it.
dnnl::memory loadedSource(const Prepared& prepared, const ConvolutionOperands& operands, Scratch::Frame& frame);

}  // namespace pewter::cpu
