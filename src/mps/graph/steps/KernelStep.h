#pragma once

#include <Pewter/HostKernel.hpp>
#include <memory>

#include "mps/graph/steps/UnaryStep.h"

namespace pewter::mps {

/// A user's kernel that reads a state besides its image.
class KernelStep : public UnaryStep {
public:
    explicit KernelStep(std::shared_ptr<HostStateKernel> kernel)
        : UnaryStep(kernel), stateful_(std::move(kernel)) {}

    void encode(const StepArguments& arguments) override {
        const auto &sources = arguments.images[0], &destinations = arguments.destinations;
        const auto &from = arguments.states[0], &to = arguments.resultStates;
        if (arguments.batch)
            stateful_->encodeBatch(arguments.commandBuffer, sources, from, to, destinations);
        else
            stateful_->encode(arguments.commandBuffer, sources[0], from[0], to.empty() ? nullptr : to[0],
                              destinations[0]);
    }

    StepParts parts() override;

private:
    std::shared_ptr<HostStateKernel> stateful_;
};

}  // namespace pewter::mps
