#include "mps/graph/SharedMemory.h"

#include <MPS/CNNArithmetic.hpp>
#include <algorithm>
#include <limits>

#include "mps/graph/steps/ConvolutionTransposeStep.h"

namespace pewter::mps {

bool isPlainSum(const MPS::Kernel& kernel) {
    const auto* add = dynamic_cast<const MPS::CNNAdd*>(&kernel);
    if (!add) return false;
    const MPS::CNNAdd plain(add->device());
    const auto facts = [](const MPS::CNNAdd& one) {
        return std::vector<double>{one.primaryScale(), one.secondaryScale(), one.bias(), one.minimumValue(),
                                   one.maximumValue(), static_cast<double>(one.primaryStrideInPixelsX()),
                                   static_cast<double>(one.primaryStrideInPixelsY()),
                                   static_cast<double>(one.primaryStrideInFeatureChannels()),
                                   static_cast<double>(one.secondaryStrideInPixelsX()),
                                   static_cast<double>(one.secondaryStrideInPixelsY()),
                                   static_cast<double>(one.secondaryStrideInFeatureChannels())};
    };
    return facts(*add) == facts(plain);
}

namespace {

/// Whether images are read and written from their first pixel and channel on, as the kernel was last encoded.
bool isWhole(const MPS::CNNBinaryKernel& kernel) {
    const auto isZero = [](const MPS::Offset& o) { return o.x == 0 && o.y == 0 && o.z == 0; };
    const auto &clip = kernel.clipRect(), &all = MPS::RectNoClip;
    return isZero(kernel.primaryOffset()) && isZero(kernel.secondaryOffset()) && clip.origin.x == 0 &&
           clip.origin.y == 0 && clip.origin.z == 0 && clip.size.width == all.size.width &&
           clip.size.height == all.size.height && clip.size.depth == all.size.depth &&
           kernel.destinationFeatureChannelOffset() == 0 && kernel.primarySourceFeatureChannelOffset() == 0 &&
           kernel.secondarySourceFeatureChannelOffset() == 0;
}

/// Whether the step's result is its first source, element for element, if both are of one size: the gradient of a sum.
bool handsOn(const GraphProgram& program, const ProgramStep& step) {
    const auto* gradient = dynamic_cast<const MPS::CNNAddGradient*>(&step.step->kernel());
    if (!gradient || step.recomputes != kNone || step.states.size() != 1) return false;
    const std::size_t maker = program.states[step.states[0]].producer;
    if (maker == kNone || gradient->primaryScale() != 1 || !isWhole(*gradient)) return false;
    const auto& forward = program.steps[maker].step->kernel();
    return isPlainSum(forward) && isWhole(dynamic_cast<const MPS::CNNBinaryKernel&>(forward));
}

/// Whether the step takes an incoming gradient that nobody else needs through a neuron where it lies.
bool overwritesFirst(const Step& step) {
    const auto* one = dynamic_cast<const WeightedGradientStep<MPS::CNNConvolutionGradient>*>(&step);
    const auto* two = dynamic_cast<const WeightedGradientStep<MPS::CNNConvolutionTransposeGradient>*>(&step);
    return (one && one->neuron()) || (two && two->neuron());
}

}  // namespace

SharedMemory::SharedMemory(const GraphProgram& program, const ImageParts& parts)
    : program_(program), parts_(parts), last_(parts.lastReaders(program)), changes_(program.images.size()) {
    for (std::size_t slot = 0; slot < program.images.size(); ++slot) {
        groupOf_.push_back(slot);
        groups_.push_back({slot});
    }
    for (std::size_t index = 0; index < program.steps.size(); ++index) {
        const auto& step = program.steps[index];
        if (step.step->addsToResult()) changes_[step.result].push_back(index);
        if (!step.images.empty() && last_[step.images[0]] == index && overwritesFirst(*step.step))
            changes_[step.images[0]].push_back(index);
    }
}

bool SharedMemory::mayShare(std::size_t index, std::size_t position) const {
    const auto& images = program_.steps[index].images;
    return std::count(images.begin(), images.end(), images[position]) == 1 &&
           (mayOverwrite(index, position) || mayHandOn(index, position));
}

bool SharedMemory::mayOverwrite(std::size_t index, std::size_t position) const {
    const auto& step = program_.steps[index];
    const std::size_t source = step.images[position];
    const auto& there = group(source);
    return last_[source] == index && step.step->canOverwrite(position) &&
           std::all_of(there.begin(), there.end(),
                       [&](std::size_t slot) { return slot == source || isReadBefore(slot, index); });
}

bool SharedMemory::mayHandOn(std::size_t index, std::size_t position) const {
    const auto& step = program_.steps[index];
    const std::size_t source = step.images[position], result = step.result;
    if (position != 0 || parts_.isShared(source) || parts_.isShared(result) || !handsOn(program_, step)) return false;
    // Whoever changes one of them comes after the readers of the others.
    const auto isSafe = [&](std::size_t changed, std::size_t read) {
        return std::all_of(changes_[changed].begin(), changes_[changed].end(),
                           [&](std::size_t change) { return change <= index || isReadBefore(read, change); });
    };
    return std::all_of(group(source).begin(), group(source).end(),
                       [&](std::size_t slot) { return isSafe(slot, result) && isSafe(result, slot); });
}

void SharedMemory::share(std::size_t index, std::size_t position) {
    const std::size_t source = program_.steps[index].images[position], result = program_.steps[index].result;
    groupOf_[result] = groupOf_[source];
    group(source).push_back(result);
}

}  // namespace pewter::mps
