#pragma once

#include <algorithm>

#include "NodesRun.h"

/// Graphs compiled with and without rewrites.
namespace pewter::test {

using Options = MPS::NNGraphOptions;

/// One rewrite alone.
inline Options only(bool Options::*rewrite) {
    auto options = Options::none();
    options.*rewrite = true;
    return options;
}

/// Kernels that an encode of the graph runs: one line each, below the title.
inline std::size_t stepsOf(const MPS::NNGraph& graph) {
    const auto text = graph.debugDescription();
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) - 1;
}

inline std::shared_ptr<MPS::NNGraph> compile(const std::shared_ptr<MTL::Device>& device, const std::vector<Image>& results,
                                             const Options& options) {
    return MPS::NNGraph::graph(device, results, std::vector<bool>(results.size(), true), options);
}

/// Integers -3 .. 3 without a short period.
inline Pictures integers(std::size_t width, std::size_t height, std::size_t channels, std::size_t count = 1) {
    auto pictures = counted(width, height, channels, count);
    for (auto& value : pictures.values) value = static_cast<double>((static_cast<int>(value) * 37 % 101) % 7 - 3);
    return pictures;
}

/// A convolution with small integer weights.
inline std::shared_ptr<Weights> integerWeights(std::size_t kernel, std::size_t inputs, std::size_t outputs) {
    const auto weights = std::make_shared<Weights>(kernel, inputs, outputs);
    for (std::size_t i = 0; i < weights->values.size(); ++i) weights->values[i] = static_cast<float>(i * 29 % 7) - 3;
    for (std::size_t i = 0; i < weights->biases.size(); ++i) weights->biases[i] = static_cast<float>(i % 5) - 2;
    return weights;
}

/// Largest distance of two equally large results, in units of 1 + |expected|.
inline double farthest(const Pictures& found, const Pictures& expected) {
    EXPECT_EQ(found.values.size(), expected.values.size());
    if (found.values.size() != expected.values.size()) return HUGE_VAL;
    double worst = 0;
    for (std::size_t i = 0; i < found.values.size(); ++i)
        worst = std::max(worst, std::fabs(found.values[i] - expected.values[i]) / (1 + std::fabs(expected.values[i])));
    return worst;
}

}  // namespace pewter::test
