#pragma once

#include <MPS/CNNArithmetic.hpp>
#include <memory>

#include "mps/graph/Step.h"

namespace pewter::mps {

/// Two source images combined element by element.
class ArithmeticStep : public Step {
public:
    explicit ArithmeticStep(std::shared_ptr<MPS::CNNArithmetic> kernel) : kernel_(std::move(kernel)) {}

    MPS::Kernel& kernel() override { return *kernel_; }
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    MPS::StateBatch makeStates(const MPS::StateOwner& owner, const StepArguments& arguments) override;
    void encode(const StepArguments& arguments) override;
    /// An operand of the result's size: one that is not stretched.
    bool canOverwrite(std::size_t index) const override;
    bool canRecompute() const override { return true; }
    StepParts parts() override;

private:
    std::shared_ptr<MPS::CNNArithmetic> kernel_;
};

}  // namespace pewter::mps
