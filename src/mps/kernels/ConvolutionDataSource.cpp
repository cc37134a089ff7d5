#include <fmt/format.h>

#include <MPS/CNNConvolutionDataSource.hpp>
#include <MPS/CNNConvolutionState.hpp>
#include <atomic>

#include "mps/core/StateAccess.h"
#include "mtl/Diagnostics.h"

namespace MPS {

CNNConvolutionDataSource::~CNNConvolutionDataSource() = default;

CNNWeightsQuantizationType CNNConvolutionDataSource::weightsQuantizationType() const {
    if (rangesForUInt8Kernel()) return CNNWeightsQuantizationType::Linear;
    if (lookupTableForUInt8Kernel()) return CNNWeightsQuantizationType::LookupTable;
    return CNNWeightsQuantizationType::None;
}

std::shared_ptr<CNNConvolutionDataSource> CNNConvolutionDataSource::copy(
    const std::shared_ptr<MTL::Device>&) const {
    return nullptr;
}

std::shared_ptr<CNNConvolutionWeightsAndBiasesState> CNNConvolutionDataSource::update(
    const std::shared_ptr<MTL::CommandBuffer>&,
    const std::shared_ptr<CNNConvolutionGradientState>& gradientState,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& sourceState) {
    const auto who = fmt::format("CNNConvolutionDataSource '{}'", label());
    // Graphs on several threads may share the source.
    if (!std::atomic_ref<bool>(reportedMissingUpdate_).exchange(true))
        pewter::mtl::diagnose(who +
                              ": no update on the device is implemented, its weights stay as they are.");
    pewter::mps::consumeStates({gradientState, sourceState}, who);
    return nullptr;
}

bool CNNConvolutionDataSource::update(const std::shared_ptr<CNNConvolutionGradientState>&,
                                      const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>&) {
    return false;
}

}  // namespace MPS
