#pragma once

#include <MPS/CNNLoss.hpp>

#include "OpTensors.h"
#include "TestKernel.h"

/// Pictures and labels of any float format, and their values as doubles.
namespace pewter::test {

using DevicePtr = std::shared_ptr<MTL::Device>;

inline std::vector<double> valuesOf(MPS::Image& image) {
    const std::size_t count = image.width() * image.height() * image.featureChannels();
    std::vector<double> all;
    for (std::size_t n = 0; n < image.numberOfImages(); ++n) {
        const auto read = [&](auto zero, auto convert) {
            std::vector<decltype(zero)> raw(count);
            image.readBytes(raw.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, n);
            for (const auto value : raw) all.push_back(convert(value));
        };
        switch (image.featureChannelFormat()) {
            case Format::Float32:
                read(0.0f, [](float v) { return static_cast<double>(v); });
                break;
            case Format::Float64:
                read(0.0, [](double v) { return v; });
                break;
            case Format::Float16:
                read(std::uint16_t{}, [](std::uint16_t v) { return reference::fromFloat16(v); });
                break;
            case Format::BFloat16:
                read(std::uint16_t{}, [](std::uint16_t v) { return reference::fromBFloat16(v); });
                break;
            case Format::Unorm8:
                read(std::uint8_t{}, [](std::uint8_t v) { return v / 255.0; });
                break;
            default:
                ADD_FAILURE() << "no such format in the tests";
        }
    }
    return all;
}

inline void fillImage(MPS::Image& image, const std::vector<double>& values) {
    const std::size_t count = image.width() * image.height() * image.featureChannels();
    ASSERT_EQ(values.size(), count * image.numberOfImages());
    for (std::size_t n = 0; n < image.numberOfImages(); ++n) {
        const auto write = [&](auto zero, auto convert) {
            std::vector<decltype(zero)> raw(count);
            for (std::size_t i = 0; i < count; ++i) raw[i] = convert(values[n * count + i]);
            image.writeBytes(raw.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, n);
        };
        switch (image.featureChannelFormat()) {
            case Format::Float32:
                write(0.0f, [](double v) { return static_cast<float>(v); });
                break;
            case Format::Float64:
                write(0.0, [](double v) { return v; });
                break;
            case Format::Float16:
                write(std::uint16_t{}, [](double v) { return reference::toFloat16(v); });
                break;
            case Format::BFloat16:
                write(std::uint16_t{}, [](double v) { return reference::toBFloat16(v); });
                break;
            default:
                ADD_FAILURE() << "no such format in the tests";
        }
    }
}

/// Multiples of 1/64 between -1 and 1: exact in every float format.
inline std::vector<double> drawValues(Random& random, std::size_t count) {
    std::vector<double> values(count);
    for (auto& value : values) value = static_cast<double>(random.integer(-64, 64)) / 64;
    return values;
}

inline MPS::ImageBatch drawImages(const DevicePtr& device, std::size_t count, std::size_t width,
                                  std::size_t height, std::size_t channels, std::uint64_t seed,
                                  Format format = Format::Float32) {
    Random random(seed);
    MPS::ImageBatch batch;
    for (std::size_t i = 0; i < count; ++i) {
        batch.push_back(std::make_shared<MPS::Image>(device, describe(width, height, channels, 1, format)));
        fillImage(*batch.back(), drawValues(random, width * height * channels));
    }
    return batch;
}

/// One-hot labels for images of 1 x 1 x classes.
inline MPS::StateBatch drawLabels(const DevicePtr& device, std::size_t count, std::size_t classes,
                                  std::uint64_t seed, Format format = Format::Float32) {
    Random random(seed);
    MPS::StateBatch labels;
    for (std::size_t i = 0; i < count; ++i) {
        std::vector<double> values(classes);
        values[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(classes) - 1))] = 1;
        const auto image = std::make_shared<MPS::Image>(device, describe(1, 1, classes, 1, format));
        fillImage(*image, values);
        labels.push_back(std::make_shared<MPS::CNNLossLabels>(device, MTL::Size{1, 1, 1}, image, nullptr));
    }
    return labels;
}

/// Sum of the loss images.
inline double lossOf(const MPS::StateBatch& labels) {
    double sum = 0;
    for (const auto& label : labels)
        for (const double value : valuesOf(*dynamic_cast<MPS::CNNLossLabels&>(*label).lossImage()))
            sum += value;
    return sum;
}

/// What is in the buffer now: of managed memory the host sees what was synchronised last.
inline std::vector<float> floatsOf(const std::shared_ptr<MTL::Buffer>& buffer) {
    if (buffer->storageMode() == MTL::StorageMode::Managed) {
        const auto commands = buffer->device()->newCommandQueue()->commandBuffer();
        const auto encoder = commands->blitCommandEncoder();
        encoder->synchronize(buffer);
        encoder->endEncoding();
        commands->commit();
        commands->waitUntilCompleted();
    }
    const auto* values = static_cast<const float*>(buffer->contents());
    return {values, values + buffer->length() / sizeof(float)};
}

}  // namespace pewter::test
