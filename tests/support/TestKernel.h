#pragma once

#include <gtest/gtest.h>

#include <MPS/CNNBinaryKernel.hpp>
#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <MPS/CommandBuffer.hpp>
#include <MPS/Image.hpp>
#include <MPS/NNGradientState.hpp>
#include <MTL/MTL.hpp>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"
#include "mps/core/ImageAccess.h"
#include "mps/core/StateAccess.h"
#include "mtl/CommandBuffer.h"

/// The smallest kernels that exercise the base classes, and short ways to make and read images.
namespace pewter::test {

using MPS::ImageDescriptor;
using Format = MPS::ImageFeatureChannelFormat;
using ImagePtr = std::shared_ptr<MPS::Image>;
using BufferPtr = std::shared_ptr<MTL::CommandBuffer>;

inline std::shared_ptr<MTL::Device> testDevice() { return MTL::copyDevice("reference"); }
inline std::shared_ptr<MTL::CommandQueue> testQueue() {
    static const auto queue = testDevice()->newCommandQueue();
    return queue;
}

inline ImageDescriptor describe(std::size_t width, std::size_t height, std::size_t channels, std::size_t images = 1,
                                Format format = Format::Float32) {
    auto d = ImageDescriptor::imageDescriptor(format, width, height, channels);
    d.numberOfImages = images;
    return d;
}

inline std::vector<float> readFloats(MPS::Image& image) {
    const std::size_t one = image.width() * image.height() * image.featureChannels();
    std::vector<float> values(one * image.numberOfImages());
    for (std::size_t n = 0; n < image.numberOfImages(); ++n)
        image.readBytes(values.data() + n * one, MPS::DataLayout::HeightxWidthxFeatureChannels, n);
    return values;
}

inline void writeFloats(MPS::Image& image, const std::vector<float>& values) {
    const std::size_t one = image.width() * image.height() * image.featureChannels();
    ASSERT_EQ(values.size(), one * image.numberOfImages());
    for (std::size_t n = 0; n < image.numberOfImages(); ++n)
        image.writeBytes(values.data() + n * one, MPS::DataLayout::HeightxWidthxFeatureChannels, n);
}

/// first, first + 1, first + 2 ... in the order image, row, column, channel.
inline std::vector<float> counting(std::size_t count, float first = 0) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = first + static_cast<float>(i);
    return values;
}

/// A float32 image that counts from `first`, or is full of `first` when `constant`.
inline ImagePtr makeImage(std::size_t width, std::size_t height, std::size_t channels, float first = 0,
                          std::size_t images = 1, bool constant = false) {
    auto image = std::make_shared<MPS::Image>(testDevice(), describe(width, height, channels, images));
    auto values = counting(width * height * channels * images, first);
    if (constant) values.assign(values.size(), first);
    writeFloats(*image, values);
    return image;
}

inline std::shared_ptr<MPS::TemporaryImage> makeTemporary(const BufferPtr& commandBuffer, std::size_t width,
                                                          std::size_t height, std::size_t channels,
                                                          std::size_t readCount = 1) {
    auto image = MPS::TemporaryImage::temporaryImage(commandBuffer, describe(width, height, channels));
    if (readCount != 1) image->setReadCount(readCount);
    return image;
}

inline MPS::TemporaryImage& temporary(const ImagePtr& image) { return dynamic_cast<MPS::TemporaryImage&>(*image); }

inline void run(const BufferPtr& commandBuffer) {
    commandBuffer->commit();
    commandBuffer->waitUntilCompleted();
    ASSERT_EQ(commandBuffer->status(), MTL::CommandBufferStatus::Completed)
        << (commandBuffer->error() ? commandBuffer->error()->localizedDescription : "");
}

/// Commands and live temporary bytes of a command buffer: what a refused encode must leave as it was.
struct Recorded {
    std::size_t commands = 0, liveBytes = 0;
    explicit Recorded(const BufferPtr& commandBuffer) {
        auto& root = mtl::rootOf(*commandBuffer);
        commands = root.commandCount();
        liveBytes = root.heap()->live();
    }
    friend bool operator==(const Recorded&, const Recorded&) = default;
};

/// The bytes of a temporary in the address space of its heap.
struct Extent {
    std::size_t first = 0, end = 0;
    static Extent of(const MPS::Image& image) {
        const auto buffer = mps::ImageAccess::storage(image)->materialize();
        const auto& range =
            static_cast<const mtl::TemporaryHeap::Range&>(static_cast<mtl::Buffer&>(*buffer).memory());
        return {range.offset(), range.offset() + range.size()};
    }
    bool overlaps(const Extent& o) const { return first < o.end && o.first < end; }
};

/// The sentence of the MTL::Error that `body` throws; empty when it throws none.
inline std::string errorOf(const std::function<void()>& body) {
    try {
        body();
    } catch (const MTL::Error& e) {
        return e.what();
    }
    return {};
}

/// Collects what the library says on the side while it lives.
class Diagnostics {
public:
    Diagnostics() {
        MTL::setDiagnosticHandler([this](const std::string& message) { messages.push_back(message); });
    }
    ~Diagnostics() { MTL::setDiagnosticHandler({}); }
    std::vector<std::string> messages;
};

/// dst(x, y) = src(x + offset.x, y + offset.y): the pixel that GEO-2 puts under the window's centre, at stride 1.
class CopyKernel : public MPS::CNNKernel {
public:
    explicit CopyKernel(std::shared_ptr<MTL::Device> device = testDevice()) : CNNKernel(std::move(device)) {}
    const char* className() const override { return "CopyKernel"; }

    void window(std::size_t width, std::size_t height, std::size_t strideX = 1, std::size_t strideY = 1,
                std::size_t dilationX = 1, std::size_t dilationY = 1) {
        setWindow(width, height, strideX, strideY, dilationX, dilationY);
    }
    bool isBackwards() const override { return backwards; }
    bool isResultStateReusedAcrossBatch() const override { return reusesState; }

    bool backwards = false;
    bool makesState = false, reusesState = false;
    std::size_t stateBytes = 64;
    std::size_t statesMade = 0;
    /// Which of the states of a batch is null; none by default.
    std::size_t nullState = SIZE_MAX;
    /// Thrown by validate() and, after the commands, by record().
    std::string refuse, breakDown;

protected:
    MPS::ImageDescriptor adjustDescriptor(const std::vector<ImagePtr>&, const MPS::StateBatch&,
                                          const MPS::ImageDescriptor& suggested) override {
        order += "class ";
        return suggested;
    }
    std::shared_ptr<MPS::State> newResultState(const MPS::StateOwner& owner, const ImagePtr&, const MPS::StateBatch&,
                                               const ImagePtr&) override {
        if (!makesState || statesMade++ == nullState) return nullptr;
        return std::make_shared<MPS::NNGradientState>(owner, MPS::StateResourceList::bufferSizes({stateBytes}));
    }
    void validate(const mps::UnaryEncoding&) const override {
        if (!refuse.empty()) throw MTL::Error(name(), "validate", "nothing", refuse);
    }
    void record(mps::UnaryEncoding& encoding) override {
        auto& encoder = *encoding.encoder;
        const auto from = encoder.region(encoding.source, offset().x, offset().y, encoding.clip.width,
                                         encoding.clip.height, mps::edgeOf(edgeMode()));
        const auto to = encoding.destination;
        encoder.run([from, to] {
            ops::Copy op;
            op.src = from.tensor();
            op.dst = to.tensor();
            return op;
        });
        for (const auto& state : encoding.destinationStates) mps::StateAccess::buffer(*state, 0);
        if (!breakDown.empty()) throw MTL::Error(name(), "record", "nothing", breakDown);
    }

public:
    std::string order;
};

/// dst = primary + secondary, element by element, each moved by its offset.
class SumKernel : public MPS::CNNBinaryKernel {
public:
    explicit SumKernel(std::shared_ptr<MTL::Device> device = testDevice()) : CNNBinaryKernel(std::move(device)) {}
    const char* className() const override { return "SumKernel"; }
    bool isResultStateReusedAcrossBatch() const override { return reusesState; }
    MPS::CNNBinaryKernel::SourceGeometry& primary() { return primaryGeometry(); }
    MPS::CNNBinaryKernel::SourceGeometry& secondary() { return secondaryGeometry(); }

    bool makesState = false, reusesState = false;
    std::size_t adjustedChannels = 0;

protected:
    MPS::ImageDescriptor adjustDescriptor(const std::vector<ImagePtr>&, const MPS::StateBatch&,
                                          const MPS::ImageDescriptor& suggested) override {
        auto d = suggested;
        if (adjustedChannels) d.featureChannels = adjustedChannels;
        return d;
    }
    std::shared_ptr<MPS::State> newResultState(const MPS::StateOwner& owner, const ImagePtr&, const ImagePtr&,
                                               const MPS::StateBatch&, const ImagePtr&) override {
        if (!makesState) return nullptr;
        return std::make_shared<MPS::NNBinaryGradientState>(owner, MPS::StateResourceList::bufferSizes({64}));
    }
    void record(mps::BinaryEncoding& encoding) override {
        auto& encoder = *encoding.encoder;
        const auto& clip = encoding.clip;
        const auto a = encoder.region(encoding.primary, primaryOffset().x, primaryOffset().y, clip.width, clip.height,
                                      mps::edgeOf(primaryEdgeMode()));
        const auto b = encoder.region(encoding.secondary, secondaryOffset().x, secondaryOffset().y, clip.width,
                                      clip.height, mps::edgeOf(secondaryEdgeMode()));
        const auto to = encoding.destination;
        encoder.run([a, b, to] {
            ops::Arithmetic op;
            op.primary = a.tensor();
            op.secondary = b.tensor();
            op.dst = to.tensor();
            return op;
        });
        for (const auto& state : encoding.destinationStates) mps::StateAccess::buffer(*state, 0);
    }
};

/// dst = gradient * source: the gradient of x*x/2. Refuses a state of another window.
class ProductGradient : public MPS::CNNGradientKernel {
public:
    explicit ProductGradient(std::shared_ptr<MTL::Device> device = testDevice())
        : CNNGradientKernel(std::move(device)) {}
    const char* className() const override { return "ProductGradient"; }

protected:
    void validate(const mps::BinaryEncoding& encoding) const override {
        for (const auto& state : encoding.sourceStates) {
            const auto& record = dynamic_cast<const MPS::NNGradientState&>(*state).record();
            if (!record) throw MTL::Error(name(), "gradientState", "a state that an encode has filled", "an empty one");
        }
    }
    void record(mps::BinaryEncoding& encoding) override {
        auto& encoder = *encoding.encoder;
        const auto to = encoder.wholeGradient(encoding.destination, encoding.clip, encoding.secondary.shape.w,
                                              encoding.secondary.shape.h);
        const auto a = encoding.primary, b = encoding.secondary;
        encoder.run([a, b, to] {
            ops::Arithmetic op;
            op.type = ops::ArithmeticType::Multiply;
            op.primary = a.tensor();
            op.secondary = b.tensor();
            op.dst = to.tensor();
            return op;
        });
    }
};

}  // namespace pewter::test
