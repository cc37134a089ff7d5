// Convolution and fully connected kernels through the MPS classes against values that PyTorch computed.

#include <gtest/gtest.h>

#include "Fixtures.h"
#include "Tolerance.h"
#include "WeightedKernels.h"

using namespace pewter::test;

namespace {

MPS::CNNNeuronType neuronType(const Json& json) {
    return static_cast<MPS::CNNNeuronType>(neuronOf(json).type);
}

std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptorOf(const Json& one) {
    const auto at = [&](const char* field) { return one.at(field).get<std::size_t>(); };
    std::shared_ptr<MPS::CNNConvolutionDescriptor> d;
    if (one.value("depthwise", false))
        d = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(
            at("kernelWidth"), at("kernelHeight"), at("inputFeatureChannels"), at("outputFeatureChannels"));
    else
        d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(
            at("kernelWidth"), at("kernelHeight"), at("inputFeatureChannels"), at("outputFeatureChannels"));
    if (!one.contains("strideX")) return d;
    d->setStrideInPixelsX(at("strideX"));
    d->setStrideInPixelsY(at("strideY"));
    d->setDilationRateX(at("dilationX"));
    d->setDilationRateY(at("dilationY"));
    if (!one.at("depthwise").get<bool>()) d->setGroups(at("groups"));
    return d;
}

std::vector<std::size_t> shapeOf(const Json& tensor) {
    return tensor.at("shape").get<std::vector<std::size_t>>();
}

MPS::ImageBatch batchOf(const DevicePtr& device, const Json& tensor) {
    const auto s = shapeOf(tensor);
    return pewter::test::batchOf(device, s[0], s[2], s[1], s[3], numbers(tensor));
}

MPS::ImageBatch emptyLike(const DevicePtr& device, const Json& tensor) {
    const auto s = shapeOf(tensor);
    return pewter::test::batchOf(device, s[0], s[2], s[1], s[3]);
}

/// Forward and gradient of one case, everything compared exactly: every number is exact in float32.
template <class Forward, class Gradient>
void checkTraining(const Json& one) {
    const auto name = one.at("name").get<std::string>();
    for (const auto& device : weightedDevices()) {
        const auto source = listSource(descriptorOf(one), numbers(one.at("w")), numbers(one.at("b")));
        const auto forward = std::make_shared<Forward>(device, source);
        Gradient gradient(device, source);
        if (one.contains("offsetX")) forward->setOffset({one.at("offsetX"), one.at("offsetY"), 0});
        const auto x = batchOf(device, one.at("x")), y = emptyLike(device, one.at("y"));
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto states = forward->resultStateBatch(x, {}, y);
        forward->encodeBatch(commands, x, states, y);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto dx = gradient.encodeBatch(commands, batchOf(device, one.at("g")), x, states);
        finish(commands);
        EXPECT_EQ(read(y), numbers(one.at("y"))) << name << ", " << device->name();
        EXPECT_EQ(read(dx), numbers(one.at("dx"))) << name << ", " << device->name();
        auto& state = dynamic_cast<MPS::CNNConvolutionGradientState&>(*states[0]);
        EXPECT_EQ(floatsOf(*state.gradientForWeights()), numbers(one.at("dw")))
            << name << ", " << device->name();
        EXPECT_EQ(floatsOf(*state.gradientForBiases()), numbers(one.at("db")))
            << name << ", " << device->name();
    }
}

}  // namespace

TEST(ConvolutionFixtures, ForwardAndGradientsAreThoseOfPyTorch) {
    const auto cases = fixture("convolution").at("cases");
    ASSERT_FALSE(cases.empty());
    for (const auto& one : cases) checkTraining<MPS::CNNConvolution, MPS::CNNConvolutionGradient>(one);
}

TEST(ConvolutionFixtures, FullyConnectedForwardAndGradientsAreThoseOfPyTorch) {
    const auto cases = fixture("fully_connected").at("cases");
    ASSERT_FALSE(cases.empty());
    for (const auto& one : cases) checkTraining<MPS::CNNFullyConnected, MPS::CNNFullyConnectedGradient>(one);
}

TEST(ConvolutionFixtures, FusedNeuronsAreThoseOfPyTorch) {
    const auto cases = fixture("convolution").at("fusedNeuronCases");
    ASSERT_FALSE(cases.empty());
    for (const auto& one : cases)
        for (const auto& device : weightedDevices()) {
            auto d = descriptorOf(one);
            const auto& n = one.at("neuron");
            d->setFusedNeuronDescriptor(
                MPS::NNNeuronDescriptor::cnnNeuronDescriptor(neuronType(n), n.at("a"), n.at("b"), n.at("c")));
            MPS::CNNConvolution kernel(device, listSource(d, numbers(one.at("w")), numbers(one.at("b"))));
            kernel.setOffset({one.at("offsetX"), one.at("offsetY"), 0});
            const auto y = emptyLike(device, one.at("y"));
            const auto commands = device->newCommandQueue()->commandBuffer();
            kernel.encodeBatch(commands, batchOf(device, one.at("x")), y);
            finish(commands);
            const auto actual = read(y), expected = numbers(one.at("y"));
            ASSERT_EQ(actual.size(), expected.size());
            // A sum of kW kH I + 1 terms of size 8 at most; the slope of either function is below 2, tanh
            // itself is good to a few units in the last place.
            const double sum =
                sumError(static_cast<std::int64_t>(d->weightCount() / d->outputFeatureChannels() + 1), 64);
            for (std::size_t i = 0; i < actual.size(); ++i)
                EXPECT_NEAR(actual[i], expected[i], 2 * sum + 8 * storageError(pewter::ops::Type::Float32, 2))
                    << one.at("name") << ", " << device->name();
        }
}
