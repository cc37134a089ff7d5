#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/Matrix.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MPS/Vector.hpp>

#include "TestKernel.h"
#include "WeightedKernels.h"

using namespace pewter::test;
using testing::HasSubstr;

namespace {

using VectorPtr = std::shared_ptr<MPS::Vector>;
using WeightsState = MPS::CNNConvolutionWeightsAndBiasesState;
using GradientState = MPS::CNNConvolutionGradientState;

VectorPtr vectorOf(const Numbers& values) {
    return std::make_shared<MPS::Vector>(
        bufferOf(testDevice(), values),
        MPS::VectorDescriptor::vectorDescriptor(values.size(), MPS::DataType::Float32));
}

std::shared_ptr<GradientState> gradientState(const Numbers& weights, const Numbers& biases) {
    auto state = std::make_shared<GradientState>(MPS::StateOwner::of(testDevice()), weights.size(),
                                                 biases.size(), nullptr);
    writeFloats(*state->gradientForWeights(), weights);
    writeFloats(*state->gradientForBiases(), biases);
    return state;
}

std::shared_ptr<WeightsState> weightsState(const Numbers& weights, const Numbers& biases) {
    return std::make_shared<WeightsState>(bufferOf(testDevice(), weights), bufferOf(testDevice(), biases));
}

}  // namespace

TEST(OptimizerKernel, DefaultsAreThoseOfTheDocumentation) {
    const MPS::NNOptimizerDescriptor d;
    EXPECT_EQ(d.learningRate, 0.001f);
    EXPECT_EQ(d.gradientRescale, 1);
    EXPECT_FALSE(d.applyGradientClipping);
    const MPS::NNOptimizerAdam adam(testDevice(), 0.5f);
    EXPECT_EQ(adam.learningRate(), 0.5f);
    EXPECT_EQ(adam.beta1(), 0.9);
    EXPECT_EQ(adam.beta2(), 0.999);
    EXPECT_EQ(adam.epsilon(), 1e-8f);
    EXPECT_EQ(adam.timeStep(), 0u);
    const MPS::NNOptimizerRMSProp rms(testDevice(), 0.5f);
    EXPECT_EQ(rms.decay(), 0.9);
    const MPS::NNOptimizerStochasticGradientDescent sgd(testDevice(), 0.5f);
    EXPECT_EQ(sgd.momentumScale(), 0);
    EXPECT_FALSE(sgd.useNesterovMomentum());
}

TEST(OptimizerKernel, AnEncodeKeepsTheRateItWasEncodedWith) {
    MPS::NNOptimizerStochasticGradientDescent sgd(testDevice(), 0.5f);
    const auto v = vectorOf({10});
    const auto c = testQueue()->commandBuffer();
    sgd.encode(c, vectorOf({4}), v, VectorPtr(), v);
    sgd.setLearningRate(100);
    finish(c);
    EXPECT_EQ(floatsOf(*v->data())[0], 8);
}

TEST(OptimizerKernel, NegativeRatesAndScalesMakeARunningAverage) {
    // rate -(1 - u), L2 scale -1: v = u v + (1 - u) statistic.
    const auto d =
        MPS::NNOptimizerDescriptor::optimizerDescriptor(-0.25f, 1, MPS::NNRegularizationType::L2, -1);
    MPS::NNOptimizerStochasticGradientDescent sgd(testDevice(), 0, false, d);
    const auto v = vectorOf({8});
    const auto c = testQueue()->commandBuffer();
    sgd.encode(c, vectorOf({4}), v, VectorPtr(), v);
    finish(c);
    EXPECT_EQ(floatsOf(*v->data())[0], 7);
}

TEST(OptimizerKernel, AdamCountsOneStepForEachEncodeThatSucceeds) {
    MPS::NNOptimizerAdam adam(testDevice(), 0.5f);
    const auto c = testQueue()->commandBuffer();
    const auto zeros = [](std::size_t n) { return vectorOf(Numbers(n)); };
    const MPS::OptimizerVectors m = {zeros(2), zeros(1)}, s = {zeros(2), zeros(1)};
    const auto values = weightsState({1, 2}, {3});
    adam.encode(c, gradientState({1, 1}, {1}), values, m, s, values);
    EXPECT_EQ(adam.timeStep(), 1u);
    EXPECT_NE(sentenceOf([&] { adam.encode(c, zeros(2), zeros(3), zeros(3), zeros(3), zeros(3)); }), "");
    EXPECT_EQ(adam.timeStep(), 1u);
    adam.setTimeStep(7);
    adam.encode(c, zeros(2), zeros(2), zeros(2), zeros(2), zeros(2));
    EXPECT_EQ(adam.timeStep(), 8u);
    run(c);
}

TEST(OptimizerKernel, OneVectorLeavesTheBiasesOfTheResultAlone) {
    MPS::NNOptimizerStochasticGradientDescent sgd(testDevice(), 1, false, MPS::NNOptimizerDescriptor());
    sgd.setLearningRate(1);
    const auto result = weightsState({0, 0}, {77});
    const auto c = testQueue()->commandBuffer();
    sgd.encode(c, gradientState({1, 2}, {1}), weightsState({5, 5}, {3}), {vectorOf({0, 0})}, result);
    finish(c);
    EXPECT_EQ(floatsOf(*result->weights()), (Numbers{4, 3}));
    EXPECT_EQ(floatsOf(*result->biases()), Numbers{77});
}

TEST(OptimizerKernel, NoVectorsMeanPlainDescentOnWeightsAndBiases) {
    MPS::NNOptimizerStochasticGradientDescent sgd(testDevice(), 1);
    const auto values = weightsState({5, 5}, {3});
    const auto c = testQueue()->commandBuffer();
    sgd.encode(c, gradientState({1, 2}, {1}), values, {}, values);
    finish(c);
    EXPECT_EQ(floatsOf(*values->weights()), (Numbers{4, 3}));
    EXPECT_EQ(floatsOf(*values->biases()), Numbers{2});
}

TEST(OptimizerKernel, HalfGradientsAndValuesAreComputedInFloat) {
    MPS::NNOptimizerStochasticGradientDescent sgd(testDevice(), 1);
    const std::uint16_t halves[] = {0x4200, 0x3C00};  // 3, 1
    const auto buffer = testDevice()->newBuffer(halves, sizeof(halves));
    const auto half = [&](std::size_t offset) {
        return std::make_shared<MPS::Vector>(
            buffer, offset, MPS::VectorDescriptor::vectorDescriptor(1, MPS::DataType::Float16));
    };
    const auto c = testQueue()->commandBuffer();
    sgd.encode(c, half(2), half(0), VectorPtr(), half(0));
    finish(c);
    EXPECT_EQ(static_cast<const std::uint16_t*>(buffer->contents())[0], 0x4000);
}

TEST(OptimizerKernel, TemporaryStatesAreReadOnceEach) {
    const auto d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 1, 1);
    const auto forward = std::make_shared<MPS::CNNConvolution>(testDevice(), listSource(d, {2}, {1}));
    MPS::CNNConvolutionGradient gradient(testDevice(), forward->dataSource());
    MPS::NNOptimizerStochasticGradientDescent sgd(testDevice(), 1);
    const auto c = testQueue()->commandBuffer();
    const auto x = imageOf(testDevice(), 1, 1, 1, {3}), y = imageOf(testDevice(), 1, 1, 1);
    const auto state = std::dynamic_pointer_cast<GradientState>(forward->temporaryResultState(c, x, {}, y));
    state->setReadCount(2);
    forward->encode(c, x, state, y);
    gradient.encodeWeightGradients(c, {imageOf(testDevice(), 1, 1, 1, {1})}, {x}, {state});
    const auto source = forward->exportWeightsAndBiases(c, true);
    source->setReadCount(2);  // the optimizer, and the reload from it
    sgd.encode(c, state, source, {}, source);
    EXPECT_EQ(state->readCount(), 0u);
    EXPECT_EQ(source->readCount(), 1u);
    forward->reloadWeightsAndBiases(c, source);
    EXPECT_EQ(source->readCount(), 0u);
    forward->encode(c, x, y);
    finish(c);
    EXPECT_EQ(read(*y), Numbers{-3});  // (2 - 3) 3 + (1 - 1)
}

TEST(OptimizerKernel, BadArgumentsAreNamedAndNothingIsEncoded) {
    MPS::NNOptimizerStochasticGradientDescent sgd(testDevice(), 1);
    MPS::NNOptimizerRMSProp rms(testDevice(), 1);
    MPS::NNOptimizerAdam adam(testDevice(), 1);
    const auto c = testQueue()->commandBuffer();
    const Recorded before(c);
    const auto two = vectorOf({1, 2}), three = vectorOf({1, 2, 3});
    EXPECT_THAT(sentenceOf([&] { sgd.encode(nullptr, two, two, VectorPtr(), two); }),
                HasSubstr("commandBuffer"));
    EXPECT_THAT(
        sentenceOf([&] { sgd.encode(c, VectorPtr(), two, two, two); }),
        HasSubstr("NNOptimizerStochasticGradientDescent: inputGradient: expected a vector, found null"));
    EXPECT_THAT(sentenceOf([&] { sgd.encode(c, three, two, VectorPtr(), two); }),
                HasSubstr("inputGradient: expected 2 elements, as in the values, found 3 elements"));
    EXPECT_THAT(sentenceOf([&] { sgd.encode(c, two, two, three, two); }), HasSubstr("inputMomentum"));
    EXPECT_THAT(sentenceOf([&] { rms.encode(c, two, two, VectorPtr(), two); }),
                HasSubstr("inputSumOfSquares"));
    EXPECT_THAT(sentenceOf([&] { adam.encode(c, two, two, two, VectorPtr(), two); }),
                HasSubstr("inputVelocity"));
    const auto ints = std::make_shared<MPS::Vector>(
        testDevice(), MPS::VectorDescriptor::vectorDescriptor(2, MPS::DataType::Int32));
    EXPECT_THAT(sentenceOf([&] { sgd.encode(c, ints, two, VectorPtr(), two); }),
                HasSubstr("inputGradient: expected Float32 or Float16 elements"));
    const auto values = weightsState({1, 2}, {3});
    EXPECT_THAT(sentenceOf([&] { sgd.encode(c, gradientState({1}, {1}), values, {}, values); }),
                HasSubstr("convolutionSourceState: expected 1 weights and 1 biases"));
    EXPECT_THAT(sentenceOf([&] {
                    rms.encode(c, gradientState({1, 1}, {1}), values, {}, values);
                }),
                HasSubstr("inputSumOfSquaresVectors: expected 1 or 2 vectors, found 0"));
    EXPECT_THAT(sentenceOf([&] {
                    adam.encode(c, gradientState({1, 1}, {1}), values, {two}, {two, two}, values);
                }),
                HasSubstr("inputVelocityVectors: expected 1 vectors, as in the other lists, found 2"));
    EXPECT_THAT(sentenceOf([&] { sgd.encode(c, std::shared_ptr<GradientState>(), values, {}, values); }),
                HasSubstr("convolutionGradientState: expected a state, found null"));
    EXPECT_EQ(Recorded(c), before);
    run(c);
}

TEST(OptimizerKernel, VectorsAndMatricesNameBuffersThatAreTooShort) {
    const auto buffer = testDevice()->newBuffer(16);
    EXPECT_THAT(sentenceOf([&] {
                    MPS::Vector(buffer, 4,
                                MPS::VectorDescriptor::vectorDescriptor(4, MPS::DataType::Float32));
                }),
                HasSubstr("Vector: buffer: expected at least 20 bytes, 16 from byte 4, found 16 bytes"));
    EXPECT_THAT(sentenceOf([&] {
                    MPS::Matrix(buffer,
                                MPS::MatrixDescriptor::matrixDescriptor(2, 3, 8, MPS::DataType::Float32));
                }),
                HasSubstr("rowBytes: expected a multiple of 4 of at least 12, found 8"));
    MPS::Matrix(buffer, MPS::MatrixDescriptor::matrixDescriptor(
                            2, 1, 12, MPS::DataType::Float32));  // no padding behind
    EXPECT_EQ(MPS::MatrixDescriptor::rowBytesForColumns(3, MPS::DataType::Float32), 16u);
    EXPECT_EQ(MPS::MatrixDescriptor::rowBytesForColumns(1, MPS::DataType::Float32), 4u);
    EXPECT_EQ(MPS::VectorDescriptor::vectorBytesForLength(5, MPS::DataType::UInt8), 8u);
}

namespace {

struct ScaleSource final : MPS::CNNBatchNormalizationDataSource {
    ScaleSource(float gamma, float beta) : g(gamma), b(beta) {}
    std::size_t numberOfFeatureChannels() const override { return 1; }
    const float* gamma() override { return &g; }
    const float* beta() override { return &b; }
    const float* mean() override { return nullptr; }
    const float* variance() override { return nullptr; }
    bool load() override { return true; }
    void purge() override {}
    std::string label() const override { return "bn"; }
    float g, b;
};

/// A normalisation and its state; gradients() makes those of gamma and beta -1 and 1.
struct Normalized {
    explicit Normalized(float gamma = 3, float beta = 5)
        : kernel(std::make_shared<MPS::CNNBatchNormalization>(testDevice(),
                                                              std::make_shared<ScaleSource>(gamma, beta))),
          state(std::dynamic_pointer_cast<MPS::CNNBatchNormalizationState>(kernel->resultState(x, {}, y))) {}
    void gradients(const std::shared_ptr<MTL::CommandBuffer>& c) {
        MPS::CNNBatchNormalizationStatistics(testDevice()).encodeBatch(c, {x}, state);
        kernel->encodeBatch(c, MPS::ImageBatch{x}, state, MPS::ImageBatch{y});
        // x hat is -1 and 1.
        MPS::CNNBatchNormalizationStatisticsGradient(testDevice())
            .encodeBatch(c, {imageOf(testDevice(), 2, 1, 1, {1, 0})}, {x}, state);
    }

    ImagePtr x = imageOf(testDevice(), 2, 1, 1, {1, 3}), y = imageOf(testDevice(), 2, 1, 1);
    std::shared_ptr<MPS::CNNBatchNormalization> kernel;
    std::shared_ptr<MPS::CNNBatchNormalizationState> state;
};

std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> gammaAndBeta() {
    return std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(bufferOf(testDevice(), {0}),
                                                                    bufferOf(testDevice(), {0}));
}

}  // namespace

TEST(OptimizerKernel, BatchNormalisationStatesUpdateScaleAndBias) {
    Normalized one;
    const auto result = gammaAndBeta();
    MPS::NNOptimizerStochasticGradientDescent sgd(testDevice(), 1);
    const auto c = testQueue()->commandBuffer();
    EXPECT_THAT(
        sentenceOf([&] { sgd.encode(c, one.state, {}, result); }),
        HasSubstr("batchNormalizationState: expected a state that a statistics gradient encode has filled"));
    one.gradients(c);
    sgd.encode(c, one.state, {}, result);
    finish(c);
    EXPECT_EQ(floatsOf(*result->gamma()), Numbers{4});
    EXPECT_EQ(floatsOf(*result->beta()), Numbers{4});
}

/// Gradients of one state, values of another, and every rule with its vectors: what the vector form gives.
TEST(OptimizerKernel, EveryRuleUpdatesNormalisationStatesAsItDoesVectors) {
    const auto check = [](auto make, std::size_t moments) {
        Normalized own, gradients(7, 9);
        const auto c = testQueue()->commandBuffer();
        own.gradients(c);
        gradients.gradients(c);
        const auto oneState = gammaAndBeta(), twoStates = gammaAndBeta();
        std::vector<MPS::OptimizerVectors> lists, again;
        std::vector<VectorPtr> gammas, betas;
        for (std::size_t i = 0; i < moments; ++i) {
            lists.push_back({vectorOf({0.5}), vectorOf({0.25})});
            again.push_back({vectorOf({0.5}), vectorOf({0.25})});
            gammas.push_back(vectorOf({0.5}));
            betas.push_back(vectorOf({0.25}));
        }
        make(c, own.state, nullptr, lists, oneState);
        make(c, gradients.state, own.state, again, twoStates);
        const auto gamma = vectorOf({3}), beta = vectorOf({5});
        make(c, vectorOf({-1}), gamma, gammas);
        make(c, vectorOf({1}), beta, betas);
        finish(c);
        for (const auto& result : {oneState, twoStates}) {
            EXPECT_EQ(floatsOf(*result->gamma()), floatsOf(*gamma->data()));
            EXPECT_EQ(floatsOf(*result->beta()), floatsOf(*beta->data()));
        }
        for (std::size_t i = 0; i < moments; ++i)
            for (const auto& list : {lists[i], again[i]}) {
                EXPECT_EQ(floatsOf(*list[0]->data()), floatsOf(*gammas[i]->data()));
                EXPECT_EQ(floatsOf(*list[1]->data()), floatsOf(*betas[i]->data()));
            }
    };
    using StatePtr = std::shared_ptr<MPS::CNNBatchNormalizationState>;
    using ResultPtr = std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState>;
    using Commands = std::shared_ptr<MTL::CommandBuffer>;
    using Lists = std::vector<MPS::OptimizerVectors>;
    const auto d =
        MPS::NNOptimizerDescriptor::optimizerDescriptor(0.125f, 1, MPS::NNRegularizationType::L2, 0.5f);

    struct Momentum {
        MPS::NNOptimizerDescriptor d;
        void operator()(const Commands& c, const StatePtr& g, const StatePtr& v, const Lists& m,
                        const ResultPtr& r) const {
            MPS::NNOptimizerStochasticGradientDescent sgd(testDevice(), 0.5f, true, d);
            v ? sgd.encode(c, g, v, m[0], r) : sgd.encode(c, g, m[0], r);
        }
        void operator()(const Commands& c, const VectorPtr& g, const VectorPtr& v,
                        const std::vector<VectorPtr>& m) const {
            MPS::NNOptimizerStochasticGradientDescent(testDevice(), 0.5f, true, d).encode(c, g, v, m[0], v);
        }
    };
    check(Momentum{d}, 1);
    struct Squares {
        MPS::NNOptimizerDescriptor d;
        void operator()(const Commands& c, const StatePtr& g, const StatePtr& v, const Lists& m,
                        const ResultPtr& r) const {
            MPS::NNOptimizerRMSProp rms(testDevice(), 0.5, 0.125f, d);
            v ? rms.encode(c, g, v, m[0], r) : rms.encode(c, g, m[0], r);
        }
        void operator()(const Commands& c, const VectorPtr& g, const VectorPtr& v,
                        const std::vector<VectorPtr>& m) const {
            MPS::NNOptimizerRMSProp(testDevice(), 0.5, 0.125f, d).encode(c, g, v, m[0], v);
        }
    };
    check(Squares{d}, 1);
    struct Adam {
        MPS::NNOptimizerDescriptor d;
        void operator()(const Commands& c, const StatePtr& g, const StatePtr& v, const Lists& m,
                        const ResultPtr& r) const {
            MPS::NNOptimizerAdam adam(testDevice(), 0.5, 0.75, 0.125f, 3, d);
            if (m.size() == 2)
                v ? adam.encode(c, g, v, m[0], m[1], r) : adam.encode(c, g, m[0], m[1], r);
            else
                v ? adam.encode(c, g, v, m[0], m[1], m[2], r) : adam.encode(c, g, m[0], m[1], m[2], r);
            EXPECT_EQ(adam.timeStep(), 4u);  // one encode of two parameters, one step
        }
        void operator()(const Commands& c, const VectorPtr& g, const VectorPtr& v,
                        const std::vector<VectorPtr>& m) const {
            MPS::NNOptimizerAdam adam(testDevice(), 0.5, 0.75, 0.125f, 3, d);
            m.size() == 2 ? adam.encode(c, g, v, m[0], m[1], v) : adam.encode(c, g, v, m[0], m[1], m[2], v);
        }
    };
    check(Adam{d}, 2);
    check(Adam{d}, 3);
}

TEST(OptimizerKernel, CopiesKeepEverySetting) {
    const auto d = MPS::NNOptimizerDescriptor::optimizerDescriptor(0.5f, 2, true, 3, -4,
                                                                   MPS::NNRegularizationType::L1, 5);
    const auto common = [](const MPS::NNOptimizer& o, const DevicePtr& device) {
        EXPECT_EQ(o.device(), device);
        EXPECT_EQ(o.learningRate(), 0.5f);
        EXPECT_EQ(o.gradientRescale(), 2);
        EXPECT_TRUE(o.applyGradientClipping());
        EXPECT_EQ(o.gradientClipMax(), 3);
        EXPECT_EQ(o.gradientClipMin(), -4);
        EXPECT_EQ(o.regularizationType(), MPS::NNRegularizationType::L1);
        EXPECT_EQ(o.regularizationScale(), 5);
    };
    for (const auto& device : weightedDevices()) {
        const MPS::NNOptimizerStochasticGradientDescent sgd(testDevice(), 0.25f, true, d);
        const auto sgdCopy =
            std::dynamic_pointer_cast<MPS::NNOptimizerStochasticGradientDescent>(sgd.copy(device));
        common(*sgdCopy, device);
        EXPECT_EQ(sgdCopy->momentumScale(), 0.25f);
        EXPECT_TRUE(sgdCopy->useNesterovMomentum());
        EXPECT_TRUE(sgdCopy->useNestrovMomentum());
        const MPS::NNOptimizerRMSProp rms(testDevice(), 0.75, 0.125f, d);
        const auto rmsCopy = std::dynamic_pointer_cast<MPS::NNOptimizerRMSProp>(rms.copy(device));
        common(*rmsCopy, device);
        EXPECT_EQ(rmsCopy->decay(), 0.75);
        EXPECT_EQ(rmsCopy->epsilon(), 0.125f);
        MPS::NNOptimizerAdam adam(testDevice(), 0.5, 0.75, 0.125f, 7, d);
        const auto adamCopy = std::dynamic_pointer_cast<MPS::NNOptimizerAdam>(adam.copy(device));
        adam.setTimeStep(0);
        common(*adamCopy, device);
        EXPECT_EQ(adamCopy->beta1(), 0.5);
        EXPECT_EQ(adamCopy->beta2(), 0.75);
        EXPECT_EQ(adamCopy->epsilon(), 0.125f);
        EXPECT_EQ(adamCopy->timeStep(), 7u);
    }
}
