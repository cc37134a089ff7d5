#include <fmt/format.h>

#include <MPS/CNNBatchNormalization.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Encoder.h"
#include "mps/kernels/BatchNormalizationAccess.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;
using Access = BatchNormalizationAccess;

CNNBatchNormalizationStatistics::CNNBatchNormalizationStatistics(std::shared_ptr<MTL::Device> device)
    : CNNKernel(std::move(device)) {}

std::shared_ptr<Kernel> CNNBatchNormalizationStatistics::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNBatchNormalizationStatistics>(new CNNBatchNormalizationStatistics(*this));
    if (device) copy->setDevice(device);
    return copy;
}

void CNNBatchNormalizationStatistics::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                  const ImageBatch& sourceImages,
                                                  const std::shared_ptr<CNNBatchNormalizationState>& state) {
    // The state is written, not read: its count stays.
    encodeImages(commandBuffer, sourceImages, {}, StateBatch(sourceImages.size(), state), {}, true);
}

void CNNBatchNormalizationStatistics::validate(const UnaryEncoding& encoding) const {
    if (!encoding.destinations.empty())
        throw Error(name(), "encode", "an encode with a batch normalisation state and no destination",
                    "one that makes an image");
    for (const auto& state : encoding.destinationStates) {
        const auto* own = dynamic_cast<const CNNBatchNormalizationState*>(state.get());
        if (!own)
            throw Error(name(), "batchNormalizationState", "a CNNBatchNormalizationState",
                        fmt::format("a {}", state->className()));
        if (Access::parameters(*own).channels != encoding.sourceChannels.count)
            throw Error(name(), "sourceImages",
                        fmt::format("{} feature channels", Access::parameters(*own).channels),
                        fmt::format("{}", encoding.sourceChannels.count));
    }
}

void CNNBatchNormalizationStatistics::record(UnaryEncoding& encoding) {
    auto& state = static_cast<CNNBatchNormalizationState&>(*encoding.destinationStates[0]);
    const auto& shape = encoding.source.shape;
    const auto before = Access::addStatistics(state, shape.n * shape.h * shape.w);
    encoding.encoder->run([source = encoding.source, mean = Access::own(state, Access::Mean),
                           variance = Access::own(state, Access::Variance), before] {
        ops::BatchNormalizationStatistics op;
        op.src = source.tensor();
        op.mean = mean.array();
        op.variance = variance.array();
        op.countBefore = before;
        return op;
    });
}

}  // namespace MPS
