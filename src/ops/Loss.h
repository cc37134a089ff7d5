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

/// The loss l of one prediction y and label t, times weight. labelSmoothing: of the two cross entropies of
/// logits (t (1 - s) + s / numberOfClasses of the softmax, t (1 - s) + s / 2 of the sigmoid); epsilon: Log;
/// delta: Huber.
struct LossFunction {
    LossType type = LossType::MeanSquaredError;
    float weight = 1, labelSmoothing = 0, epsilon = 1e-7f, delta = 1;
    std::int64_t numberOfClasses = 1;
};

/// How the losses of elements become one. reduceAcrossBatch means nothing for None.
/// Divisors: Mean H*W*C (H*W for SoftMaxCrossEntropy), times n across the batch; SumByNonZeroWeights the
/// number of non-zero weights (all elements without weights); a count of 0 gives 0.
struct LossReduction {
    ReductionType type = ReductionType::None;
    bool acrossBatch = false;
};

/// Loss and gradient of predictions y against labels t with element weights w (null: all 1).
/// gradient = weight * w * dl/dy, never divided by a reduction count. loss: extents of src for None, n,1,1,1
/// else: one reduced value an image, or across the batch the batch's value in image 0 and zeros after it.
/// gradient or loss may be null: not computed.
struct Loss {
    LossFunction function;
    LossReduction reduction;
    Tensor src, labels, weights, gradient, loss;
};

/// The chain rule through the loss of Loss: dst = u * r * weight * w * dl/dy, or dl/dt with labelGradients,
/// where u is incoming at the element (None), incoming of the image (reductions) or of image 0 (across the
/// batch), and r the reciprocal of the reduction's divisor (1 for None and Sum). incoming: extents of src for
/// None, n,1,1,1 else.
struct LossGradient {
    LossFunction function;
    LossReduction reduction;
    bool labelGradients = false;
    Tensor src, labels, weights, incoming, dst;
};

}  // namespace pewter::ops
