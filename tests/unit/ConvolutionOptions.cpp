// Options and deprecated members of the convolution family.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/CNNNeuron.hpp>

#include "TestKernel.h"
#include "WeightedKernels.h"

using namespace pewter::test;
using testing::HasSubstr;

namespace {

using Descriptor = MPS::CNNConvolutionDescriptor;

Numbers apply(const std::shared_ptr<MPS::CNNConvolution>& kernel, const Numbers& source) {
    const auto y = imageOf(kernel->device(), 1, 1, kernel->outputFeatureChannels());
    const auto commands = kernel->device()->newCommandQueue()->commandBuffer();
    kernel->encode(commands, imageOf(kernel->device(), 1, 1, source.size(), source), y);
    finish(commands);
    return read(*y);
}

/// A data source that answers as little as the protocol allows.
class Bare : public ListSource {
public:
    using ListSource::ListSource;
    MPS::DataType kernelWeightsDataType() const override {
        return MPS::CNNConvolutionDataSource::kernelWeightsDataType();
    }
    MPS::CNNConvolutionWeightsLayout weightsLayout() const override { return layout; }
    MPS::CNNConvolutionWeightsLayout layout = MPS::CNNConvolutionWeightsLayout::OHWI;
};

}  // namespace

TEST(ConvolutionOptions, DeprecatedSpellingsSetTheFusedNeuron) {
    const auto d = Descriptor::cnnConvolutionDescriptor(1, 1, 1, 2);
    EXPECT_EQ(d->neuronType(), MPS::CNNNeuronType::None);
    EXPECT_EQ(d->neuron(), nullptr);
    d->setNeuronType(MPS::CNNNeuronType::Linear, 2, 3);
    EXPECT_EQ(d->fusedNeuronDescriptor().neuronType(), MPS::CNNNeuronType::Linear);
    EXPECT_EQ(d->neuronType(), MPS::CNNNeuronType::Linear);
    EXPECT_EQ(d->neuronParameterA(), 2);
    EXPECT_EQ(d->neuronParameterB(), 3);
    const auto linear = std::make_shared<MPS::CNNConvolution>(testDevice(), listSource(d, {1, 10}));
    EXPECT_EQ(linear->neuronType(), MPS::CNNNeuronType::Linear);
    EXPECT_EQ(linear->neuronParameterA(), 2);
    EXPECT_EQ(linear->neuronParameterB(), 3);
    EXPECT_EQ(linear->neuronParameterC(), 0);
    EXPECT_EQ(linear->neuron(), nullptr);
    EXPECT_EQ(apply(linear, {4}), (Numbers{11, 83}));

    d->setNeuronToPReLU({0.5f, -2});
    EXPECT_EQ(d->neuronType(), MPS::CNNNeuronType::PReLU);
    EXPECT_EQ(d->neuronParameterA(), 0);
    EXPECT_EQ(apply(std::make_shared<MPS::CNNConvolution>(testDevice(), listSource(d, {1, 10})), {-4}),
              (Numbers{-2, 80}));
    EXPECT_THAT(sentenceOf([&] { d->setNeuronToPReLU({1}); }),
                HasSubstr("parametersA: expected 2 values, one an output channel, found 1"));
}

TEST(ConvolutionOptions, ANeuronKernelLendsItsDescriptor) {
    const auto filter = std::make_shared<MPS::CNNNeuron>(
        testDevice(), MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU, 0.5f));
    const auto d = Descriptor::cnnConvolutionDescriptor(1, 1, 1, 1, filter);
    EXPECT_EQ(d->neuron(), filter);
    EXPECT_EQ(d->neuronType(), MPS::CNNNeuronType::ReLU);
    const auto kernel = std::make_shared<MPS::CNNConvolution>(testDevice(), listSource(d, {2}));
    EXPECT_EQ(kernel->neuron(), filter);
    EXPECT_EQ(apply(kernel, {-3}), (Numbers{-3}));
    d->setFusedNeuronDescriptor({});
    EXPECT_EQ(d->neuron(), nullptr) << "the descriptor says something else now";
    d->setNeuron(filter);
    d->setNeuron(nullptr);
    EXPECT_EQ(d->neuronType(), MPS::CNNNeuronType::None);
}

TEST(ConvolutionOptions, ArraysMakeAKernelThatKeepsCopies) {
    for (const auto& device : weightedDevices()) {
        std::vector<float> weights = {1, 2, 3, 4}, biases = {10, 20};
        const auto d = Descriptor::cnnConvolutionDescriptor(1, 1, 2, 2);
        const auto kernel = std::make_shared<MPS::CNNConvolution>(device, *d, weights.data(), biases.data());
        const auto connected = std::make_shared<MPS::CNNFullyConnected>(device, *d, weights.data(), nullptr,
                                                                        MPS::CNNConvolutionFlags::None);
        weights.assign(4, 0);
        biases.assign(2, 0);
        EXPECT_EQ(apply(kernel, {1, -1}), (Numbers{9, 19})) << device->name();
        EXPECT_EQ(apply(connected, {1, -1}), (Numbers{-1, -1})) << device->name();
        kernel->reloadWeightsAndBiasesFromDataSource();
        EXPECT_EQ(apply(kernel, {1, -1}), (Numbers{9, 19})) << device->name();
        EXPECT_EQ(kernel->dataSource()->label(), "");
    }
    const auto d = Descriptor::cnnConvolutionDescriptor(1, 1, 2, 2);
    EXPECT_THAT(sentenceOf([&] { MPS::CNNConvolution(testDevice(), *d, nullptr, nullptr); }),
                HasSubstr("CNNConvolution: kernelWeights: expected a pointer to the weights, found null"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNFullyConnected(testDevice(), *d, nullptr, nullptr); }),
                HasSubstr("CNNFullyConnected: kernelWeights"));
    d->setGroups(0);
    const float one[4] = {};
    EXPECT_THAT(sentenceOf([&] { MPS::CNNConvolution(testDevice(), *d, one, nullptr); }),
                HasSubstr("groups: expected at least 1, found 0"));
}

TEST(ConvolutionOptions, TheDeprecatedReloadIgnoresItsArgument) {
    const auto d = Descriptor::cnnConvolutionDescriptor(1, 1, 1, 1);
    const auto own = listSource(d, {2}), other = listSource(d, {100});
    const auto kernel = std::make_shared<MPS::CNNConvolution>(testDevice(), own);
    own->floats = {3};
    kernel->reloadWeightsAndBiases(other);
    EXPECT_EQ(apply(kernel, {1}), (Numbers{3}));
    EXPECT_EQ(other->loads, 0);
}

TEST(ConvolutionOptions, HalfAccumulatorsArePermittedAndNotUsed) {
    for (const auto& device : weightedDevices()) {
        // 4096 + 1 needs 13 bits, more than a half has.
        const auto d = Descriptor::cnnConvolutionDescriptor(1, 1, 2, 1);
        const auto kernel = std::make_shared<MPS::CNNConvolution>(device, listSource(d, {4096, 1}));
        EXPECT_EQ(kernel->accumulatorPrecisionOption(), MPS::NNConvolutionAccumulatorPrecisionOption::Float);
        kernel->setAccumulatorPrecisionOption(MPS::NNConvolutionAccumulatorPrecisionOption::Half);
        EXPECT_EQ(kernel->accumulatorPrecisionOption(), MPS::NNConvolutionAccumulatorPrecisionOption::Half);
        EXPECT_EQ(apply(kernel, {1, 1}), (Numbers{4097})) << device->name();
    }
}

TEST(ConvolutionOptions, KernelsKeepFloat32WhicheverPrecisionASourceAsksFor) {
    const auto d = Descriptor::cnnConvolutionDescriptor(1, 1, 1, 1);
    const double third = static_cast<double>(1.0f / 3);
    const auto source = std::make_shared<Bare>(d, Numbers{third});
    EXPECT_EQ(source->kernelWeightsDataType(), MPS::DataType::Float32);
    source->type = MPS::DataType::Float16;
    EXPECT_EQ(source->kernelWeightsDataType(), MPS::DataType::Float16);
    source->type = MPS::DataType::Float32;
    const auto half = listSource(d, {third});
    half->kept = MPS::DataType::Float16;
    EXPECT_EQ(apply(std::make_shared<MPS::CNNConvolution>(testDevice(), half), {1}), (Numbers{third}));
    EXPECT_EQ(apply(std::make_shared<MPS::CNNConvolution>(testDevice(), source), {1}), (Numbers{third}));
}

TEST(ConvolutionOptions, AnUnknownWeightsLayoutIsRefused) {
    const auto source = std::make_shared<Bare>(Descriptor::cnnConvolutionDescriptor(1, 1, 1, 1), Numbers{2});
    EXPECT_EQ(apply(std::make_shared<MPS::CNNConvolution>(testDevice(), source), {3}), (Numbers{6}));
    source->layout = static_cast<MPS::CNNConvolutionWeightsLayout>(1);
    EXPECT_THAT(sentenceOf([&] { MPS::CNNConvolution(testDevice(), source); }),
                HasSubstr("weightsLayout: expected OHWI, found 1"));
}

TEST(ConvolutionOptions, SerializingWeightsIsAPropertyWithoutEffect) {
    const auto source = listSource(Descriptor::cnnConvolutionDescriptor(1, 1, 1, 1), {2});
    const auto forward = std::make_shared<MPS::CNNConvolution>(testDevice(), source);
    MPS::CNNConvolutionGradient gradient(testDevice(), source);
    EXPECT_FALSE(gradient.serializeWeightsAndBiases());
    gradient.setSerializeWeightsAndBiases(true);
    EXPECT_TRUE(gradient.serializeWeightsAndBiases());
    const auto x = imageOf(testDevice(), 1, 1, 1, {5}), y = imageOf(testDevice(), 1, 1, 1);
    const auto commands = testQueue()->commandBuffer();
    const auto state = forward->resultState(x, {}, y);
    forward->encode(commands, x, state, y);
    const auto dx = imageOf(testDevice(), 1, 1, 1);
    gradient.encode(commands, imageOf(testDevice(), 1, 1, 1, {3}), x, state, dx);
    finish(commands);
    EXPECT_EQ(read(*dx), (Numbers{6}));
}
