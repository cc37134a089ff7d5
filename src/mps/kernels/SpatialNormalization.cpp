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
    op.window = windowOf(kernel);
    op.alpha = kernel.alpha();
    op.beta = kernel.beta();
    op.delta = kernel.delta();
    return op;
}

template <class Kernel>
NormalizationParameters parametersOf(const Kernel& kernel) {
    return {{"alpha", kernel.alpha()}, {"beta", kernel.beta()}, {"delta", kernel.delta()}};
}

}  // namespace

CNNSpatialNormalization::CNNSpatialNormalization(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                                 std::size_t kernelHeight)
    : CNNKernel(std::move(device)) {
    requirePositive(*this, "kernelWidth", kernelWidth);
    requirePositive(*this, "kernelHeight", kernelHeight);
    setWindow(kernelWidth, kernelHeight, 1, 1);
}

void CNNSpatialNormalization::setAlpha(float alpha) {
    requireAlpha(*this, alpha);
    alpha_ = alpha;
}

std::shared_ptr<State> CNNSpatialNormalization::newResultState(const StateOwner& owner,
                                                               const std::shared_ptr<Image>&,
                                                               const StateBatch&,
                                                               const std::shared_ptr<Image>&) {
    return std::make_shared<NNGradientState>(owner);
}

std::shared_ptr<ForwardRecord> CNNSpatialNormalization::captureRecord(const Image& source,
                                                                      const Image& destination) const {
    return std::make_shared<NormalizationRecord>(*CNNKernel::captureRecord(source, destination),
                                                 parametersOf(*this));
}

void CNNSpatialNormalization::record(UnaryEncoding& encoding) {
    encoding.encoder->run([source = encoding.source, destination = encoding.destination,
                           settings = operationOf<ops::SpatialNormalizationForward>(*this)] {
        auto op = settings;
        op.src = source.tensor();
        op.dst = destination.tensor();
        return op;
    });
}

std::shared_ptr<Kernel> CNNSpatialNormalization::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNSpatialNormalization>(new CNNSpatialNormalization(*this));
    if (device) copy->setDevice(device);
    return copy;
}

CNNSpatialNormalizationGradient::CNNSpatialNormalizationGradient(std::shared_ptr<MTL::Device> device,
                                                                 std::size_t kernelWidth,
                                                                 std::size_t kernelHeight)
    : CNNGradientKernel(std::move(device)) {
    requirePositive(*this, "kernelWidth", kernelWidth);
    requirePositive(*this, "kernelHeight", kernelHeight);
    secondaryGeometry().kernelWidth = kernelWidth;
    secondaryGeometry().kernelHeight = kernelHeight;
}

void CNNSpatialNormalizationGradient::setAlpha(float alpha) {
    requireAlpha(*this, alpha);
    alpha_ = alpha;
}

void CNNSpatialNormalizationGradient::configure(const ForwardRecord& forward) {
    // The window stays the one of the constructor, so that a state of another is found out.
    const auto width = secondaryKernelWidth(), height = secondaryKernelHeight();
    CNNGradientKernel::configure(forward);
    secondaryGeometry().kernelWidth = width;
    secondaryGeometry().kernelHeight = height;
    configurePrimary(*this, forward);
    setKernelOffsetX(0);
    setKernelOffsetY(0);
}

ImageDescriptor CNNSpatialNormalizationGradient::adjustDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates,
    const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void CNNSpatialNormalizationGradient::validate(const BinaryEncoding& encoding) const {
    requireForwardImages(
        *this, encoding,
        requireWindow(*this, encoding.sourceStates, "CNNSpatialNormalization", parametersOf(*this)));
}

void CNNSpatialNormalizationGradient::record(BinaryEncoding& encoding) {
    const auto area = areaOf(*this, *static_cast<const NNGradientState&>(*encoding.sourceStates[0]).record());
    encoding.encoder->run(
        [source = encoding.secondary, gradient = gradientOf(encoding, *this, area),
         target = encoding.encoder->wholeGradient(encoding.destination, encoding.clip,
                                                  encoding.secondary.shape.w, encoding.secondary.shape.h),
         settings = operationOf<ops::SpatialNormalizationGradient>(*this)] {
            auto op = settings;
            op.src = source.tensor();
            op.diffDst = gradient.tensor();
            op.diffSrc = target.tensor();
            return op;
        });
}

std::shared_ptr<Kernel> CNNSpatialNormalizationGradient::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNSpatialNormalizationGradient>(new CNNSpatialNormalizationGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
