#pragma once

#include <MPS/CNNNormalization.hpp>
#include <MPS/NNGradientState.hpp>
#include <memory>
#include <string>

#include "mps/graph/steps/GradientStep.h"
#include "mps/kernels/NormalizationRecord.h"

namespace pewter::mps {

/// Takes alpha, beta and delta from the state, for a node that has none.
class CrossChannelGradientStep final : public GradientStep {
public:
    explicit CrossChannelGradientStep(std::shared_ptr<MPS::CNNCrossChannelNormalizationGradient> kernel)
        : GradientStep(kernel), kernel_(std::move(kernel)) {}

    void encode(const StepArguments& arguments) override {
        // A state of another kernel is left to the kernel to refuse.
        if (const auto* state = dynamic_cast<const MPS::NNGradientState*>(arguments.states[0].at(0).get()))
            if (const auto* forward = dynamic_cast<const NormalizationRecord*>(state->record().get()))
                take(*forward);
        GradientStep::encode(arguments);
    }
    StepParts parts() override;

private:
    void take(const NormalizationRecord& forward) {
        for (const auto& [argument, value] : forward.parameters) {
            const std::string name = argument;
            if (name == "alpha") kernel_->setAlpha(static_cast<float>(value));
            if (name == "beta") kernel_->setBeta(static_cast<float>(value));
            if (name == "delta") kernel_->setDelta(static_cast<float>(value));
        }
    }

    std::shared_ptr<MPS::CNNCrossChannelNormalizationGradient> kernel_;
};

}  // namespace pewter::mps
