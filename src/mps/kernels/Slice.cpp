#include <MPS/NNSlice.hpp>
#include <algorithm>

#include "mps/core/Encoder.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

NNSlice::NNSlice(std::shared_ptr<MTL::Device> device) : CNNKernel(std::move(device)) {}

std::shared_ptr<Kernel> NNSlice::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<NNSlice>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

void NNSlice::fitToDestination(UnaryEncoding& encoding) const {
    const std::size_t channels = encoding.destinations[0]->featureChannels();
    if (channels <= destinationFeatureChannelOffset()) return;  // refused by name later
    encoding.resultChannels = encoding.sourceChannels.count =
        std::min(encoding.sourceChannels.count, channels - destinationFeatureChannelOffset());
}

void NNSlice::record(UnaryEncoding& encoding) {
    encoding.encoder->run([source = encoding.source, destination = encoding.destination, at = offset(),
                           edge = edgeOf(edgeMode())] {
        ops::Copy op;
        op.src = source.tensor();
        op.dst = destination.tensor();
        op.offsetX = at.x;
        op.offsetY = at.y;
        op.edge = edge;
        return op;
    });
}

}  // namespace MPS
