#pragma once

#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNConvolution.hpp>
#include <MPS/CNNGroupNormalization.hpp>
#include <MPS/CNNInstanceNormalization.hpp>
#include <MTL/CommandBuffer.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

/// Data sources of random graphs: they keep the gradients that a graph hands them, and leave the values alone (on the host
/// they claim to have changed them, so that they are loaded again).
namespace pewter::fuzz {

using CommandBuffer = std::shared_ptr<MTL::CommandBuffer>;

/// A list of parameters, float32 multiples of 2^-10 below 4 so that a step of 2^-20 is exact, and what encodes gave as
/// its gradient.
class Parameter {
public:
    std::vector<float> values;

    /// The values of a buffer (float32, or float64 of states made for such images) when the work so far has run. A state
    /// that is handed over several times counts once, with its last values; states of different filters add up.
    void note(const CommandBuffer& commandBuffer, const std::shared_ptr<MPS::State>& state,
              const std::shared_ptr<MTL::Buffer>& buffer);
    /// The same for a buffer that the host may read.
    void take(const std::shared_ptr<MPS::State>& state, std::shared_ptr<MTL::Buffer> buffer) {
        for (auto& [known, last] : given_)
            if (known == state) {
                last = std::move(buffer);
                return;
            }
        given_.emplace_back(state, std::move(buffer));
    }
    void forget() { given_.clear(); }
    /// How many states came.
    std::size_t states() const { return given_.size(); }
    std::vector<double> gradient() const;

private:
    /// In the order they came. The state is kept: another one must not get its address.
    std::vector<std::pair<std::shared_ptr<MPS::State>, std::shared_ptr<MTL::Buffer>>> given_;
};

/// The two lists of a layer, and how to find their gradients in the layer's states.
class ParameterSource {
public:
    virtual ~ParameterSource() = default;
    std::string name;
    Parameter first, second;
    /// Filters that read the source, and how often an update method was called in the last encode.
    std::size_t users = 0, updates = 0;
    /// Set: updates on the device fail.
    bool fails = false;

    /// For a state that left the graph.
    virtual void noteExported(const CommandBuffer& commandBuffer, const MPS::StateBatch& states) = 0;
    void forget() {
        first.forget();
        second.forget();
        updates = 0;
    }

protected:
    void startUpdate() {
        ++updates;
        if (fails) throw std::runtime_error("an update that fails");
    }
};

/// Weights and biases.
class ConvolutionWeights final : public ParameterSource, public MPS::CNNConvolutionDataSource {
public:
    explicit ConvolutionWeights(std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor)
        : descriptor_(std::move(descriptor)) {}

    bool load() override { return true; }
    void purge() override {}
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor() const override { return descriptor_; }
    MPS::DataType dataType() const override { return MPS::DataType::Float32; }
    const void* weights() const override { return first.values.data(); }
    const float* biasTerms() const override { return second.values.data(); }
    std::string label() const override { return name; }
    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> update(
        const CommandBuffer& commandBuffer, const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
        const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) override;
    bool update(const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
                const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) override;
    void noteExported(const CommandBuffer& commandBuffer, const MPS::StateBatch& states) override;

private:
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor_;
};

/// Scale and shift of a batch normalisation. The large epsilon keeps channels that hardly vary well conditioned.
class NormalizationWeights final : public ParameterSource, public MPS::CNNBatchNormalizationDataSource {
public:
    std::vector<float> means, variances;

    std::size_t numberOfFeatureChannels() const override { return first.values.size(); }
    const float* gamma() override { return first.values.data(); }
    const float* beta() override { return second.values.data(); }
    const float* mean() override { return means.data(); }
    const float* variance() override { return variances.data(); }
    bool load() override { return true; }
    void purge() override {}
    float epsilon() const override { return 0.125F; }
    std::string label() const override { return name; }
    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> updateGammaAndBeta(
        const CommandBuffer& commandBuffer, const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) override;
    bool updateGammaAndBeta(const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) override;
    void noteExported(const CommandBuffer& commandBuffer, const MPS::StateBatch& states) override;
};

/// Scale and shift of an instance or a group normalisation, whose gradients lie in one state a sample.
template <class DataSource, class States>
class SampleWeights : public ParameterSource, public DataSource {
public:
    std::size_t numberOfFeatureChannels() const override { return first.values.size(); }
    const float* gamma() override { return first.values.data(); }
    const float* beta() override { return second.values.data(); }
    float epsilon() const override { return 0.125F; }
    std::string label() const override { return name; }
    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> updateGammaAndBeta(const CommandBuffer& commandBuffer,
                                                                               const States& states) override {
        startUpdate();
        for (const auto& state : states) {
            keep(commandBuffer, state);
            if (state->isTemporary()) state->setReadCount(state->readCount() - 1);
        }
        return nullptr;
    }
    bool updateGammaAndBeta(const States& states) override {
        ++updates;
        for (const auto& state : states) {
            first.take(state, state->gradientForGamma());
            second.take(state, state->gradientForBeta());
        }
        return true;
    }
    void noteExported(const CommandBuffer& commandBuffer, const MPS::StateBatch& states) override {
        for (const auto& state : states)
            keep(commandBuffer, std::dynamic_pointer_cast<MPS::CNNNormalizationGradientState>(state));
    }

private:
    template <class State>
    void keep(const CommandBuffer& commandBuffer, const std::shared_ptr<State>& state) {
        first.note(commandBuffer, state, state->gradientForGamma());
        second.note(commandBuffer, state, state->gradientForBeta());
    }
};

using InstanceWeights =
    SampleWeights<MPS::CNNInstanceNormalizationDataSource, MPS::CNNInstanceNormalizationGradientStateBatch>;

class GroupWeights final
    : public SampleWeights<MPS::CNNGroupNormalizationDataSource, MPS::CNNGroupNormalizationGradientStateBatch> {
public:
    explicit GroupWeights(std::size_t groups) : groups_(groups) {}
    std::size_t numberOfGroups() const override { return groups_; }
    void setNumberOfGroups(std::size_t groups) override { groups_ = groups; }

private:
    std::size_t groups_;
};

}  // namespace pewter::fuzz
