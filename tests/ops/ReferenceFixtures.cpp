// The oracle against values and gradients that PyTorch computed in float64.

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

#include "support/Compare.h"
#include "support/Fixtures.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;
/// Both sides compute in double; what differs is the order of at most a few hundred additions.
constexpr double kTolerance = 1e-10;

#define EXPECT_CLOSE(actual, expected) EXPECT_TRUE(allNear(actual, expected, kTolerance)) << name

OpTensor like(const OpTensor& t) {
    const ops::Tensor view = t.view();
    return {kType, view.n, view.h, view.w, view.c};
}

template <class Visitor>
void forEachCase(const Json& cases, Visitor visit) {
    ASSERT_FALSE(cases.empty());
    for (const Json& one : cases) visit(one, one.at("name").get<std::string>());
}

ops::Window windowOf(const Json& one) {
    ops::Window window;
    window.width = one.at("kernelWidth");
    window.height = one.at("kernelHeight");
    window.strideX = one.at("strideX");
    window.strideY = one.at("strideY");
    window.dilationX = one.at("dilationX");
    window.dilationY = one.at("dilationY");
    window.padLeft = one.at("padLeft");
    window.padTop = one.at("padTop");
    return window;
}

TEST(ReferenceFixtures, ConvolutionAndItsGradientsAgreeWithPyTorch) {
    forEachCase(fixture("convolution").at("cases"), [](const Json& one, const std::string& name) {
        const OpTensor x = tensorOf(one.at("x")), w = tensorOf(one.at("w")), g = tensorOf(one.at("g"));
        const OpArray b = arrayOf(one.at("b"));
        const ops::Window window = windowOf(one);
        const std::int64_t groups = one.at("groups");
        OpTensor y = like(g), dx = like(x), dw = like(w);
        OpArray db(kType, b.size());
        runReference(ops::ConvolutionForward{x, w, y, b, window, groups, {}});
        runReference(ops::ConvolutionDataGradient{g, w, dx, window, groups});
        runReference(ops::ConvolutionWeightsGradient{x, g, dw, db, window, groups, false});
        EXPECT_CLOSE(y.values(), numbers(one.at("y")));
        EXPECT_CLOSE(dx.values(), numbers(one.at("dx")));
        EXPECT_CLOSE(dw.values(), numbers(one.at("dw")));
        EXPECT_CLOSE(db.values(), numbers(one.at("db")));
    });
}

TEST(ReferenceFixtures, ConvolutionWithNeuronAgreesWithPyTorch) {
    forEachCase(fixture("convolution").at("fusedNeuronCases"), [](const Json& one, const std::string& name) {
        const OpTensor x = tensorOf(one.at("x")), w = tensorOf(one.at("w"));
        OpTensor y = like(tensorOf(one.at("y")));
        const std::int64_t groups = one.at("groups");
        const OpArray b = arrayOf(one.at("b"));
        runReference(ops::ConvolutionForward{x, w, y, b, windowOf(one), groups, neuronOf(one.at("neuron"))});
        EXPECT_CLOSE(y.values(), numbers(one.at("y")));
    });
}

TEST(ReferenceFixtures, FullyConnectedAgreesWithPyTorch) {
    forEachCase(fixture("fully_connected").at("cases"), [](const Json& one, const std::string& name) {
        const OpTensor x = tensorOf(one.at("x")), w = tensorOf(one.at("w")), g = tensorOf(one.at("g"));
        const OpArray b = arrayOf(one.at("b"));
        OpTensor y = like(g), dx = like(x), dw = like(w);
        OpArray db(kType, b.size());
        runReference(ops::FullyConnectedForward{x, w, y, b, {}});
        runReference(ops::FullyConnectedDataGradient{g, w, dx});
        runReference(ops::FullyConnectedWeightsGradient{x, g, dw, db, false});
        EXPECT_CLOSE(y.values(), numbers(one.at("y")));
        EXPECT_CLOSE(dx.values(), numbers(one.at("dx")));
        EXPECT_CLOSE(dw.values(), numbers(one.at("dw")));
        EXPECT_CLOSE(db.values(), numbers(one.at("db")));
    });
}

TEST(ReferenceFixtures, PoolingAgreesWithPyTorch) {
    forEachCase(fixture("pooling").at("cases"), [](const Json& one, const std::string& name) {
        const OpTensor x = tensorOf(one.at("x")), g = tensorOf(one.at("g"));
        ops::Window window = windowOf(one);
        window.edge = one.at("edgeMode") == "Clamp" ? ops::Edge::Clamp : ops::Edge::Zero;
        const auto type = one.at("type") == "max" ? ops::PoolingType::Max : ops::PoolingType::Average;
        const std::int64_t padX = one.at("zeroPadSizeX"), padY = one.at("zeroPadSizeY");
        OpTensor y = like(g), dx = like(x);
        runReference(ops::PoolingForward{type, x, y, window, padX, padY});
        runReference(ops::PoolingGradient{type, x, g, dx, window, padX, padY});
        EXPECT_CLOSE(y.values(), numbers(one.at("y")));
        EXPECT_CLOSE(dx.values(), numbers(one.at("dx")));
    });
}

TEST(ReferenceFixtures, NeuronsAgreeWithPyTorch) {
    forEachCase(fixture("neuron").at("cases"), [](const Json& one, const std::string& name) {
        const OpTensor x = tensorOf(one.at("x")), g = tensorOf(one.at("g"));
        ops::Neuron neuron = neuronOf(one);
        EXPECT_EQ(static_cast<int>(neuron.type), one.at("value").get<int>()) << name;
        std::vector<float> slopes;
        if (neuron.type == ops::NeuronType::PReLU) {
            const auto values = numbers(one.at("slopes"));
            slopes.assign(values.begin(), values.end());
            neuron.slopes = slopes.data();
        }
        OpTensor y = like(x), dx = like(x), derivative = like(x), ones = like(x);
        ones.fill(1);
        runReference(ops::NeuronForward{x, y, neuron});
        runReference(ops::NeuronGradient{x, g, dx, neuron});
        runReference(ops::NeuronGradient{x, ones, derivative, neuron});
        EXPECT_CLOSE(y.values(), numbers(one.at("y")));
        EXPECT_CLOSE(dx.values(), numbers(one.at("dx")));
        EXPECT_CLOSE(derivative.values(), numbers(one.at("derivative")));
    });
}

TEST(ReferenceFixtures, SoftMaxAgreesWithPyTorch) {
    forEachCase(fixture("softmax").at("cases"), [](const Json& one, const std::string& name) {
        const OpTensor x = tensorOf(one.at("x")), g = tensorOf(one.at("g"));
        const bool logarithm = one.at("type") == "LogSoftMax";
        OpTensor y = like(x), dx = like(x);
        runReference(ops::SoftMaxForward{x, y, logarithm});
        runReference(ops::SoftMaxGradient{y, g, dx, logarithm});
        EXPECT_CLOSE(y.values(), numbers(one.at("y")));
        EXPECT_CLOSE(dx.values(), numbers(one.at("dx")));
    });
}

TEST(ReferenceFixtures, BatchNormalizationInTrainingAgreesWithPyTorch) {
    forEachCase(fixture("batch_normalization").at("cases"), [](const Json& one, const std::string& name) {
        const OpTensor x = tensorOf(one.at("x")), g = tensorOf(one.at("g"));
        const OpArray gamma = arrayOf(one.at("gamma")), beta = arrayOf(one.at("beta"));
        const float epsilon = one.at("epsilon");
        const ops::Neuron neuron = neuronOf(one.at("neuron"));
        OpArray mean(kType, gamma.size()), variance = mean, dgamma = mean, dbeta = mean;
        OpTensor y = like(x), dx = like(x);
        runReference(ops::BatchNormalizationStatistics{x, mean, variance, 0});
        runReference(ops::BatchNormalizationForward{x, y, mean, variance, gamma, beta, epsilon, neuron});
        runReference(ops::BatchNormalizationStatisticsGradient{x, g, mean, variance, gamma, beta, dgamma,
                                                               dbeta, epsilon, neuron, false});
        const std::int64_t pixels = x.count() / gamma.size();
        runReference(ops::BatchNormalizationGradient{x, g, dx, mean, variance, gamma, beta, dgamma, dbeta,
                                                     epsilon, neuron, pixels, false});
        EXPECT_CLOSE(mean.values(), numbers(one.at("mean")));
        EXPECT_CLOSE(variance.values(), numbers(one.at("variance")));
        EXPECT_CLOSE(y.values(), numbers(one.at("y")));
        EXPECT_CLOSE(dgamma.values(), numbers(one.at("dgamma")));
        EXPECT_CLOSE(dbeta.values(), numbers(one.at("dbeta")));
        EXPECT_CLOSE(dx.values(), numbers(one.at("dx")));
    });
}

TEST(ReferenceFixtures, BatchNormalizationInInferenceAgreesWithPyTorch) {
    forEachCase(
        fixture("batch_normalization").at("inferenceCases"), [](const Json& one, const std::string& name) {
            const OpTensor x = tensorOf(one.at("x"));
            OpTensor y = like(x);
            const OpArray mean = arrayOf(one.at("mean")), variance = arrayOf(one.at("variance"));
            const OpArray gamma = arrayOf(one.at("gamma")), beta = arrayOf(one.at("beta"));
            const float epsilon = one.at("epsilon");
            runReference(ops::BatchNormalizationForward{x, y, mean, variance, gamma, beta, epsilon, {}});
            EXPECT_CLOSE(y.values(), numbers(one.at("y")));
        });
}

TEST(ReferenceFixtures, ArithmeticAndItsGradientsAgreeWithPyTorch) {
    forEachCase(fixture("arithmetic").at("cases"), [](const Json& one, const std::string& name) {
        const OpTensor p = tensorOf(one.at("primary")), s = tensorOf(one.at("secondary")),
                       g = tensorOf(one.at("g"));
        const std::string typeName = one.at("type");
        ops::Arithmetic forward;
        forward.type = typeName == "Add"        ? ops::ArithmeticType::Add
                       : typeName == "Subtract" ? ops::ArithmeticType::Subtract
                       : typeName == "Multiply" ? ops::ArithmeticType::Multiply
                                                : ops::ArithmeticType::Divide;
        const ops::Tensor extents = g;
        auto wide = [&](const OpTensor& t) {
            return broadcast(t, extents.n, extents.h, extents.w, extents.c);
        };
        OpTensor result = like(g), mask(ops::Type::UInt8, extents.n, extents.h, extents.w, extents.c);
        forward.primary = wide(p);
        forward.secondary = wide(s);
        forward.dst = result;
        forward.mask = mask;
        forward.primaryScale = one.at("primaryScale");
        forward.secondaryScale = one.at("secondaryScale");
        forward.bias = one.at("bias");
        if (!one.at("minimumValue").is_null()) forward.minimum = one.at("minimumValue");
        if (!one.at("maximumValue").is_null()) forward.maximum = one.at("maximumValue");
        runReference(forward);
        EXPECT_CLOSE(result.values(), numbers(one.at("result")));
        if (forward.type == ops::ArithmeticType::Divide) return;  // has no gradient here

        OpTensor dp = like(p), ds = like(s);
        ops::ArithmeticGradient toPrimary{forward.type, g, {}, mask, dp, forward.primaryScale, 1};
        ops::ArithmeticGradient toSecondary{forward.type, g, {}, mask, ds, forward.secondaryScale, 1};
        if (forward.type == ops::ArithmeticType::Subtract) toSecondary.primaryScale *= -1;
        if (forward.type == ops::ArithmeticType::Multiply) {
            toPrimary.other = forward.secondary;
            toPrimary.secondaryScale = forward.secondaryScale;
            toSecondary.other = forward.primary;
            toSecondary.secondaryScale = forward.primaryScale;
        }
        runReference(toPrimary);
        runReference(toSecondary);
        EXPECT_CLOSE(dp.values(), numbers(one.at("dPrimary")));
        EXPECT_CLOSE(ds.values(), numbers(one.at("dSecondary")));
    });
}

TEST(ReferenceFixtures, LossesAndEveryReductionAgreeWithPyTorch) {
    forEachCase(fixture("loss").at("cases"), [](const Json& one, const std::string& name) {
        const OpTensor y = tensorOf(one.at("source")), t = tensorOf(one.at("labels"));
        const OpTensor w = tensorOf(one.at("weights"));
        ops::Loss op;
        op.function.type = static_cast<ops::LossType>(one.at("value").get<std::uint32_t>());
        op.function.weight = one.at("weight");
        op.function.labelSmoothing = one.at("labelSmoothing");
        op.function.numberOfClasses = one.at("numberOfClasses");
        op.function.epsilon = one.at("epsilon");
        op.function.delta = one.at("delta");
        op.src = y;
        op.labels = t;
        op.weights = w;
        const std::int64_t images = op.src.n;

        auto check = [&](ops::ReductionType reduction, bool acrossBatch, const char* key) {
            const Json& expected = one.at(key);
            if (expected.is_null()) return;
            const bool none = reduction == ops::ReductionType::None;
            OpTensor gradient = like(y), loss = none ? like(y) : OpTensor(kType, images, 1, 1, 1);
            op.reduction.type = reduction;
            op.reduction.acrossBatch = acrossBatch;
            op.gradient = gradient;
            op.loss = loss;
            runReference(op);
            std::vector<double> values(static_cast<std::size_t>(images), 0.0);
            if (expected.is_number()) values[0] = expected;
            EXPECT_TRUE(allNear(loss.values(), expected.is_number() ? values : numbers(expected), kTolerance))
                << name << ", " << key;
            EXPECT_CLOSE(gradient.values(), numbers(one.at("gradient")));
        };
        check(ops::ReductionType::None, false, "loss");
        check(ops::ReductionType::Sum, false, "sum");
        check(ops::ReductionType::Sum, true, "sumAcrossBatch");
        check(ops::ReductionType::Mean, false, "mean");
        check(ops::ReductionType::Mean, true, "meanAcrossBatch");
        check(ops::ReductionType::SumByNonZeroWeights, false, "sumByNonZeroWeights");
        check(ops::ReductionType::SumByNonZeroWeights, true, "sumByNonZeroWeightsAcrossBatch");
    });
}

TEST(ReferenceFixtures, OptimizersFollowPyTorchStepByStep) {
    forEachCase(fixture("optimizer").at("cases"), [](const Json& one, const std::string& name) {
        OpArray values = arrayOf(one.at("v"));
        OpArray first(kType, values.size()), second = first, third = first;
        ops::OptimizerStep op;
        op.values = op.result = values;
        op.rescale = one.at("gradientRescale");
        op.clip = one.at("applyGradientClipping");
        if (op.clip) {
            op.clipMin = one.at("gradientClipMin");
            op.clipMax = one.at("gradientClipMax");
        }
        const std::string regularization = one.at("regularizationType"), type = one.at("type");
        op.regularization = regularization == "L1"   ? ops::RegularizationType::L1
                            : regularization == "L2" ? ops::RegularizationType::L2
                                                     : ops::RegularizationType::None;
        op.regularizationScale = one.at("regularizationScale");
        if (type == "SGD") {
            op.momentum = one.at("momentumScale");
            op.nesterov = one.at("useNesterovMomentum");
            if (op.momentum != 0) op.first = first;
        } else if (type == "RMSProp") {
            op.type = ops::OptimizerType::RMSProp;
            op.decay = one.at("decay");
            op.epsilon = one.at("epsilon");
            op.first = first;
        } else {
            op.type = ops::OptimizerType::Adam;
            op.beta1 = one.at("beta1");
            op.beta2 = one.at("beta2");
            op.epsilon = one.at("epsilon");
            op.first = first;
            op.second = second;
            if (one.at("amsgrad").get<bool>()) op.third = third;
        }
        int step = type == "Adam" ? one.at("timeStep").get<int>() : 0;
        std::size_t i = 0;
        for (const Json& expected : one.at("steps")) {
            const OpArray gradient = arrayOf(expected.at("gradient"));
            op.gradient = gradient;
            op.rate = one.at("learningRates").at(i++);
            ++step;
            if (type == "Adam")
                op.rate *= std::sqrt(1 - std::pow(op.beta2, step)) / (1 - std::pow(op.beta1, step));
            runReference(op);
            EXPECT_CLOSE(values.values(), numbers(expected.at("v")));
            if (type == "SGD" && !op.first.isNull()) {
                EXPECT_CLOSE(first.values(), numbers(expected.at("momentum")));
            }
            if (type == "RMSProp") {
                EXPECT_CLOSE(first.values(), numbers(expected.at("sumOfSquares")));
            }
            if (type == "Adam") {
                EXPECT_CLOSE(first.values(), numbers(expected.at("momentum")));
                EXPECT_CLOSE(second.values(), numbers(expected.at("velocity")));
                if (!op.third.isNull()) {
                    EXPECT_CLOSE(third.values(), numbers(expected.at("maximumVelocity")));
                }
            }
        }
    });
}

}  // namespace
}  // namespace pewter::test
