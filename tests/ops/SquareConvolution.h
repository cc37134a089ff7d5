#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "CpuWeightedCase.h"
#include "backends/cpu/ConvolutionPrimitive.h"

/// What the tests of single algorithms of a convolution share.
namespace pewter::test {

/// Operands of a convolution of squares with taps x taps and a border of `pad`, and what the reference makes of them.
struct Square {
    Square(Random& random, std::int64_t n, std::int64_t size, std::int64_t inputs, std::int64_t outputs,
           std::int64_t pad, bool integers, std::int64_t taps = 3)
        : src(ops::Type::Float32, n, size, size, inputs),
          dst(ops::Type::Float32, n, size + 2 * pad - taps + 1, size + 2 * pad - taps + 1, outputs),
          weights(ops::Type::Float32, outputs, taps, taps, inputs) {
        window.width = window.height = taps;
        window.padLeft = window.padTop = pad;
        for (OpTensor* operand : {&src, &dst, &weights})
            if (integers)
                operand->fillIntegers(random, -3, 3);
            else
                operand->fillUniform(random, -1, 1);
    }

    cpu::Problem problem() { return {ops::Tensor(src), ops::Tensor(dst), window, 1}; }
    OpTensor& resultOf(cpu::Direction direction) {
        return direction == cpu::Direction::Forward ? dst : direction == cpu::Direction::DataGradient ? src : weights;
    }
    cpu::ConvolutionOperands operands(float* bias = nullptr) {
        const auto data = [](const ops::Tensor& t) { return static_cast<float*>(t.data); };
        return {data(src), data(weights), data(dst), bias};
    }
    /// Products that meet in one element of the result.
    double length(cpu::Direction direction) {
        const std::int64_t window = weights.view().h * weights.view().w;
        if (direction == cpu::Direction::Forward) return static_cast<double>(window * src.view().c);
        if (direction == cpu::Direction::DataGradient) return static_cast<double>(window * dst.view().c);
        return static_cast<double>(dst.view().n * dst.view().h * dst.view().w);
    }
    std::vector<double> expected(cpu::Direction direction) {
        OpTensor result = inDouble(resultOf(direction));
        if (direction == cpu::Direction::Forward) runReference(ops::ConvolutionForward{src, weights, result, {}, window});
        if (direction == cpu::Direction::DataGradient) runReference(ops::ConvolutionDataGradient{dst, weights, result, window});
        if (direction == cpu::Direction::WeightsGradient)
            runReference(ops::ConvolutionWeightsGradient{src, dst, result, {}, window});
        return result.values();
    }

    OpTensor src, dst, weights;
    ops::Window window;
};

inline constexpr cpu::Direction kDirections[] = {cpu::Direction::Forward, cpu::Direction::DataGradient,
                                                 cpu::Direction::WeightsGradient};

/// Runs `algorithm` alone; false where the processor has no such kernel. `bias` is read forward, written by the weights
/// gradient.
inline bool compute(Square& square, cpu::Direction direction, cpu::Algorithm algorithm, bool accumulate = false,
                    float* bias = nullptr) {
    const cpu::ConvolutionTask task{direction, square.problem(), bias != nullptr, accumulate};
    const auto prepared = cpu::prepare(task, algorithm);
    if (!prepared) return false;
    EXPECT_EQ(prepared->algorithm, algorithm);
    cpu::Scratch scratch;
    cpu::Scratch::Frame frame(scratch);
    cpu::execute(*prepared, direction, square.operands(bias), frame);
    return true;
}

/// The error that docs/ops/convolution.md states for Winograd, as a multiple of eps * products in a sum * largest product.
inline constexpr double kWinogradError = 16;

inline double worstShare(const std::vector<double>& actual, const std::vector<double>& expected, double allowance) {
    double worst = 0;
    for (std::size_t i = 0; i < actual.size(); ++i)
        worst = std::max(worst, std::abs(actual[i] - expected[i]) / allowance);
    return worst;
}

}  // namespace pewter::test
