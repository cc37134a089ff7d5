#include <MPS/CNNNormalization.hpp>
#include <MTL/Error.hpp>

#include "mps/kernels/NormalizationRecord.h"
#include "mps/kernels/Pointwise.h"

namespace MPS {

using namespace pewter::mps;

namespace {

NormalizationParameters common(const CNNNormalizationProperties& properties) {
    return {{"alpha", properties.alpha()}, {"beta", properties.beta()}, {"delta", properties.delta()}};
}

void requirePixels(const Kernel& kernel, std::size_t width, std::size_t height) {
    requirePositive(kernel, "kernelWidth", width);
    requirePositive(kernel, "kernelHeight", height);
}

}  // namespace

CNNLocalNormalization::CNNLocalNormalization(std::shared_ptr<MTL::Device> device, float alpha, float beta,
                                             float delta)
    : CNNKernel(std::move(device)), CNNNormalizationProperties(alpha, beta, delta) {}

void CNNLocalNormalization::setPixels(std::size_t kernelWidth, std::size_t kernelHeight) {
    requirePixels(*this, kernelWidth, kernelHeight);
    setWindow(kernelWidth, kernelHeight, 1, 1);
}

NormalizationParameters CNNLocalNormalization::parameters() const { return common(*this); }

std::shared_ptr<State> CNNLocalNormalization::newResultState(const StateOwner& owner,
                                                             const std::shared_ptr<Image>&, const StateBatch&,
                                                             const std::shared_ptr<Image>&) {
    return std::make_shared<NNGradientState>(owner);
}

std::shared_ptr<ForwardRecord> CNNLocalNormalization::captureRecord(const Image& source,
                                                                    const Image& destination) const {
    return std::make_shared<NormalizationRecord>(*CNNKernel::captureRecord(source, destination),
                                                 parameters());
}

CNNLocalNormalizationGradient::CNNLocalNormalizationGradient(std::shared_ptr<MTL::Device> device,
                                                             const char* forwardClass, float alpha,
                                                             float beta, float delta)
    : CNNGradientKernel(std::move(device)),
      CNNNormalizationProperties(alpha, beta, delta),
      forwardClass_(forwardClass) {}

void CNNLocalNormalizationGradient::setPixels(std::size_t kernelWidth, std::size_t kernelHeight) {
    requirePixels(*this, kernelWidth, kernelHeight);
    secondaryGeometry().kernelWidth = kernelWidth;
    secondaryGeometry().kernelHeight = kernelHeight;
}

NormalizationParameters CNNLocalNormalizationGradient::parameters() const { return common(*this); }

void CNNLocalNormalizationGradient::configure(const ForwardRecord& forward) {
    const auto width = secondaryKernelWidth(), height = secondaryKernelHeight();
    CNNGradientKernel::configure(forward);
    secondaryGeometry().kernelWidth = width;
    secondaryGeometry().kernelHeight = height;
    configurePrimary(*this, forward);
    setKernelOffsetX(0);
    setKernelOffsetY(0);
}

ImageDescriptor CNNLocalNormalizationGradient::adjustDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates,
    const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void CNNLocalNormalizationGradient::validate(const BinaryEncoding& encoding) const {
    requireForwardImages(*this, encoding,
                         requireWindow(*this, encoding.sourceStates, forwardClass_, parameters()));
}

}  // namespace MPS
