#include "mps/kernels/ConvolutionParameters.h"

#include <fmt/format.h>

#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <cmath>
#include <cstring>

#include "mps/kernels/ConvolutionRecord.h"
#include "mps/kernels/Neurons.h"
#include "mps/kernels/TurnedWeights.h"

namespace pewter::mps {

using MPS::CNNConvolutionDataSource;
using MPS::CNNConvolutionDescriptor;
using MPS::CNNWeightsQuantizationType;
using MPS::DataType;
using MTL::Error;

namespace {

std::int64_t extent(std::size_t value) { return static_cast<std::int64_t>(value); }

std::string named(DataType type) {
    switch (type) {
        case DataType::Float32:
            return "Float32";
        case DataType::Float16:
            return "Float16";
        case DataType::BFloat16:
            return "BFloat16";
        case DataType::UInt8:
            return "UInt8";
        default:
            return fmt::format("DataType {:#x}", static_cast<std::uint32_t>(type));
    }
}

void checkQuantization(const CNNConvolutionDataSource& source, const std::string& who) {
    switch (source.weightsQuantizationType()) {
        case CNNWeightsQuantizationType::Linear:
            if (!source.rangesForUInt8Kernel())
                throw Error(who, "rangesForUInt8Kernel", "a range for each output channel", "null");
            return;
        case CNNWeightsQuantizationType::LookupTable:
            if (!source.lookupTableForUInt8Kernel())
                throw Error(who, "lookupTableForUInt8Kernel", "256 values", "null");
            return;
        default:
            throw Error(who, "weightsQuantizationType", "Linear or LookupTable for UInt8 weights", "None");
    }
}

/// Throws unless the source's weights can be read.
void checkWeights(const CNNConvolutionDataSource& source, const std::string& who) {
    const auto type = source.dataType();
    if (type != DataType::Float32 && type != DataType::Float16 && type != DataType::UInt8)
        throw Error(who, "dataType", "Float32, Float16 or UInt8", named(type));
    if (source.weightsLayout() != MPS::CNNConvolutionWeightsLayout::OHWI)
        throw Error(who, "weightsLayout", "OHWI",
                    fmt::format("{}", static_cast<std::uint32_t>(source.weightsLayout())));
    const auto kept = source.kernelWeightsDataType();
    if (kept != DataType::Float32 && kept != DataType::Float16)
        throw Error(who, "kernelWeightsDataType", "Float32 or Float16", named(kept));
    if (!source.weights()) throw Error(who, "weights", "a pointer to the weights", "null");
    if (type == DataType::UInt8) checkQuantization(source, who);
}

void dequantize(const CNNConvolutionDataSource& source, std::size_t outputs, std::size_t perOutput,
                float* to) {
    const auto* codes = static_cast<const std::uint8_t*>(source.weights());
    if (source.weightsQuantizationType() == CNNWeightsQuantizationType::LookupTable) {
        const float* table = source.lookupTableForUInt8Kernel();
        for (std::size_t i = 0; i < outputs * perOutput; ++i) to[i] = table[codes[i]];
        return;
    }
    const float* ranges = source.rangesForUInt8Kernel();
    for (std::size_t o = 0; o < outputs; ++o) {
        const float low = ranges[2 * o], high = ranges[2 * o + 1];
        for (std::size_t i = o * perOutput; i < (o + 1) * perOutput; ++i)
            to[i] = static_cast<float>(codes[i]) / 255.0f * (high - low) + low;
    }
}

/// float16 to float32 by the device itself, now.
void widen(const std::shared_ptr<MTL::Device>& device, const void* halves, MTL::Buffer& floats,
           std::size_t count) {
    const auto staged = device->newBuffer(halves, 2 * count, MTL::ResourceStorageModeManaged);
    auto& backend = mtl::deviceOf(*device).backend();
    const auto stream = backend.newStream();
    ops::ArrayCopy copy;
    copy.src = {mtl::addressOf(*staged), ops::Type::Float16, extent(count)};
    copy.dst = {mtl::addressOf(floats), ops::Type::Float32, extent(count)};
    backend.run(copy, *stream);
    stream->synchronize();
}

/// W = w I, B = b I + beta - I mean with I = gamma / sqrt(variance + epsilon) (MPSCNNConvolution.h).
void fold(const CNNConvolutionDescriptor::BatchNormalization& bn, const float* weights, const float* biases,
          std::size_t count, float* foldedWeights, float* foldedBiases) {
    const std::size_t outputs = bn.gamma.size(), perOutput = count / outputs;
    for (std::size_t o = 0; o < outputs; ++o) {
        const double scale = static_cast<double>(bn.gamma[o]) /
                             std::sqrt(static_cast<double>(bn.variance[o]) + static_cast<double>(bn.epsilon));
        for (std::size_t i = o * perOutput; i < (o + 1) * perOutput; ++i)
            foldedWeights[i] = static_cast<float>(weights[i] * scale);
        foldedBiases[o] = static_cast<float>(biases[o] * scale + bn.beta[o] - scale * bn.mean[o]);
    }
}

/// All of a buffer, for the host.
struct HostFloats : mtl::HostView {
    HostFloats(MTL::Buffer& buffer, mtl::HostAccess access) : HostView(buffer, 0, buffer.length(), access) {}
    operator float*() const { return as<float>(); }
};

void foldBuffers(const CNNConvolutionDescriptor::BatchNormalization& bn, MTL::Buffer& weights, MTL::Buffer& biases,
                 MTL::Buffer& foldedWeights, MTL::Buffer& foldedBiases) {
    using mtl::HostAccess;
    fold(bn, HostFloats(weights, HostAccess::Read), HostFloats(biases, HostAccess::Read),
         weights.length() / sizeof(float), HostFloats(foldedWeights, HostAccess::Write),
         HostFloats(foldedBiases, HostAccess::Write));
}

std::shared_ptr<MTL::Buffer> floats(const std::shared_ptr<MTL::Device>& device, std::size_t count) {
    return device->newBuffer(count * sizeof(float), MTL::ResourceStorageModeManaged);
}

}  // namespace

std::string geometryOf(const CNNConvolutionDescriptor& d) {
    std::string text =
        fmt::format("{} x {} taps, stride {} x {}, dilation {} x {}, {} to {} channels", d.kernelWidth(),
                    d.kernelHeight(), d.strideInPixelsX(), d.strideInPixelsY(), d.dilationRateX(),
                    d.dilationRateY(), d.inputFeatureChannels(), d.outputFeatureChannels());
    if (d.channelMultiplier() > 0) return text + ", depthwise";
    return text + fmt::format(" in {} group{}", d.groups(), d.groups() == 1 ? "" : "s");
}

void checkDescriptor(const CNNConvolutionDescriptor& d, const std::string& who) {
    for (const auto& [argument, value] : {std::pair{"kernelWidth", d.kernelWidth()},
                                          {"kernelHeight", d.kernelHeight()},
                                          {"inputFeatureChannels", d.inputFeatureChannels()},
                                          {"outputFeatureChannels", d.outputFeatureChannels()},
                                          {"strideInPixelsX", d.strideInPixelsX()},
                                          {"strideInPixelsY", d.strideInPixelsY()},
                                          {"dilationRateX", d.dilationRateX()},
                                          {"dilationRateY", d.dilationRateY()},
                                          {"groups", d.groups()},
                                          {"subPixelScaleFactor", d.subPixelScaleFactor()}})
        if (value == 0) throw Error(who, argument, "at least 1", "0");
    const std::size_t in = d.inputFeatureChannels(), out = d.outputFeatureChannels(), groups = d.groups();
    const auto channels = fmt::format("{} to {} channels", in, out);
    if (dynamic_cast<const MPS::CNNDepthWiseConvolutionDescriptor*>(&d)) {
        if (groups != 1)
            throw Error(who, "groups", "1 for a depthwise convolution", fmt::format("{}", groups));
        if (out % in != 0)
            throw Error(who, "outputFeatureChannels",
                        "a multiple of inputFeatureChannels for a depthwise convolution", channels);
    } else if (in % groups != 0 || out % groups != 0) {
        throw Error(who, "groups", "a divisor of both channel counts",
                    fmt::format("{} for {}", groups, channels));
    } else if (groups > 1 && (in / groups % 4 != 0 || out / groups % 4 != 0)) {
        throw Error(who, "groups", "multiples of 4 channels in each group",
                    fmt::format("{} for {}", groups, channels));
    }
    if (const std::size_t block = d.subPixelScaleFactor() * d.subPixelScaleFactor(); block > 1) {
        if (out % block != 0)
            throw Error(who, "subPixelScaleFactor", "a factor whose square divides outputFeatureChannels",
                        fmt::format("{} for {}", d.subPixelScaleFactor(), channels));
        if (groups > 1 && out / block % 4 != 0)
            throw Error(who, "subPixelScaleFactor",
                        "a multiple of 4 channels after the rearrangement of a grouped convolution",
                        fmt::format("{}", out / block));
    }
    checkNeuron(d.fusedNeuronDescriptor(), out, who, "fusedNeuronDescriptor");
    if (const auto& bn = d.batchNormalization(); bn && bn->gamma.size() != out)
        throw Error(who, "setBatchNormalizationParametersForInference",
                    fmt::format("{} values, one an output channel", out),
                    fmt::format("{}", bn->gamma.size()));
}

void checkTrainable(const CNNConvolutionDescriptor& descriptor, const std::string& who) {
    if (const auto type = descriptor.fusedNeuronDescriptor().neuronType(); type != MPS::CNNNeuronType::None)
        throw Error(who, "fusedNeuronDescriptor",
                    "none: the gradient of a fused neuron is not defined, use a kernel of its own",
                    nameOf(type));
    if (descriptor.batchNormalization())
        throw Error(who, "setBatchNormalizationParametersForInference",
                    "no folded batch normalisation: it is for inference", "one");
    if (descriptor.channelMultiplier() > 1)
        throw Error(who, "channelMultiplier", "at most 1", fmt::format("{}", descriptor.channelMultiplier()));
    if (descriptor.subPixelScaleFactor() > 1)
        throw Error(who, "subPixelScaleFactor", "1: the rearrangement has no gradient",
                    fmt::format("{}", descriptor.subPixelScaleFactor()));
}

LoadedSource::LoadedSource(CNNConvolutionDataSource* source, const std::string& className,
                           const std::string& kernelLabel)
    : source_(source), who_(className) {
    if (!source_) throw Error(who_, "weights", "a data source", "null");
    const bool loaded = source_->load();
    try {
        if (const auto label = kernelLabel.empty() ? source_->label() : kernelLabel; !label.empty())
            who_ = fmt::format("{} '{}'", className, label);
    } catch (...) {
        if (loaded) source_->purge();
        throw;
    }
    if (!loaded) throw Error(who_, "weights", "a data source whose load() succeeds", "false");
}

LoadedSource::~LoadedSource() { source_->purge(); }

void LoadedSource::requireLengths(std::size_t weights, std::size_t biases) const {
    if (const auto length = source_->weightsLength(); length && *length < weights)
        throw Error(who_, "weights", fmt::format("{} elements", weights), fmt::format("{}", *length));
    if (!source_->biasTerms()) return;
    if (const auto length = source_->biasTermsLength(); length && *length < biases)
        throw Error(who_, "biasTerms", fmt::format("{} elements", biases), fmt::format("{}", *length));
}

std::shared_ptr<const CNNConvolutionDescriptor> LoadedSource::descriptor() const {
    const auto given = source_->descriptor();
    if (!given) throw Error(who_, "descriptor", "a convolution descriptor", "null");
    auto copy = given->copy();
    checkDescriptor(*copy, who_);
    return copy;
}

ConvolutionParameters::ConvolutionParameters(const std::shared_ptr<MTL::Device>& device,
                                             const LoadedSource& source,
                                             const CNNConvolutionDescriptor& descriptor, bool transposed) {
    const auto now = source.descriptor();
    if (geometryOf(*now) != geometryOf(descriptor))
        throw Error(source.who(), "descriptor", "the geometry of the kernel, " + geometryOf(descriptor),
                    geometryOf(*now));
    checkWeights(*source, source.who());
    const std::size_t outputs = descriptor.outputFeatureChannels(), count = descriptor.weightCount();
    source.requireLengths(count, outputs);
    std::shared_ptr<MTL::Buffer> weights;
    if (source->dataType() == DataType::Float32) {
        weights =
            device->newBuffer(source->weights(), count * sizeof(float), MTL::ResourceStorageModeManaged);
    } else {
        weights = floats(device, count);
        if (source->dataType() == DataType::Float16)
            widen(device, source->weights(), *weights, count);
        else
            dequantize(*source, outputs, count / outputs, HostFloats(*weights, mtl::HostAccess::Write));
    }
    weights_.buffer = std::move(weights);
    weights_.shape =
        ops::Tensor::dense(nullptr, ops::Type::Float32, extent(outputs), extent(descriptor.kernelHeight()),
                           extent(descriptor.kernelWidth()), extent(descriptor.inputChannelsPerGroup()));
    biases_ = {floats(device, outputs), 0, ops::Type::Float32, extent(outputs)};
    if (const float* given = source->biasTerms())
        mtl::writeBytes(*biases_.buffer, 0, given, outputs * sizeof(float));
    fold_ = descriptor.batchNormalization();
    if (fold_) {
        foldInto(device);
    }
    groups_ = groupsOf(descriptor);
    if (transposed) turn(device);
}

void ConvolutionParameters::refold(
    const std::shared_ptr<MTL::Device>& device,
    std::shared_ptr<const CNNConvolutionDescriptor::BatchNormalization> normalization) {
    fold_ = std::move(normalization);
    foldInto(device);
    if (turned_) turn(device);
}

void ConvolutionParameters::turn(const std::shared_ptr<MTL::Device>& device) {
    turned_.shape = turnedShape(weights_.shape, groups_);
    turned_.buffer = floats(device, static_cast<std::size_t>(turned_.shape.count()));
    auto& backend = mtl::deviceOf(*device).backend();
    const auto stream = backend.newStream();
    forEachTurnedPart(weights().tensor(), turned_.tensor(), groups_,
                      [&](const ops::Tensor& own, const ops::Tensor& turned) {
                          ops::Copy copy;
                          copy.src = own;
                          copy.dst = turned;
                          backend.run(copy, *stream);
                      });
    stream->synchronize();
}

ConvolutionParameters::ConvolutionParameters(const ConvolutionParameters& other,
                                             const std::shared_ptr<MTL::Device>& device)
    : ConvolutionParameters(other) {
    const auto copied = [&](std::shared_ptr<MTL::Buffer>& buffer) {
        if (buffer)
            buffer =
                device->newBuffer(mtl::currentContents(*buffer), buffer->length(), MTL::ResourceStorageModeManaged);
    };
    copied(weights_.buffer);
    copied(biases_.buffer);
    copied(foldedWeights_.buffer);
    copied(foldedBiases_.buffer);
    copied(turned_.buffer);
}

void ConvolutionParameters::foldInto(const std::shared_ptr<MTL::Device>& device) {
    foldedWeights_ = weights_;
    foldedWeights_.buffer = floats(device, static_cast<std::size_t>(weights_.shape.count()));
    foldedBiases_ = biases_;
    foldedBiases_.buffer = floats(device, static_cast<std::size_t>(biases_.size));
    foldBuffers(*fold_, *weights_.buffer, *biases_.buffer, *foldedWeights_.buffer, *foldedBiases_.buffer);
}

ArrayRef ConvolutionParameters::rawWeights() const {
    return {weights_.buffer, 0, ops::Type::Float32, weights_.shape.count()};
}

void ConvolutionParameters::encodeReload(Encoder& encoder, const ArrayRef& weights, const ArrayRef& biases) {
    const auto copy = [&](const ArrayRef& from, const ArrayRef& to) {
        // An update in place has nothing left to copy.
        if (!from || (from.buffer == to.buffer && from.byteOffset == to.byteOffset)) return;
        encoder.run([from, to] {
            ops::ArrayCopy op;
            op.src = from.array();
            op.dst = to.array();
            return op;
        });
    };
    copy(weights, rawWeights());
    copy(biases, biases_);
    if (fold_)
        encoder.runHost([bn = fold_, from = rawWeights(), bias = biases_, to = foldedWeights_,
                         foldedBias = foldedBiases_] {
            foldBuffers(*bn, *from.buffer, *bias.buffer, *to.buffer, *foldedBias.buffer);
        });
    if (turned_) encodeTurn(encoder, this->weights(), turned_, groups_);
}

}  // namespace pewter::mps
