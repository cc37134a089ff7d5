#include <MPS/CNNArithmetic.hpp>
#include <MPS/CNNNeuron.hpp>
#include <algorithm>
#include <iterator>

#include "mps/graph/SharedMemory.h"
#include "mps/graph/passes/Fusion.h"
#include "mps/graph/passes/Passes.h"
#include "mps/graph/StepParts.h"
#include "mps/graph/steps/ArithmeticStep.h"
#include "mps/graph/steps/BatchNormalizationStep.h"
#include "mps/graph/steps/NormalizationSumGradientStep.h"

namespace pewter::mps {

namespace {

using Steps = std::vector<std::size_t>;

/// A batch normalisation, the sum of its result and another image, and the neuron behind that:
///   source -> normalization -> operand ┐
///                                      sum -> middle -> neuron -> result
///                              addend ─┘
struct Layer {
    std::size_t normalization = kNone, sum = kNone, neuron = kNone;
    std::size_t operand = kNone, addend = kNone, middle = kNone;
    bool isSecondary = false;  ///< whether the operand is the sum's secondary image
};

/// Its gradients:  incoming -> neuron -> middle -> ofOperand -> normalization
///                                              -> ofAddend  -> whoever reads that
struct Gradients {
    std::size_t neuron = kNone, ofOperand = kNone, ofAddend = kNone, normalization = kNone;
};

class Pass {
public:
    explicit Pass(GraphProgram& program) : program_(program), fusion_(program) {}

    void run() {
        for (std::size_t index = 0; index < program_.steps.size(); ++index) {
            Layer layer;
            if (!find(index, layer)) continue;
            Gradients gradients;
            if (!isTrained(layer))
                fuse(layer);
            else if (find(layer, gradients))
                fuse(layer, gradients);
        }
    }

private:
    const ImageSlot& image(std::size_t slot) const { return program_.images[slot]; }
    ProgramStep& step(std::size_t index) const { return program_.steps[index]; }
    template <class AnyStep>
    AnyStep* stepAs(std::size_t index) const {
        return dynamic_cast<AnyStep*>(step(index).step.get());
    }
    template <class Kernel>
    const Kernel* kernelAs(std::size_t index) const {
        auto& one = *step(index).step;
        return one.isReplayable() ? dynamic_cast<const Kernel*>(&one.kernel()) : nullptr;
    }

    /// The state that the step makes; kNone: nobody reads one.
    std::size_t madeState(std::size_t index) const {
        const auto& made = step(index).made;
        return made.size() == 1 ? made[0] : kNone;
    }

    bool find(std::size_t index, Layer& layer) const {
        const auto& sum = step(index);
        if (!stepAs<ArithmeticStep>(index) || !sum.step->isReplayable() || sum.made.size() > 1 ||
            sum.images[0] == sum.images[1] || !isPlainSum(sum.step->kernel()) || !isInner(image(sum.result)))
            return false;
        layer.sum = index;
        layer.middle = sum.result;
        for (const std::size_t reader : fusion_.readers(sum.result))
            if (kernelAs<MPS::CNNNeuron>(reader)) layer.neuron = reader;
        if (layer.neuron == kNone || step(layer.neuron).images != Steps{layer.middle} ||
            step(layer.neuron).made.size() > 1 || !isOurs(image(step(layer.neuron).result)))
            return false;
        // The normalisation that comes last: what is added has to be there.
        for (const bool secondary : {false, true}) {
            const std::size_t operand = sum.images[secondary ? 1 : 0], addend = sum.images[secondary ? 0 : 1];
            const std::size_t writer = fusion_.writer(operand), other = fusion_.writer(addend);
            if (writer == kNone || (other != kNone && other > writer) || !canTakeSum(writer, operand)) continue;
            layer.normalization = writer;
            layer.operand = operand;
            layer.addend = addend;
            layer.isSecondary = secondary;
            return true;
        }
        return false;
    }

    bool canTakeSum(std::size_t index, std::size_t operand) const {
        const auto* one = stepAs<BatchNormalizationStep>(index);
        return one && step(index).step->isReplayable() && step(index).recomputes == kNone && !one->hasSum() &&
               one->normalization()->fusedNeuronDescriptor().neuronType() == MPS::CNNNeuronType::None &&
               isInner(image(operand));
    }

    /// Whether anything but the forward steps looks at what lies between them.
    bool isTrained(const Layer& layer) const {
        return madeState(layer.sum) != kNone || madeState(layer.neuron) != kNone ||
               !fusion_.isReadBy(layer.operand, {layer.sum}) || !fusion_.isReadBy(layer.middle, {layer.neuron});
    }

    /// The gradient of the sum for one operand, which is the incoming gradient.
    std::size_t gradientOf(const Layer& layer, std::size_t middle, bool secondary) const {
        for (const std::size_t reader : fusion_.readers(middle)) {
            const auto* kernel = kernelAs<MPS::CNNAddGradient>(reader);
            const auto& one = step(reader);
            if (kernel && kernel->isSecondarySourceFilter() == secondary && kernel->primaryScale() == 1 &&
                one.images[0] == middle && one.states == Steps{madeState(layer.sum)} && isInner(image(one.result)) &&
                image(one.result).format == image(middle).format)
                return reader;
        }
        return kNone;
    }

    bool find(const Layer& layer, Gradients& gradients) const {
        const std::size_t sumState = madeState(layer.sum), neuronState = madeState(layer.neuron);
        if (sumState == kNone || neuronState == kNone || program_.states[sumState].exported ||
            program_.states[neuronState].exported)
            return false;
        const auto& readers = fusion_.stateReaders(neuronState);
        const auto* forward = kernelAs<MPS::CNNNeuron>(layer.neuron);
        if (readers.size() != 1) return false;
        gradients.neuron = readers[0];
        const auto* backward = kernelAs<MPS::CNNNeuronGradient>(gradients.neuron);
        const auto& back = step(gradients.neuron);
        if (!backward || backward->neuronDescriptor() != forward->neuronDescriptor() || back.images.size() != 2 ||
            back.images[1] != layer.middle || !isInner(image(back.result)))
            return false;
        gradients.ofOperand = gradientOf(layer, back.result, layer.isSecondary);
        gradients.ofAddend = gradientOf(layer, back.result, !layer.isSecondary);
        if (gradients.ofOperand == kNone) return false;
        Steps both{gradients.ofOperand}, onOperand{layer.sum, gradients.ofOperand};
        if (gradients.ofAddend != kNone) both.push_back(gradients.ofAddend);
        std::sort(both.begin(), both.end());
        if (fusion_.stateReaders(sumState) != both || !fusion_.isReadBy(back.result, both) ||
            !fusion_.isReadBy(layer.operand, onOperand) ||
            !fusion_.isReadBy(layer.middle, {layer.neuron, gradients.neuron}))
            return false;
        return findNormalization(layer, gradients);
    }

    bool findNormalization(const Layer& layer, Gradients& gradients) const {
        const auto& readers = fusion_.readers(step(gradients.ofOperand).result);
        if (readers.size() != 1) return false;
        gradients.normalization = readers[0];
        const auto& last = step(gradients.normalization);
        const auto* one = stepAs<BatchNormalizationGradientStep>(gradients.normalization);
        return one && last.step->isReplayable() && one->forward() == step(layer.normalization).step.get() &&
               one->neuron().neuronType() == MPS::CNNNeuronType::None && one->makesResult() &&
               last.images[0] == step(gradients.ofOperand).result &&
               last.states == Steps{madeState(layer.normalization)};
    }

    void fuse(const Layer& layer) {
        const auto& neuron = kernelAs<MPS::CNNNeuron>(layer.neuron)->neuronDescriptor();
        const auto channels = stepAs<BatchNormalizationStep>(layer.normalization)->normalization()->numberOfFeatureChannels();
        if (neuron.data() && neuron.data()->size() != channels) return;  // refused, in its own name, when it is encoded
        stepAs<BatchNormalizationStep>(layer.normalization)->absorbSum(neuron);
        const std::size_t result = step(layer.neuron).result;
        fusion_.readToo(layer.normalization, layer.addend);
        fusion_.take(layer.sum, layer.normalization);
        fusion_.take(layer.neuron, layer.normalization);
        fusion_.rewrite(layer.normalization, result);
    }

    void fuse(const Layer& layer, const Gradients& gradients) {
        const std::size_t sum = step(gradients.neuron).result, state = madeState(layer.normalization);
        const std::size_t source = step(layer.normalization).images[0];
        fuse(layer);
        if (!stepAs<BatchNormalizationStep>(layer.normalization)->hasSum()) return;
        auto& back = step(gradients.neuron);
        auto kernel = std::dynamic_pointer_cast<MPS::CNNNeuronGradient>(back.step->parts().kernels.at(0));
        back.step = std::make_shared<NormalizationSumGradientStep>(std::move(kernel));
        fusion_.reread(gradients.neuron, 1, source);
        fusion_.readToo(gradients.neuron, layer.addend);
        fusion_.rereadState(gradients.neuron, 0, state);
        stepAs<BatchNormalizationGradientStep>(gradients.normalization)->leaveStatistics();
        for (const std::size_t gone : {gradients.ofOperand, gradients.ofAddend}) {
            if (gone == kNone) continue;
            const auto behind = fusion_.readers(step(gone).result);
            for (const std::size_t reader : behind)
                for (std::size_t position = 0; position < step(reader).images.size(); ++position)
                    if (step(reader).images[position] == step(gone).result) fusion_.reread(reader, position, sum);
            fusion_.take(gone, gradients.neuron);
        }
    }

    GraphProgram& program_;
    Fusion fusion_;
};

}  // namespace

void fuseSums(GraphProgram& program) { Pass(program).run(); }

}  // namespace pewter::mps
