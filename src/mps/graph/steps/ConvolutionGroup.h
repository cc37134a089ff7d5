#pragma once

#include <memory>
#include <vector>

#include "mps/graph/Step.h"
#include "mps/graph/steps/ConvolutionWeights.h"
#include "mps/graph/steps/GradientRound.h"

namespace pewter::mps {

/// The convolutions, transposed or not, of one graph whose weights come from one data source: whatever an
/// update returns reaches all of them, but not before the last of their gradient kernels has been encoded
/// with the old weights.
class ConvolutionGroup {
public:
    /// That of the data source; made for the first who asks.
    static std::shared_ptr<ConvolutionGroup> of(Sharing& sharing, const void* dataSource);

    void addForward(std::shared_ptr<ConvolutionWeights> kernel) { forwards_.push_back(std::move(kernel)); }
    /// ownWeights: null for a gradient kernel that computes with its forward kernel's parameters.
    void addGradient(std::shared_ptr<ConvolutionWeights> ownWeights) {
        round_.add();
        if (ownWeights) gradients_.push_back(std::move(ownWeights));
    }

    /// One convolution, one gradient: then the weights may be updated where they lie.
    bool isSingle() const { return forwards_.size() == 1 && gradients_.empty() && round_.steps() == 1; }

    /// A gradient step was encoded.
    void encoded(const void* step) {
        if (round_.encoded(step)) pending_.clear();
    }
    void returned(std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> state) {
        pending_.push_back(std::move(state));
    }
    /// Loads what the updates returned, in their order, once nobody computes with the old weights any more.
    void reloadIfComplete(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
    void reloadFromDataSource();

private:
    std::vector<std::shared_ptr<ConvolutionWeights>> forwards_, gradients_;
    GradientRound round_;
    std::vector<std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>> pending_;
};

}  // namespace pewter::mps
