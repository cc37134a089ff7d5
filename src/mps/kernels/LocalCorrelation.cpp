#include <MPS/NNLocalCorrelation.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Encoder.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

void requireStride(const Kernel& kernel, const char* argument, std::size_t pixels) {
    if (pixels == 0) throw Error(kernel.name(), argument, "at least 1", "0");
}

/// The images of a source from the region's first one on. A single image in each source is the first,
/// whatever the region says.
TensorRef imagesOf(const TensorRef& source, const ImageBatch& sources, const MTL::Region& region,
                   const Offset& offset) {
    const std::int64_t at = sources[0]->numberOfImages() == 1 ? 0 : offset.z;
    return source.shifted((static_cast<std::int64_t>(region.origin.z) - at) * source.shape.strideN);
}

}  // namespace

NNLocalCorrelation::NNLocalCorrelation(std::shared_ptr<MTL::Device> device)
    : NNReduceBinary(std::move(device), static_cast<int>(ops::ReductionOperation::Sum), false) {}

NNLocalCorrelation::NNLocalCorrelation(std::shared_ptr<MTL::Device> device, std::size_t windowInX,
                                       std::size_t windowInY, std::size_t strideInX, std::size_t strideInY)
    : NNLocalCorrelation(std::move(device)) {
    setWindowInX(windowInX);
    setWindowInY(windowInY);
    setStrideInX(strideInX);
    setStrideInY(strideInY);
}

void NNLocalCorrelation::setStrideInX(std::size_t pixels) {
    requireStride(*this, "strideInX", pixels);
    strideInX_ = pixels;
}

void NNLocalCorrelation::setStrideInY(std::size_t pixels) {
    requireStride(*this, "strideInY", pixels);
    strideInY_ = pixels;
}

std::shared_ptr<Kernel> NNLocalCorrelation::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<NNLocalCorrelation>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

std::size_t NNLocalCorrelation::resultFeatureChannels(std::size_t, std::size_t) const {
    return (2 * windowInX_ + 1) * (2 * windowInY_ + 1);
}

void NNLocalCorrelation::record(BinaryEncoding& encoding) {
    const auto from = resolveClip(primarySourceClipRect(), encoding.primaryWidth, encoding.primaryHeight);
    const auto around =
        resolveClip(secondarySourceClipRect(), encoding.secondaryWidth, encoding.secondaryHeight);
    ops::LocalCorrelation settings;
    settings.windowX = static_cast<std::int64_t>(windowInX_);
    settings.windowY = static_cast<std::int64_t>(windowInY_);
    settings.strideX = static_cast<std::int64_t>(strideInX_);
    settings.strideY = static_cast<std::int64_t>(strideInY_);
    settings.offsetX = around.x;
    settings.offsetY = around.y;
    settings.edge = edgeOf(secondaryEdgeMode());
    encoding.encoder->run(
        [settings,
         primary = imagesOf(encoding.primary, encoding.primaries, primarySourceClipRect(), primaryOffset())
                       .region(from.x, from.y, encoding.clip.width, encoding.clip.height),
         secondary =
             imagesOf(encoding.secondary, encoding.secondaries, secondarySourceClipRect(), secondaryOffset()),
         destination = encoding.destination] {
            auto op = settings;
            op.primary = primary.tensor();
            op.secondary = secondary.tensor();
            op.dst = destination.tensor();
            return op;
        });
}

}  // namespace MPS
