#include "backends/cuda/gpu/Weights.h"

#include "backends/cuda/Recast.cuh"
#include "backends/cuda/gpu/Graphs.h"
#include "backends/cuda/gpu/Operands.h"

namespace pewter::cuda {

bool areIn(const ops::Tensor& weights, const WeightsForm& form) {
    return weights.type == form.type && weights.n == form.outputs && weights.c == form.inputs && weights.isDense() &&
           isAligned(weights.data);
}

const void* weightsAs(CudaStream& stream, const ops::Tensor& weights, const WeightsForm& form, void* room) {
    if (const void* kept = stream.graphs().keptWeights(weights, form)) return kept;
    recast(stream, weights, ops::Tensor::dense(room, form.type, form.outputs, weights.h, weights.w, form.inputs));
    return room;
}

ops::Tensor formOf(const ops::Tensor& weights, const WeightsForm& form) {
    if (areIn(weights, form)) return weights;
    return ops::Tensor::dense(nullptr, form.type, form.outputs, weights.h, weights.w, form.inputs);
}

}  // namespace pewter::cuda
