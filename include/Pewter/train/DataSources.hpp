#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNConvolutionDataSource.hpp>
#include <MPS/CNNConvolutionState.hpp>
#include <MPS/CNNGroupNormalization.hpp>
#include <MPS/CNNInstanceNormalization.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MPS/SecureCoding.hpp>

namespace pewter::train {

/// Values that weights start with.
struct PEWTER_API Initializer {
    enum class Kind { Constant, Uniform, Xavier, HeNormal };
    Kind kind = Kind::Xavier;
    /// Constant: the value. Uniform: the bound a of [-a, a].
    float value = 0;

    static Initializer constant(float value) { return {Kind::Constant, value}; }
    static Initializer uniform(float bound) { return {Kind::Uniform, bound}; }
    /// Uniform in +-sqrt(3 / (fanIn/2 + fanOut/2))  (Glorot, Bengio 2010).
    static Initializer xavier() { return {Kind::Xavier, 0}; }
    /// Normal with variance 2 / fanIn  (He, Zhang, Ren, Sun 2015).
    static Initializer heNormal() { return {Kind::HeNormal, 0}; }

    /// Fills `values`; seed and stream give the same numbers on every machine.
    void fill(std::span<float> values, double fanIn, double fanOut, std::uint64_t seed, std::uint64_t stream) const;
};

/// The optimizer that a data source has built in.
struct OptimizerSettings {
    enum class Kind { StochasticGradientDescent, RMSProp, Adam };
    Kind kind = Kind::Adam;
    /// Learning rate, rescale, clipping, regularisation.
    MPS::NNOptimizerDescriptor descriptor;
    float momentum = 0;  ///< of StochasticGradientDescent
    bool nesterov = false;
    double decay = 0.9;                     ///< of RMSProp
    double beta1 = 0.9, beta2 = 0.999;      ///< of Adam
    float epsilon = 1e-8f;
};

class OptimizerDriver;
class ScaleAndBias;

/// What every data source here is besides its MPS protocol: parameters that learn. Archives hold them with the optimizer,
/// its moments and its step, as the host sees them: wait for command buffers that update them.
class PEWTER_API DataSource : public MPS::SecureCoding {
public:
    ~DataSource() override;
    virtual std::string sourceLabel() const = 0;
    /// Takes effect with the next update.
    virtual void setLearningRate(float rate) = 0;
    virtual std::size_t parameterCount() const = 0;
    /// Updates encoded so far.
    virtual std::uint64_t updateCount() const = 0;
};

/// Geometry of a convolution layer.
struct ConvolutionShape {
    std::size_t kernelWidth = 3, kernelHeight = 3, inputs = 1, outputs = 1;
    std::size_t strideX = 1, strideY = 1, groups = 1;
    bool bias = true;
};

/// Weights, biases and optimizer moments of a convolution or fully connected layer, in buffers of the device. The update on
/// the device is an update of these buffers; the host sees it once the command buffer has completed. A graph's only kernel
/// with these weights lends its own buffers for the update: they are the source's from then on, and weights() and biasTerms()
/// point to them.
class PEWTER_API ConvolutionDataSource final : public MPS::CNNConvolutionDataSource, public DataSource {
public:
    /// Weights by `weights` from seed and stream, every bias `bias`; biasTerms() is null when the shape has none.
    ConvolutionDataSource(const std::shared_ptr<MTL::Device>& device, const std::string& label,
                          const ConvolutionShape& shape, const Initializer& weights, float bias,
                          const OptimizerSettings& optimizer, std::uint64_t seed, std::uint64_t stream);
    /// From an archive, onto the coder's device. Throws MPS::Error for values that do not fit together.
    explicit ConvolutionDataSource(MPS::Coder& coder);
    ~ConvolutionDataSource() override;

    bool load() override { return true; }
    void purge() override {}
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor() const override { return descriptor_; }
    MPS::DataType dataType() const override { return MPS::DataType::Float32; }
    const void* weights() const override;
    const float* biasTerms() const override;
    std::string label() const override { return label_; }
    MPS::DataType kernelWeightsDataType() const override { return MPS::DataType::Float32; }
    std::optional<std::size_t> weightsLength() const override;
    std::optional<std::size_t> biasTermsLength() const override;

    /// Encodes one optimizer step into the own buffers and returns them as a state.
    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> update(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
        const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) override;
    /// The same on the calling thread, when the gradients are complete.
    bool update(const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
                const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) override;

    const char* className() const override { return "train.ConvolutionDataSource"; }
    void encodeWithCoder(MPS::Coder& coder) const override;
    std::string sourceLabel() const override { return label_; }
    void setLearningRate(float rate) override;
    std::size_t parameterCount() const override;
    std::uint64_t updateCount() const override;
    const ConvolutionShape& shape() const { return shape_; }

private:
    /// Memory for what descriptor_ and shape_ say.
    void allocate();

    std::string label_;
    ConvolutionShape shape_;
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor_;
    std::shared_ptr<MTL::Device> device_;
    std::shared_ptr<MTL::Buffer> weights_, biases_;
    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> state_;
    std::unique_ptr<OptimizerDriver> optimizer_;
};

/// Scale, bias, moving statistics and optimizer moments of a batch normalisation. Stored statistics follow
/// stored = momentum * stored + (1 - momentum) * batch, with the batch variance divided by the number of pixels.
class PEWTER_API BatchNormalizationDataSource final : public MPS::CNNBatchNormalizationDataSource, public DataSource {
public:
    BatchNormalizationDataSource(const std::shared_ptr<MTL::Device>& device, const std::string& label,
                                 std::size_t channels, const OptimizerSettings& optimizer, float epsilon = 1e-5f,
                                 float momentum = 0.9f);
    /// From an archive, onto the coder's device. Throws MPS::Error for values that do not fit together.
    explicit BatchNormalizationDataSource(MPS::Coder& coder);
    ~BatchNormalizationDataSource() override;

    std::size_t numberOfFeatureChannels() const override { return channels_; }
    const float* gamma() override;
    const float* beta() override;
    const float* mean() override;
    const float* variance() override;
    bool load() override { return true; }
    void purge() override {}
    std::string label() const override { return label_; }
    float epsilon() const override { return epsilon_; }

    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> updateGammaAndBeta(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) override;
    std::shared_ptr<MPS::CNNNormalizationMeanAndVarianceState> updateMeanAndVariance(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) override;
    bool updateGammaAndBeta(const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) override;
    bool updateMeanAndVariance(const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) override;

    const char* className() const override { return "train.BatchNormalizationDataSource"; }
    void encodeWithCoder(MPS::Coder& coder) const override;
    std::string sourceLabel() const override { return label_; }
    void setLearningRate(float rate) override;
    std::size_t parameterCount() const override { return 2 * channels_; }
    std::uint64_t updateCount() const override;

private:
    void allocate();

    std::string label_;
    std::size_t channels_;
    float epsilon_;
    std::shared_ptr<MTL::Device> device_;
    std::shared_ptr<MTL::Buffer> gamma_, beta_, mean_, variance_;
    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> parameters_;
    std::shared_ptr<MPS::CNNNormalizationMeanAndVarianceState> statistics_;
    std::unique_ptr<OptimizerDriver> optimizer_;
    std::shared_ptr<MPS::NNOptimizerStochasticGradientDescent> average_;
};

/// Scale, bias and optimizer moments of an instance normalisation, in buffers of the device. The update sums the gradients
/// of the batch's images, unlike those of batch normalisation, whose state holds the sum already.
class PEWTER_API InstanceNormalizationDataSource final : public MPS::CNNInstanceNormalizationDataSource,
                                                         public DataSource {
public:
    /// gamma 1, beta 0. Throws MPS::Error for a null device.
    InstanceNormalizationDataSource(const std::shared_ptr<MTL::Device>& device, const std::string& label,
                                    std::size_t channels, const OptimizerSettings& optimizer, float epsilon = 1e-5f);
    /// From an archive, onto the coder's device. Throws MPS::Error for values that do not fit together.
    explicit InstanceNormalizationDataSource(MPS::Coder& coder);
    ~InstanceNormalizationDataSource() override;

    std::size_t numberOfFeatureChannels() const override;
    const float* gamma() override;
    const float* beta() override;
    std::string label() const override;
    float epsilon() const override { return epsilon_; }

    /// Encodes one optimizer step into the own buffers and returns them as a state.
    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> updateGammaAndBeta(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const MPS::CNNInstanceNormalizationGradientStateBatch& states) override;
    /// The same on the calling thread, when the gradients are complete.
    bool updateGammaAndBeta(const MPS::CNNInstanceNormalizationGradientStateBatch& states) override;

    const char* className() const override { return "train.InstanceNormalizationDataSource"; }
    void encodeWithCoder(MPS::Coder& coder) const override;
    std::string sourceLabel() const override;
    void setLearningRate(float rate) override;
    std::size_t parameterCount() const override;
    std::uint64_t updateCount() const override;

private:
    float epsilon_;
    std::unique_ptr<ScaleAndBias> parameters_;
};

/// The same for a group normalisation of `groups` groups.
class PEWTER_API GroupNormalizationDataSource final : public MPS::CNNGroupNormalizationDataSource, public DataSource {
public:
    /// gamma 1, beta 0. Throws MPS::Error for a null device.
    GroupNormalizationDataSource(const std::shared_ptr<MTL::Device>& device, const std::string& label,
                                 std::size_t channels, std::size_t groups, const OptimizerSettings& optimizer,
                                 float epsilon = 1e-5f);
    /// From an archive, onto the coder's device. Throws MPS::Error for values that do not fit together.
    explicit GroupNormalizationDataSource(MPS::Coder& coder);
    ~GroupNormalizationDataSource() override;

    std::size_t numberOfFeatureChannels() const override;
    std::size_t numberOfGroups() const override { return groups_; }
    /// Seen by a kernel with its next reload.
    void setNumberOfGroups(std::size_t groups) override { groups_ = groups; }
    const float* gamma() override;
    const float* beta() override;
    std::string label() const override;
    float epsilon() const override { return epsilon_; }

    /// Encodes one optimizer step into the own buffers and returns them as a state.
    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> updateGammaAndBeta(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const MPS::CNNGroupNormalizationGradientStateBatch& states) override;
    /// The same on the calling thread, when the gradients are complete.
    bool updateGammaAndBeta(const MPS::CNNGroupNormalizationGradientStateBatch& states) override;

    const char* className() const override { return "train.GroupNormalizationDataSource"; }
    void encodeWithCoder(MPS::Coder& coder) const override;
    std::string sourceLabel() const override;
    void setLearningRate(float rate) override;
    std::size_t parameterCount() const override;
    std::uint64_t updateCount() const override;

private:
    std::size_t groups_;
    float epsilon_;
    std::unique_ptr<ScaleAndBias> parameters_;
};

}  // namespace pewter::train
