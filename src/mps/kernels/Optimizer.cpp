#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNConvolutionState.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <cmath>

#include "mps/kernels/OptimizerUpdate.h"

namespace MPS {

namespace ops = pewter::ops;
using namespace pewter::mps;

static_assert(static_cast<int>(NNRegularizationType::L1) == static_cast<int>(ops::RegularizationType::L1));
static_assert(static_cast<int>(NNRegularizationType::L2) == static_cast<int>(ops::RegularizationType::L2));

namespace {

NNOptimizerDescriptor withRate(float learningRate) {
    NNOptimizerDescriptor descriptor;
    descriptor.learningRate = learningRate;
    return descriptor;
}

using Lists = std::array<const OptimizerVectors*, 3>;

}  // namespace

NNOptimizerDescriptor NNOptimizerDescriptor::optimizerDescriptor(float learningRate, float gradientRescale,
                                                                 NNRegularizationType regularizationType,
                                                                 float regularizationScale) {
    NNOptimizerDescriptor descriptor = withRate(learningRate);
    descriptor.gradientRescale = gradientRescale;
    descriptor.regularizationType = regularizationType;
    descriptor.regularizationScale = regularizationScale;
    return descriptor;
}

NNOptimizerDescriptor NNOptimizerDescriptor::optimizerDescriptor(float learningRate, float gradientRescale,
                                                                 bool applyGradientClipping,
                                                                 float gradientClipMax, float gradientClipMin,
                                                                 NNRegularizationType regularizationType,
                                                                 float regularizationScale) {
    auto descriptor =
        optimizerDescriptor(learningRate, gradientRescale, regularizationType, regularizationScale);
    descriptor.applyGradientClipping = applyGradientClipping;
    descriptor.gradientClipMax = gradientClipMax;
    descriptor.gradientClipMin = gradientClipMin;
    return descriptor;
}

NNOptimizer::NNOptimizer(std::shared_ptr<MTL::Device> device, const NNOptimizerDescriptor& descriptor)
    : Kernel(std::move(device)), common_(descriptor) {
    if (common_.regularizationType > NNRegularizationType::L2)
        throw Error("NNOptimizer", "regularizationType", "None, L1 or L2",
                    std::to_string(static_cast<std::uint32_t>(common_.regularizationType)));
}

OptimizerUpdate NNOptimizer::common() const {
    OptimizerUpdate update;
    auto& step = update.step;
    step.regularization = static_cast<ops::RegularizationType>(common_.regularizationType);
    step.regularizationScale = common_.regularizationScale;
    step.clip = common_.applyGradientClipping;
    step.clipMin = common_.gradientClipMin;
    step.clipMax = common_.gradientClipMax;
    step.rescale = common_.gradientRescale;
    step.rate = common_.learningRate;
    return update;
}

// --- stochastic gradient descent ---

NNOptimizerStochasticGradientDescent::NNOptimizerStochasticGradientDescent(
    std::shared_ptr<MTL::Device> device, float learningRate)
    : NNOptimizer(std::move(device), withRate(learningRate)) {}

NNOptimizerStochasticGradientDescent::NNOptimizerStochasticGradientDescent(
    std::shared_ptr<MTL::Device> device, float momentumScale, bool useNesterovMomentum,
    const NNOptimizerDescriptor& descriptor)
    : NNOptimizer(std::move(device), descriptor),
      momentumScale_(momentumScale),
      nesterov_(useNesterovMomentum) {}

OptimizerUpdate NNOptimizerStochasticGradientDescent::update() const {
    auto update = common();
    update.step.type = ops::OptimizerType::StochasticGradientDescent;
    update.step.momentum = momentumScale_;
    update.step.nesterov = nesterov_;
    update.moments = {"inputMomentum", nullptr, nullptr};
    update.optionalFirst = true;
    return update;
}

// --- RMSProp ---

NNOptimizerRMSProp::NNOptimizerRMSProp(std::shared_ptr<MTL::Device> device, float learningRate)
    : NNOptimizer(std::move(device), withRate(learningRate)) {}

NNOptimizerRMSProp::NNOptimizerRMSProp(std::shared_ptr<MTL::Device> device, double decay, float epsilon,
                                       const NNOptimizerDescriptor& descriptor)
    : NNOptimizer(std::move(device), descriptor), decay_(decay), epsilon_(epsilon) {}

OptimizerUpdate NNOptimizerRMSProp::update() const {
    auto update = common();
    update.step.type = ops::OptimizerType::RMSProp;
    update.step.decay = decay_;
    update.step.epsilon = epsilon_;
    update.moments = {"inputSumOfSquares", nullptr, nullptr};
    return update;
}

// --- Adam ---

NNOptimizerAdam::NNOptimizerAdam(std::shared_ptr<MTL::Device> device, float learningRate)
    : NNOptimizer(std::move(device), withRate(learningRate)) {}

NNOptimizerAdam::NNOptimizerAdam(std::shared_ptr<MTL::Device> device, double beta1, double beta2,
                                 float epsilon, std::size_t timeStep, const NNOptimizerDescriptor& descriptor)
    : NNOptimizer(std::move(device), descriptor),
      beta1_(beta1),
      beta2_(beta2),
      epsilon_(epsilon),
      timeStep_(timeStep) {}

OptimizerUpdate NNOptimizerAdam::update() const {
    auto update = common();
    const auto t = static_cast<double>(timeStep_ + 1);
    update.step.type = ops::OptimizerType::Adam;
    update.step.beta1 = beta1_;
    update.step.beta2 = beta2_;
    update.step.epsilon = epsilon_;
    update.step.rate =
        static_cast<double>(learningRate()) * std::sqrt(1 - std::pow(beta2_, t)) / (1 - std::pow(beta1_, t));
    update.moments = {"inputMomentum", "inputVelocity", "maximumVelocity"};
    return update;
}

// --- encodes ---

void NNOptimizerStochasticGradientDescent::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                  const std::shared_ptr<Vector>& inputGradient,
                                                  const std::shared_ptr<Vector>& inputValues,
                                                  const std::shared_ptr<Vector>& inputMomentum,
                                                  const std::shared_ptr<Vector>& resultValues) {
    encodeStorage<Vector>(*this, commandBuffer, update(), inputGradient, inputValues,
                          {inputMomentum, nullptr, nullptr}, resultValues);
}

void NNOptimizerStochasticGradientDescent::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                  const std::shared_ptr<Matrix>& inputGradient,
                                                  const std::shared_ptr<Matrix>& inputValues,
                                                  const std::shared_ptr<Matrix>& inputMomentum,
                                                  const std::shared_ptr<Matrix>& resultValues) {
    encodeStorage<Matrix>(*this, commandBuffer, update(), inputGradient, inputValues,
                          {inputMomentum, nullptr, nullptr}, resultValues);
}

void NNOptimizerStochasticGradientDescent::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& convolutionSourceState,
    const OptimizerVectors& inputMomentumVectors,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& resultState) {
    encodeConvolution(*this, commandBuffer, update(), convolutionGradientState, convolutionSourceState,
                      Lists{&inputMomentumVectors, nullptr, nullptr}, resultState);
}

void NNOptimizerStochasticGradientDescent::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState,
    const OptimizerVectors& inputMomentumVectors,
    const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState) {
    encodeNormalization(*this, commandBuffer, update(), batchNormalizationState, batchNormalizationState,
                        Lists{&inputMomentumVectors, nullptr, nullptr}, resultState);
}

void NNOptimizerStochasticGradientDescent::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationGradientState,
    const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationSourceState,
    const OptimizerVectors& inputMomentumVectors,
    const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState) {
    encodeNormalization(*this, commandBuffer, update(), batchNormalizationGradientState,
                        batchNormalizationSourceState, Lists{&inputMomentumVectors, nullptr, nullptr},
                        resultState);
}

void NNOptimizerRMSProp::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const std::shared_ptr<Vector>& inputGradient,
                                const std::shared_ptr<Vector>& inputValues,
                                const std::shared_ptr<Vector>& inputSumOfSquares,
                                const std::shared_ptr<Vector>& resultValues) {
    encodeStorage<Vector>(*this, commandBuffer, update(), inputGradient, inputValues,
                          {inputSumOfSquares, nullptr, nullptr}, resultValues);
}

void NNOptimizerRMSProp::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const std::shared_ptr<Matrix>& inputGradient,
                                const std::shared_ptr<Matrix>& inputValues,
                                const std::shared_ptr<Matrix>& inputSumOfSquares,
                                const std::shared_ptr<Matrix>& resultValues) {
    encodeStorage<Matrix>(*this, commandBuffer, update(), inputGradient, inputValues,
                          {inputSumOfSquares, nullptr, nullptr}, resultValues);
}

void NNOptimizerRMSProp::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& convolutionSourceState,
    const OptimizerVectors& inputSumOfSquaresVectors,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& resultState) {
    encodeConvolution(*this, commandBuffer, update(), convolutionGradientState, convolutionSourceState,
                      Lists{&inputSumOfSquaresVectors, nullptr, nullptr}, resultState);
}

void NNOptimizerRMSProp::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState,
                                const OptimizerVectors& inputSumOfSquaresVectors,
                                const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState) {
    encodeNormalization(*this, commandBuffer, update(), batchNormalizationState, batchNormalizationState,
                        Lists{&inputSumOfSquaresVectors, nullptr, nullptr}, resultState);
}

void NNOptimizerRMSProp::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationGradientState,
    const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationSourceState,
    const OptimizerVectors& inputSumOfSquaresVectors,
    const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState) {
    encodeNormalization(*this, commandBuffer, update(), batchNormalizationGradientState,
                        batchNormalizationSourceState, Lists{&inputSumOfSquaresVectors, nullptr, nullptr},
                        resultState);
}

void NNOptimizerAdam::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                             const std::shared_ptr<Vector>& inputGradient,
                             const std::shared_ptr<Vector>& inputValues,
                             const std::shared_ptr<Vector>& inputMomentum,
                             const std::shared_ptr<Vector>& inputVelocity,
                             const std::shared_ptr<Vector>& resultValues) {
    encodeStorage<Vector>(*this, commandBuffer, update(), inputGradient, inputValues,
                          {inputMomentum, inputVelocity, nullptr}, resultValues);
    ++timeStep_;
}

void NNOptimizerAdam::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                             const std::shared_ptr<Vector>& inputGradient,
                             const std::shared_ptr<Vector>& inputValues,
                             const std::shared_ptr<Vector>& inputMomentum,
                             const std::shared_ptr<Vector>& inputVelocity,
                             const std::shared_ptr<Vector>& maximumVelocity,
                             const std::shared_ptr<Vector>& resultValues) {
    encodeStorage<Vector>(*this, commandBuffer, update(), inputGradient, inputValues,
                          {inputMomentum, inputVelocity, maximumVelocity}, resultValues);
    ++timeStep_;
}

void NNOptimizerAdam::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                             const std::shared_ptr<Matrix>& inputGradient,
                             const std::shared_ptr<Matrix>& inputValues,
                             const std::shared_ptr<Matrix>& inputMomentum,
                             const std::shared_ptr<Matrix>& inputVelocity,
                             const std::shared_ptr<Matrix>& resultValues) {
    encodeStorage<Matrix>(*this, commandBuffer, update(), inputGradient, inputValues,
                          {inputMomentum, inputVelocity, nullptr}, resultValues);
    ++timeStep_;
}

void NNOptimizerAdam::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                             const std::shared_ptr<Matrix>& inputGradient,
                             const std::shared_ptr<Matrix>& inputValues,
                             const std::shared_ptr<Matrix>& inputMomentum,
                             const std::shared_ptr<Matrix>& inputVelocity,
                             const std::shared_ptr<Matrix>& maximumVelocity,
                             const std::shared_ptr<Matrix>& resultValues) {
    encodeStorage<Matrix>(*this, commandBuffer, update(), inputGradient, inputValues,
                          {inputMomentum, inputVelocity, maximumVelocity}, resultValues);
    ++timeStep_;
}

void NNOptimizerAdam::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& convolutionSourceState,
    const OptimizerVectors& inputMomentumVectors, const OptimizerVectors& inputVelocityVectors,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& resultState) {
    encodeConvolution(*this, commandBuffer, update(), convolutionGradientState, convolutionSourceState,
                      Lists{&inputMomentumVectors, &inputVelocityVectors, nullptr}, resultState);
    ++timeStep_;
}

void NNOptimizerAdam::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& convolutionSourceState,
    const OptimizerVectors& inputMomentumVectors, const OptimizerVectors& inputVelocityVectors,
    const OptimizerVectors& maximumVelocityVectors,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& resultState) {
    encodeConvolution(*this, commandBuffer, update(), convolutionGradientState, convolutionSourceState,
                      Lists{&inputMomentumVectors, &inputVelocityVectors, &maximumVelocityVectors},
                      resultState);
    ++timeStep_;
}

void NNOptimizerAdam::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                             const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState,
                             const OptimizerVectors& inputMomentumVectors,
                             const OptimizerVectors& inputVelocityVectors,
                             const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState) {
    encodeNormalization(*this, commandBuffer, update(), batchNormalizationState, batchNormalizationState,
                        Lists{&inputMomentumVectors, &inputVelocityVectors, nullptr}, resultState);
    ++timeStep_;
}

void NNOptimizerAdam::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                             const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState,
                             const OptimizerVectors& inputMomentumVectors,
                             const OptimizerVectors& inputVelocityVectors,
                             const OptimizerVectors& maximumVelocityVectors,
                             const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState) {
    encodeNormalization(*this, commandBuffer, update(), batchNormalizationState, batchNormalizationState,
                        Lists{&inputMomentumVectors, &inputVelocityVectors, &maximumVelocityVectors},
                        resultState);
    ++timeStep_;
}

void NNOptimizerAdam::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationGradientState,
    const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationSourceState,
    const OptimizerVectors& inputMomentumVectors, const OptimizerVectors& inputVelocityVectors,
    const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState) {
    encodeNormalization(*this, commandBuffer, update(), batchNormalizationGradientState,
                        batchNormalizationSourceState,
                        Lists{&inputMomentumVectors, &inputVelocityVectors, nullptr}, resultState);
    ++timeStep_;
}

void NNOptimizerAdam::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationGradientState,
    const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationSourceState,
    const OptimizerVectors& inputMomentumVectors, const OptimizerVectors& inputVelocityVectors,
    const OptimizerVectors& maximumVelocityVectors,
    const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState) {
    encodeNormalization(
        *this, commandBuffer, update(), batchNormalizationGradientState, batchNormalizationSourceState,
        Lists{&inputMomentumVectors, &inputVelocityVectors, &maximumVelocityVectors}, resultState);
    ++timeStep_;
}

}  // namespace MPS
