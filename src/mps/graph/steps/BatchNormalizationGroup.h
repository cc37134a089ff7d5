#pragma once

#include <MPS/CNNBatchNormalization.hpp>
#include <memory>
#include <vector>

#include "mps/graph/steps/NormalizationGroup.h"

namespace pewter::mps {

/// The batch normalisations of one graph that have one data source: stored statistics come with the others.
class BatchNormalizationGroup : public NormalizationGroup<MPS::CNNBatchNormalization> {
    using Base = NormalizationGroup<MPS::CNNBatchNormalization>;

public:
    void encoded(const void* step) {
        if (Base::encoded(step)) meanAndVariance_.clear();
    }
    /// Null: nothing to load.
    void returned(std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> gammaAndBeta,
                  std::shared_ptr<MPS::CNNNormalizationMeanAndVarianceState> meanAndVariance) {
        Base::returned(std::move(gammaAndBeta));
        if (meanAndVariance) meanAndVariance_.push_back(std::move(meanAndVariance));
    }
    void reloadIfComplete(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
        if (!isComplete()) return;
        Base::reloadIfComplete(commandBuffer);
        for (const auto& state : meanAndVariance_) {
            share(*state);
            for (const auto& kernel : forwards()) kernel->reloadMeanAndVariance(commandBuffer, state);
        }
        meanAndVariance_.clear();
    }
    void reloadMeanAndVarianceFromDataSource() {
        for (const auto& kernel : forwards()) kernel->reloadMeanAndVarianceFromDataSource();
    }

private:
    std::vector<std::shared_ptr<MPS::CNNNormalizationMeanAndVarianceState>> meanAndVariance_;
};

}  // namespace pewter::mps
