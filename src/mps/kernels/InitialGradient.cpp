#include <MPS/NNInitialGradient.hpp>

#include "mps/core/Encoder.h"
#include "ops/Copy.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

NNInitialGradient::NNInitialGradient(std::shared_ptr<MTL::Device> device) : CNNKernel(std::move(device)) {}

std::shared_ptr<Kernel> NNInitialGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<NNInitialGradient>(new NNInitialGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

void NNInitialGradient::record(UnaryEncoding& encoding) {
    encoding.encoder->run([destination = encoding.destination] {
        ops::Fill op;
        op.dst = destination.tensor();
        op.value = 1;
        return op;
    });
}

}  // namespace MPS
