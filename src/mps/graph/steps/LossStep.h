#pragma once

#include <MPS/CNNLoss.hpp>
#include <memory>

#include "mps/graph/Step.h"

namespace pewter::mps {

/// A loss with its labels as source state: writes the gradient, and the loss into the labels.
class LossStep : public Step {
public:
    explicit LossStep(std::shared_ptr<MPS::CNNLossKernel> kernel) : kernel_(std::move(kernel)) {}

    MPS::Kernel& kernel() override { return *kernel_; }
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    void encode(const StepArguments& arguments) override;
    StepParts parts() override;

private:
    std::shared_ptr<MPS::CNNLossKernel> kernel_;
};

}  // namespace pewter::mps
