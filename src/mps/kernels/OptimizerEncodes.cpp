#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNConvolutionState.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MTL/CommandBuffer.hpp>

#include "mps/kernels/OptimizerUpdate.h"

// The ways to encode an update: every class has four, and shorter forms that lead to them.

namespace MPS {

using namespace pewter::mps;

namespace {

using Commands = std::shared_ptr<MTL::CommandBuffer>;
using VectorPtr = std::shared_ptr<Vector>;
using MatrixPtr = std::shared_ptr<Matrix>;
using GradientState = std::shared_ptr<CNNConvolutionGradientState>;
using WeightsState = std::shared_ptr<CNNConvolutionWeightsAndBiasesState>;
using NormalizationState = std::shared_ptr<CNNBatchNormalizationState>;
using GammaAndBetaState = std::shared_ptr<CNNNormalizationGammaAndBetaState>;

}  // namespace

// --- stochastic gradient descent ---

void NNOptimizerStochasticGradientDescent::encode(const Commands& commandBuffer, const VectorPtr& gradient,
                                                  const VectorPtr& values, const VectorPtr& inputMomentum,
                                                  const VectorPtr& result) {
    encodeStorage<Vector>(*this, commandBuffer, update(), gradient, values, {inputMomentum, nullptr, nullptr},
                          result);
}

void NNOptimizerStochasticGradientDescent::encode(const Commands& commandBuffer, const MatrixPtr& gradient,
                                                  const MatrixPtr& values, const MatrixPtr& inputMomentum,
                                                  const MatrixPtr& result) {
    encodeStorage<Matrix>(*this, commandBuffer, update(), gradient, values, {inputMomentum, nullptr, nullptr},
                          result);
}

void NNOptimizerStochasticGradientDescent::encode(const Commands& commandBuffer,
                                                  const GradientState& gradient, const WeightsState& source,
                                                  const OptimizerVectors& inputMomentumVectors,
                                                  const WeightsState& result) {
    encodeConvolution(*this, commandBuffer, update(), gradient, source,
                      {&inputMomentumVectors, nullptr, nullptr}, result);
}

void NNOptimizerStochasticGradientDescent::encode(const Commands& commandBuffer,
                                                  const NormalizationState& gradient,
                                                  const NormalizationState& source,
                                                  const OptimizerVectors& inputMomentumVectors,
                                                  const GammaAndBetaState& result) {
    encodeNormalization(*this, commandBuffer, update(), gradient, source,
                        {&inputMomentumVectors, nullptr, nullptr}, result);
}

void NNOptimizerStochasticGradientDescent::encode(const Commands& commandBuffer,
                                                  const NormalizationState& state,
                                                  const OptimizerVectors& inputMomentumVectors,
                                                  const GammaAndBetaState& result) {
    encode(commandBuffer, state, state, inputMomentumVectors, result);
}

// --- RMSProp ---

void NNOptimizerRMSProp::encode(const Commands& commandBuffer, const VectorPtr& gradient,
                                const VectorPtr& values, const VectorPtr& inputSumOfSquares,
                                const VectorPtr& result) {
    encodeStorage<Vector>(*this, commandBuffer, update(), gradient, values,
                          {inputSumOfSquares, nullptr, nullptr}, result);
}

void NNOptimizerRMSProp::encode(const Commands& commandBuffer, const MatrixPtr& gradient,
                                const MatrixPtr& values, const MatrixPtr& inputSumOfSquares,
                                const MatrixPtr& result) {
    encodeStorage<Matrix>(*this, commandBuffer, update(), gradient, values,
                          {inputSumOfSquares, nullptr, nullptr}, result);
}

void NNOptimizerRMSProp::encode(const Commands& commandBuffer, const GradientState& gradient,
                                const WeightsState& source, const OptimizerVectors& inputSumOfSquaresVectors,
                                const WeightsState& result) {
    encodeConvolution(*this, commandBuffer, update(), gradient, source,
                      {&inputSumOfSquaresVectors, nullptr, nullptr}, result);
}

void NNOptimizerRMSProp::encode(const Commands& commandBuffer, const NormalizationState& gradient,
                                const NormalizationState& source,
                                const OptimizerVectors& inputSumOfSquaresVectors,
                                const GammaAndBetaState& result) {
    encodeNormalization(*this, commandBuffer, update(), gradient, source,
                        {&inputSumOfSquaresVectors, nullptr, nullptr}, result);
}

void NNOptimizerRMSProp::encode(const Commands& commandBuffer, const NormalizationState& state,
                                const OptimizerVectors& inputSumOfSquaresVectors,
                                const GammaAndBetaState& result) {
    encode(commandBuffer, state, state, inputSumOfSquaresVectors, result);
}

// --- Adam ---

void NNOptimizerAdam::encode(const Commands& commandBuffer, const VectorPtr& gradient,
                             const VectorPtr& values, const VectorPtr& inputMomentum,
                             const VectorPtr& inputVelocity, const VectorPtr& maximumVelocity,
                             const VectorPtr& result) {
    encodeStorage<Vector>(*this, commandBuffer, update(), gradient, values,
                          {inputMomentum, inputVelocity, maximumVelocity}, result);
    ++timeStep_;
}

void NNOptimizerAdam::encode(const Commands& commandBuffer, const MatrixPtr& gradient,
                             const MatrixPtr& values, const MatrixPtr& inputMomentum,
                             const MatrixPtr& inputVelocity, const MatrixPtr& maximumVelocity,
                             const MatrixPtr& result) {
    encodeStorage<Matrix>(*this, commandBuffer, update(), gradient, values,
                          {inputMomentum, inputVelocity, maximumVelocity}, result);
    ++timeStep_;
}

void NNOptimizerAdam::encode(const Commands& commandBuffer, const GradientState& gradient,
                             const WeightsState& source, const OptimizerVectors& inputMomentumVectors,
                             const OptimizerVectors& inputVelocityVectors,
                             const OptimizerVectors& maximumVelocityVectors, const WeightsState& result) {
    encodeConvolution(*this, commandBuffer, update(), gradient, source,
                      {&inputMomentumVectors, &inputVelocityVectors, &maximumVelocityVectors}, result);
    ++timeStep_;
}

void NNOptimizerAdam::encode(const Commands& commandBuffer, const NormalizationState& gradient,
                             const NormalizationState& source, const OptimizerVectors& inputMomentumVectors,
                             const OptimizerVectors& inputVelocityVectors,
                             const OptimizerVectors& maximumVelocityVectors,
                             const GammaAndBetaState& result) {
    encodeNormalization(*this, commandBuffer, update(), gradient, source,
                        {&inputMomentumVectors, &inputVelocityVectors, &maximumVelocityVectors}, result);
    ++timeStep_;
}

void NNOptimizerAdam::encode(const Commands& commandBuffer, const NormalizationState& state,
                             const OptimizerVectors& inputMomentumVectors,
                             const OptimizerVectors& inputVelocityVectors,
                             const OptimizerVectors& maximumVelocityVectors,
                             const GammaAndBetaState& result) {
    encode(commandBuffer, state, state, inputMomentumVectors, inputVelocityVectors, maximumVelocityVectors,
           result);
}

void NNOptimizerAdam::encode(const Commands& commandBuffer, const VectorPtr& gradient,
                             const VectorPtr& values, const VectorPtr& inputMomentum,
                             const VectorPtr& inputVelocity, const VectorPtr& result) {
    encode(commandBuffer, gradient, values, inputMomentum, inputVelocity, VectorPtr(), result);
}

void NNOptimizerAdam::encode(const Commands& commandBuffer, const MatrixPtr& gradient,
                             const MatrixPtr& values, const MatrixPtr& inputMomentum,
                             const MatrixPtr& inputVelocity, const MatrixPtr& result) {
    encode(commandBuffer, gradient, values, inputMomentum, inputVelocity, MatrixPtr(), result);
}

void NNOptimizerAdam::encode(const Commands& commandBuffer, const GradientState& gradient,
                             const WeightsState& source, const OptimizerVectors& inputMomentumVectors,
                             const OptimizerVectors& inputVelocityVectors, const WeightsState& result) {
    encode(commandBuffer, gradient, source, inputMomentumVectors, inputVelocityVectors, OptimizerVectors(),
           result);
}

void NNOptimizerAdam::encode(const Commands& commandBuffer, const NormalizationState& gradient,
                             const NormalizationState& source, const OptimizerVectors& inputMomentumVectors,
                             const OptimizerVectors& inputVelocityVectors, const GammaAndBetaState& result) {
    encode(commandBuffer, gradient, source, inputMomentumVectors, inputVelocityVectors, OptimizerVectors(),
           result);
}

void NNOptimizerAdam::encode(const Commands& commandBuffer, const NormalizationState& state,
                             const OptimizerVectors& inputMomentumVectors,
                             const OptimizerVectors& inputVelocityVectors, const GammaAndBetaState& result) {
    encode(commandBuffer, state, state, inputMomentumVectors, inputVelocityVectors, OptimizerVectors(),
           result);
}

}  // namespace MPS
