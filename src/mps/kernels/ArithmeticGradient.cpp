#include <fmt/format.h>

#include <MPS/CNNArithmetic.hpp>
#include <MTL/Error.hpp>
#include <optional>

#include "mps/kernels/ArithmeticOperand.h"
#include "mps/kernels/ArithmeticRecord.h"
#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/Pointwise.h"
#include "mps/kernels/StateMasks.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

/// The record of the operand that is differentiated, or of the other one; null before the forward encode.
const ArithmeticRecord* recordOf(const State& state, bool secondary) {
    const auto* own = dynamic_cast<const CNNArithmeticGradientState*>(&state);
    if (!own) return nullptr;
    return dynamic_cast<const ArithmeticRecord*>(
        (secondary ? own->secondaryRecord() : own->primaryRecord()).get());
}

}  // namespace

ImageDescriptor CNNArithmeticGradientState::destinationImageDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates, Kernel& kernel,
    const ImageDescriptor& suggestedDescriptor) {
    auto* gradient = dynamic_cast<CNNArithmeticGradient*>(&kernel);
    if (!gradient || !primaryRecord() || !secondaryRecord())
        return NNBinaryGradientState::destinationImageDescriptor(sourceImages, sourceStates, kernel,
                                                                 suggestedDescriptor);
    const bool secondary = gradient->isSecondarySourceFilter();
    const auto& own = secondary ? *secondaryRecord() : *primaryRecord();
    gradient->configure(own, secondary ? *primaryRecord() : *secondaryRecord());
    takeGradientSlice(*gradient, *sourceImages[0], own, resultFeatureChannels_);
    auto descriptor = suggestedDescriptor;
    descriptor.width = own.sourceWidth;
    descriptor.height = own.sourceHeight;
    descriptor.featureChannels = own.sourceFeatureChannels;
    return descriptor;
}

CNNArithmeticGradient::CNNArithmeticGradient(std::shared_ptr<MTL::Device> device, int operation,
                                             bool isSecondarySourceFilter)
    : CNNGradientKernel(std::move(device)),
      operation_(operation),
      isSecondarySourceFilter_(isSecondarySourceFilter) {}

bool CNNArithmeticGradient::readsOther() const {
    return static_cast<ops::ArithmeticType>(operation_) == ops::ArithmeticType::Multiply;
}

void CNNArithmeticGradient::configure(const ForwardRecord& own, const ForwardRecord& other) {
    const auto& source = readsOther() ? other : own;
    CNNGradientKernel::configure(source);
    primaryGeometry().strideInPixelsX = primaryGeometry().strideInPixelsY = 1;
    configurePrimary(*this, own);
    if (const auto* record = dynamic_cast<const ArithmeticRecord*>(&source))
        secondaryStrideInFeatureChannels_ = record->strideInFeatureChannels;
}

bool CNNArithmeticGradient::accepts(const State& state) const {
    return dynamic_cast<const CNNArithmeticGradientState*>(&state) != nullptr;
}

std::size_t CNNArithmeticGradient::resultChannelsOf(const BinaryEncoding& encoding) const {
    const auto* own = encoding.sourceStates.empty()
                          ? nullptr
                          : recordOf(*encoding.sourceStates[0], isSecondarySourceFilter_);
    return own ? own->sourceFeatureChannels : CNNGradientKernel::resultChannelsOf(encoding);
}

void CNNArithmeticGradient::validate(const BinaryEncoding& encoding) const {
    const std::string_view forward =
        std::string_view(className())
            .substr(0, std::string_view(className()).size() - std::string_view("Gradient").size());
    for (const auto& state : encoding.sourceStates) {
        const auto& own = static_cast<const CNNArithmeticGradientState&>(*state);
        requireRecord(*this, own.primaryRecord(), {forward});
        requireRecord(*this, own.secondaryRecord(), {forward});
    }
    const auto& state = static_cast<const CNNArithmeticGradientState&>(*encoding.sourceStates[0]);
    const auto& own = *recordOf(state, isSecondarySourceFilter_);
    const auto& source = *recordOf(state, isSecondarySourceFilter_ != readsOther());
    requireForwardGradient(*this, encoding, own, state.resultFeatureChannels(), primaryOffset().x,
                           primaryOffset().y);
    if (encoding.secondaryWidth != source.sourceWidth || encoding.secondaryHeight != source.sourceHeight ||
        encoding.secondaryChannels.count != source.sourceFeatureChannels)
        throw Error(
            name(), "sourceImage",
            fmt::format("the {} operand of {}: {} x {} pixels of {} feature channels",
                        isSecondarySourceFilter_ != readsOther() ? "secondary" : "primary", source.kernel,
                        source.sourceWidth, source.sourceHeight, source.sourceFeatureChannels),
            fmt::format("{} x {} of {}", encoding.secondaryWidth, encoding.secondaryHeight,
                        encoding.secondaryChannels.count));
    if (secondaryStrideInPixelsX() != source.strideX || secondaryStrideInPixelsY() != source.strideY ||
        secondaryStrideInFeatureChannels_ != source.strideInFeatureChannels)
        throw Error(name(), "secondaryStride",
                    fmt::format("{}, {}, {} as in {}", source.strideX, source.strideY,
                                source.strideInFeatureChannels, source.kernel),
                    fmt::format("{}, {}, {}", secondaryStrideInPixelsX(), secondaryStrideInPixelsY(),
                                secondaryStrideInFeatureChannels_));
}

void CNNArithmeticGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto& state = static_cast<const CNNArithmeticGradientState&>(*encoding.sourceStates[0]);
    const auto& own = *recordOf(state, isSecondarySourceFilter_);
    const auto width = static_cast<std::int64_t>(own.clip.size.width),
               height = static_cast<std::int64_t>(own.clip.size.height),
               channels = static_cast<std::int64_t>(state.resultFeatureChannels());
    const auto whole =
        encoder.wholeGradient(encoding.destination, encoding.clip, static_cast<std::int64_t>(own.sourceWidth),
                              static_cast<std::int64_t>(own.sourceHeight));
    TensorRef written = whole;
    if (own.strideInFeatureChannels == 0 && whole.shape.c > 1) {
        // Only the first channel was read.
        encoder.run([rest = whole.channels(1, whole.shape.c - 1)] {
            ops::Fill op;
            op.dst = rest.tensor();
            return op;
        });
        written = whole.channels(0, 1);
    }
    const PointwiseArea area{own.offset.x, own.offset.y, own.strideX ? width : 1, own.strideY ? height : 1,
                             edgeOf(own.edgeMode)};
    PointwiseResult result(encoder, written, area);

    std::optional<StateMasks> masks;
    if (state.resourceCount() > 0)
        masks.emplace(StateMasks::forReading(encoder, encoding.sourceStates, encoding.primary.shape.n, height,
                                             width, channels));
    const auto other = readsOther()
                           ? arithmeticOperand(encoder, encoding.secondary, secondaryGeometry(),
                                               secondaryStrideInFeatureChannels_, width, height, channels)
                           : TensorRef();
    encoder.run([type = static_cast<ops::ArithmeticType>(operation_),
                 gradient = encoding.primary.region(primaryOffset().x, primaryOffset().y, width, height),
                 other, mask = masks ? masks->all() : TensorRef(), target = result.target(),
                 primaryScale = primaryScale(), secondaryScale = secondaryScale()] {
        ops::ArithmeticGradient op;
        op.type = type;
        op.diffDst = gradient.tensor();
        if (other) op.other = other.tensor();
        if (mask) op.mask = mask.tensor();
        op.diffSrc = target.tensor();
        op.primaryScale = primaryScale;
        op.secondaryScale = secondaryScale;
        return op;
    });
    result.finish();
}

#define PEWTER_ARITHMETIC_GRADIENT(Class, Operation)                                                 \
    Class::Class(std::shared_ptr<MTL::Device> device, bool isSecondarySourceFilter)                  \
        : CNNArithmeticGradient(std::move(device), static_cast<int>(ops::ArithmeticType::Operation), \
                                isSecondarySourceFilter) {}                                          \
    std::shared_ptr<Kernel> Class::copy(const std::shared_ptr<MTL::Device>& device) const {          \
        auto copy = std::make_shared<Class>(*this);                                                  \
        if (device) copy->setDevice(device);                                                         \
        return copy;                                                                                 \
    }
PEWTER_ARITHMETIC_GRADIENT(CNNAddGradient, Add)
PEWTER_ARITHMETIC_GRADIENT(CNNSubtractGradient, Subtract)
PEWTER_ARITHMETIC_GRADIENT(CNNMultiplyGradient, Multiply)
#undef PEWTER_ARITHMETIC_GRADIENT

}  // namespace MPS
