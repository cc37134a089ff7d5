#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "Compare.h"
#include "OpTensors.h"
#include "RunReference.h"
#include "ops/ImageScale.h"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;

double sinc(double t) { return t == 0 ? 1 : std::sin(M_PI * t) / (M_PI * t); }

/// The definition, as the documentation has it, over a row that goes on with its edge elements.
Numbers scaled(const Numbers& row, std::size_t outputs) {
    const double n = static_cast<double>(row.size()), ratio = n / static_cast<double>(outputs);
    const double s = ratio > 1 ? ratio : 1;
    Numbers result;
    for (std::size_t i = 0; i < outputs; ++i) {
        const double p = (static_cast<double>(i) + 0.5) * ratio - 0.5;
        double sum = 0, weights = 0;
        for (int j = -1000; j <= 1000; ++j) {
            const double t = (j - p) / s;
            if (std::fabs(t) >= 3) continue;
            const double weight = sinc(t) * sinc(t / 3);
            weights += weight;
            sum += weight * row[static_cast<std::size_t>(std::min(std::max(j, 0), static_cast<int>(n) - 1))];
        }
        result.push_back(sum / weights);
    }
    return result;
}

ops::ResampleAxis stretch(double source, double outputs) {
    return {0.5 * source / outputs - 0.5, source, outputs};
}

Numbers lanczosRow(const Numbers& row, std::int64_t outputs) {
    const auto n = static_cast<std::int64_t>(row.size());
    OpTensor src(ops::Type::Float64, 1, 1, n, 1, row), dst(ops::Type::Float64, 1, 1, outputs, 1);
    runReference(ops::LanczosForward{
        src, dst, {stretch(static_cast<double>(n), static_cast<double>(outputs)), stretch(1, 1)}});
    return dst.values();
}

}  // namespace

TEST(ReferenceImageScale, TheWindowIsOneAtZeroAndZeroAtWholeNumbersAndFromThreeOn) {
    EXPECT_EQ(ops::lanczos(0), 1);
    for (const double t : {1.0, 2.0, -1.0, -2.0, 3.0, -3.0, 3.5, 100.25}) EXPECT_EQ(ops::lanczos(t), 0) << t;
    // sinc(1/2) sinc(1/6) = (2 / pi) (3 / pi), sinc(3/2) sinc(1/2) = -(2 / (3 pi)) (2 / pi).
    EXPECT_NEAR(ops::lanczos(0.5), 6 / (M_PI * M_PI), 1e-15);
    EXPECT_NEAR(ops::lanczos(-1.5), -4 / (3 * M_PI * M_PI), 1e-15);
}

TEST(ReferenceImageScale, ASizeOfItsOwnIsACopy) {
    const Numbers row{3, -1, std::numeric_limits<double>::infinity(), 7, 0.5};
    EXPECT_EQ(lanczosRow(row, 5), row);
}

TEST(ReferenceImageScale, FollowsItsDefinitionUpAndDown) {
    const Numbers row{3, -1, 4, 1, -5, 9, 2, 6, -5, 3, 5};
    for (const std::size_t outputs : {1u, 2u, 3u, 5u, 10u, 12u, 22u, 40u})
        EXPECT_TRUE(allNear(lanczosRow(row, static_cast<std::int64_t>(outputs)), scaled(row, outputs), 1e-13))
            << outputs;
    EXPECT_TRUE(allNear(lanczosRow({5}, 4), {5, 5, 5, 5}, 1e-15));
}

TEST(ReferenceImageScale, DoublingMeetsTheWeightsOfAQuarter) {
    // An impulse far from the edges: outputs lie a quarter of a pixel off.
    Numbers row(21, 0);
    row[10] = 1;
    const auto result = lanczosRow(row, 42);
    double sum = 0;
    for (int j = -3; j <= 3; ++j) sum += ops::lanczos(j + 0.25);
    for (int k = 0; k < 6; ++k) {
        EXPECT_NEAR(result[static_cast<std::size_t>(20 - 2 * k)], ops::lanczos(k + 0.25) / sum, 1e-15) << k;
        EXPECT_NEAR(result[static_cast<std::size_t>(21 + 2 * k)], ops::lanczos(k + 0.25) / sum, 1e-15) << k;
    }
}

TEST(ReferenceImageScale, ConstantsStayAndAShrunkImageIsSmoothed) {
    for (const std::int64_t outputs : {1, 3, 8, 13, 64})
        for (const double value : lanczosRow(Numbers(8, 2.5), outputs)) EXPECT_NEAR(value, 2.5, 1e-14);
    // Every second pixel: what plain sampling would take for a constant of 0 or 1 comes out near the mean.
    Numbers stripes(64);
    for (std::size_t i = 0; i < 64; ++i) stripes[i] = i % 2;
    const auto half = lanczosRow(stripes, 16);
    for (std::size_t i = 3; i < 13; ++i) EXPECT_NEAR(half[i], 0.5, 0.01) << i;
}

TEST(ReferenceImageScale, AxesAreIndependentAndPositionsFarOutsideSeeTheEdge) {
    OpTensor src(ops::Type::Float64, 2, 2, 3, 2), dst(ops::Type::Float64, 2, 4, 2, 2);
    Random random(5);
    src.fillUniform(random, -1, 1);
    runReference(ops::LanczosForward{src, dst, {{1, 2, 1}, {-100, 0.5, 1}}});
    for (std::int64_t n = 0; n < 2; ++n)
        for (std::int64_t y = 0; y < 4; ++y)
            for (std::int64_t c = 0; c < 2; ++c) {
                // s is 2; about pixel 1 with both neighbours, and about pixel 3, which is outside.
                double weights = 0, sum = 0;
                for (int j = -5; j <= 5; ++j) {
                    const double w = ops::lanczos(j / 2.0);
                    weights += w;
                    sum += w * src.at(n, 0, std::min(std::max(1 + j, 0), 2), c);
                }
                EXPECT_NEAR(dst.at(n, y, 0, c), sum / weights, 1e-14);
            }
}

}  // namespace pewter::test
