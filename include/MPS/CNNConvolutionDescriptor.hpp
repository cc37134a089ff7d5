#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <MPS/NNNeuronDescriptor.hpp>

namespace MPS {

class CNNNeuron;

/// MPSCNNConvolutionFlags: of the deprecated initialisers; None is the only value.
enum class CNNConvolutionFlags : std::uint64_t { None = 0 };

/// MPSCNNConvolutionDescriptor: geometry of a convolution, its activation, and a batch normalisation folded
/// into it. Kernels copy it when they are made; later changes do not reach them. Source: MPSCNNConvolution.h.
class PEWTER_API CNNConvolutionDescriptor : public SecureCoding {
public:
    /// Stride, dilation and groups 1, no activation. Throws MPS::Error for a size or channel count of 0.
    /// Objective-C:
    /// +cnnConvolutionDescriptorWithKernelWidth:kernelHeight:inputFeatureChannels:outputFeatureChannels:
    static std::shared_ptr<CNNConvolutionDescriptor> cnnConvolutionDescriptor(
        std::size_t kernelWidth, std::size_t kernelHeight, std::size_t inputFeatureChannels,
        std::size_t outputFeatureChannels);
    /// Deprecated: also sets neuron(), null for none. Objective-C:
    /// +cnnConvolutionDescriptorWithKernelWidth:kernelHeight:inputFeatureChannels:outputFeatureChannels:neuronFilter:
    static std::shared_ptr<CNNConvolutionDescriptor> cnnConvolutionDescriptor(
        std::size_t kernelWidth, std::size_t kernelHeight, std::size_t inputFeatureChannels,
        std::size_t outputFeatureChannels, std::shared_ptr<const CNNNeuron> neuronFilter);
    ~CNNConvolutionDescriptor() override;

    /// Taps, undilated; even sizes are allowed.
    std::size_t kernelWidth() const { return kernelWidth_; }
    void setKernelWidth(std::size_t taps) { kernelWidth_ = taps; }
    std::size_t kernelHeight() const { return kernelHeight_; }
    void setKernelHeight(std::size_t taps) { kernelHeight_ = taps; }
    std::size_t inputFeatureChannels() const { return inputFeatureChannels_; }
    void setInputFeatureChannels(std::size_t channels) { inputFeatureChannels_ = channels; }
    /// For a sub-pixel convolution: before the rearrangement.
    std::size_t outputFeatureChannels() const { return outputFeatureChannels_; }
    void setOutputFeatureChannels(std::size_t channels) { outputFeatureChannels_ = channels; }
    std::size_t strideInPixelsX() const { return strideX_; }
    void setStrideInPixelsX(std::size_t stride) { strideX_ = stride; }
    std::size_t strideInPixelsY() const { return strideY_; }
    void setStrideInPixelsY(std::size_t stride) { strideY_ = stride; }
    /// Divides both channel counts; above 1 both quotients are multiples of 4.
    std::size_t groups() const { return groups_; }
    void setGroups(std::size_t groups) { groups_ = groups; }
    /// d - 1 zeros between taps; the dilated window (k - 1) d + 1 is what is centred.
    std::size_t dilationRateX() const { return dilationX_; }
    void setDilationRateX(std::size_t rate) { dilationX_ = rate; }
    std::size_t dilationRateY() const { return dilationY_; }
    void setDilationRateY(std::size_t rate) { dilationY_ = rate; }

    /// Applied last, after sum, bias and folded normalisation. Default: none. PReLU holds
    /// outputFeatureChannels() slopes.
    const NNNeuronDescriptor& fusedNeuronDescriptor() const { return neuron_; }
    void setFusedNeuronDescriptor(NNNeuronDescriptor neuron) {
        neuron_ = std::move(neuron);
        filter_.reset();
    }
    /// Deprecated: a kernel whose descriptor becomes fusedNeuronDescriptor(); null when that was set
    /// otherwise.
    const std::shared_ptr<const CNNNeuron>& neuron() const { return filter_; }
    void setNeuron(std::shared_ptr<const CNNNeuron> filter);
    /// Deprecated spellings of fusedNeuronDescriptor(). Throw MPS::Error as NNNeuronDescriptor does.
    /// Objective-C: -setNeuronType:parameterA:parameterB:, -neuronType, -neuronParameterA, -neuronParameterB
    void setNeuronType(CNNNeuronType type, float parameterA, float parameterB);
    CNNNeuronType neuronType() const { return neuron_.neuronType(); }
    float neuronParameterA() const { return neuron_.a(); }
    float neuronParameterB() const { return neuron_.b(); }
    /// Deprecated: PReLU with a slope for each output channel; parameters a and b become 0. Throws MPS::Error
    /// for another number of slopes.   Objective-C: -setNeuronToPReLUWithParametersA:
    void setNeuronToPReLU(std::vector<float> parametersA);

    /// Folds y = gamma (x - mean) / sqrt(variance + epsilon) + beta into weights and biases when a kernel
    /// loads them. Each list has outputFeatureChannels() values or is empty: mean 0, variance 1, gamma 1,
    /// beta 0. For inference: a convolution that is trained must not fold. Throws MPS::Error for another
    /// length. Objective-C: -setBatchNormalizationParametersForInferenceWithMean:variance:gamma:beta:epsilon:
    void setBatchNormalizationParametersForInference(std::vector<float> mean, std::vector<float> variance,
                                                     std::vector<float> gamma, std::vector<float> beta,
                                                     float epsilon);
    /// What setBatchNormalizationParametersForInference() was given.
    struct BatchNormalization {
        std::vector<float> mean, variance, gamma, beta;
        float epsilon = 0;
    };
    /// Null when nothing is folded.
    const std::shared_ptr<const BatchNormalization>& batchNormalization() const { return fold_; }

    /// 0: an ordinary convolution. Otherwise outputs an input channel (depthwise).
    virtual std::size_t channelMultiplier() const { return 0; }
    /// Side of the pixel block that outputs are rearranged into; 1: none.
    virtual std::size_t subPixelScaleFactor() const { return 1; }
    /// Same class, same values.   Objective-C: -copyWithZone:
    virtual std::shared_ptr<CNNConvolutionDescriptor> copy() const;

    /// Input channels that one output channel sees: inputFeatureChannels() / groups(), or 1 for depthwise
    /// (extension).
    std::size_t inputChannelsPerGroup() const;
    /// Number of weights: outputs x kernelHeight x kernelWidth x inputChannelsPerGroup() (extension).
    std::size_t weightCount() const;

    const char* className() const override { return "CNNConvolutionDescriptor"; }
    void encodeWithCoder(Coder& coder) const override;

protected:
    CNNConvolutionDescriptor(const char* className, std::size_t kernelWidth, std::size_t kernelHeight,
                             std::size_t inputFeatureChannels, std::size_t outputFeatureChannels);
    CNNConvolutionDescriptor(const CNNConvolutionDescriptor&) = default;
    CNNConvolutionDescriptor& operator=(const CNNConvolutionDescriptor&) = default;

private:
    std::size_t kernelWidth_, kernelHeight_, inputFeatureChannels_, outputFeatureChannels_;
    std::size_t strideX_ = 1, strideY_ = 1, groups_ = 1, dilationX_ = 1, dilationY_ = 1;
    NNNeuronDescriptor neuron_;
    std::shared_ptr<const CNNNeuron> filter_;
    std::shared_ptr<const BatchNormalization> fold_;
};

/// MPSCNNDepthWiseConvolutionDescriptor: every input channel has filters of its own and meets no other
/// channel. Output k M + m is input k under filter [k][m]; weights [Ni][M][kH][kW]. groups() stays 1. Kernels
/// made from it compute any multiplier M = No / Ni forward, and gradients for M = 1.
class PEWTER_API CNNDepthWiseConvolutionDescriptor final : public CNNConvolutionDescriptor {
public:
    static std::shared_ptr<CNNDepthWiseConvolutionDescriptor> cnnConvolutionDescriptor(
        std::size_t kernelWidth, std::size_t kernelHeight, std::size_t inputFeatureChannels,
        std::size_t outputFeatureChannels);

    std::size_t channelMultiplier() const override {
        return outputFeatureChannels() / inputFeatureChannels();
    }
    std::shared_ptr<CNNConvolutionDescriptor> copy() const override;
    const char* className() const override { return "CNNDepthWiseConvolutionDescriptor"; }

private:
    using CNNConvolutionDescriptor::CNNConvolutionDescriptor;
};

/// MPSCNNSubPixelConvolutionDescriptor: the outputs of a pixel are rearranged into a block of r x r pixels
/// (depth to space). With Io the convolution's result of No channels and P = No / (r r),
///
///   destination[cy + Y][cx + X][c] = Io[floor(Y/r)][floor(X/r)][P (r (Y mod r) + X mod r) + c],  0 <= c < P
///
/// No must be a multiple of r r, and in a grouped convolution P a multiple of 4. A padding policy sizes the
/// result r times as large as the plain convolution's. For inference: gradient kernels refuse r > 1.
class PEWTER_API CNNSubPixelConvolutionDescriptor final : public CNNConvolutionDescriptor {
public:
    static std::shared_ptr<CNNSubPixelConvolutionDescriptor> cnnConvolutionDescriptor(
        std::size_t kernelWidth, std::size_t kernelHeight, std::size_t inputFeatureChannels,
        std::size_t outputFeatureChannels);

    /// r. Default: 1, no rearrangement.
    std::size_t subPixelScaleFactor() const override { return scale_; }
    void setSubPixelScaleFactor(std::size_t factor) { scale_ = factor; }
    std::shared_ptr<CNNConvolutionDescriptor> copy() const override;
    const char* className() const override { return "CNNSubPixelConvolutionDescriptor"; }

private:
    using CNNConvolutionDescriptor::CNNConvolutionDescriptor;
    std::size_t scale_ = 1;
};

}  // namespace MPS
