#pragma once

#include <MPS/CNNBinaryKernel.hpp>
#include <MPS/CNNKernel.hpp>

namespace MPS {

/// MPSNNReduceUnary: base of the kernels that collapse one axis of an image.
///
/// Source region [X0,X1) x [Y0,Y1) = clipRectSource() cut to the image, channels the window of
/// sourceFeatureChannelOffset and MaxCount. The result's pixel (0,0) goes to clipRect's origin; what lies
/// outside clipRect is not written, and pixels of clipRect beyond the result stay as they are. Encodes that
/// return their image give it the size of the result; offset and padding have no effect. Means divide by the
/// number of elements read. A NaN is the extremum wherever there is one. Types convert; sums are taken in
/// float32 or better. Encodes throw MPS::Error for a region outside the image. No gradient class, no state.
/// Source: MPSNNReduce.h.
class PEWTER_API NNReduceUnary : public CNNKernel {
public:
    /// Default RectNoClip. origin.z is the first image read.
    const MTL::Region& clipRectSource() const { return clipRectSource_; }
    void setClipRectSource(const MTL::Region& region) { clipRectSource_ = region; }

    const char* className() const override { return "NNReduceUnary"; }

protected:
    /// What is collapsed; Pixels: rows and columns.
    enum class Along { Row, Column, FeatureChannels, Pixels };
    /// operation: a value of pewter::ops::ReductionOperation.
    NNReduceUnary(std::shared_ptr<MTL::Device> device, Along along, int operation);

    /// Factor of a sum.
    virtual float scale() const { return 1; }
    bool ignoresPadding() const override { return true; }
    std::size_t resultFeatureChannels(std::size_t sourceChannels) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void fitToDestination(pewter::mps::UnaryEncoding& encoding) const override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;

private:
    static bool losesColumns(Along along);
    static bool losesRows(Along along);

    MTL::Region clipRectSource_ = RectNoClip;
    Along along_;
    int operation_;
};

/// MPSNNReduceRowMin: The least of each row: 1 x height x channels.
class PEWTER_API NNReduceRowMin final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceRowMin(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceRowMin"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceRowMax: The greatest of each row: 1 x height x channels.
class PEWTER_API NNReduceRowMax final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceRowMax(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceRowMax"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceRowMean: The mean of each row: 1 x height x channels.
class PEWTER_API NNReduceRowMean final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceRowMean(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceRowMean"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceRowSum: The sum of each row: 1 x height x channels.
class PEWTER_API NNReduceRowSum final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceRowSum(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceRowSum"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceColumnMin: The least of each column: width x 1 x channels.
class PEWTER_API NNReduceColumnMin final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceColumnMin(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceColumnMin"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceColumnMax: The greatest of each column: width x 1 x channels.
class PEWTER_API NNReduceColumnMax final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceColumnMax(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceColumnMax"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceColumnMean: The mean of each column: width x 1 x channels.
class PEWTER_API NNReduceColumnMean final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceColumnMean(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceColumnMean"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceColumnSum: The sum of each column: width x 1 x channels.
class PEWTER_API NNReduceColumnSum final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceColumnSum(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceColumnSum"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceFeatureChannelsMin: The least of each pixel's channels: width x height x 1.
class PEWTER_API NNReduceFeatureChannelsMin final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceFeatureChannelsMin(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceFeatureChannelsMin"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceFeatureChannelsMax: The greatest of each pixel's channels: width x height x 1.
class PEWTER_API NNReduceFeatureChannelsMax final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceFeatureChannelsMax(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceFeatureChannelsMax"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceFeatureChannelsMean: The mean of each pixel's channels: width x height x 1.
class PEWTER_API NNReduceFeatureChannelsMean final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceFeatureChannelsMean(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceFeatureChannelsMean"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceFeatureChannelsSum: weight() times the sum of each pixel's channels: width x height x 1.
class PEWTER_API NNReduceFeatureChannelsSum final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceFeatureChannelsSum(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceFeatureChannelsSum"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

    /// Default 1.
    float weight() const { return weight_; }
    void setWeight(float weight) { weight_ = weight; }

protected:
    float scale() const override { return weight_; }

private:
    float weight_ = 1;
};

/// MPSNNReduceFeatureChannelsArgumentMin: The channel of each pixel's least element, as a number: width x
/// height x 1. The lowest of several, counted from the first channel read. float16 holds it exactly up to
/// 2048.
class PEWTER_API NNReduceFeatureChannelsArgumentMin final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceFeatureChannelsArgumentMin(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceFeatureChannelsArgumentMin"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceFeatureChannelsArgumentMax: The channel of each pixel's greatest element, as a number: width x
/// height x 1. The lowest of several, counted from the first channel read. float16 holds it exactly up to
/// 2048.
class PEWTER_API NNReduceFeatureChannelsArgumentMax final : public NNReduceUnary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceFeatureChannelsArgumentMax(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceFeatureChannelsArgumentMax"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceBinary: base of the kernels that collapse the channels of an image (primary) against an image
/// of weights (secondary).
///
/// Source regions, clipRect and result as in NNReduceUnary; both regions must have one size and both windows
/// one number of channels. primaryOffset, secondaryOffset and padding have no effect. Source: MPSNNReduce.h.
class PEWTER_API NNReduceBinary : public CNNBinaryKernel {
public:
    /// Default RectNoClip. origin.z is the first image read.
    const MTL::Region& primarySourceClipRect() const { return primarySourceClipRect_; }
    void setPrimarySourceClipRect(const MTL::Region& region) { primarySourceClipRect_ = region; }
    const MTL::Region& secondarySourceClipRect() const { return secondarySourceClipRect_; }
    void setSecondarySourceClipRect(const MTL::Region& region) { secondarySourceClipRect_ = region; }

    const char* className() const override { return "NNReduceBinary"; }

protected:
    /// operation: a value of pewter::ops::ReductionOperation.
    NNReduceBinary(std::shared_ptr<MTL::Device> device, int operation, bool byNonZeroWeights);
    bool isByNonZeroWeights() const { return byNonZeroWeights_; }

    std::size_t resultFeatureChannels(std::size_t primaryChannels,
                                      std::size_t secondaryChannels) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void fitToDestination(pewter::mps::BinaryEncoding& encoding) const override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    MTL::Region primarySourceClipRect_ = RectNoClip, secondarySourceClipRect_ = RectNoClip;
    int operation_;
    bool byNonZeroWeights_;
};

/// MPSNNReduceFeatureChannelsAndWeightsMean: the sum over c of x_c w_c, divided by the number of channels.
class PEWTER_API NNReduceFeatureChannelsAndWeightsMean final : public NNReduceBinary {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReduceFeatureChannelsAndWeightsMean(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceFeatureChannelsAndWeightsMean"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSNNReduceFeatureChannelsAndWeightsSum: the sum over c of x_c w_c; by non-zero weights divided by the
/// number of weights of the pixel that are not 0, and 0 where all are.
class PEWTER_API NNReduceFeatureChannelsAndWeightsSum final : public NNReduceBinary {
public:
    /// Objective-C: -initWithDevice:, -initWithDevice:doWeightedSumByNonZeroWeights:
    explicit NNReduceFeatureChannelsAndWeightsSum(std::shared_ptr<MTL::Device> device,
                                                  bool doWeightedSumByNonZeroWeights = false);
    bool doWeightedSumByNonZeroWeights() const { return isByNonZeroWeights(); }
    const char* className() const override { return "NNReduceFeatureChannelsAndWeightsSum"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

}  // namespace MPS
