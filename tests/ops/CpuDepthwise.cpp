// Depthwise convolutions on the cpu device against the oracle, on small whole numbers: nothing is rounded.

#include <gtest/gtest.h>

#include <algorithm>

#include "Lines.h"
#include "OpTensors.h"
#include "RunCpu.h"
#include "RunReference.h"
#include "ops/Convolution.h"

namespace pewter::test {
namespace {

struct Problem {
    std::int64_t n, h, w, c, kernelHeight, kernelWidth, stride, dilation, pad;
};

class CpuDepthwise : public ::testing::TestWithParam<Problem> {};

void fillWhole(OpTensor& t, std::int64_t seed) {
    for (std::int64_t i = 0; i < t.count(); ++i) t.set(i, static_cast<double>((i * 7 + i / 11 + seed) % 9 - 4));
}

TEST_P(CpuDepthwise, EveryResultIsThatOfTheOracle) {
    PEWTER_NEEDS_CPU();
    const Problem p = GetParam();
    const auto outputs = [&](std::int64_t extent, std::int64_t taps) {
        return (extent + 2 * p.pad - (taps - 1) * p.dilation - 1) / p.stride + 1;
    };
    const ops::Window window{p.kernelWidth, p.kernelHeight, p.stride, p.stride, p.dilation, p.dilation,
                             p.pad,         p.pad,          ops::Edge::Zero};
    OpTensor src(ops::Type::Float32, p.n, p.h, p.w, p.c), weights(ops::Type::Float32, p.c, p.kernelHeight, p.kernelWidth, 1);
    OpTensor dst(ops::Type::Float32, p.n, outputs(p.h, p.kernelHeight), outputs(p.w, p.kernelWidth), p.c);
    fillWhole(src, 1);
    fillWhole(weights, 5);
    OpTensor bias(ops::Type::Float32, 1, 1, 1, p.c), expected = dst;
    fillWhole(bias, 3);
    const ops::Tensor biases = bias;
    const ops::Array array{biases.data, ops::Type::Float32, p.c};
    for (const auto type : {ops::NeuronType::None, ops::NeuronType::ReLU})
        for (const bool withBias : {false, true}) {
            ops::ConvolutionForward forward{src, weights, dst, withBias ? array : ops::Array{}, window, p.c};
            forward.neuron.type = type;
            runCpu(forward);
            forward.dst = expected;
            runReference(forward);
            ASSERT_EQ(dst.values(), expected.values());
            ASSERT_TRUE(dst.guardsIntact());
        }
    OpTensor diffSrc = src, expectedDiff = src;
    runCpu(ops::ConvolutionDataGradient{dst, weights, diffSrc, window, p.c});
    runReference(ops::ConvolutionDataGradient{dst, weights, expectedDiff, window, p.c});
    EXPECT_EQ(diffSrc.values(), expectedDiff.values());
    EXPECT_TRUE(diffSrc.guardsIntact());
    for (const bool accumulate : {false, true}) {
        OpTensor sums = weights, expectedSums = weights;
        OpTensor diffBias = bias, expectedBias = bias;
        const auto gradient = [&](OpTensor& of, OpTensor& biasOf) {
            const ops::Tensor view = biasOf;
            return ops::ConvolutionWeightsGradient{
                src, dst, of, {view.data, ops::Type::Float32, p.c}, window, p.c, accumulate};
        };
        runCpu(gradient(sums, diffBias));
        runReference(gradient(expectedSums, expectedBias));
        EXPECT_EQ(sums.values(), expectedSums.values()) << accumulate;
        EXPECT_EQ(diffBias.values(), expectedBias.values()) << accumulate;
        EXPECT_TRUE(sums.guardsIntact());
    }
}

/// Results of 8 MiB and more go past the caches.
TEST(CpuDepthwiseLarge, ResultsLargerThanTheCachesAreThoseOfTheirImages) {
    PEWTER_NEEDS_CPU();
    constexpr std::int64_t kChannels = 48, kImages = 3;
    const ops::Window window{3, 3, 1, 1, 1, 1, 1, 1, ops::Edge::Zero};
    Random random(77);
    Lines src(kImages, 130, 135, kChannels), dst(kImages, 130, 135, kChannels), alone(1, 130, 135, kChannels),
        weights(kChannels, 3, 3, 1);
    ASSERT_GE(dst.count(), std::int64_t{2} << 20);
    ASSERT_LT(alone.count(), std::int64_t{2} << 20);
    src.fillUniform(random, -1, 1);
    weights.fillUniform(random, -1, 1);
    const auto expectSame = [&](auto run) {
        run(src.view(), dst.view());
        for (std::int64_t n = 0; n < kImages; ++n) {
            ops::Tensor image = src.view();
            image.data = src.data() + n * image.strideN, image.n = 1;
            run(image, alone.view());
            EXPECT_TRUE(std::equal(alone.data(), alone.data() + alone.count(), dst.data() + n * image.strideN)) << n;
        }
    };
    expectSame([&](const ops::Tensor& x, const ops::Tensor& y) {
        runCpu(ops::ConvolutionForward{x, weights.view(), y, {}, window, kChannels});
    });
    expectSame([&](const ops::Tensor& g, const ops::Tensor& d) {
        runCpu(ops::ConvolutionDataGradient{g, weights.view(), d, window, kChannels});
    });
}

INSTANTIATE_TEST_SUITE_P(Shapes, CpuDepthwise,
                         ::testing::Values(Problem{2, 9, 14, 16, 3, 3, 1, 1, 1}, Problem{1, 7, 13, 37, 3, 3, 1, 1, 1},
                                           Problem{3, 5, 11, 128, 3, 3, 1, 1, 0}, Problem{1, 4, 3, 48, 3, 3, 1, 1, 2},
                                           Problem{1, 12, 12, 32, 3, 3, 2, 1, 1}, Problem{2, 11, 12, 40, 3, 3, 1, 2, 2},
                                           Problem{1, 9, 10, 19, 5, 5, 1, 1, 2}, Problem{1, 8, 9, 64, 1, 4, 1, 1, 1}, Problem{2, 2, 1, 33, 3, 3, 1, 1, 1}));

}  // namespace
}  // namespace pewter::test
