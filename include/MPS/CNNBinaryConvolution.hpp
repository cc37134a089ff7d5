#pragma once

#include <memory>

#include <MPS/CNNConvolutionDataSource.hpp>
#include <MPS/CNNKernel.hpp>

namespace pewter::mps {
struct BinaryParameters;
struct BinaryConvolutionAccess;
}  // namespace pewter::mps

namespace MPS {

/// MPSCNNBinaryConvolutionFlags.
enum class CNNBinaryConvolutionFlags : std::uint64_t {
    None = 0,
    UseBetaScaling = 1,  ///< scales every output by the mean magnitude of its window
};

/// MPSCNNBinaryConvolutionType.
enum class CNNBinaryConvolutionType : std::uint64_t {
    BinaryWeights = 0,  ///< full-precision source, weights -1 and 1
    XNOR = 1,           ///< source and weights -1 and 1
    AND = 2,            ///< source and weights 0 and 1
};

/// MPSCNNBinaryConvolution: a convolution with weights of one bit and, but for BinaryWeights, a source of one
/// bit.
///
///   t = (x + inputBias[c]) * inputScale[c]
///   S = sum over the window and channels of   BinaryWeights: t (2b - 1)
///                                             XNOR:          (t < 0 ? -1 : 1) (2b - 1)
///                                             AND:           (t < 0 ? 0 : 1) b
///   y[.., o] = f( S * outputScale[o] * beta + outputBias[o] )
///
/// with weight bits b. beta is 1, or with UseBetaScaling the mean of |t| over all channels and taps of the
/// window. The edge mode applies to t: a Zero edge adds 0 for BinaryWeights and to beta, and counts as 1 for
/// the other types. Offsets, strides, dilation and sizes as in CNNConvolution. For inference: there is no
/// gradient and no result state. A batch normalisation in the descriptor is folded into outputScale and
/// outputBias.
///
/// Data sources have type UInt32 and the packed weights described there; 4 bytes a word. Source:
/// MPSCNNConvolution.h.
class PEWTER_API CNNBinaryConvolution : public CNNKernel {
public:
    /// One scale for all outputs; the biases are the data source's. Throws MPS::Error for null, for load() ==
    /// false, for null weights, weights of another type than UInt32, groups, depthwise and sub-pixel
    /// descriptors, and for unknown types and flags.   Objective-C:
    /// -initWithDevice:convolutionData:scaleValue:type:flags:
    CNNBinaryConvolution(std::shared_ptr<MTL::Device> device,
                         std::shared_ptr<CNNConvolutionDataSource> convolutionData, float scaleValue,
                         CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags);
    /// A value for each output channel and for each input channel; copied, null means biases 0 and scales 1.
    /// The data source's own biases are not used. Objective-C:
    /// -initWithDevice:convolutionData:outputBiasTerms:outputScaleTerms:inputBiasTerms:inputScaleTerms:type:flags:
    CNNBinaryConvolution(std::shared_ptr<MTL::Device> device,
                         std::shared_ptr<CNNConvolutionDataSource> convolutionData,
                         const float* outputBiasTerms, const float* outputScaleTerms,
                         const float* inputBiasTerms, const float* inputScaleTerms,
                         CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags);

    std::size_t inputFeatureChannels() const { return descriptor_->inputFeatureChannels(); }
    std::size_t outputFeatureChannels() const { return descriptor_->outputFeatureChannels(); }
    // Extensions: what the kernel was made with.
    CNNBinaryConvolutionType type() const { return type_; }
    CNNBinaryConvolutionFlags flags() const { return flags_; }
    const std::shared_ptr<CNNConvolutionDataSource>& dataSource() const { return dataSource_; }
    const CNNConvolutionDescriptor& descriptor() const { return *descriptor_; }

    const char* className() const override { return "CNNBinaryConvolution"; }
    /// The data source goes along through its copy() method.
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    /// For subclasses that name themselves in errors before they exist.
    CNNBinaryConvolution(std::shared_ptr<MTL::Device> device,
                         std::shared_ptr<CNNConvolutionDataSource> convolutionData, const float* scaleValue,
                         const float* outputBiasTerms, const float* outputScaleTerms,
                         const float* inputBiasTerms, const float* inputScaleTerms,
                         CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags,
                         const char* className);
    CNNBinaryConvolution(const CNNBinaryConvolution&) = default;

    std::size_t resultFeatureChannels(std::size_t sourceChannels) const override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
    /// Where the window of the first output starts.
    virtual Offset effectiveOffset() const { return offset(); }
    /// A copy of the same class that still shares everything; for copy().
    virtual std::shared_ptr<CNNBinaryConvolution> clone() const;

private:
    friend struct pewter::mps::BinaryConvolutionAccess;
    std::shared_ptr<CNNConvolutionDataSource> dataSource_;
    std::shared_ptr<const CNNConvolutionDescriptor> descriptor_;
    std::shared_ptr<const pewter::mps::BinaryParameters> parameters_;
    CNNBinaryConvolutionType type_;
    CNNBinaryConvolutionFlags flags_;
};

/// MPSCNNBinaryFullyConnected: the window is as large as the source; stride and dilation are 1. The result is
/// 1 x 1 at the origin of the clip rectangle; offset and padding policy do not matter (padding(): valid
/// only).
class PEWTER_API CNNBinaryFullyConnected final : public CNNBinaryConvolution {
public:
    /// Throw MPS::Error as CNNBinaryConvolution does, and for a stride or dilation other than 1.
    /// Objective-C: -initWithDevice:convolutionData:scaleValue:type:flags:
    CNNBinaryFullyConnected(std::shared_ptr<MTL::Device> device,
                            std::shared_ptr<CNNConvolutionDataSource> convolutionData, float scaleValue,
                            CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags);
    /// Objective-C:
    /// -initWithDevice:convolutionData:outputBiasTerms:outputScaleTerms:inputBiasTerms:inputScaleTerms:type:flags:
    CNNBinaryFullyConnected(std::shared_ptr<MTL::Device> device,
                            std::shared_ptr<CNNConvolutionDataSource> convolutionData,
                            const float* outputBiasTerms, const float* outputScaleTerms,
                            const float* inputBiasTerms, const float* inputScaleTerms,
                            CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags);

    const char* className() const override { return "CNNBinaryFullyConnected"; }

protected:
    CNNBinaryFullyConnected(const CNNBinaryFullyConnected&) = default;
    bool ignoresPadding() const override { return true; }
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
    Offset effectiveOffset() const override;
    std::shared_ptr<CNNBinaryConvolution> clone() const override;

private:
    void finishConstruction();
};

}  // namespace MPS
