// The three normalisations by a neighbourhood on the cpu device against the oracle.

#include <gtest/gtest.h>

#include <functional>

#include "CpuDraw.h"
#include "RunCpu.h"
#include "RunReference.h"
#include "Tolerance.h"

namespace pewter::test {
namespace {

constexpr int kCases = 250;

/// Parameters as layers have them, and anything else.
struct Parameters {
    double alpha, beta, delta;

    explicit Parameters(Random& random) {
        constexpr double kUsual[] = {0.5, 0.75, 1, 5, 2.25, 0, -1, -1.75};
        alpha = static_cast<float>(random.integer(0, 5) == 0 ? 0 : random.uniform(0, 4));
        beta = static_cast<float>(random.coin() ? kUsual[random.integer(0, 7)] : random.uniform(-1, 4));
        delta = static_cast<float>(random.coin() ? 1 : random.uniform(0.5, 2));
    }

    /// Roundings, in units of 2^-24, of T^-(beta + more) when T has `base` of them and |ln T| stays below 3:
    /// the exponent multiplies those of T; the power itself has at most 6 + 6 |exponent ln T|.
    double roundings(double base, double more = 0) const {
        const double exponent = std::fabs(beta) + more;
        return exponent * base + 8 + 6 * exponent * 3;
    }
};

std::string textOf(const Parameters& p) {
    return " alpha " + std::to_string(p.alpha) + " beta " + std::to_string(p.beta) + " delta " +
           std::to_string(p.delta);
}

DrawnAxis drawAxis(Random& random, std::int64_t mostTaps) {
    DrawnAxis axis(random, 14, mostTaps, 1);
    axis.stride = 1;
    axis.outputs = std::min<std::int64_t>(
        16, std::max<std::int64_t>(1, axis.source + random.integer(-3, 3) + (random.coin() ? 0 : axis.taps)));
    if (random.coin()) axis.pad = axis.taps / 2, axis.outputs = axis.source;  // as layers have it
    return axis;
}

/// A window problem with its operands.
struct Case {
    Parameters parameters;
    std::int64_t n, channels;
    DrawnAxis y, x;
    ops::Window window;
    OpTensor src, dst, diffDst, diffSrc;
    std::string name;

    /// wideTaps, unless 0: the columns of a window over three channels, in rows of several tiles.
    explicit Case(Random& random, std::int64_t wideTaps = 0)
        : parameters(random),
          n(random.integer(1, 3)),
          channels(random.coin() ? random.integer(1, 20) : random.integer(60, 70)),
          y(drawAxis(random, random.integer(0, 3) == 0 ? 12 : 5)),
          x(drawAxis(random, random.integer(0, 3) == 0 ? 12 : 5)) {
        if (wideTaps > 0) {
            n = 1, channels = 3, parameters.beta = random.coin() ? 0.5 : 0.75;
            y.source = y.outputs = 5, y.taps = 3, y.pad = 1;
            x.source = x.outputs = random.integer(700, 720), x.taps = wideTaps, x.pad = random.integer(0, wideTaps - 1);
        }
        window = windowOf(y, x, random.coin() ? ops::Edge::Zero : ops::Edge::Clamp);
        src = OpTensor(drawImageType(random), n, y.source, x.source, channels, drawLayout(random));
        dst = OpTensor(src.type(), n, y.outputs, x.outputs, channels, drawLayout(random));
        diffDst = OpTensor(drawSignedType(random), n, y.outputs, x.outputs, channels, drawLayout(random));
        diffSrc = OpTensor(drawSignedType(random), n, y.source, x.source, channels, drawLayout(random));
        src.fillUniform(random, -2, 2);
        diffDst.fillUniform(random, -1, 1);
        diffSrc.fillUniform(random, -1, 1);
        name = describe(window, n, y, x) + " channels " + std::to_string(channels) + " " +
               ops::nameOf(src.type()) + textOf(parameters);
    }

    double taps() const { return static_cast<double>(window.width * window.height); }

    /// Where a tap lands; -1 for a zero.
    std::int64_t landing(std::int64_t position, std::int64_t extent) const {
        if (position >= 0 && position < extent) return position;
        return window.edge == ops::Edge::Clamp ? std::clamp<std::int64_t>(position, 0, extent - 1) : -1;
    }
    /// visit(v, u) for the source pixels under a window, the centre's first.
    void forTaps(std::int64_t oy, std::int64_t ox,
                 const std::function<void(std::int64_t, std::int64_t, bool)>& visit) const {
        const auto tap = [&](std::int64_t r, std::int64_t q, bool centre) {
            const auto v = landing(oy - window.padTop + r, y.source),
                       u = landing(ox - window.padLeft + q, x.source);
            if (v >= 0 && u >= 0) visit(v, u, centre);
        };
        tap(window.height / 2, window.width / 2, true);
        for (std::int64_t r = 0; r < window.height; ++r)
            for (std::int64_t q = 0; q < window.width; ++q) tap(r, q, false);
    }

    /// Sums of the magnitudes of everything that a gradient adds up; `contrast` for the local contrast.
    std::vector<double> gradientMagnitudes(bool contrast, double p0 = 0, double ps = 1) const {
        OpTensor sums(ops::Type::Float64, n, y.source, x.source, channels);
        for (std::int64_t i = 0; i < n; ++i)
            for (std::int64_t oy = 0; oy < y.outputs; ++oy)
                for (std::int64_t ox = 0; ox < x.outputs; ++ox)
                    for (std::int64_t c = 0; c < channels; ++c) {
                        double mean = 0, square = 0, centre = 0;
                        forTaps(oy, ox, [&](std::int64_t v, std::int64_t u, bool isCentre) {
                            const double value = src.at(i, v, u, c);
                            if (isCentre)
                                centre = value;
                            else
                                mean += value / taps(), square += value * value / taps();
                        });
                        const double base =
                            parameters.delta + parameters.alpha * (contrast ? square - mean * mean : square);
                        const double g = std::fabs(ps * diffDst.at(i, oy, ox, c));
                        const double byCentre = g * std::pow(base, -parameters.beta);
                        const double distance =
                            contrast ? std::fabs(centre) + std::fabs(p0 * mean) : std::fabs(centre);
                        const double byBase = 2 * parameters.alpha * std::fabs(parameters.beta) / taps() * g *
                                              distance * std::pow(base, -parameters.beta - 1);
                        forTaps(oy, ox, [&](std::int64_t v, std::int64_t u, bool isCentre) {
                            const double value = std::fabs(src.at(i, v, u, c));
                            const double more = isCentre   ? byCentre
                                                : contrast ? std::fabs(p0) / taps() * byCentre +
                                                                 byBase * (value + std::fabs(mean))
                                                           : byBase * value;
                            sums.set(i, v, u, c, sums.at(i, v, u, c) + more);
                        });
                    }
        return sums.values();
    }
};

std::vector<double> magnitudesOf(std::vector<double> values) {
    for (double& value : values) value = std::fabs(value);
    return values;
}

TEST(CpuSpatialNormalization, ForwardAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("spatial normalization forward");
    Random random(501);
    for (int i = 0; i < kCases; ++i) {
        Case c(random, i % 25 == 0 ? 5 : i % 25 == 1 ? 9 : 0);
        const auto& p = c.parameters;
        OpTensor expected = inDouble(c.dst);
        runReference(ops::SpatialNormalizationForward{c.src, expected, c.window, p.alpha, p.beta, p.delta});
        runCpu(ops::SpatialNormalizationForward{c.src, c.dst, c.window, p.alpha, p.beta, p.delta});
        agreement.compare(c.dst.values(), expected.values(), magnitudesOf(expected.values()),
                          static_cast<std::int64_t>(p.roundings(c.taps() + 4)), c.dst.type(), c.name);
        EXPECT_TRUE(c.dst.guardsIntact()) << c.name;
    }
}

TEST(CpuSpatialNormalization, GradientAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("spatial normalization gradient");
    Random random(502);
    for (int i = 0; i < kCases; ++i) {
        Case c(random, i % 25 == 0 ? 5 : i % 25 == 1 ? 9 : 0);
        const auto& p = c.parameters;
        OpTensor expected = inDouble(c.diffSrc);
        runReference(ops::SpatialNormalizationGradient{c.src, c.diffDst, expected, c.window, p.alpha, p.beta,
                                                       p.delta});
        runCpu(ops::SpatialNormalizationGradient{c.src, c.diffDst, c.diffSrc, c.window, p.alpha, p.beta,
                                                 p.delta});
        // One rounding for each window over a pixel, and Clamp makes that all of them.
        const double length =
            p.roundings(c.taps() + 4, 1) + static_cast<double>(c.y.outputs * c.x.outputs) + 4;
        agreement.compare(c.diffSrc.values(), expected.values(), c.gradientMagnitudes(false),
                          static_cast<std::int64_t>(length), c.diffSrc.type(), c.name);
        EXPECT_TRUE(c.diffSrc.guardsIntact()) << c.name;
    }
}

/// What a local contrast has besides; the mean may count with any weight.
struct Contrast {
    double p0, pm, ps;
    explicit Contrast(Random& random)
        : p0(static_cast<float>(random.coin() ? 1 : random.uniform(-1, 2))),
          pm(static_cast<float>(random.coin() ? 0 : random.uniform(0, 1))),
          ps(static_cast<float>(random.coin() ? 1 : random.uniform(0.1, 2))) {}
};

TEST(CpuLocalContrastNormalization, ForwardAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("local contrast normalization forward");
    Random random(503);
    for (int i = 0; i < kCases; ++i) {
        Case c(random, i % 25 == 0 ? 5 : i % 25 == 1 ? 9 : 0);
        const auto& p = c.parameters;
        const Contrast t(random);
        OpTensor expected = inDouble(c.dst), scaled = expected;
        runReference(ops::LocalContrastNormalizationForward{c.src, expected, c.window, p.alpha, p.beta,
                                                            p.delta, t.p0, t.pm, t.ps});
        runCpu(ops::LocalContrastNormalizationForward{c.src, c.dst, c.window, p.alpha, p.beta, p.delta, t.p0,
                                                      t.pm, t.ps});
        runReference(ops::LocalContrastNormalizationForward{c.src, scaled, c.window, p.alpha, p.beta, p.delta,
                                                            t.p0, 0, t.ps});
        auto bounds = magnitudesOf(scaled.values());
        // Sums in double are off by less than 2^-46 of numbers up to 2, of which a distance may leave
        // nothing; T^-beta is at most 32. In units of float32 roundings that is 2^-22.
        const double cancelled = 0x1p-22 * 32 * t.ps * (2 + 2 * std::fabs(t.p0));
        for (double& bound : bounds) bound += std::fabs(t.pm) + cancelled;
        // Mean and variance come from sums in double: T has one rounding.
        agreement.compare(c.dst.values(), expected.values(), bounds,
                          static_cast<std::int64_t>(p.roundings(2)), c.dst.type(), c.name);
        EXPECT_TRUE(c.dst.guardsIntact()) << c.name;
    }
}

TEST(CpuLocalContrastNormalization, GradientAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("local contrast normalization gradient");
    Random random(504);
    for (int i = 0; i < kCases; ++i) {
        Case c(random, i % 25 == 0 ? 5 : i % 25 == 1 ? 9 : 0);
        const auto& p = c.parameters;
        const Contrast t(random);
        OpTensor expected = inDouble(c.diffSrc);
        runReference(ops::LocalContrastNormalizationGradient{c.src, c.diffDst, expected, c.window, p.alpha,
                                                             p.beta, p.delta, t.p0, t.pm, t.ps});
        runCpu(ops::LocalContrastNormalizationGradient{c.src, c.diffDst, c.diffSrc, c.window, p.alpha, p.beta,
                                                       p.delta, t.p0, t.pm, t.ps});
        const double length = p.roundings(2, 1) + static_cast<double>(c.y.outputs * c.x.outputs) + 6;
        agreement.compare(c.diffSrc.values(), expected.values(), c.gradientMagnitudes(true, t.p0, t.ps),
                          static_cast<std::int64_t>(length), c.diffSrc.type(), c.name);
        EXPECT_TRUE(c.diffSrc.guardsIntact()) << c.name;
    }
}

TEST(CpuLocalContrastNormalization, TheVarianceOfLargeNumbersDoesNotCancel) {
    PEWTER_NEEDS_CPU();
    // 4096 +- 1/4: in float32 the mean of the squares alone would be off by more than the variance of 1/16.
    OpTensor src(ops::Type::Float32, 1, 4, 4, 3), dst = src, expected = inDouble(src);
    for (std::int64_t i = 0; i < src.count(); ++i) src.set(i, 4096 + (i % 2 == 0 ? 0.25 : -0.25));
    const ops::Window window{2, 2, 1, 1, 1, 1, 0, 0, ops::Edge::Clamp};
    runReference(ops::LocalContrastNormalizationForward{src, expected, window, 1, 0.5, 0x1p-10, 1, 0, 1});
    runCpu(ops::LocalContrastNormalizationForward{src, dst, window, 1, 0.5, 0x1p-10, 1, 0, 1});
    for (std::int64_t i = 0; i < src.count(); ++i)
        EXPECT_NEAR(dst.at(i), expected.at(i), 0x1p-20 * std::fabs(expected.at(i))) << i;
}

TEST(CpuSpatialNormalization, AnInfinityStaysWithinItsWindows) {
    PEWTER_NEEDS_CPU();
    OpTensor src(ops::Type::Float32, 1, 9, 9, 5), dst = src, expected = src;
    src.fill(1);
    src.set(0, 1, 1, 2, std::numeric_limits<double>::infinity());
    const ops::Window window{3, 3, 1, 1, 1, 1, 1, 1, ops::Edge::Zero};
    runReference(ops::SpatialNormalizationForward{src, expected, window, 9, 1, 0});
    runCpu(ops::SpatialNormalizationForward{src, dst, window, 9, 1, 0});
    for (std::int64_t i = 0; i < src.count(); ++i) {
        if (std::isnan(expected.at(i)))
            EXPECT_TRUE(std::isnan(dst.at(i))) << i;
        else
            EXPECT_NEAR(dst.at(i), expected.at(i), 0x1p-20) << i;
    }
}

TEST(CpuCrossChannelNormalization, AgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement forward("cross-channel normalization forward"),
        backward("cross-channel normalization gradient");
    Random random(505);
    for (int i = 0; i < kCases; ++i) {
        const Parameters p(random);
        const std::int64_t n = random.integer(1, 3), h = random.integer(1, 9), w = random.integer(1, 9);
        const std::int64_t c = random.coin() ? random.integer(1, 20) : random.integer(60, 130);
        const std::int64_t size = random.integer(0, 3) == 0 ? random.integer(1, 40) : random.integer(1, 7);
        OpTensor src(drawImageType(random), n, h, w, c, drawLayout(random));
        OpTensor dst(src.type(), n, h, w, c, drawLayout(random));
        OpTensor diffDst(drawSignedType(random), n, h, w, c, drawLayout(random));
        OpTensor diffSrc(drawSignedType(random), n, h, w, c, drawLayout(random));
        src.fillUniform(random, -2, 2);
        diffDst.fillUniform(random, -1, 1);
        const std::string name = std::to_string(n) + " of " + std::to_string(h) + "x" + std::to_string(w) +
                                 "x" + std::to_string(c) + " size " + std::to_string(size) + " " +
                                 ops::nameOf(src.type()) + textOf(p);
        OpTensor expected = inDouble(dst), gradient = inDouble(diffSrc);
        runReference(ops::CrossChannelNormalizationForward{src, expected, size, p.alpha, p.beta, p.delta});
        runCpu(ops::CrossChannelNormalizationForward{src, dst, size, p.alpha, p.beta, p.delta});
        const double base = static_cast<double>(size) + 4;
        forward.compare(dst.values(), expected.values(), magnitudesOf(expected.values()),
                        static_cast<std::int64_t>(p.roundings(base)), dst.type(), name);
        EXPECT_TRUE(dst.guardsIntact()) << name;

        runReference(
            ops::CrossChannelNormalizationGradient{src, diffDst, gradient, size, p.alpha, p.beta, p.delta});
        runCpu(ops::CrossChannelNormalizationGradient{src, diffDst, diffSrc, size, p.alpha, p.beta, p.delta});
        // |g_k| L_k^-beta + (2 alpha |beta| / N) |x_k| sum of |g_r x_r| L_r^(-beta-1).
        std::vector<double> bounds(static_cast<std::size_t>(src.count()), 0.0);
        const auto x = src.values(), g = diffDst.values();
        for (std::size_t pixel = 0; pixel < bounds.size(); pixel += static_cast<std::size_t>(c))
            for (std::int64_t k = 0; k < c; ++k) {
                const auto at = pixel + static_cast<std::size_t>(k);
                const std::int64_t first = std::max<std::int64_t>(0, k - size / 2),
                                   last = std::min(c - 1, k + (size - 1) / 2);
                double sum = 0;
                for (std::int64_t q = first; q <= last; ++q)
                    sum += x[pixel + static_cast<std::size_t>(q)] * x[pixel + static_cast<std::size_t>(q)];
                const double l = p.delta + p.alpha / static_cast<double>(size) * sum;
                bounds[at] += std::fabs(g[at]) * std::pow(l, -p.beta);
                for (std::int64_t q = first; q <= last; ++q)
                    bounds[pixel + static_cast<std::size_t>(q)] +=
                        2 * p.alpha * std::fabs(p.beta) / static_cast<double>(size) *
                        std::fabs(x[pixel + static_cast<std::size_t>(q)] * g[at] * x[at]) *
                        std::pow(l, -p.beta - 1);
            }
        backward.compare(diffSrc.values(), gradient.values(), bounds,
                         static_cast<std::int64_t>(p.roundings(base, 1) + base + 4), diffSrc.type(), name);
        EXPECT_TRUE(diffSrc.guardsIntact()) << name;
    }
}

/// A result lies where an operand does.
TEST(CpuCrossChannelNormalization, WorksInPlace) {
    PEWTER_NEEDS_CPU();
    Random random(506);
    for (const std::int64_t channels : {11, 32, 33, 50}) {
        OpTensor src(ops::Type::Float32, 2, 5, 7, channels), diffDst = src;
        src.fillUniform(random, -2, 2);
        diffDst.fillUniform(random, -1, 1);
        OpTensor apart = src, inPlace = src, gradientApart = src, gradient = diffDst;
        runCpu(ops::CrossChannelNormalizationForward{src, apart, 5, 1, 0.75, 1});
        runCpu(ops::CrossChannelNormalizationForward{inPlace, inPlace, 5, 1, 0.75, 1});
        EXPECT_EQ(inPlace.values(), apart.values()) << channels;
        runCpu(ops::CrossChannelNormalizationGradient{src, diffDst, gradientApart, 5, 1, 0.75, 1});
        runCpu(ops::CrossChannelNormalizationGradient{src, gradient, gradient, 5, 1, 0.75, 1});
        EXPECT_EQ(gradient.values(), gradientApart.values()) << channels;
    }
}

}  // namespace
}  // namespace pewter::test
