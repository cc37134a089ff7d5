#pragma once

#include <MPS/CNNConvolutionDataSource.hpp>
#include <MPS/NNFilterNode.hpp>
#include <memory>
#include <string>

#include "mps/graph/steps/ConvolutionGroup.h"

namespace pewter::mps {

/// The update of a convolution's weights, after its gradient kernel, by the data source of the gradient node.
class ConvolutionUpdate {
public:
    /// kernel: how errors call the gradient kernel.
    ConvolutionUpdate(std::string kernel, std::shared_ptr<ForwardWeights> forward,
                      std::shared_ptr<ConvolutionGroup> group,
                      std::shared_ptr<MPS::CNNConvolutionDataSource> dataSource, MPS::NNTrainingStyle style)
        : kernel_(std::move(kernel)),
          forward_(std::move(forward)),
          group_(std::move(group)),
          dataSource_(std::move(dataSource)),
          style_(style) {}

    bool isDone() const { return style_ != MPS::NNTrainingStyle::UpdateDeviceNone; }
    bool isOnDevice() const { return style_ == MPS::NNTrainingStyle::UpdateDeviceGPU; }
    MPS::NNTrainingStyle style() const { return style_; }
    bool isOnHost() const { return style_ == MPS::NNTrainingStyle::UpdateDeviceCPU; }

    /// The gradient step was encoded; whoever updates calls run() next.
    void encoded(const void* step, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
    void run(const StepArguments& arguments);
    /// The memory of run(), without the data source's doing. readState: lowers the count of the gradient
    /// state.
    template <class ReadState>
    void plan(const StepArguments& arguments, ReadState readState) {
        const auto source = isOnDevice() ? exportOnDevice(arguments.commandBuffer) : nullptr;
        readState();
        if (source && source->isTemporary()) source->setReadCount(0);
    }

private:
    using State = std::shared_ptr<MPS::CNNConvolutionGradientState>;
    /// The weights for the data source's update: a copy when other kernels still compute with them.
    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> exportOnDevice(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
    void runOnDevice(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const State& state);
    void runOnHost(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const State& state);

    std::string kernel_;
    std::shared_ptr<ForwardWeights> forward_;
    std::shared_ptr<ConvolutionGroup> group_;
    std::shared_ptr<MPS::CNNConvolutionDataSource> dataSource_;
    MPS::NNTrainingStyle style_;
};

}  // namespace pewter::mps
