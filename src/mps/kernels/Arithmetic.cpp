#include <fmt/format.h>

#include <MPS/CNNArithmetic.hpp>
#include <MTL/Error.hpp>
#include <optional>
#include <unordered_set>

#include "mps/core/Encoder.h"
#include "mps/kernels/ArithmeticOperand.h"
#include "mps/kernels/ArithmeticRecord.h"
#include "mps/kernels/StateMasks.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

CNNArithmeticGradientState::CNNArithmeticGradientState(const StateOwner& owner, std::size_t maskBytes,
                                                       std::size_t resultFeatureChannels)
    : NNBinaryGradientState(owner,
                            maskBytes ? StateResourceList::bufferSizes({maskBytes}) : StateResourceList()),
      resultFeatureChannels_(resultFeatureChannels) {}

CNNArithmetic::CNNArithmetic(std::shared_ptr<MTL::Device> device, int operation)
    : CNNBinaryKernel(std::move(device)), operation_(operation) {}

std::size_t CNNArithmetic::resultFeatureChannels(std::size_t primaryChannels,
                                                 std::size_t secondaryChannels) const {
    if (primaryStrideInFeatureChannels_ != 0) return primaryChannels;
    return secondaryStrideInFeatureChannels_ != 0 ? secondaryChannels : 1;
}

std::shared_ptr<State> CNNArithmetic::newResultState(const StateOwner& owner,
                                                     const std::shared_ptr<Image>& primaryImage,
                                                     const std::shared_ptr<Image>& secondaryImage,
                                                     const StateBatch&,
                                                     const std::shared_ptr<Image>& destinationImage) {
    const auto channelsOf = [&](const SourceGeometry& g, const Image& image) {
        return resolveChannels(g.featureChannelOffset, g.featureChannelMaxCount, image.featureChannels(),
                               name(), "sourceFeatureChannelOffset")
            .count;
    };
    const auto channels = resultFeatureChannels(channelsOf(primaryGeometry(), *primaryImage),
                                                channelsOf(secondaryGeometry(), *secondaryImage));
    const auto clip = resolveClip(clipRect(), destinationImage->width(), destinationImage->height());
    const std::size_t maskBytes = isClamping() ? static_cast<std::size_t>(clip.width * clip.height) *
                                                     channels * destinationImage->numberOfImages()
                                               : 0;
    return std::make_shared<CNNArithmeticGradientState>(owner, maskBytes, channels);
}

std::shared_ptr<ForwardRecord> CNNArithmetic::captureRecord(const Image& source, bool secondary,
                                                            const Image& destination) const {
    auto record =
        std::make_shared<ArithmeticRecord>(*CNNBinaryKernel::captureRecord(source, secondary, destination));
    record->strideInFeatureChannels =
        secondary ? secondaryStrideInFeatureChannels_ : primaryStrideInFeatureChannels_;
    record->primaryScale = primaryScale();
    record->secondaryScale = secondaryScale();
    record->minimumValue = minimumValue();
    record->maximumValue = maximumValue();
    return record;
}

void CNNArithmetic::validate(const BinaryEncoding& encoding) const {
    for (const auto& [argument, stride] :
         {std::pair{"primaryStrideInPixelsX", primaryStrideInPixelsX()},
          {"primaryStrideInPixelsY", primaryStrideInPixelsY()},
          {"primaryStrideInFeatureChannels", primaryStrideInFeatureChannels_},
          {"secondaryStrideInPixelsX", secondaryStrideInPixelsX()},
          {"secondaryStrideInPixelsY", secondaryStrideInPixelsY()},
          {"secondaryStrideInFeatureChannels", secondaryStrideInFeatureChannels_}})
        if (stride > 1) throw Error(name(), argument, "0 or 1", fmt::format("{}", stride));
    if (primaryStrideInFeatureChannels_ == 1 && secondaryStrideInFeatureChannels_ == 1 &&
        encoding.primaryChannels.count != encoding.secondaryChannels.count)
        throw Error(
            name(), "secondaryImage",
            fmt::format("{} feature channels, as the primary image has", encoding.primaryChannels.count),
            fmt::format("{}", encoding.secondaryChannels.count));
    const std::size_t pictures =
        encoding.destinationStates.size() == 1 ? encoding.destinations[0]->numberOfImages() : 1;
    const std::size_t bytes = isClamping()
                                  ? static_cast<std::size_t>(encoding.clip.width * encoding.clip.height) *
                                        encoding.resultChannels * pictures
                                  : 0;
    std::unordered_set<const State*> seen;
    for (const auto& state : encoding.destinationStates) {
        const auto* own = dynamic_cast<const CNNArithmeticGradientState*>(state.get());
        if (!own)
            throw Error(name(), "destinationState", "a CNNArithmeticGradientState",
                        fmt::format("a {}", state->className()));
        if (own->bufferSize(0) != bytes || own->resultFeatureChannels() != encoding.resultChannels)
            throw Error(
                name(), "destinationState",
                fmt::format("one made for {} channels and a mask of {} bytes", encoding.resultChannels,
                            bytes),
                fmt::format("{} channels and {} bytes", own->resultFeatureChannels(), own->bufferSize(0)));
        if (!seen.insert(own).second)
            throw Error(name(), "destinationStates", "a state of its own for every image", "one state twice");
    }
}

void CNNArithmetic::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto& shape = encoding.destination.shape;
    const auto operand = [&](const TensorRef& source, const SourceGeometry& g,
                             std::size_t strideInFeatureChannels) {
        return arithmeticOperand(encoder, source, g, strideInFeatureChannels, shape.w, shape.h, shape.c);
    };
    const bool masked = !encoding.destinationStates.empty() && isClamping();
    std::optional<StateMasks> masks;
    if (masked)
        masks.emplace(
            StateMasks::forWriting(encoder, encoding.destinationStates, shape.n, shape.h, shape.w, shape.c));
    encoder.run(
        [type = static_cast<ops::ArithmeticType>(operation_),
         primary = operand(encoding.primary, primaryGeometry(), primaryStrideInFeatureChannels_),
         secondary = operand(encoding.secondary, secondaryGeometry(), secondaryStrideInFeatureChannels_),
         destination = encoding.destination, mask = masks ? masks->all() : TensorRef(),
         primaryScale = primaryScale(), secondaryScale = secondaryScale(), bias = bias(),
         minimum = minimumValue(), maximum = maximumValue()] {
            ops::Arithmetic op;
            op.type = type;
            op.primary = primary.tensor();
            op.secondary = secondary.tensor();
            op.dst = destination.tensor();
            if (mask) op.mask = mask.tensor();
            op.primaryScale = primaryScale;
            op.secondaryScale = secondaryScale;
            op.bias = bias;
            op.minimum = minimum;
            op.maximum = maximum;
            return op;
        });
    if (masks) masks->finish();
}

void CNNArithmetic::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const std::shared_ptr<Image>& primaryImage,
                           const std::shared_ptr<Image>& secondaryImage,
                           const std::shared_ptr<CNNArithmeticGradientState>& destinationState,
                           const std::shared_ptr<Image>& destinationImage) {
    encodeImages(commandBuffer, {primaryImage}, {secondaryImage}, {}, {destinationState}, {destinationImage},
                 false);
}

void CNNArithmetic::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const ImageBatch& primaryImages, const ImageBatch& secondaryImages,
                                const StateBatch& destinationStates, const ImageBatch& destinationImages) {
    if (destinationImages.size() != primaryImages.size())
        throw Error(name(), "destinationImages",
                    fmt::format("{} images, as many as sources", primaryImages.size()),
                    fmt::format("{}", destinationImages.size()));
    encodeImages(commandBuffer, primaryImages, secondaryImages, {}, destinationStates, destinationImages,
                 true);
}

#define PEWTER_ARITHMETIC(Class, Operation)                                                     \
    Class::Class(std::shared_ptr<MTL::Device> device)                                           \
        : CNNArithmetic(std::move(device), static_cast<int>(ops::ArithmeticType::Operation)) {} \
    std::shared_ptr<Kernel> Class::copy(const std::shared_ptr<MTL::Device>& device) const {     \
        auto copy = std::make_shared<Class>(*this);                                             \
        if (device) copy->setDevice(device);                                                    \
        return copy;                                                                            \
    }
PEWTER_ARITHMETIC(CNNAdd, Add)
PEWTER_ARITHMETIC(CNNSubtract, Subtract)
PEWTER_ARITHMETIC(CNNMultiply, Multiply)
PEWTER_ARITHMETIC(CNNDivide, Divide)
#undef PEWTER_ARITHMETIC

}  // namespace MPS
