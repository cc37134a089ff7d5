#pragma once

#include <fmt/format.h>

#include <string>

#include "ops/Backend.h"

/// What an operation must do at least: multiplications and additions, and bytes read and written once each.
/// The figures that rates and limits are made of.
namespace pewter::profile {

struct Work {
    double flops = 0, bytes = 0;
};

inline double bytesOf(const ops::Tensor& t) {
    // An axis that repeats one position is read once.
    const auto extent = [](std::int64_t n, std::int64_t stride) { return stride == 0 ? 1.0 : static_cast<double>(n); };
    return t.isNull() ? 0.0
                      : extent(t.n, t.strideN) * extent(t.h, t.strideH) * extent(t.w, t.strideW) *
                            extent(t.c, t.strideC) * static_cast<double>(ops::sizeOf(t.type));
}
inline double bytesOf(const ops::Array& a) {
    return a.isNull() ? 0.0 : static_cast<double>(a.size) * static_cast<double>(ops::sizeOf(a.type));
}
template <class... T>
double bytesOfAll(const T&... t) {
    return (bytesOf(t) + ...);
}

/// Two a tap of every output element, padding included.
inline double convolutionFlops(const ops::Tensor& output, const ops::Tensor& weights) {
    return 2.0 * static_cast<double>(output.count()) * static_cast<double>(weights.h * weights.w * weights.c);
}

inline Work workOf(const ops::ConvolutionForward& op) {
    return {convolutionFlops(op.dst, op.weights), bytesOfAll(op.src, op.weights, op.bias, op.dst)};
}
inline Work workOf(const ops::ConvolutionDataGradient& op) {
    return {convolutionFlops(op.diffDst, op.weights), bytesOfAll(op.diffDst, op.weights, op.diffSrc)};
}
inline Work workOf(const ops::ConvolutionWeightsGradient& op) {
    return {convolutionFlops(op.diffDst, op.diffWeights),
            bytesOfAll(op.src, op.diffDst, op.diffWeights, op.diffBias)};
}
inline Work workOf(const ops::FullyConnectedForward& op) {
    return {convolutionFlops(op.dst, op.weights), bytesOfAll(op.src, op.weights, op.bias, op.dst)};
}
inline Work workOf(const ops::FullyConnectedDataGradient& op) {
    return {convolutionFlops(op.diffDst, op.weights), bytesOfAll(op.diffDst, op.weights, op.diffSrc)};
}
inline Work workOf(const ops::FullyConnectedWeightsGradient& op) {
    return {convolutionFlops(op.diffDst, op.diffWeights),
            bytesOfAll(op.src, op.diffDst, op.diffWeights, op.diffBias)};
}
/// A product of bits counts like one of numbers.
inline Work workOf(const ops::BinaryConvolutionForward& op) {
    return {2.0 * static_cast<double>(op.dst.count() * op.window.width * op.window.height * op.src.c),
            bytesOfAll(op.src, op.weights, op.dst)};
}
/// Two a pixel of every pair of channels.
inline Work workOf(const ops::GramMatrixForward& op) {
    return {2.0 * static_cast<double>(op.src.count() * op.src.c), bytesOfAll(op.src, op.dst)};
}
inline Work workOf(const ops::GramMatrixGradient& op) {
    return {2.0 * static_cast<double>(op.src.count() * op.src.c), bytesOfAll(op.src, op.diffDst, op.diffSrc)};
}
/// Two a channel of every pixel and shift.
inline Work workOf(const ops::LocalCorrelation& op) {
    return {2.0 * static_cast<double>(op.dst.count() * op.primary.c),
            bytesOfAll(op.primary, op.secondary, op.dst)};
}
// The rest moves more than it computes: only its bytes are counted.
inline Work workOf(const ops::PoolingForward& op) { return {0, bytesOfAll(op.src, op.dst)}; }
inline Work workOf(const ops::PoolingGradient& op) {
    return {0,
            (op.type == ops::PoolingType::Average ? 0.0 : bytesOf(op.src)) + bytesOfAll(op.diffDst, op.diffSrc)};
}
inline Work workOf(const ops::NeuronForward& op) { return {0, bytesOfAll(op.src, op.dst)}; }
inline Work workOf(const ops::NeuronGradient& op) { return {0, bytesOfAll(op.src, op.diffDst, op.diffSrc)}; }
inline Work workOf(const ops::SoftMaxForward& op) { return {0, bytesOfAll(op.src, op.dst)}; }
inline Work workOf(const ops::SoftMaxGradient& op) { return {0, bytesOfAll(op.dst, op.diffDst, op.diffSrc)}; }
inline Work workOf(const ops::DropoutForward& op) { return {0, bytesOfAll(op.src, op.dst, op.mask)}; }
inline Work workOf(const ops::DropoutGradient& op) {
    return {0, bytesOfAll(op.diffDst, op.mask, op.diffSrc)};
}
inline Work workOf(const ops::BatchNormalizationStatistics& op) { return {0, bytesOf(op.src)}; }
inline Work workOf(const ops::BatchNormalizationForward& op) { return {0, bytesOfAll(op.src, op.addend, op.dst)}; }
inline Work workOf(const ops::BatchNormalizationStatisticsGradient& op) {
    return {0, bytesOfAll(op.src, op.diffDst, op.addend, op.diffSum)};
}
inline Work workOf(const ops::BatchNormalizationGradient& op) {
    return {0, bytesOfAll(op.src, op.diffDst, op.diffSrc)};
}
inline Work workOf(const ops::Arithmetic& op) { return {0, bytesOfAll(op.primary, op.secondary, op.dst, op.mask)}; }
inline Work workOf(const ops::ArithmeticGradient& op) {
    return {0, bytesOfAll(op.diffDst, op.other, op.mask, op.diffSrc)};
}
inline Work workOf(const ops::Loss& op) {
    return {0, bytesOfAll(op.src, op.labels, op.weights, op.gradient, op.loss)};
}
inline Work workOf(const ops::LossGradient& op) {
    return {0, bytesOfAll(op.src, op.labels, op.weights, op.incoming, op.dst)};
}
/// Read: gradient, values, moments; written: result, moments.
inline Work workOf(const ops::OptimizerStep& op) {
    return {0, bytesOfAll(op.gradient, op.values, op.result) + 2 * bytesOfAll(op.first, op.second, op.third)};
}
inline Work workOf(const ops::Copy& op) { return {0, bytesOfAll(op.src, op.dst)}; }
inline Work workOf(const ops::CopyGradient& op) { return {0, bytesOfAll(op.src, op.dst)}; }
inline Work workOf(const ops::Fill& op) { return {0, bytesOf(op.dst)}; }
inline Work workOf(const ops::ArrayCopy& op) { return {0, bytesOfAll(op.src, op.dst)}; }

/// Positions of two axes, some ten operations each, and four taps a channel.
inline Work workOf(const ops::GridSample& op) {
    const auto pixels = static_cast<double>(op.dst.count() / op.dst.c);
    return {pixels * (20 + 8 * static_cast<double>(op.dst.c)), bytesOfAll(op.src, op.grid, op.dst)};
}

// Normalisations over windows compute more than they move. Their work is counted in instructions on whole registers, each as
// a multiply-add on as many numbers of float32 (two operations each), those in double as two of them: window sums down the
// columns and then along the rows, powers by estimate and refinement. Loads, stores and what moves between registers do not
// count.

/// x^-beta: a quarter's roots by the processor's estimates and Newton's step, any other by exponential and logarithm.
inline double powerInstructions(double beta) {
    if (beta == 0.25) return 12;
    if (beta == 0.5) return 8;
    return beta == 0.75 ? 14 : 45;
}
/// Rows that a window adds down its columns, where two windows one above the other add those that they share
/// once.
inline double pairedRows(double height) { return (height + 1) / 2; }
/// One multiply-add a row, one addition a column; base, power and product.
inline Work workOf(const ops::SpatialNormalizationForward& op) {
    const auto w = static_cast<double>(op.window.width), h = static_cast<double>(op.window.height);
    return {2 * static_cast<double>(op.dst.count()) * (pairedRows(h) + w + 1 + powerInstructions(op.beta)),
            bytesOfAll(op.src, op.dst)};
}
/// The same, a reciprocal (5), and the sums of what the windows over a pixel share.
inline Work workOf(const ops::SpatialNormalizationGradient& op) {
    const auto w = static_cast<double>(op.window.width), h = static_cast<double>(op.window.height);
    return {2 * static_cast<double>(op.diffDst.count()) *
                (2 * (pairedRows(h) + w) + 9 + powerInstructions(op.beta)),
            bytesOfAll(op.src, op.diffDst, op.diffSrc)};
}
/// In double: a conversion, an addition and a multiply-add a row, two additions a column, and ten for mean, variance and
/// distance.
inline Work workOf(const ops::LocalContrastNormalizationForward& op) {
    const auto w = static_cast<double>(op.window.width), h = static_cast<double>(op.window.height);
    return {2 * static_cast<double>(op.dst.count()) * (6 * h + 4 * (w - 1) + 20 + powerInstructions(op.beta)),
            bytesOfAll(op.src, op.dst)};
}
/// The same, a reciprocal, and the sums of three shares of the windows over a pixel.
inline Work workOf(const ops::LocalContrastNormalizationGradient& op) {
    const auto w = static_cast<double>(op.window.width), h = static_cast<double>(op.window.height);
    return {2 * static_cast<double>(op.diffDst.count()) *
                (6 * h + 4 * (w - 1) + 3 * (pairedRows(h) + w - 2) + 36 + powerInstructions(op.beta)),
            bytesOfAll(op.src, op.diffDst, op.diffSrc)};
}

/// Any other operation: each of its tensors and arrays once, found by the names that the seam uses.
template <class Op>
Work workOf(const Op& op) {
    double bytes = 0;
    const auto add = [&bytes](const auto& operand) {
        if constexpr (requires { bytesOf(operand); }) bytes += bytesOf(operand);
    };
#define PEWTER_ADD(field) \
    if constexpr (requires { op.field; }) add(op.field);
    PEWTER_ADD(src)
    PEWTER_ADD(dst)
    PEWTER_ADD(diffDst)
    PEWTER_ADD(diffSrc)
    PEWTER_ADD(primary)
    PEWTER_ADD(secondary)
    PEWTER_ADD(weights)
    PEWTER_ADD(bias)
    PEWTER_ADD(labels)
    PEWTER_ADD(grid)
    PEWTER_ADD(gradient)
    PEWTER_ADD(diffLabels)
    PEWTER_ADD(loss)
#undef PEWTER_ADD
    return {0, bytes};
}

inline std::string extentsOf(const ops::Tensor& t) { return fmt::format("{}x{}x{}x{}", t.n, t.h, t.w, t.c); }

/// The extents that tell two operations of one kind apart.
template <class Op>
std::string extentsOf(const Op& op) {
    if constexpr (requires { op.diffWeights; })
        return extentsOf(op.src) + ", " + extentsOf(op.diffDst);
    else if constexpr (requires { op.values; })
        return fmt::format("{}", op.values.size);
    else if constexpr (requires { op.src.size; })
        return fmt::format("{}", op.src.size);
    else if constexpr (requires {
                           op.src;
                           op.dst;
                       })
        return extentsOf(op.src) + ", " + extentsOf(op.dst);
    else if constexpr (requires { op.diffSrc; })
        return extentsOf(op.diffDst) + ", " + extentsOf(op.diffSrc);
    else if constexpr (requires { op.src; })
        return extentsOf(op.src);
    else if constexpr (requires { extentsOf(op.dst); })
        return extentsOf(op.dst);
    else if constexpr (requires { extentsOf(op.primary); })
        return extentsOf(op.primary);
    else
        return {};
}

}  // namespace pewter::profile
