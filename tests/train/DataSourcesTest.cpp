#include <gtest/gtest.h>

#include <MPS/CNNConvolution.hpp>
#include <MPS/NNGraph.hpp>
#include <Pewter/train/LabelledBatch.hpp>
#include <cmath>
#include <limits>
#include <span>

#include "DatasetSupport.h"
#include "DeviceName.h"
#include "TrainSupport.h"

namespace pewter::train::tests {
namespace {

using Kind = OptimizerSettings::Kind;

std::vector<float> drawn(const Initializer& initializer, std::size_t count, double fanIn, double fanOut,
                         std::uint64_t seed = 1, std::uint64_t stream = 1) {
    std::vector<float> values(count);
    initializer.fill(values, fanIn, fanOut, seed, stream);
    return values;
}

struct Moments {
    double mean = 0, variance = 0, largest = 0;
};

Moments momentsOf(const std::vector<float>& values) {
    Moments m;
    for (const float v : values) {
        m.mean += v / static_cast<double>(values.size());
        m.largest = std::max(m.largest, std::abs(static_cast<double>(v)));
    }
    for (const float v : values)
        m.variance += (v - m.mean) * (v - m.mean) / static_cast<double>(values.size());
    return m;
}

constexpr std::size_t kDraws = 100'000;

/// Mean 0 and the given variance, each within five standard errors.
void expectMoments(const Moments& m, double variance, double kurtosis) {
    const double n = kDraws;
    EXPECT_NEAR(m.mean, 0, 5 * std::sqrt(variance / n));
    EXPECT_NEAR(m.variance, variance, 5 * variance * std::sqrt((kurtosis - 1) / n));
}

TEST(Initializer, ConstantIsTheValueEverywhere) {
    for (const float v : drawn(Initializer::constant(0.25f), 100, 3, 4)) EXPECT_EQ(v, 0.25f);
}

TEST(Initializer, UniformFillsItsInterval) {
    const auto m = momentsOf(drawn(Initializer::uniform(0.2f), kDraws, 1, 1));
    EXPECT_LE(m.largest, 0.2f);
    EXPECT_GT(m.largest, 0.2 * (1 - 1e-3));
    expectMoments(m, 0.2 * 0.2 / 3, 1.8);
}

TEST(Initializer, XavierHasTheVarianceOfGlorotAndBengio) {
    const double fanIn = 30, fanOut = 50;
    const auto m = momentsOf(drawn(Initializer::xavier(), kDraws, fanIn, fanOut));
    EXPECT_LE(m.largest, std::sqrt(6 / (fanIn + fanOut)) * (1 + 1e-6));
    expectMoments(m, 2 / (fanIn + fanOut), 1.8);
}

TEST(Initializer, HeNormalIsNormalWithTwoOverFanIn) {
    const auto values = drawn(Initializer::heNormal(), kDraws, 18, 7);
    expectMoments(momentsOf(values), 2.0 / 18, 3);
    const double sigma = std::sqrt(2.0 / 18);
    std::size_t inside = 0;
    for (const float v : values) inside += std::abs(v) < sigma;
    const double share = 0.6826894921;  // of a normal distribution within one sigma
    EXPECT_NEAR(static_cast<double>(inside) / kDraws, share, 5 * std::sqrt(share * (1 - share) / kDraws));
}

TEST(Initializer, SeedAndStreamDecideTheValues) {
    for (const auto& initializer :
         {Initializer::uniform(1), Initializer::xavier(), Initializer::heNormal()}) {
        const auto values = drawn(initializer, 64, 9, 9, 7, 2);
        EXPECT_EQ(values, drawn(initializer, 64, 9, 9, 7, 2));
        EXPECT_NE(values, drawn(initializer, 64, 9, 9, 8, 2));
        EXPECT_NE(values, drawn(initializer, 64, 9, 9, 7, 3));
    }
}

/// Weights and a gradient state that is full of numbers.
class Updates : public testing::TestWithParam<DevicePtr> {
protected:
    static constexpr ConvolutionShape kShape{.kernelWidth = 3, .kernelHeight = 2, .inputs = 5, .outputs = 7};

    std::shared_ptr<ConvolutionDataSource> source(const OptimizerSettings& optimizer) const {
        return std::make_shared<ConvolutionDataSource>(GetParam(), "layer", kShape, Initializer::heNormal(),
                                                       0.5f, optimizer, 3, 1);
    }
    std::shared_ptr<MPS::CNNConvolutionGradientState> gradients(std::uint64_t seed) const {
        auto state = std::make_shared<MPS::CNNConvolutionGradientState>(MPS::StateOwner::of(GetParam()),
                                                                        3 * 2 * 5 * 7, 7, nullptr);
        for (const auto& buffer : {state->gradientForWeights(), state->gradientForBiases()}) {
            Initializer::uniform(1).fill(
                {static_cast<float*>(buffer->contents()), buffer->length() / sizeof(float)}, 1, 1, seed,
                buffer->length());
            if (buffer->storageMode() == MTL::StorageMode::Managed) buffer->didModifyRange(0, buffer->length());
        }
        return state;
    }
    static std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> valuesOf(
        const DevicePtr& device, const ConvolutionDataSource& source) {
        auto weights = device->newBuffer(source.weights(), kWeights * sizeof(float));
        auto biases = device->newBuffer(source.biasTerms(), kShape.outputs * sizeof(float));
        return std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(weights, biases);
    }
    static std::vector<float> weightsOf(const ConvolutionDataSource& source) {
        const auto* values = static_cast<const float*>(source.weights());
        std::vector<float> out(values, values + kWeights);
        out.insert(out.end(), source.biasTerms(), source.biasTerms() + kShape.outputs);
        return out;
    }
    void updateOnDevice(ConvolutionDataSource& source, std::uint64_t seed) const {
        const auto commandBuffer = GetParam()->newCommandQueue()->commandBuffer();
        source.update(commandBuffer, gradients(seed), valuesOf(GetParam(), source));
        commandBuffer->commit();
        commandBuffer->waitUntilCompleted();
        ASSERT_FALSE(commandBuffer->error());
    }
    static constexpr std::size_t kWeights = 3 * 2 * 5 * 7;
};

INSTANTIATE_TEST_SUITE_P(EveryDevice, Updates, testing::ValuesIn(MTL::copyAllDevices()),
                         [](const auto& info) { return testNameOf(info.param->name()); });

TEST_P(Updates, TheSourceDescribesItsLayer) {
    const auto layer = source({});
    EXPECT_EQ(layer->descriptor()->kernelWidth(), 3u);
    EXPECT_EQ(layer->descriptor()->kernelHeight(), 2u);
    EXPECT_EQ(layer->descriptor()->inputFeatureChannels(), 5u);
    EXPECT_EQ(layer->descriptor()->outputFeatureChannels(), 7u);
    EXPECT_EQ(layer->parameterCount(), 3u * 2 * 5 * 7 + 7);
    EXPECT_EQ(layer->sourceLabel(), "layer");
    for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(layer->biasTerms()[i], 0.5f);
}

TEST_P(Updates, OnTheDeviceAndOnTheHostGiveTheSameBits) {
    std::vector<OptimizerSettings> optimizers(5);
    optimizers[0].kind = Kind::StochasticGradientDescent;
    optimizers[1].kind = Kind::StochasticGradientDescent;
    optimizers[1].momentum = 0.9f;
    optimizers[2].kind = Kind::StochasticGradientDescent;
    optimizers[2].momentum = 0.9f;
    optimizers[2].nesterov = true;
    optimizers[3].kind = Kind::RMSProp;
    optimizers[4].kind = Kind::Adam;
    for (auto& optimizer : optimizers) {
        SCOPED_TRACE(&optimizer - optimizers.data());
        optimizer.descriptor.learningRate = 0.1f;
        const auto device = source(optimizer), host = source(optimizer);
        const auto start = weightsOf(*device);
        ASSERT_EQ(start, weightsOf(*host));
        for (std::uint64_t step = 1; step <= 3; ++step) {
            updateOnDevice(*device, step);
            EXPECT_TRUE(host->update(gradients(step), valuesOf(GetParam(), *host)));
            EXPECT_EQ(weightsOf(*device), weightsOf(*host));
            EXPECT_EQ(device->updateCount(), step);
            EXPECT_EQ(host->updateCount(), step);
        }
        EXPECT_NE(start, weightsOf(*device));
    }
}

TEST_P(Updates, UseTheLearningRateThatHoldsWhenTheyAreEncoded) {
    OptimizerSettings sgd;
    sgd.kind = Kind::StochasticGradientDescent;
    sgd.descriptor.learningRate = 0.5f;
    const auto layer = source(sgd);
    const auto gradient = [&](std::uint64_t seed) {
        auto state = gradients(seed);
        auto* values = static_cast<float*>(state->gradientForWeights()->contents());
        return std::vector<float>(values, values + kWeights);
    };
    for (const float rate : {0.5f, 0.25f, 0.0f, 1.0f}) {
        layer->setLearningRate(rate);
        const auto before = weightsOf(*layer);
        updateOnDevice(*layer, 9);
        const auto after = weightsOf(*layer), g = gradient(9);
        // Rates are powers of two: one rounding, the subtraction's.
        for (std::size_t i = 0; i < kWeights; ++i) EXPECT_EQ(after[i], before[i] - rate * g[i]);
    }
}

TEST_P(Updates, LeaveAnExportedCopyToItself) {
    const auto layer = source({});
    const void* const own = layer->weights();
    const auto before = weightsOf(*layer);
    MPS::CNNConvolution kernel(GetParam(), layer);
    const auto commandBuffer = GetParam()->newCommandQueue()->commandBuffer();
    layer->update(commandBuffer, gradients(1), kernel.exportWeightsAndBiases(commandBuffer, true));
    commandBuffer->commit();
    commandBuffer->waitUntilCompleted();
    EXPECT_EQ(layer->weights(), own);
    EXPECT_NE(weightsOf(*layer), before);
}

TEST(DataSources, RefuseANullDevice) {
    EXPECT_EQ(errorOf([] { ConvolutionDataSource(nullptr, "conv", {}, Initializer::xavier(), 0, {}, 1, 1); }),
              "data source conv: device: expected a device, found null.");
    EXPECT_EQ(errorOf([] { BatchNormalizationDataSource(nullptr, "norm", 4, {}); }),
              "data source norm: device: expected a device, found null.");
}

TEST(BatchNormalizationSource, StartsAsTheIdentity) {
    BatchNormalizationDataSource source(MTL::createSystemDefaultDevice(), "norm", 3, {});
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(source.gamma()[i], 1);
        EXPECT_EQ(source.beta()[i], 0);
        EXPECT_EQ(source.mean()[i], 0);
        EXPECT_EQ(source.variance()[i], 1);
    }
    EXPECT_EQ(source.parameterCount(), 6u);
    EXPECT_EQ(source.epsilon(), 1e-5f);
}

/// One batch normalisation on the pictures themselves: their statistics are known.
const NetworkDescription& normalizingNetwork() {
    static const NetworkDescription network = {
        .name = "normalizing",
        .width = 3,
        .height = 2,
        .channels = 2,
        .target = Target::classes(2),
        .batchSize = 4,
        .build = [](NetworkBuilder& b, const NetworkBuilder::Image& input) {
            return b.fullyConnected(b.batchNormalization(input, "norm", 2), "fc", 3, 2, 2, 2, {});
        }};
    return network;
}

TEST(BatchNormalizationSource, MovingStatisticsFollowTheBatchByTheirMomentum) {
    const auto& network = normalizingNetwork();
    const auto data = noiseFor(network, 4);
    double sum[2] = {}, squares[2] = {};
    const double pixels = 4 * 3 * 2;
    for (std::size_t i = 0; i < data.bytes().size(); ++i) sum[i % 2] += data.bytes()[i] / 255.0;
    for (std::size_t i = 0; i < data.bytes().size(); ++i) {
        const double d = data.bytes()[i] / 255.0 - sum[i % 2] / pixels;
        squares[i % 2] += d * d;
    }
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        TrainingNetwork classifier(network, device, settingsFor(network));
        Trainer trainer(classifier, data);
        const auto norm = sourceNamed<BatchNormalizationDataSource>(classifier, "norm");
        ASSERT_TRUE(norm);
        double mean[2] = {0, 0}, variance[2] = {1, 1};
        for (int step = 1; step <= 3; ++step) {
            trainer.train(1);
            for (int c = 0; c < 2; ++c) {
                mean[c] = 0.9 * mean[c] + 0.1 * sum[c] / pixels;
                variance[c] = 0.9 * variance[c] + 0.1 * squares[c] / pixels;
                // 24 pixels are summed, then three products and a sum a step.
                const double tolerance = (24 + 4.0 * step) * std::numeric_limits<float>::epsilon();
                EXPECT_NEAR(norm->mean()[c], mean[c], tolerance);
                EXPECT_NEAR(norm->variance()[c], variance[c], tolerance);
            }
        }
    }
}

/// A network with a batch to take steps on.
struct Steps {
    explicit Steps(const DevicePtr& on)
        : device(on),
          classifier(tinyNetwork(), device, settingsFor(tinyNetwork())),
          batch(device, data, tinyNetwork().batchSize, tinyNetwork().target.channels) {
        batch.fill(data, std::vector<std::uint32_t>{0, 3, 5, 6});
    }
    void operator()() {
        const auto commandBuffer = device->newCommandQueue()->commandBuffer();
        classifier.trainingGraph().encodeBatch(commandBuffer, {batch.pictures()}, {batch.labels()});
        commandBuffer->commit();
        commandBuffer->waitUntilCompleted();
        EXPECT_FALSE(commandBuffer->error());
    }

    DevicePtr device;
    Dataset data = noiseFor(tinyNetwork(), 8);
    TrainingNetwork classifier;
    LabelledBatch batch;
};

TEST(DataSources, TakeOverTheBuffersThatAGraphsOnlyKernelLends) {
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        for (const char* label : {"conv", "fc"}) {
            Steps step(device);
            const auto source = sourceNamed<ConvolutionDataSource>(step.classifier, label);
            ASSERT_TRUE(source);
            const std::size_t count = *source->weightsLength();
            const auto values = [&] {
                const auto* first = static_cast<const float*>(source->weights());
                return std::vector<float>(first, first + count);
            };
            const void* const own = source->weights();
            step();
            const void* const lent = source->weights();
            EXPECT_NE(lent, own) << "its own buffers would have to be copied to the kernel after every update";
            const auto before = values();
            step();
            EXPECT_EQ(source->weights(), lent);
            EXPECT_NE(values(), before);
            EXPECT_EQ(*source->weightsLength(), count);
        }
    }
}

TEST(LearningRate, ReachesEveryDataSource) {
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        Steps step(device);
        TrainingNetwork& classifier = step.classifier;
        step();
        const auto before = parametersOf(classifier);
        classifier.setLearningRate(0);
        step();
        step();
        EXPECT_EQ(parametersOf(classifier), before);
        classifier.setLearningRate(0.01f);
        step();
        EXPECT_NE(parametersOf(classifier), before);
        for (const auto& source : classifier.dataSources())
            EXPECT_EQ(source->updateCount(), 4u) << source->sourceLabel();
    }
}

}  // namespace
}  // namespace pewter::train::tests
