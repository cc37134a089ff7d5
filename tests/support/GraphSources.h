#pragma once

#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNConvolution.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MPS/Vector.hpp>

#include "GraphData.h"

/// Data sources that write down what is asked of them.
namespace pewter::test {

/// What data sources were asked to do, in order.
using CallLog = std::vector<std::string>;

/// How a data source answers an update on the device.
enum class Answer {
    Own,        ///< a state of its own, the same every time
    Temporary,  ///< a new temporary state
    InPlace,    ///< the source state, overwritten
    Nothing,    ///< null, reads given back
    Missing,    ///< the method is not there
    Forgetful,  ///< null, and reads not given back
};

/// Weights of a convolution, trained by plain descent or with momentum.
class LayerSource : public MPS::CNNConvolutionDataSource {
public:
    LayerSource(const DevicePtr& device, std::string label, std::size_t kernel, std::size_t inputs,
                std::size_t outputs, std::uint64_t seed, std::shared_ptr<CallLog> log = nullptr)
        : device_(device),
          label_(std::move(label)),
          log_(std::move(log)),
          descriptor_(
              MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(kernel, kernel, inputs, outputs)),
          optimizer(device, rate) {
        Random random(seed);
        // Multiples of 2^-10: a step of 2^-17 is exact in float32.
        for (std::size_t i = 0; i < kernel * kernel * inputs * outputs; ++i)
            values.push_back(static_cast<float>(random.integer(-512, 512)) / 1024);
        for (std::size_t i = 0; i < outputs; ++i)
            biases.push_back(static_cast<float>(random.integer(-256, 256)) / 1024);
    }

    bool load() override { return note("load"), loads; }
    void purge() override { note("purge"); }
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor() const override { return descriptor_; }
    MPS::DataType dataType() const override { return MPS::DataType::Float32; }
    const void* weights() const override { return values.data(); }
    const float* biasTerms() const override { return biases.data(); }
    std::string label() const override { return label_; }

    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> update(
        const BufferPtr& commandBuffer,
        const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
        const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) override {
        note("update");
        ++updates;
        if (answer == Answer::Missing)
            return CNNConvolutionDataSource::update(commandBuffer, gradientState, sourceState);
        if (answer == Answer::Forgetful) return nullptr;
        if (answer == Answer::Nothing) {
            if (gradientState->isTemporary()) gradientState->setReadCount(gradientState->readCount() - 1);
            if (sourceState->isTemporary()) sourceState->setReadCount(sourceState->readCount() - 1);
            return nullptr;
        }
        auto result = sourceState;
        if (answer == Answer::Own) {
            if (!state)
                state = std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(device_, *descriptor_);
            result = state;
        } else if (answer == Answer::Temporary) {
            result = MPS::CNNConvolutionWeightsAndBiasesState::temporaryCNNConvolutionWeightsAndBiasesState(
                commandBuffer, *descriptor_);
        } else {
            sourceState->setReadCount(sourceState->readCount() + 1);
        }
        if (momentum.empty())
            optimizer.encode(commandBuffer, gradientState, sourceState, {}, result);
        else
            withMomentum->encode(commandBuffer, gradientState, sourceState, momentum, result);
        return result;
    }

    bool update(const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
                const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) override {
        note("host update");
        ++updates;
        if (!accepts) return false;
        const auto step = [&](const auto& gradient, const auto& from, std::vector<float>& to) {
            const auto g = floatsOf(gradient), v = floatsOf(from);
            for (std::size_t i = 0; i < to.size(); ++i) to[i] = v[i] - rate * g[i];
        };
        step(gradientState->gradientForWeights(), sourceState->weights(), values);
        step(gradientState->gradientForBiases(), sourceState->biases(), biases);
        return true;
    }

    /// From now on with momentum 0.9 kept on the device.
    void useMomentum() {
        withMomentum = std::make_unique<MPS::NNOptimizerStochasticGradientDescent>(
            device_, 0.9f, false, MPS::NNOptimizerDescriptor{.learningRate = rate});
        for (const std::size_t length : {values.size(), biases.size()})
            momentum.push_back(std::make_shared<MPS::Vector>(
                device_, MPS::VectorDescriptor::vectorDescriptor(length, MPS::DataType::Float32)));
    }
    /// Weights and biases after the last completed update of Answer::Own.
    std::vector<float> trained() const {
        auto all = floatsOf(state->weights());
        const auto more = floatsOf(state->biases());
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }

private:
    void note(const char* what) {
        if (log_) log_->push_back(std::string(what) + " " + label_);
    }
    DevicePtr device_;
    std::string label_;
    std::shared_ptr<CallLog> log_;
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor_;

public:
    static constexpr float rate = 0.0625f;
    std::vector<float> values, biases;
    Answer answer = Answer::Own;
    bool loads = true, accepts = true;
    std::size_t updates = 0;
    MPS::NNOptimizerStochasticGradientDescent optimizer;
    std::unique_ptr<MPS::NNOptimizerStochasticGradientDescent> withMomentum;
    MPS::OptimizerVectors momentum;
    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> state;
};

/// Parameters of a batch normalisation.
class NormSource : public MPS::CNNBatchNormalizationDataSource {
public:
    NormSource(const DevicePtr& device, std::string label, std::size_t channels, std::uint64_t seed,
               std::shared_ptr<CallLog> log = nullptr)
        : device_(device),
          label_(std::move(label)),
          log_(std::move(log)),
          optimizer(device, LayerSource::rate) {
        Random random(seed);
        for (std::size_t i = 0; i < channels; ++i) {
            gammas.push_back(1 + static_cast<float>(random.integer(-256, 256)) / 1024);
            betas.push_back(static_cast<float>(random.integer(-256, 256)) / 1024);
            means.push_back(static_cast<float>(random.integer(-256, 256)) / 1024);
            variances.push_back(1 + static_cast<float>(random.integer(-256, 256)) / 1024);
        }
    }
    std::size_t numberOfFeatureChannels() const override { return gammas.size(); }
    const float* gamma() override { return gammas.data(); }
    const float* beta() override { return betas.data(); }
    const float* mean() override { return means.data(); }
    const float* variance() override { return variances.data(); }
    bool load() override { return note("load"), true; }
    void purge() override { note("purge"); }
    std::string label() const override { return label_; }
    float epsilon() const override { return 1e-3f; }

    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> updateGammaAndBeta(
        const BufferPtr& commandBuffer,
        const std::shared_ptr<MPS::CNNBatchNormalizationState>& source) override {
        note("update gamma and beta");
        if (answer == Answer::Nothing) return give(source), nullptr;
        if (!state)
            state = std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(
                device_->newBuffer(gammas.size() * sizeof(float)),
                device_->newBuffer(gammas.size() * sizeof(float)));
        optimizer.encode(commandBuffer, source, {}, state);
        return state;
    }
    std::shared_ptr<MPS::CNNNormalizationMeanAndVarianceState> updateMeanAndVariance(
        const BufferPtr&, const std::shared_ptr<MPS::CNNBatchNormalizationState>& source) override {
        note("update mean and variance");
        give(source);
        return nullptr;
    }
    bool updateGammaAndBeta(const std::shared_ptr<MPS::CNNBatchNormalizationState>& source) override {
        note("host update gamma and beta");
        if (!accepts) return false;
        const auto step = [](std::vector<float>& values, const std::shared_ptr<MTL::Buffer>& gradient) {
            const auto g = floatsOf(gradient);
            for (std::size_t i = 0; i < values.size(); ++i) values[i] -= LayerSource::rate * g[i];
        };
        step(gammas, source->gradientForGamma());
        step(betas, source->gradientForBeta());
        return true;
    }
    bool updateMeanAndVariance(const std::shared_ptr<MPS::CNNBatchNormalizationState>& source) override {
        note("host update mean and variance");
        if (!accepts) return false;
        means = floatsOf(source->mean());
        variances = floatsOf(source->variance());
        return true;
    }

private:
    static void give(const std::shared_ptr<MPS::State>& state) {
        if (state->isTemporary()) state->setReadCount(state->readCount() - 1);
    }
    void note(const char* what) {
        if (log_) log_->push_back(std::string(what) + " " + label_);
    }
    DevicePtr device_;
    std::string label_;
    std::shared_ptr<CallLog> log_;

public:
    std::vector<float> gammas, betas, means, variances;
    Answer answer = Answer::Own;
    bool accepts = true;
    MPS::NNOptimizerStochasticGradientDescent optimizer;
    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> state;
};

}  // namespace pewter::test
