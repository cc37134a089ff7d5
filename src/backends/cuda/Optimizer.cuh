#pragma once

#include "backends/cuda/Launch.cuh"
#include "ops/Optimizer.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// An ops::OptimizerStep as a kernel sees it.
struct Update {
    // In the order of the operation; null what it has none of.
    char *gradient, *values, *result, *first, *second, *third;
    std::int64_t count;
    ops::Type gradientType, valuesType, resultType, firstType, secondType, thirdType;
    ops::OptimizerType type;
    ops::RegularizationType regularization;
    /// fours: runs of four elements may be moved at once.
    bool clip, nesterov, fours;
    float clipMin, clipMax, rescale, regularizationScale;
    /// keepFirst and keepSecond: what the moments keep of themselves (momentum, decay, beta1, beta2); take*: 1 - keep*.
    float rate, keepFirst, takeFirst, keepSecond, takeSecond, epsilon;
};

Update updateOf(const ops::OptimizerStep& op);

/// What one launch does at most: the table is a parameter of the kernel.
inline constexpr int kUpdates = 20;

/// All updates, in launches of kUpdates. They must not depend on one another.
void runUpdates(CudaStream& stream, const Update* updates, std::int64_t count);

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
