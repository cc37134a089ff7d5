#pragma once

#include <MPS/CNNNormalizationState.hpp>
#include <memory>
#include <vector>

#include "mps/graph/steps/GradientRound.h"

namespace pewter::mps {

/// The normalisations of one graph that have one data source: the gamma and beta that an update returns reach
/// all of them, but not before the last of their gradient kernels, which read both through the states, has
/// been encoded.
template <class Kernel>
class NormalizationGroup {
public:
    void addForward(std::shared_ptr<Kernel> kernel) { forwards_.push_back(std::move(kernel)); }
    void addGradient() { round_.add(); }

    /// A gradient step was encoded. Returns whether an encode of the graph begins with it: what the one
    /// before left undone is forgotten.
    bool encoded(const void* step) {
        const bool begins = round_.encoded(step);
        if (begins) gammaAndBeta_.clear();
        return begins;
    }
    /// Null: nothing to load.
    void returned(std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> gammaAndBeta) {
        if (gammaAndBeta) gammaAndBeta_.push_back(std::move(gammaAndBeta));
    }
    void reloadIfComplete(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
        if (!isComplete()) return;
        for (const auto& state : gammaAndBeta_) {
            share(*state);
            for (const auto& kernel : forwards_) kernel->reloadGammaAndBeta(commandBuffer, state);
        }
        gammaAndBeta_.clear();
    }
    void reloadGammaAndBetaFromDataSource() {
        for (const auto& kernel : forwards_) kernel->reloadGammaAndBetaFromDataSource();
    }

protected:
    const std::vector<std::shared_ptr<Kernel>>& forwards() const { return forwards_; }
    bool isComplete() const { return round_.isComplete(); }
    /// All reloads together take one read of the state.
    void share(MPS::State& state) const {
        if (state.isTemporary()) state.setReadCount(state.readCount() + forwards_.size() - 1);
    }

private:
    std::vector<std::shared_ptr<Kernel>> forwards_;
    GradientRound round_;
    std::vector<std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState>> gammaAndBeta_;
};

}  // namespace pewter::mps
