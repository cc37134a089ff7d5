#pragma once

#include <MPS/CNNBatchNormalization.hpp>
#include <MTL/Resource.hpp>
#include <memory>
#include <string>

#include "mps/core/StateAccess.h"

namespace pewter::mps {

/// A batch normalisation's values, shared by the kernel and the states it made. A host reload puts new
/// buffers here, so that commands recorded before keep theirs; a device reload writes into them in command
/// order.
struct BatchNormalizationParameters {
    std::size_t channels = 0;
    float epsilon = 0;
    std::shared_ptr<MTL::Buffer> gamma, beta, mean, variance;
    std::string label;
};

/// The values of a layer for commands that run later.
struct BatchNormalizationArrays {
    ArrayRef mean, variance, gamma, beta;
    /// Of states.
    ArrayRef diffGamma, diffBeta;
    float epsilon = 0;

    template <class Op>
    void putInto(Op& op) const {
        op.mean = mean.array();
        op.variance = variance.array();
        op.gamma = gamma.array();
        op.beta = beta.array();
        op.epsilon = epsilon;
        if constexpr (requires { op.diffGamma; }) {
            op.diffGamma = diffGamma.array();
            op.diffBeta = diffBeta.array();
        }
    }
};

/// What kernels do with batch normalisation states.
struct BatchNormalizationAccess {
    using State = MPS::CNNBatchNormalizationState;
    /// Indices of the buffers of a state.
    enum Slot : std::size_t { Mean, Variance, GradientForGamma, GradientForBeta };

    static const BatchNormalizationParameters& parameters(const State& state) { return *state.parameters_; }
    static const BatchNormalizationParameters& parameters(const MPS::CNNBatchNormalization& kernel) {
        return *kernel.parameters_;
    }

    /// Makes a neuron part of a kernel that has none. For graphs.
    static void fuseNeuron(MPS::CNNBatchNormalization& kernel, const MPS::NNNeuronDescriptor& neuron) {
        kernel.neuron_ = neuron;
    }

    /// The state belongs to an encode of the kernel with these images.
    static void setRecord(State& state, const MPS::CNNBatchNormalization& kernel, const MPS::Image& source,
                          const MPS::Image& destination) {
        state.setRecord(kernel.captureRecord(source, destination));
    }

    static ArrayRef parameter(const std::shared_ptr<MTL::Buffer>& buffer, std::size_t channels) {
        return {buffer, 0, ops::Type::Float32, static_cast<std::int64_t>(channels)};
    }
    /// The batch's statistics, or the kernel's before there are any.
    static ArrayRef mean(State& state) {
        return state.statisticsCount_ > 0 ? own(state, Mean)
                                          : parameter(state.parameters_->mean, state.parameters_->channels);
    }
    static ArrayRef variance(State& state) {
        return state.statisticsCount_ > 0
                   ? own(state, Variance)
                   : parameter(state.parameters_->variance, state.parameters_->channels);
    }
    /// double when the state was made for a Float64 image: gradient checks need it.
    static ArrayRef own(State& state, Slot slot) {
        const auto channels = state.parameters_->channels;
        return StateAccess::array(
            state, slot, static_cast<std::int64_t>(channels),
            state.bufferSize(slot) == channels * sizeof(double) ? ops::Type::Float64 : ops::Type::Float32);
    }

    static BatchNormalizationArrays arrays(State& state) {
        auto all = arraysOf(*state.parameters_);
        all.mean = mean(state);
        all.variance = variance(state);
        all.diffGamma = own(state, GradientForGamma);
        all.diffBeta = own(state, GradientForBeta);
        return all;
    }
    /// With the kernel's own statistics.
    static BatchNormalizationArrays arrays(const MPS::CNNBatchNormalization& kernel) { return arraysOf(*kernel.parameters_); }

    static std::int64_t statisticsCount(const State& state) { return state.statisticsCount_; }
    static std::int64_t gradientCount(const State& state) { return state.gradientCount_; }

    /// Adds pixels to the statistics; returns how many were there before.
    static std::int64_t addStatistics(State& state, std::int64_t pixels) {
        if (state.spent_) state.reset();
        const auto before = state.statisticsCount_;
        state.statisticsCount_ += pixels;
        return before;
    }
    /// Adds pixels to the gradient sums; returns how many were there before.
    static std::int64_t addGradients(State& state, std::int64_t pixels) {
        if (state.spent_) {
            state.gradientCount_ = 0;
            state.spent_ = false;
        }
        const auto before = state.gradientCount_;
        state.gradientCount_ += pixels;
        return before;
    }
    static void spend(State& state) { state.spent_ = true; }

private:
    static BatchNormalizationArrays arraysOf(const BatchNormalizationParameters& p) {
        return {.mean = parameter(p.mean, p.channels),
                .variance = parameter(p.variance, p.channels),
                .gamma = parameter(p.gamma, p.channels),
                .beta = parameter(p.beta, p.channels),
                .epsilon = p.epsilon};
    }
};

}  // namespace pewter::mps
