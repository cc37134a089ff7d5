// Instance and group normalisation of the cpu device against the oracle.
//
// Error bounds, with e = 2^-23 and a lane of the device's sums adding at most 64 numbers in float32 (16 sums
// of four and what is left over) before it is emptied into a double:
//   - 20 roundings of half a step on the way of a number into a sum: a sum is off by at most 10 e of its
//   magnitudes;
//   - the mean, summed as differences to a pixel: by at most 10 e of the group's range;
//   - the variance: squares are off by 12 e of themselves (24 roundings each). Blocks of pixels after the
//   first square
//     their differences to the mean so far; with no block longer than what came before, these squares add up
//     to at most three times those around the mean of all: 36 e of the variance, of which its inverse root
//     takes half.

#include <cfloat>
#include <cmath>

#include "CpuPointwise.h"

namespace pewter::test {
namespace {

class CpuGroupNormalization : public CpuOps {};

/// Statistics of group k of image n in double.
struct GroupFacts {
    double mean = 0, variance = 0, range = 0, size = 0;
};

struct Layer {
    explicit Layer(Random& random) : shape(drawShape(random)) {
        // Every tenth case: few images that are large enough to be shared out among threads.
        if (random.integer(0, 9) == 0)
            shape = {random.coin() ? 1 : 3, 37, random.integer(38, 44), random.integer(24, 30)};
        std::vector<std::int64_t> divisors;
        for (std::int64_t k = 1; k <= shape.c; ++k)
            if (shape.c % k == 0) divisors.push_back(k);
        groups = random.coin() ? shape.c
                               : divisors[static_cast<std::size_t>(
                                     random.integer(0, static_cast<std::int64_t>(divisors.size()) - 1))];
        src = drawTensor(random, shape);
        const double offset = random.coin() ? 0 : 5;
        src.fillUniform(random, offset - 1, offset + 1);
        if (random.coin()) {
            gamma = OpArray(ops::Type::Float32, shape.c);
            beta = gamma;
            gamma.fillUniform(random, -2, 2);
            beta.fillUniform(random, -1, 1);
        }
        x = src.values();
        collect();
    }
    void collect() {
        facts.assign(static_cast<std::size_t>(shape.n * groups), {});
        const double count = static_cast<double>(shape.h * shape.w * shape.c / groups);
        std::vector<double> low(facts.size(), HUGE_VAL), high(facts.size(), -HUGE_VAL);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const auto k = groupOf(i);
            facts[k].mean += x[i] / count;
            facts[k].size = std::max(facts[k].size, std::fabs(x[i]));
            low[k] = std::min(low[k], x[i]);
            high[k] = std::max(high[k], x[i]);
        }
        for (std::size_t i = 0; i < x.size(); ++i) {
            auto& f = facts[groupOf(i)];
            f.variance += (x[i] - f.mean) * (x[i] - f.mean) / count;
        }
        for (std::size_t k = 0; k < facts.size(); ++k) facts[k].range = high[k] - low[k];
    }
    std::size_t channelOf(std::size_t i) const { return i % static_cast<std::size_t>(shape.c); }
    std::size_t imageOf(std::size_t i) const {
        return i / static_cast<std::size_t>(shape.h * shape.w * shape.c);
    }
    std::size_t groupOf(std::size_t i) const {
        return imageOf(i) * static_cast<std::size_t>(groups) +
               channelOf(i) / static_cast<std::size_t>(shape.c / groups);
    }
    double scaleOf(std::size_t i) const {
        return gamma.size() ? gamma.at(static_cast<std::int64_t>(channelOf(i))) : 1;
    }
    double shiftOf(std::size_t i) const {
        return beta.size() ? beta.at(static_cast<std::int64_t>(channelOf(i))) : 0;
    }
    double inverseDeviation(std::size_t k) const { return 1 / std::sqrt(facts[k].variance + kBase); }
    /// 1/255 and its multiples are rounded when they are read.
    double readError(std::size_t k) const {
        return src.type() == ops::Type::Unorm8 ? kEpsilon / 2 * facts[k].size : 0;
    }
    std::string text() const {
        return describe(src) + " groups " + std::to_string(groups) + (gamma.size() ? " gamma" : "");
    }

    static constexpr float kBase = 1e-3f;
    Shape shape;
    std::int64_t groups = 1;
    OpTensor src;
    OpArray gamma, beta;
    std::vector<double> x;
    std::vector<GroupFacts> facts;
};

TEST_F(CpuGroupNormalization, ForwardAgreesWithReference) {
    Random random(901);
    Comparison worst("GroupNormalizationForward"), means("GroupNormalizationForward, mean"),
        deviations("GroupNormalizationForward, inverse deviation");
    for (int i = 0; i < kCases; ++i) {
        const Layer layer(random);
        OpTensor dst = drawTensor(random, layer.shape), expected = dst;
        OpArray mean(ops::Type::Float64, layer.shape.n * layer.groups), inverse = mean, mean2 = mean,
                                                                        inverse2 = mean;
        ops::GroupNormalizationForward op{layer.src, dst,     layer.gamma,  layer.beta,
                                          mean,      inverse, layer.groups, Layer::kBase};
        run(op);
        op.dst = expected, op.mean = mean2, op.inverseDeviation = inverse2;
        runReference(op);
        const auto meanError = [&](std::size_t k) {
            return 10 * kEpsilon * layer.facts[k].range + layer.readError(k);
        };
        const auto varianceError = [&](std::size_t k) {
            const auto& f = layer.facts[k];
            return 36 * kEpsilon * f.variance + 4 * std::sqrt(f.variance) * layer.readError(k) + 0x1p-40;
        };
        const auto relative = [&](std::size_t k) {
            return varianceError(k) / (layer.facts[k].variance + Layer::kBase) / 2;
        };
        means.check(mean.values(), mean2.values(), ops::Type::Float64, layer.text(), meanError);
        deviations.check(
            inverse.values(), inverse2.values(), ops::Type::Float64, layer.text(),
            [&](std::size_t k) { return 2 * relative(k) * layer.inverseDeviation(k) + 0x1p-50; });
        worst.check(dst, expected, layer.text(), [&](std::size_t j) {
            const auto k = layer.groupOf(j);
            const double deviation = layer.inverseDeviation(k), distance = layer.x[j] - layer.facts[k].mean;
            // The difference to the mean that float32 holds, scale, shift and sum are rounded.
            const double xh =
                (meanError(k) + layer.readError(k) + kEpsilon * layer.facts[k].size) * deviation +
                std::fabs(distance) * deviation * (relative(k) + 2 * kEpsilon);
            const double y = layer.scaleOf(j) * distance * deviation + layer.shiftOf(j);
            return std::fabs(layer.scaleOf(j)) * xh + kEpsilon * (std::fabs(y) + std::fabs(layer.shiftOf(j)));
        });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuGroupNormalization, GradientAgreesWithReference) {
    Random random(902);
    Comparison worst("GroupNormalizationGradient"), gammas("GroupNormalizationGradient, gamma"),
        betas("GroupNormalizationGradient, beta");
    for (int i = 0; i < kCases; ++i) {
        const Layer layer(random);
        const Shape s = layer.shape;
        const OpTensor diffDst = drawTensor(random, s, -2, 2);
        OpTensor diffSrc = drawTensor(random, s), expected = diffSrc;
        OpArray mean(ops::Type::Float64, s.n * layer.groups), inverse = mean;
        const bool own = random.coin();
        OpArray diffGamma(ops::Type::Float32, own ? s.n * s.c : s.c),
            diffBeta = diffGamma, diffGamma2 = diffGamma, diffBeta2 = diffGamma;
        OpTensor unused(ops::Type::Float64, s.n, s.h, s.w, s.c);
        runReference(ops::GroupNormalizationForward{layer.src, unused, layer.gamma, layer.beta, mean, inverse,
                                                    layer.groups, Layer::kBase});
        ops::GroupNormalizationGradient op{layer.src, diffDst,   diffSrc,  layer.gamma, mean,
                                           inverse,   diffGamma, diffBeta, layer.groups};
        run(op);
        op.diffSrc = expected, op.diffGamma = diffGamma2, op.diffBeta = diffBeta2;
        runReference(op);

        // Errors of the sums of each channel of each image, and of the means over groups that come from them.
        const auto g = diffDst.values();
        const auto channels = static_cast<std::size_t>(s.c);
        std::vector<double> betaError(static_cast<std::size_t>(s.n) * channels), gammaError = betaError;
        std::vector<double> total(layer.facts.size()), product = total, totalError = total,
                                                       productError = total;
        const double count = static_cast<double>(s.h * s.w * s.c / layer.groups);
        const auto distance = [&](std::size_t j) {
            const auto& f = layer.facts[layer.groupOf(j)];
            return (std::fabs(layer.x[j] - f.mean) + kEpsilon * std::fabs(f.mean)) *
                   layer.inverseDeviation(layer.groupOf(j));
        };
        for (std::size_t j = 0; j < g.size(); ++j) {
            const auto k = layer.groupOf(j), at = layer.imageOf(j) * channels + layer.channelOf(j);
            const double e = std::fabs(g[j]), scale = layer.scaleOf(j);
            const double xh = (layer.x[j] - layer.facts[k].mean) * layer.inverseDeviation(k);
            const double ofBeta = 11 * kEpsilon * e;
            const double ofGamma =
                12 * kEpsilon * e * distance(j) + e * layer.readError(k) * layer.inverseDeviation(k);
            betaError[at] += ofBeta;
            gammaError[at] += ofGamma;
            total[k] += scale * g[j] / count;
            product[k] += scale * g[j] * xh / count;
            totalError[k] += std::fabs(scale) * ofBeta / count;
            productError[k] += std::fabs(scale) * ofGamma / count;
        }
        const auto errorOf = [&](const std::vector<double>& each, std::size_t k) {
            if (own) return each[k];
            double sum = 0;
            for (std::size_t n = 0; n < static_cast<std::size_t>(s.n); ++n) sum += each[n * channels + k];
            return sum;
        };
        gammas.check(diffGamma.values(), diffGamma2.values(), ops::Type::Float32, layer.text(),
                     [&](std::size_t k) { return errorOf(gammaError, k); });
        betas.check(diffBeta.values(), diffBeta2.values(), ops::Type::Float32, layer.text(),
                    [&](std::size_t k) { return errorOf(betaError, k); });
        worst.check(diffSrc, expected, layer.text(), [&](std::size_t j) {
            const auto k = layer.groupOf(j);
            const double xh = distance(j) + layer.readError(k) * layer.inverseDeviation(k);
            const double dx = 3 * kEpsilon * std::fabs(layer.scaleOf(j) * g[j]) + totalError[k] +
                              2 * kEpsilon * std::fabs(total[k]) +
                              xh * (productError[k] + 5 * kEpsilon * std::fabs(product[k])) +
                              layer.readError(k) * layer.inverseDeviation(k) * std::fabs(product[k]);
            return layer.inverseDeviation(k) * dx;
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

/// As many numbers above a group's centre as below it, all equally far: mean, deviation and results are
/// exact.
TEST_F(CpuGroupNormalization, SmallIntegersAreExact) {
    Random random(903);
    for (int i = 0; i < kCases; ++i) {
        const std::int64_t n = random.integer(1, 4), h = 1ll << random.integer(0, 5),
                           c = 1ll << random.integer(0, 6);
        const std::int64_t groups = std::min<std::int64_t>(c, 1ll << random.integer(0, 6));
        const Layout layout = drawLayout(random);
        OpTensor src(ops::Type::Float32, n, h, 4, c, layout), dst = src, dst2 = src, diffDst = src,
                                                              diffSrc = src, diffSrc2 = src;
        const double distance = 1 << random.integer(0, 3);
        for (std::int64_t j = 0; j < src.count(); ++j) {
            // Columns alternate, so every channel is balanced.
            const std::int64_t column = j / c % 4, group = j % c / (c / groups);
            src.set(j, static_cast<double>(3 * group - 5) + (column % 2 ? distance : -distance));
        }
        diffDst.fillIntegers(random, -4, 4);
        OpArray gamma(ops::Type::Float32, c), beta = gamma;
        gamma.fillIntegers(random, -2, 2);
        beta.fillIntegers(random, -3, 3);
        OpArray mean(ops::Type::Float64, n * groups), inverse = mean, diffGamma(ops::Type::Float32, n * c),
                                                      diffBeta = diffGamma, diffGamma2 = diffGamma,
                                                      diffBeta2 = diffGamma;
        run(ops::GroupNormalizationForward{src, dst, gamma, beta, mean, inverse, groups, 0});
        runReference(ops::GroupNormalizationForward{src, dst2, gamma, beta, {}, {}, groups, 0});
        ASSERT_EQ(dst.values(), dst2.values()) << describe(src) << " groups " << groups;
        run(ops::GroupNormalizationGradient{src, diffDst, diffSrc, gamma, mean, inverse, diffGamma, diffBeta,
                                            groups});
        runReference(ops::GroupNormalizationGradient{src, diffDst, diffSrc2, gamma, mean, inverse, diffGamma2,
                                                     diffBeta2, groups});
        ASSERT_EQ(diffSrc.values(), diffSrc2.values()) << describe(src) << " groups " << groups;
        ASSERT_EQ(diffGamma.values(), diffGamma2.values());
        ASSERT_EQ(diffBeta.values(), diffBeta2.values());
        // Without a result the sums are the same.
        for (const bool reference : {false, true}) {
            OpArray ofGamma = diffGamma, ofBeta = diffBeta;
            ofGamma.fillIntegers(random, 7, 7);
            ofBeta.fillIntegers(random, 7, 7);
            const ops::GroupNormalizationGradient alone{src,  diffDst, {},      gamma, mean,
                                                        inverse, ofGamma, ofBeta, groups};
            reference ? runReference(alone) : run(alone);
            ASSERT_EQ(ofGamma.values(), diffGamma.values());
            ASSERT_EQ(ofBeta.values(), diffBeta.values());
        }
        ASSERT_TRUE(dst.guardsIntact() && diffSrc.guardsIntact());
    }
}

/// More than four million elements, in images that begin with a cache line and in images that do not.
TEST_F(CpuGroupNormalization, ResultsThatGoPastTheCachesAreExact) {
    for (const std::int64_t c : {64, 67})
        for (const std::int64_t groups : {std::int64_t{1}, c}) {
            OpTensor src(ops::Type::Float32, 2, 182, 182, c), dst = src, expected = src;
            for (std::int64_t j = 0; j < src.count(); ++j) {
                const double shift = groups == 1 ? 3 : static_cast<double>(j % c);
                src.set(j, shift + (j / c % 2 ? 2 : -2));
                expected.set(j, j / c % 2 ? 1 : -1);
            }
            run(ops::GroupNormalizationForward{src, dst, {}, {}, {}, {}, groups, 0});
            ASSERT_TRUE(dst.values() == expected.values()) << describe(src) << " groups " << groups;
            ASSERT_TRUE(dst.guardsIntact());
        }
}

/// With the smallest epsilon there is, any error of the mean would be multiplied by 9e18.
TEST_F(CpuGroupNormalization, ConstantGroupsNormaliseToExactlyBeta) {
    for (const std::int64_t c : {1, 3, 64, 300})
        for (const bool single : {false, true}) {
            OpTensor src(ops::Type::Float32, single ? 1 : 3, 47, 49, c), dst = src;
            OpArray beta(ops::Type::Float32, c);
            beta.fill(0.75);
            for (std::int64_t i = 0; i < src.count(); ++i) src.set(i, 0.1 * static_cast<double>(i % c + 1));
            run(ops::GroupNormalizationForward{src, dst, {}, beta, {}, {}, c, FLT_MIN});
            EXPECT_EQ(dst.values(), std::vector<double>(static_cast<std::size_t>(src.count()), 0.75));
            src.fill(0.1);
            run(ops::GroupNormalizationForward{src, dst, {}, beta, {}, {}, 1, FLT_MIN});
            EXPECT_EQ(dst.values(), std::vector<double>(static_cast<std::size_t>(src.count()), 0.75));
        }
}

/// Mean 1000, deviation 1e-2: E[x^2] - mean^2 in float32 would lose every digit of the variance, and a mean
/// rounded to float32 half a percent of each result.
TEST_F(CpuGroupNormalization, AFarMeanCostsNoDigits) {
    Random random(904);
    for (const std::int64_t groups : {1, 5}) {
        OpTensor src(ops::Type::Float32, 2, 40, 40, 5), dst = src, expected = src;
        for (std::int64_t i = 0; i < src.count(); ++i) src.set(i, 1000 + random.uniform(-0.01, 0.01));
        run(ops::GroupNormalizationForward{src, dst, {}, {}, {}, {}, groups, 0});
        runReference(ops::GroupNormalizationForward{src, expected, {}, {}, {}, {}, groups, 0});
        const auto y = dst.values(), wanted = expected.values();
        // |y| < 2; the bounds above with a range of 3.5 deviations.
        for (std::size_t i = 0; i < y.size(); ++i)
            ASSERT_NEAR(y[i], wanted[i], kEpsilon * (10 * 3.5 + 2 * (18 + 3)));
    }
}

TEST_F(CpuGroupNormalization, TheSameBitsEveryTime) {
    Random random(905);
    for (const std::int64_t n : {1, 2, 3}) {
        OpTensor src(ops::Type::Float32, n, 64, 64, 24), dst = src, again = src;
        src.fillUniform(random, -1, 1);
        run(ops::GroupNormalizationForward{src, dst, {}, {}, {}, {}, 4, 1e-5f});
        run(ops::GroupNormalizationForward{src, again, {}, {}, {}, {}, 4, 1e-5f});
        EXPECT_EQ(dst.values(), again.values());
    }
}

}  // namespace
}  // namespace pewter::test
