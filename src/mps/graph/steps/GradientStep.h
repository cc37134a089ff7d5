#pragma once

#include <MPS/CNNGradientKernel.hpp>
#include <memory>

#include "mps/graph/Step.h"

namespace pewter::mps {

/// One gradient kernel: incoming gradient, source image, gradient state.
class GradientStep : public Step {
public:
    explicit GradientStep(std::shared_ptr<MPS::CNNGradientKernel> kernel) : kernel_(std::move(kernel)) {}

    MPS::Kernel& kernel() override { return *kernel_; }
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    void encode(const StepArguments& arguments) override;
    /// The incoming gradient, where the kernel goes element by element.
    bool canOverwrite(std::size_t index) const override;
    StepParts parts() override;

private:
    std::shared_ptr<MPS::CNNGradientKernel> kernel_;
};

}  // namespace pewter::mps
