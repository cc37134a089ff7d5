#pragma once

#include <MPS/CNNKernel.hpp>
#include <MPS/CNNNormalizationState.hpp>
#include <MTL/Resource.hpp>
#include <memory>
#include <string>

#include "mps/core/Encoder.h"
#include "mps/core/StateAccess.h"

namespace pewter::mps {

/// Values of an instance or group normalisation, shared by the kernel and the states it made. A host reload
/// puts new buffers here, so that commands recorded before keep theirs; a device reload writes into them in
/// command order. Instance normalisation has as many groups as channels.
struct GroupNormalizationParameters {
    std::size_t channels = 0, groups = 0;
    float epsilon = 0;
    std::shared_ptr<MTL::Buffer> gamma, beta;
    std::string label;
};

/// What kernels do with the states of instance and group normalisation.
struct GroupNormalizationAccess {
    using State = MPS::CNNNormalizationGradientState;
    /// Indices of the buffers of a state; the statistics are float64.
    enum Slot : std::size_t { Mean, InverseDeviation, GradientForGamma, GradientForBeta };

    static const GroupNormalizationParameters& parameters(const State& state) { return *state.parameters_; }
    /// Of an instance or a group normalisation.
    template <class K>
    static const GroupNormalizationParameters& parametersOf(const K& kernel) {
        return *kernel.parameters_;
    }
    static std::size_t groups(const State& state) { return state.groups_; }
    static std::size_t images(const State& state) { return state.images_; }
    static bool isFilled(const State& state) { return state.filled_; }
    static bool hasGradients(const State& state) { return state.differentiated_; }
    static ArrayRef gamma(const State& state) {
        return {state.gamma_, 0, ops::Type::Float32, static_cast<std::int64_t>(state.parameters_->channels)};
    }
    static ops::Type gradientType(const State& state) {
        return state.bufferSize(GradientForGamma) == state.parameters_->channels * sizeof(double)
                   ? ops::Type::Float64
                   : ops::Type::Float32;
    }
    /// A forward encode used the parameters as they are now.
    static void fill(State& state) {
        state.gamma_ = state.parameters_->gamma;
        state.beta_ = state.parameters_->beta;
        state.filled_ = true;
    }
    static void differentiate(State& state) { state.differentiated_ = true; }
};

// The forward encodes of both families; `stateClass` is a name for errors.

/// Parameters of a kernel: throws for no channels and for groups that do not divide them.
void checkGroups(const MPS::Kernel& kernel, std::size_t channels, std::size_t groups);

void validateNormalization(const MPS::CNNKernel& kernel, const UnaryEncoding& encoding,
                           const GroupNormalizationParameters& parameters, const char* stateClass);
void recordNormalization(UnaryEncoding& encoding, const GroupNormalizationParameters& parameters);

/// For update callbacks that leave everything as it is: one read of every distinct temporary state.
template <class State>
void consumeEach(const std::vector<std::shared_ptr<State>>& states, const char* who) {
    MPS::StateBatch batch;
    for (const auto& state : states)
        if (state) batch.push_back(state);
    consumeStates(batch, who);
}

}  // namespace pewter::mps
