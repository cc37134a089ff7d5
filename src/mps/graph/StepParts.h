#pragma once

#include <MPS/ImageScale.hpp>
#include <MPS/NNFilterNode.hpp>
#include <MPS/NNLoss.hpp>
#include <MPS/NNNeuronDescriptor.hpp>
#include <MPS/NNPadding.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mps/graph/Step.h"

namespace pewter::mps {

/// What a step is made of: with other kernels in it, a step for another device. Copies and archives of graphs take steps
/// apart and put them together again.
struct StepParts {
    std::string type;
    std::vector<std::shared_ptr<MPS::Kernel>> kernels;
    /// The step whose weights a gradient step shares.
    Step* forward = nullptr;
    MPS::NNTrainingStyle style = MPS::NNTrainingStyle::UpdateDeviceNone;
    /// Whether what updates do is in an archive: the data source has secure coding.
    bool keepsUpdates = true;
    bool resultDropped = false, replayable = true;

    /// Values of the type's own.
    std::vector<std::int64_t> numbers;
    std::vector<std::vector<float>> lists;
    /// A neuron that became part of a convolution.
    std::shared_ptr<MPS::NNNeuronDescriptor> neuron;
    std::shared_ptr<MPS::NNPadding> padding;
    std::shared_ptr<MPS::ImageTransformProvider> provider;
    std::shared_ptr<MPS::NNLossCallback> callback;
    std::shared_ptr<MPS::Handle> handle;
};

/// Puts a step together. Throws MPS::Error about the first kernel for an unknown type and for parts that do not fit it.
std::unique_ptr<Step> makeStep(const StepParts& parts, Sharing& sharing);

/// How many images and states a step of the type reads, and states it makes; throws for an unknown type.
struct StepArity {
    std::size_t leastImages = 1, mostImages = 1, leastStates = 0, mostStates = 0, mostMade = 1;
};
StepArity arityOf(const StepParts& parts);
/// Gradients of a convolution, transposed or not.
bool isWeightedGradient(const StepParts& parts);
/// Whether the step adds to an image that an earlier step has made, instead of making one.
bool addsToResult(const StepParts& parts);

}  // namespace pewter::mps
