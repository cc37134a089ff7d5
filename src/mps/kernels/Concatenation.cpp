#include "mps/kernels/Concatenation.h"

#include <MPS/NNGradientState.hpp>

#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"
#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/Pointwise.h"

namespace pewter::mps {

namespace {

void copyPixels(Encoder& encoder, const TensorRef& from, const TensorRef& to) {
    encoder.run([from, to] {
        ops::Copy op;
        op.src = from.tensor();
        op.dst = to.tensor();
        return op;
    });
}

}  // namespace

Concatenation::Concatenation(std::shared_ptr<MTL::Device> device) : CNNKernel(std::move(device)) {}

std::shared_ptr<MPS::Kernel> Concatenation::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<Concatenation>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<MPS::State> Concatenation::newResultState(const MPS::StateOwner& owner,
                                                          const std::shared_ptr<MPS::Image>&,
                                                          const MPS::StateBatch&,
                                                          const std::shared_ptr<MPS::Image>&) {
    return std::make_shared<MPS::NNGradientState>(owner);
}

void Concatenation::record(UnaryEncoding& encoding) {
    if (copies_) copyPixels(*encoding.encoder, pointwiseSource(encoding, *this), encoding.destination);
}

ConcatenationGradient::ConcatenationGradient(std::shared_ptr<MTL::Device> device)
    : CNNGradientKernel(std::move(device)) {}

std::shared_ptr<MPS::Kernel> ConcatenationGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<ConcatenationGradient>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

void ConcatenationGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    configurePrimary(*this, forward);
}

MPS::ImageDescriptor ConcatenationGradient::adjustDescriptor(
    const std::vector<std::shared_ptr<MPS::Image>>& sourceImages, const MPS::StateBatch& sourceStates,
    const MPS::ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void ConcatenationGradient::validate(const BinaryEncoding& encoding) const {
    requireForwardImages(*this, encoding, requireRecord(*this, encoding.sourceStates, {"NNConcatenation"}));
}

void ConcatenationGradient::record(BinaryEncoding& encoding) {
    if (!copies_) return;
    auto& encoder = *encoding.encoder;
    const auto& state = static_cast<const MPS::NNGradientState&>(*encoding.sourceStates[0]);
    const auto area = areaOf(*this, *state.record());
    PointwiseResult result(encoder,
                           encoder.wholeGradient(encoding.destination, encoding.clip,
                                                 encoding.secondary.shape.w, encoding.secondary.shape.h),
                           area);
    copyPixels(encoder, gradientOf(encoding, *this, area), result.target());
    result.finish();
}

}  // namespace pewter::mps
