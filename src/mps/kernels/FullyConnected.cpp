#include <fmt/format.h>

#include <MPS/CNNFullyConnected.hpp>
#include <MTL/Error.hpp>

#include "mps/kernels/ConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"
#include "mps/kernels/ConvolutionRecord.h"
#include "mps/kernels/GradientOption.h"
#include "mps/kernels/Neurons.h"

namespace MPS {

namespace ops = pewter::ops;
using namespace pewter::mps;

namespace {

void checkPlain(const CNNConvolutionDescriptor& d, const std::string& who) {
    for (const auto& [argument, value] : {std::pair{"strideInPixelsX", d.strideInPixelsX()},
                                          {"strideInPixelsY", d.strideInPixelsY()},
                                          {"dilationRateX", d.dilationRateX()},
                                          {"dilationRateY", d.dilationRateY()},
                                          {"groups", d.groups()},
                                          {"subPixelScaleFactor", d.subPixelScaleFactor()}})
        if (value != 1)
            throw Error(who, argument, "1 for a fully connected kernel", fmt::format("{}", value));
    if (d.channelMultiplier() > 0)
        throw Error(who, "descriptor", "a plain convolution descriptor", d.className());
}

/// The one pixel at the origin of the clip rectangle.
TensorRef onePixel(const TensorRef& tensor) { return tensor.region(0, 0, 1, 1); }

}  // namespace

CNNFullyConnected::CNNFullyConnected(std::shared_ptr<MTL::Device> device,
                                     std::shared_ptr<CNNConvolutionDataSource> weights)
    : CNNConvolution(std::move(device), std::move(weights), "CNNFullyConnected") {
    checkPlain(descriptor(), name());
    setPadding(NNDefaultPadding::padding(NNPaddingMethodSizeValidOnly));
}

CNNFullyConnected::CNNFullyConnected(std::shared_ptr<MTL::Device> device,
                                     const CNNConvolutionDescriptor& descriptor, const float* kernelWeights,
                                     const float* biasTerms, CNNConvolutionFlags)
    : CNNFullyConnected(std::move(device),
                        arraySource(descriptor, kernelWeights, biasTerms, "CNNFullyConnected")) {}

std::shared_ptr<CNNConvolution> CNNFullyConnected::clone() const {
    return std::shared_ptr<CNNConvolution>(new CNNFullyConnected(*this));
}

ImageDescriptor CNNFullyConnected::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&,
                                                    const StateBatch&, const ImageDescriptor& suggested) {
    ImageDescriptor one = suggested;
    one.width = one.height = 1;
    return one;
}

std::shared_ptr<ForwardRecord> CNNFullyConnected::captureRecord(const Image& source,
                                                                const Image& destination) const {
    auto record = CNNConvolution::captureRecord(source, destination);
    record->clip.size.width = record->clip.size.height = 1;
    return record;
}

void CNNFullyConnected::validate(const UnaryEncoding& encoding) const {
    CNNConvolution::validate(encoding);
    if (encoding.sourceWidth != kernelWidth() || encoding.sourceHeight != kernelHeight())
        throw Error(name(), "sourceImage",
                    fmt::format("{} x {} pixels, the kernel's size", kernelWidth(), kernelHeight()),
                    fmt::format("{} x {}", encoding.sourceWidth, encoding.sourceHeight));
}

void CNNFullyConnected::record(UnaryEncoding& encoding) {
    const auto source = encoding.source.channels(0, static_cast<std::int64_t>(inputFeatureChannels()));
    const auto& parameters = ConvolutionAccess::parameters(*this);
    encoding.encoder->run([source, weights = parameters.weights(), biases = parameters.biases(),
                           destination = onePixel(encoding.destination),
                           neuron = neuronOf(fusedNeuronDescriptor()), exactness = exactnessOf(*this)] {
        ops::FullyConnectedForward op;
        op.exactness = exactness;
        op.src = source.tensor();
        op.weights = weights.tensor();
        op.bias = biases.array();
        op.dst = destination.tensor();
        op.neuron = neuron.neuron;
        return op;
    });
}

CNNFullyConnectedGradient::CNNFullyConnectedGradient(std::shared_ptr<MTL::Device> device,
                                                     std::shared_ptr<CNNConvolutionDataSource> weights)
    : CNNConvolutionGradient(std::move(device), std::move(weights), "CNNFullyConnectedGradient") {
    checkPlain(descriptor(), name());
}

std::shared_ptr<CNNConvolutionGradient> CNNFullyConnectedGradient::clone() const {
    return std::shared_ptr<CNNConvolutionGradient>(new CNNFullyConnectedGradient(*this));
}

void CNNFullyConnectedGradient::validate(const BinaryEncoding& encoding) const {
    CNNConvolutionGradient::validate(encoding);
    for (const auto& state : encoding.sourceStates) {
        const auto& record = *static_cast<const NNGradientState&>(*state).record();
        if (record.className != "CNNFullyConnected")
            throw Error(name(), "gradientState", "one of a CNNFullyConnected", "one of " + record.kernel);
    }
}

void CNNFullyConnectedGradient::recordWeights(BinaryEncoding& encoding, CNNConvolutionGradientState& state) {
    encoding.encoder->run([source = encoding.secondary, gradient = onePixel(encoding.primary),
                           shape = ConvolutionAccess::weightShape(descriptor()),
                           weights = ConvolutionAccess::gradientForWeights(state),
                           biases = gradientForBiases(gradientOption(), state), add = state.hasGradients(),
                           exactness = exactnessOf(*this)] {
        ops::FullyConnectedWeightsGradient op;
        op.exactness = exactness;
        op.src = source.tensor();
        op.diffDst = gradient.tensor();
        op.diffWeights = weights.tensor(shape.n, shape.h, shape.w, shape.c);
        op.diffBias = biases.array();
        op.accumulate = add;
        return op;
    });
}

void CNNFullyConnectedGradient::recordData(BinaryEncoding& encoding) {
    const auto result = encoding.encoder->wholeGradient(encoding.destination, encoding.clip,
                                                        static_cast<std::int64_t>(encoding.secondaryWidth),
                                                        static_cast<std::int64_t>(encoding.secondaryHeight));
    const auto* state = encoding.sourceStates.empty()
                            ? nullptr
                            : static_cast<const CNNConvolutionGradientState*>(encoding.sourceStates[0].get());
    encoding.encoder->run(
        [gradient = onePixel(encoding.primary), weights = parameters(state).weights(), result,
         exactness = exactnessOf(*this)] {
            ops::FullyConnectedDataGradient op;
            op.exactness = exactness;
            op.diffDst = gradient.tensor();
            op.weights = weights.tensor();
            op.diffSrc = result.tensor();
            return op;
        });
}

}  // namespace MPS
