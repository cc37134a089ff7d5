#include <fmt/format.h>

#include <MPS/CNNGradientKernel.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"
#include "mps/core/ResultStates.h"

namespace MPS {

using namespace pewter::mps;

CNNGradientKernel::CNNGradientKernel(std::shared_ptr<MTL::Device> device) : CNNBinaryKernel(std::move(device)) {}

std::size_t CNNGradientKernel::resultFeatureChannels(std::size_t, std::size_t secondaryChannels) const {
    return secondaryChannels;
}

bool CNNGradientKernel::accepts(const State& state) const {
    return dynamic_cast<const NNGradientState*>(&state) != nullptr;
}

void CNNGradientKernel::configure(const ForwardRecord& forward) {
    auto& s = secondaryGeometry();
    s.offset = forward.offset;
    s.kernelWidth = forward.kernelWidth;
    s.kernelHeight = forward.kernelHeight;
    s.strideInPixelsX = forward.strideX;
    s.strideInPixelsY = forward.strideY;
    s.dilationRateX = forward.dilationX;
    s.dilationRateY = forward.dilationY;
    s.edgeMode = forward.edgeMode;
    s.featureChannelOffset = forward.sourceFeatureChannelOffset;
    s.featureChannelMaxCount = forward.sourceFeatureChannelMaxCount;
    auto& p = primaryGeometry();
    p.strideInPixelsX = forward.strideX;
    p.strideInPixelsY = forward.strideY;
}

void CNNGradientKernel::checkStates(const StateBatch& states, std::size_t count) const {
    if (states.size() != count)
        throw Error(name(), "gradientState", fmt::format("{} states, one for each image", count),
                    fmt::format("{}", states.size()));
    for (const auto& state : states) {
        if (!state) throw Error(name(), "gradientState", fmt::format("a {}", acceptedState()), "null");
        if (!accepts(*state))
            throw Error(name(), "gradientState", fmt::format("a {}", acceptedState()),
                        fmt::format("a {}", state->className()));
    }
}

void CNNGradientKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                               const std::shared_ptr<Image>& sourceGradient,
                               const std::shared_ptr<Image>& sourceImage, const std::shared_ptr<State>& gradientState,
                               const std::shared_ptr<Image>& destinationGradient) {
    checkStates({gradientState}, 1);
    encodeImages(commandBuffer, {sourceGradient}, {sourceImage}, {gradientState}, {}, {destinationGradient}, false);
}

std::shared_ptr<Image> CNNGradientKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                 const std::shared_ptr<Image>& sourceGradient,
                                                 const std::shared_ptr<Image>& sourceImage,
                                                 const std::shared_ptr<State>& gradientState) {
    checkStates({gradientState}, 1);
    const auto destinations = makeDestinations(commandBuffer, {sourceGradient}, {sourceImage}, {gradientState});
    undoOnFailure(destinations, {}, [&] {
        encodeImages(commandBuffer, {sourceGradient}, {sourceImage}, {gradientState}, {}, destinations, false);
    });
    return destinations[0];
}

void CNNGradientKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                    const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                                    const StateBatch& gradientStates, const ImageBatch& destinationGradients) {
    checkStates(gradientStates, sourceGradients.size());
    if (destinationGradients.size() != sourceGradients.size())
        throw Error(name(), "destinationGradients",
                    fmt::format("{} images, as many as sources", sourceGradients.size()),
                    fmt::format("{}", destinationGradients.size()));
    encodeImages(commandBuffer, sourceGradients, sourceImages, gradientStates, {}, destinationGradients, true);
}

ImageBatch CNNGradientKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                          const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                                          const StateBatch& gradientStates) {
    checkStates(gradientStates, sourceGradients.size());
    const auto destinations = makeDestinations(commandBuffer, sourceGradients, sourceImages, gradientStates);
    undoOnFailure(destinations, {}, [&] {
        encodeImages(commandBuffer, sourceGradients, sourceImages, gradientStates, {}, destinations, true);
    });
    return destinations;
}

void CNNGradientKernel::encodeWithoutResult(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                            const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                                            const StateBatch& gradientStates) {
    checkStates(gradientStates, sourceGradients.size());
    // Its hooks configure the kernel as the forward kernel was.
    if (!sourceGradients.empty() && sourceGradients[0] && sourceImages.size() == sourceGradients.size() &&
        sourceImages[0])
        destinationImageDescriptor({sourceGradients[0], sourceImages[0]}, {gradientStates[0]});
    encodeImages(commandBuffer, sourceGradients, sourceImages, gradientStates, {}, {}, sourceGradients.size() != 1);
}

}  // namespace MPS
