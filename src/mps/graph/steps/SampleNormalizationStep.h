#pragma once

#include <MPS/CNNGroupNormalization.hpp>
#include <MPS/CNNInstanceNormalization.hpp>
#include <MTL/Error.hpp>
#include <memory>
#include <string>
#include <vector>

#include "mps/graph/StepParts.h"
#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/NormalizationGroup.h"
#include "mps/graph/steps/OnlyGradient.h"
#include "mps/graph/steps/Prepare.h"
#include "mps/graph/steps/UnaryStep.h"
#include "mps/graph/steps/Update.h"

namespace pewter::mps {

// Instance and group normalisation: each sample has statistics, and so a state, of its own. Kind names the
// classes of one of them.

struct InstanceNormalizationKind {
    using Kernel = MPS::CNNInstanceNormalization;
    using Gradient = MPS::CNNInstanceNormalizationGradient;
    using State = MPS::CNNInstanceNormalizationGradientState;
    static constexpr const char* kType = "InstanceNormalization";
    static constexpr const char* kMaker = "an instance normalisation";
    static constexpr const char* kStates = "instanceNormalizationStateBatch";
};

struct GroupNormalizationKind {
    using Kernel = MPS::CNNGroupNormalization;
    using Gradient = MPS::CNNGroupNormalizationGradient;
    using State = MPS::CNNGroupNormalizationGradientState;
    static constexpr const char* kType = "GroupNormalization";
    static constexpr const char* kMaker = "a group normalisation";
    static constexpr const char* kStates = "groupNormalizationStateBatch";
};

template <class Kind>
class SampleNormalizationStep : public UnaryStep {
public:
    using Kernel = typename Kind::Kernel;
    using Group = NormalizationGroup<Kernel>;

    SampleNormalizationStep(std::shared_ptr<Kernel> kernel, Sharing& sharing)
        : UnaryStep(kernel), kernel_(std::move(kernel)) {
        auto& shared = sharing.shared(kernel_->dataSource().get());
        if (!shared) shared = std::make_shared<Group>();
        group_ = std::static_pointer_cast<Group>(shared);
        group_->addForward(kernel_);
    }

    const std::shared_ptr<Kernel>& normalization() const { return kernel_; }
    const std::shared_ptr<Group>& group() const { return group_; }
    const void* updateGroup() const override { return group_.get(); }
    void reloadFromDataSource() override { kernel_->reloadGammaAndBetaFromDataSource(); }
    StepParts parts() override;

private:
    std::shared_ptr<Kernel> kernel_;
    std::shared_ptr<Group> group_;
};

/// The gradient kernel, then the update of gamma and beta from the states of all samples.
template <class Kind>
class SampleNormalizationGradientStep : public GradientStep {
public:
    SampleNormalizationGradientStep(const std::shared_ptr<typename Kind::Gradient>& kernel,
                                    SampleNormalizationStep<Kind>& forward, MPS::NNTrainingStyle style)
        : GradientStep(kernel),
          kernel_(kernel),
          forwardStep_(&forward),
          forward_(forward.normalization()),
          group_(forward.group()),
          style_(style) {
        group_->addGradient();
    }

    void encode(const StepArguments& arguments) override {
        if (parametersOnly_ && arguments.destinations.empty())
            kernel_->encodeParameterGradients(arguments.commandBuffer, arguments.images[0], arguments.images[1],
                                              arguments.states[0]);
        else
            GradientStep::encode(arguments);
    }
    bool dropResult() override {
        parametersOnly_ = true;
        return true;
    }
    bool hasHostPart() const override { return true; }
    void encoded(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) override {
        group_->encoded(this);
        if (!updates()) group_->reloadIfComplete(commandBuffer);
    }

    bool updates() const override { return style_ != MPS::NNTrainingStyle::UpdateDeviceNone; }
    std::size_t updateReads(std::size_t) const override {
        return style_ == MPS::NNTrainingStyle::UpdateDeviceGPU ? 1 : 0;
    }
    bool needsPersistentState(std::size_t) const override {
        return style_ == MPS::NNTrainingStyle::UpdateDeviceCPU;
    }

    void update(const StepArguments& arguments) override {
        std::vector<std::shared_ptr<typename Kind::State>> states;
        for (const auto& state : arguments.states[0])
            states.push_back(std::dynamic_pointer_cast<typename Kind::State>(state));
        const auto& dataSource = forward_->dataSource();
        if (style_ == MPS::NNTrainingStyle::UpdateDeviceGPU) {
            std::vector<ReadDuty> duties;
            for (const auto& state : states) duties.emplace_back(Kind::kStates, state);
            const auto gammaAndBeta = dataSource->updateGammaAndBeta(arguments.commandBuffer, states);
            for (const auto& duty : duties) duty.check(kernel().name(), "updateGammaAndBeta");
            group_->returned(gammaAndBeta);
            group_->reloadIfComplete(arguments.commandBuffer);
            return;
        }
        MPS::StateBatchSynchronize(arguments.states[0], arguments.commandBuffer);
        whenCompleted(*arguments.commandBuffer, kernel().name(),
                      [source = dataSource, group = group_, states] {
                          if (source->updateGammaAndBeta(states)) group->reloadGammaAndBetaFromDataSource();
                      });
    }

    StepParts parts() override;

private:
    std::shared_ptr<typename Kind::Gradient> kernel_;
    Step* forwardStep_;
    std::shared_ptr<typename Kind::Kernel> forward_;
    std::shared_ptr<NormalizationGroup<typename Kind::Kernel>> group_;
    MPS::NNTrainingStyle style_;
    bool parametersOnly_ = false;
};

/// The step of a gradient node, which finds its forward step by the state.
template <class Kind, class Node>
std::unique_ptr<Step> sampleNormalizationGradient(const Node& node, Compilation& compilation) {
    auto* forward =
        dynamic_cast<SampleNormalizationStep<Kind>*>(compilation.producer(*node.sourceStates()[0]));
    if (!forward)
        throw MTL::Error(node.name(), "gradientState",
                         std::string("a state that ") + Kind::kMaker + " of this graph makes", "another one");
    requireOnlyGradient(node, compilation);
    auto kernel = made<typename Kind::Gradient>(node, compilation.device());
    if (node.label().empty()) kernel->setLabel(forward->normalization()->label());
    return std::make_unique<SampleNormalizationGradientStep<Kind>>(kernel, *forward, node.trainingStyle());
}

}  // namespace pewter::mps
