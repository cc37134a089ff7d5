#pragma once

#include <MPS/NNLoss.hpp>
#include <memory>

#include "mps/graph/Step.h"

namespace pewter::mps {

/// A loss whose labels, and weights if there are three sources, are images.
class ForwardLossStep : public Step {
public:
    /// The callback, if any, is asked once an encode.
    ForwardLossStep(std::shared_ptr<MPS::NNForwardLoss> kernel, std::shared_ptr<MPS::NNLossCallback> callback)
        : kernel_(std::move(kernel)) {
        kernel_->setPropertyCallBack(std::move(callback));
    }

    MPS::Kernel& kernel() override { return *kernel_; }
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    MPS::StateBatch makeStates(const MPS::StateOwner& owner, const StepArguments& arguments) override;
    void encode(const StepArguments& arguments) override;
    StepParts parts() override;

private:
    std::shared_ptr<MPS::NNForwardLoss> kernel_;
};

/// Its gradient towards predictions or labels: incoming gradient, predictions, labels, perhaps weights, and
/// perhaps the forward state.
class LossGradientStep : public Step {
public:
    /// The callback, if any, is asked once an encode, also where the state's weight counts.
    LossGradientStep(std::shared_ptr<MPS::NNLossGradient> kernel,
                     std::shared_ptr<MPS::NNLossCallback> callback)
        : kernel_(std::move(kernel)), callback_(std::move(callback)) {
        if (callback_) refuseReplay();
    }

    MPS::Kernel& kernel() override { return *kernel_; }
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    void encode(const StepArguments& arguments) override;
    StepParts parts() override;

private:
    std::shared_ptr<MPS::NNLossGradient> kernel_;
    std::shared_ptr<MPS::NNLossCallback> callback_;
};

}  // namespace pewter::mps
