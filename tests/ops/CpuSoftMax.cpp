// Softmax and log-softmax of the cpu device against the oracle.

#include <cmath>

#include "CpuPointwise.h"

namespace pewter::test {
namespace {

class CpuSoftMax : public CpuOps {};

TEST_F(CpuSoftMax, ForwardAgreesWithReference) {
    Random random(401);
    Comparison worst("SoftMaxForward");
    for (int i = 0; i < kCases; ++i) {
        const Shape shape = drawShape(random);
        const bool logarithm = random.coin();
        const double range = random.coin() ? 3 : 60;
        const OpTensor src = drawTensor(random, shape, -range, range);
        OpTensor dst = drawTensor(random, shape), expected = dst,
                 exact(ops::Type::Float64, shape.n, shape.h, shape.w, shape.c);
        run(ops::SoftMaxForward{src, dst, logarithm});
        runReference(ops::SoftMaxForward{src, expected, logarithm});
        runReference(ops::SoftMaxForward{src, exact, true});
        const std::vector<double> l = exact.values(), x = src.values();
        // x - max is rounded, which the exponential multiplies; then 2 ulp for it, 2 for sum and quotient.
        // The logarithm of the sum adds an ulp of its own size.
        worst.check(dst, expected, describe(src) + " to " + describe(dst), [&](std::size_t k) {
            const double shift = kEpsilon * (2 * std::fabs(x[k]) + std::fabs(l[k]) + 6);
            return logarithm ? shift : shift * std::exp(l[k]);
        });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuSoftMax, GradientAgreesWithReference) {
    Random random(402);
    Comparison worst("SoftMaxGradient");
    for (int i = 0; i < kCases; ++i) {
        const Shape shape = drawShape(random);
        const bool logarithm = random.coin();
        const OpTensor src = drawTensor(random, shape, -3, 3), diffDst = drawTensor(random, shape, -2, 2);
        OpTensor dst = drawTensor(random, shape), diffSrc = drawTensor(random, shape), expected = diffSrc;
        runReference(ops::SoftMaxForward{src, dst, logarithm});
        run(ops::SoftMaxGradient{dst, diffDst, diffSrc, logarithm});
        runReference(ops::SoftMaxGradient{dst, diffDst, expected, logarithm});
        const std::vector<double> y = dst.values(), g = diffDst.values();
        const auto c = static_cast<std::size_t>(shape.c);
        // Products are rounded to float32 and added up in double and lanes of at most 64 numbers.
        worst.check(diffSrc, expected, describe(dst) + " to " + describe(diffSrc), [&](std::size_t k) {
            double sum = 0;
            for (std::size_t j = k - k % c; j < k - k % c + c; ++j)
                sum += std::fabs(g[j]) * (logarithm ? 1 : std::fabs(y[j]));
            const double factor = logarithm ? std::exp(y[k]) : std::fabs(y[k]);
            const double lanes = static_cast<double>(std::min<std::size_t>(64, 1 + c / 32));
            return kEpsilon * (2 * std::fabs(g[k]) * (logarithm ? 1 : factor) + (4 + lanes) * factor * sum);
        });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuSoftMax, WorksInPlace) {
    Random random(403);
    for (int i = 0; i < 40; ++i) {
        const Shape shape = drawShape(random);
        const bool logarithm = random.coin();
        OpTensor data = drawTensor(random, shape, -3, 3), apart = data, diff = data, diffApart = data;
        run(ops::SoftMaxForward{data, apart, logarithm});
        run(ops::SoftMaxForward{data, data, logarithm});
        ASSERT_EQ(data.values(), apart.values());
        run(ops::SoftMaxGradient{apart, diff, diffApart, logarithm});
        run(ops::SoftMaxGradient{apart, diff, diff, logarithm});
        ASSERT_EQ(diff.values(), diffApart.values());
    }
}

TEST_F(CpuSoftMax, EqualScoresShareEvenlyHoweverLarge) {
    OpTensor src(ops::Type::Float32, 1, 2, 3, 4), dst = src;
    src.fill(3e38);
    run(ops::SoftMaxForward{src, dst, false});
    EXPECT_EQ(dst.values(), std::vector<double>(24, 0.25));
}

}  // namespace
}  // namespace pewter::test
