#include <gtest/gtest.h>

#include <limits>

#include "Compare.h"
#include "CpuDraw.h"
#include "RunCpu.h"
#include "RunReference.h"
#include "Tolerance.h"

namespace pewter::test {
namespace {

TEST(CpuGridSample, AgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("grid sample");
    Random random(141);
    for (int i = 0; i < 300; ++i) {
        const std::int64_t n = random.integer(1, 3), h = random.integer(1, 12), w = random.integer(1, 12);
        const std::int64_t c = random.coin() ? random.integer(1, 6) : random.integer(15, 40);
        const std::int64_t outH = random.integer(1, 10), outW = random.integer(1, 10);
        OpTensor src(drawImageType(random), n, h, w, c, drawLayout(random));
        OpTensor grid(drawSignedType(random), n, outH, outW, 2, drawLayout(random));
        OpTensor dst(random.coin() ? src.type() : drawImageType(random), n, outH, outW, c,
                     drawLayout(random));
        src.fillUniform(random, -1, 1);
        dst.fillUniform(random, -1, 1);
        const bool relative = random.coin();
        // Every third grid lies on pixel centres.
        if (i % 3 == 0)
            grid.fillIntegers(random, -3, 12);
        else
            grid.fillUniform(random, -3, relative ? 3 : static_cast<double>(std::max(w, h)) + 2);
        const ops::GridSample op{src,
                                 grid,
                                 dst,
                                 static_cast<double>(random.integer(-2, 2)),
                                 static_cast<double>(random.integer(-2, 2)),
                                 relative,
                                 random.coin() ? ops::Edge::Zero : ops::Edge::Clamp};
        OpTensor expected = inDouble(dst), bound = expected;
        const OpTensor sizes = magnitudes(src);
        auto oracle = op, magnitude = op;
        oracle.dst = expected;
        magnitude.dst = bound;
        magnitude.src = sizes;
        runReference(oracle);
        runReference(magnitude);
        runCpu(op);
        std::ostringstream name;
        name << "n" << n << " " << h << "x" << w << " to " << outH << "x" << outW << " channels " << c << " "
             << ops::nameOf(src.type()) << (relative ? " relative" : "")
             << (op.edge == ops::Edge::Clamp ? " clamp" : " zero");
        agreement.compare(dst.values(), expected.values(), bound.values(), 4, dst.type(), name.str());
        EXPECT_TRUE(dst.guardsIntact()) << name.str();
    }
}

TEST(CpuGridSample, OddPositionsReadWhatTheOracleReads) {
    PEWTER_NEEDS_CPU();
    const double nan = std::numeric_limits<double>::quiet_NaN(), inf = HUGE_VAL;
    const double places[] = {nan, inf, -inf, 1e30, -1e30, -1, -0.5, 2, 2.5, 3, 0};
    for (const auto edge : {ops::Edge::Zero, ops::Edge::Clamp})
        for (const std::int64_t channels : {1, 17}) {
            OpTensor src(ops::Type::Float32, 1, 3, 3, channels), grid(ops::Type::Float32, 1, 11, 11, 2);
            Random random(142);
            src.fillIntegers(random, -9, 9);
            for (std::int64_t y = 0; y < 11; ++y)
                for (std::int64_t x = 0; x < 11; ++x) {
                    grid.set(0, y, x, 0, places[x]);
                    grid.set(0, y, x, 1, places[y]);
                }
            OpTensor dst(ops::Type::Float32, 1, 11, 11, channels), expected = dst;
            runReference(ops::GridSample{src, grid, expected, 0, 0, false, edge});
            runCpu(ops::GridSample{src, grid, dst, 0, 0, false, edge});
            EXPECT_TRUE(allNear(dst.values(), expected.values(), 0));
        }
}

/// Results of 8 MiB and more go past the caches where pixels are whole registers.
TEST(CpuGridSample, ResultsLargerThanTheCachesAreExactOnWholePositions) {
    PEWTER_NEEDS_CPU();
    Random random(143);
    for (const std::int64_t channels : {16, 17}) {
        OpTensor src(ops::Type::Float32, 1, 20, 30, channels), grid(ops::Type::Float32, 1, 330, 400, 2);
        OpTensor dst(ops::Type::Float32, 1, 330, 400, channels), expected = dst;
        ASSERT_GE(dst.count(), std::int64_t{2} << 20);
        src.fillIntegers(random, -99, 99);
        grid.fillIntegers(random, -2, 31);
        runReference(ops::GridSample{src, grid, expected, 0, 0, false, ops::Edge::Zero});
        runCpu(ops::GridSample{src, grid, dst, 0, 0, false, ops::Edge::Zero});
        EXPECT_EQ(dst.values(), expected.values()) << channels;
        EXPECT_TRUE(dst.guardsIntact()) << channels;
    }
}

}  // namespace
}  // namespace pewter::test
