// Gram matrices and local correlations on the cpu device against the oracle.

#include <gtest/gtest.h>

#include "CpuDraw.h"
#include "RunCpu.h"
#include "RunReference.h"
#include "Tolerance.h"

namespace pewter::test {
namespace {

constexpr int kCases = 220;

TEST(CpuGramMatrix, AgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement forward("Gram matrix forward"), backward("Gram matrix gradient");
    Random random(601);
    for (int i = 0; i < kCases; ++i) {
        const std::int64_t n = random.integer(1, 3), h = random.integer(1, 11), w = random.integer(1, 11);
        const std::int64_t c = random.coin() ? random.integer(1, 20) : random.integer(30, 70);
        const double alpha = static_cast<float>(random.coin() ? 1 : random.uniform(-2, 2));
        OpTensor src(drawImageType(random), n, h, w, c, drawLayout(random));
        OpTensor dst(drawSignedType(random), n, 1, c, c, drawLayout(random));
        OpTensor diffDst(drawSignedType(random), n, 1, c, c, drawLayout(random));
        OpTensor diffSrc(drawSignedType(random), n, h, w, c, drawLayout(random));
        src.fillUniform(random, -1, 1);
        diffDst.fillUniform(random, -1, 1);
        const std::string name = std::to_string(n) + " of " + std::to_string(h) + "x" + std::to_string(w) +
                                 "x" + std::to_string(c) + " " + ops::nameOf(src.type());
        OpTensor expected = inDouble(dst), bound = expected;
        runReference(ops::GramMatrixForward{src, expected, alpha});
        runReference(ops::GramMatrixForward{magnitudes(src), bound, std::fabs(alpha)});
        runCpu(ops::GramMatrixForward{src, dst, alpha});
        forward.compare(dst.values(), expected.values(), bound.values(), h * w, dst.type(), name);
        EXPECT_TRUE(dst.guardsIntact()) << name;

        OpTensor gradient = inDouble(diffSrc), gradientBound = gradient;
        runReference(ops::GramMatrixGradient{src, diffDst, gradient, alpha});
        runReference(
            ops::GramMatrixGradient{magnitudes(src), magnitudes(diffDst), gradientBound, std::fabs(alpha)});
        runCpu(ops::GramMatrixGradient{src, diffDst, diffSrc, alpha});
        backward.compare(diffSrc.values(), gradient.values(), gradientBound.values(), c + 1, diffSrc.type(),
                         name);
        EXPECT_TRUE(diffSrc.guardsIntact()) << name;
    }
}

TEST(CpuLocalCorrelation, AgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("local correlation");
    Random random(602);
    for (int i = 0; i < kCases; ++i) {
        ops::LocalCorrelation op;
        op.windowX = random.integer(0, 4), op.windowY = random.integer(0, 3);
        op.strideX = random.integer(1, 3), op.strideY = random.integer(1, 3);
        op.offsetX = random.integer(-4, 4), op.offsetY = random.integer(-4, 4);
        op.edge = random.coin() ? ops::Edge::Zero : ops::Edge::Clamp;
        // Both ways of the device: few channels and many; rows shorter and longer than a tile.
        const std::int64_t n = random.integer(1, 2), h = random.integer(1, 5),
                           w = random.integer(0, 4) == 0 ? random.integer(120, 150) : random.integer(1, 20),
                           c = random.coin() ? random.integer(1, 31) : random.integer(32, 70);
        const std::int64_t shifts = (2 * op.windowX + 1) * (2 * op.windowY + 1);
        OpTensor a(drawImageType(random), n, h, w, c, drawLayout(random));
        OpTensor b(drawImageType(random), n, random.integer(1, 7), random.integer(1, 20), c,
                   drawLayout(random));
        OpTensor dst(drawSignedType(random), n, h, w, shifts, drawLayout(random));
        a.fillUniform(random, -1, 1);
        b.fillUniform(random, -1, 1);
        const std::string name = std::to_string(n) + " of " + std::to_string(h) + "x" + std::to_string(w) +
                                 "x" + std::to_string(c) + " window " + std::to_string(op.windowX) + "," +
                                 std::to_string(op.windowY) + " stride " + std::to_string(op.strideX) + "," +
                                 std::to_string(op.strideY);
        OpTensor expected = inDouble(dst), bound = expected;
        const OpTensor sizeA = magnitudes(a), sizeB = magnitudes(b);
        op.primary = sizeA, op.secondary = sizeB, op.dst = bound;
        runReference(op);
        op.primary = a, op.secondary = b, op.dst = expected;
        runReference(op);
        op.dst = dst;
        runCpu(op);
        agreement.compare(dst.values(), expected.values(), bound.values(), c, dst.type(), name);
        EXPECT_TRUE(dst.guardsIntact()) << name;
    }
}

/// Compares a correlation of two images of small whole numbers with the oracle, number by number.
void expectExact(ops::LocalCorrelation op, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) {
    Random random(603);
    const std::int64_t shifts = (2 * op.windowX + 1) * (2 * op.windowY + 1);
    OpTensor a(ops::Type::Float32, n, h, w, c), b = a, dst(ops::Type::Float32, n, h, w, shifts), expected = dst;
    a.fillIntegers(random, -4, 4);
    b.fillIntegers(random, -4, 4);
    op.primary = a, op.secondary = b, op.dst = expected;
    runReference(op);
    op.dst = dst;
    runCpu(op);
    EXPECT_EQ(dst.values(), expected.values()) << h << "x" << w << "x" << c << " strides " << op.strideX;
    EXPECT_TRUE(dst.guardsIntact());
}

ops::LocalCorrelation windows(std::int64_t x, std::int64_t y, std::int64_t strideX = 1, std::int64_t strideY = 1) {
    ops::LocalCorrelation op;
    op.windowX = x, op.windowY = y, op.strideX = strideX, op.strideY = strideY;
    return op;
}

TEST(CpuLocalCorrelation, IntegersAreExact) {
    PEWTER_NEEDS_CPU();
    for (const std::int64_t c : {3, 40}) expectExact(windows(3, 2), 2, 5, 9, c);
}

/// More shifts side by side than are computed together, and more pixels than lie in a register.
TEST(CpuLocalCorrelation, WideWindowsAreExact) {
    PEWTER_NEEDS_CPU();
    for (const std::int64_t c : {1, 16, 31, 33, 64})
        for (const std::int64_t stride : {1, 2, 3}) expectExact(windows(8, 1, stride, stride), 1, 4, 53, c);
}

/// Results of 8 MiB and more go past the caches.
TEST(CpuLocalCorrelation, ResultsLargerThanTheCachesAreExact) {
    PEWTER_NEEDS_CPU();
    expectExact(windows(3, 3), 1, 210, 209, 2);
}

}  // namespace
}  // namespace pewter::test
