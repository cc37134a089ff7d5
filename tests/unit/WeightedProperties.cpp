#include <MPS/CNNFullyConnected.hpp>
#include <MPS/CNNNeuron.hpp>
#include <MPS/NNOptimizer.hpp>

#include "WeightedKernels.h"

/// What kernels with weights tell of themselves, and the forms that no other test encodes on its own.
using namespace pewter::test;
using namespace MPS;

namespace {

std::shared_ptr<MTL::CommandBuffer> commandsOf(const DevicePtr& device) {
    return device->newCommandQueue()->commandBuffer();
}

/// Has a range and a table for its 8-bit weights, and says which one counts.
struct ByTable final : ListSource {
    using ListSource::ListSource;
    CNNWeightsQuantizationType weightsQuantizationType() const override { return quantization; }
    CNNWeightsQuantizationType quantization = CNNWeightsQuantizationType::LookupTable;
};

}  // namespace

TEST(WeightedProperties, ConvolutionsTellWhatTheirDescriptorSays) {
    for (const auto& device : weightedDevices()) {
        auto d = CNNConvolutionDescriptor::cnnConvolutionDescriptor(2, 3, 8, 16);
        d->setGroups(2);
        d->setFusedNeuronDescriptor(NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::ReLU, 0.5f));
        const auto source = listSource(d, Numbers(d->weightCount(), 1));
        const CNNConvolution forward(device, source);
        EXPECT_EQ(forward.inputFeatureChannels(), 8u);
        EXPECT_EQ(forward.outputFeatureChannels(), 16u);
        EXPECT_EQ(forward.groups(), 2u);
        EXPECT_EQ(forward.channelMultiplier(), 0u);
        EXPECT_EQ(forward.dataSource(), source);
        EXPECT_EQ(forward.fusedNeuronDescriptor().a(), 0.5f);
        EXPECT_EQ(forward.kernelHeight(), 3u);

        d->setFusedNeuronDescriptor(NNNeuronDescriptor());
        const CNNConvolutionGradient gradient(device, source);
        EXPECT_EQ(gradient.sourceGradientFeatureChannels(), 16u);
        EXPECT_EQ(gradient.sourceImageFeatureChannels(), 8u);
        EXPECT_EQ(gradient.groups(), 2u);
        EXPECT_EQ(gradient.channelMultiplier(), 0u);
        EXPECT_EQ(gradient.dataSource(), source);
        const auto depthwise = CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(3, 3, 4, 4);
        EXPECT_EQ(CNNConvolutionGradient(device, listSource(depthwise, Numbers(36))).channelMultiplier(), 1u);
    }
}

TEST(WeightedProperties, DeprecatedSpellingsOfAConvolutionDoTheSame) {
    using Descriptor = CNNConvolutionDescriptor;
    for (const auto& device : weightedDevices()) {
        const auto apply = [&](CNNConvolution& kernel, double x) {
            const auto y = imageOf(device, 1, 1, kernel.outputFeatureChannels());
            const auto commands = commandsOf(device);
            kernel.encode(commands, imageOf(device, 1, 1, 1, {x}), y);
            finish(commands);
            return read(*y);
        };
        // Weights and biases as arrays, which the kernel copies.
        std::vector<float> weights{2, 3}, biases{1, -1};
        const auto d = Descriptor::cnnConvolutionDescriptor(1, 1, 1, 2);
        CNNConvolution arrays(device, *d, weights.data(), biases.data(), CNNConvolutionFlags::None);
        CNNFullyConnected dense(device, *d, weights.data(), nullptr, CNNConvolutionFlags::None);
        weights = {0, 0};
        EXPECT_EQ(apply(arrays, 5), (Numbers{11, 14})) << device->name();
        EXPECT_EQ(apply(dense, 5), (Numbers{10, 15})) << device->name();
        EXPECT_EQ(arrays.accumulatorPrecisionOption(), NNConvolutionAccumulatorPrecisionOption::Float);
        arrays.setAccumulatorPrecisionOption(NNConvolutionAccumulatorPrecisionOption::Half);
        EXPECT_EQ(arrays.accumulatorPrecisionOption(), NNConvolutionAccumulatorPrecisionOption::Half);
        EXPECT_EQ(apply(arrays, 5), (Numbers{11, 14})) << "sums stay in float32, on " << device->name();

        // The activation as a kernel, as a type with parameters, as slopes.
        const auto filter = std::make_shared<CNNNeuron>(
            device, NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::Linear, 2, 7));
        const auto filtered = Descriptor::cnnConvolutionDescriptor(1, 1, 1, 1, filter);
        EXPECT_EQ(filtered->neuron(), filter);
        EXPECT_EQ(filtered->neuronType(), CNNNeuronType::Linear);
        EXPECT_EQ(filtered->neuronParameterA() * 10 + filtered->neuronParameterB(), 27);
        const auto source = listSource(filtered, {3});
        CNNConvolution fused(device, source);
        EXPECT_EQ(fused.neuronType(), CNNNeuronType::Linear);
        EXPECT_EQ(fused.neuronParameterA(), 2);
        EXPECT_EQ(fused.neuronParameterB(), 7);
        EXPECT_EQ(fused.neuronParameterC(), 0);
        EXPECT_EQ(fused.neuron(), filter);
        EXPECT_EQ(apply(fused, 5), Numbers{37}) << device->name();
        const auto typed = Descriptor::cnnConvolutionDescriptor(1, 1, 1, 2);
        typed->setNeuronType(CNNNeuronType::ReLU, 0.5f, 0);
        EXPECT_EQ(typed->neuron(), nullptr);
        CNNConvolution relu(device, listSource(typed, {1, 2}));
        EXPECT_EQ(apply(relu, -4), (Numbers{-2, -4})) << device->name();
        typed->setNeuronToPReLU({0.25f, 2});
        EXPECT_EQ(typed->neuronType(), CNNNeuronType::PReLU);
        EXPECT_EQ(typed->neuronParameterA(), 0);
        CNNConvolution slopes(device, listSource(typed, {1, 2}));
        EXPECT_EQ(apply(slopes, -4), (Numbers{-1, -16})) << device->name();
        EXPECT_EQ(apply(relu, -4), (Numbers{-2, -4})) << "made before, on " << device->name();

        // A reload "from" another source reloads from the own one.
        source->floats = {10};
        fused.reloadWeightsAndBiases(listSource(filtered, {1000}));
        EXPECT_EQ(apply(fused, 1), Numbers{27}) << device->name();
        CNNConvolutionGradient gradient(device,
                                        listSource(Descriptor::cnnConvolutionDescriptor(1, 1, 1, 1), {3}));
        EXPECT_FALSE(gradient.serializeWeightsAndBiases());
        gradient.setSerializeWeightsAndBiases(true);
        EXPECT_TRUE(gradient.serializeWeightsAndBiases());
    }
}

TEST(WeightedProperties, DataSourcesSayHowTheirWeightsLieAndAreKept) {
    for (const auto& device : weightedDevices()) {
        const auto d = CNNConvolutionDescriptor::cnnConvolutionDescriptor(2, 1, 2, 1);
        // Output, row, column, input: the two inputs of a tap lie together.
        const auto source = listSource(d, {1, 10, 100, 1000});
        EXPECT_EQ(source->weightsLayout(), CNNConvolutionWeightsLayout::OHWI);
        EXPECT_EQ(source->CNNConvolutionDataSource::kernelWeightsDataType(), DataType::Float32);
        const auto y = imageOf(device, 2, 1, 1), z = imageOf(device, 2, 1, 1);
        const auto x = imageOf(device, 2, 1, 2, {1, 2, 3, 4});
        const auto commands = commandsOf(device);
        CNNConvolution(device, source).encode(commands, x, y);
        source->kept = DataType::Float16;
        source->floats = {1, 10, 100, 1.0001f};
        CNNConvolution half(device, source);
        half.encode(commands, x, z);
        const auto exported = half.exportWeightsAndBiases(commands, false);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{2100, 4321})) << device->name();
        EXPECT_EQ(floatsOf(*exported->weights())[3], 1.0001f)
            << "kept in float32, so that what is exported is what computes, on " << device->name();
        const auto bytes = listSource(d, {});
        bytes->type = DataType::UInt8;
        EXPECT_EQ(bytes->CNNConvolutionDataSource::kernelWeightsDataType(), DataType::Float16);
    }
}

TEST(WeightedProperties, ADataSourceSaysWhetherItsRangesOrItsTableCount) {
    for (const auto& device : weightedDevices()) {
        const auto source = std::make_shared<ByTable>(
            CNNConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 1, 1), Numbers{0});
        source->type = DataType::UInt8;
        source->bytes = {255};
        source->ranges = {-1, 3};
        source->table.assign(256, 0);
        source->table[255] = 20;
        const auto y = imageOf(device, 1, 1, 1), z = imageOf(device, 1, 1, 1);
        const auto x = imageOf(device, 1, 1, 1, {2});
        const auto commands = commandsOf(device);
        CNNConvolution(device, source).encode(commands, x, y);
        source->quantization = CNNWeightsQuantizationType::Linear;
        CNNConvolution(device, source).encode(commands, x, z);
        finish(commands);
        EXPECT_EQ(read(*y), Numbers{40}) << device->name();
        EXPECT_EQ(read(*z), Numbers{6}) << device->name();
    }
}

TEST(WeightedProperties, WeightStatesMadeForADescriptorHoldItsParameters) {
    for (const auto& device : weightedDevices()) {
        const auto d = CNNConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 2, 3);
        const auto forward =
            std::make_shared<CNNConvolution>(device, listSource(d, Numbers(6, 1), Numbers(3)));
        const auto state = std::make_shared<CNNConvolutionWeightsAndBiasesState>(device, *d);
        EXPECT_EQ(state->weights()->length(), 6 * sizeof(float));
        EXPECT_EQ(state->biases()->length(), 3 * sizeof(float));
        EXPECT_EQ(state->weightsOffset() + state->biasesOffset(), 0u);
        writeFloats(*state->weights(), {1, 2, 3, 4, 5, 6});
        writeFloats(*state->biases(), {10, 20, 30});
        const auto commands = commandsOf(device);
        const auto temporary =
            CNNConvolutionWeightsAndBiasesState::temporaryCNNConvolutionWeightsAndBiasesState(commands, *d);
        EXPECT_TRUE(temporary->isTemporary());
        EXPECT_EQ(temporary->readCount(), 1u);
        // A step of size 0 from the one into the other carries the values over.
        NNOptimizerStochasticGradientDescent carry(device, 0);
        const auto x = imageOf(device, 1, 1, 2, {1, 10}), y = imageOf(device, 1, 1, 3);
        const auto gradients =
            std::dynamic_pointer_cast<CNNConvolutionGradientState>(forward->resultState(x, {}, y));
        carry.encode(commands, gradients, state, {}, temporary);
        forward->reloadWeightsAndBiases(commands, temporary);
        EXPECT_EQ(temporary->readCount(), 0u);
        forward->encode(commands, x, y);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{31, 63, 95})) << device->name();
    }
}
