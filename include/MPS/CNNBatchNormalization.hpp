#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <MPS/CNNNormalizationState.hpp>
#include <MPS/NNNeuronDescriptor.hpp>

namespace pewter::mps {
struct BatchNormalizationParameters;
struct BatchNormalizationAccess;
}  // namespace pewter::mps

namespace MPS {

class CNNBatchNormalization;
class CNNBatchNormalizationState;

/// MPSCNNBatchNormalizationFlags: which statistics a batch normalisation node uses.
using CNNBatchNormalizationFlags = std::uint64_t;
inline constexpr CNNBatchNormalizationFlags CNNBatchNormalizationFlagsDefault = 0;
/// Of the batch when some node uses the state (training), else the stored ones.
inline constexpr CNNBatchNormalizationFlags CNNBatchNormalizationFlagsCalculateStatisticsAutomatic = 0;
inline constexpr CNNBatchNormalizationFlags CNNBatchNormalizationFlagsCalculateStatisticsAlways = 1;
inline constexpr CNNBatchNormalizationFlags CNNBatchNormalizationFlagsCalculateStatisticsNever = 2;
inline constexpr CNNBatchNormalizationFlags CNNBatchNormalizationFlagsCalculateStatisticsMask = 3;

/// MPSCNNBatchNormalizationDataSource: where a batch normalisation gets its parameters, and who updates them.
class PEWTER_API CNNBatchNormalizationDataSource {
public:
    virtual ~CNNBatchNormalizationDataSource();

    /// C.   Objective-C: -numberOfFeatureChannels
    virtual std::size_t numberOfFeatureChannels() const = 0;
    /// C values each, valid between load() and purge(); null means 1 for gamma, 0 for beta.
    virtual const float* gamma() = 0;
    virtual const float* beta() = 0;
    /// Stored statistics for inference, C values each; null means 0 and 1.
    virtual const float* mean() = 0;
    virtual const float* variance() = 0;
    /// Called before and after the values are read; false refuses.
    virtual bool load() = 0;
    virtual void purge() = 0;
    /// For error messages.
    virtual std::string label() const = 0;

    /// Default: FLT_MIN.
    virtual float epsilon() const { return std::numeric_limits<float>::min(); }

    /// Update of scale and bias on the device; lowers the state's read count by one and returns the new
    /// values, or null for no change. Default: lowers the count, reports once for each data source that the method
    /// is missing, and returns null. Objective-C:
    /// -updateGammaAndBetaWithCommandBuffer:batchNormalizationState:
    virtual std::shared_ptr<CNNNormalizationGammaAndBetaState> updateGammaAndBeta(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState);
    /// The same for the stored statistics; a data source may well keep those in the other method. Default:
    /// lowers the count and returns null.
    /// Objective-C: -updateMeanAndVarianceWithCommandBuffer:batchNormalizationState:
    virtual std::shared_ptr<CNNNormalizationMeanAndVarianceState> updateMeanAndVariance(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState);
    /// Update on the host; true when the values changed. Default: false.
    /// Objective-C: -updateGammaAndBetaWithBatchNormalizationState:
    virtual bool updateGammaAndBeta(
        const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState);
    /// Objective-C: -updateMeanAndVarianceWithBatchNormalizationState:
    virtual bool updateMeanAndVariance(
        const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState);

    /// A copy for a kernel that is copied to `device`, or null to share this object (the default).
    /// Objective-C: -copyWithZone:device:
    virtual std::shared_ptr<CNNBatchNormalizationDataSource> copy(
        const std::shared_ptr<MTL::Device>& device) const;

private:
    bool reportedMissingUpdate_ = false;
};

/// MPSCNNBatchNormalizationState: collects the statistics and gradients of a batch. One object serves the
/// whole batch.
///
/// Made by a CNNBatchNormalization; filled by CNNBatchNormalizationStatistics, read by the normalising
/// encode, filled again by CNNBatchNormalizationStatisticsGradient and read by CNNBatchNormalizationGradient.
/// Each of these but the first lowers the read count by one a call. Source: MPSCNNBatchNormalization.h.
class PEWTER_API CNNBatchNormalizationState final : public NNGradientState {
public:
    /// The kernel that made the state, or null when it is gone.
    std::shared_ptr<CNNBatchNormalization> batchNormalization() const;

    /// Back to the values at creation: the next statistics encode and the next statistics-gradient encode
    /// overwrite what is there. Work encoded before is unaffected.   Objective-C: -reset
    void reset();

    /// float32, one value a channel (of states made for Float64 images, the batch's own values are float64).
    /// gamma and beta are the kernel's current values.
    std::shared_ptr<MTL::Buffer> gamma() const;
    std::shared_ptr<MTL::Buffer> beta() const;
    /// The statistics of all images since the last reset (variance divided by the count of pixels); before
    /// any, the kernel's stored ones.
    std::shared_ptr<MTL::Buffer> mean();
    std::shared_ptr<MTL::Buffer> variance();
    /// Null until a statistics-gradient encode since the last reset.
    std::shared_ptr<MTL::Buffer> gradientForGamma();
    std::shared_ptr<MTL::Buffer> gradientForBeta();

    const char* className() const override { return "CNNBatchNormalizationState"; }

    /// For CNNBatchNormalization.
    CNNBatchNormalizationState(const StateOwner& owner, const std::shared_ptr<CNNBatchNormalization>& kernel,
                               std::shared_ptr<pewter::mps::BatchNormalizationParameters> parameters,
                               std::size_t bytesPerValue = sizeof(float));

protected:
    void describe(Facts& facts) const override;

private:
    std::weak_ptr<CNNBatchNormalization> kernel_;
    std::shared_ptr<pewter::mps::BatchNormalizationParameters> parameters_;
    /// Pixels in the statistics, and in the gradient sums; decided at encode time.
    std::int64_t statisticsCount_ = 0, gradientCount_ = 0;
    /// A gradient pass used the statistics: the next statistics start afresh.
    bool spent_ = false;

    friend struct pewter::mps::BatchNormalizationAccess;
};

/// MPSCNNBatchNormalization: y = f((x - mean) gamma / sqrt(variance + epsilon) + beta), channel by channel.
///
/// Shapes: [N,H,W,C] to the same. Without a state: the stored statistics (inference). With a state: the
/// state's, whose read count falls by one. The inherited encodes with a destination state refuse. Source:
/// MPSCNNBatchNormalization.h.
class PEWTER_API CNNBatchNormalization final : public CNNKernel {
public:
    /// Loads the parameters. Throws MPS::Error for a null data source, one without channels, or one that
    /// refuses to load. Objective-C: -initWithDevice:dataSource:
    CNNBatchNormalization(std::shared_ptr<MTL::Device> device,
                          std::shared_ptr<CNNBatchNormalizationDataSource> dataSource);
    /// Objective-C: -initWithDevice:dataSource:fusedNeuronDescriptor:
    CNNBatchNormalization(std::shared_ptr<MTL::Device> device,
                          std::shared_ptr<CNNBatchNormalizationDataSource> dataSource,
                          const NNNeuronDescriptor& fusedNeuronDescriptor);

    std::size_t numberOfFeatureChannels() const;
    /// Default: the data source's.
    float epsilon() const;
    void setEpsilon(float epsilon);
    const std::shared_ptr<CNNBatchNormalizationDataSource>& dataSource() const { return dataSource_; }
    const NNNeuronDescriptor& fusedNeuronDescriptor() const { return neuron_; }

    using CNNKernel::encode;
    using CNNKernel::encodeBatch;
    /// Training: uses the state's statistics.
    /// Objective-C: -encodeToCommandBuffer:sourceImage:batchNormalizationState:destinationImage:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Image>& sourceImage,
                const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState,
                const std::shared_ptr<Image>& destinationImage);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:batchNormalizationState:destinationImages:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
                     const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState,
                     const ImageBatch& destinationImages);

    /// From the data source given at construction; encodes made before keep the old values.
    /// Objective-C: -reloadGammaAndBetaFromDataSource, -reloadMeanAndVarianceFromDataSource
    void reloadGammaAndBetaFromDataSource();
    void reloadMeanAndVarianceFromDataSource();
    /// Deprecated: everything, epsilon too, from another source of as many channels.   Objective-C: -reloadDataSource:
    void reloadDataSource(const std::shared_ptr<CNNBatchNormalizationDataSource>& dataSource);
    /// In command order; a temporary state loses one read.
    /// Objective-C: -reloadGammaAndBetaWithCommandBuffer:gammaAndBetaState:
    void reloadGammaAndBeta(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                            const std::shared_ptr<CNNNormalizationGammaAndBetaState>& gammaAndBetaState);
    /// Objective-C: -reloadMeanAndVarianceWithCommandBuffer:meanAndVarianceState:
    void reloadMeanAndVariance(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const std::shared_ptr<CNNNormalizationMeanAndVarianceState>& meanAndVarianceState);

    bool isResultStateReusedAcrossBatch() const override { return true; }
    const char* className() const override { return "CNNBatchNormalization"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;

private:
    friend struct pewter::mps::BatchNormalizationAccess;
    CNNBatchNormalization(const CNNBatchNormalization&) = default;
    void reload(CNNBatchNormalizationDataSource& dataSource, bool gammaAndBeta, bool meanAndVariance);

    std::shared_ptr<CNNBatchNormalizationDataSource> dataSource_;
    NNNeuronDescriptor neuron_;
    std::shared_ptr<pewter::mps::BatchNormalizationParameters> parameters_;
};

/// MPSCNNBatchNormalizationStatistics: adds images to the mean and variance of a state; writes no image.
///
/// Several calls add up; the statistics are those of all pixels since the last reset. Offset and clip
/// rectangle are ignored, channel offsets are not. The read count stays. Source: MPSCNNBatchNormalization.h.
class PEWTER_API CNNBatchNormalizationStatistics final : public CNNKernel {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNBatchNormalizationStatistics(std::shared_ptr<MTL::Device> device);

    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:batchNormalizationState:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
                     const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState);

    bool isStateModified() const override { return true; }
    bool appendBatchBarrier() const override { return true; }
    const char* className() const override { return "CNNBatchNormalizationStatistics"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
};

/// MPSCNNBatchNormalizationStatisticsGradient: adds to a state the gradients of gamma and beta. With
/// xh = (x - mean) / sqrt(variance + epsilon), z = gamma xh + beta, dz = g f'(z): beta gets sum dz, gamma sum
/// dz xh, plain sums over images, rows and columns. Writes no image; lowers the state's read count by one.
class PEWTER_API CNNBatchNormalizationStatisticsGradient final : public CNNGradientKernel {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNBatchNormalizationStatisticsGradient(std::shared_ptr<MTL::Device> device);
    /// The neuron must be the forward kernel's.   Objective-C: -initWithDevice:fusedNeuronDescriptor:
    CNNBatchNormalizationStatisticsGradient(std::shared_ptr<MTL::Device> device,
                                            const NNNeuronDescriptor& fusedNeuronDescriptor);

    /// Objective-C: -encodeBatchToCommandBuffer:sourceGradients:sourceImages:batchNormalizationState:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                     const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                     const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState);

    bool isStateModified() const override { return true; }
    bool appendBatchBarrier() const override { return true; }
    const NNNeuronDescriptor& fusedNeuronDescriptor() const { return neuron_; }
    const char* className() const override { return "CNNBatchNormalizationStatisticsGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    const char* acceptedState() const override { return "CNNBatchNormalizationState"; }
    bool accepts(const State& state) const override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    NNNeuronDescriptor neuron_;
};

/// MPSCNNBatchNormalizationGradient: the gradient for the source images. With the state's sums over the whole
/// batch of m pixels: dx = gamma / sqrt(variance + epsilon) (dz - sum dz / m - xh sum(dz xh) / m); with a
/// state that holds stored statistics the two means are left out. Lowers the state's read count by one.
class PEWTER_API CNNBatchNormalizationGradient final : public CNNGradientKernel {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNBatchNormalizationGradient(std::shared_ptr<MTL::Device> device);
    /// The neuron must be the forward kernel's.   Objective-C: -initWithDevice:fusedNeuronDescriptor:
    CNNBatchNormalizationGradient(std::shared_ptr<MTL::Device> device,
                                  const NNNeuronDescriptor& fusedNeuronDescriptor);

    /// The generic forms take the state for every image. Objective-C:
    /// -encodeToCommandBuffer:sourceGradient:sourceImage:batchNormalizationState:[destinationGradient:]
    using CNNGradientKernel::encode;
    using CNNGradientKernel::encodeBatch;
    /// Objective-C: -encodeBatchToCommandBuffer:sourceGradients:sourceImages:batchNormalizationState:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                           const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState);
    /// Objective-C: …batchNormalizationState:destinationGradients:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                     const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                     const std::shared_ptr<CNNBatchNormalizationState>& batchNormalizationState,
                     const ImageBatch& destinationGradients);

    void configure(const pewter::mps::ForwardRecord& forward) override;
    const NNNeuronDescriptor& fusedNeuronDescriptor() const { return neuron_; }
    const char* className() const override { return "CNNBatchNormalizationGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    const char* acceptedState() const override { return "CNNBatchNormalizationState"; }
    bool accepts(const State& state) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    NNNeuronDescriptor neuron_;
};

}  // namespace MPS
