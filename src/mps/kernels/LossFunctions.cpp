#include "mps/kernels/LossFunctions.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>

#include "mps/core/Encoder.h"

namespace pewter::mps {

using MPS::CNNLossType;
using MPS::CNNReductionType;
using MTL::Error;

void checkLoss(const MPS::Kernel& kernel, const MPS::CNNLossDescriptor& d) {
    if (d.lossType >= CNNLossType::Count)
        throw Error(kernel.name(), "lossType", "one of the ten loss types",
                    fmt::format("{}", static_cast<std::uint32_t>(d.lossType)));
    if (d.reductionType < CNNReductionType::None || d.reductionType >= CNNReductionType::Count)
        throw Error(kernel.name(), "reductionType", "None, Sum, Mean or SumByNonZeroWeights",
                    fmt::format("{}", static_cast<std::int32_t>(d.reductionType)));
    if (d.lossType == CNNLossType::CosineDistance && d.reductionType != CNNReductionType::Sum)
        throw Error(kernel.name(), "reductionType", "Sum, the only one for CosineDistance",
                    fmt::format("{}", static_cast<std::int32_t>(d.reductionType)));
    checkLabelSmoothing(kernel, d.labelSmoothing);
    if (d.numberOfClasses == 0) throw Error(kernel.name(), "numberOfClasses", "at least 1", "0");
}

void checkLabelSmoothing(const MPS::Kernel& kernel, float labelSmoothing) {
    if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
        throw Error(kernel.name(), "labelSmoothing", "0 to 1", fmt::format("{}", labelSmoothing));
}

void checkLabels(const MPS::Kernel& kernel, const MPS::ImageBatch& labels, const MPS::ImageBatch& weights,
                 std::size_t width, std::size_t height, std::size_t channels) {
    for (const auto& [argument, images] : {std::pair{"labels", &labels}, {"weights", &weights}})
        if (!images->empty()) {
            const auto& image = *images->front();
            if (image.width() != width || image.height() != height || image.featureChannels() != channels)
                throw Error(
                    kernel.name(), argument,
                    fmt::format("{} x {} x {}, the size of the source", width, height, channels),
                    fmt::format("{} x {} x {}", image.width(), image.height(), image.featureChannels()));
        }
}

ops::LossFunction functionOf(const MPS::CNNLossDescriptor& d) {
    return {static_cast<ops::LossType>(d.lossType),      d.weight, d.labelSmoothing, d.epsilon, d.delta,
            static_cast<std::int64_t>(d.numberOfClasses)};
}

ops::LossReduction reductionOf(const MPS::CNNLossDescriptor& d) {
    return {static_cast<ops::ReductionType>(d.reductionType),
            d.reduceAcrossBatch && d.reductionType != CNNReductionType::None};
}

void encodeLoss(Encoder& encoder, const LossOperands& operands, const MPS::CNNLossDescriptor& descriptor) {
    encoder.run([operands, function = functionOf(descriptor), reduction = reductionOf(descriptor)] {
        ops::Loss op;
        op.function = function;
        op.reduction = reduction;
        operands.fill(op);
        return op;
    });
}

}  // namespace pewter::mps
