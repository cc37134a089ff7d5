#pragma once

#include <limits>
#include <memory>
#include <vector>

#include <MPS/Kernel.hpp>

namespace pewter::mps {
struct OptimizerUpdate;
}

namespace MPS {

class CNNBatchNormalizationState;
class CNNConvolutionGradientState;
class CNNConvolutionWeightsAndBiasesState;
class CNNNormalizationGammaAndBetaState;
class Matrix;
class State;
class Vector;

/// MPSNNRegularizationType: L1 adds scale * sign(v) to the gradient of a parameter v, L2 adds scale * v.
enum class NNRegularizationType : std::uint32_t { None = 0, L1 = 1, L2 = 2 };

/// MPSNNOptimizerDescriptor: what all optimizers have in common. A gradient is clipped first, then rescaled,
/// then regularised. Source: MPSNNOptimizers.h.
struct PEWTER_API NNOptimizerDescriptor {
    float learningRate = 0.001f;
    float gradientRescale = 1;
    bool applyGradientClipping = false;
    float gradientClipMax = std::numeric_limits<float>::max();
    float gradientClipMin = std::numeric_limits<float>::lowest();
    float regularizationScale = 0;
    NNRegularizationType regularizationType = NNRegularizationType::None;

    /// Objective-C: -initWithLearningRate:gradientRescale:regularizationType:regularizationScale:,
    /// +optimizerDescriptorWithLearningRate:gradientRescale:regularizationType:regularizationScale:
    static NNOptimizerDescriptor optimizerDescriptor(float learningRate, float gradientRescale,
                                                     NNRegularizationType regularizationType,
                                                     float regularizationScale);
    /// Objective-C: +optimizerDescriptorWithLearningRate:gradientRescale:applyGradientClipping:gradientClipMax:
    /// gradientClipMin:regularizationType:regularizationScale:, -initWithLearningRate:gradientRescale:
    /// applyGradientClipping:gradientClipMax:gradientClipMin:regularizationType:regularizationScale:
    static NNOptimizerDescriptor optimizerDescriptor(float learningRate, float gradientRescale,
                                                     bool applyGradientClipping, float gradientClipMax,
                                                     float gradientClipMin,
                                                     NNRegularizationType regularizationType,
                                                     float regularizationScale);
};

/// Vectors that belong to the parameters of a state: entry 0 to weights or gamma, entry 1 to biases or beta.
/// A list of one leaves biases or beta as the result state has them. Empty stands for nil.
using OptimizerVectors = std::vector<std::shared_ptr<Vector>>;

/// MPSNNOptimizer: updates trainable parameters from their gradients. Abstract.
///
/// Element by element over vectors, matrices (rows x columns) or the parameters of a layer's states. Sizes
/// agree, values and gradients are Float32 or Float16, the optimizer's own vectors Float32 (read and
/// overwritten). The result may be the values object itself. Properties are read when a command is encoded.
/// Negative rates and scales are allowed. Every encode throws MPS::Error for null, unequal sizes and foreign
/// devices, and lowers the count of each temporary state it reads by one. Source: MPSNNOptimizers.h.
class PEWTER_API NNOptimizer : public Kernel {
public:
    float learningRate() const { return common_.learningRate; }
    /// For encodes from now on.   Objective-C: -setLearningRate:
    void setLearningRate(float rate) { common_.learningRate = rate; }
    float gradientRescale() const { return common_.gradientRescale; }
    bool applyGradientClipping() const { return common_.applyGradientClipping; }
    void setApplyGradientClipping(bool apply) { common_.applyGradientClipping = apply; }
    float gradientClipMax() const { return common_.gradientClipMax; }
    float gradientClipMin() const { return common_.gradientClipMin; }
    float regularizationScale() const { return common_.regularizationScale; }
    NNRegularizationType regularizationType() const { return common_.regularizationType; }

protected:
    NNOptimizer(std::shared_ptr<MTL::Device> device, const NNOptimizerDescriptor& descriptor);
    /// The common part of an update.
    pewter::mps::OptimizerUpdate common() const;

private:
    NNOptimizerDescriptor common_;
};

/// MPSNNOptimizerStochasticGradientDescent. With g the prepared gradient, rate h and momentum scale u:
///   without momentum  v = v - h g
///   momentum          m = u m + h g,  v = v - m
///   Nesterov          m = u m + g,    v = v - h (g + u m)
class PEWTER_API NNOptimizerStochasticGradientDescent : public NNOptimizer {
public:
    /// Objective-C: -initWithDevice:learningRate:
    NNOptimizerStochasticGradientDescent(std::shared_ptr<MTL::Device> device, float learningRate);
    /// Objective-C: -initWithDevice:momentumScale:useNesterovMomentum:optimizerDescriptor:,
    /// -initWithDevice:momentumScale:useNestrovMomentum:optimizerDescriptor: (the older spelling)
    NNOptimizerStochasticGradientDescent(std::shared_ptr<MTL::Device> device, float momentumScale,
                                         bool useNesterovMomentum, const NNOptimizerDescriptor& descriptor);

    float momentumScale() const { return momentumScale_; }
    bool useNesterovMomentum() const { return nesterov_; }
    /// The older spelling.
    bool useNestrovMomentum() const { return nesterov_; }

    /// A null momentum means plain descent, whatever the scale.
    /// Objective-C:
    /// -encodeToCommandBuffer:inputGradientVector:inputValuesVector:inputMomentumVector:resultValuesVector:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Vector>& inputGradient, const std::shared_ptr<Vector>& inputValues,
                const std::shared_ptr<Vector>& inputMomentum, const std::shared_ptr<Vector>& resultValues);
    /// Objective-C: …inputGradientMatrix:inputValuesMatrix:inputMomentumMatrix:resultValuesMatrix:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Matrix>& inputGradient, const std::shared_ptr<Matrix>& inputValues,
                const std::shared_ptr<Matrix>& inputMomentum, const std::shared_ptr<Matrix>& resultValues);
    /// Objective-C: …convolutionGradientState:convolutionSourceState:inputMomentumVectors:resultState:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState,
                const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& convolutionSourceState,
                const OptimizerVectors& inputMomentumVectors,
                const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& resultState);
    /// Objective-C: …batchNormalizationState:inputMomentumVectors:resultState:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState,
                const OptimizerVectors& inputMomentumVectors,
                const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState);
    /// Objective-C:
    /// …batchNormalizationGradientState:batchNormalizationSourceState:inputMomentumVectors:resultState:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationGradientState,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationSourceState,
                const OptimizerVectors& inputMomentumVectors,
                const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState);

    const char* className() const override { return "NNOptimizerStochasticGradientDescent"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

private:
    pewter::mps::OptimizerUpdate update() const;
    float momentumScale_ = 0;
    bool nesterov_ = false;
};

/// MPSNNOptimizerRMSProp: s = decay s + (1 - decay) g^2, v = v - rate g / (sqrt(s) + epsilon).
class PEWTER_API NNOptimizerRMSProp : public NNOptimizer {
public:
    /// Decay 0.9, epsilon 1e-8.   Objective-C: -initWithDevice:learningRate:
    NNOptimizerRMSProp(std::shared_ptr<MTL::Device> device, float learningRate);
    /// Objective-C: -initWithDevice:decay:epsilon:optimizerDescriptor:
    NNOptimizerRMSProp(std::shared_ptr<MTL::Device> device, double decay, float epsilon,
                       const NNOptimizerDescriptor& descriptor);

    double decay() const { return decay_; }
    float epsilon() const { return epsilon_; }

    /// Objective-C: …inputGradientVector:inputValuesVector:inputSumOfSquaresVector:resultValuesVector:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Vector>& inputGradient, const std::shared_ptr<Vector>& inputValues,
                const std::shared_ptr<Vector>& inputSumOfSquares,
                const std::shared_ptr<Vector>& resultValues);
    /// Objective-C: …inputGradientMatrix:inputValuesMatrix:inputSumOfSquaresMatrix:resultValuesMatrix:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Matrix>& inputGradient, const std::shared_ptr<Matrix>& inputValues,
                const std::shared_ptr<Matrix>& inputSumOfSquares,
                const std::shared_ptr<Matrix>& resultValues);
    /// Objective-C: …convolutionGradientState:convolutionSourceState:inputSumOfSquaresVectors:resultState:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState,
                const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& convolutionSourceState,
                const OptimizerVectors& inputSumOfSquaresVectors,
                const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& resultState);
    /// Objective-C: …batchNormalizationState:inputSumOfSquaresVectors:resultState:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState,
                const OptimizerVectors& inputSumOfSquaresVectors,
                const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState);
    /// Objective-C:
    /// …batchNormalizationGradientState:batchNormalizationSourceState:inputSumOfSquaresVectors:resultState:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationGradientState,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationSourceState,
                const OptimizerVectors& inputSumOfSquaresVectors,
                const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState);

    const char* className() const override { return "NNOptimizerRMSProp"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

private:
    pewter::mps::OptimizerUpdate update() const;
    double decay_ = 0.9;
    float epsilon_ = 1e-8f;
};

/// MPSNNOptimizerAdam, and AMSGrad when maximum velocities are given. Each encode counts one step t, also
/// when it updates weights and biases:
///   m = b1 m + (1 - b1) g,  s = b2 s + (1 - b2) g^2,  M = max(M, s)
///   v = v - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(s or M) + epsilon)
class PEWTER_API NNOptimizerAdam : public NNOptimizer {
public:
    /// Beta 0.9 and 0.999, epsilon 1e-8, time step 0.   Objective-C: -initWithDevice:learningRate:
    NNOptimizerAdam(std::shared_ptr<MTL::Device> device, float learningRate);
    /// Objective-C: -initWithDevice:beta1:beta2:epsilon:timeStep:optimizerDescriptor:
    NNOptimizerAdam(std::shared_ptr<MTL::Device> device, double beta1, double beta2, float epsilon,
                    std::size_t timeStep, const NNOptimizerDescriptor& descriptor);

    double beta1() const { return beta1_; }
    double beta2() const { return beta2_; }
    float epsilon() const { return epsilon_; }
    /// Updates encoded so far; the next one is this plus 1.
    std::size_t timeStep() const { return timeStep_; }
    void setTimeStep(std::size_t step) { timeStep_ = step; }

    /// Objective-C: …inputGradientVector:inputValuesVector:inputMomentumVector:inputVelocityVector:
    /// [maximumVelocityVector:]resultValuesVector:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Vector>& inputGradient, const std::shared_ptr<Vector>& inputValues,
                const std::shared_ptr<Vector>& inputMomentum, const std::shared_ptr<Vector>& inputVelocity,
                const std::shared_ptr<Vector>& resultValues);
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Vector>& inputGradient, const std::shared_ptr<Vector>& inputValues,
                const std::shared_ptr<Vector>& inputMomentum, const std::shared_ptr<Vector>& inputVelocity,
                const std::shared_ptr<Vector>& maximumVelocity, const std::shared_ptr<Vector>& resultValues);
    /// Objective-C: …inputGradientMatrix:inputValuesMatrix:inputMomentumMatrix:inputVelocityMatrix:
    /// [maximumVelocityMatrix:]resultValuesMatrix:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Matrix>& inputGradient, const std::shared_ptr<Matrix>& inputValues,
                const std::shared_ptr<Matrix>& inputMomentum, const std::shared_ptr<Matrix>& inputVelocity,
                const std::shared_ptr<Matrix>& resultValues);
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Matrix>& inputGradient, const std::shared_ptr<Matrix>& inputValues,
                const std::shared_ptr<Matrix>& inputMomentum, const std::shared_ptr<Matrix>& inputVelocity,
                const std::shared_ptr<Matrix>& maximumVelocity, const std::shared_ptr<Matrix>& resultValues);
    /// Objective-C:
    /// …convolutionGradientState:convolutionSourceState:inputMomentumVectors:inputVelocityVectors:
    /// [maximumVelocityVectors:]resultState:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState,
                const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& convolutionSourceState,
                const OptimizerVectors& inputMomentumVectors, const OptimizerVectors& inputVelocityVectors,
                const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& resultState);
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState,
                const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& convolutionSourceState,
                const OptimizerVectors& inputMomentumVectors, const OptimizerVectors& inputVelocityVectors,
                const OptimizerVectors& maximumVelocityVectors,
                const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& resultState);
    /// Objective-C:
    /// …batchNormalizationState:inputMomentumVectors:inputVelocityVectors:[maximumVelocityVectors:]resultState:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState,
                const OptimizerVectors& inputMomentumVectors, const OptimizerVectors& inputVelocityVectors,
                const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState);
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState,
                const OptimizerVectors& inputMomentumVectors, const OptimizerVectors& inputVelocityVectors,
                const OptimizerVectors& maximumVelocityVectors,
                const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState);
    /// Objective-C: …batchNormalizationGradientState:batchNormalizationSourceState:inputMomentumVectors:
    /// inputVelocityVectors:[maximumVelocityVectors:]resultState:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationGradientState,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationSourceState,
                const OptimizerVectors& inputMomentumVectors, const OptimizerVectors& inputVelocityVectors,
                const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState);
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationGradientState,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationSourceState,
                const OptimizerVectors& inputMomentumVectors, const OptimizerVectors& inputVelocityVectors,
                const OptimizerVectors& maximumVelocityVectors,
                const std::shared_ptr<CNNNormalizationGammaAndBetaState>& resultState);

    const char* className() const override { return "NNOptimizerAdam"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

private:
    /// The update of the step that comes next.
    pewter::mps::OptimizerUpdate update() const;
    double beta1_ = 0.9, beta2_ = 0.999;
    float epsilon_ = 1e-8f;
    std::size_t timeStep_ = 0;
};

}  // namespace MPS
