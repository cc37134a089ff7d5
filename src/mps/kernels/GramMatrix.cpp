#include <fmt/format.h>

#include <MPS/NNGramMatrix.hpp>
#include <MTL/Error.hpp>

#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/Pointwise.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

/// What a Gram matrix keeps besides its geometry.
struct GramMatrixRecord final : ForwardRecord {
    GramMatrixRecord(const ForwardRecord& base, float factor) : ForwardRecord(base), alpha(factor) {}

    float alpha;

    void describe(std::vector<std::pair<std::string, std::string>>& facts) const override {
        ForwardRecord::describe(facts);
        facts.emplace_back("alpha", fmt::format("{}", alpha));
    }
};

}  // namespace

NNGramMatrixCalculation::NNGramMatrixCalculation(std::shared_ptr<MTL::Device> device, float alpha)
    : CNNKernel(std::move(device)), alpha_(alpha) {}

std::shared_ptr<Kernel> NNGramMatrixCalculation::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<NNGramMatrixCalculation>(new NNGramMatrixCalculation(*this));
    if (device) copy->setDevice(device);
    return copy;
}

ImageDescriptor NNGramMatrixCalculation::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&,
                                                          const StateBatch&,
                                                          const ImageDescriptor& suggested) {
    auto descriptor = suggested;
    descriptor.width = suggested.featureChannels;
    descriptor.height = 1;
    return descriptor;
}

std::shared_ptr<State> NNGramMatrixCalculation::newResultState(const StateOwner& owner,
                                                               const std::shared_ptr<Image>&,
                                                               const StateBatch&,
                                                               const std::shared_ptr<Image>&) {
    return std::make_shared<NNGradientState>(owner);
}

std::shared_ptr<ForwardRecord> NNGramMatrixCalculation::captureRecord(const Image& source,
                                                                      const Image& destination) const {
    return std::make_shared<GramMatrixRecord>(*CNNKernel::captureRecord(source, destination), alpha_);
}

void NNGramMatrixCalculation::validate(const UnaryEncoding& encoding) const {
    if (offset() != Offset{})
        throw Error(name(), "offset", "the default (0, 0, 0): the matrix takes in the whole source",
                    fmt::format("({}, {}, {})", offset().x, offset().y, offset().z));
    if (clipRect() != RectNoClip)
        throw Error(name(), "clipRect", "the default RectNoClip: the matrix is written whole",
                    fmt::format("{} x {} pixels from ({}, {}) on", clipRect().size.width,
                                clipRect().size.height, clipRect().origin.x, clipRect().origin.y));
    const auto side = static_cast<std::int64_t>(encoding.resultChannels);
    if (!encoding.destinations.empty() && (encoding.clip.width != side || encoding.clip.height != 1))
        throw Error(name(), "destinationImage",
                    fmt::format("{} x 1 pixels, as many as channels are read", side),
                    fmt::format("{} x {}", encoding.clip.width, encoding.clip.height));
}

void NNGramMatrixCalculation::record(UnaryEncoding& encoding) {
    if (callBack_) alpha_ = callBack_->alpha(encoding.sources[0], encoding.destinations[0]);
    encoding.encoder->run([source = encoding.source, destination = encoding.destination, alpha = alpha_] {
        return ops::GramMatrixForward{source.tensor(), destination.tensor(), alpha};
    });
}

NNGramMatrixCalculationGradient::NNGramMatrixCalculationGradient(std::shared_ptr<MTL::Device> device,
                                                                 float alpha)
    : CNNGradientKernel(std::move(device)), alpha_(alpha) {}

std::shared_ptr<Kernel> NNGramMatrixCalculationGradient::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<NNGramMatrixCalculationGradient>(new NNGramMatrixCalculationGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

void NNGramMatrixCalculationGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    configurePrimary(*this, forward);
    setKernelOffsetX(0);
    setKernelOffsetY(0);
    if (const auto* gram = dynamic_cast<const GramMatrixRecord*>(&forward)) alpha_ = gram->alpha;
}

ImageDescriptor NNGramMatrixCalculationGradient::adjustDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates,
    const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void NNGramMatrixCalculationGradient::validate(const BinaryEncoding& encoding) const {
    requireForwardImages(*this, encoding,
                         requireRecord(*this, encoding.sourceStates, {"NNGramMatrixCalculation"}));
    if (kernelOffsetX() != 0 || kernelOffsetY() != 0)
        throw Error(name(), "kernelOffset", "(0, 0): the matrix has no place in the image",
                    fmt::format("({}, {})", kernelOffsetX(), kernelOffsetY()));
    if (secondaryOffset().x != 0 || secondaryOffset().y != 0)
        throw Error(name(), "secondaryOffset", "(0, 0): the matrix takes in the whole source",
                    fmt::format("({}, {})", secondaryOffset().x, secondaryOffset().y));
}

void NNGramMatrixCalculationGradient::record(BinaryEncoding& encoding) {
    const auto& forward = *static_cast<const NNGradientState&>(*encoding.sourceStates[0]).record();
    alpha_ = static_cast<const GramMatrixRecord&>(forward).alpha;
    encoding.encoder->run(
        [source = encoding.secondary, gradient = gradientOf(encoding, *this, areaOf(*this, forward)),
         target = encoding.encoder->wholeGradient(encoding.destination, encoding.clip,
                                                  encoding.secondary.shape.w, encoding.secondary.shape.h),
         alpha = alpha_] {
            return ops::GramMatrixGradient{source.tensor(), gradient.tensor(), target.tensor(), alpha};
        });
}

}  // namespace MPS
