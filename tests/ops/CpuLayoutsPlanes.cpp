#ifdef PEWTER_HAVE_CPU

#include <gtest/gtest.h>

#include "BlockedImage.h"
#include "support/RunCpu.h"

/// What treats each picture and channel by itself, on images in blocks of channels and on the same images N,H,W,C.
namespace pewter::test {
namespace {

OpTensor drawn(Random& random, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) {
    OpTensor image(ops::Type::Float32, n, h, w, c);
    image.fillUniform(random, -1, 1);
    return image;
}

constexpr ops::PoolingType kPoolings[] = {ops::PoolingType::Max, ops::PoolingType::Average, ops::PoolingType::L2Norm};
/// Side by side, and with a border.
const ops::Window kWindows[] = {{2, 2, 2, 2}, {3, 3, 1, 1, 1, 1, 1, 1}};

TEST(CpuLayouts, PoolingOfBlocksGivesTheBitsOfWholePixels) {
    PEWTER_NEEDS_CPU();
    Random random(91);
    for (const ops::PoolingType type : kPoolings)
        for (const ops::Window& window : kWindows)
            for (const std::int64_t c : {16, 48}) {
                const std::int64_t h = 6 / window.strideY, w = 8 / window.strideX;
                OpTensor src = drawn(random, 2, 6, 8, c), dst = drawn(random, 2, h, w, c), diffDst = dst, diffSrc = src;
                const BlockedImage source(src.view()), result(dst.view()), gradient(diffDst.view()), back(diffSrc.view());
                runCpu(ops::PoolingForward{type, src, dst, window});
                runCpu(ops::PoolingForward{type, source, result, window});
                EXPECT_EQ(result.values(), floatsOf(dst)) << c;
                runCpu(ops::PoolingGradient{type, src, diffDst, diffSrc, window});
                runCpu(ops::PoolingGradient{type, source, gradient, back, window});
                EXPECT_EQ(back.values(), floatsOf(diffSrc)) << c;
            }
}

TEST(CpuLayouts, ResamplingOfBlocksGivesTheBitsOfWholePixels) {
    PEWTER_NEEDS_CPU();
    Random random(92);
    const ops::ResampleView twice{{0, 1, 2}, {0, 1, 2}};
    for (const auto type : {ops::ResampleType::Nearest, ops::ResampleType::Bilinear})
        for (const std::int64_t c : {16, 48}) {
            OpTensor small = drawn(random, 2, 3, 5, c), large = drawn(random, 2, 6, 10, c);
            const BlockedImage source(small.view()), result(large.view());
            runCpu(ops::ResampleForward{type, small, large, &twice});
            runCpu(ops::ResampleForward{type, source, result, &twice});
            EXPECT_EQ(result.values(), floatsOf(large)) << c;
            runCpu(ops::ResampleGradient{type, large, small, twice});
            runCpu(ops::ResampleGradient{type, result, source, twice});
            EXPECT_EQ(source.values(), floatsOf(small)) << c;
        }
}

/// Statistics and results differ by the order of sums alone: some roundings of numbers around 1.
TEST(CpuLayouts, InstanceNormalisationOfBlocksIsThatOfWholePixels) {
    PEWTER_NEEDS_CPU();
    Random random(93);
    for (const bool affine : {false, true})
        for (const bool each : {false, true})
            for (const std::int64_t c : {16, 48}) {
                const std::int64_t n = 3;
                OpTensor src = drawn(random, n, 7, 9, c), dst = src, diffDst = drawn(random, n, 7, 9, c), diffSrc = src;
                OpArray gamma(ops::Type::Float32, c), beta = gamma, diffGamma(ops::Type::Float32, each ? n * c : c),
                    diffBeta = diffGamma, mean(ops::Type::Float64, n * c), deviation = mean;
                gamma.fillUniform(random, 1, 2), beta.fillUniform(random, 1, 2);
                OpArray means = mean, deviations = mean, diffGammas = diffGamma, diffBetas = diffBeta;
                const ops::Array none;
                const BlockedImage source(src.view()), result(dst.view()), gradient(diffDst.view()), back(diffSrc.view());
                ops::GroupNormalizationForward forward{src, dst, none, none, mean, deviation, c, 0.01F};
                ops::GroupNormalizationGradient backward{src, diffDst, diffSrc, none, mean, deviation, diffGamma, diffBeta, c};
                if (affine) forward.gamma = backward.gamma = gamma, forward.beta = beta;
                runCpu(forward);
                runCpu(backward);
                forward.src = backward.src = source, forward.dst = result, backward.diffDst = gradient;
                backward.diffSrc = back, forward.mean = backward.mean = means;
                forward.inverseDeviation = backward.inverseDeviation = deviations;
                backward.diffGamma = diffGammas, backward.diffBeta = diffBetas;
                runCpu(forward);
                runCpu(backward);
                const auto expectNear = [&](const auto& found, const auto& expected, double tolerance) {
                    ASSERT_EQ(found.size(), expected.size());
                    for (std::size_t i = 0; i < found.size(); ++i)
                        EXPECT_NEAR(found[i], expected[i], tolerance) << i << " of " << c;
                };
                expectNear(result.values(), floatsOf(dst), 1e-5);
                expectNear(back.values(), floatsOf(diffSrc), 1e-5);
                expectNear(means.values(), mean.values(), 1e-6);
                expectNear(deviations.values(), deviation.values(), 1e-5);
                expectNear(diffGammas.values(), diffGamma.values(), 1e-4);
                expectNear(diffBetas.values(), diffBeta.values(), 1e-4);
            }
}

TEST(CpuLayouts, OnlyWhatStaysInItsChannelIsTakenInPlanes) {
    PEWTER_NEEDS_CPU();
    const auto images = [](const auto& op) { return cpuBackend()->layoutCost(op).images.size(); };
    const OpTensor x(ops::Type::Float32, 2, 4, 4, 32), half(ops::Type::Float32, 2, 2, 2, 32), odd(ops::Type::Float32, 2, 4, 4, 24);
    const ops::ResampleView views[2] = {};
    EXPECT_EQ(images(ops::PoolingForward{ops::PoolingType::Max, x, half}), 2U);
    EXPECT_EQ(images(ops::PoolingGradient{ops::PoolingType::Max, x, half, x}), 3U);
    EXPECT_EQ(images(ops::PoolingForward{ops::PoolingType::Max, odd, odd}), 0U);
    EXPECT_EQ(images(ops::ResampleForward{ops::ResampleType::Nearest, half, x, views, 1}), 2U);
    EXPECT_EQ(images(ops::ResampleForward{ops::ResampleType::Nearest, half, x, views, 2}), 0U);
    EXPECT_EQ(images(ops::ResampleGradient{ops::ResampleType::Nearest, x, half}), 2U);
    for (const std::int64_t groups : {32, 8}) {
        const bool isInstance = groups == 32;
        EXPECT_EQ(images(ops::GroupNormalizationForward{x, x, {}, {}, {}, {}, groups}), isInstance ? 2U : 0U);
        EXPECT_EQ(images(ops::GroupNormalizationGradient{x, x, x, {}, {}, {}, {}, {}, groups}), isInstance ? 3U : 0U);
        // Without the gradient of the source.
        EXPECT_EQ(images(ops::GroupNormalizationGradient{x, x, {}, {}, {}, {}, {}, {}, groups}), isInstance ? 2U : 0U);
    }
}

}  // namespace
}  // namespace pewter::test

#endif
