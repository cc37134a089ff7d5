#include <fmt/format.h>

#include <MPS/NNGradientState.hpp>
#include <MPS/NNReshape.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"
#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/Pointwise.h"
#include "mps/kernels/ReshapeAccess.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

/// The same memory as images of other extents, if each image lies back to back.
bool reshape(TensorRef& ref, const ops::Tensor& like) {
    auto one = ref.shape;
    one.n = 1;
    if (!one.isDense()) return false;
    ref.shape = ops::Tensor::dense(nullptr, one.type, ref.shape.n, like.h, like.w, like.c);
    ref.shape.strideN = one.strideN;
    return true;
}

void copyElements(Encoder& encoder, TensorRef from, TensorRef to) {
    const auto copy = [&](const TensorRef& source, const TensorRef& destination) {
        encoder.run([source, destination] {
            ops::Copy op;
            op.src = source.tensor();
            op.dst = destination.tensor();
            return op;
        });
    };
    // Where neither side lies back to back, the elements pass through memory of their own.
    if (!reshape(from, to.shape) && !reshape(to, from.shape)) {
        const auto& s = from.shape;
        auto between = encoder.scratch(s.type, s.n, s.h, s.w, s.c);
        copy(from, between);
        reshape(between, to.shape);
        from = between;
    }
    copy(from, to);
}

}  // namespace

NNReshape::NNReshape(std::shared_ptr<MTL::Device> device) : CNNKernel(std::move(device)) {}

std::shared_ptr<Kernel> NNReshape::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<NNReshape>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

template <class Encode>
auto NNReshape::withShape(const Shape& shape, Encode encode) {
    struct Reset {
        std::optional<Shape>& shape;
        ~Reset() { shape.reset(); }
    } reset{reshaped_};
    reshaped_ = shape;
    return encode();
}

std::shared_ptr<Image> NNReshape::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                         const std::shared_ptr<Image>& sourceImage, std::size_t width,
                                         std::size_t height, std::size_t featureChannels) {
    return withShape({width, height, featureChannels}, [&] { return encode(commandBuffer, sourceImage); });
}

std::shared_ptr<Image> NNReshape::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                         const std::shared_ptr<Image>& sourceImage,
                                         std::shared_ptr<State>* destinationState, bool isTemporary,
                                         std::size_t width, std::size_t height, std::size_t featureChannels) {
    return withShape({width, height, featureChannels},
                     [&] { return encode(commandBuffer, sourceImage, destinationState, isTemporary); });
}

ImageBatch NNReshape::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const ImageBatch& sourceImages, std::size_t width, std::size_t height,
                                  std::size_t featureChannels) {
    return withShape({width, height, featureChannels},
                     [&] { return encodeBatch(commandBuffer, sourceImages); });
}

ImageBatch NNReshape::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const ImageBatch& sourceImages, StateBatch* destinationStates,
                                  bool isTemporary, std::size_t width, std::size_t height,
                                  std::size_t featureChannels) {
    return withShape({width, height, featureChannels}, [&] {
        return encodeBatch(commandBuffer, sourceImages, destinationStates, isTemporary);
    });
}

ImageDescriptor NNReshape::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&, const StateBatch&,
                                            const ImageDescriptor& suggested) {
    auto descriptor = suggested;
    if (reshaped_) {
        // Before an image of that size is made.
        const auto elements = suggested.width * suggested.height * suggested.featureChannels;
        const auto& s = *reshaped_;
        // By division: the product may leave the range.
        const bool fits = s.width && s.height && s.featureChannels && elements % s.width == 0 &&
                          elements / s.width % s.height == 0 &&
                          elements / s.width / s.height == s.featureChannels;
        if (!fits)
            throw Error(name(), "reshaped size",
                        fmt::format("{} elements, those of {} x {} pixels of {} feature channels", elements,
                                    suggested.width, suggested.height, suggested.featureChannels),
                        fmt::format("{} x {} of {}", s.width, s.height, s.featureChannels));
        descriptor.width = s.width;
        descriptor.height = s.height;
        descriptor.featureChannels = s.featureChannels;
    }
    return descriptor;
}

std::shared_ptr<State> NNReshape::newResultState(const StateOwner& owner, const std::shared_ptr<Image>&,
                                                 const StateBatch&, const std::shared_ptr<Image>&) {
    return std::make_shared<NNGradientState>(owner);
}

std::shared_ptr<ForwardRecord> NNReshape::captureRecord(const Image& source, const Image& destination) const {
    auto record = CNNKernel::captureRecord(source, destination);
    if (destination.featureChannels() > destinationFeatureChannelOffset())
        record->resultFeatureChannels = destination.featureChannels() - destinationFeatureChannelOffset();
    return record;
}

void NNReshape::fitToDestination(UnaryEncoding& encoding) const {
    const std::size_t channels = encoding.destinations[0]->featureChannels();
    if (channels > destinationFeatureChannelOffset())
        encoding.resultChannels = channels - destinationFeatureChannelOffset();
}

void NNReshape::validate(const UnaryEncoding& encoding) const {
    const auto width = static_cast<std::size_t>(encoding.clip.width),
               height = static_cast<std::size_t>(encoding.clip.height);
    const std::size_t elements = encoding.sourceWidth * encoding.sourceHeight * encoding.sourceChannels.count;
    if (width * height * encoding.resultChannels != elements)
        throw Error(name(), "destinationImage",
                    fmt::format("{} elements, those of {} x {} pixels of {} feature channels", elements,
                                encoding.sourceWidth, encoding.sourceHeight, encoding.sourceChannels.count),
                    fmt::format("{} x {} of {}", width, height, encoding.resultChannels));
}

void NNReshape::record(UnaryEncoding& encoding) {
    copyElements(*encoding.encoder, encoding.source, encoding.destination);
}

NNReshapeGradient::NNReshapeGradient(std::shared_ptr<MTL::Device> device)
    : CNNGradientKernel(std::move(device)) {}

std::shared_ptr<Kernel> NNReshapeGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<NNReshapeGradient>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

void NNReshapeGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    configurePrimary(*this, forward);
}

ImageDescriptor NNReshapeGradient::adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                    const StateBatch& sourceStates,
                                                    const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void NNReshapeGradient::validate(const BinaryEncoding& encoding) const {
    requireForwardImages(*this, encoding, requireRecord(*this, encoding.sourceStates, {"NNReshape"}));
}

void NNReshapeGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto area = areaOf(*this, *static_cast<const NNGradientState&>(*encoding.sourceStates[0]).record());
    copyElements(encoder, gradientOf(encoding, *this, area),
                 encoder.wholeGradient(encoding.destination, encoding.clip, encoding.secondary.shape.w,
                                       encoding.secondary.shape.h));
}

}  // namespace MPS

namespace pewter::mps {

MPS::ImageDescriptor ReshapeAccess::describe(MPS::NNReshape& kernel,
                                             const std::vector<std::shared_ptr<MPS::Image>>& sourceImages,
                                             const MPS::StateBatch& sourceStates, std::size_t width,
                                             std::size_t height, std::size_t featureChannels) {
    return kernel.withShape({width, height, featureChannels}, [&] {
        return kernel.destinationImageDescriptor(sourceImages, sourceStates);
    });
}

}  // namespace pewter::mps
