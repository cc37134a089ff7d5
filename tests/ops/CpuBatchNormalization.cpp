// Batch normalisation of the cpu device against the oracle.

#include <cfloat>
#include <cmath>

#include "CpuPointwise.h"
#include "backends/reference/NeuronFunction.h"

namespace pewter::test {
namespace {

class CpuBatchNormalization : public CpuOps {};

/// Inputs of one layer: images around a drawn mean, parameters, a neuron that is smooth where inputs lie.
struct Layer {
    Layer(Random& random, const Shape& s)
        : shape(s),
          src(drawTensor(random, s)),
          mean(ops::Type::Float32, s.c),
          variance(mean),
          gamma(),
          beta() {
        offset = random.coin() ? 0 : 5;
        src.fillUniform(random, offset - 1, offset + 1);
        mean.fillUniform(random, offset - 0.5, offset + 0.5);
        variance.fillUniform(random, 0.1, 2);
        if (random.coin()) {
            gamma = OpArray(ops::Type::Float32, s.c);
            beta = gamma;
            gamma.fillUniform(random, -2, 2);
            beta.fillUniform(random, -1, 1);
        }
        slopes.assign(static_cast<std::size_t>(s.c), 0.5f);
        constexpr ops::NeuronType kNeurons[] = {ops::NeuronType::None, ops::NeuronType::Sigmoid,
                                                ops::NeuronType::TanH, ops::NeuronType::GeLU};
        neuron = {kNeurons[random.integer(0, 3)], 1.25f, 0.75f, 0, nullptr};
    }
    /// Parameters of channel k in double.
    double deviation(std::size_t k) const {
        return 1 / std::sqrt(variance.at(static_cast<std::int64_t>(k)) + kBase);
    }
    double scale(std::size_t k) const { return gamma.size() ? gamma.at(static_cast<std::int64_t>(k)) : 1; }
    double shift(std::size_t k) const { return beta.size() ? beta.at(static_cast<std::int64_t>(k)) : 0; }
    double z(std::size_t k, double x) const {
        return (x - mean.at(static_cast<std::int64_t>(k))) * deviation(k) * scale(k) + shift(k);
    }
    /// What float32 does to z: the difference, three factors, the sum. 1/255 and its multiples are rounded
    /// when they are read.
    double zError(std::size_t k, double x) const {
        const double read = src.type() == ops::Type::Unorm8 ? std::fabs(x * deviation(k) * scale(k)) : 0;
        return kEpsilon * (4 * std::fabs(z(k, x) - shift(k)) + std::fabs(z(k, x)) + read);
    }
    std::string text() const {
        return describe(src) + " neuron " + std::to_string(static_cast<int>(neuron.type)) +
               (gamma.size() ? " gamma" : "");
    }

    static constexpr float kBase = 1e-3f;
    Shape shape;
    OpTensor src;
    OpArray mean, variance, gamma, beta;
    std::vector<float> slopes;
    ops::Neuron neuron;
    double offset;
};

/// Greatest |f'| and |f''| of the neurons above, generously.
constexpr double kSlope = 1.2, kCurvature = 1.6;

TEST_F(CpuBatchNormalization, StatisticsAgreeWithReferenceAndMerge) {
    Random random(701);
    Comparison means("BatchNormalizationStatistics, mean"),
        variances("BatchNormalizationStatistics, variance");
    for (int i = 0; i < kCases; ++i) {
        Layer layer(random, drawShape(random));
        const Shape s = layer.shape;
        OpArray mean(ops::Type::Float32, s.c), variance = mean;
        mean.fillUniform(random, -1, 1);
        variance.fillUniform(random, 0, 1);
        OpArray mean2 = mean, variance2 = variance;
        const std::int64_t before = random.coin() ? 0 : random.integer(1, 50);
        run(ops::BatchNormalizationStatistics{layer.src, mean, variance, before});
        runReference(ops::BatchNormalizationStatistics{layer.src, mean2, variance2, before});
        // Differences to the first pixel and to the mean are rounded; the sums are of them alone. Their size
        // is at most that of the values, 1 (and 2 for the difference) around the offset. Bounds of both are
        // derived in CpuGroupNormalization.cpp, which sums the same way; these are what such sums of drawn
        // numbers stay within, being far from all rounded to one side.
        const double size = layer.offset + 1;
        means.check(mean.values(), mean2.values(), ops::Type::Float32, layer.text(),
                    [&](std::size_t) { return 2 * kEpsilon * (before ? size + 1 : 2); });
        const std::vector<double> v = variance2.values();
        const auto pixels = static_cast<double>(s.n * s.h * s.w);
        variances.check(
            variance.values(), variance2.values(), ops::Type::Float32, layer.text(), [&](std::size_t k) {
                // 1/255 and its multiples are rounded when they are read, so their differences are off.
                const double read = layer.src.type() == ops::Type::Unorm8 ? 2 * std::sqrt(v[k]) * size : 0;
                return kEpsilon * ((2 + std::sqrt(std::min(pixels, 64.0))) * v[k] + read) + 0x1p-40;
            });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuBatchNormalization, StatisticsOfSmallIntegersAreExact) {
    Random random(702);
    for (int i = 0; i < kCases; ++i) {
        // Powers of two of at most 64 pixels: means have six binary places, squares of differences to them
        // twelve and six before the point, and 64 of these add up to a float32 number.
        const std::int64_t shared = random.integer(0, 4), n = 1ll << std::min<std::int64_t>(shared, 3),
                           h = 1ll << random.integer(0, 4 - std::min<std::int64_t>(shared, 3));
        const std::int64_t c = 1ll << random.integer(0, 6);
        OpTensor src(ops::Type::Float32, n, h, 4, c, drawLayout(random));
        src.fillIntegers(random, -4, 4);
        OpArray mean(ops::Type::Float32, c), variance = mean, mean2 = mean, variance2 = mean;
        run(ops::BatchNormalizationStatistics{src, mean, variance, 0});
        runReference(ops::BatchNormalizationStatistics{src, mean2, variance2, 0});
        ASSERT_EQ(mean.values(), mean2.values()) << describe(src);
        ASSERT_EQ(variance.values(), variance2.values()) << describe(src);
    }
}

/// With the smallest epsilon there is, any error of the mean would be multiplied by 9e18.
TEST_F(CpuBatchNormalization, ConstantChannelsNormaliseToExactlyBeta) {
    for (const std::int64_t c : {1, 3, 64, 300}) {
        OpTensor src(ops::Type::Float32, 3, 17, 19, c), dst = src;
        for (std::int64_t i = 0; i < src.count(); ++i) src.set(i, 0.1 * static_cast<double>(i % c + 1));
        OpArray mean(ops::Type::Float32, c), variance = mean;
        run(ops::BatchNormalizationStatistics{src, mean, variance, 0});
        EXPECT_EQ(variance.values(), std::vector<double>(static_cast<std::size_t>(c), 0.0));
        run(ops::BatchNormalizationForward{src, dst, mean, variance, {}, {}, FLT_MIN, {}});
        EXPECT_EQ(dst.values(), std::vector<double>(static_cast<std::size_t>(src.count()), 0.0));
    }
}

/// Mean 1000, deviation 1e-2: E[x^2] - mean^2 in float32 would lose every digit of the variance.
TEST_F(CpuBatchNormalization, AFarMeanCostsNoDigitsOfTheVariance) {
    Random random(703);
    OpTensor src(ops::Type::Float32, 2, 40, 40, 5);
    for (std::int64_t i = 0; i < src.count(); ++i) src.set(i, 1000 + random.uniform(-0.01, 0.01));
    OpArray mean(ops::Type::Float32, 5), variance = mean, mean2 = mean, variance2 = mean;
    run(ops::BatchNormalizationStatistics{src, mean, variance, 0});
    runReference(ops::BatchNormalizationStatistics{src, mean2, variance2, 0});
    for (std::int64_t k = 0; k < 5; ++k)
        EXPECT_NEAR(variance.at(k), variance2.at(k), 10 * kEpsilon * variance2.at(k));
}

TEST_F(CpuBatchNormalization, ForwardAgreesWithReference) {
    Random random(704);
    Comparison worst("BatchNormalizationForward");
    for (int i = 0; i < kCases; ++i) {
        Layer layer(random, drawShape(random));
        OpTensor dst = drawTensor(random, layer.shape), expected = dst;
        ops::BatchNormalizationForward op{layer.src,   dst,        layer.mean,   layer.variance,
                                          layer.gamma, layer.beta, Layer::kBase, layer.neuron};
        run(op);
        op.dst = expected;
        runReference(op);
        const std::vector<double> x = layer.src.values();
        const auto c = static_cast<std::size_t>(layer.shape.c);
        worst.check(dst, expected, layer.text(), [&](std::size_t k) {
            const double z = layer.z(k % c, x[k]), y = reference::neuron(layer.neuron, z, 0);
            return kSlope * layer.zError(k % c, x[k]) + 6 * kEpsilon * (std::fabs(y) + std::fabs(z));
        });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuBatchNormalization, StatisticsGradientAgreesWithReference) {
    Random random(705);
    Comparison worst("BatchNormalizationStatisticsGradient");
    for (int i = 0; i < kCases; ++i) {
        Layer layer(random, drawShape(random));
        const OpTensor diffDst = drawTensor(random, layer.shape, -2, 2);
        OpArray diffGamma(ops::Type::Float32, layer.shape.c), diffBeta = diffGamma;
        diffGamma.fillUniform(random, -1, 1);
        diffBeta.fillUniform(random, -1, 1);
        OpArray diffGamma2 = diffGamma, diffBeta2 = diffBeta;
        ops::BatchNormalizationStatisticsGradient op{layer.src,    diffDst,      layer.mean,   layer.variance,
                                                     layer.gamma,  layer.beta,   diffGamma,    diffBeta,
                                                     Layer::kBase, layer.neuron, random.coin()};
        run(op);
        op.diffGamma = diffGamma2;
        op.diffBeta = diffBeta2;
        runReference(op);
        const std::vector<double> x = layer.src.values(), g = diffDst.values();
        const auto c = static_cast<std::size_t>(layer.shape.c);
        std::vector<double> beta(c, 1.0), gamma(c, 1.0);  // room for what was there
        for (std::size_t k = 0; k < g.size(); ++k) {
            const double xh =
                std::fabs((x[k] - layer.mean.at(static_cast<std::int64_t>(k % c))) * layer.deviation(k % c));
            const double dz =
                std::fabs(g[k]) * (kSlope + kCurvature * layer.zError(k % c, x[k]) / kEpsilon / 4);
            beta[k % c] += dz;
            gamma[k % c] += dz * xh;
        }
        const auto pixels = static_cast<double>(layer.shape.count() / layer.shape.c);
        const double roundings = 4 + std::sqrt(std::min(pixels, 64.0));
        worst.check(diffBeta.values(), diffBeta2.values(), ops::Type::Float32, layer.text(),
                    [&](std::size_t k) { return roundings * kEpsilon * beta[k]; });
        worst.check(diffGamma.values(), diffGamma2.values(), ops::Type::Float32, layer.text(),
                    [&](std::size_t k) { return roundings * kEpsilon * gamma[k]; });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuBatchNormalization, GradientAgreesWithReference) {
    Random random(706);
    Comparison worst("BatchNormalizationGradient");
    for (int i = 0; i < kCases; ++i) {
        Layer layer(random, drawShape(random));
        const OpTensor diffDst = drawTensor(random, layer.shape, -2, 2);
        OpTensor diffSrc = drawTensor(random, layer.shape), expected = diffSrc;
        OpArray diffGamma(ops::Type::Float32, layer.shape.c), diffBeta = diffGamma;
        diffGamma.fillUniform(random, -5, 5);
        diffBeta.fillUniform(random, -5, 5);
        const std::int64_t count = layer.shape.count() / layer.shape.c;
        const bool stored = random.coin();
        ops::BatchNormalizationGradient op{layer.src,    diffDst,    diffSrc,   layer.mean, layer.variance,
                                           layer.gamma,  layer.beta, diffGamma, diffBeta,   Layer::kBase,
                                           layer.neuron, count,      stored};
        run(op);
        op.diffSrc = expected;
        runReference(op);
        const std::vector<double> x = layer.src.values(), g = diffDst.values();
        const auto c = static_cast<std::size_t>(layer.shape.c);
        worst.check(diffSrc, expected, layer.text() + (stored ? " stored" : ""), [&](std::size_t k) {
            const auto j = static_cast<std::int64_t>(k % c);
            const double factor = std::fabs(layer.scale(k % c)) * layer.deviation(k % c);
            const double xh = std::fabs((x[k] - layer.mean.at(j)) * layer.deviation(k % c));
            const double through = stored ? 0
                                          : (std::fabs(diffBeta.at(j)) + xh * std::fabs(diffGamma.at(j))) /
                                                static_cast<double>(count);
            const double dz =
                std::fabs(g[k]) * (8 * kSlope * kEpsilon + kCurvature * layer.zError(k % c, x[k]));
            return factor * (dz + 6 * kEpsilon * (std::fabs(g[k]) * kSlope + through));
        });
        OpTensor inPlace = diffDst, apart = diffDst;
        op.diffSrc = apart;
        run(op);
        op.diffDst = inPlace, op.diffSrc = inPlace;
        run(op);
        ASSERT_EQ(inPlace.values(), apart.values()) << layer.text();
        if (HasFatalFailure()) return;
    }
}

/// ReLU and PReLU behind a layer of exact numbers: mean and beta whole, deviation 1/2, so z never rounds.
/// More than four million elements, in images that begin with a cache line and in images that do not.
TEST_F(CpuBatchNormalization, ResultsThatGoPastTheCachesAreExact) {
    for (const std::int64_t c : {64, 67}) {
        OpTensor src(ops::Type::Float32, 2, 182, 182, c), dst = src, diffDst = src, diffSrc = src, expected = src,
                                                          slopes = src;
        OpArray mean(ops::Type::Float32, c), variance = mean, gamma = mean, beta = mean;
        for (std::int64_t k = 0; k < c; ++k) {
            mean.set(k, static_cast<double>(k % 5));
            variance.set(k, 4);
            gamma.set(k, k % 2 ? 2 : 6);
            beta.set(k, static_cast<double>(k % 3));
        }
        for (std::int64_t j = 0; j < src.count(); ++j) {
            const std::int64_t k = j % c;
            const double x = static_cast<double>(j / c % 7) - 3, z = x * (k % 2 ? 1 : 3) + static_cast<double>(k % 3);
            src.set(j, static_cast<double>(k % 5) + x);
            diffDst.set(j, static_cast<double>(j % 9));
            expected.set(j, z >= 0 ? z : 0.5 * z);
            slopes.set(j, (k % 2 ? 1 : 3) * static_cast<double>(j % 9) * (z >= 0 ? 1 : 0.5));
        }
        ops::Neuron leaky;
        leaky.type = ops::NeuronType::ReLU;
        leaky.a = 0.5f;
        run(ops::BatchNormalizationForward{src, dst, mean, variance, gamma, beta, 0, leaky});
        ASSERT_TRUE(dst.values() == expected.values()) << c;
        run(ops::BatchNormalizationGradient{src, diffDst, diffSrc, mean, variance, gamma, beta, {}, {}, 0, leaky, 1, true});
        ASSERT_TRUE(diffSrc.values() == slopes.values()) << c;
        ASSERT_TRUE(dst.guardsIntact() && diffSrc.guardsIntact());
    }
}

TEST_F(CpuBatchNormalization, PiecewiseNeuronsAreExact) {
    Random random(707);
    for (int i = 0; i < 100; ++i) {
        const Shape s = drawShape(random);
        std::vector<float> slopes(static_cast<std::size_t>(s.c));
        for (float& slope : slopes) slope = static_cast<float>(random.integer(-2, 2));
        OpTensor src(ops::Type::Float32, s.n, s.h, s.w, s.c, drawLayout(random)), diffDst = src, dst = src,
                                                                                  dst2 = src;
        src.fillIntegers(random, -4, 4);
        diffDst.fillIntegers(random, -4, 4);
        OpArray mean(ops::Type::Float32, s.c), variance = mean, beta = mean, diffGamma = mean,
                                               diffBeta = mean;
        mean.fillIntegers(random, -2, 2);
        variance.fill(3.5);
        beta.fillIntegers(random, -2, 2);
        const ops::Neuron relu{ops::NeuronType::ReLU, 0.25f, 0, 0, nullptr};
        const ops::Neuron prelu{ops::NeuronType::PReLU, 0, 0, 0, slopes.data()};
        const ops::Neuron neuron = random.coin() ? relu : prelu;
        run(ops::BatchNormalizationForward{src, dst, mean, variance, {}, beta, 0.5f, neuron});
        runReference(ops::BatchNormalizationForward{src, dst2, mean, variance, {}, beta, 0.5f, neuron});
        ASSERT_EQ(dst.values(), dst2.values()) << s.text();
        OpArray diffGamma2 = diffGamma, diffBeta2 = diffBeta;
        ops::BatchNormalizationStatisticsGradient op{src,       diffDst,  mean, variance, {},   beta,
                                                     diffGamma, diffBeta, 0.5f, neuron,   false};
        run(op);
        op.diffGamma = diffGamma2, op.diffBeta = diffBeta2;
        runReference(op);
        ASSERT_EQ(diffBeta.values(), diffBeta2.values()) << s.text();
        ASSERT_EQ(diffGamma.values(), diffGamma2.values()) << s.text();
    }
}

}  // namespace
}  // namespace pewter::test
