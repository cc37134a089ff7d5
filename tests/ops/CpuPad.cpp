// Padding of the cpu device and its gradient against the oracle.

#include "CpuPointwise.h"

namespace pewter::test {
namespace {

class CpuPad : public CpuOps {};

/// A padding with its operands. Mostly pads on all sides; sometimes crops, and channels as well.
struct Case {
    Shape s, to;
    std::int64_t left, top, before;
    ops::PadEdge edge;
    std::string name;

    explicit Case(Random& random) : s(drawShape(random)) {
        const bool far = random.integer(0, 3) == 0;  // several reflections
        const auto side = [&] { return random.integer(random.integer(0, 3) ? 0 : -1, far ? 9 : 3); };
        left = side(), top = side();
        before = random.coin() ? 0 : random.integer(0, 5);
        const std::int64_t after = random.coin() ? 0 : random.integer(0, 5);
        to = {s.n, std::max<std::int64_t>(1, s.h + top + side()),
              std::max<std::int64_t>(1, s.w + left + side()), s.c + before + after};
        edge = static_cast<ops::PadEdge>(random.integer(0, 4));
        name = s.text() + " to " + to.text() + " left " + std::to_string(left) + " top " +
               std::to_string(top) + " channels before " + std::to_string(before) + " edge " +
               std::to_string(static_cast<int>(edge));
    }
    template <class Op>
    void place(Op& op) const {
        op.offsetX = -left, op.offsetY = -top, op.offsetC = -before;
        op.edge = edge;
    }
};

TEST_F(CpuPad, CopiesAndFillsLikeReference) {
    Random random(731);
    Comparison worst("Pad");
    for (int i = 0; i < 2 * kCases; ++i) {
        const Case c(random);
        OpTensor src = drawTensor(random, c.s, -1, 1);
        // Most images keep their type.
        OpTensor dst(random.integer(0, 3) ? src.type() : drawType(random), c.to.n, c.to.h, c.to.w, c.to.c,
                     drawLayout(random));
        dst.fill(0.5);
        OpTensor expected = dst;
        std::vector<float> fills(static_cast<std::size_t>(c.to.c));
        for (float& value : fills) value = static_cast<float>(random.uniform(0, 1));
        ops::PadForward op;
        c.place(op);
        op.src = src, op.dst = dst;
        op.fillValue = 0.375f;
        if (random.coin()) op.fillValues = fills.data();
        run(op);
        op.dst = expected;
        runReference(op);
        if (src.type() == dst.type()) {
            ASSERT_EQ(dst.values(), expected.values())
                << c.name << " " << describe(src) << " " << describe(dst);
            ASSERT_TRUE(dst.guardsIntact()) << c.name;
        } else {
            worst.check(dst, expected, c.name, [](std::size_t) { return 0.0; });
        }
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuPad, GradientFoldsBackLikeReference) {
    Random random(732);
    Comparison worst("PadGradient");
    for (int i = 0; i < 2 * kCases; ++i) {
        const Case c(random);
        const bool exact = random.coin();
        OpTensor diffDst = drawTensor(random, c.to, -1, 1), diffSrc = drawTensor(random, c.s, 0, 1);
        if (exact) {
            diffDst = OpTensor(ops::Type::Float32, c.to.n, c.to.h, c.to.w, c.to.c, drawLayout(random));
            diffDst.fillIntegers(random, -9, 9);
            diffSrc = OpTensor(ops::Type::Float32, c.s.n, c.s.h, c.s.w, c.s.c, drawLayout(random));
            diffSrc.fill(3);
        }
        OpTensor expected = diffSrc;
        ops::PadGradient op;
        c.place(op);
        op.diffDst = diffDst, op.diffSrc = diffSrc;
        run(op);
        op.diffSrc = expected;
        runReference(op);
        if (exact) {
            ASSERT_EQ(diffSrc.values(), expected.values()) << c.name;
            ASSERT_TRUE(diffSrc.guardsIntact()) << c.name;
            continue;
        }
        OpTensor sizes(ops::Type::Float64, c.s.n, c.s.h, c.s.w, c.s.c), size = diffDst.as(ops::Type::Float64);
        for (std::int64_t k = 0; k < size.count(); ++k) size.set(k, std::fabs(size.at(k)));
        op.diffDst = size, op.diffSrc = sizes;
        runReference(op);
        const auto magnitudes = sizes.values();
        // Sums in double, rounded once.
        worst.check(diffSrc, expected, c.name, [&](std::size_t k) { return kEpsilon * magnitudes[k]; });
        if (HasFatalFailure()) return;
    }
}

}  // namespace
}  // namespace pewter::test
