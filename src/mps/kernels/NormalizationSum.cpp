#include "mps/kernels/NormalizationSum.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>

#include "mps/core/Encoder.h"
#include "mps/kernels/BatchNormalizationAccess.h"
#include "mps/kernels/Neurons.h"

namespace pewter::mps {

using Access = BatchNormalizationAccess;

namespace {

/// Throws unless the images of a sum have the extents of the normalised ones.
void checkSize(const std::string& who, const char* argument, const MPS::ImageBatch& images,
               const MPS::ImageBatch& normalised) {
    const MPS::Image &one = *images.at(0), &other = *normalised.at(0);
    if (images.size() != normalised.size() || one.width() != other.width() || one.height() != other.height() ||
        one.featureChannels() != other.featureChannels() || one.numberOfImages() != other.numberOfImages())
        throw MTL::Error(who, argument,
                         fmt::format("{} of {}, as large as the normalised (NNGraphOptions::fuseSums allows no other)",
                                     normalised.size(), other.description()),
                         fmt::format("{} of {}", images.size(), one.description()));
}

std::size_t countOf(const MPS::ImageBatch& images) {
    return images.size() == 1 ? images[0]->numberOfImages() : images.size();
}

Clip wholeOf(const MPS::Image& image) {
    return {0, 0, static_cast<std::int64_t>(image.width()), static_cast<std::int64_t>(image.height())};
}

}  // namespace

void encodeNormalizationSum(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, MPS::CNNBatchNormalization& kernel,
                            const MPS::ImageBatch& sources, const MPS::ImageBatch& addends,
                            const std::shared_ptr<MPS::CNNBatchNormalizationState>& state,
                            const MPS::ImageBatch& destinations) {
    const MPS::Image& source = *sources.at(0);
    const std::size_t channels = kernel.numberOfFeatureChannels(), count = countOf(sources);
    if (source.featureChannels() != channels)
        throw MTL::Error(kernel.name(), "sourceImage", fmt::format("{} feature channels", channels),
                         fmt::format("{}", source.featureChannels()));
    checkSize(kernel.name(), "image added", addends, sources);
    checkNeuron(kernel.fusedNeuronDescriptor(), channels, kernel.name(), "fusedNeuronDescriptor");
    Encoder encoder(*commandBuffer, kernel);
    encoder.run([from = encoder.source(sources, 0, count), addend = encoder.source(addends, 0, count),
                 to = encoder.destination(destinations, 0, count, wholeOf(source), 0, channels),
                 arrays = state ? Access::arrays(*state) : Access::arrays(kernel),
                 neuron = neuronOf(kernel.fusedNeuronDescriptor())] {
        ops::BatchNormalizationForward op;
        op.src = from.tensor();
        op.addend = addend.tensor();
        op.dst = to.tensor();
        arrays.putInto(op);
        op.neuron = neuron.neuron;
        return op;
    });
    encoder.finish();
    if (state) Access::setRecord(*state, kernel, source, *destinations.at(0));
}

void encodeNormalizationSumGradient(MTL::CommandBuffer& commandBuffer, const MPS::Kernel& kernel,
                                    const MPS::NNNeuronDescriptor& neuron, const NormalizationSumGradient& images) {
    const MPS::Image& source = *images.sources.at(0);
    auto& state = *images.state;
    const std::size_t channels = source.featureChannels(), count = countOf(images.sources);
    checkSize(kernel.name(), "sourceGradient", images.gradients, images.sources);
    checkSize(kernel.name(), "image added", images.addends, images.sources);
    checkNeuron(neuron, channels, kernel.name(), "neuronDescriptor");
    Encoder encoder(commandBuffer, kernel);
    const auto from = encoder.source(images.sources, 0, count), incoming = encoder.source(images.gradients, 0, count),
               addend = encoder.source(images.addends, 0, count),
               sum = encoder.destination(images.sums, 0, count, wholeOf(source), 0, channels);
    // Last: an encode that finds no memory leaves the state as it was.
    const bool accumulate = Access::addGradients(state, from.shape.n * from.shape.h * from.shape.w) > 0;
    encoder.run([from, incoming, addend, sum, arrays = Access::arrays(state), f = neuronOf(neuron), accumulate] {
        ops::BatchNormalizationStatisticsGradient op;
        op.src = from.tensor();
        op.diffDst = incoming.tensor();
        op.addend = addend.tensor();
        op.diffSum = sum.tensor();
        arrays.putInto(op);
        op.neuron = f.neuron;
        op.accumulate = accumulate;
        return op;
    });
    encoder.finish();
}

}  // namespace pewter::mps
