#include <fmt/format.h>
#include <MPS/CNNSoftMax.hpp>
#include <MTL/Error.hpp>

#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/Pointwise.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

CNNSoftMax::CNNSoftMax(std::shared_ptr<MTL::Device> device) : CNNKernel(std::move(device)) {}
CNNLogSoftMax::CNNLogSoftMax(std::shared_ptr<MTL::Device> device) : CNNSoftMax(std::move(device)) {}

std::shared_ptr<Kernel> CNNSoftMax::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNSoftMax>(new CNNSoftMax(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<Kernel> CNNLogSoftMax::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNLogSoftMax>(new CNNLogSoftMax(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<State> CNNSoftMax::newResultState(const StateOwner& owner, const std::shared_ptr<Image>&,
                                                  const StateBatch&, const std::shared_ptr<Image>&) {
    return std::make_shared<NNGradientState>(owner);
}

void CNNSoftMax::record(UnaryEncoding& encoding) {
    encoding.encoder->run([source = pointwiseSource(encoding, *this), destination = encoding.destination,
                           logarithm = isLogarithm()] {
        ops::SoftMaxForward op;
        op.src = source.tensor();
        op.dst = destination.tensor();
        op.logarithm = logarithm;
        return op;
    });
}

CNNSoftMaxGradient::CNNSoftMaxGradient(std::shared_ptr<MTL::Device> device)
    : CNNGradientKernel(std::move(device)) {}
CNNLogSoftMaxGradient::CNNLogSoftMaxGradient(std::shared_ptr<MTL::Device> device)
    : CNNSoftMaxGradient(std::move(device)) {}

std::shared_ptr<Kernel> CNNSoftMaxGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNSoftMaxGradient>(new CNNSoftMaxGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<Kernel> CNNLogSoftMaxGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNLogSoftMaxGradient>(new CNNLogSoftMaxGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

void CNNSoftMaxGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    configurePrimary(*this, forward);
    setSecondaryOffset(primaryOffset());
    setSecondarySourceFeatureChannelOffset(forward.destinationFeatureChannelOffset);
    setSecondarySourceFeatureChannelMaxCount(forward.resultFeatureChannels);
    setSecondaryEdgeMode(ImageEdgeMode::Zero);
}

bool CNNSoftMaxGradient::accepts(const State& state) const {
    return dynamic_cast<const NNGradientState*>(&state) != nullptr;
}

ImageDescriptor CNNSoftMaxGradient::adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                     const StateBatch& sourceStates,
                                                     const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void CNNSoftMaxGradient::validate(const BinaryEncoding& encoding) const {
    const auto& record =
        requireRecord(*this, encoding.sourceStates, {isLogarithm() ? "CNNLogSoftMax" : "CNNSoftMax"});
    requireForwardGradient(*this, encoding, record, record.resultFeatureChannels, primaryOffset().x,
                           primaryOffset().y);
    const auto& at = secondaryOffset();
    const auto w = static_cast<std::int64_t>(record.clip.size.width),
               h = static_cast<std::int64_t>(record.clip.size.height);
    if (encoding.secondaryChannels.count != record.resultFeatureChannels || at.x < 0 || at.y < 0 ||
        at.x + w > static_cast<std::int64_t>(encoding.secondaryWidth) ||
        at.y + h > static_cast<std::int64_t>(encoding.secondaryHeight))
        throw Error(name(), "sourceImage",
                    fmt::format("the result of {}: {} feature channels, {} x {} pixels from ({}, {}) on",
                                record.kernel, record.resultFeatureChannels, w, h, at.x, at.y),
                    fmt::format("{} channels, {} x {}", encoding.secondaryChannels.count,
                                encoding.secondaryWidth, encoding.secondaryHeight));
}

void CNNSoftMaxGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto& forward = *static_cast<const NNGradientState&>(*encoding.sourceStates[0]).record();
    // The gradient lies where the forward input was read, the result where it was written.
    PointwiseArea area = areaOf(*this, forward);
    area.x = forward.offset.x;
    area.y = forward.offset.y;
    area.edge = edgeOf(forward.edgeMode);
    PointwiseResult target(encoder,
                           encoder.wholeGradient(encoding.destination, encoding.clip,
                                                 static_cast<std::int64_t>(forward.sourceWidth),
                                                 static_cast<std::int64_t>(forward.sourceHeight)),
                           area);
    encoder.run(
        [result =
             encoding.secondary.region(secondaryOffset().x, secondaryOffset().y, area.width, area.height),
         gradient = gradientOf(encoding, *this, area), target = target.target(), logarithm = isLogarithm()] {
            ops::SoftMaxGradient op;
            op.dst = result.tensor();
            op.diffDst = gradient.tensor();
            op.diffSrc = target.tensor();
            op.logarithm = logarithm;
            return op;
        });
    target.finish();
}

}  // namespace MPS
