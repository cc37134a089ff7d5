// Central differences for batch normalisation: through the statistics of the batch, and with stored ones.

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "support/GradientCheck.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;
constexpr float kEpsilon = 1e-3f;
constexpr std::int64_t kChannels = 3;
const float kSlopes[kChannels] = {0.25f, -0.5f, 1.5f};

struct Case {
    const char* name;
    ops::Neuron neuron;
};

const Case kCases[] = {
    {"NoNeuron", {}},
    {"ReLU", {ops::NeuronType::ReLU, 0.125f, 0, 0, nullptr}},
    {"PReLU", {ops::NeuronType::PReLU, 0, 0, 0, kSlopes}},
    {"Sigmoid", {ops::NeuronType::Sigmoid, 0, 0, 0, nullptr}},
    {"TanH", {ops::NeuronType::TanH, 1.75f, 0.625f, 0, nullptr}},
    {"GeLU", {ops::NeuronType::GeLU, 0, 0, 0, nullptr}},
};

class GradientBatchNormalization : public testing::TestWithParam<Case> {
protected:
    GradientBatchNormalization() {
        gamma.fillUniform(random, 0.5, 2);
        beta.fillUniform(random, -1, 1);
        mean.fillUniform(random, -1, 1);
        variance.fillUniform(random, 0.5, 2);
        diffDst.fillUniform(random, -1, 1);
        src.fillUniform(random, -2, 2);
    }
    void statistics() { runReference(ops::BatchNormalizationStatistics{src, mean, variance, 0}); }
    void forward(const ops::Neuron& neuron, bool scale = true) {
        runReference(ops::BatchNormalizationForward{src, dst, mean, variance,
                                                    scale ? gamma.view() : ops::Array{},
                                                    scale ? beta.view() : ops::Array{}, kEpsilon, neuron});
    }
    void gradients(const ops::Neuron& neuron, bool stored, bool scale = true) {
        const ops::Array g = scale ? gamma.view() : ops::Array{}, b = scale ? beta.view() : ops::Array{};
        runReference(ops::BatchNormalizationStatisticsGradient{src, diffDst, mean, variance, g, b, diffGamma,
                                                               diffBeta, kEpsilon, neuron, false});
        runReference(ops::BatchNormalizationGradient{src, diffDst, diffSrc, mean, variance, g, b, diffGamma,
                                                     diffBeta, kEpsilon, neuron, kPixels, stored});
    }
    /// Draws src until no input of the neuron lies near 0, where some of them have a kink.
    void avoidKinks(bool stored) {
        for (bool near = true; near; src.fillUniform(random, -2, 2)) {
            if (!stored) statistics();
            forward({});
            near = false;
            for (double z : dst.values()) near |= std::fabs(z) < kKinkMargin;
            if (!near) return;
        }
    }

    static constexpr std::int64_t kPixels = 2 * 3 * 4;
    Random random{41};
    OpTensor src{kType, 2, 3, 4, kChannels}, dst = src, diffSrc = src, diffDst = src;
    OpArray gamma{kType, kChannels}, beta = gamma, mean = gamma, variance = gamma, diffGamma = gamma,
                                     diffBeta = gamma;
};

TEST_P(GradientBatchNormalization, GradientsAreTheDerivativesThroughTheBatchStatistics) {
    const ops::Neuron& neuron = GetParam().neuron;
    avoidKinks(false);
    statistics();
    gradients(neuron, false);
    auto objective = [&] {
        statistics();
        forward(neuron);
        return dot(dst, diffDst);
    };
    EXPECT_TRUE(isGradient(diffSrc.values(), src, objective));
    EXPECT_TRUE(isGradient(diffGamma.values(), gamma, objective));
    EXPECT_TRUE(isGradient(diffBeta.values(), beta, objective));
}

TEST_P(GradientBatchNormalization, GradientsAreTheDerivativesWithStoredStatistics) {
    const ops::Neuron& neuron = GetParam().neuron;
    avoidKinks(true);
    gradients(neuron, true);
    auto objective = [&] {
        forward(neuron);
        return dot(dst, diffDst);
    };
    EXPECT_TRUE(isGradient(diffSrc.values(), src, objective));
    EXPECT_TRUE(isGradient(diffGamma.values(), gamma, objective));
    EXPECT_TRUE(isGradient(diffBeta.values(), beta, objective));
}

TEST_P(GradientBatchNormalization, AbsentGammaAndBetaAreOneAndZero) {
    const ops::Neuron& neuron = GetParam().neuron;
    gamma.fill(1);
    beta.fill(0);
    statistics();
    forward(neuron);
    gradients(neuron, false);
    const auto y = dst.values(), dx = diffSrc.values(), dGamma = diffGamma.values();
    dst.fill(99);
    diffSrc.fill(99);
    forward(neuron, false);
    gradients(neuron, false, false);
    EXPECT_EQ(dst.values(), y);
    EXPECT_EQ(diffSrc.values(), dx);
    EXPECT_EQ(diffGamma.values(), dGamma);
}

INSTANTIATE_TEST_SUITE_P(Neurons, GradientBatchNormalization, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace pewter::test
