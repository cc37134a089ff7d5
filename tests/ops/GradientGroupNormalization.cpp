// Central differences for instance and group normalisation: source, gamma and beta.

#include <gtest/gtest.h>

#include "support/GradientCheck.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;
constexpr std::int64_t kChannels = 6;

/// Number of groups: 1 is layer normalisation, kChannels instance normalisation.
class GradientGroupNormalization : public testing::TestWithParam<std::int64_t> {
protected:
    GradientGroupNormalization() {
        gamma.fillUniform(random, -2, 2);
        beta.fillUniform(random, -1, 1);
        src.fillUniform(random, -2, 2);
        diffDst.fillUniform(random, -1, 1);
    }
    void forward(bool scale = true) {
        runReference(ops::GroupNormalizationForward{src, dst, scale ? gamma.view() : ops::Array{},
                                                    scale ? beta.view() : ops::Array{}, mean,
                                                    inverseDeviation, GetParam(), 1e-3f});
    }
    void gradients(bool scale = true) {
        runReference(ops::GroupNormalizationGradient{src, diffDst, diffSrc,
                                                     scale ? gamma.view() : ops::Array{}, mean,
                                                     inverseDeviation, diffGamma, diffBeta, GetParam()});
    }

    Random random{81};
    OpTensor src{kType, 2, 3, 4, kChannels}, dst = src, diffSrc = src, diffDst = src;
    OpArray gamma{kType, kChannels}, beta = gamma, diffGamma = gamma, diffBeta = gamma;
    OpArray mean{kType, 2 * GetParam()}, inverseDeviation = mean;
};

TEST_P(GradientGroupNormalization, GradientsAreTheDerivatives) {
    forward();
    gradients();
    auto objective = [&] {
        forward();
        return dot(dst, diffDst);
    };
    EXPECT_TRUE(isGradient(diffSrc.values(), src, objective));
    EXPECT_TRUE(isGradient(diffGamma.values(), gamma, objective));
    EXPECT_TRUE(isGradient(diffBeta.values(), beta, objective));
}

TEST_P(GradientGroupNormalization, AbsentGammaAndBetaAreOneAndZero) {
    gamma.fill(1);
    beta.fill(0);
    forward();
    gradients();
    const auto y = dst.values(), dx = diffSrc.values(), dGamma = diffGamma.values();
    dst.fill(99);
    diffSrc.fill(99);
    forward(false);
    gradients(false);
    EXPECT_EQ(dst.values(), y);
    EXPECT_EQ(diffSrc.values(), dx);
    EXPECT_EQ(diffGamma.values(), dGamma);
}

INSTANTIATE_TEST_SUITE_P(Groups, GradientGroupNormalization, testing::Values(1, 2, 3, kChannels));

}  // namespace
}  // namespace pewter::test
