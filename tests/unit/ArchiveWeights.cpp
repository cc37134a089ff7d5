#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNConvolutionTranspose.hpp>
#include <MPS/CNNGroupNormalization.hpp>
#include <MPS/CNNInstanceNormalization.hpp>
#include <MPS/CNNNeuron.hpp>
#include <MPS/CNNNormalization.hpp>

#include "ArchiveRoundTrip.h"

using namespace pewter::test;
using namespace MPS;

namespace {

/// A data source that archives can hold: it stores its own weights.
class CodedSource final : public ListSource, public SecureCoding {
public:
    using ListSource::ListSource;
    explicit CodedSource(Coder& coder)
        : ListSource(coder.decodeObjectOfClass<CNNConvolutionDescriptor>("shape"), {}) {
        floats = coder.decodeFloats("floats");
        biases = coder.decodeFloats("biases");
        name = coder.decodeString("name");
    }
    const char* className() const override { return "ArchiveWeights.CodedSource"; }
    void encodeWithCoder(Coder& coder) const override {
        coder.encodeObject(shape, "shape");
        coder.encodeFloats(floats, "floats");
        coder.encodeFloats(biases, "biases");
        coder.encodeString(name, "name");
    }
};

/// Four channels of a batch normalisation.
class Normal : public CNNBatchNormalizationDataSource {
public:
    std::size_t numberOfFeatureChannels() const override { return 8; }
    const float* gamma() override { return g.data(); }
    const float* beta() override { return b.data(); }
    const float* mean() override { return b.data(); }
    const float* variance() override { return g.data(); }
    bool load() override { return true; }
    void purge() override {}
    std::string label() const override { return "norm"; }
    float epsilon() const override { return 0.25f; }
    std::vector<float> g = {1, 2, 3, 4, 5, 6, 7, 8}, b = {-1, 0.5f, 0, 2, 3, -4, 1, 1};
};

class CodedNormal final : public Normal, public SecureCoding {
public:
    CodedNormal() = default;
    explicit CodedNormal(Coder& coder) {
        g = coder.decodeFloats("g");
        b = coder.decodeFloats("b");
    }
    const char* className() const override { return "ArchiveWeights.CodedNormal"; }
    void encodeWithCoder(Coder& coder) const override {
        coder.encodeFloats(g, "g");
        coder.encodeFloats(b, "b");
    }
};

class Instances final : public CNNInstanceNormalizationDataSource {
public:
    std::size_t numberOfFeatureChannels() const override { return 8; }
    const float* gamma() override { return values.g.data(); }
    const float* beta() override { return values.b.data(); }
    std::string label() const override { return "instances"; }
    Normal values;
};

class Groups final : public CNNGroupNormalizationDataSource {
public:
    std::size_t numberOfFeatureChannels() const override { return 8; }
    std::size_t numberOfGroups() const override { return groups; }
    void setNumberOfGroups(std::size_t n) override { groups = n; }
    const float* gamma() override { return values.g.data(); }
    const float* beta() override { return values.b.data(); }
    std::string label() const override { return "groups"; }
    std::size_t groups = 4;
    Normal values;
};

class ArchiveWeights : public testing::TestWithParam<std::size_t> {
protected:
    ArchiveWeights() {
        RegisterArchivedClass<CodedSource>("ArchiveWeights.CodedSource");
        RegisterArchivedClass<CodedNormal>("ArchiveWeights.CodedNormal");
    }
    Numbers weightsOf(const CNNConvolutionDescriptor& d) {
        Random random(11);
        return uniform(random, d.weightCount());
    }
    Numbers biasesOf(const CNNConvolutionDescriptor& d) {
        Random random(12);
        return uniform(random, d.outputFeatureChannels());
    }

    DevicePtr device = weightedDevices()[GetParam()];
    ImagePtr source = anyImage(device, 5, 4, 8);
};

std::shared_ptr<CNNConvolutionDescriptor> shapeOf(std::size_t width, std::size_t height, std::size_t in,
                                                  std::size_t out) {
    return CNNConvolutionDescriptor::cnnConvolutionDescriptor(width, height, in, out);
}

}  // namespace

TEST_P(ArchiveWeights, AConvolutionStoresItsWeightsWhenItsDataSourceHasNoCoding) {
    const auto d = shapeOf(3, 2, 8, 12);
    d->setStrideInPixelsY(2);
    d->setDilationRateX(2);
    d->setGroups(1);
    d->setFusedNeuronDescriptor(NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::ReLU, 0.25f));
    auto kernel = std::make_shared<CNNConvolution>(device, listSource(d, weightsOf(*d), biasesOf(*d)));
    kernel->setAccumulatorPrecisionOption(NNConvolutionAccumulatorPrecisionOption::Half);
    const auto again = sameForward(kernel, source);
    EXPECT_EQ(again->inputFeatureChannels(), 8u);
    EXPECT_EQ(again->outputFeatureChannels(), 12u);
    EXPECT_EQ(again->fusedNeuronDescriptor(), kernel->fusedNeuronDescriptor());
    EXPECT_EQ(again->accumulatorPrecisionOption(), NNConvolutionAccumulatorPrecisionOption::Half);
    // The kernel that was read can be copied, reloaded and written again like any other.
    again->reloadWeightsAndBiasesFromDataSource();
    EXPECT_EQ(KeyedArchiver::archivedData(again), KeyedArchiver::archivedData(kernel));
    EXPECT_EQ(KeyedArchiver::archivedData(again->copy()), KeyedArchiver::archivedData(kernel));
}

TEST_P(ArchiveWeights, TheWeightsOfANewerReloadAreTheOnesStored) {
    const auto d = shapeOf(1, 1, 8, 8);
    const auto list = listSource(d, weightsOf(*d), biasesOf(*d));
    auto kernel = std::make_shared<CNNConvolution>(device, list);
    const auto before = KeyedArchiver::archivedData(kernel);
    const auto commands = device->newCommandQueue()->commandBuffer();
    kernel->reloadWeightsAndBiases(
        commands, std::make_shared<CNNConvolutionWeightsAndBiasesState>(bufferOf(device, Numbers(64, 0.5)),
                                                                        bufferOf(device, Numbers(8, 3))));
    finish(commands);
    EXPECT_NE(KeyedArchiver::archivedData(kernel), before);
    sameForward(kernel, source);
}

TEST_P(ArchiveWeights, EveryKindOfDescriptorAndAFoldedNormalisationComeBack) {
    const auto grouped = shapeOf(3, 3, 8, 16);
    grouped->setGroups(2);
    sameForward(std::make_shared<CNNConvolution>(device, listSource(grouped, weightsOf(*grouped))), source);
    const auto depthwise = CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(3, 3, 8, 16);
    const auto again = sameForward(
        std::make_shared<CNNConvolution>(device, listSource(depthwise, weightsOf(*depthwise))), source);
    EXPECT_EQ(again->channelMultiplier(), 2u);
    const auto folded = shapeOf(1, 1, 8, 4);
    folded->setBatchNormalizationParametersForInference({1, 2, 3, 4}, {1, 2, 3, 4}, {1, 1, 2, 2},
                                                        {0, 1, 0, 1}, 0.5f);
    folded->setFusedNeuronDescriptor(NNNeuronDescriptor::cnnNeuronPReLUDescriptor({1, 2, 3, 4}));
    const auto unfolded = sameForward(
        std::make_shared<CNNConvolution>(device, listSource(folded, weightsOf(*folded), biasesOf(*folded))),
        source);
    ASSERT_NE(unfolded->descriptor().batchNormalization(), nullptr);
    EXPECT_EQ(unfolded->descriptor().batchNormalization()->epsilon, 0.5f);
    const auto pixels = CNNSubPixelConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 8, 16);
    pixels->setSubPixelScaleFactor(2);
    const auto shuffled =
        roundTrip(std::make_shared<CNNConvolution>(device, listSource(pixels, weightsOf(*pixels))));
    EXPECT_EQ(shuffled->subPixelScaleFactor(), 2u);
    // Descriptors stand for themselves too.
    const auto alone = KeyedUnarchiver::unarchivedObjectOfClass<CNNConvolutionDescriptor>(
        KeyedArchiver::archivedData(pixels), device);
    EXPECT_STREQ(alone->className(), "CNNSubPixelConvolutionDescriptor");
    EXPECT_EQ(alone->subPixelScaleFactor(), 2u);
    const auto neuron = std::make_shared<NNNeuronDescriptor>(folded->fusedNeuronDescriptor());
    EXPECT_EQ(*KeyedUnarchiver::unarchivedObjectOfClass<NNNeuronDescriptor>(
                  KeyedArchiver::archivedData(neuron), device),
              *neuron);
    // The deprecated filter object of a descriptor.
    const auto filtered = shapeOf(1, 1, 8, 4);
    filtered->setNeuron(std::make_shared<CNNNeuronReLU>(device, 0.5f));
    const auto filter = KeyedUnarchiver::unarchivedObjectOfClass<CNNConvolutionDescriptor>(
        KeyedArchiver::archivedData(filtered), device);
    ASSERT_NE(filter->neuron(), nullptr);
    EXPECT_EQ(filter->neuron()->a(), 0.5f);
}

TEST_P(ArchiveWeights, ADataSourceWithCodingIsStoredItself) {
    const auto d = shapeOf(3, 3, 8, 4);
    const auto list = std::make_shared<CodedSource>(d, weightsOf(*d), biasesOf(*d));
    list->name = "coded";
    const auto again = sameForward(std::make_shared<CNNConvolution>(device, list), source);
    const auto read = std::dynamic_pointer_cast<CodedSource>(again->dataSource());
    ASSERT_NE(read, nullptr);
    EXPECT_EQ(read->floats, list->floats);
    EXPECT_EQ(read->name, "coded");
    // Kernels that share a data source share it again.
    KeyedArchiver archiver;
    archiver.encodeObject(std::make_shared<CNNConvolution>(device, list), "forward");
    archiver.encodeObject(std::make_shared<CNNConvolutionGradient>(device, list), "gradient");
    KeyedUnarchiver unarchiver(archiver.encodedData(), device);
    EXPECT_EQ(unarchiver.decodeObjectOfClass<CNNConvolution>("forward")->dataSource(),
              unarchiver.decodeObjectOfClass<CNNConvolutionGradient>("gradient")->dataSource());
}

TEST_P(ArchiveWeights, ConvolutionGradients) {
    const auto d = shapeOf(3, 2, 8, 12);
    d->setStrideInPixelsX(2);
    const auto list = listSource(d, weightsOf(*d), biasesOf(*d));
    const auto gradient = std::make_shared<CNNConvolutionGradient>(device, list);
    gradient->setSerializeWeightsAndBiases(true);
    const auto again = sameGradient(std::make_shared<CNNConvolution>(device, list), gradient, source);
    EXPECT_TRUE(again->serializeWeightsAndBiases());
    EXPECT_EQ(again->sourceImageFeatureChannels(), 8u);
    // Once more with parameters of its own, which the encode above has given it.
    sameGradient(std::make_shared<CNNConvolution>(device, list), gradient, source);
    gradient->setGradientOption(CNNConvolutionGradientOptionGradientWithWeightsAndBias);
    EXPECT_EQ(roundTrip(gradient)->gradientOption(), CNNConvolutionGradientOptionGradientWithWeightsAndBias);
}

TEST_P(ArchiveWeights, FullyConnectedAndItsGradient) {
    const auto d = shapeOf(5, 4, 8, 3);
    const auto list = listSource(d, weightsOf(*d), biasesOf(*d));
    const auto kernel = std::make_shared<CNNFullyConnected>(device, list);
    kernel->setDestinationImageAllocator(Image::defaultAllocator());
    const auto again = roundTrip(kernel);
    const auto run = [&](CNNFullyConnected& k) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = k.encode(commands, source);
        finish(commands);
        return read(*y);
    };
    EXPECT_EQ(run(*again), run(*kernel));
    sameGradient(kernel, std::make_shared<CNNFullyConnectedGradient>(device, list), source);
}

TEST_P(ArchiveWeights, TransposedConvolution) {
    const auto d = shapeOf(3, 2, 8, 4);
    d->setStrideInPixelsX(2);
    const auto list = listSource(d, weightsOf(*d), biasesOf(*d));
    const auto kernel = std::make_shared<CNNConvolutionTranspose>(device, list);
    kernel->setKernelOffsetX(1);
    kernel->setKernelOffsetY(-1);
    const auto again = sameForward(kernel, source, [](CNNKernel& k) { k.setEdgeMode(ImageEdgeMode::Zero); });
    const auto fresh = roundTrip(std::make_shared<CNNConvolutionTransposeGradient>(device, list));
    EXPECT_EQ(fresh->sourceGradientFeatureChannels(), 4u);
    kernel->setKernelOffsetX(2);
    EXPECT_EQ(roundTrip(kernel)->kernelOffsetX(), 2);
    EXPECT_EQ(again->groups(), 1u);
    sameGradient(kernel, std::make_shared<CNNConvolutionTransposeGradient>(device, list), source);
}

TEST_P(ArchiveWeights, BatchNormalisation) {
    const auto neuron = NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::ReLU, 0.25f);
    const auto kernel = std::make_shared<CNNBatchNormalization>(device, std::make_shared<Normal>(), neuron);
    kernel->setEpsilon(0.125f);
    const auto again = sameForward(kernel, source);
    EXPECT_EQ(again->epsilon(), 0.125f);
    EXPECT_EQ(again->fusedNeuronDescriptor(), neuron);
    EXPECT_EQ(again->numberOfFeatureChannels(), 8u);
    again->reloadGammaAndBetaFromDataSource();
    again->reloadMeanAndVarianceFromDataSource();
    EXPECT_EQ(KeyedArchiver::archivedData(again), KeyedArchiver::archivedData(kernel));
    EXPECT_EQ(
        roundTrip(std::make_shared<CNNBatchNormalizationGradient>(device, neuron))->fusedNeuronDescriptor(),
        neuron);
    EXPECT_EQ(roundTrip(std::make_shared<CNNBatchNormalizationStatisticsGradient>(device, neuron))
                  ->fusedNeuronDescriptor(),
              neuron);
    roundTrip(std::make_shared<CNNBatchNormalizationStatistics>(device));
    const auto coded =
        sameForward(std::make_shared<CNNBatchNormalization>(device, std::make_shared<CodedNormal>()), source);
    EXPECT_NE(std::dynamic_pointer_cast<CodedNormal>(coded->dataSource()), nullptr);
}

TEST_P(ArchiveWeights, InstanceAndGroupNormalisation) {
    const auto instances = std::make_shared<CNNInstanceNormalization>(device, std::make_shared<Instances>());
    instances->setEpsilon(0.5f);
    const auto whole = [](CNNKernel& k) {
        k.setOffset({0, 0, 0});
        k.setClipRect(RectNoClip);
    };
    EXPECT_EQ(sameForward(instances, source, whole)->epsilon(), 0.5f);
    roundTrip(std::make_shared<CNNInstanceNormalizationGradient>(device));
    const auto groups = std::make_shared<CNNGroupNormalization>(device, std::make_shared<Groups>());
    const auto again = sameForward(groups, source, whole);
    EXPECT_EQ(again->numberOfGroups(), 4u);
    EXPECT_EQ(again->numberOfFeatureChannels(), 8u);
    roundTrip(std::make_shared<CNNGroupNormalizationGradient>(device));
}

TEST_P(ArchiveWeights, NormalisationsOverANeighbourhood) {
    const auto factors = [](auto kernel) {
        kernel->setAlpha(0.5f);
        kernel->setBeta(0.75f);
        kernel->setDelta(2);
        return kernel;
    };
    const auto contrast = [&](auto kernel) {
        kernel->setP0(0.5f);
        kernel->setPm(0.25f);
        kernel->setPs(0.125f);
        return factors(kernel);
    };
    const auto spatial = factors(std::make_shared<CNNSpatialNormalization>(device, 5, 3));
    EXPECT_EQ(sameForward(spatial, source)->delta(), 2);
    EXPECT_EQ(sameGradient(spatial, factors(std::make_shared<CNNSpatialNormalizationGradient>(device, 5, 3)),
                           source)
                  ->alpha(),
              0.5f);
    const auto local = contrast(std::make_shared<CNNLocalContrastNormalization>(device, 5, 3));
    EXPECT_EQ(sameForward(local, source)->pm(), 0.25f);
    EXPECT_EQ(
        sameGradient(local, contrast(std::make_shared<CNNLocalContrastNormalizationGradient>(device, 5, 3)),
                     source)
            ->ps(),
        0.125f);
    const auto cross = factors(std::make_shared<CNNCrossChannelNormalization>(device, 3));
    EXPECT_EQ(sameForward(cross, source)->kernelSize(), 3u);
    EXPECT_EQ(sameGradient(cross, factors(std::make_shared<CNNCrossChannelNormalizationGradient>(device, 3)),
                           source)
                  ->beta(),
              0.75f);
}

INSTANTIATE_TEST_SUITE_P(Devices, ArchiveWeights, testing::Range<std::size_t>(0, weightedDevices().size()));
