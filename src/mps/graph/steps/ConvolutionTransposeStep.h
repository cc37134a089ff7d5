#pragma once

#include <MPS/CNNConvolutionTranspose.hpp>
#include <memory>

#include "mps/graph/steps/ConvolutionStep.h"

namespace pewter::mps {

/// A transposed convolution, perhaps with the state of the convolution that it undoes.
class ConvolutionTransposeStep : public Step {
public:
    ConvolutionTransposeStep(std::shared_ptr<MPS::CNNConvolutionTranspose> kernel, Sharing& sharing);

    MPS::Kernel& kernel() override { return *kernel_; }
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    /// The convolution's state is linked to the one made.
    MPS::StateBatch makeStates(const MPS::StateOwner& owner, const StepArguments& arguments) override;
    void encode(const StepArguments& arguments) override;
    void reloadFromDataSource() override { kernel_->reloadWeightsAndBiasesFromDataSource(); }

    StepParts parts() override;

    const std::shared_ptr<MPS::CNNConvolutionTranspose>& transpose() const { return kernel_; }
    const std::shared_ptr<ForwardWeights>& weights() const { return weights_; }
    const std::shared_ptr<ConvolutionGroup>& group() const { return group_; }
    const void* updateGroup() const override { return group_.get(); }

private:
    std::shared_ptr<MPS::CNNConvolutionTranspose> kernel_;
    std::shared_ptr<ForwardWeights> weights_;
    std::shared_ptr<ConvolutionGroup> group_;
};

/// Its gradients.
class ConvolutionTransposeGradientStep final
    : public WeightedGradientStep<MPS::CNNConvolutionTransposeGradient> {
public:
    ConvolutionTransposeGradientStep(std::shared_ptr<MPS::CNNConvolutionTransposeGradient> kernel,
                                     ConvolutionTransposeStep& forward, MPS::NNTrainingStyle style,
                                     bool isStateExported);
};

}  // namespace pewter::mps
