#include <fmt/format.h>

#include <MPS/CNNConvolutionDataSource.hpp>
#include <MPS/CNNConvolutionState.hpp>
#include <MTL/Error.hpp>
#include <atomic>
#include <vector>

#include "mps/core/StateAccess.h"
#include "mps/kernels/ConvolutionParameters.h"
#include "mtl/Diagnostics.h"

namespace MPS {

CNNConvolutionDataSource::~CNNConvolutionDataSource() = default;

CNNWeightsQuantizationType CNNConvolutionDataSource::weightsQuantizationType() const {
    if (rangesForUInt8Kernel()) return CNNWeightsQuantizationType::Linear;
    if (lookupTableForUInt8Kernel()) return CNNWeightsQuantizationType::LookupTable;
    return CNNWeightsQuantizationType::None;
}

DataType CNNConvolutionDataSource::kernelWeightsDataType() const {
    return dataType() == DataType::Float32 ? DataType::Float32 : DataType::Float16;
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

namespace pewter::mps {

namespace {

class ArraySource final : public MPS::CNNConvolutionDataSource {
public:
    ArraySource(const MPS::CNNConvolutionDescriptor& descriptor, const float* weights, const float* biases)
        : descriptor_(descriptor.copy()), weights_(weights, weights + descriptor.weightCount()) {
        if (biases) biases_.assign(biases, biases + descriptor.outputFeatureChannels());
    }
    bool load() override { return true; }
    void purge() override {}
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor() const override { return descriptor_; }
    MPS::DataType dataType() const override { return MPS::DataType::Float32; }
    const void* weights() const override { return weights_.data(); }
    const float* biasTerms() const override { return biases_.empty() ? nullptr : biases_.data(); }
    std::string label() const override { return {}; }
    std::optional<std::size_t> weightsLength() const override { return weights_.size(); }
    std::optional<std::size_t> biasTermsLength() const override { return biases_.size(); }

private:
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor_;
    std::vector<float> weights_, biases_;
};

}  // namespace

std::shared_ptr<MPS::CNNConvolutionDataSource> arraySource(const MPS::CNNConvolutionDescriptor& descriptor,
                                                           const float* weights, const float* biases,
                                                           const std::string& who) {
    if (!weights) throw MTL::Error(who, "kernelWeights", "a pointer to the weights", "null");
    checkDescriptor(descriptor, who);
    return std::make_shared<ArraySource>(descriptor, weights, biases);
}

}  // namespace pewter::mps
