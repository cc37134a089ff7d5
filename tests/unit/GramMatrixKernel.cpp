#include <MPS/NNGramMatrix.hpp>

#include "UnaryKernels.h"

using namespace pewter::test;

namespace {

UnaryPair pairOf(const DevicePtr& device, float alpha) {
    UnaryPair pair;
    pair.forward = std::make_shared<MPS::NNGramMatrixCalculation>(device, alpha);
    // The state brings the forward kernel's alpha.
    pair.backward = std::make_shared<MPS::NNGramMatrixCalculationGradient>(device);
    return pair;
}

/// 1 / pixels of the source.
struct Mean final : MPS::NNGramMatrixCallback {
    float alpha(const ImagePtr& source, const ImagePtr& destination) override {
        ++calls;
        EXPECT_EQ(destination->width(), source->featureChannels());
        return 1.0f / static_cast<float>(source->width() * source->height());
    }
    int calls = 0;
};

}  // namespace

TEST(GramMatrixKernel, AgreesWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("gram_matrix"); const auto& c : all.at("cases")) {
            const auto pair = pairOf(device, c.at("alpha"));
            const auto result = pair.run(extentsOf(c.at("x")), numbers(c.at("x")),
                                         [&](std::size_t) { return numbers(c.at("g")); });
            const auto y = extentsOf(c.at("y"));
            EXPECT_EQ(result.yExtents.h, 1u);
            EXPECT_EQ(result.yExtents.w, y.w);
            EXPECT_EQ(result.yExtents.c, y.c);
            EXPECT_TRUE(allNear(result.y, numbers(c.at("y")), 1e-5))
                << c.at("name") << " on " << device->name();
            EXPECT_TRUE(allNear(result.dx, numbers(c.at("dx")), 1e-5))
                << c.at("name") << " on " << device->name();
        }
}

TEST(GramMatrixKernel, IntegersAreExactOnEveryDevice) {
    for (const auto& device : weightedDevices()) {
        const auto pair = pairOf(device, 2);
        const auto result = pair.run({1, 2, 1, 2}, {1, 2, 3, 4}, [](std::size_t) {
            return Numbers{1, 2, 3, 4};
        });
        EXPECT_EQ(result.y, (Numbers{20, 28, 28, 40})) << device->name();
        EXPECT_EQ(result.dx, (Numbers{24, 42, 52, 94})) << device->name();
    }
}

TEST(GramMatrixKernel, GradientIsTheDerivative) {
    Random random(91);
    const Extents e{2, 3, 2, 5};
    const auto x = uniform(random, e.count());
    pairOf(MTL::copyDevice("reference"), 0.25f).checkGradient(e, x, random);
}

TEST(GramMatrixKernel, EveryWayToEncodeGivesTheSameBits) {
    Random random(92);
    const Extents e{3, 3, 4, 6};
    for (const auto& device : weightedDevices())
        pairOf(device, 0.5f).checkWays(e, uniform(random, e.count()), random);
}

TEST(GramMatrixKernel, TheStateBringsAlphaToTheGradient) {
    const auto device = MTL::copyDevice("reference");
    MPS::NNGramMatrixCalculation forward(device, 4);
    MPS::NNGramMatrixCalculationGradient gradient(device, 99);
    forward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    EXPECT_EQ(gradient.alpha(), 99);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto source = imageOf(device, 1, 1, 1, {3});
    std::shared_ptr<MPS::State> state;
    const auto result = forward.encode(commands, source, &state, false);
    forward.setAlpha(7);  // comes too late for the state
    const auto dx = imageOf(device, 1, 1, 1);
    gradient.encode(commands, imageOf(device, 1, 1, 1, {1}), source, state, dx);
    EXPECT_EQ(gradient.alpha(), 4);
    finish(commands);
    EXPECT_EQ(read(*result), (Numbers{36}));
    EXPECT_EQ(read(*dx), (Numbers{24}));
    EXPECT_NE(state->debugDescription().find("alpha"), std::string::npos) << state->debugDescription();
}

TEST(GramMatrixKernel, ACallbackGivesAlphaWhenItIsEncoded) {
    for (const auto& device : weightedDevices()) {
        const auto kernel = std::make_shared<MPS::NNGramMatrixCalculation>(device);
        const auto mean = std::make_shared<Mean>();
        EXPECT_EQ(kernel->alpha(), 1);
        EXPECT_EQ(kernel->propertyCallBack(), nullptr);
        kernel->setPropertyCallBack(mean);
        kernel->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        MPS::NNGramMatrixCalculationGradient gradient(device);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto source = imageOf(device, 4, 2, 1, Numbers(8, 3));
        std::shared_ptr<MPS::State> state;
        const auto result = kernel->encode(commands, source, &state, true);
        EXPECT_EQ(kernel->alpha(), 0.125f);
        const auto dx = gradient.encode(commands, imageOf(device, 1, 1, 1, {4}), source, state);
        EXPECT_EQ(gradient.alpha(), 0.125f);
        kernel->setPropertyCallBack(nullptr);
        kernel->setAlpha(1);
        const auto plain = kernel->encode(commands, source);
        finish(commands);
        EXPECT_EQ(read(*result), (Numbers{9}));
        EXPECT_EQ(read(*dx), Numbers(8, 3)) << "0.125 * 2 * 4 * 3";
        EXPECT_EQ(read(*plain), (Numbers{72}));
        EXPECT_EQ(mean->calls, 1);
    }
}

TEST(GramMatrixKernel, CopiesKeepAlphaCallbackAndDevice) {
    const auto device = weightedDevices().back();
    MPS::NNGramMatrixCalculation forward(MTL::copyDevice("reference"), 3);
    forward.setPropertyCallBack(std::make_shared<Mean>());
    const auto copy = std::dynamic_pointer_cast<MPS::NNGramMatrixCalculation>(forward.copy(device));
    ASSERT_TRUE(copy);
    EXPECT_EQ(copy->alpha(), 3);
    EXPECT_EQ(copy->device(), device);
    EXPECT_EQ(copy->propertyCallBack(), forward.propertyCallBack());
    const auto gradient = std::dynamic_pointer_cast<MPS::NNGramMatrixCalculationGradient>(
        MPS::NNGramMatrixCalculationGradient(MTL::copyDevice("reference"), 5).copy(device));
    ASSERT_TRUE(gradient);
    EXPECT_EQ(gradient->alpha(), 5);
}

TEST(GramMatrixKernel, ChannelsReadAndWrittenAreSlices) {
    for (const auto& device : weightedDevices()) {
        MPS::NNGramMatrixCalculation kernel(device);
        kernel.setSourceFeatureChannelOffset(4);
        kernel.setSourceFeatureChannelMaxCount(2);
        kernel.setDestinationFeatureChannelOffset(4);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = imageOf(device, 2, 1, 6, Numbers(12, -1));
        kernel.encode(commands, imageOf(device, 1, 1, 8, {9, 9, 9, 9, 2, 3, 9, 9}), result);
        finish(commands);
        EXPECT_EQ(read(*result), (Numbers{-1, -1, -1, -1, 4, 6, -1, -1, -1, -1, 6, 9})) << device->name();
    }
}
