#include <fmt/format.h>

#include <MPS/CNNYOLOLoss.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Encoder.h"
#include "mps/kernels/LossFunctions.h"
#include "ops/YoloLoss.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

CNNYOLOLossDescriptor CNNYOLOLossDescriptor::cnnLossDescriptor(CNNLossType XYLossType, CNNLossType WHLossType,
                                                               CNNLossType confidenceLossType,
                                                               CNNLossType classesLossType,
                                                               CNNReductionType reductionType,
                                                               const std::vector<float>& anchorBoxes,
                                                               std::size_t numberOfAnchorBoxes) {
    CNNYOLOLossDescriptor descriptor;
    descriptor.XYLossDescriptor = CNNLossDescriptor::cnnLossDescriptor(XYLossType, reductionType);
    descriptor.WHLossDescriptor = CNNLossDescriptor::cnnLossDescriptor(WHLossType, reductionType);
    descriptor.confidenceLossDescriptor =
        CNNLossDescriptor::cnnLossDescriptor(confidenceLossType, reductionType);
    descriptor.classesLossDescriptor = CNNLossDescriptor::cnnLossDescriptor(classesLossType, reductionType);
    descriptor.reductionType = reductionType;
    descriptor.anchorBoxes = anchorBoxes;
    descriptor.numberOfAnchorBoxes = numberOfAnchorBoxes;
    return descriptor;
}

CNNYOLOLoss::CNNYOLOLoss(std::shared_ptr<MTL::Device> device, const CNNYOLOLossDescriptor& lossDescriptor)
    : CNNLossKernel(std::move(device)), descriptor_(lossDescriptor) {
    auto& d = descriptor_;
    if (d.numberOfAnchorBoxes == 0) throw Error(name(), "numberOfAnchorBoxes", "at least 1", "0");
    if (d.anchorBoxes.size() / 2 < d.numberOfAnchorBoxes)
        throw Error(name(), "anchorBoxes",
                    fmt::format("{} numbers, width and height of {} anchors", 2 * d.numberOfAnchorBoxes,
                                d.numberOfAnchorBoxes),
                    fmt::format("{}", d.anchorBoxes.size()));
    for (std::size_t i = 0; i < 2 * d.numberOfAnchorBoxes; ++i)
        if (!(d.anchorBoxes[i] > 0))
            throw Error(name(), fmt::format("anchorBoxes[{}]", i), "a width or height above 0",
                        fmt::format("{}", d.anchorBoxes[i]));
    const auto part = [&](const char* argument, CNNLossDescriptor& own) {
        if (own.lossType == CNNLossType::CosineDistance)
            throw Error(name(), argument, "a loss of single elements", "CosineDistance");
        own.reductionType = d.reductionType;
        own.reduceAcrossBatch = d.reduceAcrossBatch;
        checkLoss(*this, own);
        return std::make_shared<CNNLoss>(this->device(), own);
    };
    lossXY_ = part("XYLossDescriptor", d.XYLossDescriptor);
    lossWH_ = part("WHLossDescriptor", d.WHLossDescriptor);
    lossConfidence_ = part("confidenceLossDescriptor", d.confidenceLossDescriptor);
    lossClasses_ = part("classesLossDescriptor", d.classesLossDescriptor);
}

std::shared_ptr<Kernel> CNNYOLOLoss::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<CNNYOLOLoss>(*this);
    if (!device) return copy;
    copy->setDevice(device);
    for (auto* loss : {&copy->lossXY_, &copy->lossWH_, &copy->lossConfidence_, &copy->lossClasses_})
        *loss = std::dynamic_pointer_cast<CNNLoss>((*loss)->copy(device));
    return copy;
}

void CNNYOLOLoss::validate(const UnaryEncoding& encoding) const {
    CNNLossKernel::validate(encoding);
    const auto channels = encoding.sourceChannels.count, anchors = numberOfAnchorBoxes();
    if (channels % anchors != 0 || channels / anchors < 6)
        throw Error(
            name(), "sourceImage",
            fmt::format("{} (5 + K) feature channels for {} anchors and K >= 1 classes", anchors, anchors),
            fmt::format("{}", channels));
}

void CNNYOLOLoss::recordLoss(Encoder& encoder, const LossOperands& operands) {
    const auto& d = descriptor_;
    ops::YoloLoss settings;
    settings.position = functionOf(d.XYLossDescriptor);
    settings.size = functionOf(d.WHLossDescriptor);
    settings.confidence = functionOf(d.confidenceLossDescriptor);
    settings.classes = functionOf(d.classesLossDescriptor);
    settings.reduction = reductionOf(d.classesLossDescriptor);
    settings.scalePosition = d.scaleXY;
    settings.scaleSize = d.scaleWH;
    settings.scaleNoObject = d.scaleNoObject;
    settings.scaleObject = d.scaleObject;
    settings.scaleClass = d.scaleClass;
    settings.minIou = d.minIOUForObjectPresence;
    settings.maxIou = d.maxIOUForObjectAbsence;
    settings.rescore = d.rescore;
    settings.predictedBoxes = d.presence == CNNYOLOLossPresence::PredictedBox;
    settings.normalised = d.normalization == CNNYOLOLossNormalization::PerTerm;
    settings.anchorCount = static_cast<std::int64_t>(d.numberOfAnchorBoxes);
    encoder.run([settings, operands, anchors = d.anchorBoxes] {
        ops::YoloLoss op = settings;
        op.anchors = anchors.data();
        operands.fill(op);
        return op;
    });
}

}  // namespace MPS
