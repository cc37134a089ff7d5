#include <fmt/format.h>

#include <MPS/CNNBinaryConvolution.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <cmath>
#include <vector>

#include "mps/core/Encoder.h"
#include "mps/core/SharedSources.h"
#include "mps/kernels/BinaryConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"
#include "mps/kernels/ConvolutionRecord.h"
#include "mps/kernels/Neurons.h"

namespace pewter::mps {

namespace {

ArrayRef arrayOf(const std::shared_ptr<MTL::Device>& device, const void* data, ops::Type type,
                 std::size_t count) {
    if (!data) return {};
    return {device->newBuffer(data, count * ops::sizeOf(type), MTL::ResourceStorageModeManaged), 0, type,
            static_cast<std::int64_t>(count)};
}

}  // namespace

}  // namespace pewter::mps

namespace MPS {

namespace ops = pewter::ops;
using namespace pewter::mps;

namespace {

void checkBinary(const CNNConvolutionDescriptor& d, const std::string& who) {
    if (d.groups() != 1)
        throw Error(who, "groups", "1 for a binary convolution", fmt::format("{}", d.groups()));
    if (d.channelMultiplier() > 0 || d.subPixelScaleFactor() > 1)
        throw Error(who, "descriptor", "a plain convolution descriptor", d.className());
}

/// Output biases and scales with the descriptor's batch normalisation in them.
void fold(const CNNConvolutionDescriptor::BatchNormalization& bn, std::vector<float>& bias,
          std::vector<float>& scale) {
    for (std::size_t o = 0; o < bias.size(); ++o) {
        const double factor = bn.gamma[o] / std::sqrt(static_cast<double>(bn.variance[o]) + bn.epsilon);
        scale[o] = static_cast<float>(scale[o] * factor);
        bias[o] = static_cast<float>(bias[o] * factor + bn.beta[o] - factor * bn.mean[o]);
    }
}

}  // namespace

// --- CNNBinaryConvolution ---

CNNBinaryConvolution::CNNBinaryConvolution(std::shared_ptr<MTL::Device> device,
                                           std::shared_ptr<CNNConvolutionDataSource> convolutionData,
                                           float scaleValue, CNNBinaryConvolutionType type,
                                           CNNBinaryConvolutionFlags flags)
    : CNNBinaryConvolution(std::move(device), std::move(convolutionData), &scaleValue, nullptr, nullptr,
                           nullptr, nullptr, type, flags, "CNNBinaryConvolution") {}

CNNBinaryConvolution::CNNBinaryConvolution(std::shared_ptr<MTL::Device> device,
                                           std::shared_ptr<CNNConvolutionDataSource> convolutionData,
                                           const float* outputBiasTerms, const float* outputScaleTerms,
                                           const float* inputBiasTerms, const float* inputScaleTerms,
                                           CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags)
    : CNNBinaryConvolution(std::move(device), std::move(convolutionData), nullptr, outputBiasTerms,
                           outputScaleTerms, inputBiasTerms, inputScaleTerms, type, flags,
                           "CNNBinaryConvolution") {}

CNNBinaryConvolution::CNNBinaryConvolution(std::shared_ptr<MTL::Device> kernelDevice,
                                           std::shared_ptr<CNNConvolutionDataSource> convolutionData,
                                           const float* scaleValue, const float* outputBiasTerms,
                                           const float* outputScaleTerms, const float* inputBiasTerms,
                                           const float* inputScaleTerms, CNNBinaryConvolutionType type,
                                           CNNBinaryConvolutionFlags flags, const char* className)
    : CNNKernel(std::move(kernelDevice)),
      dataSource_(std::move(convolutionData)),
      type_(type),
      flags_(flags) {
    if (type > CNNBinaryConvolutionType::AND)
        throw Error(className, "type", "BinaryWeights, XNOR or AND",
                    fmt::format("{}", static_cast<std::uint64_t>(type)));
    if (flags > CNNBinaryConvolutionFlags::UseBetaScaling)
        throw Error(className, "flags", "None or UseBetaScaling",
                    fmt::format("{}", static_cast<std::uint64_t>(flags)));
    const LoadedSource source(dataSource_.get(), className);
    setLabel(source->label());
    descriptor_ = source.descriptor();
    const auto& d = *descriptor_;
    checkBinary(d, source.who());
    if (const auto dataType = source->dataType(); dataType != DataType::UInt32)
        throw Error(source.who(), "dataType", "UInt32 for a binary convolution",
                    fmt::format("DataType {:#x}", static_cast<std::uint32_t>(dataType)));
    if (!source->weights()) throw Error(source.who(), "weights", "a pointer to the weights", "null");
    setWindow(d.kernelWidth(), d.kernelHeight(), d.strideInPixelsX(), d.strideInPixelsY(), d.dilationRateX(),
              d.dilationRateY());

    const std::size_t inputs = d.inputFeatureChannels(), outputs = d.outputFeatureChannels();
    const std::size_t words = outputs * d.kernelHeight() * d.kernelWidth() * ((inputs + 31) / 32);
    source.requireLengths(words, scaleValue ? outputs : 0);
    BinaryParameters p;
    p.weights = arrayOf(device(), source->weights(), ops::Type::UInt32, words);
    p.inputBias = arrayOf(device(), inputBiasTerms, ops::Type::Float32, inputs);
    p.inputScale = arrayOf(device(), inputScaleTerms, ops::Type::Float32, inputs);
    const float* biases = scaleValue ? source->biasTerms() : outputBiasTerms;
    std::vector<float> bias(outputs, 0.0f), scale(outputs, scaleValue ? *scaleValue : 1.0f);
    if (biases) bias.assign(biases, biases + outputs);
    if (outputScaleTerms) scale.assign(outputScaleTerms, outputScaleTerms + outputs);
    if (const auto& bn = d.batchNormalization()) fold(*bn, bias, scale);
    p.outputBias = arrayOf(device(), bias.data(), ops::Type::Float32, outputs);
    p.outputScale = arrayOf(device(), scale.data(), ops::Type::Float32, outputs);
    parameters_ = std::make_shared<const BinaryParameters>(std::move(p));
}

std::shared_ptr<CNNBinaryConvolution> CNNBinaryConvolution::clone() const {
    return std::shared_ptr<CNNBinaryConvolution>(new CNNBinaryConvolution(*this));
}

std::shared_ptr<Kernel> CNNBinaryConvolution::copy(const std::shared_ptr<MTL::Device>& target) const {
    auto kernel = clone();
    if (target && target != device()) {
        kernel->setDevice(target);
        // Parameters never change, so that only another device needs its own.
        BinaryParameters p = *parameters_;
        for (auto* array : {&p.weights, &p.outputBias, &p.outputScale, &p.inputBias, &p.inputScale})
            if (*array)
                *array = arrayOf(target, pewter::mtl::currentContents(*array->buffer), array->type,
                                 static_cast<std::size_t>(array->size));
        kernel->parameters_ = std::make_shared<const BinaryParameters>(std::move(p));
    }
    if (auto source = copyOfSource(dataSource_, kernel->device())) kernel->dataSource_ = std::move(source);
    return kernel;
}

std::size_t CNNBinaryConvolution::resultFeatureChannels(std::size_t) const { return outputFeatureChannels(); }

void CNNBinaryConvolution::validate(const UnaryEncoding& encoding) const {
    checkInputChannels(encoding.sourceChannels, inputFeatureChannels(), name(), "sourceImage");
    if (!encoding.destinationStates.empty())
        throw Error(name(), "destinationState", "none: a binary convolution has no gradient",
                    fmt::format("a {}", encoding.destinationStates[0]->className()));
}

void CNNBinaryConvolution::record(UnaryEncoding& encoding) {
    const Offset from = effectiveOffset();
    const auto window = windowOf(
        *descriptor_, static_cast<std::int64_t>((kernelWidth() - 1) * dilationRateX() + 1) / 2 - from.x,
        static_cast<std::int64_t>((kernelHeight() - 1) * dilationRateY() + 1) / 2 - from.y, edgeMode());
    const auto source = encoding.source.channels(0, static_cast<std::int64_t>(inputFeatureChannels()));
    encoding.encoder->run([source, p = parameters_, destination = encoding.destination, window,
                           type = static_cast<ops::BinaryConvolutionType>(type_),
                           beta = flags_ == CNNBinaryConvolutionFlags::UseBetaScaling,
                           neuron = neuronOf(descriptor_->fusedNeuronDescriptor())] {
        ops::BinaryConvolutionForward op;
        op.type = type;
        op.src = source.tensor();
        op.dst = destination.tensor();
        op.weights = p->weights.array();
        op.inputBias = p->inputBias.array();
        op.inputScale = p->inputScale.array();
        op.outputBias = p->outputBias.array();
        op.outputScale = p->outputScale.array();
        op.window = window;
        op.betaScaling = beta;
        op.neuron = neuron.neuron;
        return op;
    });
}

// --- CNNBinaryFullyConnected ---

CNNBinaryFullyConnected::CNNBinaryFullyConnected(std::shared_ptr<MTL::Device> device,
                                                 std::shared_ptr<CNNConvolutionDataSource> convolutionData,
                                                 float scaleValue, CNNBinaryConvolutionType type,
                                                 CNNBinaryConvolutionFlags flags)
    : CNNBinaryConvolution(std::move(device), std::move(convolutionData), &scaleValue, nullptr, nullptr,
                           nullptr, nullptr, type, flags, "CNNBinaryFullyConnected") {
    finishConstruction();
}

CNNBinaryFullyConnected::CNNBinaryFullyConnected(std::shared_ptr<MTL::Device> device,
                                                 std::shared_ptr<CNNConvolutionDataSource> convolutionData,
                                                 const float* outputBiasTerms, const float* outputScaleTerms,
                                                 const float* inputBiasTerms, const float* inputScaleTerms,
                                                 CNNBinaryConvolutionType type,
                                                 CNNBinaryConvolutionFlags flags)
    : CNNBinaryConvolution(std::move(device), std::move(convolutionData), nullptr, outputBiasTerms,
                           outputScaleTerms, inputBiasTerms, inputScaleTerms, type, flags,
                           "CNNBinaryFullyConnected") {
    finishConstruction();
}

void CNNBinaryFullyConnected::finishConstruction() {
    const auto& d = descriptor();
    for (const auto& [argument, value] : {std::pair{"strideInPixelsX", d.strideInPixelsX()},
                                          {"strideInPixelsY", d.strideInPixelsY()},
                                          {"dilationRateX", d.dilationRateX()},
                                          {"dilationRateY", d.dilationRateY()}})
        if (value != 1)
            throw Error(name(), argument, "1 for a fully connected kernel", fmt::format("{}", value));
    setPadding(NNDefaultPadding::padding(NNPaddingMethodSizeValidOnly));
}

std::shared_ptr<CNNBinaryConvolution> CNNBinaryFullyConnected::clone() const {
    return std::shared_ptr<CNNBinaryConvolution>(new CNNBinaryFullyConnected(*this));
}

Offset CNNBinaryFullyConnected::effectiveOffset() const {
    return {static_cast<std::int64_t>(kernelWidth() / 2), static_cast<std::int64_t>(kernelHeight() / 2), 0};
}

ImageDescriptor CNNBinaryFullyConnected::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&,
                                                          const StateBatch&,
                                                          const ImageDescriptor& suggested) {
    ImageDescriptor one = suggested;
    one.width = one.height = 1;
    return one;
}

void CNNBinaryFullyConnected::validate(const UnaryEncoding& encoding) const {
    CNNBinaryConvolution::validate(encoding);
    if (encoding.sourceWidth != kernelWidth() || encoding.sourceHeight != kernelHeight())
        throw Error(name(), "sourceImage",
                    fmt::format("{} x {} pixels, the kernel's size", kernelWidth(), kernelHeight()),
                    fmt::format("{} x {}", encoding.sourceWidth, encoding.sourceHeight));
}

void CNNBinaryFullyConnected::record(UnaryEncoding& encoding) {
    encoding.destination = encoding.destination.region(0, 0, 1, 1);
    CNNBinaryConvolution::record(encoding);
}

}  // namespace MPS
