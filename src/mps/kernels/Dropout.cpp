#include <fmt/format.h>

#include <MPS/CNNDropout.hpp>
#include <MTL/Error.hpp>
#include <unordered_set>

#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/Pointwise.h"
#include "mps/kernels/StateMasks.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

void checkParameters(const Kernel& kernel, float keepProbability, const MTL::Size& stride) {
    if (!(keepProbability > 0 && keepProbability < 1))
        throw Error(kernel.name(), "keepProbability", "a number between 0 and 1, both excluded",
                    fmt::format("{}", keepProbability));
    if (stride.width > 1 || stride.height > 1 || stride.depth > 1)
        throw Error(kernel.name(), "maskStrideInPixels", "0 or 1 in each dimension",
                    fmt::format("{} x {} x {}", stride.width, stride.height, stride.depth));
}

std::int64_t signedOf(std::uint64_t n) { return static_cast<std::int64_t>(n); }

std::string textOf(const MTL::Size& size) {
    return fmt::format("{} x {} x {}", size.width, size.height, size.depth);
}

}  // namespace

CNNDropoutGradientState::CNNDropoutGradientState(const StateOwner& owner, float keepProbability,
                                                 std::uint64_t seed, const MTL::Size& maskStrideInPixels,
                                                 const MTL::Size& maskSize)
    : NNGradientState(owner,
                      StateResourceList::bufferSizes({maskSize.width * maskSize.height * maskSize.depth})),
      keepProbability_(keepProbability),
      seed_(seed),
      maskStride_(maskStrideInPixels),
      maskSize_(maskSize) {}

std::vector<std::uint8_t> CNNDropoutGradientState::maskData() {
    if (isTemporary())
        throw Error(description(), "maskData", "a state that is not temporary", "a temporary one");
    const auto buffer = std::static_pointer_cast<MTL::Buffer>(resource(0, true));
    return pewter::mtl::valuesOf<std::uint8_t>(*buffer, bufferSize(0));
}

void CNNDropoutGradientState::describe(Facts& facts) const {
    NNGradientState::describe(facts);
    facts.emplace_back("keep probability", fmt::format("{}", keepProbability_));
    facts.emplace_back("seed", fmt::format("{}", seed_));
    facts.emplace_back("mask", textOf(maskSize_));
}

CNNDropout::CNNDropout(std::shared_ptr<MTL::Device> device, float keepProbability, std::uint64_t seed,
                       const MTL::Size& maskStrideInPixels)
    : CNNKernel(std::move(device)),
      keepProbability_(keepProbability),
      seed_(seed),
      maskStride_(maskStrideInPixels) {
    checkParameters(*this, keepProbability_, maskStride_);
}

std::shared_ptr<Kernel> CNNDropout::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNDropout>(new CNNDropout(*this));
    copy->encodes_ = 0;
    copy->sequenceOfRun_ = nullptr;
    if (device) copy->setDevice(device);
    return copy;
}

MTL::Size CNNDropout::maskExtents(std::size_t width, std::size_t height, std::size_t channels) const {
    return {maskStride_.width ? width : 1, maskStride_.height ? height : 1, maskStride_.depth ? channels : 1};
}

std::shared_ptr<State> CNNDropout::newResultState(const StateOwner& owner,
                                                  const std::shared_ptr<Image>& sourceImage,
                                                  const StateBatch&,
                                                  const std::shared_ptr<Image>& destinationImage) {
    const auto clip = resolveClip(clipRect(), destinationImage->width(), destinationImage->height());
    if (clip.isEmpty()) throw Error(name(), "clipRect", "pixels of the destination", "none");
    const auto channels =
        resolveChannels(sourceFeatureChannelOffset(), sourceFeatureChannelMaxCount(),
                        sourceImage->featureChannels(), name(), "sourceFeatureChannelOffset");
    auto size = maskExtents(static_cast<std::size_t>(clip.width), static_cast<std::size_t>(clip.height),
                            channels.count);
    // An image of several pictures has a mask for each, one after the other.
    size.height *= destinationImage->numberOfImages();
    return std::make_shared<CNNDropoutGradientState>(owner, keepProbability_, seed_, maskStride_, size);
}

void CNNDropout::validate(const UnaryEncoding& encoding) const {
    auto expected = maskExtents(static_cast<std::size_t>(encoding.clip.width),
                                static_cast<std::size_t>(encoding.clip.height), encoding.resultChannels);
    expected.height *=
        encoding.destinationStates.size() == 1 ? encoding.destinations[0]->numberOfImages() : 1;
    std::unordered_set<const State*> seen;
    for (const auto& state : encoding.destinationStates) {
        const auto* mask = dynamic_cast<const CNNDropoutGradientState*>(state.get());
        if (!mask)
            throw Error(name(), "destinationState", "a CNNDropoutGradientState",
                        fmt::format("a {}", state->className()));
        if (mask->maskSize() != expected)
            throw Error(name(), "destinationState", "one made for a mask of " + textOf(expected),
                        textOf(mask->maskSize()));
        if (!seen.insert(mask).second)
            throw Error(name(), "destinationStates", "a state of its own for every image", "one state twice");
    }
}

void CNNDropout::record(UnaryEncoding& encoding) {
    const auto extents = maskExtents(static_cast<std::size_t>(encoding.clip.width),
                                     static_cast<std::size_t>(encoding.clip.height), encoding.resultChannels);
    const auto masks =
        StateMasks::forWriting(*encoding.encoder, encoding.destinationStates, signedOf(encoding.images),
                               signedOf(extents.height), signedOf(extents.width), signedOf(extents.depth));
    encoding.encoder->run([source = pointwiseSource(encoding, *this), destination = encoding.destination,
                           mask = masks.all(), keep = keepProbability_, seed = seed_, sequence = encodes_,
                           ofRun = sequenceOfRun_] {
        ops::DropoutForward op;
        op.src = source.tensor();
        op.dst = destination.tensor();
        op.mask = mask.tensor();
        op.keepProbability = keep;
        op.seed = seed;
        op.sequence = ofRun ? *ofRun : sequence;
        op.sequenceOfRun = ofRun.get();
        return op;
    });
    masks.finish();
    ++encodes_;
}

CNNDropoutGradient::CNNDropoutGradient(std::shared_ptr<MTL::Device> device, float keepProbability,
                                       std::uint64_t seed, const MTL::Size& maskStrideInPixels)
    : CNNGradientKernel(std::move(device)),
      keepProbability_(keepProbability),
      seed_(seed),
      maskStride_(maskStrideInPixels) {
    checkParameters(*this, keepProbability_, maskStride_);
}

std::shared_ptr<Kernel> CNNDropoutGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNDropoutGradient>(new CNNDropoutGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

void CNNDropoutGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    // Source pixel p was masked by element p - offset, and written to clip origin + p - offset.
    auto& s = secondaryGeometry();
    auto& p = primaryGeometry();
    p.offset.x = static_cast<std::int64_t>(forward.clip.origin.x) - s.offset.x;
    p.offset.y = static_cast<std::int64_t>(forward.clip.origin.y) - s.offset.y;
    s.offset.x = -s.offset.x;
    s.offset.y = -s.offset.y;
}

bool CNNDropoutGradient::accepts(const State& state) const {
    return dynamic_cast<const CNNDropoutGradientState*>(&state) != nullptr;
}

ImageDescriptor CNNDropoutGradient::adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                     const StateBatch& sourceStates,
                                                     const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void CNNDropoutGradient::validate(const BinaryEncoding& encoding) const {
    const auto& record = requireRecord(*this, encoding.sourceStates, {"CNNDropout"});
    const auto& state = static_cast<const CNNDropoutGradientState&>(*encoding.sourceStates[0]);
    if (state.keepProbability() != keepProbability_ || state.maskStrideInPixels() != maskStride_)
        throw Error(
            name(), "gradientState",
            fmt::format("keep probability {} and mask stride {}", keepProbability_, textOf(maskStride_)),
            fmt::format("{} and {} of {}", state.keepProbability(), textOf(state.maskStrideInPixels()),
                        record.kernel));
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
}

void CNNDropoutGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto& record = *static_cast<const NNGradientState&>(*encoding.sourceStates[0]).record();
    const auto width = static_cast<std::int64_t>(record.clip.size.width),
               height = static_cast<std::int64_t>(record.clip.size.height);
    const auto masks = StateMasks::forReading(encoder, encoding.sourceStates, signedOf(encoding.images),
                                              maskStride_.height ? height : 1, maskStride_.width ? width : 1,
                                              maskStride_.depth ? signedOf(record.resultFeatureChannels) : 1);
    // Mask element i belongs to source pixel i - secondaryOffset and to gradient pixel primaryOffset + that.
    const auto &p = primaryOffset(), &s = secondaryOffset();
    const PointwiseArea area{-s.x, -s.y, width, height, edgeOf(secondaryEdgeMode())};
    PointwiseResult result(encoder,
                           encoder.wholeGradient(encoding.destination, encoding.clip,
                                                 encoding.secondary.shape.w, encoding.secondary.shape.h),
                           area);
    encoder.run(
        [gradient = encoder.region(encoding.primary, p.x - s.x, p.y - s.y, width, height, ops::Edge::Zero),
         target = result.target(), mask = masks.all(), keep = keepProbability_] {
            ops::DropoutGradient op;
            op.diffDst = gradient.tensor();
            op.mask = mask.tensor();
            op.diffSrc = target.tensor();
            op.keepProbability = keep;
            return op;
        });
    result.finish();
}

}  // namespace MPS
