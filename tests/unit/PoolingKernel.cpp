#include <MPS/CNNPooling.hpp>

#include "UnaryKernels.h"

using namespace pewter::test;
using MPS::ImageEdgeMode;

namespace {

struct Shape {
    std::size_t kw = 2, kh = 2, sx = 2, sy = 2, dx = 1, dy = 1;
};

UnaryPair maxPair(const DevicePtr& device, const Shape& s) {
    UnaryPair pair;
    if (s.dx == 1 && s.dy == 1) {
        pair.forward = std::make_shared<MPS::CNNPoolingMax>(device, s.kw, s.kh, s.sx, s.sy);
        pair.backward = std::make_shared<MPS::CNNPoolingMaxGradient>(device, s.kw, s.kh, s.sx, s.sy);
    } else {
        pair.forward =
            std::make_shared<MPS::CNNDilatedPoolingMax>(device, s.kw, s.kh, s.dx, s.dy, s.sx, s.sy);
        pair.backward =
            std::make_shared<MPS::CNNDilatedPoolingMaxGradient>(device, s.kw, s.kh, s.dx, s.dy, s.sx, s.sy);
    }
    return pair;
}

UnaryPair averagePair(const DevicePtr& device, const Shape& s, std::size_t zeroPadX = 0,
                      std::size_t zeroPadY = 0) {
    UnaryPair pair;
    auto forward = std::make_shared<MPS::CNNPoolingAverage>(device, s.kw, s.kh, s.sx, s.sy);
    forward->setZeroPadSizeX(zeroPadX);
    forward->setZeroPadSizeY(zeroPadY);
    pair.forward = forward;
    // The zero pad reaches the gradient kernel through the state.
    pair.backward = std::make_shared<MPS::CNNPoolingAverageGradient>(device, s.kw, s.kh, s.sx, s.sy);
    return pair;
}

UnaryPair normPair(const DevicePtr& device, const Shape& s) {
    UnaryPair pair;
    pair.forward = std::make_shared<MPS::CNNPoolingL2Norm>(device, s.kw, s.kh, s.sx, s.sy);
    pair.backward = std::make_shared<MPS::CNNPoolingL2NormGradient>(device, s.kw, s.kh, s.sx, s.sy);
    return pair;
}

}  // namespace

TEST(PoolingKernel, NormAgreesWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("pooling_norm"); const auto& c : all.at("cases")) {
            const auto get = [&](const char* key) { return c.at(key).get<std::size_t>(); };
            auto pair = normPair(
                device, {get("kernelWidth"), get("kernelHeight"), get("strideX"), get("strideY"), 1, 1});
            pair.forward->setEdgeMode(c.at("edgeMode") == "Clamp" ? ImageEdgeMode::Clamp
                                                                  : ImageEdgeMode::Zero);
            pair.forward->setOffset(
                {c.at("offsetX").get<std::int64_t>(), c.at("offsetY").get<std::int64_t>(), 0});
            pair.keepOffset = true;
            pair.width = get("outputWidth"), pair.height = get("outputHeight");
            const auto e = extentsOf(c.at("x"));
            pair.channels = e.c;
            const auto result =
                pair.run(e, numbers(c.at("x")), [&](std::size_t) { return numbers(c.at("g")); },
                         Format::Float32, {Memory::Together, true, true});
            EXPECT_TRUE(allNear(result.y, numbers(c.at("y")), 4e-6))
                << c.at("name") << " on " << device->name();
            EXPECT_TRUE(allNear(result.dx, numbers(c.at("dx")), 4e-6))
                << c.at("name") << " on " << device->name();
        }
}

TEST(PoolingKernel, NormIsTheRootOfASumAndItsGradientAShareOfIt) {
    for (const auto& device : weightedDevices()) {
        auto pair = normPair(device, {2, 1, 2, 1, 1, 1});
        pair.forward->setOffset({1, 0, 0});
        pair.keepOffset = true;
        pair.width = 2, pair.height = 1, pair.channels = 1;
        const auto result = pair.run({1, 1, 4, 1}, {3, -4, 0, 0},
                                     [](std::size_t) {
                                         return Numbers{10, 7};
                                     },
                                     Format::Float32, {Memory::Together, true, true});
        EXPECT_EQ(result.y, (Numbers{5, 0})) << device->name();
        EXPECT_EQ(result.dx, (Numbers{6, -8, 0, 0})) << device->name();
    }
}

TEST(PoolingKernel, CopiesKeepTheWindowOnAnotherDevice) {
    const auto reference = MTL::copyDevice("reference");
    Random random(23);
    const Extents e{1, 6, 5, 3};
    const auto x = uniform(random, e.count());
    const auto g = [](std::size_t count) { return Numbers(count, 1); };
    for (const auto& device : weightedDevices())
        for (const bool norm : {false, true}) {
            const Shape s{3, 2, 2, 1, 1, 1};
            const auto pair = norm ? normPair(reference, s) : maxPair(reference, s);
            UnaryPair copy;
            copy.forward = std::dynamic_pointer_cast<MPS::CNNKernel>(pair.forward->copy(device));
            copy.backward = std::dynamic_pointer_cast<MPS::CNNGradientKernel>(pair.backward->copy(device));
            EXPECT_EQ(copy.forward->device(), device);
            EXPECT_EQ(copy.forward->className(), std::string(pair.forward->className()));
            EXPECT_EQ(copy.forward->kernelWidth(), 3u);
            const auto a = pair.run(e, x, g), b = copy.run(e, x, g);
            EXPECT_TRUE(allNear(b.y, a.y, 1e-6)) << device->name();
            EXPECT_TRUE(allNear(b.dx, a.dx, 1e-6)) << device->name();
        }
}

TEST(PoolingKernel, AgreesWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("pooling"); const auto& c : all.at("cases")) {
            const auto get = [&](const char* key) { return c.at(key).get<std::size_t>(); };
            const Shape s{get("kernelWidth"), get("kernelHeight"), get("strideX"),
                          get("strideY"),     get("dilationX"),    get("dilationY")};
            auto pair = c.at("type") == "max"
                            ? maxPair(device, s)
                            : averagePair(device, s, get("zeroPadSizeX"), get("zeroPadSizeY"));
            pair.forward->setEdgeMode(c.at("edgeMode") == "Clamp" ? ImageEdgeMode::Clamp
                                                                  : ImageEdgeMode::Zero);
            pair.forward->setOffset(
                {c.at("offsetX").get<std::int64_t>(), c.at("offsetY").get<std::int64_t>(), 0});
            pair.keepOffset = true;
            pair.width = get("outputWidth"), pair.height = get("outputHeight");
            const auto e = extentsOf(c.at("x"));
            pair.channels = e.c;
            const auto result =
                pair.run(e, numbers(c.at("x")), [&](std::size_t) { return numbers(c.at("g")); },
                         Format::Float32, {Memory::Together, true, true});
            EXPECT_TRUE(allNear(result.y, numbers(c.at("y")), 4e-6))
                << c.at("name") << " on " << device->name();
            EXPECT_TRUE(allNear(result.dx, numbers(c.at("dx")), 4e-6))
                << c.at("name") << " on " << device->name();
        }
}

TEST(PoolingKernel, GradientIsTheDerivativeForEveryPlacementOfTheResult) {
    const auto device = MTL::copyDevice("reference");
    Random random(21);
    const Extents e{2, 5, 6, 4};
    const auto x = distinct(random, e.count());
    const std::vector<Shape> shapes = {{2, 2, 2, 2}, {3, 2, 1, 2}, {3, 3, 2, 1, 2, 2}};
    for (const auto& s : shapes)
        for (const auto edge : {ImageEdgeMode::Zero, ImageEdgeMode::Clamp})
            for (const auto& [ox, oy] : {std::pair{0, 0}, {1, 1}, {-1, 2}})
                for (int type = 0; type < 3; ++type) {
                    if (type > 0 && s.dx > 1) continue;
                    auto pair = type == 0   ? maxPair(device, s)
                                : type == 1 ? averagePair(device, s, 1, 0)
                                            : normPair(device, s);
                    pair.forward->setEdgeMode(edge);
                    pair.forward->setOffset({ox, oy, 0});
                    pair.forward->setClipRect({{1, 0, 0}, {3, 2, 1}});
                    pair.keepOffset = true;
                    pair.width = 5, pair.height = 3, pair.channels = 4;
                    pair.checkGradient(e, x, random, {Memory::Together, true, true});
                }
}

TEST(PoolingKernel, EveryWayToEncodeGivesTheSameBits) {
    Random random(22);
    const Extents e{3, 7, 5, 6};
    const auto x = uniform(random, e.count());
    for (const auto& device : weightedDevices()) {
        maxPair(device, {3, 3, 2, 2}).checkWays(e, x, random);
        maxPair(device, {2, 2, 2, 2, 2, 1}).checkWays(e, x, random);
        averagePair(device, {3, 2, 2, 1}).checkWays(e, x, random);
        normPair(device, {3, 2, 2, 1}).checkWays(e, x, random);
    }
}

TEST(PoolingKernel, AnEvenWindowReachesOneMorePixelToTheTopLeft) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    MPS::CNNPoolingMax kernel(device, 2, 2);
    const auto result = imageOf(device, 3, 2, 1);
    kernel.encode(commands, imageOf(device, 3, 2, 1, {-1, -2, -3, -4, 5, -6}), result);
    finish(commands);
    EXPECT_EQ(read(*result), (Numbers{0, 0, 0, 0, 5, 5}));
}

TEST(PoolingKernel, ATieBetweenAPixelAndTheZerosOutsideGoesToThePixel) {
    for (const auto& device : weightedDevices()) {
        auto pair = maxPair(device, {2, 2, 1, 1});
        // Window 0 holds three zeros outside and the pixel 0; window 1 two zeros outside, the 0 and -1.
        const auto result = pair.run({1, 1, 2, 1}, {0, -1}, [](std::size_t) { return Numbers{10, 100}; });
        EXPECT_EQ(result.y, (Numbers{0, 0})) << device->name();
        EXPECT_EQ(result.dx, (Numbers{110, 0})) << device->name();
        const auto below = pair.run({1, 1, 2, 1}, {-2, -1}, [](std::size_t) { return Numbers{10, 100}; });
        EXPECT_EQ(below.y, (Numbers{0, 0})) << device->name();
        EXPECT_EQ(below.dx, (Numbers{0, 0})) << "0 is greater than both, on " << device->name();
    }
}

TEST(PoolingKernel, ExcludeEdgesCountsOnlyTheBorderThatThePolicyPadded) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    // 3 pixels, window 3, stride 2, same: 2 results, 2 pixels missing, one on each side: every window counts
    // whole.
    MPS::CNNPoolingAverage kernel(device, 3, 1, 2, 1);
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    kernel.setPadding(
        MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeSame | MPS::NNPaddingMethodExcludeEdges));
    const auto whole = kernel.encode(commands, imageOf(device, 3, 1, 1, {3, 6, 9}));
    EXPECT_EQ(kernel.edgeMode(), ImageEdgeMode::Clamp);
    EXPECT_EQ(kernel.zeroPadSizeX(), 1u);
    EXPECT_EQ(kernel.zeroPadSizeY(), 0u);
    // 4 pixels: one is missing, at the bottom right: nothing was padded on the left, so it does not count.
    kernel.setPadding(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeSame |
                                                     MPS::NNPaddingMethodAddRemainderToBottomRight |
                                                     MPS::NNPaddingMethodExcludeEdges));
    const auto cut = kernel.encode(commands, imageOf(device, 4, 1, 1, {3, 6, 9, 12}));
    EXPECT_EQ(kernel.zeroPadSizeX(), 0u);
    finish(commands);
    EXPECT_EQ(read(*whole), (Numbers{3, 5}));
    EXPECT_EQ(read(*cut), (Numbers{6, 10.5}));
}

TEST(PoolingKernel, SourceSizeSelectsTheGradientPixelsThatTakePart) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    MPS::CNNPoolingAverage forward(device, 2, 1, 2, 1);
    MPS::CNNPoolingAverageGradient gradient(device, 2, 1, 2, 1);
    forward.setOffset({1, 0, 0});
    const auto source = imageOf(device, 6, 1, 1, Numbers(6, 1)), result = imageOf(device, 3, 1, 1);
    const auto state = forward.resultState(source, {}, result);
    forward.encode(commands, source, state, result);
    // Window i wrote gradient pixel primaryOffset + i; only the first two are taken.
    gradient.setSecondaryOffset({1, 0, 0});
    gradient.setPrimaryOffset({1, 0, 0});
    gradient.setSourceSize({2, 1, 1});
    const auto dx = imageOf(device, 6, 1, 1);
    gradient.encode(commands, imageOf(device, 4, 1, 1, {100, 2, 4, 100}), source, state, dx);
    finish(commands);
    EXPECT_EQ(read(*dx), (Numbers{1, 1, 2, 2, 0, 0}));
}

TEST(PoolingKernel, RefusalsNameKernelArgumentExpectedAndFound) {
    const auto device = MTL::copyDevice("reference");
    EXPECT_THAT(sentenceOf([&] { MPS::CNNPoolingMax(device, 0, 2); }),
                HasSubstr("kernelWidth: expected at least 1"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNPoolingAverage(device, 2, 2, 1, 0); }),
                HasSubstr("strideInPixelsY"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNPoolingL2Norm(device, 2, 0); }),
                HasSubstr("CNNPooling: kernelHeight: expected at least 1, found 0"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNPoolingL2NormGradient(device, 2, 2, 0, 1); }),
                HasSubstr("strideInPixelsX"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNDilatedPoolingMax(device, 2, 2, 1, 0, 1, 1); }),
                HasSubstr("dilationRateY"));
    const auto commands = device->newCommandQueue()->commandBuffer();
    MPS::CNNPoolingMax forward(device, 2, 2, 2, 2);
    MPS::CNNPoolingAverage average(device, 2, 2, 2, 2);
    const auto source = imageOf(device, 4, 4, 4, Numbers(64, 1)),
               result = imageOf(device, 2, 2, 4, Numbers(16, 1));
    const auto state = forward.resultState(source, {}, result),
               other = average.resultState(source, {}, result);
    MPS::CNNPoolingMaxGradient gradient(device, 2, 2, 2, 2), wide(device, 3, 2, 2, 2);
    gradient.setLabel("down");
    EXPECT_THAT(
        sentenceOf([&] { wide.encode(commands, result, source, state); }),
        testing::AllOf(HasSubstr("gradientState: expected a forward window of 3 x 2"), HasSubstr("2 x 2")));
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, result, source, other); }),
                testing::AllOf(HasSubstr("CNNPoolingMaxGradient 'down': gradientState"),
                               HasSubstr("made by CNNPoolingAverage")));
    EXPECT_THAT(
        sentenceOf([&] { gradient.encode(commands, imageOf(device, 3, 2, 4), source, state, source); }),
        HasSubstr("shares no memory"));
    MPS::CNNPoolingL2NormGradient norm(device, 2, 2, 2, 2);
    EXPECT_THAT(sentenceOf([&] { norm.encode(commands, result, source, state); }),
                testing::AllOf(HasSubstr("expected one of the forward class of CNNPoolingL2NormGradient"),
                               HasSubstr("made by CNNPoolingMax")));
    const auto dx = imageOf(device, 4, 4, 4);
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, imageOf(device, 2, 2, 8), source, state, dx); }),
                HasSubstr("sourceGradient: expected 4 feature channels"));
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, result, imageOf(device, 5, 4, 4), state, dx); }),
                HasSubstr("sourceImage: expected 4 x 4 pixels"));
    gradient.setSourceSize({9, 9, 1});
    gradient.setPrimaryOffset({0, 0, 0});
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, imageOf(device, 3, 2, 4), source, state, dx); }),
                HasSubstr("sourceGradient: expected at most 2 x 2 pixels"));
    gradient.setPrimaryOffset({2, 0, 0});
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, result, source, state, dx); }),
                HasSubstr("primaryOffset and sourceSize"));
    gradient.setPrimaryOffset({0, 0, 0});
    gradient.setKernelOffsetX(1);
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, result, source, state, dx); }),
                HasSubstr("kernelOffset: expected (0, 0)"));
    gradient.setKernelOffsetX(0);
    gradient.encode(commands, result, source, state, dx);
    finish(commands);
}
