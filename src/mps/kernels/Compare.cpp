#include <fmt/format.h>

#include <MPS/NNCompare.hpp>
#include <MTL/Error.hpp>

#include "mps/kernels/ArithmeticOperand.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

NNCompare::NNCompare(std::shared_ptr<MTL::Device> device) : CNNArithmetic(std::move(device)) {}

void NNCompare::setComparisonType(NNComparisonType type) {
    if (type > NNComparisonType::GreaterOrEqual)
        throw Error(name(), "comparisonType", "0 (Equal) to 5 (GreaterOrEqual)",
                    fmt::format("{}", static_cast<std::uint64_t>(type)));
    comparisonType_ = type;
}

std::shared_ptr<Kernel> NNCompare::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<NNCompare>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<State> NNCompare::newResultState(const StateOwner&, const std::shared_ptr<Image>&,
                                                 const std::shared_ptr<Image>&, const StateBatch&,
                                                 const std::shared_ptr<Image>&) {
    return nullptr;
}

void NNCompare::validate(const BinaryEncoding& encoding) const {
    if (!encoding.destinationStates.empty())
        throw Error(name(), "destinationState", "none: a comparison has no gradient",
                    fmt::format("a {}", encoding.destinationStates[0]->className()));
    CNNArithmetic::validate(encoding);
}

void NNCompare::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto& shape = encoding.destination.shape;
    encoder.run([primary = arithmeticOperand(encoder, encoding.primary, primaryGeometry(),
                                             primaryStrideInFeatureChannels(), shape.w, shape.h, shape.c),
                 secondary = arithmeticOperand(encoder, encoding.secondary, secondaryGeometry(),
                                               secondaryStrideInFeatureChannels(), shape.w, shape.h, shape.c),
                 destination = encoding.destination, type = static_cast<ops::ComparisonType>(comparisonType_),
                 threshold = threshold_] {
        ops::Compare op;
        op.type = type;
        op.primary = primary.tensor();
        op.secondary = secondary.tensor();
        op.dst = destination.tensor();
        op.threshold = threshold;
        return op;
    });
}

}  // namespace MPS
