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
    op.kernelSize = static_cast<std::int64_t>(kernel.kernelSize());
    return op;
}

NormalizationParameters with(NormalizationParameters parameters, std::size_t kernelSize) {
    parameters.emplace_back("kernelSize", static_cast<double>(kernelSize));
    return parameters;
}

}  // namespace

CNNCrossChannelNormalization::CNNCrossChannelNormalization(std::shared_ptr<MTL::Device> device,
                                                           std::size_t kernelSize)
    : CNNLocalNormalization(std::move(device), 1, 5, 1), kernelSize_(kernelSize) {
    requirePositive(*this, "kernelSize", kernelSize);
}

void CNNCrossChannelNormalization::checkAlpha(float alpha) const { requireAlpha(*this, alpha); }

NormalizationParameters CNNCrossChannelNormalization::parameters() const {
    return with(CNNLocalNormalization::parameters(), kernelSize_);
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
    : CNNLocalNormalizationGradient(std::move(device), "CNNCrossChannelNormalization", 1, 5, 1),
      kernelSize_(kernelSize) {
    requirePositive(*this, "kernelSize", kernelSize);
}

void CNNCrossChannelNormalizationGradient::checkAlpha(float alpha) const { requireAlpha(*this, alpha); }

NormalizationParameters CNNCrossChannelNormalizationGradient::parameters() const {
    return with(CNNLocalNormalizationGradient::parameters(), kernelSize_);
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
