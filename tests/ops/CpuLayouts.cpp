#ifdef PEWTER_HAVE_CPU

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "BlockedImage.h"
#include "SquareConvolution.h"
#include "support/RunCpu.h"

/// Images in blocks of channels against the same images N,H,W,C.
namespace pewter::test {
namespace {

using cpu::Algorithm;
using cpu::Direction;

void run(Direction direction, const ops::Tensor& src, const ops::Tensor& dst, const OpTensor& weights, const ops::Window& window,
         const ops::Array& bias, bool add) {
    if (direction == Direction::Forward)
        runCpu(ops::ConvolutionForward{src, weights, dst, bias, window, 1, {ops::NeuronType::ReLU}});
    else if (direction == Direction::DataGradient)
        runCpu(ops::ConvolutionDataGradient{dst, weights, src, window, 1, {}, {}, ops::Exactness::Products, add});
    else
        runCpu(ops::ConvolutionWeightsGradient{src, dst, weights, bias, window, 1, add});
}

TEST(CpuLayouts, ConvolutionsReadAndWriteEitherLayout) {
    PEWTER_NEEDS_CPU();
    Random random(81);
    for (const Direction direction : kDirections)
        for (const bool add : {false, true})
            for (const int blocked : {1, 2, 3}) {
                if (add && direction == Direction::Forward) continue;
                Square square(random, 2, 9, 32, 48, 1, true);
                std::vector<float> bias(48, 2), biasPlain = bias;
                const auto array = [](std::vector<float>& values) {
                    return ops::Array{values.data(), ops::Type::Float32, static_cast<std::int64_t>(values.size())};
                };
                OpTensor src = square.src, dst = square.dst, weights = square.weights;
                const BlockedImage srcBlocks(src.view()), dstBlocks(dst.view());
                run(direction, square.src, square.dst, square.weights, square.window, array(biasPlain), add);
                run(direction, blocked & 1 ? ops::Tensor(srcBlocks) : src.view(),
                    blocked & 2 ? ops::Tensor(dstBlocks) : dst.view(), weights, square.window, array(bias), add);
                const auto text = std::to_string(static_cast<int>(direction)) + " in " + std::to_string(blocked);
                EXPECT_EQ(floatsOf(weights), floatsOf(square.weights)) << text;
                EXPECT_EQ(blocked & 1 ? srcBlocks.values() : floatsOf(src), floatsOf(square.src)) << text;
                EXPECT_EQ(blocked & 2 ? dstBlocks.values() : floatsOf(dst), floatsOf(square.dst)) << text;
                EXPECT_EQ(bias, biasPlain) << text;
            }
}

TEST(CpuLayouts, WinogradInBlocksGivesTheBitsOfTheDetour) {
    Random random(82);
    int cases = 0;
    for (const Direction direction : kDirections)
        for (const bool add : {false, true}) {
            if (add && direction == Direction::Forward) continue;
            Square square(random, 2, 9, 32, 48, 1, false);
            OpTensor weights = square.weights;
            const BlockedImage src(square.src.view()), dst(square.dst.view());
            if (!compute(square, direction, Algorithm::Winograd, add)) continue;
            cpu::ConvolutionTask task{direction, square.problem(), false, add};
            task.srcLayout = task.dstLayout = ops::ImageLayout::ChannelBlocks;
            const auto prepared = cpu::prepare(task, Algorithm::Winograd);
            ASSERT_TRUE(prepared);
            // Nothing is in between, but what is added up.
            EXPECT_EQ(static_cast<bool>(prepared->src.reorder), add && direction == Direction::DataGradient);
            EXPECT_FALSE(prepared->dst.reorder);
            cpu::Scratch scratch;
            cpu::Scratch::Frame frame(scratch);
            const auto data = [](const ops::Tensor& t) { return static_cast<float*>(t.data); };
            cpu::execute(*prepared, direction, {data(src), data(weights), data(dst), nullptr}, frame);
            EXPECT_EQ(floatsOf(weights), floatsOf(square.weights));
            EXPECT_EQ(src.values(), floatsOf(square.src));
            EXPECT_EQ(dst.values(), floatsOf(square.dst));
            ++cases;
        }
    if (cases == 0) GTEST_SKIP() << "this processor has no Winograd kernel";
}

TEST(CpuLayouts, KernelsOfThisLibraryAreForImagesThatLieNHWC) {
    Random random(83);
    Square square(random, 1, 9, 16, 16, 2, true, 5);
    cpu::ConvolutionTask task{Direction::Forward, square.problem()};
    task.srcLayout = ops::ImageLayout::ChannelBlocks;
    for (const Algorithm algorithm : {Algorithm::Columns, Algorithm::Winograd5, Algorithm::Winograd2})
        EXPECT_FALSE(cpu::prepare(task, algorithm));
}

/// Whole numbers around whole means, a deviation of 1/2: nothing rounds. Planes that are read by themselves, some at once,
/// and runs that end inside a plane.
struct Norm {
    Norm(Random& random, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c)
        : src(ops::Type::Float32, n, h, w, c), diffDst(src), result(src), mean(ops::Type::Float32, c), variance(mean),
          gamma(mean), beta(mean), diffGamma(mean), diffBeta(mean) {
        src.fillIntegers(random, -3, 4);
        diffDst.fillIntegers(random, -3, 4);
        for (std::int64_t k = 0; k < c; ++k) {
            mean.set(k, static_cast<double>(k % 5));
            variance.set(k, 4);
            gamma.set(k, k % 2 ? 2 : 6);
            beta.set(k, static_cast<double>(k % 3));
            diffGamma.set(k, static_cast<double>(k % 7));
            diffBeta.set(k, static_cast<double>(k % 11));
        }
    }
    OpTensor src, diffDst, result;
    OpArray mean, variance, gamma, beta, diffGamma, diffBeta;
};

const std::array<std::int64_t, 4> kShapes[] = {{1, 4, 8, 16}, {2, 16, 32, 32}, {8, 4, 4, 64}, {1, 64, 32, 48}};
const ops::Neuron kNeurons[] = {{}, {ops::NeuronType::ReLU, 0.25F}, {ops::NeuronType::Sigmoid}};

TEST(CpuLayouts, StatisticsOfBlocksOfChannels) {
    PEWTER_NEEDS_CPU();
    Random random(84);
    for (const auto& [n, h, w, c] : kShapes) {
        Norm norm(random, n, h, w, c);
        OpArray mean = norm.mean, variance = norm.variance;
        runCpu(ops::BatchNormalizationStatistics{norm.src, norm.mean, norm.variance, 0});
        const BlockedImage src(norm.src.view());
        runCpu(ops::BatchNormalizationStatistics{src, mean, variance, 0});
        for (std::int64_t k = 0; k < c; ++k) {
            EXPECT_NEAR(mean.at(k), norm.mean.at(k), 1e-6) << n << " " << h << " " << c;
            EXPECT_NEAR(variance.at(k), norm.variance.at(k), 2e-5) << n << " " << h << " " << c;
        }
    }
}

TEST(CpuLayouts, NormalisationOfBlocksGivesTheBitsOfWholePixels) {
    PEWTER_NEEDS_CPU();
    Random random(85);
    for (const auto& [n, h, w, c] : kShapes)
        for (const ops::Neuron& neuron : kNeurons)
            for (const bool stored : {false, true}) {
                Norm norm(random, n, h, w, c);
                const BlockedImage src(norm.src.view()), diffDst(norm.diffDst.view()), result(norm.result.view());
                ops::BatchNormalizationForward forward{norm.src, norm.result, norm.mean, norm.variance,
                                                       norm.gamma, norm.beta, 0, neuron};
                runCpu(forward);
                forward.src = src, forward.dst = result;
                runCpu(forward);
                EXPECT_EQ(result.values(), floatsOf(norm.result));
                ops::BatchNormalizationGradient back{norm.src,   norm.diffDst, norm.result,    norm.mean,
                                                     norm.variance, norm.gamma, norm.beta,     norm.diffGamma,
                                                     norm.diffBeta, 0,          neuron,        n * h * w, stored};
                runCpu(back);
                back.src = src, back.diffDst = diffDst, back.diffSrc = result;
                runCpu(back);
                EXPECT_EQ(result.values(), floatsOf(norm.result));
            }
}

TEST(CpuLayouts, GradientsOfStatisticsAreSumsOverTheSamePixels) {
    PEWTER_NEEDS_CPU();
    Random random(86);
    for (const auto& [n, h, w, c] : kShapes)
        for (const ops::NeuronType neuron : {ops::NeuronType::None, ops::NeuronType::ReLU})
            for (const bool add : {false, true}) {
                Norm norm(random, n, h, w, c);
                OpArray diffGamma = norm.diffGamma, diffBeta = norm.diffBeta;
                ops::BatchNormalizationStatisticsGradient op{norm.src,   norm.diffDst, norm.mean,      norm.variance,
                                                             norm.gamma, norm.beta,    norm.diffGamma, norm.diffBeta,
                                                             0,          {neuron},     add};
                runCpu(op);
                const BlockedImage src(norm.src.view()), diffDst(norm.diffDst.view());
                op.src = src, op.diffDst = diffDst, op.diffGamma = diffGamma, op.diffBeta = diffBeta;
                runCpu(op);
                EXPECT_EQ(diffGamma.values(), norm.diffGamma.values());
                EXPECT_EQ(diffBeta.values(), norm.diffBeta.values());
            }
}

TEST(CpuLayouts, SumsBehindANormalisationOfBlocksGiveTheBitsOfWholePixels) {
    PEWTER_NEEDS_CPU();
    Random random(88);
    for (const auto& [n, h, w, c] : kShapes)
        for (const ops::Neuron& neuron : kNeurons) {
            Norm norm(random, n, h, w, c);
            OpTensor added = norm.src, sum = norm.src;
            added.fillIntegers(random, -3, 4);
            OpArray diffGamma = norm.diffGamma, diffBeta = norm.diffBeta;
            const BlockedImage src(norm.src.view()), addend(added.view()), diffDst(norm.diffDst.view()), result(norm.result.view()),
                diffSum(sum.view());
            ops::BatchNormalizationForward forward{norm.src,  norm.result, norm.mean, norm.variance, norm.gamma,
                                                   norm.beta, 0,           neuron,    added};
            runCpu(forward);
            forward.src = src, forward.dst = result, forward.addend = addend;
            runCpu(forward);
            EXPECT_EQ(result.values(), floatsOf(norm.result));
            ops::BatchNormalizationStatisticsGradient back{norm.src,  norm.diffDst,   norm.mean,     norm.variance, norm.gamma,
                                                           norm.beta, norm.diffGamma, norm.diffBeta, 0,             neuron,
                                                           false,     added,          sum};
            runCpu(back);
            back.src = src, back.diffDst = diffDst, back.addend = addend, back.diffSum = diffSum;
            back.diffGamma = diffGamma, back.diffBeta = diffBeta;
            runCpu(back);
            EXPECT_EQ(diffSum.values(), floatsOf(sum));
            // A sigmoid's sums round, in another order.
            if (neuron.type != ops::NeuronType::Sigmoid) {
                EXPECT_EQ(diffGamma.values(), norm.diffGamma.values());
                EXPECT_EQ(diffBeta.values(), norm.diffBeta.values());
            }
            back.diffSum = diffDst;  // in place
            runCpu(back);
            EXPECT_EQ(diffDst.values(), floatsOf(sum));
        }
}

TEST(CpuLayouts, ElementsInBlocksGiveTheBitsOfElementsInPixels) {
    PEWTER_NEEDS_CPU();
    Random random(87);
    Norm one(random, 2, 5, 7, 48);
    const BlockedImage x(one.src.view()), y(one.diffDst.view()), result(one.result.view());
    const auto expectEqual = [&](auto op, auto setBlocks) {
        runCpu(op);
        setBlocks(op);
        runCpu(op);
        EXPECT_EQ(result.values(), floatsOf(one.result));
    };
    expectEqual(ops::NeuronForward{one.src, one.result, kNeurons[2]}, [&](auto& op) { op.src = x, op.dst = result; });
    expectEqual(ops::NeuronGradient{one.src, one.diffDst, one.result, kNeurons[2]},
                [&](auto& op) { op.src = x, op.diffDst = y, op.diffSrc = result; });
    ops::Arithmetic sum;
    sum.primary = one.src, sum.secondary = one.diffDst, sum.dst = one.result, sum.secondaryScale = 3;
    expectEqual(sum, [&](auto& op) { op.primary = x, op.secondary = y, op.dst = result; });
    ops::ArithmeticGradient gradient;
    gradient.diffDst = one.diffDst, gradient.diffSrc = one.result, gradient.primaryScale = 3;
    expectEqual(gradient, [&](auto& op) { op.diffDst = y, op.diffSrc = result; });
    gradient.type = ops::ArithmeticType::Multiply, gradient.diffDst = one.diffDst, gradient.diffSrc = one.result;
    gradient.other = one.src;
    expectEqual(gradient, [&](auto& op) { op.diffDst = y, op.other = x, op.diffSrc = result; });
}

TEST(CpuLayouts, OnlyWholeFloat32ImagesOfSixteensOfChannelsMayBeInBlocks) {
    PEWTER_NEEDS_CPU();
    const auto images = [](const OpTensor& src, const OpTensor& dst, const ops::Neuron& neuron = {}) {
        return cpuBackend()->layoutCost(ops::NeuronForward{src, dst, neuron}).images.size();
    };
    const auto tensor = [](std::int64_t c, ops::Type type = ops::Type::Float32, Layout layout = Layout::dense()) {
        return OpTensor(type, 2, 3, 4, c, layout);
    };
    EXPECT_EQ(images(tensor(32), tensor(32)), 2U);
    EXPECT_EQ(images(tensor(20), tensor(20)), 0U);
    EXPECT_EQ(images(tensor(32), tensor(32, ops::Type::Float16)), 0U);
    EXPECT_EQ(images(tensor(32, ops::Type::Float32, Layout::gaps()), tensor(32)), 0U);
    const std::vector<float> slopes(32, 0.5F);
    EXPECT_EQ(images(tensor(32), tensor(32), {ops::NeuronType::PReLU, 0, 0, 0, slopes.data()}), 0U);
    ops::Arithmetic sum;
    const OpTensor x = tensor(32), mask = tensor(32, ops::Type::UInt8), row(ops::Type::Float32, 1, 1, 1, 32);
    sum.primary = sum.secondary = sum.dst = x;
    EXPECT_EQ(cpuBackend()->layoutCost(sum).images.size(), 3U);
    sum.secondary = row;
    EXPECT_TRUE(cpuBackend()->layoutCost(sum).images.empty());
    sum.secondary = x, sum.mask = mask;
    EXPECT_TRUE(cpuBackend()->layoutCost(sum).images.empty());
    ops::BatchNormalizationForward normalized{x, x};
    ops::BatchNormalizationStatisticsGradient sums{x, x};
    EXPECT_EQ(cpuBackend()->layoutCost(normalized).images.size(), 2U);
    EXPECT_EQ(cpuBackend()->layoutCost(sums).images.size(), 2U);
    normalized.addend = sums.addend = sums.diffSum = x;
    EXPECT_EQ(cpuBackend()->layoutCost(normalized).images.size(), 3U);
    EXPECT_EQ(cpuBackend()->layoutCost(sums).images.size(), 4U);
    normalized.addend = sums.diffSum = row;
    EXPECT_TRUE(cpuBackend()->layoutCost(normalized).images.empty());
    EXPECT_TRUE(cpuBackend()->layoutCost(sums).images.empty());
    // Too small to be measured, and of groups.
    ops::ConvolutionForward small{x, x, x, {}, {}};
    const OpTensor weights(ops::Type::Float32, 32, 1, 1, 32);
    small.weights = weights;
    EXPECT_TRUE(cpuBackend()->layoutCost(small).images.empty());
}

}  // namespace
}  // namespace pewter::test

#endif
