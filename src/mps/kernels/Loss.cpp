#include <MPS/CNNLoss.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Encoder.h"
#include "mps/kernels/LossFunctions.h"

namespace MPS {

using namespace pewter::mps;

CNNLossDescriptor CNNLossDescriptor::cnnLossDescriptor(CNNLossType lossType, CNNReductionType reductionType) {
    CNNLossDescriptor descriptor;
    descriptor.lossType = lossType;
    descriptor.reductionType = reductionType;
    return descriptor;
}

CNNLoss::CNNLoss(std::shared_ptr<MTL::Device> device, const CNNLossDescriptor& lossDescriptor)
    : CNNLossKernel(std::move(device)), descriptor_(lossDescriptor) {
    checkLoss(*this, descriptor_);
}

std::shared_ptr<Kernel> CNNLoss::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNLoss>(new CNNLoss(*this));
    if (device) copy->setDevice(device);
    return copy;
}

void CNNLoss::recordLoss(Encoder& encoder, const LossOperands& operands) {
    encodeLoss(encoder, operands, descriptor_);
}

}  // namespace MPS
