#pragma once

#include <compare>

#include "backends/cuda/Stream.h"
#include "ops/Tensor.h"

namespace pewter::cuda {

/// How a library wants an operation's weights: dense [outputs][kH][kW][inputs] of a type, zeros beyond their own counts.
struct WeightsForm {
    ops::Type type = ops::Type::Float32;
    std::int64_t outputs = 0, inputs = 0;

    auto operator<=>(const WeightsForm&) const = default;
};

/// Whether the weights lie in memory in that form.
bool areIn(const ops::Tensor& weights, const WeightsForm& form);

/// The weights in that form, which they are not in: what the step at hand keeps of them (KeptWeights), or else written now
/// to `room`, which has the memory for it.
const void* weightsAs(CudaStream& stream, const ops::Tensor& weights, const WeightsForm& form, void* room);

/// The tensor that stands for them in that form: theirs, or one without memory.
ops::Tensor formOf(const ops::Tensor& weights, const WeightsForm& form);

}  // namespace pewter::cuda
