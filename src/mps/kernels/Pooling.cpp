#include <MPS/CNNPooling.hpp>
#include <algorithm>

#include "mps/core/Encoder.h"
#include "mps/kernels/PoolingRecord.h"
#include "mps/kernels/PoolingWindow.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

void encodeForward(const CNNPooling& kernel, UnaryEncoding& encoding, ops::PoolingType type,
                   std::size_t zeroPadX, std::size_t zeroPadY) {
    const auto window = windowOf(kernel.kernelWidth(), kernel.kernelHeight(), kernel.strideInPixelsX(),
                                 kernel.strideInPixelsY(), kernel.dilationRateX(), kernel.dilationRateY(),
                                 kernel.offset(), kernel.edgeMode());
    encoding.encoder->run(
        [source = encoding.source, destination = encoding.destination, window, type, zeroPadX, zeroPadY] {
            ops::PoolingForward op;
            op.type = type;
            op.src = source.tensor();
            op.dst = destination.tensor();
            op.window = window;
            op.zeroPadX = static_cast<std::int64_t>(zeroPadX);
            op.zeroPadY = static_cast<std::int64_t>(zeroPadY);
            return op;
        });
}

}  // namespace

CNNPooling::CNNPooling(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth, std::size_t kernelHeight,
                       std::size_t strideX, std::size_t strideY, std::size_t dilationX, std::size_t dilationY)
    : CNNKernel(std::move(device)) {
    requirePositive(*this, {{"kernelWidth", kernelWidth},
                            {"kernelHeight", kernelHeight},
                            {"strideInPixelsX", strideX},
                            {"strideInPixelsY", strideY},
                            {"dilationRateX", dilationX},
                            {"dilationRateY", dilationY}});
    setWindow(kernelWidth, kernelHeight, strideX, strideY, dilationX, dilationY);
}

std::shared_ptr<State> CNNPooling::newResultState(const StateOwner& owner, const std::shared_ptr<Image>&,
                                                  const StateBatch&, const std::shared_ptr<Image>&) {
    return std::make_shared<NNGradientState>(owner);
}

CNNPoolingMax::CNNPoolingMax(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                             std::size_t kernelHeight)
    : CNNPoolingMax(std::move(device), kernelWidth, kernelHeight, 1, 1) {}

CNNPoolingMax::CNNPoolingMax(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                             std::size_t kernelHeight, std::size_t strideX, std::size_t strideY)
    : CNNPoolingMax(std::move(device), kernelWidth, kernelHeight, strideX, strideY, 1, 1) {}

CNNPoolingMax::CNNPoolingMax(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                             std::size_t kernelHeight, std::size_t strideX, std::size_t strideY,
                             std::size_t dilationX, std::size_t dilationY)
    : CNNPooling(std::move(device), kernelWidth, kernelHeight, strideX, strideY, dilationX, dilationY) {}

CNNDilatedPoolingMax::CNNDilatedPoolingMax(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                           std::size_t kernelHeight, std::size_t dilationX,
                                           std::size_t dilationY, std::size_t strideX, std::size_t strideY)
    : CNNPoolingMax(std::move(device), kernelWidth, kernelHeight, strideX, strideY, dilationX, dilationY) {}

void CNNPoolingMax::record(UnaryEncoding& encoding) {
    encodeForward(*this, encoding, ops::PoolingType::Max, 0, 0);
}

CNNPoolingAverage::CNNPoolingAverage(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                     std::size_t kernelHeight)
    : CNNPoolingAverage(std::move(device), kernelWidth, kernelHeight, 1, 1) {}

CNNPoolingAverage::CNNPoolingAverage(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                     std::size_t kernelHeight, std::size_t strideX, std::size_t strideY)
    : CNNPooling(std::move(device), kernelWidth, kernelHeight, strideX, strideY) {}

ImageDescriptor CNNPoolingAverage::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&,
                                                    const StateBatch&, const ImageDescriptor& suggested) {
    if (padding()->paddingMethod() & NNPaddingMethodExcludeEdges) {
        // The border is what the policy put on the low side; an odd pixel on the high side lies beyond it.
        setEdgeMode(ImageEdgeMode::Clamp);
        zeroPadSizeX_ =
            static_cast<std::size_t>(std::max<std::int64_t>(half(kernelWidth(), 1) - offset().x, 0));
        zeroPadSizeY_ =
            static_cast<std::size_t>(std::max<std::int64_t>(half(kernelHeight(), 1) - offset().y, 0));
    }
    return suggested;
}

void CNNPoolingAverage::record(UnaryEncoding& encoding) {
    encodeForward(*this, encoding, ops::PoolingType::Average, zeroPadSizeX_, zeroPadSizeY_);
}

std::shared_ptr<ForwardRecord> CNNPoolingAverage::captureRecord(const Image& source,
                                                                const Image& destination) const {
    auto record = std::make_shared<PoolingAverageRecord>(*CNNKernel::captureRecord(source, destination));
    record->zeroPadSizeX = zeroPadSizeX_;
    record->zeroPadSizeY = zeroPadSizeY_;
    return record;
}

CNNPoolingL2Norm::CNNPoolingL2Norm(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                   std::size_t kernelHeight)
    : CNNPoolingL2Norm(std::move(device), kernelWidth, kernelHeight, 1, 1) {}

CNNPoolingL2Norm::CNNPoolingL2Norm(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                   std::size_t kernelHeight, std::size_t strideX, std::size_t strideY)
    : CNNPooling(std::move(device), kernelWidth, kernelHeight, strideX, strideY) {}

void CNNPoolingL2Norm::record(UnaryEncoding& encoding) {
    encodeForward(*this, encoding, ops::PoolingType::L2Norm, 0, 0);
}

// --- copies ---

std::shared_ptr<Kernel> CNNPoolingMax::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNPoolingMax>(new CNNPoolingMax(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<Kernel> CNNDilatedPoolingMax::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNDilatedPoolingMax>(new CNNDilatedPoolingMax(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<Kernel> CNNPoolingAverage::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNPoolingAverage>(new CNNPoolingAverage(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<Kernel> CNNPoolingL2Norm::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNPoolingL2Norm>(new CNNPoolingL2Norm(*this));
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
