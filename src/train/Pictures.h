#pragma once

#include <MPS/Image.hpp>
#include <memory>

namespace pewter::train {

/// `count` pictures that lie back to back in one image, so that one copy fills them.
inline std::shared_ptr<MPS::Image> manyPictures(const std::shared_ptr<MTL::Device>& device,
                                                MPS::ImageFeatureChannelFormat format, std::size_t width,
                                                std::size_t height, std::size_t channels, std::size_t count) {
    auto descriptor = MPS::ImageDescriptor::imageDescriptor(format, width, height, channels);
    descriptor.numberOfImages = count;
    return std::make_shared<MPS::Image>(device, descriptor);
}

/// Fills all of them from bytes in the order image, row, column, channel.
inline void writeAll(MPS::Image& image, const void* bytes, std::size_t elementSize) {
    const std::size_t row = image.width() * image.featureChannels() * elementSize;
    image.writeBytes(bytes, MPS::DataLayout::HeightxWidthxFeatureChannels, row, row * image.height(),
                     {{0, 0, 0}, {image.width(), image.height(), image.numberOfImages()}},
                     {0, image.featureChannels()}, 0);
}

}  // namespace pewter::train
