// Transposed convolution and its gradient through the MPS classes: geometry by hand and by formula, encodes,
// sizes.

#include <gtest/gtest.h>

#include <MPS/CNNConvolutionTranspose.hpp>

#include "TransposedLoops.h"

using namespace pewter::test;

namespace {

using Descriptor = MPS::CNNConvolutionDescriptor;
using Transpose = MPS::CNNConvolutionTranspose;
using TransposeGradient = MPS::CNNConvolutionTransposeGradient;
using TransposeState = MPS::CNNConvolutionTransposeGradientState;

std::shared_ptr<Descriptor> row(std::size_t taps, std::size_t stride) {
    auto d = Descriptor::cnnConvolutionDescriptor(taps, 1, 1, 1);
    d->setStrideInPixelsX(stride);
    return d;
}

/// One row of one channel through a kernel with the given offset.
Numbers apply(const DevicePtr& device, const std::shared_ptr<Descriptor>& d, const Numbers& weights,
              const Numbers& source, std::int64_t kernelOffset, std::size_t width, std::int64_t offset = 0) {
    Transpose kernel(device, listSource(d, weights));
    kernel.setKernelOffsetX(kernelOffset);
    kernel.setOffset({offset, 0, 0});
    const auto y = imageOf(device, width, 1, 1);
    const auto commands = device->newCommandQueue()->commandBuffer();
    kernel.encode(commands, imageOf(device, source.size(), 1, 1, source), y);
    finish(commands);
    return read(*y);
}

/// A drawn transposed convolution with operands of small integers: every sum is exact in float32.
struct Case {
    TransposedLoops loops;
    Numbers x, w, b, e;
    std::size_t images;
    std::shared_ptr<ListSource> source;

    explicit Case(Random& random) : images(static_cast<std::size_t>(random.integer(1, 3))) {
        const auto pick = [&](std::int64_t low, std::int64_t high) {
            return static_cast<std::size_t>(random.integer(low, high));
        };
        const int kind = static_cast<int>(random.integer(0, 3));
        const std::size_t kw = pick(1, 5), kh = pick(1, 5);
        if (kind == 0) {
            const std::size_t c = pick(1, 6);
            loops.d = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(kw, kh, c, c);
        } else if (kind == 1) {
            const std::size_t groups = pick(2, 3);
            loops.d = Descriptor::cnnConvolutionDescriptor(kw, kh, groups * 4 * pick(1, 2),
                                                           groups * 4 * pick(1, 2));
            loops.d->setGroups(groups);
        } else {
            loops.d = Descriptor::cnnConvolutionDescriptor(kw, kh, pick(1, 9), pick(1, 9));
        }
        loops.d->setStrideInPixelsX(pick(1, 3));
        loops.d->setStrideInPixelsY(pick(1, 3));
        loops.d->setDilationRateX(pick(1, 2));
        loops.d->setDilationRateY(pick(1, 3));
        loops.width = pick(1, 6);
        loops.height = pick(1, 6);
        loops.outWidth = random.integer(1, 12);
        loops.outHeight = random.integer(1, 12);
        loops.totalX = random.integer(-4, 4);
        loops.totalY = random.integer(-4, 4);
        x = integers(random, loops.sourceSize() * images, -3, 3);
        w = integers(random, loops.d->weightCount(), -3, 3);
        b = integers(random, loops.d->outputFeatureChannels(), -3, 3);
        e = integers(random, loops.resultSize() * images, -3, 3);
        source = listSource(loops.d, w, b);
    }

    void place(Transpose& kernel) const {
        kernel.setKernelOffsetX(loops.totalX);
        kernel.setKernelOffsetY(loops.totalY);
    }
    MPS::ImageBatch sources(const DevicePtr& device) const {
        return batchOf(device, images, loops.width, loops.height, loops.d->inputFeatureChannels(), x);
    }
    MPS::ImageBatch results(const DevicePtr& device, const Numbers& values = {}) const {
        return batchOf(device, images, static_cast<std::size_t>(loops.outWidth),
                       static_cast<std::size_t>(loops.outHeight), loops.d->outputFeatureChannels(), values);
    }
};

}  // namespace

TEST(ConvolutionTranspose, GivesTheValuesWorkedOutByHand) {
    for (const auto& device : weightedDevices()) {
        const Numbers w = {100, 10, 1}, x = {1, 2, 3, 4};
        EXPECT_EQ(apply(device, row(3, 2), w, x, 0, 7), (Numbers{10, 102, 20, 203, 30, 304, 40}));
        EXPECT_EQ(apply(device, row(3, 2), w, x, -1, 8), (Numbers{1, 10, 102, 20, 203, 30, 304, 40}));
        // The offset counts pixels of the source: one of them is two of the result.
        EXPECT_EQ(apply(device, row(3, 2), w, x, 0, 5, 1), (Numbers{20, 203, 30, 304, 40}));
        EXPECT_EQ(apply(device, row(3, 2), w, x, -1, 5, 1), (Numbers{102, 20, 203, 30, 304}));
        // Stride 1 is a plain correlation: weights are not rotated.
        EXPECT_EQ(apply(device, row(3, 1), w, x, 0, 4), (Numbers{12, 123, 234, 340}));
        EXPECT_EQ(apply(device, row(2, 3), {10, 1}, {1, 2}, 0, 5), (Numbers{1, 10, 0, 2, 20}));
    }
}

TEST(ConvolutionTranspose, FollowsTheFormulaForwardAndBackward) {
    Random random(31);
    for (int i = 0; i < 120; ++i) {
        const Case c(random);
        const auto& loops = c.loops;
        for (const auto& device : weightedDevices()) {
            const auto kernel = std::make_shared<Transpose>(device, c.source);
            TransposeGradient gradient(device, c.source);
            gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            c.place(*kernel);
            const auto x = c.sources(device), y = c.results(device);
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto states = kernel->resultStateBatch(x, {}, y);
            kernel->encodeBatch(commands, x, states, y);
            const auto dx = gradient.encodeBatch(commands, c.results(device, c.e), x, states);
            finish(commands);
            auto& state = dynamic_cast<TransposeState&>(*states[0]);
            EXPECT_EQ(read(y), loops.forward(c.x, c.w, c.b, c.images)) << i << ", " << device->name();
            EXPECT_EQ(read(dx), loops.dataGradient(c.e, c.w, c.images)) << i << ", " << device->name();
            EXPECT_EQ(floatsOf(*state.gradientForWeights()), loops.weightGradient(c.e, c.x, c.images))
                << i << ", " << device->name();
            EXPECT_EQ(floatsOf(*state.gradientForBiases()), loops.biasGradient(c.e))
                << i << ", " << device->name();
        }
    }
}

TEST(ConvolutionTranspose, ThePaddingPolicySizesTheResultAndCentresTheWindow) {
    const auto device = MTL::copyDevice("reference");
    struct Size {
        std::size_t taps, stride, source;
        MPS::NNPaddingMethod method;
        std::size_t width;
        std::int64_t kernelOffset;
    };
    const Size sizes[] = {
        {3, 2, 4, MPS::NNPaddingMethodSizeSame, 7, 0},
        {3, 2, 4, MPS::NNPaddingMethodSizeFull, 9, 1 - 2},
        {3, 2, 4, MPS::NNPaddingMethodSizeValidOnly, 5, 1},
        {5, 3, 2, MPS::NNPaddingMethodSizeSame, 4, 0},
        {5, 3, 2, MPS::NNPaddingMethodSizeFull, 8, 2 - 4},
        // Even windows: (K - 1 + 1) / 2 on the left, or one less with the remainder to the right.
        {4, 2, 4, MPS::NNPaddingMethodSizeSame, 7, 2 - 2},
        {4, 2, 4, MPS::NNPaddingMethodSizeSame | MPS::NNPaddingMethodAddRemainderToBottomRight, 7, 2 - 1},
        {4, 2, 4, MPS::NNPaddingMethodSizeFull, 10, 2 - 3},
    };
    for (const auto& size : sizes) {
        Transpose kernel(device, listSource(row(size.taps, size.stride), Numbers(size.taps, 1)));
        kernel.setPadding(MPS::NNDefaultPadding::padding(size.method));
        kernel.setOffset({5, 0, 0});
        const auto d = kernel.destinationImageDescriptor({imageOf(device, size.source, 1, 1)});
        EXPECT_EQ(d.width, size.width) << size.taps << " taps";
        EXPECT_EQ(d.height, 1u);
        EXPECT_EQ(kernel.kernelOffsetX(), size.kernelOffset) << size.taps << " taps";
        EXPECT_EQ(kernel.offset().x, 0);
    }
}

TEST(ConvolutionTranspose, DilatedWindowsCountWhole) {
    const auto device = MTL::copyDevice("reference");
    auto d = row(2, 2);
    d->setDilationRateX(3);
    Transpose kernel(device, listSource(d, {10, 1}));
    kernel.setPadding(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeFull));
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto y = kernel.encode(commands, imageOf(device, 2, 1, 1, {1, 2}));
    finish(commands);
    // Z = 1 0 2, window of 4: taps three apart.
    EXPECT_EQ(read(*y), (Numbers{1, 0, 2, 10, 0, 20}));
}

TEST(ConvolutionTranspose, EveryFormOfEncodeGivesTheSame) {
    for (const auto& device : weightedDevices()) {
        auto d = Descriptor::cnnConvolutionDescriptor(3, 3, 2, 3);
        d->setStrideInPixelsX(2);
        d->setStrideInPixelsY(2);
        Random random(32);
        const auto kernel =
            std::make_shared<Transpose>(device, listSource(d, integers(random, d->weightCount()), {1, 2, 3}));
        kernel->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto x = batchOf(device, 2, 3, 3, 2, integers(random, 36));
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto batch = kernel->encodeBatch(commands, x);
        MPS::StateBatch states;
        const auto withStates = kernel->encodeBatch(commands, x, &states, false);
        const auto y0 = kernel->encode(commands, x[0]);
        std::shared_ptr<MPS::State> state;
        const auto y1 = kernel->encode(commands, x[1], &state, false);
        const auto given = imageOf(device, 5, 5, 3), other = imageOf(device, 5, 5, 3);
        kernel->encode(commands, x[0], given);
        kernel->encode(commands, x[1], std::dynamic_pointer_cast<TransposeState>(state), other);
        // Without a linked state the forms for one are the plain ones.
        const std::shared_ptr<MPS::CNNConvolutionGradientState> none;
        const auto unlinked = kernel->encode(commands, x[0], none);
        const auto unlinkedBatch = kernel->encodeBatch(commands, x, MPS::CNNConvolutionGradientStateBatch{});
        finish(commands);
        EXPECT_EQ(batch[0]->width(), 5u);
        EXPECT_EQ(read(withStates), read(batch));
        EXPECT_EQ(states.size(), 2u);
        EXPECT_EQ(states[0], states[1]) << "one state serves the batch";
        EXPECT_EQ(read(*y0), read(*batch[0]));
        EXPECT_EQ(read(*y1), read(*batch[1]));
        EXPECT_EQ(read(*given), read(*batch[0]));
        EXPECT_EQ(read(*other), read(*batch[1]));
        EXPECT_EQ(read(*unlinked), read(*batch[0]));
        EXPECT_EQ(read(unlinkedBatch), read(batch));
    }
}

TEST(ConvolutionTranspose, WritesItsChannelsInTheClipRectangleOnly) {
    for (const auto& device : weightedDevices()) {
        Transpose kernel(device, listSource(row(3, 2), {100, 10, 1}, {0}));
        kernel.setClipRect({{1, 0, 0}, {3, 1, 1}});
        kernel.setDestinationFeatureChannelOffset(4);
        kernel.setSourceFeatureChannelOffset(4);
        // Source: channel 4 of 5.
        const auto x = imageOf(device, 2, 1, 5, {9, 9, 9, 9, 1, 9, 9, 9, 9, 2});
        const auto y = imageOf(device, 5, 1, 5, Numbers(25, -1));
        const auto commands = device->newCommandQueue()->commandBuffer();
        kernel.encode(commands, x, y);
        finish(commands);
        Numbers expected(25, -1);
        // The clip rectangle's origin is where the window starts: 10 102 20 from column 1 on.
        expected[9] = 10, expected[14] = 102, expected[19] = 20;
        EXPECT_EQ(read(*y), expected) << device->name();
    }
}

TEST(ConvolutionTranspose, AppliesTheFusedNeuronAndTheFoldedNormalisation) {
    for (const auto& device : weightedDevices()) {
        auto d = row(3, 2);
        d->setFusedNeuronDescriptor(
            MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU, 0.5f));
        Transpose kernel(device, listSource(d, {100, 10, 1}, {-50}));
        const auto y = imageOf(device, 7, 1, 1);
        // gamma 2, variance 1, mean 10, beta 4: doubled, with 2 (b - 10) + 4 as the bias.
        auto folded = row(3, 2);
        folded->setBatchNormalizationParametersForInference({10}, {1}, {2}, {4}, 0);
        Transpose other(device, listSource(folded, {100, 10, 1}, {1}));
        const auto z = imageOf(device, 7, 1, 1);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto x = imageOf(device, 4, 1, 1, {1, 2, 3, 4});
        kernel.encode(commands, x, y);
        other.encode(commands, x, z);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{-20, 52, -15, 153, -10, 254, -5})) << device->name();
        EXPECT_EQ(read(*z), (Numbers{6, 190, 26, 392, 46, 594, 66})) << device->name();
    }
}

TEST(ConvolutionTranspose, HalfImagesAreRoundedOnceAfterTheBias) {
    for (const auto& device : weightedDevices()) {
        // 2048 + 1 is no half; rounded before the bias of -2048 it would be lost.
        const auto x = imageOf(device, 1, 1, 1, {1});
        Transpose wide(device, listSource(row(1, 2), {2049}, {-2048}));
        const auto y = imageOf(device, 1, 1, 1, {}, Format::Float16);
        const auto commands = device->newCommandQueue()->commandBuffer();
        wide.encode(commands, x, y);
        finish(commands);
        std::uint16_t bits = 0;
        y->readBytes(&bits, MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
        EXPECT_EQ(bits, 0x3C00) << device->name();
    }
}

TEST(ConvolutionTranspose, PropertiesAndCopies) {
    const auto device = MTL::copyDevice("reference");
    auto d = Descriptor::cnnConvolutionDescriptor(3, 2, 8, 16);
    d->setGroups(2);
    const auto source = listSource(d, Numbers(d->weightCount(), 1), Numbers(16, 1));
    Transpose kernel(device, source);
    EXPECT_EQ(kernel.inputFeatureChannels(), 8u);
    EXPECT_EQ(kernel.outputFeatureChannels(), 16u);
    EXPECT_EQ(kernel.groups(), 2u);
    EXPECT_EQ(kernel.kernelWidth(), 3u);
    EXPECT_EQ(kernel.kernelHeight(), 2u);
    EXPECT_EQ(kernel.kernelOffsetX(), 0);
    EXPECT_EQ(kernel.kernelOffsetY(), 0);
    EXPECT_EQ(kernel.accumulatorPrecisionOption(), MPS::NNConvolutionAccumulatorPrecisionOption::Float);
    EXPECT_EQ(kernel.dataSource(), source);
    EXPECT_EQ(kernel.label(), "layer");
    EXPECT_TRUE(kernel.isBackwards());
    EXPECT_FALSE(kernel.isStateModified());
    EXPECT_FALSE(kernel.appendBatchBarrier());
    EXPECT_EQ(source->loads, source->purges);

    kernel.setKernelOffsetX(2);
    for (const auto& target : weightedDevices()) {
        const auto copy = std::dynamic_pointer_cast<Transpose>(kernel.copy(target));
        ASSERT_NE(copy, nullptr);
        EXPECT_EQ(copy->device(), target);
        EXPECT_EQ(copy->kernelOffsetX(), 2);
        const auto x = imageOf(target, 2, 2, 8, Numbers(32, 1)), y = imageOf(target, 2, 2, 16);
        const auto commands = target->newCommandQueue()->commandBuffer();
        copy->setKernelOffsetX(0);
        copy->encode(commands, x, y);
        finish(commands);
        // One row of the window of 2 reaches the first row, two columns of the window of 3 every column.
        EXPECT_EQ(read(*y)[0], 1 + 4 * 2);
    }

    TransposeGradient gradient(device, source);
    EXPECT_EQ(gradient.sourceGradientFeatureChannels(), 16u);
    EXPECT_EQ(gradient.sourceImageFeatureChannels(), 8u);
    EXPECT_EQ(gradient.groups(), 2u);
    EXPECT_EQ(gradient.dataSource(), source);
    EXPECT_EQ(gradient.gradientOption(), MPS::CNNConvolutionGradientOptionAll);
    EXPECT_TRUE(gradient.isStateModified());
    EXPECT_FALSE(gradient.isBackwards());
    EXPECT_NE(std::dynamic_pointer_cast<TransposeGradient>(gradient.copy(device)), nullptr);
}
