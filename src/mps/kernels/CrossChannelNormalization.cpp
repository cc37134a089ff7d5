#include <MPS/CNNNormalization.hpp>
#include <MTL/Error.hpp>

#include "mps/kernels/NormalizationRecord.h"
#include "mps/kernels/Pointwise.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

template <class Op, class Kernel>
Op operationOf(const Kernel& kernel) {
    Op op;
    op.kernelSize = static_cast<std::int64_t>(kernel.kernelSize());
    op.alpha = kernel.alpha();
    op.beta = kernel.beta();
    op.delta = kernel.delta();
    return op;
}

template <class Kernel>
NormalizationParameters parametersOf(const Kernel& kernel) {
    return {{"alpha", kernel.alpha()},
            {"beta", kernel.beta()},
            {"delta", kernel.delta()},
            {"kernelSize", static_cast<double>(kernel.kernelSize())}};
}

}  // namespace

CNNCrossChannelNormalization::CNNCrossChannelNormalization(std::shared_ptr<MTL::Device> device,
                                                           std::size_t kernelSize)
    : CNNKernel(std::move(device)), kernelSize_(kernelSize) {
    requirePositive(*this, "kernelSize", kernelSize);
}

void CNNCrossChannelNormalization::setAlpha(float alpha) {
    requireAlpha(*this, alpha);
    alpha_ = alpha;
}

std::shared_ptr<State> CNNCrossChannelNormalization::newResultState(const StateOwner& owner,
                                                                    const std::shared_ptr<Image>&,
                                                                    const StateBatch&,
                                                                    const std::shared_ptr<Image>&) {
    return std::make_shared<NNGradientState>(owner);
}

std::shared_ptr<ForwardRecord> CNNCrossChannelNormalization::captureRecord(const Image& source,
                                                                           const Image& destination) const {
    return std::make_shared<NormalizationRecord>(*CNNKernel::captureRecord(source, destination),
                                                 parametersOf(*this));
}

void CNNCrossChannelNormalization::record(UnaryEncoding& encoding) {
    encoding.encoder->run([source = pointwiseSource(encoding, *this), destination = encoding.destination,
                           settings = operationOf<ops::CrossChannelNormalizationForward>(*this)] {
        auto op = settings;
        op.src = source.tensor();
        op.dst = destination.tensor();
        return op;
    });
}

std::shared_ptr<Kernel> CNNCrossChannelNormalization::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNCrossChannelNormalization>(new CNNCrossChannelNormalization(*this));
    if (device) copy->setDevice(device);
    return copy;
}

CNNCrossChannelNormalizationGradient::CNNCrossChannelNormalizationGradient(
    std::shared_ptr<MTL::Device> device, std::size_t kernelSize)
    : CNNGradientKernel(std::move(device)), kernelSize_(kernelSize) {
    requirePositive(*this, "kernelSize", kernelSize);
}

void CNNCrossChannelNormalizationGradient::setAlpha(float alpha) {
    requireAlpha(*this, alpha);
    alpha_ = alpha;
}

void CNNCrossChannelNormalizationGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    configurePrimary(*this, forward);
    setKernelOffsetX(0);
    setKernelOffsetY(0);
}

ImageDescriptor CNNCrossChannelNormalizationGradient::adjustDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates,
    const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void CNNCrossChannelNormalizationGradient::validate(const BinaryEncoding& encoding) const {
    requireForwardImages(
        *this, encoding,
        requireParameters(*this, encoding.sourceStates, "CNNCrossChannelNormalization", parametersOf(*this)));
}

void CNNCrossChannelNormalizationGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto area = areaOf(*this, *static_cast<const NNGradientState&>(*encoding.sourceStates[0]).record());
    PointwiseResult result(encoder,
                           encoder.wholeGradient(encoding.destination, encoding.clip,
                                                 encoding.secondary.shape.w, encoding.secondary.shape.h),
                           area);
    encoder.run(
        [source = encoder.region(encoding.secondary, area.x, area.y, area.width, area.height, area.edge),
         gradient = gradientOf(encoding, *this, area), target = result.target(),
         settings = operationOf<ops::CrossChannelNormalizationGradient>(*this)] {
            auto op = settings;
            op.src = source.tensor();
            op.diffDst = gradient.tensor();
            op.diffSrc = target.tensor();
            return op;
        });
    result.finish();
}

std::shared_ptr<Kernel> CNNCrossChannelNormalizationGradient::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNCrossChannelNormalizationGradient>(
        new CNNCrossChannelNormalizationGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
