#pragma once

#include <MPS/CNNLoss.hpp>
#include <MPS/Kernel.hpp>

#include "mps/core/TensorRef.h"
#include "ops/Loss.h"

namespace pewter::mps {

class Encoder;

// What the kernels of losses share: descriptors checked, and written for the seam.

/// Throws for an unknown type or reduction, CosineDistance with a reduction other than Sum, a smoothing
/// outside [0, 1], and no classes.
void checkLoss(const MPS::Kernel& kernel, const MPS::CNNLossDescriptor& descriptor);

/// Throws outside [0, 1].
void checkLabelSmoothing(const MPS::Kernel& kernel, float labelSmoothing);

/// Labels and weights (may be empty) of images of width x height x channels, named as arguments.
void checkLabels(const MPS::Kernel& kernel, const MPS::ImageBatch& labels, const MPS::ImageBatch& weights,
                 std::size_t width, std::size_t height, std::size_t channels);

/// Points two members of a kernel to the labels and weights of an encode for its length.
class LabelScope {
public:
    LabelScope(const MPS::ImageBatch*& labels, const MPS::ImageBatch*& weights,
               const MPS::ImageBatch& newLabels, const MPS::ImageBatch& newWeights)
        : labels_(labels), weights_(weights) {
        labels_ = &newLabels;
        weights_ = &newWeights;
    }
    ~LabelScope() { labels_ = weights_ = nullptr; }
    LabelScope(const LabelScope&) = delete;
    LabelScope& operator=(const LabelScope&) = delete;

private:
    const MPS::ImageBatch *&labels_, *&weights_;
};

ops::LossFunction functionOf(const MPS::CNNLossDescriptor& descriptor);
ops::LossReduction reductionOf(const MPS::CNNLossDescriptor& descriptor);

/// What an operation that computes loss and gradient reads and writes; weights may be absent.
struct LossOperands {
    TensorRef source, labels, weights, gradient, loss;

    /// When the command runs.
    template <class Op>
    void fill(Op& op) const {
        op.src = source.tensor();
        op.labels = labels.tensor();
        if (weights) op.weights = weights.tensor();
        if (gradient) op.gradient = gradient.tensor();
        if (loss) op.loss = loss.tensor();
    }
};

/// Appends a plain loss, with its gradient where the operands have one.
void encodeLoss(Encoder& encoder, const LossOperands& operands, const MPS::CNNLossDescriptor& descriptor);

}  // namespace pewter::mps
