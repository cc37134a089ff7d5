#pragma once

#include <memory>
#include <vector>

#include <MPS/CNNLoss.hpp>

namespace MPS {

/// Which IOU with the true box decides whether an anchor has an object. MPS leaves it open; an extension.
enum class CNNYOLOLossPresence {
    /// Of the anchor itself, on the true box's centre.
    AnchorShape,
    /// Of the box that the anchor predicts.
    PredictedBox,
};

/// What the terms of a YOLO loss are divided by, before the reduction. MPS leaves it open; an extension.
enum class CNNYOLOLossNormalization {
    None,
    /// Position and classes: by the number of anchors with an object in the batch + 1e-4; sizes: by twice
    /// that number; confidence: by the number of cells of the batch.
    PerTerm,
};

/// MPSCNNYOLOLossDescriptor: the loss of a detector that predicts boxes around anchors in the cells of a
/// grid.
struct PEWTER_API CNNYOLOLossDescriptor {
    /// Position, size, confidence and classes of a box. Their reductions count for nothing: reductionType is
    /// theirs.
    CNNLossDescriptor XYLossDescriptor, WHLossDescriptor, confidenceLossDescriptor, classesLossDescriptor;
    CNNReductionType reductionType = CNNReductionType::None;
    /// Also sum over the batch: the result lies in the first loss image, the others are 0. Ignored for None.
    bool reduceAcrossBatch = false;
    /// Whether the confidence to learn is the IOU of the predicted and the true box, or 1.
    bool rescore = true;
    /// Factors on loss and gradient.
    float scaleXY = 10, scaleWH = 10, scaleNoObject = 5, scaleObject = 100, scaleClass = 2;
    /// Above it an anchor has the object although another one fits better.
    float minIOUForObjectPresence = 0.7f;
    /// Below it an anchor without object learns confidence 0; those between learn nothing.
    float maxIOUForObjectAbsence = 0.3f;
    std::size_t numberOfAnchorBoxes = 0;
    /// Width and height of each anchor, in cells.
    std::vector<float> anchorBoxes;
    CNNYOLOLossPresence presence = CNNYOLOLossPresence::AnchorShape;
    CNNYOLOLossNormalization normalization = CNNYOLOLossNormalization::None;

    /// Objective-C:
    /// +cnnLossDescriptorWithXYLossType:WHLossType:confidenceLossType:classesLossType:reductionType:
    /// anchorBoxes:numberOfAnchorBoxes:
    static CNNYOLOLossDescriptor cnnLossDescriptor(CNNLossType XYLossType, CNNLossType WHLossType,
                                                   CNNLossType confidenceLossType,
                                                   CNNLossType classesLossType,
                                                   CNNReductionType reductionType,
                                                   const std::vector<float>& anchorBoxes,
                                                   std::size_t numberOfAnchorBoxes);
};

/// MPSCNNYOLOLoss: the loss of a detector and its gradient, in one encode.
///
/// Channels of sources, labels, weights and gradients: for each of A anchors x, y, width, height, confidence
/// and K classes, together A (5 + K). Labels: the centre in its cell (0 to 1), the size in cells, 1 or 0 for
/// an object, one-hot classes; the same box in all anchors of its cell. Formulas: docs/ops/yolo_loss.md,
/// after MPSCNNLoss.h. What is not divided there is not divided here: see CNNYOLOLossNormalization. Mean
/// divides by W * H * C.
class PEWTER_API CNNYOLOLoss final : public CNNLossKernel {
public:
    /// Throws MPS::Error for anchors that are missing, too few or not positive, CosineDistance (which has no
    /// loss of one element), and as CNNLoss does.   Objective-C: -initWithDevice:lossDescriptor:
    CNNYOLOLoss(std::shared_ptr<MTL::Device> device, const CNNYOLOLossDescriptor& lossDescriptor);

    /// The four losses as kernels of their own, with the shared reduction.
    const std::shared_ptr<CNNLoss>& lossXY() const { return lossXY_; }
    const std::shared_ptr<CNNLoss>& lossWH() const { return lossWH_; }
    const std::shared_ptr<CNNLoss>& lossConfidence() const { return lossConfidence_; }
    const std::shared_ptr<CNNLoss>& lossClasses() const { return lossClasses_; }
    float scaleXY() const { return descriptor_.scaleXY; }
    float scaleWH() const { return descriptor_.scaleWH; }
    float scaleNoObject() const { return descriptor_.scaleNoObject; }
    float scaleObject() const { return descriptor_.scaleObject; }
    float scaleClass() const { return descriptor_.scaleClass; }
    float minIOUForObjectPresence() const { return descriptor_.minIOUForObjectPresence; }
    float maxIOUForObjectAbsence() const { return descriptor_.maxIOUForObjectAbsence; }
    CNNReductionType reductionType() const override { return descriptor_.reductionType; }
    bool reduceAcrossBatch() const { return descriptor_.reduceAcrossBatch; }
    bool rescore() const { return descriptor_.rescore; }
    std::size_t numberOfAnchorBoxes() const { return descriptor_.numberOfAnchorBoxes; }
    const std::vector<float>& anchorBoxes() const { return descriptor_.anchorBoxes; }
    CNNYOLOLossPresence presence() const { return descriptor_.presence; }
    CNNYOLOLossNormalization normalization() const { return descriptor_.normalization; }

    const char* className() const override { return "CNNYOLOLoss"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void recordLoss(pewter::mps::Encoder& encoder, const pewter::mps::LossOperands& operands) override;

private:
    CNNYOLOLossDescriptor descriptor_;
    std::shared_ptr<CNNLoss> lossXY_, lossWH_, lossConfidence_, lossClasses_;
};

}  // namespace MPS
