#include "mps/graph/steps/ConvolutionGroup.h"

namespace pewter::mps {

std::shared_ptr<ConvolutionGroup> ConvolutionGroup::of(Sharing& sharing, const void* dataSource) {
    auto& shared = sharing.shared(dataSource);
    if (!shared) shared = std::make_shared<ConvolutionGroup>();
    return std::static_pointer_cast<ConvolutionGroup>(shared);
}

void ConvolutionGroup::reloadIfComplete(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    if (!round_.isComplete()) return;
    const std::size_t kernels = forwards_.size() + gradients_.size();
    for (const auto& state : pending_) {
        // Each reload reads the state; together they take the one read that the update left.
        if (state->isTemporary()) state->setReadCount(state->readCount() + kernels - 1);
        for (const auto& kernel : gradients_) kernel->reload(commandBuffer, state);
        for (const auto& kernel : forwards_) kernel->reload(commandBuffer, state);
    }
    pending_.clear();
}

void ConvolutionGroup::reloadFromDataSource() {
    for (const auto& kernel : gradients_) kernel->reloadFromDataSource();
    for (const auto& kernel : forwards_) kernel->reloadFromDataSource();
}

}  // namespace pewter::mps
