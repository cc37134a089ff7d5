#include "mps/graph/passes/ConvolutionPasses.h"

#include <MPS/CNNNeuron.hpp>
#include <algorithm>

#include "mps/graph/passes/Fusion.h"
#include "mps/graph/passes/Passes.h"
#include "mps/graph/steps/BatchNormalizationStep.h"
#include "mps/kernels/ConvolutionAccess.h"

namespace pewter::mps {

std::size_t convolutionBefore(const GraphProgram& program, std::size_t next) {
    const auto& step = program.steps[next];
    if (step.images.size() != 1 || !step.made.empty() || !step.step->isReplayable()) return kNone;
    const std::size_t slot = step.images[0];
    if (program.images[slot].source || program.images[slot].leaves()) return kNone;
    if (!isOurs(program.images[slot]) || !isOurs(program.images[step.result]) || clamps(program.images[slot].format))
        return kNone;
    // Mostly the step right before.
    const auto producer = std::find_if(program.steps.rend() - static_cast<std::ptrdiff_t>(next), program.steps.rend(),
                                       [&](const ProgramStep& one) { return one.result == slot; });
    if (producer == program.steps.rend() || !producer->made.empty()) return kNone;
    const auto* convolution = dynamic_cast<const ConvolutionStep*>(producer->step.get());
    if (!convolution ||
        convolution->convolution()->fusedNeuronDescriptor().neuronType() != MPS::CNNNeuronType::None ||
        convolution->convolution()->subPixelScaleFactor() > 1 || program.readersOfImage(slot).size() != 1)
        return kNone;
    return static_cast<std::size_t>(program.steps.rend() - producer) - 1;
}

void absorb(GraphProgram& program, std::size_t convolution, std::size_t next) {
    auto& step = program.steps[convolution];
    step.result = program.steps[next].result;
    step.absorbed.push_back(program.steps[next].step->kernel().name());
    program.removeStep(next);
}

void foldBatchNormalization(GraphProgram& program) {
    // What is updated must stay apart.
    if (std::any_of(program.steps.begin(), program.steps.end(),
                    [](const ProgramStep& step) { return step.step->updates(); }))
        return;
    for (std::size_t next = 0; next < program.steps.size(); ++next) {
        const auto* normalization = dynamic_cast<const BatchNormalizationStep*>(program.steps[next].step.get());
        if (!normalization || normalization->calculatesStatistics()) continue;
        const std::size_t before = convolutionBefore(program, next);
        if (before == kNone) continue;
        auto& convolution = static_cast<ConvolutionStep&>(*program.steps[before].step);
        const auto& kernel = *convolution.convolution();
        if (kernel.descriptor().batchNormalization() ||
            kernel.outputFeatureChannels() != normalization->normalization()->numberOfFeatureChannels() ||
            normalization->normalization()->fusedNeuronDescriptor().neuronType() != MPS::CNNNeuronType::None)
            continue;
        convolution.absorb(normalization->normalization());
        absorb(program, before, next--);
    }
}

void fuseNeurons(GraphProgram& program) {
    for (std::size_t next = 0; next < program.steps.size(); ++next) {
        const auto* neuron = dynamic_cast<const MPS::CNNNeuron*>(&program.steps[next].step->kernel());
        if (!neuron) continue;
        const std::size_t before = convolutionBefore(program, next);
        if (before == kNone) continue;
        auto& kernel = *static_cast<ConvolutionStep&>(*program.steps[before].step).convolution();
        if (neuron->neuronDescriptor().data() &&
            neuron->neuronDescriptor().data()->size() != kernel.outputFeatureChannels())
            continue;  // refused, in its own name, when it is encoded
        ConvolutionAccess::fuseNeuron(kernel, neuron->neuronDescriptor());
        absorb(program, before, next--);
    }
}

}  // namespace pewter::mps
