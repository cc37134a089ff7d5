// Dropout of the cpu device: the same masks as the oracle, bit for bit.

#include "CpuPointwise.h"
#include "ops/Random.h"

namespace pewter::test {
namespace {

class CpuDropout : public CpuOps {};

TEST_F(CpuDropout, MasksAreThoseOfReference) {
    Random random(501);
    Comparison worst("DropoutForward");
    for (int i = 0; i < kCases; ++i) {
        const Shape shape = drawShape(random);
        const OpTensor src = drawTensor(random, shape, -2, 2);
        const auto some = [&](std::int64_t extent) { return random.integer(0, 3) ? extent : 1; };
        OpTensor mask(ops::Type::UInt8, shape.n, some(shape.h), some(shape.w), some(shape.c)), mask2 = mask;
        OpTensor dst = drawTensor(random, shape), expected = dst;
        const auto keep = static_cast<float>(random.uniform(0.05, 0.95));
        const auto seed = static_cast<std::uint64_t>(random.integer(0, 1ll << 62));
        const auto sequence = static_cast<std::uint64_t>(random.integer(0, 1ll << 40));
        run(ops::DropoutForward{src, dst, mask, keep, seed, sequence});
        runReference(ops::DropoutForward{src, expected, mask2, keep, seed, sequence});
        ASSERT_EQ(mask.values(), mask2.values()) << describe(mask);
        ASSERT_TRUE(mask.guardsIntact());
        const std::vector<double> values = expected.values();
        worst.check(dst, expected, describe(src) + " mask " + describe(mask),
                    [&](std::size_t k) { return kEpsilon * std::fabs(values[k]); });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuDropout, ResultsThatGoPastTheCachesAreThoseOfReference) {
    // More than four million elements; images whose results begin with a cache line, and images that do not.
    Random random(503);
    for (const std::int64_t channels : {64, 67}) {
        OpTensor src(ops::Type::Float32, 5, 128, 104, channels), dst = src, expected = src;
        src.fillIntegers(random, -4, 4);
        OpTensor mask(ops::Type::UInt8, 5, 128, 104, channels), mask2 = mask;
        run(ops::DropoutForward{src, dst, mask, 0.25f, 7, 3});
        runReference(ops::DropoutForward{src, expected, mask2, 0.25f, 7, 3});
        ASSERT_TRUE(mask.values() == mask2.values()) << describe(mask);
        ASSERT_TRUE(dst.values() == expected.values()) << describe(dst);
        ASSERT_TRUE(mask.guardsIntact() && dst.guardsIntact());
    }
}

TEST_F(CpuDropout, GradientShiftsTheMaskLikeReference) {
    Random random(502);
    Comparison worst("DropoutGradient");
    for (int i = 0; i < kCases; ++i) {
        const Shape shape = drawShape(random);
        const OpTensor diffDst = drawTensor(random, shape, -2, 2);
        const auto some = [&](std::int64_t extent) {
            return random.integer(0, 3) == 0 ? 1 : std::max<std::int64_t>(1, extent + random.integer(-2, 2));
        };
        OpTensor mask(ops::Type::UInt8, shape.n, some(shape.h), some(shape.w), random.coin() ? shape.c : 1);
        mask.fillIntegers(random, 0, 1);
        const auto keep = static_cast<float>(random.uniform(0.05, 0.95));
        // Wider than the mask nothing is left to check; a mask narrower than the image without an offset is
        // one too.
        const std::int64_t x = random.integer(-3, 3), y = random.integer(-3, 3);
        OpTensor diffSrc = drawTensor(random, shape), expected = diffSrc;
        diffSrc.fill(1);
        run(ops::DropoutGradient{diffDst, mask, diffSrc, keep, x, y});
        runReference(ops::DropoutGradient{diffDst, mask, expected, keep, x, y});
        const std::vector<double> values = expected.values();
        const std::string what = describe(diffDst) + " mask " + describe(mask) + " offset " +
                                 std::to_string(x) + "," + std::to_string(y);
        worst.check(diffSrc, expected, what, [&](std::size_t k) { return kEpsilon * std::fabs(values[k]); });
        OpTensor inPlace = diffDst, apart = diffDst;
        run(ops::DropoutGradient{inPlace, mask, inPlace, keep, x, y});
        run(ops::DropoutGradient{diffDst, mask, apart, keep, x, y});
        ASSERT_EQ(inPlace.values(), apart.values()) << what;
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuDropout, TheMaskIsTheStreamOfUniformNumbers) {
    OpTensor src(ops::Type::Float32, 2, 3, 5, 7), dst = src, mask(ops::Type::UInt8, 2, 3, 5, 7);
    src.fill(1);
    run(ops::DropoutForward{src, dst, mask, 0.25f, 77, 3});
    for (std::int64_t n = 0; n < 2; ++n)
        for (std::int64_t i = 0; i < 105; ++i) {
            const bool kept =
                ops::uniform(77, 3, static_cast<std::uint32_t>(n), static_cast<std::uint64_t>(i)) < 0.25f;
            EXPECT_EQ(mask.at(n * 105 + i), kept ? 1 : 0);
            EXPECT_EQ(dst.at(n * 105 + i), kept ? 4 : 0);
        }
}

}  // namespace
}  // namespace pewter::test
