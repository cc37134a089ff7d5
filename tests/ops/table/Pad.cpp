// Padding in x, y and channels with every edge mode.

#include <MPS/NNPad.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;
using Edge = MPS::ImageEdgeMode;

constexpr const char* kNames[] = {"zero", "clamp", "mirror", "mirror with edge", "constant"};

OpCase pad(const std::string& name, Edge edge, const Shape& shape, const MPS::ImageCoordinate& before,
           const MPS::ImageCoordinate& after, std::vector<float> fills = {}) {
    UnaryPair pair;
    pair.source = {"source", shape};
    pair.forward = [=](const auto& device) {
        const auto kernel = std::make_shared<MPS::NNPad>(device, before, after, fills);
        kernel->setEdgeMode(edge);
        kernel->setFillValue(3);
        return kernel;
    };
    pair.backward = [](const auto& device) { return std::make_shared<MPS::NNPadGradient>(device); };
    auto op = caseOf(std::string(kNames[static_cast<int>(edge)]) + ", " + name, pair);
    // Copies, and sums of at most all padded gradients.
    op.magnitude = 3;
    const auto padded = [](std::size_t extent, std::size_t low, std::size_t high) {
        return static_cast<double>(extent + low + high);
    };
    op.gradientLength = op.gradientMagnitude = padded(shape.w, before.x, after.x) *
                                               padded(shape.h, before.y, after.y) *
                                               padded(shape.c, before.channel, after.channel);
    op.exactOnIntegers = true;
    return op;
}

std::vector<ErrorCase> errors() {
    const auto encodes = [](std::vector<float> fills, Edge edge, std::size_t channels) {
        return [=](const std::shared_ptr<MTL::Device>& device) {
            MPS::NNPad kernel(device, {1, 1, 1}, {0, 0, 0}, fills);
            kernel.setEdgeMode(edge);
            const auto x = imagesOf({device}, {{1, 2, 2, 2}, std::vector<double>(8, 1)})[0];
            const Shape to{1, 3, 3, channels};
            kernel.encode(device->newCommandQueue()->commandBuffer(), x,
                          imagesOf({device}, {to, std::vector<double>(to.count(), 0)})[0]);
        };
    };
    return {{"null device", [](const auto&) { MPS::NNPad(nullptr); }, "device: expected"},
            {"too few fill values", encodes({1, 2}, Edge::Constant, 3),
             "fillValueArray: expected at least 3 values, one a channel written, found 2"},
            {"an unknown edge mode", encodes({}, static_cast<Edge>(5), 3), "edgeMode: expected one of five"},
            {"too few channels", encodes({}, Edge::Zero, 2), "destination"},
            {"a gradient without a state",
             [](const std::shared_ptr<MTL::Device>& device) {
                 const auto x = imagesOf({device}, {{1, 1, 1, 1}, {1}})[0];
                 MPS::NNPadGradient(device).encode(device->newCommandQueue()->commandBuffer(), x, x, nullptr);
             },
             "gradientState: expected a NNGradientState, found null"}};
}

}  // namespace

OpRow Pad() {
    OpRow row;
    row.family = "pad";
    row.classes = {"MPSNNPad", "MPSNNPadGradient"};
    row.pytorch = "F.pad(x, (left, right, top, bottom, front, back), mode)";
    for (const auto edge : {Edge::Zero, Edge::Clamp, Edge::Mirror, Edge::MirrorWithEdge, Edge::Constant}) {
        row.cases.push_back(pad("all sides", edge, {2, 3, 4, 3}, {1, 2, 0}, {2, 1, 0}));
        row.cases.push_back(pad("channels only", edge, {2, 2, 3, 5}, {0, 0, 3}, {0, 0, 4}));
        row.cases.push_back(pad("everything, far", edge, {1, 2, 3, 3}, {4, 3, 2}, {3, 5, 7}));
        row.cases.push_back(pad("nothing", edge, {2, 2, 3, 4}, {0, 0, 0}, {0, 0, 0}));
    }
    row.cases.push_back(
        pad("one value a channel", Edge::Constant, {1, 2, 2, 2}, {1, 0, 1}, {0, 1, 1}, {5, 6, 7, 8}));
    const Shape wide{16, 112, 112, 32};
    row.large = {pad("one pixel on all sides", Edge::Zero, wide, {1, 1, 0}, {1, 1, 0}),
                 pad("three pixels on all sides", Edge::Mirror, wide, {3, 3, 0}, {3, 3, 0}),
                 pad("32 channels more", Edge::Constant, wide, {0, 0, 0}, {0, 0, 32})};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
