#include "train/OptimizerDriver.h"

namespace pewter::train {

namespace {

MPS::OptimizerVectors zeros(const std::shared_ptr<MTL::Device>& device, std::size_t first, std::size_t second) {
    MPS::OptimizerVectors vectors;
    for (const std::size_t length : {first, second}) {
        if (length == 0) continue;
        vectors.push_back(std::make_shared<MPS::Vector>(
            device->newBuffer(length * sizeof(float), MTL::ResourceStorageModeManaged),
            MPS::VectorDescriptor::vectorDescriptor(length, MPS::DataType::Float32)));
    }
    return vectors;
}

}  // namespace

OptimizerDriver::OptimizerDriver(const std::shared_ptr<MTL::Device>& device, const OptimizerSettings& s,
                                 std::size_t first, std::size_t second) {
    switch (s.kind) {
        case OptimizerSettings::Kind::StochasticGradientDescent:
            sgd_ = std::make_shared<MPS::NNOptimizerStochasticGradientDescent>(device, s.momentum, s.nesterov,
                                                                               s.descriptor);
            break;
        case OptimizerSettings::Kind::RMSProp:
            rms_ = std::make_shared<MPS::NNOptimizerRMSProp>(device, s.decay, s.epsilon, s.descriptor);
            break;
        case OptimizerSettings::Kind::Adam:
            adam_ = std::make_shared<MPS::NNOptimizerAdam>(device, s.beta1, s.beta2, s.epsilon, 0, s.descriptor);
            break;
    }
    for (std::size_t i = 0; i < momentCount(); ++i) moments_.push_back(zeros(device, first, second));
}

std::size_t OptimizerDriver::momentCount() const {
    if (adam_) return 2;
    return rms_ || sgd_->momentumScale() != 0 ? 1 : 0;
}

std::shared_ptr<MPS::NNOptimizer> OptimizerDriver::optimizer() const {
    if (adam_) return adam_;
    if (rms_) return rms_;
    return sgd_;
}

void OptimizerDriver::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                             const MPS::OptimizerVectors& gradients, const MPS::OptimizerVectors& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto &g = gradients[i], &v = values[i];
        if (adam_) {
            // Each encode counts a step: the second is of the same as the first.
            adam_->setTimeStep(updates_);
            adam_->encode(commandBuffer, g, v, moments_[0][i], moments_[1][i], v);
        } else if (rms_) {
            rms_->encode(commandBuffer, g, v, moments_[0][i], v);
        } else {
            sgd_->encode(commandBuffer, g, v, moments_.empty() ? nullptr : moments_[0][i], v);
        }
    }
    ++updates_;
}

void OptimizerDriver::setLearningRate(float rate) { optimizer()->setLearningRate(rate); }

}  // namespace pewter::train
