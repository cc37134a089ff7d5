#pragma once

#include <MPS/CNNConvolution.hpp>
#include <memory>
#include <unordered_set>
#include <vector>

namespace pewter::mps {

/// The convolutions of one graph whose weights come from one data source: whatever an update returns reaches
/// all of them, but not before the last of their gradient kernels has been encoded with the old weights.
class ConvolutionGroup {
public:
    void addForward(std::shared_ptr<MPS::CNNConvolution> kernel) { forwards_.push_back(std::move(kernel)); }
    /// ownWeights: null for a gradient kernel that computes with its forward kernel's parameters.
    void addGradient(std::shared_ptr<MPS::CNNConvolutionGradient> ownWeights) {
        ++gradientSteps_;
        if (ownWeights) gradients_.push_back(std::move(ownWeights));
    }

    /// One convolution, one gradient: then the weights may be updated where they lie.
    bool isSingle() const { return forwards_.size() == 1 && gradients_.empty() && gradientSteps_ == 1; }

    /// A gradient step was encoded. Seen again, it belongs to a new encode of the graph.
    void encoded(const void* step) {
        if (seen_.size() == gradientSteps_ || seen_.contains(step)) {
            seen_.clear();
            pending_.clear();
        }
        seen_.insert(step);
    }
    void returned(std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> state) {
        pending_.push_back(std::move(state));
    }
    /// Loads what the updates returned, in their order, once nobody computes with the old weights any more.
    void reloadIfComplete(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
    void reloadFromDataSource();

private:
    std::vector<std::shared_ptr<MPS::CNNConvolution>> forwards_;
    std::vector<std::shared_ptr<MPS::CNNConvolutionGradient>> gradients_;
    std::size_t gradientSteps_ = 0;
    std::unordered_set<const void*> seen_;
    std::vector<std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>> pending_;
};

}  // namespace pewter::mps
