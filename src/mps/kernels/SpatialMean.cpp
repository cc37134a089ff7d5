#include "mps/kernels/SpatialMean.h"

#include <fmt/format.h>

#include <MPS/NNGradientState.hpp>
#include <limits>

#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"
#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/Pointwise.h"

namespace pewter::mps {

namespace {

/// What a spatial mean keeps besides its geometry.
struct SpatialMeanRecord final : ForwardRecord {
    explicit SpatialMeanRecord(const ForwardRecord& base) : ForwardRecord(base) {}

    Clip region;

    void describe(std::vector<std::pair<std::string, std::string>>& facts) const override {
        ForwardRecord::describe(facts);
        facts.emplace_back("source region", fmt::format("{} x {} at ({}, {})", region.width, region.height,
                                                        region.x, region.y));
    }
};

}  // namespace

SpatialMean::SpatialMean(std::shared_ptr<MTL::Device> device)
    : NNReduceUnary(std::move(device), Along::Pixels, static_cast<int>(ops::ReductionOperation::Mean)) {}

std::shared_ptr<MPS::Kernel> SpatialMean::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<SpatialMean>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<MPS::State> SpatialMean::newResultState(const MPS::StateOwner& owner,
                                                        const std::shared_ptr<MPS::Image>&,
                                                        const MPS::StateBatch&,
                                                        const std::shared_ptr<MPS::Image>&) {
    return std::make_shared<MPS::NNGradientState>(owner);
}

std::shared_ptr<ForwardRecord> SpatialMean::captureRecord(const MPS::Image& source,
                                                          const MPS::Image& destination) const {
    auto record = std::make_shared<SpatialMeanRecord>(*NNReduceUnary::captureRecord(source, destination));
    record->region = resolveClip(clipRectSource(), source.width(), source.height());
    // Of the destination one pixel is written.
    record->clip.size.width = record->clip.size.height = 1;
    return record;
}

SpatialMeanGradient::SpatialMeanGradient(std::shared_ptr<MTL::Device> device)
    : CNNGradientKernel(std::move(device)) {}

std::shared_ptr<MPS::Kernel> SpatialMeanGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<SpatialMeanGradient>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

void SpatialMeanGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    configurePrimary(*this, forward);
}

MPS::ImageDescriptor SpatialMeanGradient::adjustDescriptor(
    const std::vector<std::shared_ptr<MPS::Image>>& sourceImages, const MPS::StateBatch& sourceStates,
    const MPS::ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void SpatialMeanGradient::validate(const BinaryEncoding& encoding) const {
    requireForwardImages(*this, encoding,
                         requireRecord(*this, encoding.sourceStates, {"NNReduceSpatialMean"}));
}

void SpatialMeanGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto& state = static_cast<const MPS::NNGradientState&>(*encoding.sourceStates[0]);
    const auto& region = static_cast<const SpatialMeanRecord&>(*state.record()).region;
    const auto whole = encoder.wholeGradient(encoding.destination, encoding.clip, encoding.secondary.shape.w,
                                             encoding.secondary.shape.h);
    const auto fill = [&](const TensorRef& target, float value) {
        encoder.run([target, value] {
            ops::Fill op;
            op.dst = target.tensor();
            op.value = value;
            return op;
        });
    };
    if (region.width != whole.shape.w || region.height != whole.shape.h) fill(whole, 0);
    // A division, for its one rounding; one pixel of the gradient and one divisor serve the whole region.
    const auto type = whole.shape.type == ops::Type::Float64 ? ops::Type::Float64 : ops::Type::Float32;
    auto pixels = encoder.scratch(type, 1, 1, 1, 1);
    fill(pixels, static_cast<float>(region.width * region.height));
    auto gradient = encoding.primary.region(primaryOffset().x, primaryOffset().y, 1, 1);
    const auto target = whole.region(region.x, region.y, region.width, region.height);
    for (auto* operand : {&pixels, &gradient}) {
        auto& shape = operand->shape;
        shape.w = region.width, shape.strideW = 0;
        shape.h = region.height, shape.strideH = 0;
    }
    pixels.shape.n = target.shape.n, pixels.shape.strideN = 0;
    pixels.shape.c = target.shape.c, pixels.shape.strideC = 0;
    encoder.run([gradient, pixels, target] {
        ops::Arithmetic op;
        op.type = ops::ArithmeticType::Divide;
        op.primary = gradient.tensor();
        op.secondary = pixels.tensor();
        op.dst = target.tensor();
        op.minimum = -std::numeric_limits<float>::infinity();
        op.maximum = std::numeric_limits<float>::infinity();
        return op;
    });
}

}  // namespace pewter::mps
