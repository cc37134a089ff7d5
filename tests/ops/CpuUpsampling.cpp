#include <gtest/gtest.h>

#include "CpuDraw.h"
#include "RunCpu.h"
#include "RunReference.h"
#include "Tolerance.h"

namespace pewter::test {
namespace {

constexpr int kShapes = 300;

ops::ResampleAxis drawAxis(Random& random, std::int64_t source, std::int64_t outputs) {
    const auto n = static_cast<double>(source), all = static_cast<double>(outputs);
    switch (random.integer(0, 3)) {
        case 0:
            return {0, n, all};
        case 1:
            return {0, outputs > 1 ? n - 1 : 0, outputs > 1 ? all - 1 : 1};
        case 2:
            return {static_cast<double>(random.integer(-3, 3)), 1, static_cast<double>(random.integer(1, 4))};
        default:
            return {random.uniform(-n, 2 * n), random.uniform(0, 2 * n), all};
    }
}

std::int64_t drawChannels(Random& random) {
    switch (random.integer(0, 2)) {
        case 0:
            return random.integer(1, 4);
        case 1:
            return random.integer(5, 24);
        default:
            return random.integer(60, 70);
    }
}

struct Case {
    std::int64_t n, h, w, c, outH, outW;
    std::vector<ops::ResampleView> views;
    bool zeroOutside;
    std::string name;

    Case(Random& random, std::int64_t mostViews)
        : n(random.integer(1, 3)),
          h(random.integer(1, 12)),
          w(random.integer(1, 12)),
          c(drawChannels(random)),
          outH(random.integer(1, 16)),
          outW(random.integer(1, 16)),
          views(static_cast<std::size_t>(random.integer(1, mostViews))),
          zeroOutside(mostViews > 1 && random.coin()) {
        for (auto& view : views) {
            view = {drawAxis(random, w, outW), drawAxis(random, h, outH)};
            if (mostViews > 1 && random.integer(0, 4) == 0) view.x.numerator = -view.x.numerator;
        }
        std::ostringstream text;
        text << "n" << n << " " << h << "x" << w << " to " << outH << "x" << outW << " channels " << c
             << " views " << views.size() << (zeroOutside ? " zero" : "") << " x " << views[0].x.first
             << "+i*" << views[0].x.numerator << "/" << views[0].x.denominator;
        name = text.str();
    }
};

void forward(ops::ResampleType type, const char* family, std::uint64_t seed) {
    Agreement agreement(family);
    Random random(seed);
    for (int i = 0; i < kShapes; ++i) {
        const Case c(random, i % 3 == 0 ? 4 : 1);
        const auto count = static_cast<std::int64_t>(c.views.size());
        OpTensor src(drawImageType(random), c.n, c.h, c.w, c.c, drawLayout(random));
        OpTensor dst(random.coin() ? src.type() : drawImageType(random), c.n * count, c.outH, c.outW, c.c,
                     drawLayout(random));
        src.fillUniform(random, -1, 1);
        dst.fillUniform(random, -1, 1);
        OpTensor expected = inDouble(dst), bound = expected;
        runReference(ops::ResampleForward{type, src, expected, c.views.data(), count, c.zeroOutside});
        runReference(
            ops::ResampleForward{type, magnitudes(src), bound, c.views.data(), count, c.zeroOutside});
        runCpu(ops::ResampleForward{type, src, dst, c.views.data(), count, c.zeroOutside});
        agreement.compare(dst.values(), expected.values(), bound.values(),
                          type == ops::ResampleType::Nearest ? 1 : 4, dst.type(),
                          c.name + " " + ops::nameOf(src.type()));
        EXPECT_TRUE(dst.guardsIntact()) << c.name;
    }
}

/// The most outputs that read one pixel of an axis.
std::int64_t mostReaders(const ops::ResampleAxis& axis, ops::ResampleType type, std::int64_t extent,
                         std::int64_t outputs) {
    std::vector<std::int64_t> readers(static_cast<std::size_t>(extent));
    for (std::int64_t i = 0; i < outputs; ++i) {
        const auto tap = resampleTap(axis, type, false, extent, i);
        ++readers[static_cast<std::size_t>(tap.a)];
        if (tap.fraction != 0) ++readers[static_cast<std::size_t>(tap.b)];
    }
    return *std::max_element(readers.begin(), readers.end());
}

void gradient(ops::ResampleType type, const char* family, std::uint64_t seed) {
    Agreement agreement(family);
    Random random(seed);
    for (int i = 0; i < kShapes; ++i) {
        const Case c(random, 1);
        OpTensor diffDst(drawSignedType(random), c.n, c.outH, c.outW, c.c, drawLayout(random));
        OpTensor diffSrc(drawSignedType(random), c.n, c.h, c.w, c.c, drawLayout(random));
        diffDst.fillUniform(random, -1, 1);
        diffSrc.fillUniform(random, -1, 1);
        OpTensor expected = inDouble(diffSrc), bound = expected;
        runReference(ops::ResampleGradient{type, diffDst, expected, c.views[0]});
        runReference(ops::ResampleGradient{type, magnitudes(diffDst), bound, c.views[0]});
        runCpu(ops::ResampleGradient{type, diffDst, diffSrc, c.views[0]});
        agreement.compare(
            diffSrc.values(), expected.values(), bound.values(),
            mostReaders(c.views[0].x, type, c.w, c.outW) + mostReaders(c.views[0].y, type, c.h, c.outH),
            diffSrc.type(), c.name);
        EXPECT_TRUE(diffSrc.guardsIntact()) << c.name;
    }
}

TEST(CpuUpsampling, NearestAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    forward(ops::ResampleType::Nearest, "nearest resampling forward", 131);
}

TEST(CpuUpsampling, BilinearAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    forward(ops::ResampleType::Bilinear, "bilinear resampling forward", 132);
}

TEST(CpuUpsampling, NearestGradientAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    gradient(ops::ResampleType::Nearest, "nearest resampling gradient", 133);
}

TEST(CpuUpsampling, BilinearGradientAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    gradient(ops::ResampleType::Bilinear, "bilinear resampling gradient", 134);
}

/// Rows and lines are shared out among threads: large images of few and of many channels.
TEST(CpuUpsampling, LargeImagesAreExactOnWholeNumbers) {
    PEWTER_NEEDS_CPU();
    Random random(135);
    for (const std::int64_t channels : {1, 3, 16, 40}) {
        const ops::ResampleView view{{0, 1, 2}, {0, 1, 2}};
        OpTensor src(ops::Type::Float32, 2, 40, 37, channels), dst(ops::Type::Float32, 2, 80, 74, channels);
        src.fillIntegers(random, -64, 64);
        OpTensor expected = dst, diffSrc = src, diffExpected = src;
        for (const auto type : {ops::ResampleType::Nearest, ops::ResampleType::Bilinear}) {
            runReference(ops::ResampleForward{type, src, expected, &view, 1, false});
            runCpu(ops::ResampleForward{type, src, dst, &view, 1, false});
            EXPECT_EQ(dst.values(), expected.values()) << channels;
            runReference(ops::ResampleGradient{type, expected, diffExpected, view});
            runCpu(ops::ResampleGradient{type, expected, diffSrc, view});
            EXPECT_EQ(diffSrc.values(), diffExpected.values()) << channels;
        }
    }
}

/// Results of 8 MiB and more go past the caches; rows that do not begin at a whole register take part.
TEST(CpuUpsampling, ResultsLargerThanTheCachesAreExactToo) {
    PEWTER_NEEDS_CPU();
    Random random(136);
    for (const std::int64_t channels : {3, 16}) {
        const std::int64_t width = channels == 3 ? 841 : 181, height = channels == 3 ? 211 : 183;
        OpTensor src(ops::Type::Float32, 1, height, width, channels);
        OpTensor dst(ops::Type::Float32, 1, 2 * height, 2 * width, channels);
        ASSERT_GE(dst.count(), std::int64_t{2} << 20);
        src.fillIntegers(random, -64, 64);
        OpTensor expected = dst;
        const ops::ResampleView view{{0, 1, 2}, {0, 1, 2}};
        for (const auto type : {ops::ResampleType::Nearest, ops::ResampleType::Bilinear}) {
            runReference(ops::ResampleForward{type, src, expected, &view, 1, false});
            runCpu(ops::ResampleForward{type, src, dst, &view, 1, false});
            EXPECT_EQ(dst.values(), expected.values()) << channels;
            EXPECT_TRUE(dst.guardsIntact()) << channels;
        }
    }
}

}  // namespace
}  // namespace pewter::test
