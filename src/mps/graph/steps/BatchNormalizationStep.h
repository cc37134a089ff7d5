#pragma once

#include <MPS/CNNBatchNormalization.hpp>
#include <memory>

#include "mps/graph/Step.h"
#include "mps/graph/steps/BatchNormalizationGroup.h"

namespace pewter::mps {

/// Normalisation with the statistics of the batch (two kernels) or with stored ones (one kernel).
class BatchNormalizationStep : public Step {
public:
    BatchNormalizationStep(std::shared_ptr<MPS::CNNBatchNormalization> kernel, bool calculatesStatistics,
                           Sharing& sharing);

    const std::shared_ptr<BatchNormalizationGroup>& group() const { return group_; }
    const void* updateGroup() const override { return group_.get(); }
    const std::shared_ptr<MPS::CNNBatchNormalization>& normalization() const { return kernel_; }
    bool calculatesStatistics() const { return statistics_ != nullptr; }
    /// From now on applies the neuron as well.
    void absorb(const MPS::NNNeuronDescriptor& neuron);
    /// From now on adds image 1 before the neuron, which it has besides.
    void absorbSum(const MPS::NNNeuronDescriptor& neuron);
    bool hasSum() const { return hasSum_; }

    MPS::Kernel& kernel() override { return *kernel_; }
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    MPS::StateBatch makeStates(const MPS::StateOwner& owner, const StepArguments& arguments) override;
    void encode(const StepArguments& arguments) override;

    std::size_t imageReads(std::size_t index) const override { return statistics_ && index == 0 ? 2 : 1; }
    /// The image that is added: like the sum, the result may lie there.
    bool canOverwrite(std::size_t index) const override { return index == 1; }
    /// A state that is made is read by the normalising encode, whoever's statistics it holds.
    std::size_t ownStateReads() const override { return 1; }
    void reloadFromDataSource() override;

    /// The statistics are those of the state; without one they would have to be computed again.
    bool canRecompute() const override { return true; }
    bool recomputesFromState() const override { return true; }
    void recompute(const StepArguments& arguments) override;
    StepParts parts() override;

private:
    std::shared_ptr<MPS::CNNBatchNormalization> kernel_;
    std::shared_ptr<MPS::CNNBatchNormalizationStatistics> statistics_;
    std::shared_ptr<BatchNormalizationGroup> group_;
    bool hasSum_ = false;

    void normalize(const StepArguments& arguments, const std::shared_ptr<MPS::CNNBatchNormalizationState>& state);
};

/// Statistics gradient over the whole batch, then the gradient for the images, then the updates of the data
/// source.
class BatchNormalizationGradientStep : public Step {
public:
    BatchNormalizationGradientStep(std::shared_ptr<MPS::CNNBatchNormalizationGradient> kernel,
                                   BatchNormalizationStep& forward, MPS::NNTrainingStyle style);

    MPS::Kernel& kernel() override { return *kernel_; }
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    void encode(const StepArguments& arguments) override;
    bool hasHostPart() const override { return true; }
    void encoded(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) override;

    std::size_t imageReads(std::size_t) const override { return kernelCount(); }
    std::size_t stateReads(std::size_t) const override { return kernelCount(); }
    bool updates() const override { return style_ != MPS::NNTrainingStyle::UpdateDeviceNone; }
    /// One for each of the two update methods.
    std::size_t updateReads(std::size_t) const override {
        return style_ == MPS::NNTrainingStyle::UpdateDeviceGPU ? 2 : 0;
    }
    bool needsPersistentState(std::size_t) const override {
        return style_ == MPS::NNTrainingStyle::UpdateDeviceCPU;
    }
    void update(const StepArguments& arguments) override;
    bool dropResult() override;
    StepParts parts() override;

    const Step* forward() const { return forwardStep_; }
    /// From now on the incoming gradient is that of a neuron behind the normalisation, which the forward step has, too.
    void absorb(const MPS::NNNeuronDescriptor& neuron);
    const MPS::NNNeuronDescriptor& neuron() const { return kernel_->fusedNeuronDescriptor(); }
    /// From now on another step, a NormalizationSumGradientStep, makes the statistics gradient before.
    void leaveStatistics() { hasStatistics_ = false; }
    bool makesResult() const { return !statisticsOnly_; }

private:
    std::size_t kernelCount() const { return (hasStatistics_ ? 1U : 0U) + (makesResult() ? 1U : 0U); }

    std::shared_ptr<MPS::CNNBatchNormalizationGradient> kernel_;
    std::shared_ptr<MPS::CNNBatchNormalizationStatisticsGradient> statistics_;
    Step* forwardStep_;
    std::shared_ptr<MPS::CNNBatchNormalization> forward_;
    std::shared_ptr<BatchNormalizationGroup> group_;
    MPS::NNTrainingStyle style_;
    bool statisticsOnly_ = false, hasStatistics_ = true;
};

}  // namespace pewter::mps
