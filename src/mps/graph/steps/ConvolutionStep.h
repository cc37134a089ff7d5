#pragma once

#include <MPS/CNNConvolution.hpp>
#include <memory>

#include "mps/graph/steps/ConvolutionGroup.h"
#include "mps/graph/steps/UnaryStep.h"

namespace pewter::mps {

/// A convolution or fully connected kernel.
class ConvolutionStep : public UnaryStep {
public:
    ConvolutionStep(std::shared_ptr<MPS::CNNConvolution> kernel, Compilation& compilation);

    const std::shared_ptr<MPS::CNNConvolution>& convolution() const { return convolution_; }
    const std::shared_ptr<ConvolutionGroup>& group() const { return group_; }
    void reloadFromDataSource() override { convolution_->reloadWeightsAndBiasesFromDataSource(); }

private:
    std::shared_ptr<MPS::CNNConvolution> convolution_;
    std::shared_ptr<ConvolutionGroup> group_;
};

/// Gradients of a convolution, and the update of its weights by the data source of the gradient node.
class ConvolutionGradientStep : public Step {
public:
    /// isStateExported: somebody outside wants the gradients, even of frozen weights.
    ConvolutionGradientStep(std::shared_ptr<MPS::CNNConvolutionGradient> kernel,
                            const ConvolutionStep& forward, MPS::NNTrainingStyle style, bool isStateExported);

    MPS::Kernel& kernel() override { return *kernel_; }
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    void encode(const StepArguments& arguments) override;

    bool updates() const override { return style_ != MPS::NNTrainingStyle::UpdateDeviceNone; }
    std::size_t updateReads(std::size_t) const override {
        return style_ == MPS::NNTrainingStyle::UpdateDeviceGPU ? 1 : 0;
    }
    bool needsPersistentState(std::size_t) const override {
        return style_ == MPS::NNTrainingStyle::UpdateDeviceCPU;
    }
    void update(const StepArguments& arguments) override;
    void planUpdate(const StepArguments& arguments) override;
    bool dropResult() override;
    void reloadFromDataSource() override;

private:
    using State = std::shared_ptr<MPS::CNNConvolutionGradientState>;
    /// The weights for the data source's update: a copy when other kernels still compute with them.
    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> exportOnDevice(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
    void updateOnDevice(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const State& state);
    void updateOnHost(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const State& state);

    std::shared_ptr<MPS::CNNConvolutionGradient> kernel_;
    std::shared_ptr<MPS::CNNConvolution> forward_;
    std::shared_ptr<ConvolutionGroup> group_;
    MPS::NNTrainingStyle style_;
    /// Both kernels compute with one copy of the weights.
    bool shared_;
    bool weightsOnly_ = false;
};

}  // namespace pewter::mps
