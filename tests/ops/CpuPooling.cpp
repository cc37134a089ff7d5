#include <gtest/gtest.h>

#include <limits>
#include <utility>

#include "CpuDraw.h"
#include "RunCpu.h"
#include "RunReference.h"
#include "Tolerance.h"

namespace pewter::test {
namespace {

constexpr int kShapes = 300;

/// A pooling with its operands. Small integers make many ties, so that the tie rule is seen; sums of them are
/// exact.
struct Case {
    ops::PoolingType type;
    std::int64_t n, channels, zeroPadX, zeroPadY;
    DrawnAxis y, x;
    ops::Window window;
    OpTensor src, dst, diffDst, diffSrc;
    std::string name;

    Case(Random& random, ops::PoolingType pooling)
        : type(pooling),
          n(random.integer(1, 4)),
          channels(random.coin() ? random.integer(1, 20) : random.integer(60, 70)),
          zeroPadX(random.integer(0, 2)),
          zeroPadY(random.integer(0, 2)),
          y(random, 12, 4, pooling == ops::PoolingType::Max ? 3 : 1),
          x(random, 12, 4, pooling == ops::PoolingType::Max ? 3 : 1) {
        if (random.integer(0, 2) == 0) {  // the pooling of most networks: windows side by side
            y.taps = y.stride = x.taps = x.stride = 2;
            y.dilation = x.dilation = 1;
            y.pad = x.pad = 0;
            y.outputs = std::max<std::int64_t>(1, y.source / 2);
            x.outputs = std::max<std::int64_t>(1, x.source / 2);
        }
        window = windowOf(y, x, random.coin() ? ops::Edge::Zero : ops::Edge::Clamp);
        src = OpTensor(drawImageType(random), n, y.source, x.source, channels, drawLayout(random));
        dst = OpTensor(src.type(), n, y.outputs, x.outputs, channels, drawLayout(random));
        diffDst = OpTensor(drawSignedType(random), n, y.outputs, x.outputs, channels, drawLayout(random));
        diffSrc = OpTensor(drawSignedType(random), n, y.source, x.source, channels, drawLayout(random));
        if (random.coin())
            src.fillUniform(random, -1, 1);
        else
            src.fillIntegers(random, -2, 1);
        diffDst.fillUniform(random, -1, 1);
        diffSrc.fillUniform(random, -1, 1);
        name = describe(window, n, y, x) + " channels " + std::to_string(channels) + " " +
               ops::nameOf(src.type());
    }
};

/// The sum of magnitudes behind each value of a gradient.
std::vector<double> bounds(const Case& c, const OpTensor& like) {
    OpTensor out = inDouble(like);
    const bool norm = c.type == ops::PoolingType::L2Norm;  // whose gradient is a product with the source
    runReference(ops::PoolingGradient{c.type, norm ? magnitudes(c.src) : c.src, magnitudes(c.diffDst), out,
                                      c.window, c.zeroPadX, c.zeroPadY});
    return out.values();
}

void forward(ops::PoolingType type, const char* family, std::uint64_t seed) {
    Agreement agreement(family);
    Random random(seed);
    for (int i = 0; i < kShapes; ++i) {
        Case c(random, type);
        OpTensor expected = inDouble(c.dst), bound = expected;
        runReference(ops::PoolingForward{type, c.src, expected, c.window, c.zeroPadX, c.zeroPadY});
        runReference(ops::PoolingForward{type, magnitudes(c.src), bound, c.window, c.zeroPadX, c.zeroPadY});
        runCpu(ops::PoolingForward{type, c.src, c.dst, c.window, c.zeroPadX, c.zeroPadY});
        if (type == ops::PoolingType::Max)
            agreement.compareExactly(c.dst.values(), expected.values(), c.name);
        else
            agreement.compare(c.dst.values(), expected.values(), bound.values(),
                              c.window.width * c.window.height, c.dst.type(), c.name);
        EXPECT_TRUE(c.dst.guardsIntact()) << c.name;
    }
}

void gradient(ops::PoolingType type, const char* family, std::uint64_t seed) {
    Agreement agreement(family);
    Random random(seed);
    for (int i = 0; i < kShapes; ++i) {
        Case c(random, type);
        OpTensor expected = inDouble(c.diffSrc);
        runReference(
            ops::PoolingGradient{type, c.src, c.diffDst, expected, c.window, c.zeroPadX, c.zeroPadY});
        runCpu(ops::PoolingGradient{type, c.src, c.diffDst, c.diffSrc, c.window, c.zeroPadX, c.zeroPadY});
        agreement.compare(c.diffSrc.values(), expected.values(), bounds(c, c.diffSrc),
                          c.y.outputs * c.x.outputs, c.diffSrc.type(), c.name);
        EXPECT_TRUE(c.diffSrc.guardsIntact()) << c.name;
    }
}

TEST(CpuPooling, MaximumIsExact) {
    PEWTER_NEEDS_CPU();
    forward(ops::PoolingType::Max, "max pooling forward", 121);
}

TEST(CpuPooling, MaximumGradientAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    gradient(ops::PoolingType::Max, "max pooling gradient", 122);
}

TEST(CpuPooling, AMaximumGradientThatGoesPastTheCachesIsExact) {
    PEWTER_NEEDS_CPU();
    // More than two million elements; channels in whole registers and not, windows that cover the source and not.
    Random random(127);
    const ops::Window window{2, 2, 2, 2, 1, 1, 0, 0, ops::Edge::Zero};
    const std::pair<std::int64_t, std::int64_t> cases[] = {{16, 256}, {16, 257}, {24, 210}};
    for (const auto& [channels, size] : cases) {
        const std::int64_t n = 2;
        OpTensor src(ops::Type::Float32, n, size, size, channels), expected = src;
        // Where a line of the cache begins, if memory of that size begins as before.
        Layout aligned;
        aligned.before = (64 - reinterpret_cast<std::intptr_t>(ops::Tensor(src).data) % 64) / 4 % 16;
        OpTensor diffSrc(ops::Type::Float32, n, size, size, channels, aligned);
        OpTensor diffDst(ops::Type::Float32, n, size / 2, size / 2, channels);
        ASSERT_GE(ops::Tensor(src).count(), 2 << 20);
        src.fillIntegers(random, -2, 1);
        diffDst.fillIntegers(random, -9, 9);
        diffSrc.fill(77);
        runCpu(ops::PoolingGradient{ops::PoolingType::Max, src, diffDst, diffSrc, window, 0, 0});
        runReference(ops::PoolingGradient{ops::PoolingType::Max, src, diffDst, expected, window, 0, 0});
        ASSERT_TRUE(diffSrc.values() == expected.values()) << channels << " channels, " << size;
        EXPECT_TRUE(diffSrc.guardsIntact());
    }
}

TEST(CpuPooling, AverageAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    forward(ops::PoolingType::Average, "average pooling forward", 123);
}

TEST(CpuPooling, AverageGradientAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    gradient(ops::PoolingType::Average, "average pooling gradient", 124);
}

TEST(CpuPooling, NormAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    forward(ops::PoolingType::L2Norm, "L2-norm pooling forward", 125);
}

TEST(CpuPooling, NormGradientAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    gradient(ops::PoolingType::L2Norm, "L2-norm pooling gradient", 126);
}

TEST(CpuPooling, AWindowOfZerosHasNormAndGradientZero) {
    PEWTER_NEEDS_CPU();
    OpTensor src(ops::Type::Float32, 1, 2, 4, 17), dst(ops::Type::Float32, 1, 1, 2, 17);
    OpTensor diffDst = dst, diffSrc = src;
    for (std::int64_t c = 0; c < 17; ++c) src.set(0, 0, 3, c, 2), src.set(0, 1, 2, c, std::nan(""));
    diffDst.fill(5);
    diffSrc.fill(99);
    const ops::Window window{2, 2, 2, 2, 1, 1, 0, 0, ops::Edge::Zero};
    runCpu(ops::PoolingForward{ops::PoolingType::L2Norm, src, dst, window, 0, 0});
    runCpu(ops::PoolingGradient{ops::PoolingType::L2Norm, src, diffDst, diffSrc, window, 0, 0});
    for (std::int64_t c = 0; c < 17; ++c) {
        EXPECT_EQ(dst.at(0, 0, 0, c), 0);
        EXPECT_EQ(diffSrc.at(0, 1, 1, c), 0);
        EXPECT_TRUE(std::isnan(dst.at(0, 0, 1, c)));
        EXPECT_TRUE(std::isnan(diffSrc.at(0, 0, 3, c)));
    }
}

/// Both code paths: windows side by side, and windows that overlap.
TEST(CpuPooling, TheFirstNaNOfAWindowWinsAndTakesTheGradient) {
    PEWTER_NEEDS_CPU();
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (const std::int64_t taps : {2, 3}) {
        const std::int64_t size = taps + 1;
        for (std::int64_t place = 0; place < taps * taps; ++place) {
            OpTensor src(ops::Type::Float32, 1, size, size, 17), dst(ops::Type::Float32, 1, 1, 1, 17);
            OpTensor diffDst(ops::Type::Float32, 1, 1, 1, 17), diffSrc(ops::Type::Float32, 1, size, size, 17);
            src.fill(std::numeric_limits<double>::infinity());
            diffDst.fill(3);
            for (std::int64_t later = place; later < taps * taps; ++later)
                for (std::int64_t c = 0; c < 17; ++c) src.set(0, later / taps, later % taps, c, nan);
            const ops::Window window{taps, taps, taps - (taps == 3), taps - (taps == 3), 1, 1,
                                     0,    0,    ops::Edge::Zero};
            runCpu(ops::PoolingForward{ops::PoolingType::Max, src, dst, window, 0, 0});
            runCpu(ops::PoolingGradient{ops::PoolingType::Max, src, diffDst, diffSrc, window, 0, 0});
            OpTensor expected(ops::Type::Float32, 1, size, size, 17);
            for (std::int64_t c = 0; c < 17; ++c) {
                EXPECT_TRUE(std::isnan(dst.at(0, 0, 0, c)));
                expected.set(0, place / taps, place % taps, c, 3);
            }
            EXPECT_EQ(diffSrc.values(), expected.values()) << taps << " taps, NaN at " << place;
        }
    }
}

}  // namespace
}  // namespace pewter::test
