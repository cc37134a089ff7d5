#include <fmt/format.h>

#include <MPS/NNReduce.hpp>
#include <MTL/Error.hpp>
#include <algorithm>

#include "mps/core/Encoder.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

/// The pixels of a source region; throws when there are none.
Clip sourceRegion(const Kernel& kernel, const char* argument, const MTL::Region& region, std::size_t width,
                  std::size_t height) {
    const Clip clip = resolveClip(region, width, height);
    if (clip.isEmpty())
        throw Error(kernel.name(), argument,
                    fmt::format("a region that meets the image of {} x {}", width, height),
                    fmt::format("{} x {} at ({}, {})", region.size.width, region.size.height, region.origin.x,
                                region.origin.y));
    return clip;
}

/// Images of a region: as many as the encode processes, from origin.z on. A batch has one in each image.
void checkImagesOf(const Kernel& kernel, const char* argument, const MTL::Region& region,
                   const ImageBatch& sources, std::size_t encoded) {
    const std::size_t available = sources[0]->numberOfImages(), images = std::min(encoded, available);
    const std::size_t first = region.origin.z, depth = region.size.depth;
    if (first < available && images <= available - first && images <= depth) return;
    throw Error(kernel.name(), argument,
                fmt::format("{} images, as many as are written, of {}", images, available),
                depth < images ? fmt::format("{}", depth) : fmt::format("those from image {} on", first));
}

/// The region of the images that an encode processes, which begin at `offset` now.
TensorRef regionOf(const TensorRef& source, const ImageBatch& sources, const Clip& clip,
                   const MTL::Region& region, const Offset& offset) {
    // A single image in each source is the first, whatever the offset.
    const std::int64_t at = sources[0]->numberOfImages() == 1 ? 0 : offset.z;
    return source.shifted((static_cast<std::int64_t>(region.origin.z) - at) * source.shape.strideN)
        .region(clip.x, clip.y, clip.width, clip.height);
}

/// No more of the clip rectangle than the result has.
void fit(Clip& clip, std::int64_t width, std::int64_t height) {
    clip.width = std::min(clip.width, width);
    clip.height = std::min(clip.height, height);
}

}  // namespace

bool NNReduceUnary::losesColumns(Along along) { return along == Along::Row || along == Along::Pixels; }
bool NNReduceUnary::losesRows(Along along) { return along == Along::Column || along == Along::Pixels; }

NNReduceUnary::NNReduceUnary(std::shared_ptr<MTL::Device> device, Along along, int operation)
    : CNNKernel(std::move(device)), along_(along), operation_(operation) {}

std::size_t NNReduceUnary::resultFeatureChannels(std::size_t sourceChannels) const {
    return along_ == Along::FeatureChannels ? 1 : sourceChannels;
}

ImageDescriptor NNReduceUnary::adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                const StateBatch&, const ImageDescriptor& suggested) {
    const auto region = sourceRegion(*this, "clipRectSource", clipRectSource_, sourceImages[0]->width(),
                                     sourceImages[0]->height());
    auto descriptor = suggested;
    descriptor.width = losesColumns(along_) ? 1 : static_cast<std::size_t>(region.width);
    descriptor.height = losesRows(along_) ? 1 : static_cast<std::size_t>(region.height);
    return descriptor;
}

void NNReduceUnary::fitToDestination(UnaryEncoding& encoding) const {
    const auto region =
        sourceRegion(*this, "clipRectSource", clipRectSource_, encoding.sourceWidth, encoding.sourceHeight);
    fit(encoding.clip, losesColumns(along_) ? 1 : region.width, losesRows(along_) ? 1 : region.height);
}

void NNReduceUnary::validate(const UnaryEncoding& encoding) const {
    checkImagesOf(*this, "clipRectSource", clipRectSource_, encoding.sources, encoding.images);
}

void NNReduceUnary::record(UnaryEncoding& encoding) {
    auto region = resolveClip(clipRectSource_, encoding.sourceWidth, encoding.sourceHeight);
    // Only what is written.
    if (!losesColumns(along_)) region.width = encoding.clip.width;
    if (!losesRows(along_)) region.height = encoding.clip.height;
    encoding.encoder->run(
        [source = regionOf(encoding.source, encoding.sources, region, clipRectSource_, offset()),
         destination = encoding.destination, operation = static_cast<ops::ReductionOperation>(operation_),
         scale = scale()] {
            ops::Reduction op;
            op.operation = operation;
            op.src = source.tensor();
            op.dst = destination.tensor();
            op.scale = scale;
            return op;
        });
}

NNReduceBinary::NNReduceBinary(std::shared_ptr<MTL::Device> device, int operation, bool byNonZeroWeights)
    : CNNBinaryKernel(std::move(device)), operation_(operation), byNonZeroWeights_(byNonZeroWeights) {}

std::size_t NNReduceBinary::resultFeatureChannels(std::size_t, std::size_t) const { return 1; }

ImageDescriptor NNReduceBinary::adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                 const StateBatch&, const ImageDescriptor& suggested) {
    const auto region = sourceRegion(*this, "primarySourceClipRect", primarySourceClipRect_,
                                     sourceImages[0]->width(), sourceImages[0]->height());
    auto descriptor = suggested;
    descriptor.width = static_cast<std::size_t>(region.width);
    descriptor.height = static_cast<std::size_t>(region.height);
    return descriptor;
}

void NNReduceBinary::fitToDestination(BinaryEncoding& encoding) const {
    const auto region = sourceRegion(*this, "primarySourceClipRect", primarySourceClipRect_,
                                     encoding.primaryWidth, encoding.primaryHeight);
    fit(encoding.clip, region.width, region.height);
}

void NNReduceBinary::validate(const BinaryEncoding& encoding) const {
    const auto region = resolveClip(primarySourceClipRect_, encoding.primaryWidth, encoding.primaryHeight);
    const auto weights = sourceRegion(*this, "secondarySourceClipRect", secondarySourceClipRect_,
                                      encoding.secondaryWidth, encoding.secondaryHeight);
    if (weights.width != region.width || weights.height != region.height)
        throw Error(name(), "secondarySourceClipRect",
                    fmt::format("{} x {} pixels, as of the primary image", region.width, region.height),
                    fmt::format("{} x {}", weights.width, weights.height));
    if (encoding.primaryChannels.count != encoding.secondaryChannels.count)
        throw Error(name(), "secondaryImage",
                    fmt::format("{} feature channels, one weight a channel", encoding.primaryChannels.count),
                    fmt::format("{}", encoding.secondaryChannels.count));
    checkImagesOf(*this, "primarySourceClipRect", primarySourceClipRect_, encoding.primaries,
                  encoding.images);
    checkImagesOf(*this, "secondarySourceClipRect", secondarySourceClipRect_, encoding.secondaries,
                  encoding.images);
}

void NNReduceBinary::record(BinaryEncoding& encoding) {
    auto region = resolveClip(primarySourceClipRect_, encoding.primaryWidth, encoding.primaryHeight);
    auto weights = resolveClip(secondarySourceClipRect_, encoding.secondaryWidth, encoding.secondaryHeight);
    // Only what is written.
    region.width = weights.width = encoding.clip.width;
    region.height = weights.height = encoding.clip.height;
    encoding.encoder->run(
        [source =
             regionOf(encoding.primary, encoding.primaries, region, primarySourceClipRect_, primaryOffset()),
         weights = regionOf(encoding.secondary, encoding.secondaries, weights, secondarySourceClipRect_,
                            secondaryOffset()),
         destination = encoding.destination, operation = static_cast<ops::ReductionOperation>(operation_),
         byNonZeroWeights = byNonZeroWeights_] {
            ops::Reduction op;
            op.operation = operation;
            op.src = source.tensor();
            op.weights = weights.tensor();
            op.dst = destination.tensor();
            op.byNonZeroWeights = byNonZeroWeights;
            return op;
        });
}

// --- the classes ---

#define PEWTER_REDUCE_COPY(Class)                                                           \
    std::shared_ptr<Kernel> Class::copy(const std::shared_ptr<MTL::Device>& device) const { \
        auto copy = std::make_shared<Class>(*this);                                         \
        if (device) copy->setDevice(device);                                                \
        return copy;                                                                        \
    }
#define PEWTER_REDUCE(Class, Axis, Operation)                                    \
    Class::Class(std::shared_ptr<MTL::Device> device)                            \
        : NNReduceUnary(std::move(device), Along::Axis,                          \
                        static_cast<int>(ops::ReductionOperation::Operation)) {} \
    PEWTER_REDUCE_COPY(Class)

PEWTER_REDUCE(NNReduceRowMin, Row, Min)
PEWTER_REDUCE(NNReduceRowMax, Row, Max)
PEWTER_REDUCE(NNReduceRowMean, Row, Mean)
PEWTER_REDUCE(NNReduceRowSum, Row, Sum)
PEWTER_REDUCE(NNReduceColumnMin, Column, Min)
PEWTER_REDUCE(NNReduceColumnMax, Column, Max)
PEWTER_REDUCE(NNReduceColumnMean, Column, Mean)
PEWTER_REDUCE(NNReduceColumnSum, Column, Sum)
PEWTER_REDUCE(NNReduceFeatureChannelsMin, FeatureChannels, Min)
PEWTER_REDUCE(NNReduceFeatureChannelsMax, FeatureChannels, Max)
PEWTER_REDUCE(NNReduceFeatureChannelsMean, FeatureChannels, Mean)
PEWTER_REDUCE(NNReduceFeatureChannelsSum, FeatureChannels, Sum)
PEWTER_REDUCE(NNReduceFeatureChannelsArgumentMin, FeatureChannels, ArgumentMin)
PEWTER_REDUCE(NNReduceFeatureChannelsArgumentMax, FeatureChannels, ArgumentMax)

NNReduceFeatureChannelsAndWeightsMean::NNReduceFeatureChannelsAndWeightsMean(
    std::shared_ptr<MTL::Device> device)
    : NNReduceBinary(std::move(device), static_cast<int>(ops::ReductionOperation::Mean), false) {}
NNReduceFeatureChannelsAndWeightsSum::NNReduceFeatureChannelsAndWeightsSum(
    std::shared_ptr<MTL::Device> device, bool doWeightedSumByNonZeroWeights)
    : NNReduceBinary(std::move(device), static_cast<int>(ops::ReductionOperation::Sum),
                     doWeightedSumByNonZeroWeights) {}
PEWTER_REDUCE_COPY(NNReduceFeatureChannelsAndWeightsMean)
PEWTER_REDUCE_COPY(NNReduceFeatureChannelsAndWeightsSum)

}  // namespace MPS
