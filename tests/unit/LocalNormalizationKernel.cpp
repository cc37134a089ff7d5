#include <MPS/CNNNeuron.hpp>
#include <MPS/CNNNormalization.hpp>

#include "ArchiveRoundTrip.h"
#include "UnaryKernels.h"

using namespace pewter::test;
using MPS::ImageEdgeMode;

namespace {

struct Parameters {
    float alpha = 1, beta = 0.75f, delta = 1;
};

template <class K>
std::shared_ptr<K> set(std::shared_ptr<K> kernel, const Parameters& p) {
    kernel->setAlpha(p.alpha);
    kernel->setBeta(p.beta);
    kernel->setDelta(p.delta);
    return kernel;
}

UnaryPair spatialPair(const DevicePtr& device, std::size_t kw, std::size_t kh, const Parameters& p) {
    UnaryPair pair;
    pair.forward = set(std::make_shared<MPS::CNNSpatialNormalization>(device, kw, kh), p);
    pair.backward = set(std::make_shared<MPS::CNNSpatialNormalizationGradient>(device, kw, kh), p);
    return pair;
}

UnaryPair contrastPair(const DevicePtr& device, std::size_t kw, std::size_t kh, const Parameters& p,
                       float p0 = 1, float pm = 0, float ps = 1) {
    UnaryPair pair;
    const auto forward = set(std::make_shared<MPS::CNNLocalContrastNormalization>(device, kw, kh), p);
    const auto backward =
        set(std::make_shared<MPS::CNNLocalContrastNormalizationGradient>(device, kw, kh), p);
    const auto more = [&](auto& kernel) {
        kernel.setP0(p0);
        kernel.setPm(pm);
        kernel.setPs(ps);
    };
    more(*forward), more(*backward);
    pair.forward = forward, pair.backward = backward;
    return pair;
}

UnaryPair channelPair(const DevicePtr& device, std::size_t size, const Parameters& p) {
    UnaryPair pair;
    pair.forward = set(std::make_shared<MPS::CNNCrossChannelNormalization>(device, size), p);
    pair.backward = set(std::make_shared<MPS::CNNCrossChannelNormalizationGradient>(device, size), p);
    return pair;
}

Parameters parametersOf(const Json& c) {
    return {c.at("alpha").get<float>(), c.at("beta").get<float>(), c.at("delta").get<float>()};
}

/// Runs a fixture's cases on every device; make(device, case) is the pair.
void agreesWithPyTorch(const char* family,
                       const std::function<UnaryPair(const DevicePtr&, const Json&)>& make) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture(family); const auto& c : all.at("cases")) {
            auto pair = make(device, c);
            if (c.contains("edgeMode") && c.at("edgeMode") == "Clamp")
                pair.forward->setEdgeMode(ImageEdgeMode::Clamp);
            const auto result = pair.run(extentsOf(c.at("x")), numbers(c.at("x")),
                                         [&](std::size_t) { return numbers(c.at("g")); });
            EXPECT_TRUE(allNear(result.y, numbers(c.at("y")), 1e-5))
                << c.at("name") << " on " << device->name();
            EXPECT_TRUE(allNear(result.dx, numbers(c.at("dx")), 1e-5))
                << c.at("name") << " on " << device->name();
        }
}

}  // namespace

TEST(SpatialNormalizationKernel, AgreesWithPyTorch) {
    agreesWithPyTorch("spatial_normalization", [](const DevicePtr& device, const Json& c) {
        return spatialPair(device, c.at("kernelWidth"), c.at("kernelHeight"), parametersOf(c));
    });
}

TEST(LocalContrastNormalizationKernel, AgreesWithPyTorch) {
    agreesWithPyTorch("local_contrast_normalization", [](const DevicePtr& device, const Json& c) {
        return contrastPair(device, c.at("kernelWidth"), c.at("kernelHeight"), parametersOf(c), c.at("p0"),
                            c.at("pm"), c.at("ps"));
    });
}

TEST(CrossChannelNormalizationKernel, AgreesWithPyTorch) {
    agreesWithPyTorch("cross_channel_normalization", [](const DevicePtr& device, const Json& c) {
        return channelPair(device, c.at("kernelSize"), parametersOf(c));
    });
}

TEST(SpatialNormalizationKernel, IntegersAreExactOnEveryDevice) {
    for (const auto& device : weightedDevices()) {
        // beta -1 multiplies by the base: 1 + sum of the squares, (3 / 3) of them.
        const auto pair = spatialPair(device, 3, 1, {3, -1, 1});
        const auto result = pair.run({1, 1, 3, 1}, {1, 2, 3}, [](std::size_t) { return Numbers{1, 0, 0}; });
        EXPECT_EQ(result.y, (Numbers{6, 30, 42})) << device->name();
        EXPECT_EQ(result.dx, (Numbers{8, 4, 0})) << device->name();
    }
}

TEST(LocalContrastNormalizationKernel, IntegersAreExactOnEveryDevice) {
    for (const auto& device : weightedDevices()) {
        const auto pair = contrastPair(device, 2, 1, {1, -1, 1}, 1, 10, 2);
        const auto result = pair.run({1, 1, 3, 1}, {2, 6, 4}, [](std::size_t) { return Numbers{1, 0, 0}; });
        EXPECT_EQ(result.y, (Numbers{14, 30, 6})) << device->name();
        // y0 = 10 + 2 (x0/2) (1 + x0^2/4): the derivative is 1 + 3/4 x0^2.
        EXPECT_EQ(result.dx, (Numbers{4, 0, 0})) << device->name();
    }
}

TEST(CrossChannelNormalizationKernel, IntegersAreExactOnEveryDevice) {
    for (const auto& device : weightedDevices()) {
        const auto pair = channelPair(device, 2, {2, -1, 0});
        const auto result = pair.run({1, 1, 1, 3}, {1, 2, 3}, [](std::size_t) { return Numbers{0, 1, 0}; });
        EXPECT_EQ(result.y, (Numbers{1, 10, 39})) << device->name();
        EXPECT_EQ(result.dx, (Numbers{4, 13, 0})) << device->name();
    }
}

TEST(LocalNormalizationKernel, DefaultsAreApples) {
    const auto device = MTL::copyDevice("reference");
    const MPS::CNNSpatialNormalization spatial(device, 3, 5);
    const MPS::CNNSpatialNormalizationGradient spatialGradient(device, 3, 5);
    EXPECT_EQ(spatial.alpha(), 1);
    EXPECT_EQ(spatial.beta(), 5);
    EXPECT_EQ(spatial.delta(), 1);
    EXPECT_EQ(spatial.kernelWidth(), 3u);
    EXPECT_EQ(spatial.kernelHeight(), 5u);
    EXPECT_EQ(spatialGradient.alpha(), 1);
    EXPECT_EQ(spatialGradient.beta(), 5);
    EXPECT_EQ(spatialGradient.delta(), 1);
    EXPECT_EQ(spatialGradient.secondaryKernelWidth(), 3u);
    const MPS::CNNLocalContrastNormalization contrast(device, 3, 3);
    const MPS::CNNLocalContrastNormalizationGradient contrastGradient(device, 3, 3);
    const auto check = [](const auto& kernel) {
        EXPECT_EQ(kernel.alpha(), 0);
        EXPECT_EQ(kernel.beta(), 0.5f);
        EXPECT_EQ(kernel.delta(), 1.0f / 1024);
        EXPECT_EQ(kernel.p0(), 1);
        EXPECT_EQ(kernel.pm(), 0);
        EXPECT_EQ(kernel.ps(), 1);
    };
    check(contrast), check(contrastGradient);
    const MPS::CNNCrossChannelNormalization channels(device);
    const MPS::CNNCrossChannelNormalizationGradient channelsGradient(device, 4);
    EXPECT_EQ(channels.kernelSize(), 5u);
    EXPECT_EQ(channelsGradient.kernelSize(), 4u);
    EXPECT_EQ(channels.beta(), 5);
}

TEST(LocalNormalizationKernel, GradientsAreTheDerivativesForEveryPlacementOfTheResult) {
    const auto device = MTL::copyDevice("reference");
    Random random(81);
    const Extents e{2, 4, 5, 4};
    const auto x = uniform(random, e.count());
    for (const auto edge : {ImageEdgeMode::Zero, ImageEdgeMode::Clamp})
        for (const auto& [ox, oy] : {std::pair{0, 0}, {1, 2}, {-2, -1}}) {
            UnaryPair pairs[] = {spatialPair(device, 3, 2, {1.5f, 0.75f, 1}),
                                 contrastPair(device, 2, 3, {1.5f, 0.5f, 0.5f}, 0.5f, 1, 2),
                                 channelPair(device, 3, {2, 1.25f, 1})};
            for (auto& pair : pairs) {
                pair.keepOffset = true;
                pair.width = 5, pair.height = 3, pair.channels = 4;
                pair.forward->setOffset({ox, oy, 0});
                pair.forward->setEdgeMode(edge);
                pair.forward->setClipRect({{1, 0, 0}, {3, 2, 1}});
                pair.checkGradient(e, x, random, {Memory::Together, true, true});
            }
        }
}

TEST(LocalNormalizationKernel, EveryWayToEncodeGivesTheSameBits) {
    Random random(82);
    const Extents e{3, 6, 5, 6};
    const auto x = uniform(random, e.count());
    for (const auto& device : weightedDevices()) {
        spatialPair(device, 3, 4, {}).checkWays(e, x, random);
        contrastPair(device, 3, 2, {1, 0.5f, 0.5f}).checkWays(e, x, random);
        channelPair(device, 5, {}).checkWays(e, x, random);
    }
}

TEST(LocalNormalizationKernel, CopiesKeepTheirParametersAndDevice) {
    for (const auto& device : weightedDevices()) {
        const auto source = imageOf(device, 3, 3, 4, Numbers(36, 2));
        const auto run = [&](MPS::CNNKernel& kernel) {
            const auto commands = device->newCommandQueue()->commandBuffer();
            kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            const auto result = kernel.encode(commands, source);
            finish(commands);
            return read(*result);
        };
        for (const auto& pair : {spatialPair(MTL::copyDevice("reference"), 3, 3, {2, 0.5f, 4}),
                                 contrastPair(MTL::copyDevice("reference"), 2, 2, {2, 1, 4}, 0.5f, 3, 2),
                                 channelPair(MTL::copyDevice("reference"), 3, {2, 0.5f, 4})}) {
            const auto forward = std::dynamic_pointer_cast<MPS::CNNKernel>(pair.forward->copy(device));
            const auto backward = pair.backward->copy(device);
            ASSERT_TRUE(forward) << pair.forward->className();
            EXPECT_EQ(forward->device(), device);
            EXPECT_EQ(backward->device(), device);
            EXPECT_STREQ(backward->className(), pair.backward->className());
            const auto twin = std::dynamic_pointer_cast<MPS::CNNKernel>(forward->copy());
            EXPECT_EQ(twin->device(), device);
            EXPECT_EQ(run(*forward), run(*twin));
        }
        const auto spatial = std::dynamic_pointer_cast<MPS::CNNSpatialNormalization>(
            spatialPair(MTL::copyDevice("reference"), 3, 3, {2, 0.5f, 4}).forward->copy(device));
        EXPECT_EQ(spatial->alpha(), 2);
        EXPECT_EQ(spatial->beta(), 0.5f);
        EXPECT_EQ(spatial->delta(), 4);
        EXPECT_EQ(spatial->kernelWidth(), 3u);
    }
}

TEST(CrossChannelNormalizationKernel, TheWindowLiesInTheChannelsThatAreRead) {
    for (const auto& device : weightedDevices()) {
        const auto pair = channelPair(device, 3, {3, -1, 0});
        pair.forward->setSourceFeatureChannelOffset(4);
        pair.forward->setSourceFeatureChannelMaxCount(3);
        pair.forward->setDestinationFeatureChannelOffset(4);
        pair.forward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        pair.backward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto source = imageOf(device, 1, 1, 8, {9, 9, 9, 9, 1, 2, 3, 9}),
                   result = imageOf(device, 1, 1, 8, Numbers(8, 0));
        const auto state = pair.forward->resultState(source, {}, result);
        pair.forward->encode(commands, source, state, result);
        const auto gradient = pair.backward->encode(
            commands, imageOf(device, 1, 1, 8, {7, 7, 7, 7, 1, 0, 0, 7}), source, state);
        finish(commands);
        EXPECT_EQ(read(*result), (Numbers{0, 0, 0, 0, 5, 28, 39, 0})) << device->name();
        // y0 = x0 (x0^2 + x1^2) of the three that were read.
        EXPECT_EQ(read(*gradient), (Numbers{7, 4, 0})) << device->name();
    }
}

TEST(LocalNormalizationKernel, ArchivesHoldEveryParameter) {
    for (const auto& device : weightedDevices()) {
        const auto source = imageOf(device, 5, 4, 8, Numbers(160, 0.5));
        const auto spatial = set(std::make_shared<MPS::CNNSpatialNormalization>(device, 3, 2), {2, 0.5f, 3});
        const auto again = sameForward(spatial, source);
        EXPECT_EQ(again->alpha(), 2);
        EXPECT_EQ(again->beta(), 0.5f);
        EXPECT_EQ(again->delta(), 3);
        sameGradient(set(std::make_shared<MPS::CNNSpatialNormalization>(device, 3, 2), {2, 0.5f, 3}),
                     set(std::make_shared<MPS::CNNSpatialNormalizationGradient>(device, 3, 2), {2, 0.5f, 3}),
                     source);
        const auto contrast =
            set(std::make_shared<MPS::CNNLocalContrastNormalization>(device, 3, 2), {2, 0.5f, 3});
        contrast->setP0(0.25f), contrast->setPm(4), contrast->setPs(5);
        const auto contrastAgain = sameForward(contrast, source);
        EXPECT_EQ(contrastAgain->p0(), 0.25f);
        EXPECT_EQ(contrastAgain->pm(), 4);
        EXPECT_EQ(contrastAgain->ps(), 5);
        sameGradient(
            set(std::make_shared<MPS::CNNLocalContrastNormalization>(device, 3, 2), {2, 0.5f, 3}),
            set(std::make_shared<MPS::CNNLocalContrastNormalizationGradient>(device, 3, 2), {2, 0.5f, 3}),
            source);
        const auto channels =
            set(std::make_shared<MPS::CNNCrossChannelNormalization>(device, 4), {2, 0.5f, 3});
        EXPECT_EQ(sameForward(channels, source)->kernelSize(), 4u);
        sameGradient(
            set(std::make_shared<MPS::CNNCrossChannelNormalization>(device, 4), {2, 0.5f, 3}),
            set(std::make_shared<MPS::CNNCrossChannelNormalizationGradient>(device, 4), {2, 0.5f, 3}),
            source);
    }
}
