// Convolution and its gradients through the MPS classes against loops over the published formulas: every
// number is a small integer, so results are equal, on every device.

#include <gtest/gtest.h>

#include "WeightedKernels.h"

using namespace pewter::test;

namespace {

/// A drawn convolution with everything that moves it.
struct Drawn {
    std::shared_ptr<MPS::CNNConvolutionDescriptor> d;
    Loops loops;
    std::size_t images = 1, sourceFirst = 0, sourceExtra = 0, resultFirst = 0;
    std::size_t clipX = 0, clipY = 0, marginX = 0, marginY = 0;
    Numbers x, w, b, e;

    explicit Drawn(Random& random) {
        const auto pick = [&](std::int64_t low, std::int64_t high) {
            return static_cast<std::size_t>(random.integer(low, high));
        };
        const std::size_t kw = pick(1, 5), kh = pick(1, 4);
        const auto kind = random.integer(0, 3);
        if (kind == 0) {
            const std::size_t in = pick(1, 5);
            d = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(kw, kh, in, in);
        } else if (kind == 1) {
            d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(kw, kh, 8, 4 * 2 * pick(1, 2));
            d->setGroups(2);
        } else {
            d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(kw, kh, pick(1, 5), pick(1, 6));
        }
        d->setStrideInPixelsX(pick(1, 3));
        d->setStrideInPixelsY(pick(1, 3));
        d->setDilationRateX(pick(1, 2));
        d->setDilationRateY(pick(1, 3));
        loops.d = d;
        loops.width = pick(1, 9);
        loops.height = pick(1, 8);
        loops.outWidth = random.integer(1, 7);
        loops.outHeight = random.integer(1, 6);
        loops.offsetX = random.integer(-3, 4);
        loops.offsetY = random.integer(-3, 4);
        loops.clamp = random.coin();
        images = pick(1, 3);
        if (random.coin()) {
            sourceFirst = 4;
            sourceExtra = pick(0, 2);
        }
        resultFirst = random.coin() ? 4 : 0;
        clipX = pick(0, 2);
        clipY = pick(0, 2);
        marginX = pick(0, 2);
        marginY = pick(0, 2);
        x = integers(random, loops.sourceSize() * images);
        w = integers(random, d->weightCount());
        b = integers(random, d->outputFeatureChannels());
        e = integers(random, loops.resultSize() * images);
    }

    /// The source with the channels around it full of numbers that must not matter.
    Numbers widened() const {
        const std::size_t in = d->inputFeatureChannels(), all = sourceFirst + in + sourceExtra;
        Numbers wide(x.size() / in * all, 1000);
        for (std::size_t i = 0; i < x.size(); ++i) wide[i / in * all + sourceFirst + i % in] = x[i];
        return wide;
    }
    void set(MPS::CNNConvolution& kernel) const {
        kernel.setOffset({loops.offsetX, loops.offsetY, 0});
        kernel.setEdgeMode(loops.clamp ? MPS::ImageEdgeMode::Clamp : MPS::ImageEdgeMode::Zero);
        kernel.setSourceFeatureChannelOffset(sourceFirst);
        kernel.setDestinationFeatureChannelOffset(resultFirst);
        kernel.setClipRect(
            {{clipX, clipY, 0},
             {static_cast<std::uint64_t>(loops.outWidth), static_cast<std::uint64_t>(loops.outHeight),
              std::numeric_limits<std::uint64_t>::max()}});
    }
    std::string text() const {
        return testing::PrintToString(loops.width) + "x" + testing::PrintToString(loops.height) + " to " +
               testing::PrintToString(loops.outWidth) + "x" + testing::PrintToString(loops.outHeight) +
               ", window " + testing::PrintToString(d->kernelWidth()) + "x" +
               testing::PrintToString(d->kernelHeight());
    }
};

class ConvolutionGeometry : public testing::TestWithParam<int> {};

}  // namespace

TEST_P(ConvolutionGeometry, AgreesWithTheLoopsForAnyWindowOffsetClipAndChannels) {
    Random random(static_cast<std::uint64_t>(GetParam()));
    const Drawn drawn(random);
    const auto& d = *drawn.d;
    const std::size_t out = d.outputFeatureChannels(), all = drawn.resultFirst + out;
    const auto outWidth = static_cast<std::size_t>(drawn.loops.outWidth);
    const auto outHeight = static_cast<std::size_t>(drawn.loops.outHeight);
    const std::size_t width = drawn.clipX + outWidth + drawn.marginX,
                      height = drawn.clipY + outHeight + drawn.marginY;
    const Numbers y = drawn.loops.forward(drawn.x, drawn.w, drawn.b, drawn.images);
    Numbers whole(width * height * all * drawn.images, 77);  // what is outside stays
    for (std::size_t i = 0; i < y.size(); ++i) {
        const std::size_t o = i % out, px = i / out % outWidth, py = i / out / outWidth % outHeight;
        const std::size_t n = i / out / outWidth / outHeight;
        whole[((n * height + drawn.clipY + py) * width + drawn.clipX + px) * all + drawn.resultFirst + o] =
            y[i];
    }
    for (const auto& device : weightedDevices()) {
        const auto source = listSource(drawn.d, drawn.w, drawn.b);
        MPS::CNNConvolution kernel(device, source);
        drawn.set(kernel);
        const auto sources =
            batchOf(device, drawn.images, drawn.loops.width, drawn.loops.height,
                    drawn.sourceFirst + d.inputFeatureChannels() + drawn.sourceExtra, drawn.widened());
        const auto results = batchOf(device, drawn.images, width, height, all,
                                     Numbers(width * height * all * drawn.images, 77));
        const auto commands = device->newCommandQueue()->commandBuffer();
        kernel.encodeBatch(commands, sources, results);
        finish(commands);
        EXPECT_EQ(read(results), whole) << device->name() << ", " << drawn.text();
    }
}

TEST_P(ConvolutionGeometry, GradientsAreTheAdjointOfTheLoops) {
    Random random(1000 + static_cast<std::uint64_t>(GetParam()));
    const Drawn drawn(random);
    const auto& d = *drawn.d;
    const auto& loops = drawn.loops;
    const auto outWidth = static_cast<std::size_t>(loops.outWidth),
               outHeight = static_cast<std::size_t>(loops.outHeight);
    for (const auto& device : weightedDevices()) {
        const auto source = listSource(drawn.d, drawn.w, drawn.b);
        const auto kernel = std::make_shared<MPS::CNNConvolution>(device, source);
        MPS::CNNConvolutionGradient gradient(device, source);
        drawn.set(*kernel);
        const auto sources =
            batchOf(device, drawn.images, loops.width, loops.height,
                    drawn.sourceFirst + d.inputFeatureChannels() + drawn.sourceExtra, drawn.widened());
        const auto results =
            batchOf(device, drawn.images, drawn.clipX + outWidth + drawn.marginX,
                    drawn.clipY + outHeight + drawn.marginY, drawn.resultFirst + d.outputFeatureChannels());
        const auto gradients =
            batchOf(device, drawn.images, outWidth, outHeight, d.outputFeatureChannels(), drawn.e);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto states = kernel->resultStateBatch(sources, {}, results);
        kernel->encodeBatch(commands, sources, states, results);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto dx = gradient.encodeBatch(commands, gradients, sources, states);
        finish(commands);
        EXPECT_EQ(read(dx), loops.dataGradient(drawn.e, drawn.w, drawn.images))
            << device->name() << drawn.text();
        auto& state = dynamic_cast<MPS::CNNConvolutionGradientState&>(*states[0]);
        EXPECT_EQ(floatsOf(*state.gradientForWeights()), loops.weightGradient(drawn.e, drawn.x, drawn.images))
            << device->name() << drawn.text();
        EXPECT_EQ(floatsOf(*state.gradientForBiases()), loops.biasGradient(drawn.e))
            << device->name() << drawn.text();
    }
}

TEST_P(ConvolutionGeometry, HandConfiguredAndStateDrivenGradientsAreEqualBitForBit) {
    Random random(2000 + static_cast<std::uint64_t>(GetParam()));
    Drawn drawn(random);
    drawn.sourceFirst = drawn.sourceExtra = 0;
    drawn.e = uniform(random, drawn.e.size());
    drawn.x = uniform(random, drawn.x.size());
    const auto& d = *drawn.d;
    const auto& loops = drawn.loops;
    const auto window = [](std::size_t taps, std::size_t rate) {
        return static_cast<std::int64_t>((taps - 1) * rate + 1);
    };
    const std::int64_t kw = window(d.kernelWidth(), d.dilationRateX()),
                       kh = window(d.kernelHeight(), d.dilationRateY());
    for (const auto& device : weightedDevices()) {
        const auto source = listSource(drawn.d, drawn.w, drawn.b);
        const auto kernel = std::make_shared<MPS::CNNConvolution>(device, source);
        MPS::CNNConvolutionGradient byState(device, source), byHand(device, source);
        drawn.set(*kernel);
        kernel->setDestinationFeatureChannelOffset(0);
        kernel->setClipRect(MPS::RectNoClip);
        const auto outWidth = static_cast<std::size_t>(loops.outWidth);
        const auto outHeight = static_cast<std::size_t>(loops.outHeight);
        const auto sources =
            batchOf(device, drawn.images, loops.width, loops.height, d.inputFeatureChannels(), drawn.x);
        const auto results = batchOf(device, drawn.images, outWidth, outHeight, d.outputFeatureChannels());
        const auto gradients =
            batchOf(device, drawn.images, outWidth, outHeight, d.outputFeatureChannels(), drawn.e);
        const auto first = kernel->resultStateBatch(sources, {}, results);
        const auto second = kernel->resultStateBatch(sources, {}, results);
        byHand.setKernelOffsetX(-loops.offsetX + (kw % 2 == 0 ? 1 : 0));
        byHand.setKernelOffsetY(-loops.offsetY + (kh % 2 == 0 ? 1 : 0));
        byHand.setSecondaryOffset({loops.offsetX - kw / 2, loops.offsetY - kh / 2, 0});
        byHand.setSecondaryEdgeMode(kernel->edgeMode());
        byState.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto explicitly =
            batchOf(device, drawn.images, loops.width, loops.height, d.inputFeatureChannels());
        const auto commands = device->newCommandQueue()->commandBuffer();
        kernel->encodeBatch(commands, sources, first, results);
        kernel->encodeBatch(commands, sources, second, results);
        const auto returned = byState.encodeBatch(commands, gradients, sources, first);
        byHand.encodeBatch(commands, gradients, sources, second, explicitly);
        finish(commands);
        EXPECT_EQ(read(returned), read(explicitly)) << device->name() << drawn.text();
        auto& a = dynamic_cast<MPS::CNNConvolutionGradientState&>(*first[0]);
        auto& b = dynamic_cast<MPS::CNNConvolutionGradientState&>(*second[0]);
        EXPECT_EQ(floatsOf(*a.gradientForWeights()), floatsOf(*b.gradientForWeights())) << device->name();
        EXPECT_EQ(floatsOf(*a.gradientForBiases()), floatsOf(*b.gradientForBiases())) << device->name();
    }
}

INSTANTIATE_TEST_SUITE_P(Drawn, ConvolutionGeometry, testing::Range(0, 60));

namespace {

struct Policy {
    MPS::NNPaddingMethod method;
    /// The table of the default computation: source extent, stride, window, result extent, left padding.
    std::size_t source, stride, window, result;
    std::int64_t left;
};

/// layers with one channel along x; rows of 1.
Numbers alongX(const DevicePtr& device, MPS::CNNConvolution& kernel, const Numbers& x, std::size_t& width) {
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto y = kernel.encode(commands, imageOf(device, x.size(), 1, 1, x));
    finish(commands);
    width = y->width();
    return read(*y);
}

}  // namespace

TEST(ConvolutionPadding, EveryPolicyReadsWhatTheDefaultComputationSays) {
    using namespace MPS;
    const NNPaddingMethod right = NNPaddingMethodAddRemainderToBottomRight;
    const std::vector<Policy> policies = {
        {NNPaddingMethodSizeSame, 225, 2, 3, 113, 1},
        {NNPaddingMethodSizeSame | right, 224, 2, 3, 112, 0},
        {NNPaddingMethodSizeSame, 28, 1, 4, 28, 2},
        {NNPaddingMethodSizeSame | right, 28, 1, 4, 28, 1},
        {NNPaddingMethodSizeSame, 8, 2, 2, 4, 0},
        {NNPaddingMethodSizeSame, 8, 4, 1, 2, -1},
        {NNPaddingMethodSizeFull, 5, 1, 3, 7, 2},
        {NNPaddingMethodSizeValidOnly, 6, 2, 3, 2, 0},
        {NNPaddingMethodSizeValidOnly, 7, 3, 2, 2, 0},
        {NNPaddingMethodSizeValidOnly | right, 7, 3, 2, 2, -1},
        {NNPaddingMethodSizeValidOnly, 10, 4, 3, 2, -1},
    };
    const auto device = MTL::copyDevice("reference");
    Random random(5);
    for (const auto& p : policies) {
        auto d = CNNConvolutionDescriptor::cnnConvolutionDescriptor(p.window, 1, 1, 1);
        d->setStrideInPixelsX(p.stride);
        const Numbers w = integers(random, p.window, 1, 9), x = integers(random, p.source);
        CNNConvolution kernel(device, listSource(d, w));
        kernel.setPadding(NNDefaultPadding::padding(p.method));
        std::size_t width = 0;
        const Numbers y = alongX(device, kernel, x, width);
        EXPECT_EQ(width, p.result) << p.source << " pixels, window " << p.window;
        Loops loops;
        loops.d = d;
        loops.width = p.source;
        loops.height = 1;
        loops.outWidth = static_cast<std::int64_t>(p.result);
        loops.outHeight = 1;
        loops.offsetX = static_cast<std::int64_t>(p.window) / 2 - p.left;
        EXPECT_EQ(y, loops.forward(x, w, {})) << p.source << " pixels, window " << p.window;
        EXPECT_EQ(kernel.offset().x, loops.offsetX);
    }
}

TEST(ConvolutionPadding, ValuesWorkedOutByHand) {
    const auto check = [](const Numbers& w, std::size_t stride, std::size_t dilation, std::int64_t offset,
                          const Numbers& expected) {
        for (const auto& device : weightedDevices()) {
            auto d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(w.size(), 1, 1, 1);
            d->setStrideInPixelsX(stride);
            d->setDilationRateX(dilation);
            MPS::CNNConvolution kernel(device, listSource(d, w));
            kernel.setOffset({offset, 0, 0});
            const auto y = imageOf(device, expected.size(), 1, 1);
            const auto commands = device->newCommandQueue()->commandBuffer();
            kernel.encode(commands, imageOf(device, 4, 1, 1, {1, 2, 3, 4}), y);
            finish(commands);
            EXPECT_EQ(read(*y), expected) << device->name();
        }
    };
    check({10, 1}, 1, 1, 0, {1, 12, 23, 34});
    check({10, 1}, 1, 1, 1, {12, 23, 34, 40});
    check({100, 10, 1}, 1, 1, 0, {12, 123, 234, 340});
    check({100, 10, 1}, 1, 2, 0, {13, 24, 130, 240});
    check({100, 10, 1}, 2, 1, 0, {12, 234});
    check({100, 10, 1}, 2, 1, 1, {123, 340});
}

TEST(ConvolutionGradientOffsets, PrimaryOffsetCountsGradientPixelsAndKernelOffsetZeroFilledOnes) {
    // dx[u] = sum of Wrot[q] Z[u + t - floor(K/2) + q], t = primaryOffset * stride + kernelOffset
    // (MPSCNNConvolution.h).
    Random random(9);
    for (const std::size_t taps : {2u, 3u})
        for (const std::size_t stride : {1u, 2u})
            for (const std::int64_t primary : {-1, 0, 1})
                for (const std::int64_t kernelOffset : {-2, 0, 1}) {
                    const std::int64_t source = 7, gradientWidth = 3;
                    const Numbers w = integers(random, taps), e = integers(random, 3);
                    Numbers expected(7);
                    for (std::int64_t u = 0; u < source; ++u)
                        for (std::int64_t q = 0; q < static_cast<std::int64_t>(taps); ++q) {
                            const auto s = static_cast<std::int64_t>(stride);
                            const std::int64_t z =
                                u + primary * s + kernelOffset - static_cast<std::int64_t>(taps / 2) + q;
                            if (z < 0 || z % s != 0 || z / s >= gradientWidth) continue;
                            expected[static_cast<std::size_t>(u)] +=
                                w[taps - 1 - static_cast<std::size_t>(q)] *
                                e[static_cast<std::size_t>(z / s)];
                        }
                    for (const auto& device : weightedDevices()) {
                        auto d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(taps, 1, 1, 1);
                        d->setStrideInPixelsX(stride);
                        const auto list = listSource(d, w);
                        MPS::CNNConvolution forward(device, list);
                        MPS::CNNConvolutionGradient gradient(device, list);
                        gradient.setGradientOption(MPS::CNNConvolutionGradientOptionGradientWithData);
                        gradient.setPrimaryOffset({primary, 0, 0});
                        gradient.setKernelOffsetX(kernelOffset);
                        const auto x = imageOf(device, 7, 1, 1, Numbers(7, 1)), y = imageOf(device, 3, 1, 1);
                        const auto dx = imageOf(device, 7, 1, 1, Numbers(7, 55));
                        const auto commands = device->newCommandQueue()->commandBuffer();
                        const auto state = forward.resultState(x, {}, y);
                        forward.encode(commands, x, state, y);
                        gradient.encode(commands, imageOf(device, 3, 1, 1, e), x, state, dx);
                        finish(commands);
                        EXPECT_EQ(read(*dx), expected)
                            << device->name() << " taps " << taps << " stride " << stride << " primary "
                            << primary << " kernel " << kernelOffset;
                    }
                }
}

TEST(ConvolutionGradientOffsets, SecondaryOffsetIsTheFirstTapOfTheWeightGradient) {
    for (const auto& device : weightedDevices()) {
        const auto d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(2, 1, 1, 1);
        const auto list = listSource(d, {10, 1});
        MPS::CNNConvolution forward(device, list);
        MPS::CNNConvolutionGradient gradient(device, list);
        const auto x = imageOf(device, 4, 1, 1, {1, 2, 3, 4}), y = imageOf(device, 4, 1, 1);
        const auto weightGradient = [&](std::int64_t secondary) {
            gradient.setSecondaryOffset({secondary, 0, 0});
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto state = forward.resultState(x, {}, y);
            forward.encode(commands, x, state, y);
            gradient.encode(commands, imageOf(device, 4, 1, 1, {1, 1, 1, 1}), x, state,
                            imageOf(device, 4, 1, 1));
            finish(commands);
            return floatsOf(*dynamic_cast<MPS::CNNConvolutionGradientState&>(*state).gradientForWeights());
        };
        EXPECT_EQ(weightGradient(-1), (Numbers{6, 10})) << device->name();
        EXPECT_EQ(weightGradient(0), (Numbers{10, 9})) << device->name();
    }
}
