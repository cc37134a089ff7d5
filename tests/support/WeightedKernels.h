#pragma once

#include <gtest/gtest.h>

#include <MPS/CNNFullyConnected.hpp>
#include <MPS/Image.hpp>
#include <MTL/MTL.hpp>
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "OpTensors.h"

/// What tests of kernels with weights share: a data source over lists, images of numbers, and the convolution
/// and its adjoint as loops over the published formulas.
namespace pewter::test {

using ImagePtr = std::shared_ptr<MPS::Image>;
using DevicePtr = std::shared_ptr<MTL::Device>;
using Format = MPS::ImageFeatureChannelFormat;
using Numbers = std::vector<double>;

/// `reference`, and `cpu` where the build has it.
inline std::vector<DevicePtr> weightedDevices() {
    std::vector<DevicePtr> found;
    for (const auto& device : MTL::copyAllDevices())
        if (device->name() == "reference" || device->name() == "cpu") found.push_back(device);
    return found;
}

/// A data source over lists of floats; counts its loads and purges.
class ListSource : public MPS::CNNConvolutionDataSource {
public:
    ListSource(std::shared_ptr<MPS::CNNConvolutionDescriptor> d, const Numbers& w, const Numbers& b = {})
        : shape(std::move(d)), floats(w.begin(), w.end()), biases(b.begin(), b.end()) {}

    bool load() override {
        ++loads;
        return loadable;
    }
    void purge() override { ++purges; }
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor() const override { return shape; }
    MPS::DataType dataType() const override { return type; }
    const void* weights() const override {
        return type == MPS::DataType::Float32
                   ? (floats.empty() ? nullptr : static_cast<const void*>(floats.data()))
                   : (bytes.empty() ? nullptr : static_cast<const void*>(bytes.data()));
    }
    const float* biasTerms() const override { return biases.empty() ? nullptr : biases.data(); }
    std::string label() const override { return name; }
    const float* rangesForUInt8Kernel() const override { return ranges.empty() ? nullptr : ranges.data(); }
    const float* lookupTableForUInt8Kernel() const override { return table.empty() ? nullptr : table.data(); }
    MPS::DataType kernelWeightsDataType() const override { return kept; }

    std::shared_ptr<MPS::CNNConvolutionDescriptor> shape;
    std::vector<float> floats, biases, ranges, table;
    std::vector<unsigned char> bytes;
    MPS::DataType type = MPS::DataType::Float32, kept = MPS::DataType::Float32;
    std::string name = "layer";
    bool loadable = true;
    int loads = 0, purges = 0;
};

inline std::shared_ptr<ListSource> listSource(std::shared_ptr<MPS::CNNConvolutionDescriptor> d,
                                              const Numbers& w, const Numbers& b = {}) {
    return std::make_shared<ListSource>(std::move(d), w, b);
}

inline Numbers integers(Random& random, std::size_t count, int low = -4, int high = 4) {
    Numbers values(count);
    for (double& v : values) v = static_cast<double>(random.integer(low, high));
    return values;
}
/// Random, exact in float32.
inline Numbers uniform(Random& random, std::size_t count) {
    Numbers values(count);
    for (double& v : values) v = static_cast<float>(random.uniform(-1, 1));
    return values;
}

inline void write(MPS::Image& image, const Numbers& values) {
    const std::size_t one = image.width() * image.height() * image.featureChannels();
    ASSERT_EQ(values.size(), one * image.numberOfImages());
    for (std::size_t n = 0; n < image.numberOfImages(); ++n) {
        const Numbers part(values.begin() + static_cast<std::ptrdiff_t>(n * one),
                           values.begin() + static_cast<std::ptrdiff_t>((n + 1) * one));
        const std::vector<float> floats(part.begin(), part.end());
        const void* bytes = image.featureChannelFormat() == Format::Float64
                                ? static_cast<const void*>(part.data())
                                : static_cast<const void*>(floats.data());
        image.writeBytes(bytes, MPS::DataLayout::HeightxWidthxFeatureChannels, n);
    }
}

inline Numbers read(MPS::Image& image) {
    const std::size_t one = image.width() * image.height() * image.featureChannels();
    Numbers values;
    for (std::size_t n = 0; n < image.numberOfImages(); ++n) {
        Numbers part(one);
        if (image.featureChannelFormat() == Format::Float64) {
            image.readBytes(part.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, n);
        } else {
            std::vector<float> floats(one);
            image.readBytes(floats.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, n);
            part.assign(floats.begin(), floats.end());
        }
        values.insert(values.end(), part.begin(), part.end());
    }
    return values;
}

inline ImagePtr imageOf(const DevicePtr& device, std::size_t width, std::size_t height, std::size_t channels,
                        const Numbers& values = {}, Format format = Format::Float32, std::size_t images = 1) {
    auto d = MPS::ImageDescriptor::imageDescriptor(format, width, height, channels);
    d.numberOfImages = images;
    auto image = std::make_shared<MPS::Image>(device, d);
    if (!values.empty()) write(*image, values);
    return image;
}

/// One image for each part of `values`.
inline MPS::ImageBatch batchOf(const DevicePtr& device, std::size_t count, std::size_t width,
                               std::size_t height, std::size_t channels, const Numbers& values = {},
                               Format format = Format::Float32) {
    MPS::ImageBatch batch;
    const auto one = static_cast<std::ptrdiff_t>(width * height * channels);
    for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(count); ++i)
        batch.push_back(imageOf(
            device, width, height, channels,
            values.empty() ? Numbers() : Numbers(values.begin() + i * one, values.begin() + (i + 1) * one),
            format));
    return batch;
}

inline Numbers read(const MPS::ImageBatch& batch) {
    Numbers values;
    for (const auto& image : batch) {
        const Numbers one = read(*image);
        values.insert(values.end(), one.begin(), one.end());
    }
    return values;
}

inline Numbers floatsOf(MTL::Buffer& buffer) {
    const auto* p = static_cast<const float*>(buffer.contents());
    return {p, p + buffer.length() / sizeof(float)};
}
inline void writeFloats(MTL::Buffer& buffer, const Numbers& values) {
    const std::vector<float> floats(values.begin(), values.end());
    std::memcpy(buffer.contents(), floats.data(), floats.size() * sizeof(float));
}
inline std::shared_ptr<MTL::Buffer> bufferOf(const DevicePtr& device, const Numbers& values) {
    auto buffer = device->newBuffer(values.size() * sizeof(float));
    writeFloats(*buffer, values);
    return buffer;
}

inline void finish(const std::shared_ptr<MTL::CommandBuffer>& commands) {
    commands->commit();
    commands->waitUntilCompleted();
    ASSERT_EQ(commands->status(), MTL::CommandBufferStatus::Completed)
        << (commands->error() ? commands->error()->localizedDescription : "");
}

/// The sentence of the error that `body` throws; empty when it throws none.
template <class Body>
std::string sentenceOf(Body body) {
    try {
        body();
    } catch (const MTL::Error& e) {
        return e.what();
    }
    return {};
}

// --- convolution by loops (MPSCNNConvolution.h) ---

struct Loops {
    std::size_t width = 0, height = 0;  ///< source
    std::int64_t offsetX = 0, offsetY = 0, outWidth = 0, outHeight = 0;
    bool clamp = false;
    std::shared_ptr<MPS::CNNConvolutionDescriptor> d;

    std::size_t groups() const { return d->channelMultiplier() ? d->inputFeatureChannels() : d->groups(); }

    /// visit(output element, source element, weight) for every product of one image.
    template <class Visit>
    void each(Visit visit) const {
        const auto in = static_cast<std::int64_t>(d->inputFeatureChannels());
        const auto out = static_cast<std::int64_t>(d->outputFeatureChannels());
        const auto kw = static_cast<std::int64_t>(d->kernelWidth()),
                   kh = static_cast<std::int64_t>(d->kernelHeight());
        const auto dx = static_cast<std::int64_t>(d->dilationRateX()),
                   dy = static_cast<std::int64_t>(d->dilationRateY());
        const auto sx = static_cast<std::int64_t>(d->strideInPixelsX()),
                   sy = static_cast<std::int64_t>(d->strideInPixelsY());
        const auto perGroup = in / static_cast<std::int64_t>(groups());
        const auto outPerGroup = out / static_cast<std::int64_t>(groups());
        const auto w = static_cast<std::int64_t>(width), h = static_cast<std::int64_t>(height);
        for (std::int64_t y = 0; y < outHeight; ++y)
            for (std::int64_t x = 0; x < outWidth; ++x)
                for (std::int64_t o = 0; o < out; ++o)
                    for (std::int64_t r = 0; r < kh; ++r)
                        for (std::int64_t q = 0; q < kw; ++q) {
                            std::int64_t v = offsetY + sy * y - ((kh - 1) * dy + 1) / 2 + dy * r;
                            std::int64_t u = offsetX + sx * x - ((kw - 1) * dx + 1) / 2 + dx * q;
                            if (clamp) {
                                v = std::clamp<std::int64_t>(v, 0, h - 1);
                                u = std::clamp<std::int64_t>(u, 0, w - 1);
                            }
                            if (v < 0 || u < 0 || v >= h || u >= w) continue;
                            for (std::int64_t c = 0; c < perGroup; ++c)
                                visit(static_cast<std::size_t>((y * outWidth + x) * out + o),
                                      static_cast<std::size_t>((v * w + u) * in + o / outPerGroup * perGroup +
                                                               c),
                                      static_cast<std::size_t>(((o * kh + r) * kw + q) * perGroup + c));
                        }
    }

    std::size_t sourceSize() const { return width * height * d->inputFeatureChannels(); }
    std::size_t resultSize() const {
        return static_cast<std::size_t>(outWidth * outHeight) * d->outputFeatureChannels();
    }

    Numbers forward(const Numbers& x, const Numbers& w, const Numbers& b, std::size_t images = 1) const {
        Numbers y(resultSize() * images);
        for (std::size_t n = 0; n < images; ++n) {
            each([&](std::size_t o, std::size_t i, std::size_t k) {
                y[n * resultSize() + o] += x[n * sourceSize() + i] * w[k];
            });
            for (std::size_t o = 0; o < resultSize() && !b.empty(); ++o)
                y[n * resultSize() + o] += b[o % d->outputFeatureChannels()];
        }
        return y;
    }
    Numbers dataGradient(const Numbers& e, const Numbers& w, std::size_t images = 1) const {
        Numbers dx(sourceSize() * images);
        for (std::size_t n = 0; n < images; ++n)
            each([&](std::size_t o, std::size_t i, std::size_t k) {
                dx[n * sourceSize() + i] += e[n * resultSize() + o] * w[k];
            });
        return dx;
    }
    Numbers weightGradient(const Numbers& e, const Numbers& x, std::size_t images = 1) const {
        Numbers dw(d->weightCount());
        for (std::size_t n = 0; n < images; ++n)
            each([&](std::size_t o, std::size_t i, std::size_t k) {
                dw[k] += e[n * resultSize() + o] * x[n * sourceSize() + i];
            });
        return dw;
    }
    Numbers biasGradient(const Numbers& e) const {
        Numbers db(d->outputFeatureChannels());
        for (std::size_t o = 0; o < e.size(); ++o) db[o % db.size()] += e[o];
        return db;
    }
};

}  // namespace pewter::test
