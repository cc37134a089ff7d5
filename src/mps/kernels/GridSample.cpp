#include <fmt/format.h>

#include <MPS/NNGridSample.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Encoder.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

NNGridSample::NNGridSample(std::shared_ptr<MTL::Device> device) : CNNBinaryKernel(std::move(device)) {}

ImageDescriptor NNGridSample::adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                               const StateBatch&, const ImageDescriptor& suggested) {
    // The padding policy has placed two images of one size, which these are not.
    for (auto* geometry : {&primaryGeometry(), &secondaryGeometry()})
        geometry->offset.x = geometry->offset.y = 0;
    ImageDescriptor descriptor = suggested;
    descriptor.width = sourceImages[1]->width();
    descriptor.height = sourceImages[1]->height();
    return descriptor;
}

void NNGridSample::validate(const BinaryEncoding& encoding) const {
    const auto requireOne = [&](const char* argument, std::size_t stride) {
        if (stride != 1) throw Error(name(), argument, "1", fmt::format("{}", stride));
    };
    requireOne("primaryStrideInPixelsX", primaryStrideInPixelsX());
    requireOne("primaryStrideInPixelsY", primaryStrideInPixelsY());
    requireOne("secondaryStrideInPixelsX", secondaryStrideInPixelsX());
    requireOne("secondaryStrideInPixelsY", secondaryStrideInPixelsY());
    if (encoding.secondaryChannels.count < 2)
        throw Error(name(), "secondaryImage", "at least 2 feature channels, x and y",
                    fmt::format("{}", encoding.secondaryChannels.count));
}

void NNGridSample::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto grid =
        encoder.region(encoding.secondary.channels(0, 2), secondaryOffset().x, secondaryOffset().y,
                       encoding.clip.width, encoding.clip.height, edgeOf(secondaryEdgeMode()));
    encoder.run([source = encoding.primary, grid, destination = encoding.destination,
                 offset = primaryOffset(), relative = !positions_, edge = edgeOf(primaryEdgeMode())] {
        ops::GridSample op;
        op.src = source.tensor();
        op.grid = grid.tensor();
        op.dst = destination.tensor();
        op.offsetX = static_cast<double>(offset.x);
        op.offsetY = static_cast<double>(offset.y);
        op.relative = relative;
        op.edge = edge;
        return op;
    });
}

std::shared_ptr<Kernel> NNGridSample::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<NNGridSample>(new NNGridSample(*this));
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
