#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/CNNBatchNormalizationNode.hpp>
#include <MPS/CNNConvolutionNode.hpp>
#include <MPS/CNNDropoutNode.hpp>
#include <MPS/CNNLossNode.hpp>
#include <MPS/CNNNeuronNode.hpp>
#include <MPS/CNNPoolingNode.hpp>
#include <MPS/CNNSoftMaxNode.hpp>
#include <MPS/NNArithmeticNode.hpp>
#include <MPS/NNPadding.hpp>
#include <MTL/Error.hpp>
#include <string>
#include <vector>

namespace pewter::test {

using Image = std::shared_ptr<MPS::NNImageNode>;
using Filter = std::shared_ptr<MPS::NNFilterNode>;

/// A handle that is only a name.
class Name final : public MPS::Handle {
public:
    explicit Name(std::string text) : text_(std::move(text)) {}
    std::string label() const override { return text_; }

private:
    std::string text_;
};

inline std::shared_ptr<Name> name(const std::string& text) { return std::make_shared<Name>(text); }

/// Weights that never change; the values are the caller's.
class Weights : public MPS::CNNConvolutionDataSource {
public:
    Weights(std::size_t kernel, std::size_t inputs, std::size_t outputs)
        : descriptor_(
              MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(kernel, kernel, inputs, outputs)),
          values(kernel * kernel * inputs * outputs),
          biases(outputs) {}

    bool load() override { return true; }
    void purge() override {}
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor() const override { return descriptor_; }
    MPS::DataType dataType() const override { return MPS::DataType::Float32; }
    const void* weights() const override { return values.data(); }
    const float* biasTerms() const override { return biases.data(); }
    std::string label() const override { return "weights"; }
    using MPS::CNNConvolutionDataSource::update;
    /// Frozen: takes its reads and changes nothing.
    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> update(
        const std::shared_ptr<MTL::CommandBuffer>&,
        const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
        const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) override {
        for (const std::shared_ptr<MPS::State>& state : MPS::StateBatch{gradientState, sourceState})
            if (state->isTemporary()) state->setReadCount(state->readCount() - 1);
        return nullptr;
    }

private:
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor_;

public:
    std::vector<float> values, biases;
};

/// gamma 1, beta 0, stored mean 0 and variance 1.
class Normalization : public MPS::CNNBatchNormalizationDataSource {
public:
    explicit Normalization(std::size_t channels) : channels_(channels) {}
    std::size_t numberOfFeatureChannels() const override { return channels_; }
    const float* gamma() override { return nullptr; }
    const float* beta() override { return nullptr; }
    const float* mean() override { return nullptr; }
    const float* variance() override { return nullptr; }
    bool load() override { return true; }
    void purge() override {}
    std::string label() const override { return "normalization"; }

private:
    std::size_t channels_;
};

inline std::shared_ptr<MPS::CNNConvolutionNode> convolution(const Image& source, std::size_t channels = 4) {
    return MPS::CNNConvolutionNode::node(source, std::make_shared<Weights>(3, channels, channels));
}

inline std::shared_ptr<MPS::CNNLossNode> loss(const Image& source) {
    return MPS::CNNLossNode::node(
        source, MPS::CNNLossDescriptor::cnnLossDescriptor(MPS::CNNLossType::SoftMaxCrossEntropy,
                                                          MPS::CNNReductionType::Sum));
}

/// One call of a node handler.
struct Call {
    Filter gradient, forward;
    Image inferenceSource, gradientSource;
};

inline MPS::GradientNodeBlock recorder(std::vector<Call>& calls) {
    return [&calls](const auto&... arguments) { calls.push_back({arguments...}); };
}

inline std::vector<std::string> classes(const std::vector<Call>& calls) {
    std::vector<std::string> names;
    for (const auto& call : calls) names.push_back(call.gradient->className());
    return names;
}

template <class Call>
std::string messageOf(Call call) {
    try {
        call();
    } catch (const MPS::Error& error) {
        return error.what();
    }
    return "no error";
}

}  // namespace pewter::test
