#include <MPS/CNNLoss.hpp>
#include <MPS/NNInitialGradient.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace pewter::mps {

using namespace MPS;

void archiveLoss(ArchivedClasses& classes) {
    classes.addKernel<CNNLoss>(
        "CNNLoss",
        [](const CNNLoss& kernel, Coder& coder) {
            coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.lossType()), "lossType");
            coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.reductionType()), "reductionType");
            coder.encodeBool(kernel.reduceAcrossBatch(), "reduceAcrossBatch");
            coder.encodeDouble(kernel.weight(), "weight");
            coder.encodeDouble(kernel.labelSmoothing(), "labelSmoothing");
            coder.encodeUnsigned(kernel.numberOfClasses(), "numberOfClasses");
            coder.encodeDouble(kernel.epsilon(), "epsilon");
            coder.encodeDouble(kernel.delta(), "delta");
        },
        [](Coder& coder, const Device& device) {
            CNNLossDescriptor d;
            d.lossType = coder.decodeEnum("lossType", CNNLossType::Count);
            d.reductionType = coder.decodeEnum("reductionType", CNNReductionType::Count);
            d.reduceAcrossBatch = coder.decodeBool("reduceAcrossBatch");
            d.weight = coder.decodeFloat("weight");
            d.labelSmoothing = coder.decodeFloat("labelSmoothing");
            d.numberOfClasses = coder.decodeSize("numberOfClasses");
            d.epsilon = coder.decodeFloat("epsilon");
            d.delta = coder.decodeFloat("delta");
            return std::make_shared<CNNLoss>(device, d);
        });
    classes.addKernel<NNInitialGradient>("NNInitialGradient");
}

}  // namespace pewter::mps
