#pragma once

#include <gtest/gtest.h>

#include <MPS/Archive.hpp>
#include <MPS/CNNBinaryKernel.hpp>
#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <typeinfo>

#include "WeightedKernels.h"

/// Kernels written to an archive and read again: the same class, the same properties, the same bits.
namespace pewter::test {

/// Writes and reads a kernel. What is read writes the same bytes, so every property in the archive has come
/// back.
template <class K>
std::shared_ptr<K> roundTrip(const std::shared_ptr<K>& kernel) {
    const auto bytes = MPS::KeyedArchiver::archivedData(kernel);
    auto again = MPS::KeyedUnarchiver::unarchivedObjectOfClass<K>(bytes, kernel->device());
    EXPECT_STREQ(again->className(), kernel->className());
    EXPECT_TRUE(typeid(*again) == typeid(*kernel)) << kernel->className();
    EXPECT_NE(again, kernel);
    EXPECT_EQ(again->device(), kernel->device());
    EXPECT_EQ(MPS::KeyedArchiver::archivedData(again), bytes) << kernel->className();
    return again;
}

/// Values that differ from every default and still allow an encode into an image with room for them.
inline void decorate(MPS::CNNKernel& kernel) {
    kernel.setLabel("decorated");
    kernel.setOptions(MPS::KernelOptionsInsertDebugGroups);
    kernel.setOffset({1, 1, 0});
    kernel.setClipRect({{1, 0, 0}, {3, 4, 1}});
    kernel.setDestinationFeatureChannelOffset(4);
    kernel.setEdgeMode(MPS::ImageEdgeMode::Clamp);
    kernel.setPadding(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodAlignTopLeft));
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
}

inline void expectDecorated(const MPS::CNNKernel& kernel) {
    EXPECT_EQ(kernel.label(), "decorated");
    EXPECT_EQ(kernel.options(), MPS::KernelOptionsInsertDebugGroups);
    EXPECT_EQ(kernel.offset(), (MPS::Offset{1, 1, 0}));
    EXPECT_EQ(kernel.clipRect().origin.x, 1u);
    EXPECT_EQ(kernel.clipRect().size.height, 4u);
    EXPECT_EQ(kernel.destinationFeatureChannelOffset(), 4u);
    EXPECT_EQ(kernel.edgeMode(), MPS::ImageEdgeMode::Clamp);
    EXPECT_EQ(kernel.padding()->paddingMethod(), MPS::NNPaddingMethodAlignTopLeft);
    EXPECT_EQ(kernel.destinationImageAllocator(), MPS::Image::defaultAllocator());
}

/// Round trip of a forward kernel with decorations; its window, and the bits of an encode into an image of 5 x 4 pixels
/// and of one that returns its image. `adapt` takes back what the class refuses.
template <class K, class Adapt>
std::shared_ptr<K> sameForward(const std::shared_ptr<K>& kernel, const ImagePtr& source, Adapt adapt) {
    decorate(*kernel);
    const auto again = roundTrip(kernel);
    expectDecorated(*again);
    adapt(*kernel);
    adapt(*again);
    EXPECT_EQ(again->kernelWidth(), kernel->kernelWidth());
    EXPECT_EQ(again->kernelHeight(), kernel->kernelHeight());
    EXPECT_EQ(again->strideInPixelsX(), kernel->strideInPixelsX());
    EXPECT_EQ(again->strideInPixelsY(), kernel->strideInPixelsY());
    EXPECT_EQ(again->dilationRateX(), kernel->dilationRateX());
    EXPECT_EQ(again->dilationRateY(), kernel->dilationRateY());
    const auto& device = kernel->device();
    const auto explicitly = [&](K& k) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = imageOf(device, 5, 4, 24, Numbers(5 * 4 * 24, 7));
        k.encode(commands, source, result);
        finish(commands);
        return read(*result);
    };
    const auto first = explicitly(*kernel);
    EXPECT_EQ(explicitly(*again), first) << kernel->className() << " on " << device->name();
    EXPECT_NE(first, Numbers(first.size(), 7));
    const auto returned = [&](K& k) {
        k.setClipRect(MPS::RectNoClip);
        k.setDestinationFeatureChannelOffset(0);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = k.encode(commands, source);
        finish(commands);
        return read(*result);
    };
    EXPECT_EQ(returned(*again), returned(*kernel)) << kernel->className() << " on " << device->name();
    return again;
}

template <class K>
std::shared_ptr<K> sameForward(const std::shared_ptr<K>& kernel, const ImagePtr& source) {
    return sameForward(kernel, source, [](K&) {});
}

/// Round trip of a gradient kernel; the bits of its image against a state of `forward` each.
template <class F, class G>
std::shared_ptr<G> sameGradient(const std::shared_ptr<F>& forward, const std::shared_ptr<G>& gradient,
                                const ImagePtr& source) {
    const auto& device = gradient->device();
    gradient->setLabel("back");
    gradient->setKernelOffsetX(3);
    gradient->setKernelOffsetY(-2);
    gradient->setPrimaryOffset({1, 2, 0});
    gradient->setSecondaryOffset({-1, 0, 0});
    gradient->setSecondaryEdgeMode(MPS::ImageEdgeMode::Clamp);
    gradient->setPrimarySourceFeatureChannelMaxCount(100);
    gradient->setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto again = roundTrip(gradient);
    EXPECT_EQ(again->name(), gradient->name());
    EXPECT_EQ(again->kernelOffsetX(), 3);
    EXPECT_EQ(again->kernelOffsetY(), -2);
    EXPECT_EQ(again->primaryOffset(), (MPS::Offset{1, 2, 0}));
    EXPECT_EQ(again->secondaryOffset(), (MPS::Offset{-1, 0, 0}));
    EXPECT_EQ(again->secondaryEdgeMode(), MPS::ImageEdgeMode::Clamp);
    EXPECT_EQ(again->primarySourceFeatureChannelMaxCount(), 100u);
    EXPECT_EQ(again->secondaryKernelWidth(), gradient->secondaryKernelWidth());
    EXPECT_EQ(again->secondaryStrideInPixelsY(), gradient->secondaryStrideInPixelsY());
    for (const auto& g : {gradient, again}) {
        g->setKernelOffsetX(0);
        g->setKernelOffsetY(0);
    }
    forward->setClipRect(MPS::RectNoClip);
    forward->setDestinationFeatureChannelOffset(0);
    forward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto run = [&](G& g) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        std::shared_ptr<MPS::State> state;
        const auto y = forward->encode(commands, source, &state, false);
        Random random(5);
        const auto dy = imageOf(device, y->width(), y->height(), y->featureChannels(),
                                uniform(random, y->width() * y->height() * y->featureChannels()));
        const auto dx = g.encode(commands, dy, source, state);
        finish(commands);
        return read(*dx);
    };
    const auto first = run(*gradient);
    EXPECT_EQ(run(*again), first) << gradient->className() << " on " << device->name();
    EXPECT_NE(first, Numbers(first.size(), 0));
    return again;
}

/// An image of random numbers.
inline ImagePtr anyImage(const DevicePtr& device, std::size_t width, std::size_t height, std::size_t channels,
                         std::uint64_t seed = 1) {
    Random random(seed);
    return imageOf(device, width, height, channels, uniform(random, width * height * channels));
}

}  // namespace pewter::test
