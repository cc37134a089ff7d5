#include <MPS/CNNNeuron.hpp>

#include "mps/graph/passes/Fusion.h"
#include "mps/graph/passes/Passes.h"
#include "mps/graph/steps/BatchNormalizationStep.h"
#include "mps/graph/steps/ConvolutionTransposeStep.h"
#include "mps/kernels/NeuronAccess.h"

namespace pewter::mps {

namespace {

using Neuron = MPS::NNNeuronDescriptor;

/// A neuron with its gradient step, and what lies around them:
///   before -> input -> forward -> output ...   after <- result <- gradient <- incoming ...
struct Layer {
    std::size_t gradient = kNone, after = kNone;
    std::size_t incoming = kNone, input = kNone, result = kNone;
    const Neuron* neuron = nullptr;
    /// The forward step, if it is known and nothing but this layer needs its state and its source.
    std::size_t forward = kNone, before = kNone, output = kNone;
};

class Pass {
public:
    explicit Pass(GraphProgram& program) : program_(program), fusion_(program) {}

    void run() {
        for (std::size_t index = 0; index < program_.steps.size(); ++index) {
            Layer layer;
            if (!find(index, layer)) continue;
            auto& after = *program_.steps[layer.after].step;
            if (auto* one = dynamic_cast<BatchNormalizationGradientStep*>(&after))
                normalization(layer, *one);
            else if (auto* two = dynamic_cast<WeightedGradientStep<MPS::CNNConvolutionGradient>*>(&after))
                convolution(layer, *two);
            else if (auto* three = dynamic_cast<WeightedGradientStep<MPS::CNNConvolutionTransposeGradient>*>(&after))
                convolution(layer, *three);
        }
    }

private:
    const ImageSlot& image(std::size_t slot) const { return program_.images[slot]; }

    bool find(std::size_t index, Layer& layer) const {
        auto& step = program_.steps[index];
        const auto* kernel = dynamic_cast<const MPS::CNNNeuronGradient*>(&step.step->kernel());
        if (!kernel || step.images.size() != 2 || step.states.size() != 1 || !step.step->isReplayable()) return false;
        const auto& readers = fusion_.readers(step.result);
        if (!isInner(image(step.result)) || readers.size() != 1) return false;
        layer = {.gradient = index, .after = readers[0], .incoming = step.images[0], .input = step.images[1],
                 .result = step.result, .neuron = &kernel->neuronDescriptor()};
        const auto& next = program_.steps[layer.after];
        if (next.images[0] != layer.result || !next.step->isReplayable()) return false;
        findForward(step.states[0], layer);
        return true;
    }

    void findForward(std::size_t state, Layer& layer) const {
        const std::size_t forward = fusion_.maker(state);
        if (forward == kNone || program_.states[state].exported) return;
        const auto& step = program_.steps[forward];
        const auto* kernel = dynamic_cast<const MPS::CNNNeuron*>(&step.step->kernel());
        if (!kernel || kernel->neuronDescriptor() != *layer.neuron || !step.step->isReplayable() ||
            step.made.size() != 1 || fusion_.stateReaders(state) != std::vector<std::size_t>{layer.gradient} ||
            step.images != std::vector<std::size_t>{layer.input} || !isInner(image(layer.input)) ||
            !fusion_.isReadBy(layer.input, {forward, layer.gradient}) || !isOurs(image(step.result)))
            return;
        layer.forward = forward;
        layer.before = fusion_.writer(layer.input);
        layer.output = step.result;
    }

    bool fits(const Neuron& neuron, std::size_t channels) const {
        return !neuron.data() || neuron.data()->size() == channels;  // else refused, in its own name, when it is encoded
    }

    /// The pre-activation is made again from the normalisation's own source.
    void normalization(const Layer& layer, BatchNormalizationGradientStep& gradient) {
        if (layer.forward == kNone || layer.before == kNone) return;
        auto* forward = dynamic_cast<BatchNormalizationStep*>(program_.steps[layer.before].step.get());
        const auto none = MPS::CNNNeuronType::None;
        if (!forward || gradient.forward() != forward || gradient.neuron().neuronType() != none ||
            forward->normalization()->fusedNeuronDescriptor().neuronType() != none ||
            !fits(*layer.neuron, forward->normalization()->numberOfFeatureChannels()))
            return;
        forward->absorb(*layer.neuron);
        gradient.absorb(*layer.neuron);
        fusion_.reread(layer.after, 0, layer.incoming);
        fusion_.take(layer.gradient, layer.after);
        fusion_.take(layer.forward, layer.before);
        fusion_.rewrite(layer.before, layer.output);
    }

    template <class Gradient>
    void convolution(const Layer& layer, Gradient& gradient) {
        const auto& incoming = image(layer.incoming);
        // The gradient goes on where it came in, or in an image like that.
        if (gradient.neuron() || incoming.source || !isOurs(incoming) ||
            incoming.format != image(layer.result).format)
            return;
        const bool whole = layer.forward != kNone;
        const std::size_t at = whole && takesNeuron(layer, gradient.forward()) ? layer.output : layer.input;
        gradient.absorb(*layer.neuron);
        fusion_.reread(layer.after, 0, layer.incoming);
        fusion_.readToo(layer.after, at);
        fusion_.take(layer.gradient, layer.after);
        // Nobody needs what the neuron knew.
        if (whole) program_.steps[layer.forward].made.clear();
        if (at == layer.input) return;
        ConvolutionAccess::fuseNeuron(*static_cast<ConvolutionStep&>(*program_.steps[layer.before].step).convolution(),
                                      *layer.neuron);
        fusion_.take(layer.forward, layer.before);
        fusion_.rewrite(layer.before, layer.output);
    }

    /// Whether the forward convolution may have the neuron, too: the derivative can be told from its result.
    bool takesNeuron(const Layer& layer, const Step* forward) const {
        if (!hasDerivativeAtResult(*layer.neuron) || clamps(image(layer.output).format) || layer.before == kNone)
            return false;
        const auto* step = dynamic_cast<const ConvolutionStep*>(program_.steps[layer.before].step.get());
        if (!step || step != forward) return false;
        const auto& kernel = *step->convolution();
        return kernel.fusedNeuronDescriptor().neuronType() == MPS::CNNNeuronType::None &&
               kernel.subPixelScaleFactor() == 1 && fits(*layer.neuron, kernel.outputFeatureChannels());
    }

    GraphProgram& program_;
    Fusion fusion_;
};

}  // namespace

void fuseNeuronGradients(GraphProgram& program) { Pass(program).run(); }

}  // namespace pewter::mps
