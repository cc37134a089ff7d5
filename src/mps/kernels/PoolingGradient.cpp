#include <fmt/format.h>

#include <MPS/CNNPooling.hpp>
#include <MTL/Error.hpp>
#include <algorithm>

#include "mps/core/Encoder.h"
#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/PoolingRecord.h"
#include "mps/kernels/PoolingWindow.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

void encodeGradient(const CNNPoolingGradient& kernel, BinaryEncoding& encoding, ops::PoolingType type,
                    std::size_t zeroPadX, std::size_t zeroPadY) {
    auto& encoder = *encoding.encoder;
    const auto window = windowOf(kernel.secondaryKernelWidth(), kernel.secondaryKernelHeight(),
                                 kernel.secondaryStrideInPixelsX(), kernel.secondaryStrideInPixelsY(),
                                 kernel.secondaryDilationRateX(), kernel.secondaryDilationRateY(),
                                 kernel.secondaryOffset(), kernel.secondaryEdgeMode());
    const auto& from = kernel.primaryOffset();
    const auto extent = [](std::size_t all, std::int64_t first, std::uint64_t most) {
        const auto left = static_cast<std::uint64_t>(static_cast<std::int64_t>(all) - first);
        return static_cast<std::int64_t>(std::min(left, most));
    };
    const auto gradient = encoding.primary.region(
        from.x, from.y, extent(encoding.primaryWidth, from.x, kernel.sourceSize().width),
        extent(encoding.primaryHeight, from.y, kernel.sourceSize().height));
    const auto target = encoder.wholeGradient(encoding.destination, encoding.clip, encoding.secondary.shape.w,
                                              encoding.secondary.shape.h);
    encoder.run([source = encoding.secondary, gradient, target, window, type, zeroPadX, zeroPadY] {
        ops::PoolingGradient op;
        op.type = type;
        op.src = source.tensor();
        op.diffDst = gradient.tensor();
        op.diffSrc = target.tensor();
        op.window = window;
        op.zeroPadX = static_cast<std::int64_t>(zeroPadX);
        op.zeroPadY = static_cast<std::int64_t>(zeroPadY);
        return op;
    });
}

}  // namespace

CNNPoolingGradient::CNNPoolingGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                       std::size_t kernelHeight, std::size_t strideX, std::size_t strideY,
                                       std::size_t dilationX, std::size_t dilationY)
    : CNNGradientKernel(std::move(device)) {
    requirePositive(*this, {{"kernelWidth", kernelWidth},
                            {"kernelHeight", kernelHeight},
                            {"strideInPixelsX", strideX},
                            {"strideInPixelsY", strideY},
                            {"dilationRateX", dilationX},
                            {"dilationRateY", dilationY}});
    auto& s = secondaryGeometry();
    s.kernelWidth = kernelWidth;
    s.kernelHeight = kernelHeight;
    s.strideInPixelsX = primaryGeometry().strideInPixelsX = strideX;
    s.strideInPixelsY = primaryGeometry().strideInPixelsY = strideY;
    s.dilationRateX = dilationX;
    s.dilationRateY = dilationY;
}

void CNNPoolingGradient::configure(const ForwardRecord& forward) {
    // The window stays the one of the constructor, so that a state of another is found out.
    const auto primary = primaryGeometry(), secondary = secondaryGeometry();
    CNNGradientKernel::configure(forward);
    auto& s = secondaryGeometry();
    s.kernelWidth = secondary.kernelWidth;
    s.kernelHeight = secondary.kernelHeight;
    s.strideInPixelsX = secondary.strideInPixelsX;
    s.strideInPixelsY = secondary.strideInPixelsY;
    s.dilationRateX = secondary.dilationRateX;
    s.dilationRateY = secondary.dilationRateY;
    auto& p = primaryGeometry();
    p.strideInPixelsX = primary.strideInPixelsX;
    p.strideInPixelsY = primary.strideInPixelsY;
    p.offset.x = static_cast<std::int64_t>(forward.clip.origin.x);
    p.offset.y = static_cast<std::int64_t>(forward.clip.origin.y);
    sourceSize_.width = forward.clip.size.width;
    sourceSize_.height = forward.clip.size.height;
}

bool CNNPoolingGradient::accepts(const State& state) const {
    return dynamic_cast<const NNGradientState*>(&state) != nullptr;
}

ImageDescriptor CNNPoolingGradient::adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                     const StateBatch& sourceStates,
                                                     const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void CNNPoolingGradient::validate(const BinaryEncoding& encoding) const {
    const auto& record = requireRecord(*this, encoding.sourceStates, {"CNNPooling", "CNNDilatedPooling"});
    if (!isGradientOf(record))
        throw Error(name(), "gradientState", fmt::format("one of the forward class of {}", className()),
                    "one made by " + record.kernel);
    const auto& s = secondaryGeometry();
    if (record.kernelWidth != s.kernelWidth || record.kernelHeight != s.kernelHeight ||
        record.strideX != s.strideInPixelsX || record.strideY != s.strideInPixelsY ||
        record.dilationX != s.dilationRateX || record.dilationY != s.dilationRateY)
        throw Error(name(), "gradientState",
                    fmt::format("a forward window of {} x {}, stride {} x {}, dilation {} x {}",
                                s.kernelWidth, s.kernelHeight, s.strideInPixelsX, s.strideInPixelsY,
                                s.dilationRateX, s.dilationRateY),
                    fmt::format("{} x {}, stride {} x {}, dilation {} x {} of {}", record.kernelWidth,
                                record.kernelHeight, record.strideX, record.strideY, record.dilationX,
                                record.dilationY, record.kernel));
    if (kernelOffsetX() != 0 || kernelOffsetY() != 0)
        throw Error(name(), "kernelOffset", "(0, 0), as for every pooling gradient",
                    fmt::format("({}, {})", kernelOffsetX(), kernelOffsetY()));
    if (encoding.secondaryWidth != record.sourceWidth || encoding.secondaryHeight != record.sourceHeight ||
        encoding.secondaryChannels.count != record.sourceFeatureChannels)
        throw Error(name(), "sourceImage",
                    fmt::format("{} x {} pixels of {} feature channels, as {} read", record.sourceWidth,
                                record.sourceHeight, record.sourceFeatureChannels, record.kernel),
                    fmt::format("{} x {} of {}", encoding.secondaryWidth, encoding.secondaryHeight,
                                encoding.secondaryChannels.count));
    if (encoding.primaryChannels.count != record.resultFeatureChannels)
        throw Error(
            name(), "sourceGradient",
            fmt::format("{} feature channels, as {} wrote", record.resultFeatureChannels, record.kernel),
            fmt::format("{}", encoding.primaryChannels.count));
    // A gradient may be smaller than the forward result: pixels that are not given count as 0. It may not be
    // larger than what the windows were, unless sourceSize says which part to take.
    const auto& from = primaryOffset();
    const auto width = static_cast<std::int64_t>(encoding.primaryWidth),
               height = static_cast<std::int64_t>(encoding.primaryHeight);
    if (from.x < 0 || from.y < 0 || from.x >= width || from.y >= height || sourceSize_.width == 0 ||
        sourceSize_.height == 0)
        throw Error(
            name(), "primaryOffset and sourceSize",
            fmt::format("pixels of the incoming gradient, which has {} x {}", width, height),
            fmt::format("{} x {} from ({}, {}) on", sourceSize_.width, sourceSize_.height, from.x, from.y));
    const auto taken = [](std::int64_t all, std::int64_t first, std::uint64_t most) {
        return std::min(static_cast<std::uint64_t>(all - first), most);
    };
    if (taken(width, from.x, sourceSize_.width) > record.clip.size.width ||
        taken(height, from.y, sourceSize_.height) > record.clip.size.height)
        throw Error(name(), "sourceGradient",
                    fmt::format("at most {} x {} pixels, as {} wrote", record.clip.size.width,
                                record.clip.size.height, record.kernel),
                    fmt::format("{} x {}", taken(width, from.x, sourceSize_.width),
                                taken(height, from.y, sourceSize_.height)));
}

CNNPoolingMaxGradient::CNNPoolingMaxGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                             std::size_t kernelHeight)
    : CNNPoolingMaxGradient(std::move(device), kernelWidth, kernelHeight, 1, 1) {}

CNNPoolingMaxGradient::CNNPoolingMaxGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                             std::size_t kernelHeight, std::size_t strideX,
                                             std::size_t strideY)
    : CNNPoolingMaxGradient(std::move(device), kernelWidth, kernelHeight, strideX, strideY, 1, 1) {}

CNNPoolingMaxGradient::CNNPoolingMaxGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                             std::size_t kernelHeight, std::size_t strideX,
                                             std::size_t strideY, std::size_t dilationX,
                                             std::size_t dilationY)
    : CNNPoolingGradient(std::move(device), kernelWidth, kernelHeight, strideX, strideY, dilationX,
                         dilationY) {}

CNNDilatedPoolingMaxGradient::CNNDilatedPoolingMaxGradient(std::shared_ptr<MTL::Device> device,
                                                           std::size_t kernelWidth, std::size_t kernelHeight,
                                                           std::size_t dilationX, std::size_t dilationY,
                                                           std::size_t strideX, std::size_t strideY)
    : CNNPoolingMaxGradient(std::move(device), kernelWidth, kernelHeight, strideX, strideY, dilationX,
                            dilationY) {}

bool CNNPoolingMaxGradient::isGradientOf(const ForwardRecord& forward) const {
    return forward.className == "CNNPoolingMax" || forward.className == "CNNDilatedPoolingMax";
}

void CNNPoolingMaxGradient::record(BinaryEncoding& encoding) {
    encodeGradient(*this, encoding, ops::PoolingType::Max, 0, 0);
}

CNNPoolingAverageGradient::CNNPoolingAverageGradient(std::shared_ptr<MTL::Device> device,
                                                     std::size_t kernelWidth, std::size_t kernelHeight)
    : CNNPoolingAverageGradient(std::move(device), kernelWidth, kernelHeight, 1, 1) {}

CNNPoolingAverageGradient::CNNPoolingAverageGradient(std::shared_ptr<MTL::Device> device,
                                                     std::size_t kernelWidth, std::size_t kernelHeight,
                                                     std::size_t strideX, std::size_t strideY)
    : CNNPoolingGradient(std::move(device), kernelWidth, kernelHeight, strideX, strideY) {}

void CNNPoolingAverageGradient::configure(const ForwardRecord& forward) {
    CNNPoolingGradient::configure(forward);
    if (const auto* average = dynamic_cast<const PoolingAverageRecord*>(&forward)) {
        zeroPadSizeX_ = average->zeroPadSizeX;
        zeroPadSizeY_ = average->zeroPadSizeY;
    }
}

bool CNNPoolingAverageGradient::isGradientOf(const ForwardRecord& forward) const {
    return forward.className == "CNNPoolingAverage";
}

void CNNPoolingAverageGradient::record(BinaryEncoding& encoding) {
    encodeGradient(*this, encoding, ops::PoolingType::Average, zeroPadSizeX_, zeroPadSizeY_);
}

CNNPoolingL2NormGradient::CNNPoolingL2NormGradient(std::shared_ptr<MTL::Device> device,
                                                   std::size_t kernelWidth, std::size_t kernelHeight)
    : CNNPoolingL2NormGradient(std::move(device), kernelWidth, kernelHeight, 1, 1) {}

CNNPoolingL2NormGradient::CNNPoolingL2NormGradient(std::shared_ptr<MTL::Device> device,
                                                   std::size_t kernelWidth, std::size_t kernelHeight,
                                                   std::size_t strideX, std::size_t strideY)
    : CNNPoolingGradient(std::move(device), kernelWidth, kernelHeight, strideX, strideY) {}

bool CNNPoolingL2NormGradient::isGradientOf(const ForwardRecord& forward) const {
    return forward.className == "CNNPoolingL2Norm";
}

void CNNPoolingL2NormGradient::record(BinaryEncoding& encoding) {
    encodeGradient(*this, encoding, ops::PoolingType::L2Norm, 0, 0);
}

// --- copies ---

std::shared_ptr<Kernel> CNNPoolingMaxGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNPoolingMaxGradient>(new CNNPoolingMaxGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<Kernel> CNNDilatedPoolingMaxGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNDilatedPoolingMaxGradient>(new CNNDilatedPoolingMaxGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<Kernel> CNNPoolingAverageGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNPoolingAverageGradient>(new CNNPoolingAverageGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<Kernel> CNNPoolingL2NormGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNPoolingL2NormGradient>(new CNNPoolingL2NormGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
