#include <gtest/gtest.h>

#include "TestKernel.h"
#include "WeightedKernels.h"

using namespace pewter::test;

TEST(FullyConnectedKernel, AReturnedResultIsOnePixelWhateverThePadding) {
    const auto d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(2, 2, 1, 2);
    MPS::CNNFullyConnected kernel(testDevice(), listSource(d, {1, 10, 100, 1000, 1, 1, 1, 1}, {0, 5}));
    EXPECT_EQ(kernel.padding()->paddingMethod(), MPS::NNPaddingMethodSizeValidOnly);
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    kernel.setPadding(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeSame));
    kernel.setOffset({7, 7, 0});
    const auto commands = testQueue()->commandBuffer();
    const auto y = kernel.encode(commands, imageOf(testDevice(), 2, 2, 1, {1, 2, 3, 4}));
    finish(commands);
    EXPECT_EQ(y->width(), 1u);
    EXPECT_EQ(y->height(), 1u);
    EXPECT_EQ(read(*y), (Numbers{4321, 15}));
}

TEST(FullyConnectedKernel, TheResultGoesToTheOriginOfTheClipRectangleAndTheSourceMayBeASlice) {
    for (const auto& device : weightedDevices()) {
        const auto d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(2, 1, 2, 1);
        const auto list = listSource(d, {1, 10, 100, 1000});
        const auto kernel = std::make_shared<MPS::CNNFullyConnected>(device, list);
        MPS::CNNFullyConnectedGradient gradient(device, list);
        kernel->setClipRect({{1, 0, 0}, {9, 9, 1}});
        kernel->setSourceFeatureChannelOffset(4);
        const auto x = imageOf(device, 2, 1, 6, {9, 9, 9, 9, 1, 2, 9, 9, 9, 9, 3, 4});
        const auto y = imageOf(device, 3, 2, 1, Numbers(6, 7));
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto state = kernel->resultState(x, {}, y);
        kernel->encode(commands, x, state, y);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto dx = gradient.encode(commands, imageOf(device, 1, 1, 1, {2}), x, state);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{7, 4321, 7, 7, 7, 7})) << device->name();
        EXPECT_EQ(read(*dx), (Numbers{2, 20, 200, 2000})) << device->name();
        auto& own = dynamic_cast<MPS::CNNConvolutionGradientState&>(*state);
        EXPECT_EQ(floatsOf(*own.gradientForWeights()), (Numbers{2, 4, 6, 8})) << device->name();
    }
}

TEST(FullyConnectedKernel, SubBatchesAddUpInTheState) {
    for (const auto& device : weightedDevices()) {
        const auto d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 1, 1);
        const auto list = listSource(d, {3});
        const auto kernel = std::make_shared<MPS::CNNFullyConnected>(device, list);
        MPS::CNNFullyConnectedGradient gradient(device, list);
        const auto x = batchOf(device, 3, 1, 1, 1, {1, 2, 3}), y = batchOf(device, 3, 1, 1, 1);
        const auto e = batchOf(device, 3, 1, 1, 1, {1, 1, 2});
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto states = kernel->resultStateBatch(x, {}, y);
        kernel->encodeBatch(commands, x, states, y);
        gradient.encodeWeightGradients(commands, {e[0]}, {x[0]}, {states[0]});
        gradient.encodeWeightGradients(commands, {e[1], e[2]}, {x[1], x[2]}, {states[0], states[0]});
        finish(commands);
        auto& own = dynamic_cast<MPS::CNNConvolutionGradientState&>(*states[0]);
        EXPECT_EQ(floatsOf(*own.gradientForWeights()), Numbers{9}) << device->name();
        EXPECT_EQ(floatsOf(*own.gradientForBiases()), Numbers{4}) << device->name();
    }
}

TEST(FullyConnectedKernel, ItsGradientKernelRefusesTheStateOfAConvolution) {
    const auto d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 1, 1);
    const auto list = listSource(d, {3});
    const auto convolution = std::make_shared<MPS::CNNConvolution>(testDevice(), list);
    MPS::CNNFullyConnectedGradient gradient(testDevice(), list);
    const auto x = makeImage(1, 1, 1), y = makeImage(1, 1, 1);
    const auto state = convolution->resultState(x, {}, y);
    const auto commands = testQueue()->commandBuffer();
    EXPECT_NE(sentenceOf([&] {
                  gradient.encode(commands, y, x, state);
              }).find("expected one of a CNNFullyConnected, found one of CNNConvolution 'layer'"),
              std::string::npos);
}

TEST(FullyConnectedKernel, ACopyStaysFullyConnected) {
    const auto d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 1, 1);
    const MPS::CNNFullyConnected kernel(testDevice(), listSource(d, {3}));
    EXPECT_STREQ(kernel.copy()->className(), "CNNFullyConnected");
}
