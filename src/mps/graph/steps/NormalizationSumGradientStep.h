#pragma once

#include <MPS/CNNNeuron.hpp>
#include <memory>

#include "mps/graph/Step.h"

namespace pewter::mps {

/// The gradient of a neuron behind a sum behind a batch normalisation, which is that of both operands of the sum, together
/// with the normalisation's statistics gradient. Images: incoming gradient, the normalisation's source, the image added;
/// state: the normalisation's. The BatchNormalizationGradientStep that reads the result leaves its statistics to this one.
class NormalizationSumGradientStep final : public Step {
public:
    explicit NormalizationSumGradientStep(std::shared_ptr<MPS::CNNNeuronGradient> kernel) : kernel_(std::move(kernel)) {}

    MPS::Kernel& kernel() override { return *kernel_; }
    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    void encode(const StepArguments& arguments) override;
    bool canOverwrite(std::size_t index) const override { return index == 0; }
    StepParts parts() override;

private:
    std::shared_ptr<MPS::CNNNeuronGradient> kernel_;
};

}  // namespace pewter::mps
