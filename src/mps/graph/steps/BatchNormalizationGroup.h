#pragma once

#include <MPS/CNNBatchNormalization.hpp>
#include <memory>
#include <vector>

#include "mps/graph/steps/GradientRound.h"

namespace pewter::mps {

/// The batch normalisations of one graph that have one data source: what an update returns reaches all of
/// them, but not before the last of their gradient kernels, which read gamma and beta through the states, has
/// been encoded.
class BatchNormalizationGroup {
public:
    void addForward(std::shared_ptr<MPS::CNNBatchNormalization> kernel) {
        forwards_.push_back(std::move(kernel));
    }
    void addGradient() { round_.add(); }

    void encoded(const void* step) {
        if (!round_.encoded(step)) return;
        gammaAndBeta_.clear();
        meanAndVariance_.clear();
    }
    /// Null: nothing to load.
    void returned(std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> gammaAndBeta,
                  std::shared_ptr<MPS::CNNNormalizationMeanAndVarianceState> meanAndVariance) {
        if (gammaAndBeta) gammaAndBeta_.push_back(std::move(gammaAndBeta));
        if (meanAndVariance) meanAndVariance_.push_back(std::move(meanAndVariance));
    }
    void reloadIfComplete(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
        if (!round_.isComplete()) return;
        for (const auto& state : gammaAndBeta_) {
            share(*state);
            for (const auto& kernel : forwards_) kernel->reloadGammaAndBeta(commandBuffer, state);
        }
        for (const auto& state : meanAndVariance_) {
            share(*state);
            for (const auto& kernel : forwards_) kernel->reloadMeanAndVariance(commandBuffer, state);
        }
        gammaAndBeta_.clear();
        meanAndVariance_.clear();
    }
    void reloadGammaAndBetaFromDataSource() {
        for (const auto& kernel : forwards_) kernel->reloadGammaAndBetaFromDataSource();
    }
    void reloadMeanAndVarianceFromDataSource() {
        for (const auto& kernel : forwards_) kernel->reloadMeanAndVarianceFromDataSource();
    }

private:
    /// All reloads together take one read of the state.
    void share(MPS::State& state) const {
        if (state.isTemporary()) state.setReadCount(state.readCount() + forwards_.size() - 1);
    }

    std::vector<std::shared_ptr<MPS::CNNBatchNormalization>> forwards_;
    GradientRound round_;
    std::vector<std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState>> gammaAndBeta_;
    std::vector<std::shared_ptr<MPS::CNNNormalizationMeanAndVarianceState>> meanAndVariance_;
};

}  // namespace pewter::mps
