#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

/// Values of MPSCNNLossType.
enum class LossType : std::uint32_t {
    MeanAbsoluteError = 0,
    MeanSquaredError = 1,
    SoftMaxCrossEntropy = 2,
    SigmoidCrossEntropy = 3,
    CategoricalCrossEntropy = 4,
    Hinge = 5,
    Huber = 6,
    CosineDistance = 7,
    Log = 8,
    KullbackLeiblerDivergence = 9,
};

/// Values of MPSCNNReductionType.
enum class ReductionType : std::int32_t { None = 0, Sum = 1, Mean = 2, SumByNonZeroWeights = 3 };

/// Loss and gradient of predictions y against labels t with element weights w (null: all 1).
/// gradient = weight * w * dl/dy, never divided by a reduction count. loss: extents of src for None, n,1,1,1 else:
/// one reduced value an image, or with reduceAcrossBatch the batch's value in image 0 and zeros after it.
/// Divisors: Mean H*W*C (H*W for SoftMaxCrossEntropy), times n across the batch; SumByNonZeroWeights the number of
/// non-zero weights; a count of 0 gives 0. gradient or loss may be null: not computed.
struct Loss {
    LossType type = LossType::MeanSquaredError;
    ReductionType reduction = ReductionType::None;
    bool reduceAcrossBatch = false;
    Tensor src, labels, weights, gradient, loss;
    float weight = 1, labelSmoothing = 0, epsilon = 1e-7f, delta = 1;
    std::int64_t numberOfClasses = 1;
};

}  // namespace pewter::ops
