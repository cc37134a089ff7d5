// Products of two images over a grid of shifts; without gradients.

#include <MPS/NNLocalCorrelation.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <algorithm>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;

struct Settings {
    std::size_t windowX, windowY, strideX = 1, strideY = 1;
    MPS::ImageEdgeMode edge = MPS::ImageEdgeMode::Zero;
};

Array formula(const Array& a, const Array& b, const Settings& s) {
    const auto h = static_cast<std::int64_t>(a.shape.h), w = static_cast<std::int64_t>(a.shape.w),
               c = static_cast<std::int64_t>(a.shape.c);
    const auto wx = static_cast<std::int64_t>(s.windowX), wy = static_cast<std::int64_t>(s.windowY),
               sx = static_cast<std::int64_t>(s.strideX), sy = static_cast<std::int64_t>(s.strideY);
    const bool clamp = s.edge == MPS::ImageEdgeMode::Clamp;
    Array y{{a.shape.n, a.shape.h, a.shape.w, static_cast<std::size_t>((2 * wx + 1) * (2 * wy + 1))}, {}};
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(a.shape.n); ++i)
        for (std::int64_t v = 0; v < h; ++v)
            for (std::int64_t u = 0; u < w; ++u)
                for (std::int64_t n = -wy; n <= wy; ++n)
                    for (std::int64_t m = -wx; m <= wx; ++m) {
                        auto row = v + n * sy, column = u + m * sx;
                        const bool inside = row >= 0 && row < h && column >= 0 && column < w;
                        row = std::clamp<std::int64_t>(row, 0, h - 1);
                        column = std::clamp<std::int64_t>(column, 0, w - 1);
                        double sum = 0;
                        for (std::int64_t z = 0; (inside || clamp) && z < c; ++z)
                            sum += a.values[static_cast<std::size_t>(((i * h + v) * w + u) * c + z)] *
                                   b.values[static_cast<std::size_t>(((i * h + row) * w + column) * c + z)];
                        y.values.push_back(sum);
                    }
    return y;
}

OpCase correlation(const std::string& name, const Shape& shape, const Settings& s) {
    BinaryPair pair;
    pair.primary = {"primary", shape};
    pair.secondary = {"secondary", shape};
    pair.forward = [s](const auto& device) {
        auto kernel =
            std::make_shared<MPS::NNLocalCorrelation>(device, s.windowX, s.windowY, s.strideX, s.strideY);
        kernel->setSecondaryEdgeMode(s.edge);
        return kernel;
    };
    auto op = caseOf(name, pair);
    op.exactOnIntegers = true;
    op.closedForm = [s](const std::vector<Array>& operands) {
        return std::vector<Array>{formula(operands[0], operands[1], s)};
    };
    op.sumLength = op.magnitude = static_cast<double>(shape.c);
    return op;
}

std::vector<ErrorCase> errors() {
    const auto image = [](const auto& device, const Shape& shape) {
        return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1)})[0];
    };
    const auto against = [=](const Shape& secondary) {
        return [=](const std::shared_ptr<MTL::Device>& device) {
            MPS::NNLocalCorrelation(device, 1, 1, 1, 1)
                .encode(device->newCommandQueue()->commandBuffer(), image(device, {1, 3, 4, 2}),
                        image(device, secondary));
        };
    };
    return {{"null device", [](const auto&) { MPS::NNLocalCorrelation(nullptr); }, "device: expected"},
            {"no stride", [](const auto& device) { MPS::NNLocalCorrelation(device, 1, 1, 0, 1); },
             "strideInX: expected at least 1"},
            {"a secondary of other channels", against({1, 3, 4, 3}),
             "secondaryImage: expected 2 feature channels"},
            {"a secondary of another size", against({1, 3, 5, 2}),
             "secondarySourceClipRect: expected 4 x 3 pixels"}};
}

}  // namespace

OpRow LocalCorrelation() {
    OpRow row;
    row.family = "local_correlation";
    row.classes = {"MPSNNLocalCorrelation"};
    constexpr auto kClamp = MPS::ImageEdgeMode::Clamp;
    row.cases = {correlation("no window", {2, 3, 4, 5}, {0, 0}),
                 correlation("3x3 shifts", {2, 3, 4, 5}, {1, 1}),
                 correlation("3x3 shifts, clamp", {2, 3, 4, 5}, {1, 1, 1, 1, kClamp}),
                 correlation("more along x", {1, 4, 5, 3}, {3, 1}),
                 correlation("more along y, strides", {1, 5, 4, 3}, {1, 2, 2, 1}),
                 correlation("strides, clamp", {1, 4, 4, 2}, {1, 1, 3, 2, kClamp}),
                 correlation("one channel", {1, 3, 7, 1}, {2, 1}),
                 correlation("many channels", {1, 2, 3, 67}, {2, 1})};
    row.large = {correlation("9x9 shifts of 256 channels", {2, 48, 64, 256}, {4, 4, 2, 2}),
                 correlation("7x7 shifts of 16 channels", {4, 96, 128, 16}, {3, 3})};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
