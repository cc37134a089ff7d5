#include <MPS/CNNNormalization.hpp>

#include "mps/kernels/NormalizationRecord.h"
#include "mps/kernels/Pointwise.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

constexpr float kAlpha = 0, kBeta = 0.5f, kDelta = 1.0f / 1024;

template <class Op, class Kernel>
Op operationOf(const Kernel& kernel) {
    auto op = operationWith<Op>(kernel);
    op.window = windowOf(kernel);
    op.p0 = kernel.p0();
    op.pm = kernel.pm();
    op.ps = kernel.ps();
    return op;
}

NormalizationParameters with(NormalizationParameters parameters, const CNNContrastProperties& contrast) {
    parameters.emplace_back("p0", contrast.p0());
    parameters.emplace_back("pm", contrast.pm());
    parameters.emplace_back("ps", contrast.ps());
    return parameters;
}

}  // namespace

CNNLocalContrastNormalization::CNNLocalContrastNormalization(std::shared_ptr<MTL::Device> device,
                                                             std::size_t kernelWidth,
                                                             std::size_t kernelHeight)
    : CNNLocalNormalization(std::move(device), kAlpha, kBeta, kDelta) {
    setPixels(kernelWidth, kernelHeight);
}

NormalizationParameters CNNLocalContrastNormalization::parameters() const {
    return with(CNNLocalNormalization::parameters(), *this);
}

void CNNLocalContrastNormalization::record(UnaryEncoding& encoding) {
    recordWindow(encoding, operationOf<ops::LocalContrastNormalizationForward>(*this));
}

std::shared_ptr<Kernel> CNNLocalContrastNormalization::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNLocalContrastNormalization>(new CNNLocalContrastNormalization(*this));
    if (device) copy->setDevice(device);
    return copy;
}

CNNLocalContrastNormalizationGradient::CNNLocalContrastNormalizationGradient(
    std::shared_ptr<MTL::Device> device, std::size_t kernelWidth, std::size_t kernelHeight)
    : CNNLocalNormalizationGradient(std::move(device), "CNNLocalContrastNormalization", kAlpha, kBeta,
                                    kDelta) {
    setPixels(kernelWidth, kernelHeight);
}

NormalizationParameters CNNLocalContrastNormalizationGradient::parameters() const {
    return with(CNNLocalNormalizationGradient::parameters(), *this);
}

void CNNLocalContrastNormalizationGradient::record(BinaryEncoding& encoding) {
    recordWindowGradient(encoding, *this, operationOf<ops::LocalContrastNormalizationGradient>(*this));
}

std::shared_ptr<Kernel> CNNLocalContrastNormalizationGradient::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNLocalContrastNormalizationGradient>(
        new CNNLocalContrastNormalizationGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
