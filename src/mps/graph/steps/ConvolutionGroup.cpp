#include "mps/graph/steps/ConvolutionGroup.h"

namespace pewter::mps {

void ConvolutionGroup::reloadIfComplete(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    if (!round_.isComplete()) return;
    const std::size_t kernels = forwards_.size() + gradients_.size();
    for (const auto& state : pending_) {
        // Each reload reads the state; together they take the one read that the update left.
        if (state->isTemporary()) state->setReadCount(state->readCount() + kernels - 1);
        for (const auto& kernel : gradients_) kernel->reloadWeightsAndBiases(commandBuffer, state);
        for (const auto& kernel : forwards_) kernel->reloadWeightsAndBiases(commandBuffer, state);
    }
    pending_.clear();
}

void ConvolutionGroup::reloadFromDataSource() {
    for (const auto& kernel : gradients_) kernel->reloadWeightsAndBiasesFromDataSource();
    for (const auto& kernel : forwards_) kernel->reloadWeightsAndBiasesFromDataSource();
}

}  // namespace pewter::mps
