// Padding: index maps and values worked out by hand.

#include <gtest/gtest.h>

#include "support/OpTensors.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;
constexpr auto kType = ops::Type::Float32;
constexpr auto kMirror = ops::PadEdge::Mirror, kMirrorWithEdge = ops::PadEdge::MirrorWithEdge;

/// A row of pixels, padded.
Numbers padRow(const Numbers& row, std::int64_t before, std::int64_t after, ops::PadEdge edge) {
    const auto w = static_cast<std::int64_t>(row.size());
    const OpTensor src(kType, 1, 1, w, 1, row);
    OpTensor dst(kType, 1, 1, before + w + after, 1);
    ops::PadForward op;
    op.src = src, op.dst = dst;
    op.offsetX = -before;
    op.edge = edge;
    op.fillValue = 9;
    runReference(op);
    return dst.values();
}

/// The gradient of a row of `w` pixels from the gradient of the padded one.
Numbers foldRow(std::int64_t w, const Numbers& gradient, std::int64_t before, ops::PadEdge edge) {
    const OpTensor diffDst(kType, 1, 1, static_cast<std::int64_t>(gradient.size()), 1, gradient);
    OpTensor diffSrc(kType, 1, 1, w, 1);
    diffSrc.fill(7);
    ops::PadGradient op;
    op.diffDst = diffDst, op.diffSrc = diffSrc;
    op.offsetX = -before;
    op.edge = edge;
    runReference(op);
    return diffSrc.values();
}

TEST(ReferencePad, EveryEdgeModeContinuesARowAsItsNameSays) {
    EXPECT_EQ(padRow({1, 2, 3}, 2, 1, ops::PadEdge::Zero), (Numbers{0, 0, 1, 2, 3, 0}));
    EXPECT_EQ(padRow({1, 2, 3}, 2, 1, ops::PadEdge::Clamp), (Numbers{1, 1, 1, 2, 3, 3}));
    EXPECT_EQ(padRow({1, 2, 3}, 2, 1, kMirror), (Numbers{3, 2, 1, 2, 3, 2}));
    EXPECT_EQ(padRow({1, 2, 3}, 2, 1, kMirrorWithEdge), (Numbers{2, 1, 1, 2, 3, 3}));
    EXPECT_EQ(padRow({1, 2, 3}, 2, 1, ops::PadEdge::Constant), (Numbers{9, 9, 1, 2, 3, 9}));
}

TEST(ReferencePad, MirrorsGoOnPeriodicallyBeyondTheImage) {
    // The worked example of the interface: x1 x2 x1 belong to the second reflection.
    EXPECT_EQ(padRow({0, 1, 2}, 4, 1, kMirror), (Numbers{0, 1, 2, 1, 0, 1, 2, 1}));
    EXPECT_EQ(padRow({1, 2}, 5, 4, kMirrorWithEdge), (Numbers{1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2}));
    EXPECT_EQ(padRow({5}, 3, 2, kMirror), (Numbers{5, 5, 5, 5, 5, 5}));
    EXPECT_EQ(padRow({5}, 3, 2, kMirrorWithEdge), (Numbers{5, 5, 5, 5, 5, 5}));
}

TEST(ReferencePad, ChannelsAndRowsArePaddedOnTheirOwn) {
    const OpTensor src(kType, 1, 2, 1, 3, {1, 2, 3, 4, 5, 6});
    OpTensor dst(kType, 1, 3, 1, 8);
    ops::PadForward op;
    op.src = src, op.dst = dst;
    op.offsetY = -1, op.offsetC = -2;
    op.edge = kMirrorWithEdge;
    runReference(op);
    // The worked example of the interface for channels: x2 x1 | x1 x2 x3 | x3 x2 x1.
    EXPECT_EQ(dst.values(),
              (Numbers{2, 1, 1, 2, 3, 3, 2, 1, 2, 1, 1, 2, 3, 3, 2, 1, 5, 4, 4, 5, 6, 6, 5, 4}));
    const std::vector<float> fills = {10, 11, 12, 13, 14, 15, 16, 17};
    op.edge = ops::PadEdge::Constant;
    op.fillValues = fills.data();
    runReference(op);
    EXPECT_EQ(dst.values(), (Numbers{10, 11, 12, 13, 14, 15, 16, 17, 10, 11, 1,  2,
                                     3,  15, 16, 17, 10, 11, 4,  5,  6,  15, 16, 17}));
}

TEST(ReferencePad, TheGradientOfACopyIsAddedToWhatWasCopied) {
    const Numbers g = {1, 10, 100, 1000, 10000, 100000};
    EXPECT_EQ(foldRow(3, g, 2, ops::PadEdge::Zero), (Numbers{100, 1000, 10000}));
    EXPECT_EQ(foldRow(3, g, 2, ops::PadEdge::Constant), (Numbers{100, 1000, 10000}));
    EXPECT_EQ(foldRow(3, g, 2, ops::PadEdge::Clamp), (Numbers{111, 1000, 110000}));
    EXPECT_EQ(foldRow(3, g, 2, kMirror), (Numbers{100, 101010, 10001}));
    EXPECT_EQ(foldRow(3, g, 2, kMirrorWithEdge), (Numbers{110, 1001, 110000}));
}

TEST(ReferencePad, ANegativeOffsetOfThePaddingCrops) {
    EXPECT_EQ(padRow({1, 2, 3, 4}, -1, -1, kMirror), (Numbers{2, 3}));
    EXPECT_EQ(foldRow(4, {5, 6}, -1, kMirror), (Numbers{0, 5, 6, 0}));
}

}  // namespace
}  // namespace pewter::test
