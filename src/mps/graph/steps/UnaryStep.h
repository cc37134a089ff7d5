#pragma once

#include <MPS/CNNKernel.hpp>
#include <memory>

#include "mps/graph/Step.h"

namespace pewter::mps {

/// One kernel with one source image.
class UnaryStep : public Step {
public:
    explicit UnaryStep(std::shared_ptr<MPS::CNNKernel> kernel) : kernel_(std::move(kernel)) {}

    MPS::Kernel& kernel() override { return *kernel_; }
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    MPS::StateBatch makeStates(const MPS::StateOwner& owner, const StepArguments& arguments) override;
    void encode(const StepArguments& arguments) override;
    /// Element by element: neurons and dropout.
    bool canOverwrite(std::size_t) const override;
    bool canRecompute() const override { return true; }
    StepParts parts() override;

private:
    std::shared_ptr<MPS::CNNKernel> kernel_;
};

}  // namespace pewter::mps
