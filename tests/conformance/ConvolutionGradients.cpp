// Central differences through the MPS classes, with Float64 images on `reference`. A convolution is linear in
// its source, its weights and its biases, so a difference of any step is exact but for rounding: steps of 1
// stay exact in float32.

#include <gtest/gtest.h>

#include "Compare.h"
#include "WeightedKernels.h"

using namespace pewter::test;

namespace {

/// Objective: the sum of result times a fixed incoming gradient.
template <class Forward, class Gradient>
struct Differences {
    DevicePtr device = MTL::copyDevice("reference");
    std::shared_ptr<MPS::CNNConvolutionDescriptor> d;
    Loops loops;
    Numbers x, w, b, e;
    std::shared_ptr<ListSource> source;

    void draw(Random& random) {
        x = uniform(random, loops.sourceSize() * 2);
        w = uniform(random, d->weightCount());
        b = uniform(random, d->outputFeatureChannels());
        e = uniform(random, loops.resultSize() * 2);
        source = listSource(d, w, b);
    }
    void set(Forward& kernel) const {
        kernel.setOffset({loops.offsetX, loops.offsetY, 0});
        kernel.setEdgeMode(loops.clamp ? MPS::ImageEdgeMode::Clamp : MPS::ImageEdgeMode::Zero);
    }
    MPS::ImageBatch sources() const {
        return batchOf(device, 2, loops.width, loops.height, d->inputFeatureChannels(), x, Format::Float64);
    }
    MPS::ImageBatch results(const Numbers& values = {}) const {
        return batchOf(device, 2, static_cast<std::size_t>(loops.outWidth),
                       static_cast<std::size_t>(loops.outHeight), d->outputFeatureChannels(), values,
                       Format::Float64);
    }
    double objective() const {
        Forward kernel(device, source);
        set(kernel);
        const auto y = results();
        const auto commands = device->newCommandQueue()->commandBuffer();
        kernel.encodeBatch(commands, sources(), y);
        finish(commands);
        const auto values = read(y);
        double sum = 0;
        for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] * e[i];
        return sum;
    }
    template <class List>
    Numbers differences(List& list, double step) {
        Numbers result;
        for (auto& value : list) {
            const auto start = value;
            value = static_cast<typename List::value_type>(start + step);
            const double above = objective();
            const double up = value;
            value = static_cast<typename List::value_type>(start - step);
            const double below = objective();
            result.push_back((above - below) / (up - value));
            value = start;
        }
        return result;
    }

    void check(const std::string& what) {
        const auto forward = std::make_shared<Forward>(device, source);
        set(*forward);
        Gradient gradient(device, source);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto inputs = sources(), y = results();
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto states = forward->resultStateBatch(inputs, {}, y);
        forward->encodeBatch(commands, inputs, states, y);
        const auto dx = gradient.encodeBatch(commands, results(e), inputs, states);
        finish(commands);
        auto& state = dynamic_cast<MPS::CNNConvolutionGradientState&>(*states[0]);
        // Double sums of a few hundred terms of size 1, differenced over a distance of 2.
        EXPECT_TRUE(allNear(read(dx), differences(x, 1), 1e-12)) << what;
        // Gradients of parameters are stored in float32.
        const double stored = 2 * std::numeric_limits<float>::epsilon();
        EXPECT_TRUE(allNear(floatsOf(*state.gradientForWeights()), differences(source->floats, 1), stored))
            << what;
        EXPECT_TRUE(allNear(floatsOf(*state.gradientForBiases()), differences(source->biases, 1), stored))
            << what;
    }
};

}  // namespace

TEST(ConvolutionGradients, AreTheDerivativesOfTheForwardPassInEveryInput) {
    Random random(3);
    for (int i = 0; i < 12; ++i) {
        Differences<MPS::CNNConvolution, MPS::CNNConvolutionGradient> t;
        const auto pick = [&](std::int64_t low, std::int64_t high) {
            return static_cast<std::size_t>(random.integer(low, high));
        };
        if (i % 3 == 0)
            t.d = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(pick(1, 3), pick(1, 3), 3,
                                                                                   3);
        else if (i % 3 == 1)
            t.d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(pick(1, 4), pick(1, 3), 2, 3);
        else
            t.d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(2, pick(1, 2), 8, 8);
        if (i % 3 == 2) t.d->setGroups(2);
        t.d->setStrideInPixelsX(pick(1, 2));
        t.d->setStrideInPixelsY(pick(1, 3));
        t.d->setDilationRateX(pick(1, 2));
        t.loops.d = t.d;
        t.loops.width = pick(2, 4);
        t.loops.height = pick(2, 4);
        t.loops.outWidth = random.integer(1, 3);
        t.loops.outHeight = random.integer(1, 3);
        t.loops.offsetX = random.integer(-1, 2);
        t.loops.offsetY = random.integer(-1, 2);
        t.loops.clamp = i % 2 == 1;
        t.draw(random);
        t.check("case " + std::to_string(i));
    }
}

TEST(ConvolutionGradients, FullyConnectedOnesAreTheDerivativesToo) {
    Random random(4);
    Differences<MPS::CNNFullyConnected, MPS::CNNFullyConnectedGradient> t;
    t.d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(3, 2, 3, 4);
    t.loops.d = t.d;
    t.loops.width = 3;
    t.loops.height = 2;
    t.loops.outWidth = t.loops.outHeight = 1;
    t.draw(random);
    t.check("fully connected");
}
