#include "mps/kernels/NeuronAccess.h"

#include <MTL/Error.hpp>
#include <algorithm>
#include <cmath>

#include "mps/core/Encoder.h"
#include "mps/kernels/Neurons.h"

namespace pewter::mps {

void encodeNeuronGradient(MTL::CommandBuffer& commandBuffer, const MPS::Kernel& kernel,
                          const MPS::NNNeuronDescriptor& neuron, const MPS::ImageBatch& gradients,
                          const MPS::ImageBatch& sources, const MPS::ImageBatch& results) {
    const MPS::Image &gradient = *gradients.at(0), &source = *sources.at(0);
    if (gradients.size() != sources.size() || gradient.width() != source.width() || gradient.height() != source.height() ||
        gradient.featureChannels() != source.featureChannels() || gradient.numberOfImages() != source.numberOfImages())
        throw MTL::Error(kernel.name(), "sourceGradient", "an image as large as the neuron's, " + source.description(),
                         gradient.description());
    checkNeuron(neuron, source.featureChannels(), kernel.name(), "neuronDescriptor");
    const std::size_t count = sources.size() == 1 ? source.numberOfImages() : sources.size();
    const Clip whole{0, 0, static_cast<std::int64_t>(source.width()), static_cast<std::int64_t>(source.height())};
    Encoder encoder(commandBuffer, kernel);
    encoder.run([from = encoder.source(sources, 0, count), incoming = encoder.source(gradients, 0, count),
                 to = encoder.destination(results, 0, count, whole, 0, source.featureChannels()),
                 f = neuronOf(neuron)] { return neuronGradient(from, incoming, to, f); });
    encoder.finish();
}

namespace {

/// A limit that no format of images rounds: a result that reached it is equal to it.
bool isEverywhere(float limit) {
    constexpr float kHalfLeast = 0x1p-14F, kHalfMost = 65504;
    int exponent = 0;
    const float digits = std::frexp(limit, &exponent) * 256;  // bfloat16 has eight
    return limit >= kHalfLeast && limit <= kHalfMost && digits == std::floor(digits);
}

}  // namespace

bool hasDerivativeAtResult(const MPS::NNNeuronDescriptor& neuron) {
    using enum MPS::CNNNeuronType;
    switch (neuron.neuronType()) {
        case None:
        case Linear:
            return true;  // the same everywhere
        // Right of 0 and left of it the result has the sign of the input, and at 0 both are 0. Without a slope on the
        // left a result of 0 says nothing: the derivative at 0 is the right one.
        case ReLU:
            return neuron.a() > 0;
        case PReLU:
            return neuron.data() && std::all_of(neuron.data()->begin(), neuron.data()->end(),
                                                [](float slope) { return slope > 0; });
        case ReLUN:
            return neuron.a() > 0 && isEverywhere(neuron.b());
        default:
            return false;
    }
}

}  // namespace pewter::mps
