#pragma once

#include <MPS/NNPadding.hpp>
#include <memory>
#include <string>
#include <vector>

#include "mps/graph/Step.h"
#include "mps/kernels/Concatenation.h"

namespace pewter::mps {

/// Images side by side in the channels of one. Each source begins at a multiple of 4, and the total is one;
/// the channels between are 0.
class ConcatenationStep : public Step {
public:
    /// One kernel a source, already labelled.
    ConcatenationStep(std::vector<std::shared_ptr<Concatenation>> kernels,
                      std::shared_ptr<MPS::NNPadding> padding)
        : kernels_(std::move(kernels)), padding_(std::move(padding)) {}

    /// That of the first source.
    MPS::Kernel& kernel() override { return *kernels_[0]; }
    /// Places the sources.
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    MPS::StateBatch makeStates(const MPS::StateOwner& owner, const StepArguments& arguments) override;
    std::vector<MPS::StateBatch> makeFurtherStates(const MPS::StateOwner& owner,
                                                   const StepArguments& arguments,
                                                   const std::vector<bool>& wanted) override;
    void encode(const StepArguments& arguments) override;
    StepParts parts() override;

    /// What copies source `index`, to where the last describe() put it.
    const Concatenation& kernelOf(std::size_t index) const { return *kernels_[index]; }

private:
    MPS::StateBatch statesOf(std::size_t index, const MPS::StateOwner& owner,
                             const StepArguments& arguments) const;

    std::vector<std::shared_ptr<Concatenation>> kernels_;
    std::shared_ptr<MPS::NNPadding> padding_;
};

}  // namespace pewter::mps
