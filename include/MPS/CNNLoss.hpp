#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <MPS/CNNKernel.hpp>

namespace pewter::mps {
class Encoder;
struct LossLabelsAccess;
struct LossOperands;
}  // namespace pewter::mps

namespace MPS {

/// MPSCNNLossType (MPSCNNTypes.h).
enum class CNNLossType : std::uint32_t {
    MeanAbsoluteError = 0,
    MeanSquaredError = 1,
    SoftMaxCrossEntropy = 2,
    SigmoidCrossEntropy = 3,
    CategoricalCrossEntropy = 4,
    Hinge = 5,
    Huber = 6,
    CosineDistance = 7,
    Log = 8,
    KullbackLeiblerDivergence = 9,
    Count = 10,
};

/// MPSCNNReductionType.
enum class CNNReductionType : std::int32_t {
    None = 0,
    Sum = 1,
    Mean = 2,
    SumByNonZeroWeights = 3,
    Count = 4
};

/// MPSCNNLossDataDescriptor: float32 values of labels or weights in host memory, and how they lie there.
/// Holds a copy.
class PEWTER_API CNNLossDataDescriptor {
public:
    /// size: width, height, and channels as depth; tightly packed. Throws MPS::Error for null, a zero extent,
    /// or fewer bytes than that needs.   Objective-C: +cnnLossDataDescriptorWithData:layout:size:
    static CNNLossDataDescriptor cnnLossDataDescriptor(const void* data, std::size_t bytes, DataLayout layout,
                                                       const MTL::Size& size);
    static CNNLossDataDescriptor cnnLossDataDescriptor(const std::vector<float>& data, DataLayout layout,
                                                       const MTL::Size& size);

    DataLayout layout() const { return layout_; }
    const MTL::Size& size() const { return size_; }
    /// Distance of rows in bytes; default dense: width * channels * 4, or width * 4 when channels come first.
    std::size_t bytesPerRow() const { return bytesPerRow_; }
    void setBytesPerRow(std::size_t bytes) { bytesPerRow_ = bytes; }
    /// Distance of images (of channel planes when channels come first); default height * bytesPerRow.
    std::size_t bytesPerImage() const { return bytesPerImage_; }
    void setBytesPerImage(std::size_t bytes) { bytesPerImage_ = bytes; }

    /// The values in the order row, column, channel. Throws MPS::Error when the strides lead outside the
    /// data.
    std::vector<float> values() const;

private:
    CNNLossDataDescriptor() = default;

    std::vector<std::uint8_t> data_;
    DataLayout layout_ = DataLayout::HeightxWidthxFeatureChannels;
    MTL::Size size_;
    std::size_t bytesPerRow_ = 0, bytesPerImage_ = 0;
};

class CNNLossLabels;
/// MPSCNNLossLabelsBatch: one object an image.
using CNNLossLabelsBatch = std::vector<std::shared_ptr<CNNLossLabels>>;

/// MPSCNNLossLabels: labels, optional weights, and where the loss goes. A state that CNNLoss reads and
/// writes; plain, so its read count is 0. Source: MPSCNNLoss.h.
class PEWTER_API CNNLossLabels final : public State {
public:
    /// Copies the data; the loss image is 1 x 1 x 1.   Objective-C: -initWithDevice:labelsDescriptor:
    CNNLossLabels(std::shared_ptr<MTL::Device> device, const CNNLossDataDescriptor& labelsDescriptor);
    /// lossImageSize: {1,1,1} for a reducing loss, the labels' size (depth: channels) for
    /// CNNReductionType::None. Throws MPS::Error for another, and for weights of another size. Objective-C:
    /// -initWithDevice:lossImageSize:labelsDescriptor:weightsDescriptor:
    CNNLossLabels(std::shared_ptr<MTL::Device> device, const MTL::Size& lossImageSize,
                  const CNNLossDataDescriptor& labelsDescriptor,
                  const CNNLossDataDescriptor* weightsDescriptor = nullptr);
    /// Keeps the images, which must hold their values when the loss runs. weightsImage may be null.
    /// Objective-C: -initWithDevice:lossImageSize:labelsImage:weightsImage:
    CNNLossLabels(std::shared_ptr<MTL::Device> device, const MTL::Size& lossImageSize,
                  std::shared_ptr<Image> labelsImage, std::shared_ptr<Image> weightsImage);
    ~CNNLossLabels() override;

    /// Labels for a batch whose images lie back to back, so that one operation serves them all. An extension;
    /// labels made one by one work as well. weightsDescriptors is empty or as long as labelsDescriptors.
    static CNNLossLabelsBatch batch(const std::shared_ptr<MTL::Device>& device,
                                    const MTL::Size& lossImageSize,
                                    const std::vector<CNNLossDataDescriptor>& labelsDescriptors,
                                    const std::vector<CNNLossDataDescriptor>& weightsDescriptors = {});
    /// The same around a batch of label images (and weight images, or none); only the loss images are new.
    static CNNLossLabelsBatch batch(const std::shared_ptr<MTL::Device>& device,
                                    const MTL::Size& lossImageSize,
                                    const std::vector<std::shared_ptr<Image>>& labelsImages,
                                    const std::vector<std::shared_ptr<Image>>& weightsImages = {});

    /// The loss: undefined before the encode completes; synchronise it before the host reads it.
    const std::shared_ptr<Image>& lossImage() const { return lossImage_; }
    const std::shared_ptr<Image>& labelsImage() const { return labelsImage_; }
    /// All ones, made at the first call, when there are no weights.
    const std::shared_ptr<Image>& weightsImage();

    const char* className() const override { return "CNNLossLabels"; }

protected:
    void describe(Facts& facts) const override;

private:
    CNNLossLabels(std::shared_ptr<MTL::Device> device, std::shared_ptr<Image> labelsImage,
                  std::shared_ptr<Image> weightsImage, std::shared_ptr<Image> lossImage);
    void check(const MTL::Size& lossImageSize) const;

    std::shared_ptr<Image> labelsImage_, weightsImage_, lossImage_;
    bool weighted_ = false;

    friend struct pewter::mps::LossLabelsAccess;
};

/// MPSCNNLossDescriptor.
struct PEWTER_API CNNLossDescriptor {
    CNNLossType lossType = CNNLossType::MeanSquaredError;
    CNNReductionType reductionType = CNNReductionType::None;
    /// Also sum over the batch: the result lies in the first loss image, the others are 0. Ignored for None.
    bool reduceAcrossBatch = false;
    /// Multiplies loss and gradient.
    float weight = 1;
    /// SoftMaxCrossEntropy: t (1 - s) + s / numberOfClasses. SigmoidCrossEntropy: t (1 - s) + s / 2.
    float labelSmoothing = 0;
    /// Is not taken from the channels; the default adds all of the smoothing to every channel.
    std::size_t numberOfClasses = 1;
    /// Log only.
    float epsilon = 1e-7f;
    /// Huber only.
    float delta = 1;

    /// Objective-C: +cnnLossDescriptorWithType:reductionType:
    static CNNLossDescriptor cnnLossDescriptor(CNNLossType lossType, CNNReductionType reductionType);

    friend bool operator==(const CNNLossDescriptor&, const CNNLossDescriptor&) = default;
};

/// What CNNLoss and CNNYOLOLoss share (a helper of this library, no class of MPS): encodes with labels.
///
/// The destination image receives the gradient, of the source's size; the loss goes to the labels' lossImage.
/// Labels and weights have the source's size. Encodes without labels refuse.
class PEWTER_API CNNLossKernel : public CNNKernel {
public:
    virtual CNNReductionType reductionType() const = 0;

    /// Objective-C: -encodeToCommandBuffer:sourceImage:labels:destinationImage:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Image>& sourceImage, const std::shared_ptr<CNNLossLabels>& labels,
                const std::shared_ptr<Image>& destinationImage);
    /// Returns the gradient.   Objective-C: -encodeToCommandBuffer:sourceImage:labels:
    std::shared_ptr<Image> encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const std::shared_ptr<Image>& sourceImage,
                                  const std::shared_ptr<CNNLossLabels>& labels);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:labels:destinationImages:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
                     const CNNLossLabelsBatch& labels, const ImageBatch& destinationImages);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:labels:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const ImageBatch& sourceImages, const CNNLossLabelsBatch& labels);

    bool isStateModified() const override { return true; }

protected:
    explicit CNNLossKernel(std::shared_ptr<MTL::Device> device);

    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) final;
    /// Appends the one operation.
    virtual void recordLoss(pewter::mps::Encoder& encoder, const pewter::mps::LossOperands& operands) = 0;

private:
    void requireLabels(const CNNLossLabelsBatch& labels, std::size_t images) const;
};

/// MPSCNNLoss: the loss of predictions against labels, and its gradient, in one encode.
///
/// The gradient is weight * w * dl/dy; the reduction does not divide it. SoftMaxCrossEntropy takes logits.
/// Formulas: docs/ops/loss.md, after the documentation of Apple's MPSCNNLoss.h; for hinge labels 0 and 1 stand
/// for -1 and 1.
class PEWTER_API CNNLoss final : public CNNLossKernel {
public:
    /// Throws MPS::Error for an unknown type, CosineDistance with a reduction other than Sum, and a smoothing
    /// outside [0, 1].   Objective-C: -initWithDevice:lossDescriptor:
    CNNLoss(std::shared_ptr<MTL::Device> device, const CNNLossDescriptor& lossDescriptor);

    CNNLossType lossType() const { return descriptor_.lossType; }
    CNNReductionType reductionType() const override { return descriptor_.reductionType; }
    bool reduceAcrossBatch() const { return descriptor_.reduceAcrossBatch; }
    float weight() const { return descriptor_.weight; }
    float labelSmoothing() const { return descriptor_.labelSmoothing; }
    std::size_t numberOfClasses() const { return descriptor_.numberOfClasses; }
    float epsilon() const { return descriptor_.epsilon; }
    float delta() const { return descriptor_.delta; }

    const char* className() const override { return "CNNLoss"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    void recordLoss(pewter::mps::Encoder& encoder, const pewter::mps::LossOperands& operands) override;

private:
    CNNLossDescriptor descriptor_;
};

}  // namespace MPS
