#include <MPS/NNOptimizer.hpp>
#include <MTL/Device.hpp>
#include <cmath>

#include "mps/kernels/OptimizerUpdate.h"

namespace MPS {

namespace ops = pewter::ops;
using namespace pewter::mps;

static_assert(static_cast<int>(NNRegularizationType::L1) == static_cast<int>(ops::RegularizationType::L1));
static_assert(static_cast<int>(NNRegularizationType::L2) == static_cast<int>(ops::RegularizationType::L2));

namespace {

NNOptimizerDescriptor withRate(float learningRate) {
    NNOptimizerDescriptor descriptor;
    descriptor.learningRate = learningRate;
    return descriptor;
}

}  // namespace

NNOptimizerDescriptor NNOptimizerDescriptor::optimizerDescriptor(float learningRate, float gradientRescale,
                                                                 NNRegularizationType regularizationType,
                                                                 float regularizationScale) {
    NNOptimizerDescriptor descriptor = withRate(learningRate);
    descriptor.gradientRescale = gradientRescale;
    descriptor.regularizationType = regularizationType;
    descriptor.regularizationScale = regularizationScale;
    return descriptor;
}

NNOptimizerDescriptor NNOptimizerDescriptor::optimizerDescriptor(float learningRate, float gradientRescale,
                                                                 bool applyGradientClipping,
                                                                 float gradientClipMax, float gradientClipMin,
                                                                 NNRegularizationType regularizationType,
                                                                 float regularizationScale) {
    auto descriptor =
        optimizerDescriptor(learningRate, gradientRescale, regularizationType, regularizationScale);
    descriptor.applyGradientClipping = applyGradientClipping;
    descriptor.gradientClipMax = gradientClipMax;
    descriptor.gradientClipMin = gradientClipMin;
    return descriptor;
}

NNOptimizer::NNOptimizer(std::shared_ptr<MTL::Device> device, const NNOptimizerDescriptor& descriptor)
    : Kernel(std::move(device)), common_(descriptor) {
    if (common_.regularizationType > NNRegularizationType::L2)
        throw Error("NNOptimizer", "regularizationType", "None, L1 or L2",
                    std::to_string(static_cast<std::uint32_t>(common_.regularizationType)));
}

OptimizerUpdate NNOptimizer::common() const {
    OptimizerUpdate update;
    auto& step = update.step;
    step.regularization = static_cast<ops::RegularizationType>(common_.regularizationType);
    step.regularizationScale = common_.regularizationScale;
    step.clip = common_.applyGradientClipping;
    step.clipMin = common_.gradientClipMin;
    step.clipMax = common_.gradientClipMax;
    step.rescale = common_.gradientRescale;
    step.rate = common_.learningRate;
    return update;
}

// --- stochastic gradient descent ---

NNOptimizerStochasticGradientDescent::NNOptimizerStochasticGradientDescent(
    std::shared_ptr<MTL::Device> device, float learningRate)
    : NNOptimizer(std::move(device), withRate(learningRate)) {}

NNOptimizerStochasticGradientDescent::NNOptimizerStochasticGradientDescent(
    std::shared_ptr<MTL::Device> device, float momentumScale, bool useNesterovMomentum,
    const NNOptimizerDescriptor& descriptor)
    : NNOptimizer(std::move(device), descriptor),
      momentumScale_(momentumScale),
      nesterov_(useNesterovMomentum) {}

std::shared_ptr<Kernel> NNOptimizerStochasticGradientDescent::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<NNOptimizerStochasticGradientDescent>(
        new NNOptimizerStochasticGradientDescent(*this));
    if (device) copy->setDevice(device);
    return copy;
}

OptimizerUpdate NNOptimizerStochasticGradientDescent::update() const {
    auto update = common();
    update.step.type = ops::OptimizerType::StochasticGradientDescent;
    update.step.momentum = momentumScale_;
    update.step.nesterov = nesterov_;
    update.moments = {"inputMomentum", nullptr, nullptr};
    update.optionalFirst = true;
    return update;
}

// --- RMSProp ---

NNOptimizerRMSProp::NNOptimizerRMSProp(std::shared_ptr<MTL::Device> device, float learningRate)
    : NNOptimizer(std::move(device), withRate(learningRate)) {}

NNOptimizerRMSProp::NNOptimizerRMSProp(std::shared_ptr<MTL::Device> device, double decay, float epsilon,
                                       const NNOptimizerDescriptor& descriptor)
    : NNOptimizer(std::move(device), descriptor), decay_(decay), epsilon_(epsilon) {}

std::shared_ptr<Kernel> NNOptimizerRMSProp::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<NNOptimizerRMSProp>(new NNOptimizerRMSProp(*this));
    if (device) copy->setDevice(device);
    return copy;
}

OptimizerUpdate NNOptimizerRMSProp::update() const {
    auto update = common();
    update.step.type = ops::OptimizerType::RMSProp;
    update.step.decay = decay_;
    update.step.epsilon = epsilon_;
    update.moments = {"inputSumOfSquares", nullptr, nullptr};
    return update;
}

// --- Adam ---

NNOptimizerAdam::NNOptimizerAdam(std::shared_ptr<MTL::Device> device, float learningRate)
    : NNOptimizer(std::move(device), withRate(learningRate)) {}

NNOptimizerAdam::NNOptimizerAdam(std::shared_ptr<MTL::Device> device, double beta1, double beta2,
                                 float epsilon, std::size_t timeStep, const NNOptimizerDescriptor& descriptor)
    : NNOptimizer(std::move(device), descriptor),
      beta1_(beta1),
      beta2_(beta2),
      epsilon_(epsilon),
      timeStep_(timeStep) {}

std::shared_ptr<Kernel> NNOptimizerAdam::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<NNOptimizerAdam>(new NNOptimizerAdam(*this));
    if (device) copy->setDevice(device);
    return copy;
}

OptimizerUpdate NNOptimizerAdam::update() const {
    auto update = common();
    const auto t = static_cast<double>(timeStep_ + 1);
    update.step.type = ops::OptimizerType::Adam;
    update.step.beta1 = beta1_;
    update.step.beta2 = beta2_;
    update.step.epsilon = epsilon_;
    update.step.rate =
        static_cast<double>(learningRate()) * std::sqrt(1 - std::pow(beta2_, t)) / (1 - std::pow(beta1_, t));
    update.moments = {"inputMomentum", "inputVelocity", "maximumVelocity"};
    return update;
}

}  // namespace MPS
