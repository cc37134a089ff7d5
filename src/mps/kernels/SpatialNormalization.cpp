#include <MPS/CNNNormalization.hpp>

#include "mps/kernels/NormalizationRecord.h"
#include "mps/kernels/Pointwise.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

template <class Op, class Kernel>
Op operationOf(const Kernel& kernel) {
    auto op = operationWith<Op>(kernel);
    op.window = windowOf(kernel);
    return op;
}

}  // namespace

CNNSpatialNormalization::CNNSpatialNormalization(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                                 std::size_t kernelHeight)
    : CNNLocalNormalization(std::move(device), 1, 5, 1) {
    setPixels(kernelWidth, kernelHeight);
}

void CNNSpatialNormalization::checkAlpha(float alpha) const { requireAlpha(*this, alpha); }

void CNNSpatialNormalization::record(UnaryEncoding& encoding) {
    recordWindow(encoding, operationOf<ops::SpatialNormalizationForward>(*this));
}

std::shared_ptr<Kernel> CNNSpatialNormalization::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNSpatialNormalization>(new CNNSpatialNormalization(*this));
    if (device) copy->setDevice(device);
    return copy;
}

CNNSpatialNormalizationGradient::CNNSpatialNormalizationGradient(std::shared_ptr<MTL::Device> device,
                                                                 std::size_t kernelWidth,
                                                                 std::size_t kernelHeight)
    : CNNLocalNormalizationGradient(std::move(device), "CNNSpatialNormalization", 1, 5, 1) {
    setPixels(kernelWidth, kernelHeight);
}

void CNNSpatialNormalizationGradient::checkAlpha(float alpha) const { requireAlpha(*this, alpha); }

void CNNSpatialNormalizationGradient::record(BinaryEncoding& encoding) {
    recordWindowGradient(encoding, *this, operationOf<ops::SpatialNormalizationGradient>(*this));
}

std::shared_ptr<Kernel> CNNSpatialNormalizationGradient::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNSpatialNormalizationGradient>(new CNNSpatialNormalizationGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
