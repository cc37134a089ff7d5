// Transposed convolution through the MPS classes against values that PyTorch computed, and against central
// differences.

#include <gtest/gtest.h>

#include <MPS/CNNConvolutionTranspose.hpp>

#include "Compare.h"
#include "Fixtures.h"
#include "TransposedLoops.h"

using namespace pewter::test;

namespace {

using Transpose = MPS::CNNConvolutionTranspose;
using TransposeGradient = MPS::CNNConvolutionTransposeGradient;
using TransposeState = MPS::CNNConvolutionTransposeGradientState;

std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptorOf(const Json& one) {
    const auto at = [&](const char* field) { return one.at(field).get<std::size_t>(); };
    std::shared_ptr<MPS::CNNConvolutionDescriptor> d;
    if (one.at("depthwise").get<bool>())
        d = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(
            at("kernelWidth"), at("kernelHeight"), at("inputFeatureChannels"), at("outputFeatureChannels"));
    else
        d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(
            at("kernelWidth"), at("kernelHeight"), at("inputFeatureChannels"), at("outputFeatureChannels"));
    d->setStrideInPixelsX(at("strideX"));
    d->setStrideInPixelsY(at("strideY"));
    d->setDilationRateX(at("dilationX"));
    d->setDilationRateY(at("dilationY"));
    if (!one.at("depthwise").get<bool>()) d->setGroups(at("groups"));
    return d;
}

MPS::ImageBatch imagesOf(const DevicePtr& device, const Json& tensor, Format format, bool filled = true) {
    const auto s = tensor.at("shape").get<std::vector<std::size_t>>();
    return batchOf(device, s[0], s[2], s[1], s[3], filled ? numbers(tensor) : Numbers(), format);
}

/// Objective: the sum of result times a fixed incoming gradient, on `reference` in double.
struct Differences {
    DevicePtr device = MTL::copyDevice("reference");
    TransposedLoops loops;
    Numbers x, e;
    std::shared_ptr<ListSource> source;

    MPS::ImageBatch sources() const {
        return batchOf(device, 2, loops.width, loops.height, loops.d->inputFeatureChannels(), x,
                       Format::Float64);
    }
    MPS::ImageBatch results(const Numbers& values = {}) const {
        return batchOf(device, 2, static_cast<std::size_t>(loops.outWidth),
                       static_cast<std::size_t>(loops.outHeight), loops.d->outputFeatureChannels(), values,
                       Format::Float64);
    }
    std::shared_ptr<Transpose> kernel() const {
        auto made = std::make_shared<Transpose>(device, source);
        made->setKernelOffsetX(loops.totalX);
        made->setKernelOffsetY(loops.totalY);
        return made;
    }
    double objective() const {
        const auto y = results();
        const auto commands = device->newCommandQueue()->commandBuffer();
        kernel()->encodeBatch(commands, sources(), y);
        finish(commands);
        const auto values = read(y);
        double sum = 0;
        for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] * e[i];
        return sum;
    }
    /// The kernel is linear in each of its inputs: steps of 1 are exact but for rounding.
    template <class List>
    Numbers differences(List& list) {
        using Value = typename List::value_type;
        Numbers result;
        for (auto& value : list) {
            const auto start = value;
            value = static_cast<Value>(start + 1);
            const double above = objective(), up = value;
            value = static_cast<Value>(start - 1);
            const double below = objective();
            result.push_back((above - below) / (up - value));
            value = start;
        }
        return result;
    }
};

}  // namespace

TEST(ConvolutionTransposeFixtures, ForwardAndGradientsAreThoseOfPyTorch) {
    const auto cases = fixture("convolution_transpose").at("cases");
    ASSERT_FALSE(cases.empty());
    for (const auto& one : cases)
        for (const auto& device : weightedDevices()) {
            const auto name = one.at("name").get<std::string>() + ", " + device->name();
            const auto source = listSource(descriptorOf(one), numbers(one.at("w")), numbers(one.at("b")));
            const auto forward = std::make_shared<Transpose>(device, source);
            TransposeGradient gradient(device, source);
            gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            forward->setKernelOffsetX(one.at("kernelOffsetX"));
            forward->setKernelOffsetY(one.at("kernelOffsetY"));
            const auto x = imagesOf(device, one.at("x"), Format::Float32),
                       y = imagesOf(device, one.at("y"), Format::Float32, false);
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto states = forward->resultStateBatch(x, {}, y);
            forward->encodeBatch(commands, x, states, y);
            const auto dx =
                gradient.encodeBatch(commands, imagesOf(device, one.at("g"), Format::Float32), x, states);
            finish(commands);
            // Every number of the file is exact in float32.
            EXPECT_EQ(read(y), numbers(one.at("y"))) << name;
            EXPECT_EQ(read(dx), numbers(one.at("dx"))) << name;
            auto& state = dynamic_cast<TransposeState&>(*states[0]);
            EXPECT_EQ(floatsOf(*state.gradientForWeights()), numbers(one.at("dw"))) << name;
            EXPECT_EQ(floatsOf(*state.gradientForBiases()), numbers(one.at("db"))) << name;
        }
}

TEST(ConvolutionTransposeFixtures, ThePoliciesArePyTorchsPaddings) {
    // Full is padding 0; valid is padding K - 1 (layers-weighted.md, 9.1).
    const auto cases = fixture("convolution_transpose").at("cases");
    for (const auto& one : cases) {
        if (one.at("name") != "stride 2, 3x3, full size") continue;
        const auto device = MTL::copyDevice("reference");
        Transpose kernel(device, listSource(descriptorOf(one), numbers(one.at("w")), numbers(one.at("b"))));
        kernel.setPadding(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeFull));
        kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = kernel.encodeBatch(commands, imagesOf(device, one.at("x"), Format::Float32));
        finish(commands);
        EXPECT_EQ(read(y), numbers(one.at("y")));
        return;
    }
    FAIL() << "the case is gone";
}

TEST(ConvolutionTransposeFixtures, GradientsAreTheDerivativesOfTheForwardPassInEveryInput) {
    Random random(61);
    for (int i = 0; i < 12; ++i) {
        Differences t;
        const auto pick = [&](std::int64_t low, std::int64_t high) {
            return static_cast<std::size_t>(random.integer(low, high));
        };
        auto& loops = t.loops;
        if (i % 3 == 0)
            loops.d = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(pick(1, 3), pick(1, 3),
                                                                                       3, 3);
        else if (i % 3 == 1)
            loops.d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(pick(1, 4), pick(1, 3), 2, 3);
        else
            loops.d = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(2, pick(1, 2), 8, 8);
        if (i % 3 == 2) loops.d->setGroups(2);
        loops.d->setStrideInPixelsX(pick(1, 2));
        loops.d->setStrideInPixelsY(pick(1, 3));
        loops.d->setDilationRateX(pick(1, 2));
        loops.width = pick(1, 3);
        loops.height = pick(1, 3);
        loops.outWidth = random.integer(2, 5);
        loops.outHeight = random.integer(2, 5);
        loops.totalX = random.integer(-2, 1);
        loops.totalY = random.integer(-2, 1);
        t.x = uniform(random, loops.sourceSize() * 2);
        t.e = uniform(random, loops.resultSize() * 2);
        t.source = listSource(loops.d, uniform(random, loops.d->weightCount()),
                              uniform(random, loops.d->outputFeatureChannels()));

        const auto forward = t.kernel();
        TransposeGradient gradient(t.device, t.source);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto inputs = t.sources(), y = t.results();
        const auto commands = t.device->newCommandQueue()->commandBuffer();
        const auto states = forward->resultStateBatch(inputs, {}, y);
        forward->encodeBatch(commands, inputs, states, y);
        const auto dx = gradient.encodeBatch(commands, t.results(t.e), inputs, states);
        finish(commands);
        auto& state = dynamic_cast<TransposeState&>(*states[0]);
        // Double sums of a few hundred terms of size 1, differenced over a distance of 2; gradients of
        // parameters are stored in float32.
        const double stored = 2 * std::numeric_limits<float>::epsilon();
        EXPECT_TRUE(allNear(read(dx), t.differences(t.x), 1e-12)) << i;
        EXPECT_TRUE(allNear(floatsOf(*state.gradientForWeights()), t.differences(t.source->floats), stored))
            << i;
        EXPECT_TRUE(allNear(floatsOf(*state.gradientForBiases()), t.differences(t.source->biases), stored))
            << i;
    }
}
