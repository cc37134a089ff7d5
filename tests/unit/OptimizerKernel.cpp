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

TEST(OptimizerKernel, BatchNormalisationStatesUpdateScaleAndBias) {
    struct Source final : MPS::CNNBatchNormalizationDataSource {
        std::size_t numberOfFeatureChannels() const override { return 1; }
        const float* gamma() override { return &g; }
        const float* beta() override { return &b; }
        const float* mean() override { return nullptr; }
        const float* variance() override { return nullptr; }
        bool load() override { return true; }
        void purge() override {}
        std::string label() const override { return "bn"; }
        float g = 3, b = 5;
    };
    const auto kernel =
        std::make_shared<MPS::CNNBatchNormalization>(testDevice(), std::make_shared<Source>());
    const auto x = imageOf(testDevice(), 2, 1, 1, {1, 3}), y = imageOf(testDevice(), 2, 1, 1);
    const auto state =
        std::dynamic_pointer_cast<MPS::CNNBatchNormalizationState>(kernel->resultState(x, {}, y));
    const auto result = std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(bufferOf(testDevice(), {0}),
                                                                                 bufferOf(testDevice(), {0}));
    MPS::NNOptimizerStochasticGradientDescent sgd(testDevice(), 1);
    const auto c = testQueue()->commandBuffer();
    EXPECT_THAT(
        sentenceOf([&] { sgd.encode(c, state, {}, result); }),
        HasSubstr("batchNormalizationState: expected a state that a statistics gradient encode has filled"));
    MPS::CNNBatchNormalizationStatistics(testDevice()).encodeBatch(c, {x}, state);
    kernel->encodeBatch(c, MPS::ImageBatch{x}, state, MPS::ImageBatch{y});
    MPS::CNNBatchNormalizationStatisticsGradient(testDevice())
        .encodeBatch(c, {imageOf(testDevice(), 2, 1, 1, {1, 0})}, {x}, state);
    sgd.encode(c, state, {}, result);
    finish(c);
    // x hat is -1 and 1: the gradient of gamma is -1, that of beta 1.
    EXPECT_EQ(floatsOf(*result->gamma()), Numbers{4});
    EXPECT_EQ(floatsOf(*result->beta()), Numbers{4});
}
