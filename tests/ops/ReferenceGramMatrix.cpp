// Gram matrices on the oracle, by hand and by PyTorch.

#include <gtest/gtest.h>

#include "support/Compare.h"
#include "support/Fixtures.h"
#include "support/GradientCheck.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;

TEST(ReferenceGramMatrix, RowsRunAlongTheWidthAndColumnsAlongTheChannels) {
    const OpTensor src(kType, 1, 2, 1, 2, {1, 2, 3, 4});
    OpTensor dst(kType, 1, 1, 2, 2);
    runReference(ops::GramMatrixForward{src, dst, 2});
    EXPECT_EQ(dst.values(), (std::vector<double>{20, 28, 28, 40}));
}

TEST(ReferenceGramMatrix, TheGradientTakesBothHalvesOfTheMatrix) {
    const OpTensor src(kType, 1, 1, 2, 2, {1, 2, 3, 4}), diffDst(kType, 1, 1, 2, 2, {1, 2, 3, 4});
    OpTensor diffSrc(kType, 1, 1, 2, 2, {9, 9, 9, 9});
    runReference(ops::GramMatrixGradient{src, diffDst, diffSrc, 2});
    EXPECT_EQ(diffSrc.values(), (std::vector<double>{24, 42, 52, 94}));
}

TEST(ReferenceGramMatrix, TheGradientIsTheDerivative) {
    Random random(41);
    OpTensor src(kType, 2, 3, 2, 4), dst(kType, 2, 1, 4, 4), diffDst = dst, diffSrc = src;
    src.fillUniform(random, -1, 1);
    diffDst.fillUniform(random, -1, 1);
    runReference(ops::GramMatrixGradient{src, diffDst, diffSrc, 0.75});
    EXPECT_TRUE(isGradient(diffSrc.values(), src, [&] {
        runReference(ops::GramMatrixForward{src, dst, 0.75});
        return dot(dst, diffDst);
    }));
}

TEST(ReferenceGramMatrix, AgreesWithPyTorch) {
    const Json all = fixture("gram_matrix");
    ASSERT_FALSE(all.at("cases").empty());
    for (const Json& one : all.at("cases")) {
        const OpTensor x = tensorOf(one.at("x")), g = tensorOf(one.at("g"));
        OpTensor y = g, dx = x;
        runReference(ops::GramMatrixForward{x, y, one.at("alpha")});
        runReference(ops::GramMatrixGradient{x, g, dx, one.at("alpha")});
        EXPECT_TRUE(allNear(y.values(), numbers(one.at("y")), 1e-10)) << one.at("name");
        EXPECT_TRUE(allNear(dx.values(), numbers(one.at("dx")), 1e-10)) << one.at("name");
    }
}

}  // namespace
}  // namespace pewter::test
