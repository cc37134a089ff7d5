#include <fmt/format.h>

#include <MPS/CNNUpsampling.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Encoder.h"
#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/Pointwise.h"
#include "mps/kernels/Resampling.h"
#include "mps/kernels/UpsamplingRecord.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

void requireFactors(const Kernel& kernel, std::size_t x, std::size_t y) {
    if (x == 0) throw Error(kernel.name(), "integerScaleFactorX", "at least 1", "0");
    if (y == 0) throw Error(kernel.name(), "integerScaleFactorY", "at least 1", "0");
}

std::size_t enlarged(const Kernel& kernel, std::size_t extent, std::size_t factor, const char* argument) {
    std::size_t result = 0;
    if (__builtin_mul_overflow(extent, factor, &result))
        throw Error(kernel.name(), argument, fmt::format("a factor that makes an image of {} pixels", extent),
                    fmt::format("{}", factor));
    return result;
}

ops::ResampleView viewOf(const Offset& offset, std::size_t width, std::size_t height, std::size_t scaleX,
                         std::size_t scaleY, bool alignCorners) {
    const auto axis = [&](std::int64_t from, std::size_t extent, std::size_t scale) {
        return spread(from, extent, static_cast<double>(extent) * static_cast<double>(scale), alignCorners);
    };
    return {axis(offset.x, width, scaleX), axis(offset.y, height, scaleY)};
}

}  // namespace

// --- forward ---

CNNUpsampling::CNNUpsampling(std::shared_ptr<MTL::Device> device, std::size_t scaleX, std::size_t scaleY,
                             bool alignCorners)
    : CNNKernel(std::move(device)), scaleX_(scaleX), scaleY_(scaleY), alignCorners_(alignCorners) {
    requireFactors(*this, scaleX, scaleY);
}

ImageDescriptor CNNUpsampling::adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                const StateBatch&, const ImageDescriptor& suggested) {
    ImageDescriptor descriptor = suggested;
    descriptor.width = enlarged(*this, sourceImages[0]->width(), scaleX_, "integerScaleFactorX");
    descriptor.height = enlarged(*this, sourceImages[0]->height(), scaleY_, "integerScaleFactorY");
    return descriptor;
}

std::shared_ptr<State> CNNUpsampling::newResultState(const StateOwner& owner, const std::shared_ptr<Image>&,
                                                     const StateBatch&, const std::shared_ptr<Image>&) {
    return std::make_shared<NNGradientState>(owner);
}

std::shared_ptr<ForwardRecord> CNNUpsampling::captureRecord(const Image& source,
                                                            const Image& destination) const {
    auto record = std::make_shared<UpsamplingRecord>(*CNNKernel::captureRecord(source, destination));
    record->scaleX = scaleX_;
    record->scaleY = scaleY_;
    record->alignCorners = alignCorners_;
    return record;
}

void CNNUpsampling::record(UnaryEncoding& encoding) {
    encoding.encoder->run(
        [source = encoding.source, destination = encoding.destination, type = resampleType(),
         view =
             viewOf(offset(), encoding.sourceWidth, encoding.sourceHeight, scaleX_, scaleY_, alignCorners_)] {
            ops::ResampleForward op;
            op.type = type;
            op.src = source.tensor();
            op.dst = destination.tensor();
            op.views = &view;
            return op;
        });
}

CNNUpsamplingNearest::CNNUpsamplingNearest(std::shared_ptr<MTL::Device> device, std::size_t scaleX,
                                           std::size_t scaleY)
    : CNNUpsampling(std::move(device), scaleX, scaleY, false) {}

ops::ResampleType CNNUpsamplingNearest::resampleType() const { return ops::ResampleType::Nearest; }

CNNUpsamplingBilinear::CNNUpsamplingBilinear(std::shared_ptr<MTL::Device> device, std::size_t scaleX,
                                             std::size_t scaleY)
    : CNNUpsamplingBilinear(std::move(device), scaleX, scaleY, false) {}

CNNUpsamplingBilinear::CNNUpsamplingBilinear(std::shared_ptr<MTL::Device> device, std::size_t scaleX,
                                             std::size_t scaleY, bool alignCorners)
    : CNNUpsampling(std::move(device), scaleX, scaleY, alignCorners) {}

ops::ResampleType CNNUpsamplingBilinear::resampleType() const { return ops::ResampleType::Bilinear; }

// --- gradients ---

CNNUpsamplingGradient::CNNUpsamplingGradient(std::shared_ptr<MTL::Device> device, std::size_t scaleX,
                                             std::size_t scaleY)
    : CNNGradientKernel(std::move(device)), scaleX_(scaleX), scaleY_(scaleY) {
    requireFactors(*this, scaleX, scaleY);
}

void CNNUpsamplingGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    configurePrimary(*this, forward);
}

ImageDescriptor CNNUpsamplingGradient::adjustDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates,
    const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void CNNUpsamplingGradient::validate(const BinaryEncoding& encoding) const {
    const auto& record = requireRecord(*this, encoding.sourceStates, {forwardClass()});
    const auto& forward = static_cast<const UpsamplingRecord&>(record);
    if (forward.scaleX != scaleX_ || forward.scaleY != scaleY_)
        throw Error(name(), "gradientState", fmt::format("forward scale factors {} x {}", scaleX_, scaleY_),
                    fmt::format("{} x {} of {}", forward.scaleX, forward.scaleY, forward.kernel));
    if (kernelOffsetX() != 0 || kernelOffsetY() != 0)
        throw Error(name(), "kernelOffset", "(0, 0), as for every upsampling gradient",
                    fmt::format("({}, {})", kernelOffsetX(), kernelOffsetY()));
    requireForwardImages(*this, encoding, record);
}

void CNNUpsamplingGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto& forward = static_cast<const UpsamplingRecord&>(
        *static_cast<const NNGradientState&>(*encoding.sourceStates[0]).record());
    const auto gradient = encoding.primary.region(primaryOffset().x, primaryOffset().y,
                                                  static_cast<std::int64_t>(forward.clip.size.width),
                                                  static_cast<std::int64_t>(forward.clip.size.height));
    const auto target = encoder.wholeGradient(encoding.destination, encoding.clip, encoding.secondary.shape.w,
                                              encoding.secondary.shape.h);
    encoder.run([gradient, target, type = resampleType(),
                 view = viewOf(secondaryOffset(), encoding.secondaryWidth, encoding.secondaryHeight, scaleX_,
                               scaleY_, forward.alignCorners)] {
        ops::ResampleGradient op;
        op.type = type;
        op.diffDst = gradient.tensor();
        op.diffSrc = target.tensor();
        op.view = view;
        return op;
    });
}

CNNUpsamplingNearestGradient::CNNUpsamplingNearestGradient(std::shared_ptr<MTL::Device> device,
                                                           std::size_t scaleX, std::size_t scaleY)
    : CNNUpsamplingGradient(std::move(device), scaleX, scaleY) {}

ops::ResampleType CNNUpsamplingNearestGradient::resampleType() const { return ops::ResampleType::Nearest; }

CNNUpsamplingBilinearGradient::CNNUpsamplingBilinearGradient(std::shared_ptr<MTL::Device> device,
                                                             std::size_t scaleX, std::size_t scaleY)
    : CNNUpsamplingGradient(std::move(device), scaleX, scaleY) {}

ops::ResampleType CNNUpsamplingBilinearGradient::resampleType() const { return ops::ResampleType::Bilinear; }

// --- copies ---

std::shared_ptr<Kernel> CNNUpsamplingNearest::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNUpsamplingNearest>(new CNNUpsamplingNearest(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<Kernel> CNNUpsamplingBilinear::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNUpsamplingBilinear>(new CNNUpsamplingBilinear(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<Kernel> CNNUpsamplingNearestGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNUpsamplingNearestGradient>(new CNNUpsamplingNearestGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<Kernel> CNNUpsamplingBilinearGradient::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNUpsamplingBilinearGradient>(new CNNUpsamplingBilinearGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
