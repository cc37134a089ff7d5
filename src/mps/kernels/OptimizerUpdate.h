#pragma once

#include <MPS/NNOptimizer.hpp>
#include <MPS/State.hpp>
#include <MTL/CommandBuffer.hpp>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "mps/core/TensorRef.h"
#include "ops/Optimizer.h"

namespace pewter::mps {

/// One update as the properties of an optimizer say it, without its arrays, and the names of the optimizer's
/// own quantities in error sentences.
struct OptimizerUpdate {
    ops::OptimizerStep step;
    /// How many of first, second, third the rule needs; third (AMSGrad's maximum) may be left out.
    std::array<const char*, 3> moments = {nullptr, nullptr, nullptr};
    /// Whether the first one may be left out.
    bool optionalFirst = false;
};

/// A vector, a matrix or a parameter of a state as runs of elements, one a row.
struct OptimizerRuns {
    std::vector<ArrayRef> rows;
    /// Extents for comparison and for errors.
    std::size_t count = 0, columns = 0;
    /// Whether the rows lie back to back.
    bool dense = true;
    /// All rows as one run; dense ones only.
    ArrayRef whole() const;
    std::string text() const;
};

/// One parameter: gradient, values, result, and the optimizer's own three, absent ones empty.
struct OptimizerOperands {
    OptimizerRuns gradient, values, result;
    std::array<OptimizerRuns, 3> moments;
};

/// Throws for null, foreign devices and element types; halves are allowed for values and gradients only.
OptimizerRuns runsOf(const MPS::Kernel& kernel, const std::string& argument,
                     const std::shared_ptr<MPS::Vector>& vector, bool halves);
OptimizerRuns runsOf(const MPS::Kernel& kernel, const std::string& argument,
                     const std::shared_ptr<MPS::Matrix>& matrix, bool halves);
/// A float32 buffer of a state.
OptimizerRuns runsOf(const ArrayRef& array);

/// The vectors of parameter `index` (0 weights, 1 biases) for every moment of the rule; throws for lists that
/// are missing, too long or of unequal lengths. Returns false when the lists leave the parameter out.
bool momentsOf(const MPS::Kernel& kernel, const OptimizerUpdate& update,
               const std::array<const MPS::OptimizerVectors*, 3>& lists, std::size_t index,
               OptimizerOperands& operands);

/// Checks the sizes and appends one command a run.
void encodeUpdate(const MPS::Kernel& kernel, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                  const OptimizerUpdate& update, const std::vector<OptimizerOperands>& parameters);

/// The form over vectors or matrices; moments: momentum, or sum of squares, or momentum, velocity, maximum
/// velocity.
template <class Storage>
void encodeStorage(const MPS::Kernel& kernel, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                   const OptimizerUpdate& update, const std::shared_ptr<Storage>& gradient,
                   const std::shared_ptr<Storage>& values,
                   const std::array<std::shared_ptr<Storage>, 3>& moments,
                   const std::shared_ptr<Storage>& result) {
    OptimizerOperands operands;
    operands.gradient = runsOf(kernel, "inputGradient", gradient, true);
    operands.values = runsOf(kernel, "inputValues", values, true);
    operands.result = runsOf(kernel, "resultValues", result, true);
    for (std::size_t i = 0; i < moments.size(); ++i) {
        const bool optional = i == 2 || (i == 0 && update.optionalFirst);
        if (update.moments[i] && (moments[i] || !optional))
            operands.moments[i] = runsOf(kernel, update.moments[i], moments[i], false);
    }
    encodeUpdate(kernel, commandBuffer, update, {operands});
}

/// The form over convolution states.
void encodeConvolution(const MPS::Kernel& kernel, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                       const OptimizerUpdate& update,
                       const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
                       const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState,
                       const std::array<const MPS::OptimizerVectors*, 3>& moments,
                       const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& resultState);

/// The form over batch normalisation states; both may be the same.
void encodeNormalization(const MPS::Kernel& kernel, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                         const OptimizerUpdate& update,
                         const std::shared_ptr<MPS::CNNBatchNormalizationState>& gradientState,
                         const std::shared_ptr<MPS::CNNBatchNormalizationState>& sourceState,
                         const std::array<const MPS::OptimizerVectors*, 3>& moments,
                         const std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState>& resultState);

}  // namespace pewter::mps
