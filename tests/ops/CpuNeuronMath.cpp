// The elementary functions of the vector code against the standard library's in double.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>

#include "backends/cpu/vector/Math.h"

namespace pewter::test {
namespace {

using namespace cpu::PEWTER_ISA;

/// Tries every 4093rd float of [low, high]: |fn(x) - exact(x)| <= ulps * 2^-23 |exact(x)| plus one subnormal
/// step, and infinity where exact(x) rounds to it.
template <class Fn, class Exact>
void expectWithin(const char* name, double ulps, float low, float high, Fn fn, Exact exact) {
    double worst = 0;
    float where = 0;
    for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 4093) {
        const float x = fromBits(static_cast<std::uint32_t>(bits));
        if (!(x >= low && x <= high)) continue;
        const double want = exact(static_cast<double>(x)), got = static_cast<double>(fn(x));
        if (want == got || (std::isnan(want) && std::isnan(got))) continue;
        double share = std::fabs(got - want) / (ulps * 0x1p-23 * std::fabs(want) + 0x1p-149);
        // The last float before infinity, or infinity itself, for a value between them.
        if (std::isinf(got) && std::fabs(want) > 0x1.fffffcp127) share = 0;
        if (std::isnan(share)) share = HUGE_VAL;
        if (share > worst) {
            worst = share;
            where = x;
        }
    }
    std::printf("[ worst    ] %s: %.3f of %g ulp\n", name, worst, ulps);
    EXPECT_LE(worst, 1) << name << " of " << where << " is " << fn(where) << ", expected "
                        << exact(static_cast<double>(where));
}

constexpr float kAll = std::numeric_limits<float>::infinity();

double cumulative(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

TEST(CpuNeuronMath, FunctionsKeepTheBoundsTheyState) {
    expectWithin(
        "exponential", 2, -kAll, kAll, [](float x) { return exponential(x); },
        [](double x) { return std::exp(x); });
    expectWithin(
        "exponentialMinus1", 3, -kAll, kAll, [](float x) { return exponentialMinus1(x); },
        [](double x) { return std::expm1(x); });
    expectWithin(
        "logarithm", 2, -kAll, kAll, [](float x) { return logarithm(x); },
        [](double x) { return std::log(x); });
    expectWithin(
        "logarithmOnePlus", 2, 0, 1, [](float x) { return logarithmOnePlus(x); },
        [](double x) { return std::log1p(x); });
    expectWithin(
        "sigmoid", 3, -kAll, kAll, [](float x) { return sigmoid(x); },
        [](double x) { return 1 / (1 + std::exp(-x)); });
    expectWithin(
        "hyperbolicTangent", 4, -kAll, kAll, [](float x) { return hyperbolicTangent(x); },
        [](double x) { return std::tanh(x); });
    const auto phi = [](float x) { return normal(x).cumulative; };
    expectWithin("normal, right", 5, -1, kAll, phi, cumulative);
    expectWithin("normal, tail to -4", 5 + 8, -4, -1, phi, cumulative);
    expectWithin("normal, tail to -12", 5 + 72, -12, -4, phi, cumulative);
    expectWithin(
        "density", 3 + 2, -2, 2, [](float x) { return normal(x).density; },
        [](double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0)); });
}

TEST(CpuNeuronMath, SpecialValuesAreThoseOfTheStandardLibrary) {
    EXPECT_EQ(exponential(0), 1);
    EXPECT_EQ(exponential(-kAll), 0);
    EXPECT_EQ(exponential(kAll), kAll);
    EXPECT_EQ(exponentialMinus1(-kAll), -1);
    EXPECT_EQ(logarithm(1), 0);
    EXPECT_EQ(logarithm(0), -kAll);
    EXPECT_EQ(logarithm(kAll), kAll);
    EXPECT_TRUE(std::isnan(logarithm(-1)));
    EXPECT_EQ(hyperbolicTangent(kAll), 1);
    EXPECT_EQ(hyperbolicTangent(-kAll), -1);
    EXPECT_TRUE(std::signbit(hyperbolicTangent(-0.0f)));
    EXPECT_EQ(sigmoid(-kAll), 0);
    EXPECT_EQ(sigmoid(kAll), 1);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const float result : {exponential(nan), exponentialMinus1(nan), logarithm(nan), sigmoid(nan),
                               hyperbolicTangent(nan), normal(nan).cumulative, normal(nan).density})
        EXPECT_TRUE(std::isnan(result));
}

}  // namespace
}  // namespace pewter::test
