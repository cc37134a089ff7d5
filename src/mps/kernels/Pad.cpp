#include <fmt/format.h>

#include <MPS/NNGradientState.hpp>
#include <MPS/NNPad.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"
#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/Pointwise.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

/// What padding keeps besides its geometry.
struct PadRecord final : ForwardRecord {
    explicit PadRecord(const ForwardRecord& base) : ForwardRecord(base) {}

    std::size_t channelsBefore = 0, channelsAfter = 0;

    void describe(std::vector<std::pair<std::string, std::string>>& facts) const override {
        ForwardRecord::describe(facts);
        facts.emplace_back("channels added",
                           fmt::format("{} before, {} after", channelsBefore, channelsAfter));
    }
};

/// Its gradient has the channels that were not read as well.
class PadState final : public NNGradientState {
public:
    explicit PadState(const StateOwner& owner) : NNGradientState(owner) {}

    ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                               const StateBatch& sourceStates, Kernel& kernel,
                                               const ImageDescriptor& suggested) override {
        auto descriptor =
            NNGradientState::destinationImageDescriptor(sourceImages, sourceStates, kernel, suggested);
        if (record()) descriptor.featureChannels = record()->sourceChannels;
        return descriptor;
    }
};

const PadRecord* recordOf(const State& state) {
    const auto* gradient = dynamic_cast<const NNGradientState*>(&state);
    return gradient ? dynamic_cast<const PadRecord*>(gradient->record().get()) : nullptr;
}

ops::PadEdge padEdgeOf(ImageEdgeMode mode) { return static_cast<ops::PadEdge>(mode); }

}  // namespace

NNPad::NNPad(std::shared_ptr<MTL::Device> device) : NNPad(std::move(device), {}, {}) {}

NNPad::NNPad(std::shared_ptr<MTL::Device> device, const ImageCoordinate& paddingSizeBefore,
             const ImageCoordinate& paddingSizeAfter)
    : NNPad(std::move(device), paddingSizeBefore, paddingSizeAfter, {}) {}

NNPad::NNPad(std::shared_ptr<MTL::Device> device, const ImageCoordinate& paddingSizeBefore,
             const ImageCoordinate& paddingSizeAfter, const std::vector<float>& fillValueArray)
    : CNNKernel(std::move(device)), before_(paddingSizeBefore), after_(paddingSizeAfter) {
    if (!fillValueArray.empty()) fillValues_ = std::make_shared<const std::vector<float>>(fillValueArray);
}

std::shared_ptr<Kernel> NNPad::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<NNPad>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

std::size_t NNPad::resultFeatureChannels(std::size_t sourceChannels) const {
    return before_.channel + sourceChannels + after_.channel;
}

ImageDescriptor NNPad::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&, const StateBatch&,
                                        const ImageDescriptor& suggested) {
    auto descriptor = suggested;
    descriptor.width += before_.x + after_.x;
    descriptor.height += before_.y + after_.y;
    setOffset({-static_cast<std::int64_t>(before_.x), -static_cast<std::int64_t>(before_.y), offset().z});
    setClipRect(RectNoClip);
    return descriptor;
}

std::shared_ptr<State> NNPad::newResultState(const StateOwner& owner, const std::shared_ptr<Image>&,
                                             const StateBatch&, const std::shared_ptr<Image>&) {
    return std::make_shared<PadState>(owner);
}

std::shared_ptr<ForwardRecord> NNPad::captureRecord(const Image& source, const Image& destination) const {
    auto record = std::make_shared<PadRecord>(*CNNKernel::captureRecord(source, destination));
    record->channelsBefore = before_.channel;
    record->channelsAfter = after_.channel;
    return record;
}

void NNPad::validate(const UnaryEncoding& encoding) const {
    if (edgeMode() == ImageEdgeMode::Constant && fillValues_ && fillValues_->size() < encoding.resultChannels)
        throw Error(name(), "fillValueArray",
                    fmt::format("at least {} values, one a channel written", encoding.resultChannels),
                    fmt::format("{}", fillValues_->size()));
}

void NNPad::record(UnaryEncoding& encoding) {
    encoding.encoder->run([source = encoding.source, destination = encoding.destination, at = offset(),
                           channelsBefore = before_.channel, edge = padEdgeOf(edgeMode()), value = fillValue_,
                           values = fillValues_] {
        ops::PadForward op;
        op.src = source.tensor();
        op.dst = destination.tensor();
        op.offsetX = at.x;
        op.offsetY = at.y;
        op.offsetC = -static_cast<std::int64_t>(channelsBefore);
        op.edge = edge;
        op.fillValue = value;
        op.fillValues = values ? values->data() : nullptr;
        return op;
    });
}

NNPadGradient::NNPadGradient(std::shared_ptr<MTL::Device> device) : CNNGradientKernel(std::move(device)) {}

std::shared_ptr<Kernel> NNPadGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<NNPadGradient>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

void NNPadGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    configurePrimary(*this, forward);
}

std::size_t NNPadGradient::resultChannelsOf(const BinaryEncoding& encoding) const {
    const auto* forward = encoding.sourceStates.empty() ? nullptr : recordOf(*encoding.sourceStates[0]);
    return forward ? forward->sourceChannels : CNNGradientKernel::resultChannelsOf(encoding);
}

ImageDescriptor NNPadGradient::adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                const StateBatch& sourceStates,
                                                const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void NNPadGradient::validate(const BinaryEncoding& encoding) const {
    requireForwardImages(*this, encoding, requireRecord(*this, encoding.sourceStates, {"NNPad"}));
}

void NNPadGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto& forward = *recordOf(*encoding.sourceStates[0]);
    const auto area = areaOf(*this, forward);
    const auto whole = encoder.wholeGradient(encoding.destination, encoding.clip, encoding.secondary.shape.w,
                                             encoding.secondary.shape.h);
    const auto first = static_cast<std::int64_t>(forward.sourceFeatureChannelOffset),
               count = static_cast<std::int64_t>(forward.sourceFeatureChannels);
    // Channels that were not read.
    for (const auto& [from, to] : {std::pair{std::int64_t{0}, first}, {first + count, whole.shape.c}})
        if (to > from)
            encoder.run([rest = whole.channels(from, to - from)] {
                ops::Fill op;
                op.dst = rest.tensor();
                return op;
            });
    encoder.run([gradient = gradientOf(encoding, *this, area), target = whole.channels(first, count), area,
                 before = static_cast<std::int64_t>(forward.channelsBefore),
                 edge = padEdgeOf(secondaryEdgeMode())] {
        ops::PadGradient op;
        op.diffDst = gradient.tensor();
        op.diffSrc = target.tensor();
        op.offsetX = area.x;
        op.offsetY = area.y;
        op.offsetC = -before;
        op.edge = edge;
        return op;
    });
}

}  // namespace MPS
