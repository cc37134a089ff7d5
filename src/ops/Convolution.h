#pragma once

#include "ops/Neuron.h"
#include "ops/Tensor.h"

namespace pewter::ops {

/// Geometry of a sliding window. Output position i reads source position
///   i * stride - pad + tap * dilation
/// so pad is what lies left of (above) the source; it may be negative (first pixels skipped). What lies right
/// (below) follows from the extents of dst.
struct Window {
    std::int64_t width = 1, height = 1;
    std::int64_t strideX = 1, strideY = 1;
    std::int64_t dilationX = 1, dilationY = 1;
    std::int64_t padLeft = 0, padTop = 0;
    Edge edge = Edge::Zero;
};

/// How far a convolution's arithmetic may be from sums of products in float32.
enum class Exactness : std::int64_t {
    Products = 0,     ///< Sums of products of the operands.
    Transformed = 1,  ///< Operands may be transformed first (Winograd), in float32. Beside images that are all bfloat16, or
                      ///< bfloat16 and bytes, weights and bytes may be rounded to it.
    Reduced = 2,      ///< Besides, operands may be rounded to fewer bits (TF32).
};

/// dst = neuron(conv(src, weights) + bias), a cross-correlation.
/// weights: dense [O][kH][kW][I/groups] as Tensor n=O, h=kH, w=kW, c=I/groups. bias: O values or null.
/// Group g of the source feeds only group g of dst; a depthwise convolution has groups == I.
struct ConvolutionForward {
    Tensor src, weights, dst;
    Array bias;
    Window window;
    std::int64_t groups = 1;
    Neuron neuron;
    Exactness exactness = Exactness::Products;
};

/// diffSrc = neuron(the adjoint of the convolution applied to diffDst, edge mode included, + bias).
/// Overwrites all of diffSrc, or adds to it. Gradients have neither neuron nor bias (one value a channel of diffSrc, or
/// null); a transposed convolution, which is this operation forward, may have both.
struct ConvolutionDataGradient {
    Tensor diffDst, weights, diffSrc;
    Window window;
    std::int64_t groups = 1;
    Array bias = {};
    Neuron neuron = {};
    Exactness exactness = Exactness::Products;
    /// diffSrc += instead of =; not together with a bias or a neuron.
    bool accumulate = false;
};

/// diffWeights (layout of weights) and diffBias, sums over images and pixels. accumulate adds to what is
/// there, else it is overwritten. diffBias may be null; so may diffWeights, when only the sums of diffDst are
/// wanted.
struct ConvolutionWeightsGradient {
    Tensor src, diffDst, diffWeights;
    Array diffBias;
    Window window;
    std::int64_t groups = 1;
    bool accumulate = false;
    Exactness exactness = Exactness::Products;
};

/// dst[n, o] = neuron(sum_k weights[o, k] * src[n, k] + bias[o]). A whole source image is one row: k runs
/// over H, W, C, so src has extents n, h, w, c; weights n=O, h, w, c; dst n, 1, 1, O.
struct FullyConnectedForward {
    Tensor src, weights, dst;
    Array bias;
    Neuron neuron;
    Exactness exactness = Exactness::Products;
};

/// diffSrc[n, k] = sum_o weights[o, k] * diffDst[n, o].
struct FullyConnectedDataGradient {
    Tensor diffDst, weights, diffSrc;
    Exactness exactness = Exactness::Products;
};

/// diffWeights[o, k] = sum_n diffDst[n, o] * src[n, k]; diffBias[o] = sum_n diffDst[n, o].
struct FullyConnectedWeightsGradient {
    Tensor src, diffDst, diffWeights;
    Array diffBias;
    bool accumulate = false;
    Exactness exactness = Exactness::Products;
};

}  // namespace pewter::ops
