#include <gmock/gmock.h>

#include <MPS/CNNArithmetic.hpp>
#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNDropout.hpp>
#include <MPS/CNNLoss.hpp>
#include <MPS/CNNNeuron.hpp>
#include <MPS/CNNPooling.hpp>
#include <MPS/CNNYOLOLoss.hpp>
#include <MPS/NNInitialGradient.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MPS/Vector.hpp>

#include "WeightedKernels.h"

/// What layers and optimizers tell of themselves, and the forms that no other test encodes on its own.
using namespace pewter::test;
using namespace MPS;

namespace {

const auto kHWC = DataLayout::HeightxWidthxFeatureChannels;

/// Two channels: gamma 2 and 3, beta 1 and -1.
struct Norm final : CNNBatchNormalizationDataSource {
    std::size_t numberOfFeatureChannels() const override { return 2; }
    const float* gamma() override { return g; }
    const float* beta() override { return b; }
    const float* mean() override { return nullptr; }
    const float* variance() override { return nullptr; }
    bool load() override { return true; }
    void purge() override {}
    std::string label() const override { return "norm"; }
    float epsilon() const override { return 0.25f; }
    float g[2] = {2, 3}, b[2] = {1, -1};
};

std::shared_ptr<MTL::CommandBuffer> commandsOf(const DevicePtr& device) {
    return device->newCommandQueue()->commandBuffer();
}

std::shared_ptr<Vector> vectorOf(const DevicePtr& device, const Numbers& values) {
    return std::make_shared<Vector>(bufferOf(device, values),
                                    VectorDescriptor::vectorDescriptor(values.size(), DataType::Float32));
}

}  // namespace

TEST(LayerProperties, BatchNormalisationsTellWhatTheirDataSourceSays) {
    for (const auto& device : weightedDevices()) {
        const auto source = std::make_shared<Norm>();
        CNNBatchNormalization kernel(device, source);
        EXPECT_EQ(kernel.numberOfFeatureChannels(), 2u);
        EXPECT_EQ(kernel.epsilon(), 0.25f);
        EXPECT_EQ(kernel.dataSource(), source);
        kernel.setEpsilon(3);  // 1 + 3: divides by 2
        const auto y = imageOf(device, 1, 1, 2);
        const auto commands = commandsOf(device);
        kernel.encode(commands, imageOf(device, 1, 1, 2, {5, 7}), y);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{6, 9.5})) << device->name();
    }
}

TEST(LayerProperties, ABatchNormalisationOfOneImageGivesWhatTheBatchFormGives) {
    for (const auto& device : weightedDevices()) {
        const auto kernel = std::make_shared<CNNBatchNormalization>(device, std::make_shared<Norm>());
        CNNBatchNormalizationStatistics statistics(device);
        CNNBatchNormalizationStatisticsGradient sums(device);
        CNNBatchNormalizationGradient gradient(device);
        EXPECT_TRUE(statistics.isStateModified());
        EXPECT_TRUE(statistics.appendBatchBarrier());
        EXPECT_TRUE(sums.isStateModified());
        gradient.setDestinationImageAllocator(Image::defaultAllocator());
        const auto x = imageOf(device, 2, 1, 2, {1, 5, 3, 1}), g = imageOf(device, 2, 1, 2, {1, 2, 3, 5});
        const auto one = imageOf(device, 2, 1, 2), many = imageOf(device, 2, 1, 2),
                   given = imageOf(device, 2, 1, 2);
        const auto state =
            std::dynamic_pointer_cast<CNNBatchNormalizationState>(kernel->resultState(x, {}, one));
        const auto commands = commandsOf(device);
        statistics.encodeBatch(commands, {x}, state);
        kernel->encode(commands, x, state, one);
        kernel->encodeBatch(commands, ImageBatch{x}, state, ImageBatch{many});
        sums.encodeBatch(commands, {g}, {x}, state);
        const auto returned = gradient.encodeBatch(commands, {g}, {x}, state);
        gradient.encodeBatch(commands, {g}, {x}, state, {given});
        const auto single = gradient.encode(commands, g, x, state);
        finish(commands);
        EXPECT_EQ(floatsOf(*state->mean()), (Numbers{2, 3}));
        EXPECT_EQ(floatsOf(*state->variance()), (Numbers{1, 4}));
        EXPECT_EQ(read(*one), read(*many)) << device->name();
        EXPECT_NEAR(read(*one)[0], 1 - 2 / std::sqrt(1.25), 1e-6);
        EXPECT_EQ(read(*returned[0]), read(*given)) << device->name();
        EXPECT_EQ(read(*single), read(*given)) << device->name();
        EXPECT_NE(read(*given), Numbers(4));
    }
}

TEST(LayerProperties, DropoutTellsHowItWasMade) {
    for (const auto& device : weightedDevices()) {
        const CNNDropout forward(device, 0.75f, 7, {1, 0, 1});
        EXPECT_EQ(forward.keepProbability(), 0.75f);
        EXPECT_EQ(forward.seed(), 7u);
        EXPECT_EQ(forward.maskStrideInPixels(), (MTL::Size{1, 0, 1}));
        const CNNDropoutGradient backward(device, 0.75f, 7, {1, 0, 1});
        EXPECT_EQ(backward.keepProbability(), 0.75f);
        EXPECT_EQ(backward.seed(), 7u);
        EXPECT_EQ(backward.maskStrideInPixels(), (MTL::Size{1, 0, 1}));
    }
}

TEST(LayerProperties, NeuronsTellTheirDescriptor) {
    const auto device = weightedDevices().front();
    auto d = NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::Power, 2, 3, 4);
    const CNNNeuron forward(device, d);
    const CNNNeuronGradient backward(device, d);
    EXPECT_EQ(forward.neuronType(), CNNNeuronType::Power);
    EXPECT_EQ(forward.a() * 100 + forward.b() * 10 + forward.c(), 234);
    EXPECT_EQ(backward.neuronType(), CNNNeuronType::Power);
    EXPECT_EQ(backward.a() * 100 + backward.b() * 10 + backward.c(), 234);
    EXPECT_EQ(forward.data(), nullptr);
    d.setNeuronType(CNNNeuronType::Linear);
    d.setA(3);
    d.setB(1);
    d.setC(0);
    const auto y = imageOf(device, 1, 1, 2), z = imageOf(device, 1, 1, 2);
    auto slopes = NNNeuronDescriptor::cnnNeuronPReLUDescriptor({1, 1});
    slopes.setData({2, 3});
    EXPECT_EQ(*CNNNeuronGradient(device, slopes).data(), (std::vector<float>{2, 3}));
    const CNNNeuron prelu(device, slopes);
    EXPECT_EQ(*prelu.data(), (std::vector<float>{2, 3}));
    const auto commands = commandsOf(device);
    CNNNeuron(device, d).encode(commands, imageOf(device, 1, 1, 2, {5, 7}), y);
    CNNNeuron(device, slopes).encode(commands, imageOf(device, 1, 1, 2, {-1, -1}), z);
    finish(commands);
    EXPECT_EQ(read(*y), (Numbers{16, 22}));
    EXPECT_EQ(read(*z), (Numbers{-2, -3}));
}

TEST(LayerProperties, PoolingGradientsOfStrideOneTakeTheShortForm) {
    for (const auto& device : weightedDevices()) {
        CNNPoolingMax forward(device, 2, 1);
        CNNPoolingMaxGradient largest(device, 2, 1);
        CNNPoolingAverageGradient mean(device, 2, 1);
        EXPECT_EQ(largest.primaryStrideInPixelsX(), 1u);
        forward.setDestinationImageAllocator(Image::defaultAllocator());
        largest.setDestinationImageAllocator(Image::defaultAllocator());
        const auto x = imageOf(device, 3, 1, 1, {3, 1, 2}), g = imageOf(device, 3, 1, 1, {10, 20, 30});
        const auto commands = commandsOf(device);
        std::shared_ptr<State> state;
        const auto y = forward.encode(commands, x, &state, false);
        const auto dx = largest.encode(commands, g, x, state);
        CNNPoolingAverage average(device, 2, 1);
        average.setDestinationImageAllocator(Image::defaultAllocator());
        mean.setDestinationImageAllocator(Image::defaultAllocator());
        const auto a = average.encode(commands, x, &state, false);
        const auto da = mean.encode(commands, g, x, state);
        finish(commands);
        // Windows {-1, 0}, {0, 1}, {1, 2}.
        EXPECT_EQ(read(*y), (Numbers{3, 3, 2})) << device->name();
        EXPECT_EQ(read(*dx), (Numbers{30, 0, 30})) << device->name();
        EXPECT_EQ(read(*a), (Numbers{1.5, 2, 1.5})) << device->name();
        EXPECT_EQ(read(*da), (Numbers{15, 25, 15})) << device->name();
    }
}

TEST(LayerProperties, ArithmeticOfOneImageFillsItsState) {
    for (const auto& device : weightedDevices()) {
        CNNMultiply forward(device);
        forward.setMaximumValue(20);
        CNNMultiplyGradient first(device, false);
        first.setDestinationImageAllocator(Image::defaultAllocator());
        const auto x = imageOf(device, 2, 1, 1, {3, 5}), y = imageOf(device, 2, 1, 1, {4, 6}),
                   z = imageOf(device, 2, 1, 1);
        const auto state =
            std::dynamic_pointer_cast<CNNArithmeticGradientState>(forward.resultState(x, y, {}, z));
        const auto commands = commandsOf(device);
        forward.encode(commands, x, y, state, z);
        const auto dx = first.encode(commands, imageOf(device, 2, 1, 1, {10, 100}), y, state);
        finish(commands);
        EXPECT_EQ(read(*z), (Numbers{12, 20})) << device->name();
        EXPECT_EQ(read(*dx), (Numbers{40, 0})) << "the second result was cut, on " << device->name();

        const auto later = commandsOf(device);
        const auto temporary = std::dynamic_pointer_cast<CNNArithmeticGradientState>(
            forward.temporaryResultState(later, x, y, {}, z));
        EXPECT_EQ(temporary->readCount(), 1u);
        forward.encode(later, x, y, temporary, z);
        const auto again = first.encode(later, imageOf(device, 2, 1, 1, {10, 100}), y, temporary);
        EXPECT_EQ(temporary->readCount(), 0u);
        finish(later);
        EXPECT_EQ(read(*again), (Numbers{40, 0})) << device->name();
    }
}

TEST(LayerProperties, ArithmeticGradientsIgnoreBiasAndLimits) {
    for (const auto& device : weightedDevices()) {
        CNNSubtract forward(device);
        forward.setDestinationImageAllocator(Image::defaultAllocator());
        CNNSubtractGradient second(device, true);
        EXPECT_TRUE(second.isSecondarySourceFilter());
        EXPECT_FALSE(CNNAddGradient(device, false).isSecondarySourceFilter());
        second.setPrimaryScale(-1);
        second.setBias(1000);
        second.setMinimumValue(0);
        second.setMaximumValue(1);
        EXPECT_EQ(second.bias(), 1000);
        EXPECT_EQ(second.minimumValue(), 0);
        EXPECT_EQ(second.maximumValue(), 1);
        second.setDestinationImageAllocator(Image::defaultAllocator());
        const auto x = imageOf(device, 2, 1, 1, {3, 5}), y = imageOf(device, 2, 1, 1, {4, 6});
        std::shared_ptr<State> state;
        const auto commands = commandsOf(device);
        const auto z = forward.encode(commands, x, y, &state, false);
        const auto dy = second.encode(commands, imageOf(device, 2, 1, 1, {10, 100}), y, state);
        finish(commands);
        EXPECT_EQ(read(*z), (Numbers{-1, -1})) << device->name();
        EXPECT_EQ(read(*dy), (Numbers{-10, -100})) << device->name();
    }
}

TEST(LayerProperties, LossesTellTheirDescriptor) {
    auto d = CNNLossDescriptor::cnnLossDescriptor(CNNLossType::Huber, CNNReductionType::Mean);
    d.reduceAcrossBatch = true;
    d.weight = 2;
    d.labelSmoothing = 0.5f;
    d.numberOfClasses = 7;
    d.epsilon = 0.125f;
    d.delta = 3;
    const CNNLoss loss(weightedDevices().front(), d);
    EXPECT_EQ(loss.lossType(), CNNLossType::Huber);
    EXPECT_EQ(loss.reductionType(), CNNReductionType::Mean);
    EXPECT_TRUE(loss.reduceAcrossBatch());
    EXPECT_EQ(loss.weight(), 2);
    EXPECT_EQ(loss.labelSmoothing(), 0.5f);
    EXPECT_EQ(loss.numberOfClasses(), 7u);
    EXPECT_EQ(loss.epsilon(), 0.125f);
    EXPECT_EQ(loss.delta(), 3);
    const auto data = CNNLossDataDescriptor::cnnLossDataDescriptor({1, 2, 3, 4}, kHWC, {2, 1, 2});
    EXPECT_EQ(data.layout(), kHWC);
    EXPECT_EQ(data.size(), (MTL::Size{2, 1, 2}));
}

TEST(LayerProperties, LabelsAroundImagesGiveTheSameLoss) {
    for (const auto& device : weightedDevices()) {
        CNNLoss loss(device, CNNLossDescriptor::cnnLossDescriptor(CNNLossType::MeanSquaredError,
                                                                  CNNReductionType::Sum));
        loss.setDestinationImageAllocator(Image::defaultAllocator());
        const auto t = imageOf(device, 2, 1, 1, {1, 1}), w = imageOf(device, 2, 1, 1, {1, 10});
        const auto labels = std::make_shared<CNNLossLabels>(device, MTL::Size{1, 1, 1}, t, w);
        EXPECT_EQ(labels->labelsImage(), t);
        EXPECT_EQ(labels->weightsImage(), w);
        const auto commands = commandsOf(device);
        const auto gradient = loss.encode(commands, imageOf(device, 2, 1, 1, {3, 4}), labels);
        finish(commands);
        EXPECT_EQ(read(*labels->lossImage()), Numbers{94}) << device->name();
        EXPECT_EQ(read(*gradient), (Numbers{4, 60})) << device->name();
    }
}

TEST(LayerProperties, TheLimitsOfAYoloLossAndItsConfidenceLossCount) {
    // One cell, anchors of 1 x 1 and 2 x 2, a box of 2 x 2: intersections over unions of 1/4 and 1.
    const Numbers box = {1, 0.5, 2, 2, 1, 1, 0, 1, 0.5, 2, 2, 1, 1, 0};
    const Numbers x = {0, 0, 0, 0, 1, 0, 0, 0, 0, 1, -1, 1, 0, 0};
    for (const auto& device : weightedDevices()) {
        auto d = CNNYOLOLossDescriptor::cnnLossDescriptor(
            CNNLossType::MeanSquaredError, CNNLossType::MeanAbsoluteError, CNNLossType::MeanSquaredError,
            CNNLossType::MeanSquaredError, CNNReductionType::None, {1, 1, 2, 2}, 2);
        d.rescore = false;
        const auto apply = [&] {
            CNNYOLOLoss kernel(device, d);
            EXPECT_EQ(kernel.minIOUForObjectPresence(), d.minIOUForObjectPresence);
            EXPECT_EQ(kernel.maxIOUForObjectAbsence(), d.maxIOUForObjectAbsence);
            kernel.setDestinationImageAllocator(Image::defaultAllocator());
            const auto labels = std::make_shared<CNNLossLabels>(device, MTL::Size{1, 1, 14},
                                                                imageOf(device, 1, 1, 14, box), nullptr);
            const auto commands = commandsOf(device);
            const auto gradient = kernel.encode(commands, imageOf(device, 1, 1, 14, x), labels);
            finish(commands);
            return read(*gradient);
        };
        d.confidenceLossDescriptor.weight = 3;
        const Numbers absent = {0, 0, 0, 0, 30, 0, 0, -2.5, 0, 10, -10, 0, -4, 0};
        EXPECT_EQ(apply(), absent) << device->name();
        d.maxIOUForObjectAbsence = 0.2f;
        Numbers neither = absent;
        neither[4] = 0;
        EXPECT_EQ(apply(), neither) << device->name();
        d.minIOUForObjectPresence = 0.21f;
        const Numbers both = {-2.5, 0, -10, -10, 0, -4, 0, -2.5, 0, 10, -10, 0, -4, 0};
        EXPECT_EQ(apply(), both) << device->name();
    }
}

TEST(LayerProperties, AnInitialGradientIsOneEverywhere) {
    for (const auto& device : weightedDevices()) {
        NNInitialGradient kernel(device);
        kernel.setDestinationImageAllocator(Image::defaultAllocator());
        const auto commands = commandsOf(device);
        const auto ones = kernel.encodeBatch(commands, batchOf(device, 2, 3, 2, 5, Numbers(60, 7)));
        finish(commands);
        EXPECT_EQ(read(ones), Numbers(60, 1)) << device->name();
    }
}

TEST(LayerProperties, OptimizersTellTheirDescriptor) {
    const auto device = weightedDevices().front();
    const auto d =
        NNOptimizerDescriptor::optimizerDescriptor(0.5f, 2, true, 3, -4, NNRegularizationType::L1, 0.25f);
    NNOptimizerStochasticGradientDescent sgd(device, 0.9f, true, d);
    EXPECT_EQ(sgd.gradientRescale(), 2);
    EXPECT_EQ(sgd.gradientClipMax(), 3);
    EXPECT_EQ(sgd.gradientClipMin(), -4);
    EXPECT_EQ(sgd.regularizationScale(), 0.25f);
    EXPECT_EQ(sgd.regularizationType(), NNRegularizationType::L1);
    EXPECT_EQ(sgd.momentumScale(), 0.9f);
    EXPECT_TRUE(sgd.useNesterovMomentum());
    EXPECT_TRUE(sgd.applyGradientClipping());
    const NNOptimizerRMSProp rms(device, 0.75, 0.5f, d);
    EXPECT_EQ(rms.decay(), 0.75);
    EXPECT_EQ(rms.epsilon(), 0.5f);
    const NNOptimizerAdam adam(device, 0.5, 0.25, 0.125f, 3, d);
    EXPECT_EQ(adam.beta1() + adam.beta2(), 0.75);
    EXPECT_EQ(adam.epsilon(), 0.125f);
    const auto commands = commandsOf(device);
    // Clipped to 3, doubled, plus 0.25: 10 - 0.5 * 6.25; without the clip 8, doubled: 10 - 0.5 * 16.25.
    NNOptimizerStochasticGradientDescent plain(device, 0, false, d);
    const auto clipped = vectorOf(device, {10}), free = vectorOf(device, {10});
    plain.encode(commands, vectorOf(device, {8}), clipped, std::shared_ptr<Vector>(), clipped);
    plain.setApplyGradientClipping(false);
    plain.encode(commands, vectorOf(device, {8}), free, std::shared_ptr<Vector>(), free);
    finish(commands);
    EXPECT_EQ(floatsOf(*clipped->data()), Numbers{6.875});
    EXPECT_EQ(floatsOf(*free->data()), Numbers{1.875});
}

TEST(LayerProperties, EveryOptimizerUpdatesScaleAndBiasOfABatchNormalisation) {
    for (const auto& device : weightedDevices()) {
        const auto kernel = std::make_shared<CNNBatchNormalization>(device, std::make_shared<Norm>());
        const auto x = imageOf(device, 2, 1, 2, {1, 5, 3, 1}), g = imageOf(device, 2, 1, 2, {1, 2, 3, 5});
        const auto stateOf = [&] {
            return std::dynamic_pointer_cast<CNNBatchNormalizationState>(kernel->resultState(x, {}, x));
        };
        const auto gradients = stateOf(), values = stateOf();
        const auto commands = commandsOf(device);
        CNNBatchNormalizationStatistics(device).encodeBatch(commands, {x}, gradients);
        CNNBatchNormalizationStatisticsGradient(device).encodeBatch(commands, {g}, {x}, gradients);
        const auto zeros = [&] {
            return OptimizerVectors{vectorOf(device, {0, 0}), vectorOf(device, {0, 0})};
        };
        const auto result = [&] {
            return std::make_shared<CNNNormalizationGammaAndBetaState>(bufferOf(device, {0, 0}),
                                                                       bufferOf(device, {0, 0}));
        };
        std::vector<std::shared_ptr<CNNNormalizationGammaAndBetaState>> one, two;
        for (auto* list : {&one, &two})
            for (int i = 0; i < 4; ++i) list->push_back(result());
        NNOptimizerStochasticGradientDescent sgd(device, 0.5f, false, NNOptimizerDescriptor());
        sgd.setLearningRate(0.125f);
        NNOptimizerRMSProp rms(device, 0.125f);
        sgd.encode(commands, gradients, zeros(), one[0]);
        sgd.encode(commands, gradients, values, zeros(), two[0]);
        rms.encode(commands, gradients, zeros(), one[1]);
        rms.encode(commands, gradients, values, zeros(), two[1]);
        // A state of one's own makes no difference; each first step of Adam goes by the rate, against the
        // gradient's sign.
        const auto adam = [&] { return NNOptimizerAdam(device, 0.125f); };
        adam().encode(commands, gradients, zeros(), zeros(), one[2]);
        adam().encode(commands, gradients, values, zeros(), zeros(), two[2]);
        adam().encode(commands, gradients, zeros(), zeros(), zeros(), one[3]);
        adam().encode(commands, gradients, values, zeros(), zeros(), zeros(), two[3]);
        finish(commands);
        for (std::size_t i = 0; i < 4; ++i) {
            EXPECT_EQ(floatsOf(*one[i]->gamma()), floatsOf(*two[i]->gamma()))
                << i << " on " << device->name();
            EXPECT_EQ(floatsOf(*one[i]->beta()), floatsOf(*two[i]->beta())) << i << " on " << device->name();
        }
        // Gradients of beta are 4 and 7, those of gamma 2 / sqrt(1.25) and -6 / sqrt(4.25).
        EXPECT_EQ(floatsOf(*one[0]->beta()), (Numbers{0.5, -1.875})) << device->name();
        EXPECT_NEAR(floatsOf(*one[0]->gamma())[0], 2 - 0.25 / std::sqrt(1.25), 1e-6);
        EXPECT_NEAR(floatsOf(*one[0]->gamma())[1], 3 + 0.75 / std::sqrt(4.25), 1e-6);
        for (const std::size_t i : {2, 3}) {
            EXPECT_NEAR(floatsOf(*one[i]->beta())[0], 0.875, 1e-6);
            EXPECT_NEAR(floatsOf(*one[i]->gamma())[1], 3.125, 1e-6);
        }
        // The first step of RMSProp: the rate over sqrt(1 - 0.9).
        EXPECT_NEAR(floatsOf(*one[1]->beta())[0], 1 - 0.125 / std::sqrt(0.1), 1e-6);
    }
}
