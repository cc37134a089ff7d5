#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/CNNArithmetic.hpp>
#include <MPS/CNNDropout.hpp>
#include <MPS/CNNLoss.hpp>
#include <MPS/CNNNeuron.hpp>
#include <MPS/CNNPooling.hpp>
#include <MPS/CNNSoftMax.hpp>
#include <MPS/NNInitialGradient.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MPS/Vector.hpp>

#include "ArchiveRoundTrip.h"

using namespace pewter::test;
using namespace MPS;

namespace {

/// Runs on every device.
class ArchiveKernels : public testing::TestWithParam<std::size_t> {
protected:
    DevicePtr device = weightedDevices()[GetParam()];
    ImagePtr source = anyImage(device, 5, 4, 8);
};

}  // namespace

TEST_P(ArchiveKernels, Pooling) {
    sameForward(std::make_shared<CNNPoolingMax>(device, 3, 2, 1, 2), source);
    sameForward(std::make_shared<CNNDilatedPoolingMax>(device, 2, 2, 2, 1, 1, 2), source);
    const auto average = std::make_shared<CNNPoolingAverage>(device, 3, 2, 1, 2);
    average->setZeroPadSizeX(1);
    average->setZeroPadSizeY(2);
    const auto again = sameForward(average, source);
    EXPECT_EQ(again->zeroPadSizeX(), 1u);
    EXPECT_EQ(again->zeroPadSizeY(), 2u);
}

TEST_P(ArchiveKernels, PoolingGradients) {
    const auto maxGradient = std::make_shared<CNNPoolingMaxGradient>(device, 3, 2, 1, 2);
    maxGradient->setSourceSize({7, 8, 9});
    EXPECT_EQ(roundTrip(maxGradient)->sourceSize().height, 8u);
    maxGradient->setSourceSize({5, 2, 1});
    sameGradient(std::make_shared<CNNPoolingMax>(device, 3, 2, 1, 2), maxGradient, source);
    EXPECT_EQ(roundTrip(std::make_shared<CNNPoolingMaxGradient>(device, 2, 2))->sourceSize().width,
              std::numeric_limits<std::uint64_t>::max());
    sameGradient(std::make_shared<CNNDilatedPoolingMax>(device, 2, 2, 2, 1, 1, 2),
                 std::make_shared<CNNDilatedPoolingMaxGradient>(device, 2, 2, 2, 1, 1, 2), source);
    const auto average = std::make_shared<CNNPoolingAverageGradient>(device, 3, 2, 1, 2);
    average->setZeroPadSizeY(2);
    EXPECT_EQ(roundTrip(average)->zeroPadSizeY(), 2u);
    sameGradient(std::make_shared<CNNPoolingAverage>(device, 3, 2, 1, 2), average, source);
}

TEST_P(ArchiveKernels, NeuronsOfEveryType) {
    for (int type = 0; type < static_cast<int>(CNNNeuronType::Count); ++type) {
        const auto d =
            static_cast<CNNNeuronType>(type) == CNNNeuronType::PReLU
                ? NNNeuronDescriptor::cnnNeuronPReLUDescriptor({1, 2, 3, 4, 5, 6, 7, 8})
                : NNNeuronDescriptor::cnnNeuronDescriptor(static_cast<CNNNeuronType>(type), 0.75f, 1.5f, 2);
        const auto kernel = std::make_shared<CNNNeuron>(device, d);
        const auto again = sameForward(kernel, anyImage(device, 5, 4, 8));
        EXPECT_EQ(again->neuronDescriptor(), d);
        EXPECT_EQ(roundTrip(std::make_shared<CNNNeuronGradient>(device, d))->neuronDescriptor(), d);
    }
    const auto d = NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::TanH, 0.75f, 1.5f);
    sameGradient(std::make_shared<CNNNeuron>(device, d), std::make_shared<CNNNeuronGradient>(device, d),
                 source);
}

TEST_P(ArchiveKernels, NeuronsOfAFixedType) {
    const float slopes[] = {1, 2, 3, 4, 5, 6, 7, 8};
    const std::vector<std::shared_ptr<CNNNeuron>> kernels = {
        std::make_shared<CNNNeuronLinear>(device, 2.f, 3.f),
        std::make_shared<CNNNeuronReLU>(device, 0.25f),
        std::make_shared<CNNNeuronPReLU>(device, slopes, 8),
        std::make_shared<CNNNeuronSigmoid>(device),
        std::make_shared<CNNNeuronHardSigmoid>(device, 0.5f, 0.25f),
        std::make_shared<CNNNeuronTanH>(device, 2.f, 0.5f),
        std::make_shared<CNNNeuronAbsolute>(device),
        std::make_shared<CNNNeuronSoftPlus>(device, 2.f, 0.5f),
        std::make_shared<CNNNeuronSoftSign>(device),
        std::make_shared<CNNNeuronELU>(device, 2.f),
        std::make_shared<CNNNeuronReLUN>(device, 0.5f, 0.25f),
        std::make_shared<CNNNeuronPower>(device, 2.f, 3.f, 2.f),
        std::make_shared<CNNNeuronExponential>(device, 2.f, 3.f, 2.f),
        std::make_shared<CNNNeuronLogarithm>(device, 2.f, 3.f, 2.f)};
    for (const auto& kernel : kernels)
        EXPECT_EQ(sameForward(kernel, source)->neuronDescriptor(), kernel->neuronDescriptor())
            << kernel->className();
}

TEST_P(ArchiveKernels, SoftMaxAndInitialGradient) {
    sameForward(std::make_shared<CNNSoftMax>(device), source);
    sameForward(std::make_shared<CNNLogSoftMax>(device), source);
    sameForward(std::make_shared<NNInitialGradient>(device), source);
    // The gradient kernels read the forward result in place of the source.
    for (const bool logarithm : {false, true}) {
        const auto forward =
            logarithm ? std::make_shared<CNNLogSoftMax>(device) : std::make_shared<CNNSoftMax>(device);
        const auto gradient = logarithm ? std::make_shared<CNNLogSoftMaxGradient>(device)
                                        : std::make_shared<CNNSoftMaxGradient>(device);
        forward->setDestinationImageAllocator(Image::defaultAllocator());
        gradient->setDestinationImageAllocator(Image::defaultAllocator());
        const auto again = roundTrip(gradient);
        const auto run = [&](CNNSoftMaxGradient& g) {
            const auto commands = device->newCommandQueue()->commandBuffer();
            std::shared_ptr<State> state;
            const auto y = forward->encode(commands, source, &state, false);
            const auto dx = g.encode(commands, anyImage(device, 5, 4, 8, 9), y, state);
            finish(commands);
            return read(*dx);
        };
        EXPECT_EQ(run(*again), run(*gradient));
    }
}

TEST_P(ArchiveKernels, DropoutGoesOnWithItsSequenceOfMasks) {
    const auto kernel = std::make_shared<CNNDropout>(device, 0.5f, 77, MTL::Size{1, 0, 1});
    kernel->setDestinationImageAllocator(Image::defaultAllocator());
    const auto run = [&](CNNDropout& k) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = k.encode(commands, source);
        finish(commands);
        return read(*y);
    };
    const auto first = run(*kernel);
    const auto again = roundTrip(kernel);
    EXPECT_EQ(again->keepProbability(), 0.5f);
    EXPECT_EQ(again->seed(), 77u);
    EXPECT_EQ(again->maskStrideInPixels().height, 0u);
    const auto second = run(*kernel);
    EXPECT_EQ(run(*again), second);
    EXPECT_NE(first, second);
    const auto gradient = std::make_shared<CNNDropoutGradient>(device, 0.5f, 77, MTL::Size{1, 0, 1});
    const auto back = roundTrip(gradient);
    EXPECT_EQ(back->seed(), 77u);
    EXPECT_EQ(back->keepProbability(), 0.5f);
}

TEST_P(ArchiveKernels, Arithmetic) {
    const auto other = anyImage(device, 1, 4, 8, 3);
    const auto check = [&](const auto& kernel) {
        kernel->setLabel("sum");
        kernel->setPrimaryScale(0.5f);
        kernel->setSecondaryScale(-2);
        kernel->setBias(0.125f);
        kernel->setMinimumValue(-1);
        kernel->setMaximumValue(1.5f);
        kernel->setPrimaryStrideInFeatureChannels(0);
        kernel->setSecondaryStrideInPixelsX(0);
        kernel->setPrimaryOffset({1, 0, 0});
        kernel->setClipRect({{0, 0, 0}, {3, 4, 1}});
        kernel->setSecondarySourceFeatureChannelOffset(4);
        const auto again = roundTrip(kernel);
        EXPECT_EQ(again->primaryScale(), 0.5f);
        EXPECT_EQ(again->secondaryScale(), -2);
        EXPECT_EQ(again->bias(), 0.125f);
        EXPECT_EQ(again->minimumValue(), -1);
        EXPECT_EQ(again->maximumValue(), 1.5f);
        EXPECT_EQ(again->primaryStrideInFeatureChannels(), 0u);
        EXPECT_EQ(again->secondaryStrideInPixelsX(), 0u);
        EXPECT_EQ(again->secondarySourceFeatureChannelOffset(), 4u);
        EXPECT_EQ(again->name(), kernel->name());
        const auto run = [&](CNNBinaryKernel& k) {
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto result = imageOf(device, 5, 4, 8, Numbers(160, 7));
            k.encode(commands, source, other, result);
            finish(commands);
            return read(*result);
        };
        EXPECT_EQ(run(*again), run(*kernel)) << kernel->className();
    };
    check(std::make_shared<CNNAdd>(device));
    check(std::make_shared<CNNSubtract>(device));
    check(std::make_shared<CNNMultiply>(device));
    check(std::make_shared<CNNDivide>(device));
}

TEST_P(ArchiveKernels, ArithmeticGradients) {
    const auto check = [&](const auto& forward, const auto& gradient, bool secondary) {
        forward->setDestinationImageAllocator(Image::defaultAllocator());
        gradient->setDestinationImageAllocator(Image::defaultAllocator());
        gradient->setPrimaryScale(0.5f);
        gradient->setMaximumValue(4);
        const auto again = roundTrip(gradient);
        EXPECT_EQ(again->isSecondarySourceFilter(), secondary);
        EXPECT_EQ(again->primaryScale(), 0.5f);
        EXPECT_EQ(again->maximumValue(), 4);
        const auto other = anyImage(device, 5, 4, 8, 3);
        const auto run = [&](CNNGradientKernel& g) {
            const auto commands = device->newCommandQueue()->commandBuffer();
            std::shared_ptr<State> state;
            forward->encode(commands, source, other, &state, false);
            const auto dx = g.encode(commands, anyImage(device, 5, 4, 8, 4), other, state);
            finish(commands);
            return read(*dx);
        };
        EXPECT_EQ(run(*again), run(*gradient)) << gradient->className();
    };
    for (const bool secondary : {false, true}) {
        check(std::make_shared<CNNAdd>(device), std::make_shared<CNNAddGradient>(device, secondary),
              secondary);
        check(std::make_shared<CNNSubtract>(device), std::make_shared<CNNSubtractGradient>(device, secondary),
              secondary);
        check(std::make_shared<CNNMultiply>(device), std::make_shared<CNNMultiplyGradient>(device, secondary),
              secondary);
    }
}

TEST_P(ArchiveKernels, Loss) {
    auto d = CNNLossDescriptor::cnnLossDescriptor(CNNLossType::Huber, CNNReductionType::Mean);
    d.reduceAcrossBatch = true;
    d.weight = 0.5f;
    d.delta = 0.75f;
    d.epsilon = 1e-3f;
    d.labelSmoothing = 0.25f;
    d.numberOfClasses = 3;
    const auto kernel = std::make_shared<CNNLoss>(device, d);
    kernel->setDestinationImageAllocator(Image::defaultAllocator());
    const auto again = roundTrip(kernel);
    EXPECT_EQ(again->lossType(), d.lossType);
    EXPECT_EQ(again->reductionType(), d.reductionType);
    EXPECT_TRUE(again->reduceAcrossBatch());
    EXPECT_EQ(again->weight(), d.weight);
    EXPECT_EQ(again->delta(), d.delta);
    EXPECT_EQ(again->epsilon(), d.epsilon);
    EXPECT_EQ(again->labelSmoothing(), d.labelSmoothing);
    EXPECT_EQ(again->numberOfClasses(), d.numberOfClasses);
    Random random(3);
    const auto values = uniform(random, 160);
    const auto data =
        CNNLossDataDescriptor::cnnLossDataDescriptor(std::vector<float>(values.begin(), values.end()),
                                                     DataLayout::HeightxWidthxFeatureChannels, {5, 4, 8});
    const auto run = [&](CNNLoss& k) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto labels = std::make_shared<CNNLossLabels>(device, MTL::Size{1, 1, 1}, data);
        const auto gradient = k.encode(commands, source, labels);
        finish(commands);
        auto result = read(*gradient);
        for (const double v : read(*labels->lossImage())) result.push_back(v);
        return result;
    };
    EXPECT_EQ(run(*again), run(*kernel));
}

TEST_P(ArchiveKernels, Optimizers) {
    const auto vectorOf = [&](const Numbers& values) {
        return std::make_shared<Vector>(bufferOf(device, values),
                                        VectorDescriptor::vectorDescriptor(values.size(), DataType::Float32));
    };
    const auto d = NNOptimizerDescriptor::optimizerDescriptor(0.125f, 0.5f, true, 2, -1,
                                                              NNRegularizationType::L2, 0.25f);
    const auto common = [&](const NNOptimizer& k) {
        EXPECT_EQ(k.learningRate(), 0.125f);
        EXPECT_EQ(k.gradientRescale(), 0.5f);
        EXPECT_TRUE(k.applyGradientClipping());
        EXPECT_EQ(k.gradientClipMax(), 2);
        EXPECT_EQ(k.gradientClipMin(), -1);
        EXPECT_EQ(k.regularizationType(), NNRegularizationType::L2);
        EXPECT_EQ(k.regularizationScale(), 0.25f);
    };
    const auto run = [&](auto& kernel, auto... extra) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = vectorOf({0, 0, 0});
        kernel.encode(commands, vectorOf({1, -4, 8}), vectorOf({1, 2, 3}), vectorOf(extra)..., result);
        finish(commands);
        return floatsOf(*result->data());
    };
    const Numbers m = {0.5, 1, 2};

    using Sgd = NNOptimizerStochasticGradientDescent;
    const auto sgd = std::make_shared<Sgd>(device, 0.9f, true, d);
    const auto sgdAgain = roundTrip(sgd);
    common(*sgdAgain);
    EXPECT_EQ(sgdAgain->momentumScale(), 0.9f);
    EXPECT_TRUE(sgdAgain->useNesterovMomentum());
    EXPECT_EQ(run(*sgdAgain, m), run(*sgd, m));

    const auto rms = std::make_shared<NNOptimizerRMSProp>(device, 0.8, 1e-3f, d);
    const auto rmsAgain = roundTrip(rms);
    common(*rmsAgain);
    EXPECT_EQ(rmsAgain->decay(), 0.8);
    EXPECT_EQ(rmsAgain->epsilon(), 1e-3f);
    EXPECT_EQ(run(*rmsAgain, m), run(*rms, m));

    const auto adam = std::make_shared<NNOptimizerAdam>(device, 0.7, 0.99, 1e-4f, 5, d);
    const auto adamAgain = roundTrip(adam);
    common(*adamAgain);
    EXPECT_EQ(adamAgain->beta1(), 0.7);
    EXPECT_EQ(adamAgain->beta2(), 0.99);
    EXPECT_EQ(adamAgain->epsilon(), 1e-4f);
    EXPECT_EQ(adamAgain->timeStep(), 5u);
    EXPECT_EQ(run(*adamAgain, m, m), run(*adam, m, m));
    EXPECT_EQ(roundTrip(adam)->timeStep(), 6u) << "the step goes on";
}

INSTANTIATE_TEST_SUITE_P(Devices, ArchiveKernels, testing::Range<std::size_t>(0, weightedDevices().size()));
