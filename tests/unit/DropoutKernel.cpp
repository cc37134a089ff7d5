#include <MPS/CNNDropout.hpp>
#include <MPS/CNNNeuron.hpp>

#include "UnaryKernels.h"

using namespace pewter::test;

namespace {

UnaryPair pairOf(const DevicePtr& device, const MTL::Size& stride = {1, 1, 1}, float keep = 0.75f) {
    UnaryPair pair;
    pair.forward = std::make_shared<MPS::CNNDropout>(device, keep, 7, stride);
    pair.backward = std::make_shared<MPS::CNNDropoutGradient>(device, keep, 7, stride);
    return pair;
}

/// Result of one encode over ones.
Numbers dropped(MPS::CNNDropout& kernel, const Extents& e) {
    const auto commands = kernel.device()->newCommandQueue()->commandBuffer();
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto y = kernel.encodeBatch(commands, imagesOf(kernel.device(), e, Numbers(e.count(), 1)));
    finish(commands);
    return read(y);
}

std::vector<std::uint8_t> maskOf(const std::shared_ptr<MPS::State>& state) {
    return std::dynamic_pointer_cast<MPS::CNNDropoutGradientState>(state)->maskData();
}

}  // namespace

TEST(DropoutKernel, KeptElementsAreScaledByTheirProbabilityAndTheOthersAreZero) {
    const Extents e{2, 16, 16, 8};
    for (const auto& device : weightedDevices()) {
        MPS::CNNDropout kernel(device, 0.25f, 3);
        const auto y = dropped(kernel, e);
        double kept = 0;
        for (const double v : y) {
            EXPECT_TRUE(v == 0 || v == 4);
            kept += v / 4;
        }
        // Mean of a binomial, five standard deviations wide.
        const double n = static_cast<double>(e.count());
        EXPECT_NEAR(kept, n / 4, 5 * std::sqrt(n * 3 / 16));
    }
}

TEST(DropoutKernel, TheSameProgramDrawsTheSameMasksOnEveryDeviceAndSuccessiveEncodesDiffer) {
    const Extents e{2, 4, 5, 6};
    std::vector<Numbers> first, second;
    for (const auto& device : weightedDevices()) {
        MPS::CNNDropout kernel(device, 0.5f, 99), other(device, 0.5f, 100);
        first.push_back(dropped(kernel, e));
        second.push_back(dropped(kernel, e));
        EXPECT_NE(first.back(), second.back());
        EXPECT_NE(first.back(), dropped(other, e)) << "another seed";
        const auto half = static_cast<std::ptrdiff_t>(e.count() / 2);
        EXPECT_NE(Numbers(first.back().begin(), first.back().begin() + half),
                  Numbers(first.back().begin() + half, first.back().end()))
            << "images of a batch";
        const auto copy = std::dynamic_pointer_cast<MPS::CNNDropout>(kernel.copy());
        EXPECT_EQ(dropped(*copy, e), first.back()) << "a copy counts anew";
        EXPECT_EQ(first.back(), first.front());
        EXPECT_EQ(second.back(), second.front());
    }
}

TEST(DropoutKernel, AStrideOfZeroSharesOneValueAlongItsDimension) {
    const auto device = MTL::copyDevice("reference");
    MPS::CNNDropout channels(device, 0.5f, 5, {0, 0, 1}), pixels(device, 0.5f, 5, {1, 1, 0});
    const auto byChannel = dropped(channels, {1, 3, 4, 8}), byPixel = dropped(pixels, {1, 3, 4, 8});
    for (std::size_t p = 0; p < 12; ++p)
        for (std::size_t c = 0; c < 8; ++c) {
            EXPECT_EQ(byChannel[p * 8 + c], byChannel[c]);
            EXPECT_EQ(byPixel[p * 8 + c], byPixel[p * 8]);
        }
    EXPECT_NE(Numbers(byChannel.begin(), byChannel.begin() + 8), Numbers(8, byChannel[0]));
}

TEST(DropoutKernel, TheStateHoldsTheMaskThatTheEncodeDrew) {
    for (const auto& device : weightedDevices())
        for (const auto memory : {Memory::Together, Memory::Loose}) {
            MPS::CNNDropout kernel(device, 0.5f, 5, {1, 0, 1});
            const Extents e{3, 2, 3, 5};
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto xs = imagesOf(device, e, Numbers(e.count(), 1), Format::Float32, memory);
            kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            MPS::StateBatch states;
            const auto ys = kernel.encodeBatch(commands, xs, &states, false);
            finish(commands);
            for (std::size_t n = 0; n < 3; ++n) {
                const auto mask = maskOf(states[n]);
                const auto y = read(*ys[n]);
                ASSERT_EQ(mask.size(), 15u) << "one row of 3 pixels of 5 channels";
                for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], 2 * mask[i % 15]);
            }
        }
}

TEST(DropoutKernel, StatesMadeOneByOneServeLikeThoseMadeTogether) {
    Random random(31);
    const Extents e{3, 3, 4, 5};
    const auto x = uniform(random, e.count()), g = uniform(random, e.count());
    for (const auto& device : weightedDevices()) {
        std::vector<Numbers> results;
        for (const bool touched : {false, true}) {
            const auto pair = pairOf(device);
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto xs = imagesOf(device, e, x), ys = imagesOf(device, e, x), gs = imagesOf(device, e, g);
            MPS::StateBatch states;
            for (std::size_t i = 0; i < 3; ++i) states.push_back(pair.forward->resultState(xs[i], {}, ys[i]));
            for (const auto& state : states) {
                const auto own = state->resource(0, touched);
                EXPECT_EQ(own != nullptr, touched) << "memory of its own from now on, or none yet";
            }
            pair.forward->encodeBatch(commands, xs, states, ys);
            pair.backward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
            const auto dxs = pair.backward->encodeBatch(commands, gs, xs, states);
            finish(commands);
            results.push_back(read(ys));
            results.push_back(read(dxs));
        }
        EXPECT_EQ(results[0], results[2]);
        EXPECT_EQ(results[1], results[3]);
    }
}

TEST(DropoutKernel, GradientIsTheDerivativeForEveryPlacementOfTheResult) {
    Random random(32);
    const Extents e{2, 4, 5, 4};
    const auto x = uniform(random, e.count());
    const auto device = MTL::copyDevice("reference");
    for (const auto& stride : {MTL::Size{1, 1, 1}, MTL::Size{0, 1, 1}, MTL::Size{1, 1, 0}})
        for (const auto edge : {MPS::ImageEdgeMode::Zero, MPS::ImageEdgeMode::Clamp})
            for (const auto& [dx, dy] : {std::pair{0, 0}, {1, 2}, {-2, -1}}) {
                // A fresh kernel for each run draws the same mask again.
                Numbers g;
                const auto run = [&, dx = dx, dy = dy](const Numbers& values) {
                    auto pair = pairOf(device, stride);
                    pair.keepOffset = true;
                    pair.width = 4, pair.height = 4, pair.channels = 4;
                    pair.forward->setOffset({dx, dy, 0});
                    pair.forward->setEdgeMode(edge);
                    pair.forward->setClipRect({{1, 0, 0}, {3, 4, 1}});
                    return pair.run(e, values,
                                    [&](std::size_t count) {
                                        if (g.size() != count) g = uniform(random, count);
                                        return g;
                                    },
                                    Format::Float64, {Memory::Together, true, true});
                };
                EXPECT_TRUE(
                    isDerivative(run(x).dx, x, [&](const Numbers& moved) { return dot(run(moved).y, g); }));
            }
}

TEST(DropoutKernel, TheSecondaryOffsetShiftsTheMaskAndOutsideItIsZero) {
    const auto device = MTL::copyDevice("reference");
    const auto pair = pairOf(device);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto x = imageOf(device, 4, 1, 1, Numbers(4, 1)), y = imageOf(device, 4, 1, 1);
    const auto state = pair.forward->resultState(x, {}, y);
    pair.forward->encode(commands, x, state, y);
    const auto dx = imageOf(device, 4, 1, 1, Numbers(4, 9));
    pair.backward->setSecondaryOffset({1, 0, 0});
    pair.backward->encode(commands, imageOf(device, 4, 1, 1, {3, 6, 9, 12}), x, state, dx);
    finish(commands);
    const auto mask = maskOf(state);
    Numbers expected;
    for (std::size_t i = 0; i < 4; ++i)
        expected.push_back(i < 3 ? static_cast<float>(3 * (static_cast<double>(i) + 1) * mask[i + 1] / 0.75)
                                 : 0);
    EXPECT_EQ(read(*dx), expected);
}

TEST(DropoutKernel, RefusalsNameKernelArgumentExpectedAndFound) {
    const auto device = MTL::copyDevice("reference");
    for (const float keep : {0.0f, 1.0f, -1.0f, std::numeric_limits<float>::quiet_NaN()})
        EXPECT_THAT(sentenceOf([&] { MPS::CNNDropout(device, keep); }),
                    HasSubstr("CNNDropout: keepProbability"));
    EXPECT_THAT(sentenceOf([&] {
                    MPS::CNNDropoutGradient(device, 0.5f, 0, {2, 1, 1});
                }),
                HasSubstr("maskStrideInPixels: expected 0 or 1"));
    const auto queue = device->newCommandQueue();
    const auto commands = queue->commandBuffer();
    const auto pair = pairOf(device);
    pair.backward->setLabel("drop");
    const auto x = imageOf(device, 4, 2, 4, Numbers(32, 1)), y = imageOf(device, 4, 2, 4),
               small = imageOf(device, 3, 2, 4);
    const auto state = pair.forward->resultState(x, {}, y), other = pair.forward->resultState(x, {}, small);
    EXPECT_THAT(sentenceOf([&] { pair.forward->encode(commands, x, other, y); }),
                HasSubstr("destinationState: expected one made for a mask of 4 x 2 x 4, found 3 x 2 x 4"));
    MPS::CNNNeuron neuron(device, MPS::NNNeuronDescriptor());
    const auto foreign = neuron.resultState(x, {}, y);
    EXPECT_THAT(sentenceOf([&] { pair.forward->encode(commands, x, foreign, y); }),
                HasSubstr("destinationState: expected a CNNDropoutGradientState, found a NNGradientState"));
    EXPECT_THAT(sentenceOf([&] {
                    pair.forward->encodeBatch(commands, {x, x}, MPS::StateBatch{state, state},
                                              {y, imageOf(device, 4, 2, 4)});
                }),
                HasSubstr("a state of its own for every image"));
    EXPECT_THAT(sentenceOf([&] { pair.backward->encode(commands, y, x, foreign); }),
                HasSubstr("CNNDropoutGradient 'drop': gradientState: expected a CNNDropoutGradientState"));
    MPS::CNNDropoutGradient unlike(device, 0.5f, 7);
    EXPECT_THAT(sentenceOf([&] { unlike.encode(commands, y, x, state); }),
                HasSubstr("gradientState: expected keep probability 0.5"));
    const auto temporary = std::dynamic_pointer_cast<MPS::CNNDropoutGradientState>(
        pair.forward->temporaryResultState(commands, x, {}, y));
    EXPECT_THAT(sentenceOf([&] { temporary->maskData(); }), HasSubstr("not temporary"));
    pair.forward->encode(commands, x, temporary, y);
    const auto dx = imageOf(device, 4, 2, 4);
    pair.backward->encode(commands, imageOf(device, 4, 2, 4, Numbers(32, 1)), x, temporary, dx);
    EXPECT_THAT(sentenceOf([&] { pair.backward->encode(commands, y, x, temporary, dx); }),
                HasSubstr("read count 0"));
    finish(commands);
}
