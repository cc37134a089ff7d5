#include "mps/graph/steps/ConvolutionUpdate.h"

#include <fmt/format.h>

#include "mps/graph/steps/Update.h"
#include "mtl/Diagnostics.h"

namespace pewter::mps {

void ConvolutionUpdate::encoded(const void* step, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    group_->encoded(step);
    if (!isDone()) group_->reloadIfComplete(commandBuffer);
}

void ConvolutionUpdate::run(const StepArguments& arguments) {
    const auto state = std::dynamic_pointer_cast<MPS::CNNConvolutionGradientState>(arguments.states[0].at(0));
    if (isOnDevice())
        runOnDevice(arguments.commandBuffer, state);
    else
        runOnHost(arguments.commandBuffer, state);
}

std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> ConvolutionUpdate::exportOnDevice(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    return group_->isSingle() ? forward_->exportedForUpdate(commandBuffer)
                              : forward_->exported(commandBuffer, true);
}

void ConvolutionUpdate::runOnDevice(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                    const State& state) {
    const auto source = exportOnDevice(commandBuffer);
    const ReadDuty ofGradient("gradientState", state), ofSource("sourceState", source);
    const auto result = dataSource_->update(commandBuffer, state, source);
    ofGradient.check(kernel_, "update");
    ofSource.check(kernel_, "update", result == source ? 1 : 0);
    if (result) group_->returned(result);
    group_->reloadIfComplete(commandBuffer);
}

void ConvolutionUpdate::runOnHost(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const State& state) {
    const auto source = forward_->exported(commandBuffer, false);
    state->synchronize(commandBuffer);
    source->synchronize(commandBuffer);
    whenCompleted(
        *commandBuffer, kernel_, [kernel = kernel_, dataSource = dataSource_, group = group_, state, source] {
            if (dataSource->update(state, source))
                group->reloadFromDataSource();
            else
                mtl::diagnose(fmt::format(
                    "{}: its data source refused the update, the weights stay as they are", kernel));
        });
}

}  // namespace pewter::mps
