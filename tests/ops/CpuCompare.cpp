// Comparisons of the cpu device against the oracle: the same bits, thresholds met exactly included.

#include <limits>

#include "CpuPointwise.h"

namespace pewter::test {
namespace {

class CpuCompare : public CpuOps {};

TEST_F(CpuCompare, EveryComparisonIsThatOfReferenceUnderBroadcasting) {
    Random random(721);
    const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = HUGE_VAL;
    std::int64_t ones = 0, all = 0;
    for (int i = 0; i < 2 * kCases; ++i) {
        const Shape s = drawShape(random);
        const auto some = [&](std::int64_t extent) { return random.integer(0, 2) ? extent : 1; };
        const Shape b = random.coin() ? s : Shape{some(s.n), some(s.h), some(s.w), some(s.c)};
        ops::Compare op;
        op.type = static_cast<ops::ComparisonType>(random.integer(0, 5));
        // Quarters: distances that meet the threshold exactly, above and below.
        op.threshold = static_cast<float>(random.integer(0, 3)) / 4;
        OpTensor x = drawTensor(random, s), y = drawTensor(random, b);
        for (OpTensor* t : {&x, &y}) {
            for (std::int64_t k = 0; k < t->count(); ++k)
                t->set(k, static_cast<double>(random.integer(-4, 4)) / 4);
            if (t->type() == ops::Type::Unorm8) continue;
            t->set(random.integer(0, t->count() - 1), nan);
            t->set(random.integer(0, t->count() - 1), infinity);
        }
        OpTensor dst = drawTensor(random, s), expected = dst;
        op.primary = x, op.secondary = broadcast(y, s.n, s.h, s.w, s.c);
        op.dst = dst;
        run(op);
        op.dst = expected;
        runReference(op);
        ASSERT_EQ(dst.values(), expected.values())
            << "type " << static_cast<int>(op.type) << " " << describe(x) << " with " << describe(y) << " to "
            << describe(dst);
        ASSERT_TRUE(dst.guardsIntact());
        for (const double value : dst.values()) ones += value == 1;
        all += dst.count();
    }
    std::printf("[ worst    ] Compare: exact (%lld values, %lld of them 1)\n", static_cast<long long>(all),
                static_cast<long long>(ones));
    EXPECT_GT(ones, all / 10);
    EXPECT_LT(ones, all - all / 10);
}

TEST_F(CpuCompare, ADistanceThatFloat32WouldRoundOntoTheThresholdIsStillBeyondIt) {
    // 1 - (-2^-25) rounds to 1 in float32.
    const OpTensor x(ops::Type::Float32, 1, 1, 2, 1, {1, 1}),
        y(ops::Type::Float32, 1, 1, 2, 1, {-0x1p-25, 0x1p-25});
    OpTensor dst(ops::Type::Float32, 1, 1, 2, 1);
    ops::Compare op;
    op.primary = x, op.secondary = y, op.dst = dst;
    op.threshold = 1;
    run(op);
    EXPECT_EQ(dst.values(), (std::vector<double>{0, 1}));
    op.type = ops::ComparisonType::NotEqual;
    run(op);
    EXPECT_EQ(dst.values(), (std::vector<double>{1, 0}));
}

}  // namespace
}  // namespace pewter::test
