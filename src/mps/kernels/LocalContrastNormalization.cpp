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
    op.p0 = kernel.p0();
    op.pm = kernel.pm();
    op.ps = kernel.ps();
    return op;
}

template <class Kernel>
NormalizationParameters parametersOf(const Kernel& kernel) {
    return {{"alpha", kernel.alpha()}, {"beta", kernel.beta()}, {"delta", kernel.delta()},
            {"p0", kernel.p0()},       {"pm", kernel.pm()},     {"ps", kernel.ps()}};
}

}  // namespace

CNNLocalContrastNormalization::CNNLocalContrastNormalization(std::shared_ptr<MTL::Device> device,
                                                             std::size_t kernelWidth,
                                                             std::size_t kernelHeight)
    : CNNKernel(std::move(device)) {
    requirePositive(*this, "kernelWidth", kernelWidth);
    requirePositive(*this, "kernelHeight", kernelHeight);
    setWindow(kernelWidth, kernelHeight, 1, 1);
}

std::shared_ptr<State> CNNLocalContrastNormalization::newResultState(const StateOwner& owner,
                                                                     const std::shared_ptr<Image>&,
                                                                     const StateBatch&,
                                                                     const std::shared_ptr<Image>&) {
    return std::make_shared<NNGradientState>(owner);
}

std::shared_ptr<ForwardRecord> CNNLocalContrastNormalization::captureRecord(const Image& source,
                                                                            const Image& destination) const {
    return std::make_shared<NormalizationRecord>(*CNNKernel::captureRecord(source, destination),
                                                 parametersOf(*this));
}

void CNNLocalContrastNormalization::record(UnaryEncoding& encoding) {
    encoding.encoder->run([source = encoding.source, destination = encoding.destination,
                           settings = operationOf<ops::LocalContrastNormalizationForward>(*this)] {
        auto op = settings;
        op.src = source.tensor();
        op.dst = destination.tensor();
        return op;
    });
}

std::shared_ptr<Kernel> CNNLocalContrastNormalization::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNLocalContrastNormalization>(new CNNLocalContrastNormalization(*this));
    if (device) copy->setDevice(device);
    return copy;
}

CNNLocalContrastNormalizationGradient::CNNLocalContrastNormalizationGradient(
    std::shared_ptr<MTL::Device> device, std::size_t kernelWidth, std::size_t kernelHeight)
    : CNNGradientKernel(std::move(device)) {
    requirePositive(*this, "kernelWidth", kernelWidth);
    requirePositive(*this, "kernelHeight", kernelHeight);
    secondaryGeometry().kernelWidth = kernelWidth;
    secondaryGeometry().kernelHeight = kernelHeight;
}

void CNNLocalContrastNormalizationGradient::configure(const ForwardRecord& forward) {
    // The window stays the one of the constructor, so that a state of another is found out.
    const auto width = secondaryKernelWidth(), height = secondaryKernelHeight();
    CNNGradientKernel::configure(forward);
    secondaryGeometry().kernelWidth = width;
    secondaryGeometry().kernelHeight = height;
    configurePrimary(*this, forward);
    setKernelOffsetX(0);
    setKernelOffsetY(0);
}

ImageDescriptor CNNLocalContrastNormalizationGradient::adjustDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates,
    const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void CNNLocalContrastNormalizationGradient::validate(const BinaryEncoding& encoding) const {
    requireForwardImages(
        *this, encoding,
        requireWindow(*this, encoding.sourceStates, "CNNLocalContrastNormalization", parametersOf(*this)));
}

void CNNLocalContrastNormalizationGradient::record(BinaryEncoding& encoding) {
    const auto area = areaOf(*this, *static_cast<const NNGradientState&>(*encoding.sourceStates[0]).record());
    encoding.encoder->run(
        [source = encoding.secondary, gradient = gradientOf(encoding, *this, area),
         target = encoding.encoder->wholeGradient(encoding.destination, encoding.clip,
                                                  encoding.secondary.shape.w, encoding.secondary.shape.h),
         settings = operationOf<ops::LocalContrastNormalizationGradient>(*this)] {
            auto op = settings;
            op.src = source.tensor();
            op.diffDst = gradient.tensor();
            op.diffSrc = target.tensor();
            return op;
        });
}

std::shared_ptr<Kernel> CNNLocalContrastNormalizationGradient::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNLocalContrastNormalizationGradient>(
        new CNNLocalContrastNormalizationGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
