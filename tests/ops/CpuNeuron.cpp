// Neurons of the cpu device against the oracle.

#include <cmath>

#include "backends/cpu/vector/Neuron.h"
#include "backends/reference/NeuronFunction.h"
#include "ops/CpuPointwise.h"

namespace pewter::test {
namespace {

using enum ops::NeuronType;
constexpr int kTypes = 16;

class CpuNeuron : public CpuOps {};

/// A neuron of type number `index` with drawn parameters for which inputs of [-4, 4) are legal.
ops::Neuron drawNeuron(Random& random, int index, const std::vector<float>& slopes) {
    ops::Neuron f;
    f.type = static_cast<ops::NeuronType>(index);
    f.a = static_cast<float>(random.uniform(-1.5, 1.5));
    f.b = static_cast<float>(random.uniform(-1.5, 1.5));
    f.c = static_cast<float>(random.uniform(0.3, 2.5));
    switch (f.type) {
        case ReLU:
            f.a = random.coin() ? 0 : f.a;
            break;
        case ReLUN:
            f.a = random.coin() ? 0 : f.a;
            break;
        case PReLU:
            f.slopes = slopes.data();
            break;
        case Power:
            f.c = static_cast<float>(random.integer(1, 4));
            break;
        case Exponential:
            f.c = random.coin() ? -1 : f.c;
            break;
        case Logarithm:
            // a x + b stays positive; bases near 1 would only scale everything up.
            f.a = static_cast<float>(random.uniform(-0.5, 0.5));
            f.b = static_cast<float>(random.uniform(2.5, 4));
            f.c = random.coin() ? -1 : static_cast<float>(random.uniform(2, 3));
            break;
        default:
            break;
    }
    return f;
}

/// How far fn(neuron, x) moves when x and b are off by two roundings: what the error of a*x+b becomes.
template <class Fn>
double conditioning(const ops::Neuron& f, double x, Fn fn) {
    const double here = fn(f, x);
    double sum = 0;
    for (const double factor : {1 + 2 * kEpsilon, 1 - 2 * kEpsilon}) {
        ops::Neuron off = f;
        off.b = static_cast<float>(f.b * factor);
        const double moved = std::fabs(fn(f, x * factor) - here), shifted = std::fabs(fn(off, x) - here);
        sum += (std::isnan(moved) ? 0 : moved) + (std::isnan(shifted) ? 0 : shifted);
    }
    return sum;
}

double forwardError(const ops::Neuron& f, double x, std::int64_t channel) {
    const double y = std::fabs(reference::neuron(f, x, channel));
    // The normal distribution's tail carries the rounding of x^2/2.
    const double factor = f.type == GeLU ? 6 + x * x : 6;
    return factor * kEpsilon * y + conditioning(f, x, [=](const ops::Neuron& g, double at) {
               return reference::neuron(g, at, channel);
           });
}

double gradientError(const ops::Neuron& f, double x, std::int64_t channel) {
    double size = std::fabs(reference::neuronDerivative(f, x, channel));
    if (f.type == GeLU)  // two terms that may cancel
        size = 0.5 * std::erfc(-x / std::sqrt(2.0)) + std::fabs(x) * (1 + x * x) * 0.4 * std::exp(-x * x / 2);
    return 8 * kEpsilon * size + conditioning(f, x, [=](const ops::Neuron& g, double at) {
               return reference::neuronDerivative(g, at, channel);
           });
}

std::string nameOf(const ops::Neuron& f) {
    return "neuron " + std::to_string(static_cast<int>(f.type)) + " a=" + std::to_string(f.a) +
           " b=" + std::to_string(f.b) + " c=" + std::to_string(f.c) + " ";
}

TEST_F(CpuNeuron, ForwardAgreesWithReference) {
    Random random(101);
    Comparison worst("NeuronForward");
    for (int i = 0; i < kCases; ++i) {
        const Shape shape = drawShape(random);
        std::vector<float> slopes(static_cast<std::size_t>(shape.c));
        for (float& slope : slopes) slope = static_cast<float>(random.uniform(-1, 1));
        const ops::Neuron f = drawNeuron(random, i % kTypes, slopes);
        const OpTensor src = drawTensor(random, shape, -4, 4);
        OpTensor dst = drawTensor(random, shape), expected = dst;
        run(ops::NeuronForward{src, dst, f});
        runReference(ops::NeuronForward{src, expected, f});
        const std::vector<double> x = src.values();
        worst.check(dst, expected, nameOf(f) + describe(src) + " to " + describe(dst), [&](std::size_t k) {
            return forwardError(f, x[k], static_cast<std::int64_t>(k) % shape.c);
        });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuNeuron, GradientAgreesWithReference) {
    Random random(102);
    Comparison worst("NeuronGradient");
    for (int i = 0; i < kCases; ++i) {
        const Shape shape = drawShape(random);
        std::vector<float> slopes(static_cast<std::size_t>(shape.c));
        for (float& slope : slopes) slope = static_cast<float>(random.uniform(-1, 1));
        const ops::Neuron f = drawNeuron(random, i % kTypes, slopes);
        const OpTensor src = drawTensor(random, shape, -4, 4), diffDst = drawTensor(random, shape, -2, 2);
        OpTensor diffSrc = drawTensor(random, shape), expected = diffSrc;
        run(ops::NeuronGradient{src, diffDst, diffSrc, f});
        runReference(ops::NeuronGradient{src, diffDst, expected, f});
        const std::vector<double> x = src.values(), g = diffDst.values();
        worst.check(
            diffSrc, expected, nameOf(f) + describe(src) + " to " + describe(diffSrc), [&](std::size_t k) {
                return std::fabs(g[k]) * gradientError(f, x[k], static_cast<std::int64_t>(k) % shape.c);
            });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuNeuron, WorksInPlace) {
    Random random(103);
    for (int i = 0; i < 4 * kTypes; ++i) {
        const Shape shape{2, 5, 7, 9};
        const std::vector<float> slopes(9, 0.25f);
        const ops::Neuron f = drawNeuron(random, i % kTypes, slopes);
        const OpTensor src = drawTensor(random, shape, -4, 4),
                       diffDst = src.as(src.type(), drawLayout(random));
        OpTensor data = src, apart(src.type(), 2, 5, 7, 9), diff = diffDst, diffApart = apart;
        run(ops::NeuronForward{src, apart, f});
        run(ops::NeuronForward{data, data, f});
        run(ops::NeuronGradient{src, diffDst, diffApart, f});
        run(ops::NeuronGradient{src, diff, diff, f});
        for (std::int64_t k = 0; k < src.count(); ++k) {
            ASSERT_TRUE(data.at(k) == apart.at(k) || std::isnan(apart.at(k))) << nameOf(f) << k;
            ASSERT_TRUE(diff.at(k) == diffApart.at(k) || std::isnan(diffApart.at(k))) << nameOf(f) << k;
        }
    }
}

/// Infinities, NaN, zeros and the ends of the range go through as the oracle says, whatever the lane.
TEST_F(CpuNeuron, ExtremeInputsGiveTheValuesOfTheOracle) {
    const double inf = HUGE_VAL;
    const std::vector<double> values = {-inf,   inf,   0, -0.0, std::nan(""), -90, 90,
                                        -1e-30, 1e-30, 1, -1,   500,          -500};
    std::vector<double> x;
    for (int i = 0; i < 40; ++i) x.push_back(values[static_cast<std::size_t>(i) % values.size()]);
    const std::vector<float> slopes = {0};
    for (int type = 0; type < kTypes; ++type) {
        ops::Neuron f{static_cast<ops::NeuronType>(type), 0, 6, -1, slopes.data()};
        if (f.type == Logarithm || f.type == Linear || f.type == HardSigmoid || f.type == Power) f.a = 1;
        if (f.type == Power) f.c = 3;
        if (f.type == Logarithm) f.b = 0;
        if (f.type == ELU || f.type == SoftPlus || f.type == TanH || f.type == Exponential) f.a = f.b = 1;
        const OpTensor src(ops::Type::Float32, 1, 1, 40, 1, x);
        OpTensor dst(ops::Type::Float32, 1, 1, 40, 1), expected = dst;
        run(ops::NeuronForward{src, dst, f});
        runReference(ops::NeuronForward{src, expected, f});
        for (std::int64_t i = 0; i < 40; ++i) {
            const double want = expected.at(i), got = dst.at(i);
            // GeLU: the oracle has -inf * 0 there.
            if (f.type == GeLU && src.at(i) == -inf) continue;
            if (std::isnan(want))
                EXPECT_TRUE(std::isnan(got)) << "neuron " << type << " of " << src.at(i) << " is " << got;
            else if (std::isinf(want))
                EXPECT_EQ(got, want) << "neuron " << type << " of " << src.at(i);
            else
                EXPECT_NEAR(got, want, 100 * kEpsilon * std::fabs(want) + 1e-37)
                    << "neuron " << type << " of " << src.at(i);
        }
    }
}

TEST_F(CpuNeuron, ReLUIsExact) {
    const std::vector<double> x = {-3, -1, 0, 2, 5};
    const OpTensor src(ops::Type::Float32, 1, 1, 5, 1, x);
    const OpTensor diffDst(ops::Type::Float32, 1, 1, 5, 1, {1, 2, 3, 4, 5});
    OpTensor dst(ops::Type::Float32, 1, 1, 5, 1), diffSrc = dst;
    run(ops::NeuronForward{src, dst, {ReLU, 0.5f, 0, 0, nullptr}});
    EXPECT_EQ(dst.values(), (std::vector<double>{-1.5, -0.5, 0, 2, 5}));
    run(ops::NeuronGradient{src, diffDst, diffSrc, {ReLU, 0.5f, 0, 0, nullptr}});
    EXPECT_EQ(diffSrc.values(), (std::vector<double>{0.5, 1, 3, 4, 5}));
}

/// The copies for older processors are compiled from the same lines, but not by the same instructions.
TEST(CpuInstructionSets, EveryCopyOfTheNeuronsAgrees) {
#if defined(__x86_64__) && defined(PEWTER_HAVE_CPU)
    Random random(104);
    std::vector<float> x(333), g(333), slopes(333);
    for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = static_cast<float>(random.uniform(-4, 4));
        g[i] = static_cast<float>(random.uniform(-2, 2));
        slopes[i] = 0.25f;
    }
    const auto count = static_cast<std::int64_t>(x.size());
    std::vector<float> base(x.size()), other(x.size());
    const auto compare = [&](const ops::Neuron& f, bool gradient) {
        for (std::size_t i = 0; i < x.size(); ++i) {
            if (std::isnan(base[i]) && std::isnan(other[i])) continue;
            const double bound =
                gradient ? std::fabs(g[i]) * gradientError(f, x[i], 0) : forwardError(f, x[i], 0);
            ASSERT_NEAR(base[i], other[i], 2 * bound + 1e-37) << nameOf(f) << x[i];
        }
    };
    const std::vector<float> slope = {0.25f};
    for (int i = 0; i < 10 * kTypes; ++i) {
        ops::Neuron f = drawNeuron(random, i % kTypes, slope);
        const bool hasAvx2 = cpu::isa() != cpu::Isa::Baseline, hasAvx512 = cpu::isa() == cpu::Isa::Avx512;
        cpu::baseline::neuronForward(f, slopes.data(), x.data(), base.data(), count);
        if (hasAvx2)
            cpu::avx2::neuronForward(f, slopes.data(), x.data(), other.data(), count), compare(f, false);
        if (hasAvx512)
            cpu::avx512::neuronForward(f, slopes.data(), x.data(), other.data(), count), compare(f, false);
        cpu::baseline::neuronGradient(f, slopes.data(), x.data(), g.data(), base.data(), count);
        if (hasAvx2)
            cpu::avx2::neuronGradient(f, slopes.data(), x.data(), g.data(), other.data(), count),
                compare(f, true);
        if (hasAvx512)
            cpu::avx512::neuronGradient(f, slopes.data(), x.data(), g.data(), other.data(), count),
                compare(f, true);
        if (HasFatalFailure()) return;
    }
#endif
}

}  // namespace
}  // namespace pewter::test
