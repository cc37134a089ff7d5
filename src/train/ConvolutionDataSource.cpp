#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/DataSources.hpp>
#include <Pewter/train/Random.hpp>
#include <algorithm>
#include <cmath>
#include <tuple>

#include "mtl/Buffer.h"
#include "mps/core/StateAccess.h"
#include "train/OptimizerDriver.h"

namespace pewter::train {

namespace {

/// Whether a state of the command buffer shows a kernel's own memory instead of a copy.
bool isLent(const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& state) {
    if (!state || !state->isTemporary() || state->readCount() == 0) return false;
    const auto resources = mps::StateAccess::resources(*state);
    return !resources.empty() && resources.front().callers && resources.front().resource;
}

}  // namespace

DataSource::~DataSource() = default;

void Initializer::fill(std::span<float> values, double fanIn, double fanOut, std::uint64_t seed,
                       std::uint64_t stream) const {
    Random random(seed, stream);
    const auto uniform = [&](double bound) {
        for (float& v : values) v = static_cast<float>((2 * random.uniform() - 1) * bound);
    };
    switch (kind) {
        case Kind::Constant: std::fill(values.begin(), values.end(), value); break;
        case Kind::Uniform: uniform(value); break;
        case Kind::Xavier: uniform(std::sqrt(3.0 / (fanIn / 2 + fanOut / 2))); break;
        case Kind::HeNormal:
            // Box and Muller, 1958.
            for (float& v : values) {
                const double u = 1 - random.uniform(), w = random.uniform();
                v = static_cast<float>(std::sqrt(2 / fanIn) * std::sqrt(-2 * std::log(u)) *
                                       std::cos(2 * 3.14159265358979323846 * w));
            }
            break;
    }
}

ConvolutionDataSource::ConvolutionDataSource(const std::shared_ptr<MTL::Device>& device, const std::string& label,
                                             const ConvolutionShape& shape, const Initializer& weights, float bias,
                                             const OptimizerSettings& optimizer, std::uint64_t seed,
                                             std::uint64_t stream)
    : label_(label), shape_(shape), device_(device) {
    if (!device) throw MPS::Error("data source " + label, "device", "a device", "null");
    descriptor_ = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(shape.kernelWidth, shape.kernelHeight,
                                                                          shape.inputs, shape.outputs);
    descriptor_->setStrideInPixelsX(shape.strideX);
    descriptor_->setStrideInPixelsY(shape.strideY);
    descriptor_->setGroups(shape.groups);
    allocate();
    const std::size_t count = descriptor_->weightCount();
    const double taps = static_cast<double>(shape.kernelWidth * shape.kernelHeight);
    std::vector<float> values(count);
    weights.fill(values, taps * static_cast<double>(shape.inputs / shape.groups),
                 taps * static_cast<double>(shape.outputs), seed, stream);
    mtl::writeBytes(*weights_, 0, values.data(), weights_->length());
    values.assign(shape.bias ? shape.outputs : 0, bias);
    if (biases_) mtl::writeBytes(*biases_, 0, values.data(), biases_->length());
    optimizer_ = std::make_unique<OptimizerDriver>(device, optimizer, count, shape.bias ? shape.outputs : 0);
}

void ConvolutionDataSource::allocate() {
    weights_ = device_->newBuffer(descriptor_->weightCount() * sizeof(float), MTL::ResourceStorageModeManaged);
    if (shape_.bias) biases_ = device_->newBuffer(shape_.outputs * sizeof(float), MTL::ResourceStorageModeManaged);
    state_ = std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(weights_, biases_);
}

ConvolutionDataSource::~ConvolutionDataSource() = default;

std::optional<std::size_t> ConvolutionDataSource::weightsLength() const {
    return weights_->length() / sizeof(float);
}

std::optional<std::size_t> ConvolutionDataSource::biasTermsLength() const {
    return biases_ ? biases_->length() / sizeof(float) : 0;
}

const void* ConvolutionDataSource::weights() const { return mtl::currentContents(*weights_); }
const float* ConvolutionDataSource::biasTerms() const {
    return biases_ ? static_cast<const float*>(mtl::currentContents(*biases_)) : nullptr;
}

std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> ConvolutionDataSource::update(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
    const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) {
    // What a kernel lends may be updated where it lies. It becomes the source's own, so that neither the update nor the
    // reload that follows moves a second copy of the weights.
    if (const auto lent = isLent(sourceState) ? sourceState->weights() : nullptr; lent && lent != weights_) {
        weights_ = lent;
        if (biases_) biases_ = sourceState->biases();
        state_ = std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(weights_, biases_);
    }
    optimizer_->encode(commandBuffer, std::tie(gradientState, sourceState), state_);
    return state_;
}

bool ConvolutionDataSource::update(const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
                                   const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) {
    runNow(device_, [&](const auto& commandBuffer) {
        optimizer_->encode(commandBuffer, std::tie(gradientState, sourceState), state_);
    });
    return true;
}

void ConvolutionDataSource::setLearningRate(float rate) { optimizer_->setLearningRate(rate); }
std::size_t ConvolutionDataSource::parameterCount() const { 
    return descriptor_->weightCount() + (shape_.bias ? shape_.outputs : 0);
}
std::uint64_t ConvolutionDataSource::updateCount() const { return optimizer_->updates(); }

}  // namespace pewter::train
