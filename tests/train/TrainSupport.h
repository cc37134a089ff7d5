#pragma once

#include <MPS/NNGraph.hpp>
#include <MTL/MTL.hpp>
#include <Pewter/train/Digits.hpp>
#include <Pewter/train/Network.hpp>
#include <Pewter/train/Random.hpp>
#include <Pewter/train/Trainer.hpp>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace pewter::train::tests {

using DevicePtr = std::shared_ptr<MTL::Device>;

/// A small network with every kind of layer that the library's own networks have.
inline const NetworkDescription& tinyNetwork() {
    static const NetworkDescription tiny = {
        .name = "tiny",
        .width = 6,
        .height = 4,
        .channels = 2,
        .target = Target::classes(3),
        .batchSize = 4,
        .learningRate = 1e-2f,
        .build = [](NetworkBuilder& b, const NetworkBuilder::Image& input) {
            const NetworkBuilder::Start start{.weights = Initializer::heNormal(), .bias = 0.1f};
            auto x =
                b.relu(b.batchNormalization(b.convolution(input, "conv", 3, 2, 4, start), "norm", 4), "relu");
            x = b.dropout(b.maxPool(x, "pool"), "dropout", 0.8f);
            return b.fullyConnected(x, "fc", 3, 2, 4, 3, start);
        }};
    return tiny;
}

/// Noise of the network's size; labels that follow from the brightness, so that there is something to learn.
inline Dataset noiseFor(const NetworkDescription& network, std::size_t count, std::uint64_t seed = 1) {
    Random random(seed);
    std::vector<std::uint8_t> bytes, labels;
    for (std::size_t i = 0; i < count; ++i) {
        const auto label = static_cast<std::uint8_t>(random.below(network.target.channels));
        labels.push_back(label);
        for (std::size_t j = 0; j < network.width * network.height * network.channels; ++j)
            bytes.push_back(static_cast<std::uint8_t>(random.below(128) + 127 * label / network.target.channels));
    }
    return {"noise",         network.width,    network.height,   network.channels,
            network.target.channels, std::move(bytes), std::move(labels)};
}

inline TrainingSettings settingsFor(
    const NetworkDescription& network, std::uint64_t seed = 1, std::size_t batch = 0,
    MPS::ImageFeatureChannelFormat format = MPS::ImageFeatureChannelFormat::Float32) {
    TrainingSettings settings;
    settings.batchSize = batch ? batch : network.batchSize;
    settings.seed = seed;
    settings.format = format;
    settings.optimizer.descriptor.learningRate = network.learningRate;
    return settings;
}

/// The share of all digits, learnt from and held out, that the network reads after 240 steps.
inline double accuracyOnDigits(MPS::ImageFeatureChannelFormat format) {
    const auto data = digitsSplit();
    TrainingNetwork classifier(network("digits"), MTL::createSystemDefaultDevice(),
                               settingsFor(network("digits"), 1, 0, format));
    Trainer(classifier, data.train).train(240);
    const auto right = [&](const Dataset& part) { return evaluate(classifier, part) * static_cast<double>(part.count()); };
    return (right(data.train) + right(data.test)) / static_cast<double>(data.train.count() + data.test.count());
}

template <class Source>
std::shared_ptr<Source> sourceNamed(const TrainingNetwork& network, const std::string& label) {
    for (const auto& source : network.dataSources())
        if (source->sourceLabel() == label) return std::dynamic_pointer_cast<Source>(source);
    return nullptr;
}

/// The bytes of every weight, bias and scale of a network.
inline std::vector<std::uint8_t> parametersOf(const TrainingNetwork& network) {
    std::vector<std::uint8_t> out;
    const auto add = [&](const void* values, std::size_t count) {
        const auto* bytes = static_cast<const std::uint8_t*>(values);
        if (bytes) out.insert(out.end(), bytes, bytes + count * sizeof(float));
    };
    const auto addNorm = [&](auto& norm) {
        for (const float* values : {norm.gamma(), norm.beta()}) add(values, norm.numberOfFeatureChannels());
    };
    for (const auto& source : network.dataSources()) {
        if (const auto conv = std::dynamic_pointer_cast<ConvolutionDataSource>(source)) {
            add(conv->weights(), conv->descriptor()->weightCount());
            add(conv->biasTerms(), conv->shape().outputs);
        } else if (const auto norm = std::dynamic_pointer_cast<BatchNormalizationDataSource>(source)) {
            addNorm(*norm);
        } else if (const auto instance = std::dynamic_pointer_cast<InstanceNormalizationDataSource>(source)) {
            addNorm(*instance);
        }
    }
    return out;
}

}  // namespace pewter::train::tests
