#pragma once

#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNConvolution.hpp>
#include <memory>
#include <optional>

#include "mps/graph/steps/ConvolutionUpdate.h"
#include "mps/graph/steps/UnaryStep.h"
#include "mps/kernels/GradientOption.h"

namespace pewter::mps {

/// A convolution or fully connected kernel.
class ConvolutionStep : public UnaryStep {
public:
    ConvolutionStep(std::shared_ptr<MPS::CNNConvolution> kernel, Sharing& sharing);

    const std::shared_ptr<MPS::CNNConvolution>& convolution() const { return convolution_; }
    const std::shared_ptr<ForwardWeights>& weights() const { return weights_; }
    const std::shared_ptr<ConvolutionGroup>& group() const { return group_; }
    const void* updateGroup() const override { return group_.get(); }
    void reloadFromDataSource() override;
    int recomputeCost() const override { return 1; }
    StepParts parts() override;
    /// From now on computes the normalisation, which has stored statistics, as well.
    void absorb(std::shared_ptr<MPS::CNNBatchNormalization> normalization);

private:
    std::shared_ptr<MPS::CNNConvolution> convolution_;
    std::shared_ptr<ForwardWeights> weights_;
    std::shared_ptr<ConvolutionGroup> group_;
    std::shared_ptr<MPS::CNNBatchNormalization> normalization_;
};

/// The incoming gradient carried through a neuron whose derivative is taken at image 2: where it lies if nobody reads it
/// again, else in images of its own. Takes the reads of what is used up.
MPS::ImageBatch throughNeuron(const MPS::Kernel& kernel, const MPS::NNNeuronDescriptor& neuron,
                              const StepArguments& arguments);

/// Gradients of a convolution, transposed or not, and the update of its weights by the data source of the
/// gradient node.
template <class Kernel>
class WeightedGradientStep : public Step {
public:
    /// Forward: a step with a kernel, weights() and group(). isStateExported: somebody outside wants the
    /// gradients, even of frozen weights.
    template <class Forward, class ForwardKernel>
    WeightedGradientStep(std::shared_ptr<Kernel> kernel, Forward& forward,
                         const ForwardKernel& forwardKernel, MPS::NNTrainingStyle style, bool isStateExported)
        : kernel_(std::move(kernel)),
          forward_(&forward),
          update_(kernel_->name(), forward.weights(), forward.group(), kernel_->dataSource(), style),
          shared_(kernel_->dataSource() == forwardKernel.dataSource()) {
        if (shared_)
            ConvolutionAccess::shareParameters(*kernel_, forwardKernel);
        else
            ConvolutionAccess::checkTwin(*kernel_, forwardKernel);
        forward.group()->addGradient(shared_ ? nullptr : std::make_shared<WeightsOf<Kernel>>(kernel_));
        if (!update_.isDone() && !isStateExported)
            kernel_->setGradientOption(MPS::CNNConvolutionGradientOptionGradientWithData);
        else if (!isStateExported && kernel_->dataSource()->biasTermsLength() == 0)
            kernel_->setGradientOption(MPS::CNNConvolutionGradientOptionGradientWithData | kGradientWithWeightsAlone);
    }

    MPS::Kernel& kernel() override { return *kernel_; }
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override {
        return kernel_->destinationImageDescriptor({images[0], images[1]}, states);
    }
    void encode(const StepArguments& arguments) override {
        const auto gradients = neuron_ ? throughNeuron(*kernel_, *neuron_, arguments) : arguments.images[0];
        const auto& sources = arguments.images[1];
        const auto& states = arguments.states[0];
        const auto& destinations = arguments.destinations;
        const auto& commandBuffer = arguments.commandBuffer;
        if (weightsOnly_ && destinations.empty())
            kernel_->encodeWeightGradients(commandBuffer, gradients, sources, states);
        else if (arguments.batch)
            kernel_->encodeBatch(commandBuffer, gradients, sources, states, destinations);
        else
            kernel_->encode(commandBuffer, gradients[0], sources[0], states[0], destinations[0]);
    }
    bool hasHostPart() const override { return true; }
    void encoded(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) override {
        update_.encoded(this, commandBuffer);
    }

    bool updates() const override { return update_.isDone(); }
    std::size_t updateReads(std::size_t) const override { return update_.isOnDevice() ? 1 : 0; }
    bool needsPersistentState(std::size_t) const override { return update_.isOnHost(); }
    void update(const StepArguments& arguments) override { update_.run(arguments); }
    void planUpdate(const StepArguments& arguments) override {
        update_.plan(arguments, [&] { Step::planUpdate(arguments); });
    }
    bool dropResult() override {
        weightsOnly_ = true;
        return true;
    }
    void reloadFromDataSource() override {
        if (!shared_) kernel_->reloadWeightsAndBiasesFromDataSource();
    }
    StepParts parts() override;

    const Step* forward() const { return forward_; }
    /// From now on the incoming gradient is that of a neuron behind the convolution, whose derivative is taken at image 2.
    void absorb(const MPS::NNNeuronDescriptor& neuron) { neuron_ = neuron; }
    const std::optional<MPS::NNNeuronDescriptor>& neuron() const { return neuron_; }
    /// Whether the step has a result image, written by a kernel that could add instead.
    bool canAddToResult() const {
        return !weightsOnly_ && !addsToResult_ && ConvolutionAccess::canAddToDestination(*kernel_);
    }
    /// From now on adds its result to an image that is there.
    void addToResult() {
        addsToResult_ = true;
        ConvolutionAccess::addToDestination(*kernel_);
    }
    bool addsToResult() const override { return addsToResult_; }

protected:
    std::shared_ptr<Kernel> kernel_;

private:
    Step* forward_;
    ConvolutionUpdate update_;
    /// Both kernels compute with one copy of the weights.
    bool shared_;
    bool weightsOnly_ = false, addsToResult_ = false;
    std::optional<MPS::NNNeuronDescriptor> neuron_;
};

/// Of a convolution or fully connected kernel.
class ConvolutionGradientStep final : public WeightedGradientStep<MPS::CNNConvolutionGradient> {
public:
    ConvolutionGradientStep(std::shared_ptr<MPS::CNNConvolutionGradient> kernel,
                            ConvolutionStep& forward, MPS::NNTrainingStyle style, bool isStateExported);
};

}  // namespace pewter::mps
