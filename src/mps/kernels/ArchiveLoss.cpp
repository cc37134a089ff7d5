#include <MPS/CNNLoss.hpp>
#include <MPS/CNNYOLOLoss.hpp>
#include <MPS/NNInitialGradient.hpp>
#include <MPS/NNLoss.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace pewter::mps {

using namespace MPS;

namespace {

/// The settings of a loss; the prefix tells several of one kernel apart.
template <class K>
void encodeLoss(const K& loss, Coder& coder, const std::string& prefix = {}) {
    coder.encodeUnsigned(static_cast<std::uint64_t>(loss.lossType()), prefix + "lossType");
    coder.encodeUnsigned(static_cast<std::uint64_t>(loss.reductionType()), prefix + "reductionType");
    coder.encodeBool(loss.reduceAcrossBatch(), prefix + "reduceAcrossBatch");
    coder.encodeDouble(loss.weight(), prefix + "weight");
    coder.encodeDouble(loss.labelSmoothing(), prefix + "labelSmoothing");
    coder.encodeUnsigned(loss.numberOfClasses(), prefix + "numberOfClasses");
    coder.encodeDouble(loss.epsilon(), prefix + "epsilon");
    coder.encodeDouble(loss.delta(), prefix + "delta");
}

CNNLossDescriptor decodeLoss(Coder& coder, const std::string& prefix = {}) {
    CNNLossDescriptor d;
    d.lossType = coder.decodeEnum(prefix + "lossType", CNNLossType::Count);
    d.reductionType = coder.decodeEnum(prefix + "reductionType", CNNReductionType::Count);
    d.reduceAcrossBatch = coder.decodeBool(prefix + "reduceAcrossBatch");
    d.weight = coder.decodeFloat(prefix + "weight");
    d.labelSmoothing = coder.decodeFloat(prefix + "labelSmoothing");
    d.numberOfClasses = coder.decodeSize(prefix + "numberOfClasses");
    d.epsilon = coder.decodeFloat(prefix + "epsilon");
    d.delta = coder.decodeFloat(prefix + "delta");
    return d;
}

template <class K>
void encodeCallBack(const K& kernel, Coder& coder) {
    coder.encodeObject(securely(kernel.propertyCallBack(), kernel.name(), "propertyCallBack"),
                       "propertyCallBack");
}
template <class K>
std::shared_ptr<K> makeWithCallBack(Coder& coder, const Device& device) {
    auto kernel = std::make_shared<K>(device, decodeLoss(coder));
    kernel->setPropertyCallBack(coder.decodeObjectOfClass<NNLossCallback>("propertyCallBack"));
    return kernel;
}

void encodeYolo(const CNNYOLOLoss& kernel, Coder& coder) {
    encodeLoss(*kernel.lossXY(), coder, "XY.");
    encodeLoss(*kernel.lossWH(), coder, "WH.");
    encodeLoss(*kernel.lossConfidence(), coder, "confidence.");
    encodeLoss(*kernel.lossClasses(), coder, "classes.");
    coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.reductionType()), "reductionType");
    coder.encodeBool(kernel.reduceAcrossBatch(), "reduceAcrossBatch");
    coder.encodeBool(kernel.rescore(), "rescore");
    coder.encodeDouble(kernel.scaleXY(), "scaleXY");
    coder.encodeDouble(kernel.scaleWH(), "scaleWH");
    coder.encodeDouble(kernel.scaleNoObject(), "scaleNoObject");
    coder.encodeDouble(kernel.scaleObject(), "scaleObject");
    coder.encodeDouble(kernel.scaleClass(), "scaleClass");
    coder.encodeDouble(kernel.minIOUForObjectPresence(), "minIOUForObjectPresence");
    coder.encodeDouble(kernel.maxIOUForObjectAbsence(), "maxIOUForObjectAbsence");
    coder.encodeUnsigned(kernel.numberOfAnchorBoxes(), "numberOfAnchorBoxes");
    coder.encodeFloats(kernel.anchorBoxes(), "anchorBoxes");
    coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.presence()), "presence");
    coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.normalization()), "normalization");
}

std::shared_ptr<CNNYOLOLoss> makeYolo(Coder& coder, const Device& device) {
    CNNYOLOLossDescriptor d;
    d.XYLossDescriptor = decodeLoss(coder, "XY.");
    d.WHLossDescriptor = decodeLoss(coder, "WH.");
    d.confidenceLossDescriptor = decodeLoss(coder, "confidence.");
    d.classesLossDescriptor = decodeLoss(coder, "classes.");
    d.reductionType = coder.decodeEnum("reductionType", CNNReductionType::Count);
    d.reduceAcrossBatch = coder.decodeBool("reduceAcrossBatch");
    d.rescore = coder.decodeBool("rescore");
    d.scaleXY = coder.decodeFloat("scaleXY");
    d.scaleWH = coder.decodeFloat("scaleWH");
    d.scaleNoObject = coder.decodeFloat("scaleNoObject");
    d.scaleObject = coder.decodeFloat("scaleObject");
    d.scaleClass = coder.decodeFloat("scaleClass");
    d.minIOUForObjectPresence = coder.decodeFloat("minIOUForObjectPresence");
    d.maxIOUForObjectAbsence = coder.decodeFloat("maxIOUForObjectAbsence");
    d.numberOfAnchorBoxes = coder.decodeSize("numberOfAnchorBoxes");
    d.anchorBoxes = coder.decodeFloats("anchorBoxes");
    d.presence = coder.decodeEnum("presence", CNNYOLOLossPresence::PredictedBox);
    d.normalization = coder.decodeEnum("normalization", CNNYOLOLossNormalization::PerTerm);
    return std::make_shared<CNNYOLOLoss>(device, d);
}

}  // namespace

void archiveLoss(ArchivedClasses& classes) {
    classes.addKernel<CNNLoss>(
        "CNNLoss", [](const CNNLoss& kernel, Coder& coder) { encodeLoss(kernel, coder); },
        [](Coder& coder, const Device& device) {
            return std::make_shared<CNNLoss>(device, decodeLoss(coder));
        });
    classes.addKernel<CNNYOLOLoss>("CNNYOLOLoss", encodeYolo, makeYolo);
    classes.addKernel<NNForwardLoss>(
        "NNForwardLoss",
        [](const NNForwardLoss& kernel, Coder& coder) {
            encodeLoss(kernel, coder);
            encodeCallBack(kernel, coder);
        },
        makeWithCallBack<NNForwardLoss>);
    classes.addKernel<NNLossGradient>(
        "NNLossGradient",
        [](const NNLossGradient& kernel, Coder& coder) {
            encodeLoss(kernel, coder);
            encodeCallBack(kernel, coder);
            coder.encodeBool(kernel.computeLabelGradients(), "computeLabelGradients");
        },
        [](Coder& coder, const Device& device) {
            auto kernel = makeWithCallBack<NNLossGradient>(coder, device);
            kernel->setComputeLabelGradients(coder.decodeBool("computeLabelGradients"));
            return kernel;
        });
    classes.addKernel<NNInitialGradient>("NNInitialGradient");
}

}  // namespace pewter::mps
