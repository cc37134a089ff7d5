// Any strides, any element type, operands that share memory: the same numbers as dense tensors of double.

#include <gtest/gtest.h>

#include "support/OpTensors.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using ops::Type;

struct Case {
    Type type;
    Layout layout;
};

class ReferenceLayouts : public testing::TestWithParam<Case> {
protected:
    /// Small integers: exact in every floating type, sums included.
    OpTensor make(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) {
        OpTensor t(Type::Float64, n, h, w, c);
        t.fillIntegers(random, -2, 2);
        return t;
    }
    OpTensor as(const OpTensor& t) const { return t.as(GetParam().type, GetParam().layout); }
    static void expectSame(const OpTensor& actual, const OpTensor& expected) {
        EXPECT_EQ(actual.values(), expected.values());
        EXPECT_TRUE(actual.guardsIntact());
    }

    Random random{71};
};

TEST_P(ReferenceLayouts, Convolution) {
    const OpTensor src = make(2, 5, 4, 3), weights = make(2, 3, 2, 3), diffDst = make(2, 5, 4, 2);
    OpTensor dst = diffDst, diffSrc = src, diffWeights = weights;
    OpArray diffBias(Type::Float32, 2);
    const ops::Window window{.width = 2, .height = 3, .padLeft = 1, .padTop = 1};
    runReference(ops::ConvolutionForward{src, weights, dst, {}, window, 1, {}});
    runReference(ops::ConvolutionDataGradient{diffDst, weights, diffSrc, window, 1});
    runReference(ops::ConvolutionWeightsGradient{src, diffDst, diffWeights, diffBias, window, 1, false});
    OpTensor src2 = as(src), weights2 = as(weights), diffDst2 = as(diffDst);
    OpTensor dst2 = as(diffDst), diffSrc2 = as(src), diffWeights2 = as(weights);
    OpArray diffBias2(Type::Float32, 2);
    runReference(ops::ConvolutionForward{src2, weights2, dst2, {}, window, 1, {}});
    runReference(ops::ConvolutionDataGradient{diffDst2, weights2, diffSrc2, window, 1});
    runReference(ops::ConvolutionWeightsGradient{src2, diffDst2, diffWeights2, diffBias2, window, 1, false});
    expectSame(dst2, dst);
    expectSame(diffSrc2, diffSrc);
    expectSame(diffWeights2, diffWeights);
    EXPECT_EQ(diffBias2.values(), diffBias.values());
}

TEST_P(ReferenceLayouts, PoolingAndCopies) {
    const OpTensor src = make(2, 5, 4, 3), diffDst = make(2, 4, 3, 3);
    OpTensor dst = diffDst, diffSrc = src, crop = diffDst, spread = src;
    const ops::Window window{.width = 2, .height = 2};
    runReference(ops::PoolingForward{ops::PoolingType::Max, src, dst, window, 0, 0});
    runReference(ops::PoolingGradient{ops::PoolingType::Max, src, diffDst, diffSrc, window, 0, 0});
    runReference(ops::Copy{src, crop, 1, 2, ops::Edge::Clamp});
    runReference(ops::CopyGradient{diffDst, spread, 1, 2, ops::Edge::Clamp});
    OpTensor src2 = as(src), diffDst2 = as(diffDst), dst2 = diffDst2, diffSrc2 = src2, crop2 = dst2,
             spread2 = src2;
    runReference(ops::PoolingForward{ops::PoolingType::Max, src2, dst2, window, 0, 0});
    runReference(ops::PoolingGradient{ops::PoolingType::Max, src2, diffDst2, diffSrc2, window, 0, 0});
    runReference(ops::Copy{src2, crop2, 1, 2, ops::Edge::Clamp});
    runReference(ops::CopyGradient{diffDst2, spread2, 1, 2, ops::Edge::Clamp});
    expectSame(dst2, dst);
    expectSame(diffSrc2, diffSrc);
    expectSame(crop2, crop);
    expectSame(spread2, spread);
}

TEST_P(ReferenceLayouts, PointwiseInPlace) {
    const OpTensor x = make(2, 3, 4, 5), y = make(2, 3, 4, 5);
    const ops::Neuron relu{ops::NeuronType::ReLU, 0.5f, 0, 0, nullptr};
    OpTensor neuron = x, product = x, gradient = y;
    runReference(ops::NeuronForward{neuron, neuron, relu});
    runReference(ops::NeuronGradient{x, gradient, gradient, relu});
    ops::Arithmetic op;
    op.type = ops::ArithmeticType::Multiply;
    op.primary = op.dst = product;
    op.secondary = y;
    runReference(op);
    OpTensor x2 = as(x), y2 = as(y), neuron2 = x2, product2 = x2, gradient2 = y2;
    runReference(ops::NeuronForward{neuron2, neuron2, relu});
    runReference(ops::NeuronGradient{x2, gradient2, gradient2, relu});
    op.primary = op.dst = product2;
    op.secondary = y2;
    runReference(op);
    expectSame(neuron2, neuron);
    expectSame(gradient2, gradient);
    expectSame(product2, product);
}

TEST_P(ReferenceLayouts, BatchNormalization) {
    const OpTensor x = make(2, 3, 4, 3), g = make(2, 3, 4, 3);
    const OpArray mean(Type::Float32, {0, 1, -1}), variance(Type::Float32, {1, 0.25, 4});
    OpTensor dst = x, x2 = as(x), g2 = as(g), dst2 = x2;
    OpArray dGamma(Type::Float64, 3), dBeta = dGamma, dGamma2(Type::Float32, 3), dBeta2 = dGamma2;
    OpArray m(Type::Float64, 3), v = m, m2 = m, v2 = m;
    auto run = [&](OpTensor& src, OpTensor& to, const OpTensor& diff, OpArray& dg, OpArray& db, OpArray& mu,
                   OpArray& var) {
        runReference(ops::BatchNormalizationStatistics{src, mu, var, 0});
        runReference(ops::BatchNormalizationForward{src, to, mean, variance, {}, {}, 0, {}});
        runReference(ops::BatchNormalizationStatisticsGradient{
            src, diff, mean, variance, {}, {}, dg, db, 0, {}, false});
    };
    OpTensor source = x;
    run(source, dst, g, dGamma, dBeta, m, v);
    run(x2, dst2, g2, dGamma2, dBeta2, m2, v2);
    expectSame(dst2, dst);
    EXPECT_EQ(dGamma2.values(), dGamma.values());
    EXPECT_EQ(dBeta2.values(), dBeta.values());
    EXPECT_EQ(m2.values(), m.values());
    EXPECT_EQ(v2.values(), v.values());
}

INSTANTIATE_TEST_SUITE_P(
    TypesAndStrides, ReferenceLayouts,
    testing::Values(Case{Type::Float64, Layout::gaps()}, Case{Type::Float32, Layout::dense()},
                    Case{Type::Float32, Layout::scattered()}, Case{Type::Float16, Layout::gaps()},
                    Case{Type::BFloat16, Layout::gaps()}),
    [](const auto& info) { return std::string(nameOf(info.param.type)) + std::to_string(info.index); });

TEST(ReferenceLayoutsOverlap, ACopyOntoAnOverlappingViewReadsEverythingFirst) {
    OpArray memory(Type::Float32, {1, 2, 3, 4, 5});
    auto* data = static_cast<float*>(memory.view().data);
    const auto from = ops::Tensor::dense(data, Type::Float32, 1, 1, 4, 1);
    const auto to = ops::Tensor::dense(data + 1, Type::Float32, 1, 1, 4, 1);
    runReference(ops::Copy{from, to, 0, 0, ops::Edge::Zero});
    EXPECT_EQ(memory.values(), (std::vector<double>{1, 1, 2, 3, 4}));
}

TEST(ReferenceLayoutsUnorm, PoolingAndSumsOfUnorm8SaturateOnlyWhenStored) {
    OpTensor x(Type::Unorm8, 1, 1, 2, 1, {0.8, 0.6}), sum = x, mean(Type::Unorm8, 1, 1, 1, 1);
    ops::Arithmetic op;
    op.primary = op.secondary = x;
    op.dst = sum;
    runReference(op);
    EXPECT_EQ(sum.values(), (std::vector<double>{1, 1}));
    runReference(ops::PoolingForward{ops::PoolingType::Average, x, mean, {.width = 2}, 0, 0});
    EXPECT_EQ(static_cast<std::uint8_t*>(mean.view().data)[0], 178);  // (204 + 153) / 2 = 178.5, ties to even
}

}  // namespace
}  // namespace pewter::test
