// Central differences for padding.

#include <gtest/gtest.h>

#include "support/GradientCheck.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;

TEST(GradientPad, DataGradientIsTheDerivativeForEveryEdgeMode) {
    Random random(41);
    for (int edge = 0; edge <= 4; ++edge)
        for (const std::int64_t far : {1, 5})  // within one reflection, and several
            for (const std::int64_t before : {0, 2}) {
                OpTensor src(kType, 2, 3, 4, 3), diffSrc = src;
                OpTensor dst(kType, 2, 3 + far + 2, 4 + far + 1, 3 + before + 4), diffDst = dst;
                src.fillUniform(random, -1, 1);
                diffDst.fillUniform(random, -1, 1);
                diffSrc.fill(99);
                ops::PadForward forward;
                forward.src = src, forward.dst = dst;
                forward.offsetX = -far, forward.offsetY = 1 - far, forward.offsetC = -before;
                forward.edge = static_cast<ops::PadEdge>(edge);
                forward.fillValue = 0.5f;
                ops::PadGradient gradient;
                gradient.diffDst = diffDst, gradient.diffSrc = diffSrc;
                gradient.offsetX = forward.offsetX, gradient.offsetY = forward.offsetY;
                gradient.offsetC = forward.offsetC, gradient.edge = forward.edge;
                runReference(gradient);
                EXPECT_TRUE(isGradient(diffSrc.values(), src,
                                       [&] {
                                           runReference(forward);
                                           return dot(dst, diffDst);
                                       }))
                    << "edge " << edge << ", " << far << " pixels, " << before << " channels";
            }
}

}  // namespace
}  // namespace pewter::test
