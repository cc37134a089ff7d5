// Batch normalisation of the cpu device with another image added before the neuron, against the oracle and against itself.

#include <cstring>
#include <utility>

#include "CpuPointwise.h"

namespace pewter::test {
namespace {

class CpuNormalizationSums : public CpuOps {};

/// Dense images, bit for bit.
bool areEqual(const OpTensor& a, const OpTensor& b) {
    return std::memcmp(a.view().data, b.view().data, static_cast<std::size_t>(a.count()) * ops::sizeOf(a.type())) == 0;
}

constexpr ops::Type kTypes[] = {ops::Type::Float32, ops::Type::Float16, ops::Type::BFloat16};

/// Small whole numbers around whole means, a deviation of 2, slopes that are powers of two: no type rounds anything.
struct SumLayer {
    SumLayer(Random& random, const Shape& s, bool drawsTypes)
        : shape(s), src(make(random, drawsTypes)), addend(make(random, drawsTypes)), diffDst(make(random, drawsTypes)),
          dst(make(random, drawsTypes)), diffSum(make(random, drawsTypes)), mean(ops::Type::Float32, s.c), variance(mean),
          gamma(mean), beta(mean), diffGamma(mean), diffBeta(mean), slopes(static_cast<std::size_t>(s.c)) {
        for (OpTensor* one : {&src, &addend, &diffDst}) one->fillIntegers(random, -4, 4);
        for (OpArray* one : {&mean, &beta, &diffGamma, &diffBeta}) one->fillIntegers(random, -2, 2);
        for (std::int64_t k = 0; k < s.c; ++k) gamma.set(k, k % 2 ? 2 : 1);
        variance.fill(3.5);
        for (float& slope : slopes) slope = random.coin() ? 0.5F : 0;
        const ops::Neuron kNeurons[] = {{},
                                        {ops::NeuronType::ReLU},
                                        {ops::NeuronType::ReLU, 0.25F},
                                        {ops::NeuronType::PReLU, 0, 0, 0, slopes.data()},
                                        {ops::NeuronType::ReLUN, 0, 4}};
        neuron = kNeurons[random.integer(0, 4)];
    }
    OpTensor make(Random& random, bool drawsTypes) const {
        const ops::Type type = drawsTypes ? kTypes[random.integer(0, 2)] : ops::Type::Float32;
        return {type, shape.n, shape.h, shape.w, shape.c, drawsTypes ? drawLayout(random) : Layout::dense()};
    }
    ops::BatchNormalizationForward forward() const {
        return {src, dst, mean, variance, gamma, beta, 0.5F, neuron, addend};
    }
    ops::BatchNormalizationStatisticsGradient gradient() const {
        return {src,  diffDst, mean,   variance, gamma,  beta,   diffGamma,
                diffBeta, 0.5F,    neuron, false,    addend, diffSum};
    }

    Shape shape;
    OpTensor src, addend, diffDst, dst, diffSum;
    OpArray mean, variance, gamma, beta, diffGamma, diffBeta;
    std::vector<float> slopes;
    ops::Neuron neuron;
};

TEST_F(CpuNormalizationSums, ForwardIsExactlyTheReferences) {
    Random random(711);
    for (int i = 0; i < kCases; ++i) {
        const SumLayer layer(random, drawShape(random), true);
        auto op = layer.forward();
        OpTensor expected = layer.dst;
        run(op);
        op.dst = expected;
        runReference(op);
        ASSERT_EQ(layer.dst.values(), expected.values()) << layer.shape.text() << " " << static_cast<int>(layer.neuron.type);
        ASSERT_TRUE(layer.dst.guardsIntact());
    }
}

TEST_F(CpuNormalizationSums, GradientsAreExactlyTheReferences) {
    Random random(712);
    for (int i = 0; i < kCases; ++i) {
        const SumLayer layer(random, drawShape(random), true);
        auto op = layer.gradient();
        op.accumulate = random.coin();
        if (random.integer(0, 3) == 0) op.addend = {};
        if (random.integer(0, 3) == 0) op.diffSum = {};
        OpArray diffGamma = layer.diffGamma, diffBeta = layer.diffBeta;
        OpTensor diffSum = layer.diffSum;
        run(op);
        op.diffGamma = diffGamma, op.diffBeta = diffBeta;
        if (!op.diffSum.isNull()) op.diffSum = diffSum;
        runReference(op);
        const auto text = layer.shape.text() + " " + std::to_string(static_cast<int>(layer.neuron.type));
        ASSERT_EQ(layer.diffSum.values(), diffSum.values()) << text;
        ASSERT_EQ(layer.diffBeta.values(), diffBeta.values()) << text;
        ASSERT_EQ(layer.diffGamma.values(), diffGamma.values()) << text;
        ASSERT_TRUE(layer.diffSum.guardsIntact());
    }
}

/// 257 and 2049 lie between two numbers of bfloat16 and float16: they become 256 and 2048.
TEST_F(CpuNormalizationSums, TheSumsAreOfWhatTheTypeOfTheGradientRounds) {
    const std::pair<ops::Type, double> kRounded[] = {{ops::Type::BFloat16, 257}, {ops::Type::Float16, 2049}};
    for (const auto& [type, value] : kRounded)
        for (const bool onReference : {false, true}) {
            Random random(713);
            const SumLayer layer(random, {2, 3, 4, 5}, false);
            OpTensor diffDst = layer.diffDst, diffSum(type, 2, 3, 4, 5);
            diffDst.fill(value);
            auto op = layer.gradient();
            op.diffDst = diffDst, op.diffSum = diffSum, op.neuron = {};
            if (onReference)
                runReference(op);
            else
                run(op);
            EXPECT_EQ(diffSum.values(), std::vector<double>(120, value - 1));
            EXPECT_EQ(layer.diffBeta.values(), std::vector<double>(5, 24 * (value - 1)));
        }
}

/// What lies where a source did is what lies elsewhere, also where it goes past the caches.
TEST_F(CpuNormalizationSums, InPlaceIsAsApart) {
    Random random(714);
    for (int i = 0; i < 60; ++i) {
        const Shape shape = i == 0 ? Shape{1, 182, 182, 67} : drawShape(random);
        const SumLayer layer(random, shape, false);
        const ops::Type type = kTypes[i % 3];
        const auto as = [&](const OpTensor& from) {
            return OpTensor(type, shape.n, shape.h, shape.w, shape.c, from.values());
        };
        const OpTensor dst = as(layer.dst), diffSum = as(layer.diffSum), diffDst = as(layer.diffDst);
        auto forward = layer.forward();
        forward.dst = dst;
        run(forward);
        for (const OpTensor* source : {&layer.addend, &layer.src}) {
            const OpTensor there = as(*source);
            (source == &layer.src ? forward.src : forward.addend) = forward.dst = there;
            run(forward);
            ASSERT_TRUE(areEqual(there, dst)) << shape.text();
            forward.src = layer.src, forward.addend = layer.addend;
        }
        auto gradient = layer.gradient();
        gradient.diffDst = diffDst, gradient.diffSum = diffSum;
        run(gradient);
        const auto diffGamma = layer.diffGamma.values(), diffBeta = layer.diffBeta.values();
        gradient.diffSum = diffDst;
        run(gradient);
        ASSERT_TRUE(areEqual(diffDst, diffSum)) << shape.text();
        ASSERT_EQ(layer.diffGamma.values(), diffGamma) << shape.text();
        ASSERT_EQ(layer.diffBeta.values(), diffBeta) << shape.text();
    }
}

/// So large that forward results go past the caches.
TEST_F(CpuNormalizationSums, LargeResultsAreExactlyTheReferences) {
    Random random(715);
    SumLayer layer(random, {1, 182, 182, 64}, false);
    layer.neuron = {ops::NeuronType::ReLU};
    OpTensor dst = layer.dst, diffSum = layer.diffSum;
    auto forward = layer.forward();
    auto gradient = layer.gradient();
    run(forward);
    run(gradient);
    const auto diffBeta = layer.diffBeta.values();
    forward.dst = dst, gradient.diffSum = diffSum;
    runReference(forward);
    runReference(gradient);
    ASSERT_TRUE(areEqual(layer.dst, dst));
    ASSERT_TRUE(areEqual(layer.diffSum, diffSum));
    ASSERT_EQ(diffBeta, layer.diffBeta.values());
    ASSERT_TRUE(layer.dst.guardsIntact() && layer.diffSum.guardsIntact());
}

}  // namespace
}  // namespace pewter::test
