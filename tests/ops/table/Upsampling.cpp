// Enlarging by whole factors.

#include <MPS/CNNUpsampling.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;

OpCase nearest(const Shape& shape, std::size_t x, std::size_t y) {
    UnaryPair pair;
    pair.source = {"source", shape};
    pair.forward = [=](const auto& device) {
        return std::make_shared<MPS::CNNUpsamplingNearest>(device, x, y);
    };
    pair.backward = [=](const auto& device) {
        return std::make_shared<MPS::CNNUpsamplingNearestGradient>(device, x, y);
    };
    auto op = caseOf("nearest, " + std::to_string(x) + " x " + std::to_string(y) + ", " +
                         std::to_string(shape.c) + " channels",
                     pair);
    // Copies, and sums of a block.
    op.gradientLength = op.gradientMagnitude = static_cast<double>(x * y);
    op.exactOnIntegers = true;
    op.closedForm = [=](const std::vector<Array>& operands) {
        const Shape to{shape.n, shape.h * y, shape.w * x, shape.c};
        Array result{to, {}};
        for (std::size_t n = 0; n < to.n; ++n)
            for (std::size_t j = 0; j < to.h; ++j)
                for (std::size_t i = 0; i < to.w; ++i)
                    for (std::size_t c = 0; c < to.c; ++c)
                        result.values.push_back(
                            operands[0].values[((n * shape.h + j / y) * shape.w + i / x) * shape.c + c]);
        return std::vector<Array>{result};
    };
    return op;
}

OpCase bilinear(const Shape& shape, std::size_t x, std::size_t y, bool align) {
    UnaryPair pair;
    pair.source = {"source", shape};
    pair.forward = [=](const auto& device) {
        return std::make_shared<MPS::CNNUpsamplingBilinear>(device, x, y, align);
    };
    pair.backward = [=](const auto& device) {
        return std::make_shared<MPS::CNNUpsamplingBilinearGradient>(device, x, y);
    };
    auto op = caseOf(std::string("bilinear, ") + (align ? "corners aligned, " : "") + std::to_string(x) +
                         " x " + std::to_string(y) + ", " + std::to_string(shape.c) + " channels",
                     pair);
    // Four taps whose weights add up to 1; a pixel is read by fewer than two blocks an axis, and with aligned
    // corners by the first of the next.
    op.sumLength = 4;
    op.gradientLength = op.gradientMagnitude = static_cast<double>((2 * x + 1) * (2 * y + 1));
    // Weights of halves and quarters are exact.
    const auto isPower = [](std::size_t n) { return (n & (n - 1)) == 0; };
    op.exactOnIntegers = !align && isPower(x) && isPower(y);
    return op;
}

std::vector<ErrorCase> errors() {
    const auto backward = [](auto change) {
        return [=](const std::shared_ptr<MTL::Device>& device) {
            const auto image = [&](const Shape& shape) {
                return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1)})[0];
            };
            const auto x = image({1, 2, 2, 4}), y = image({1, 4, 4, 4});
            MPS::CNNUpsamplingNearest forward(device, 2, 2);
            const auto state = forward.resultState(x, {}, y);
            change(device, device->newCommandQueue()->commandBuffer(), image, x, y, state);
        };
    };
    return {
        {"null device", [](const auto&) { MPS::CNNUpsamplingNearest(nullptr, 2, 2); }, "device: expected"},
        {"no factor", [](const auto& device) { MPS::CNNUpsamplingBilinear(device, 0, 2); },
         "integerScaleFactorX: expected at least 1, found 0"},
        {"no factor of a gradient",
         [](const auto& device) { MPS::CNNUpsamplingNearestGradient(device, 2, 0); },
         "integerScaleFactorY: expected at least 1, found 0"},
        {"too large a factor",
         [](const std::shared_ptr<MTL::Device>& device) {
             MPS::CNNUpsamplingNearest(device, std::size_t{1} << 63, 1)
                 .encode(device->newCommandQueue()->commandBuffer(),
                         imagesOf({device}, {{1, 1, 2, 1}, {1, 2}})[0]);
         },
         "integerScaleFactorX: expected a factor that makes an image of 2 pixels"},
        {"the state of another class",
         backward([](auto& device, const auto& commands, auto&, auto& x, auto& y, auto& state) {
             MPS::CNNUpsamplingBilinearGradient(device, 2, 2).encode(commands, y, x, state);
         }),
         "gradientState: expected a state made by CNNUpsamplingBilinear, found one made by "
         "CNNUpsamplingNearest"},
        {"another factor",
         backward([](auto& device, const auto& commands, auto&, auto& x, auto& y, auto& state) {
             MPS::CNNUpsamplingNearestGradient(device, 2, 1).encode(commands, y, x, state);
         }),
         "gradientState: expected forward scale factors 2 x 1, found 2 x 2"},
        {"another source",
         backward([](auto& device, const auto& commands, auto& image, auto& x, auto& y, auto& state) {
             MPS::CNNUpsamplingNearestGradient(device, 2, 2)
                 .encode(commands, y, image({1, 2, 3, 4}), state, x);
         }),
         "sourceImage: expected 2 x 2 pixels of 4 feature channels"},
        {"too small a gradient",
         backward([](auto& device, const auto& commands, auto& image, auto& x, auto&, auto& state) {
             MPS::CNNUpsamplingNearestGradient(device, 2, 2)
                 .encode(commands, image({1, 3, 4, 4}), x, state, image(Shape{1, 2, 2, 4}));
         }),
         "sourceGradient: expected 4 x 4 pixels"},
        {"a kernel offset",
         backward([](auto& device, const auto& commands, auto& image, auto& x, auto& y, auto& state) {
             MPS::CNNUpsamplingNearestGradient kernel(device, 2, 2);
             kernel.setKernelOffsetY(2);
             kernel.encode(commands, y, x, state, image({1, 2, 2, 4}));
         }),
         "kernelOffset: expected (0, 0)"}};
}

}  // namespace

OpRow Upsampling() {
    OpRow row;
    row.family = "upsampling";
    row.classes = {
        "MPSCNNUpsampling",         "MPSCNNUpsamplingNearest",         "MPSCNNUpsamplingBilinear",
        "MPSCNNUpsamplingGradient", "MPSCNNUpsamplingNearestGradient", "MPSCNNUpsamplingBilinearGradient"};
    row.pytorch = "F.interpolate(x, scale_factor=s, mode='nearest' or 'bilinear')";
    for (const auto& [x, y] : {std::pair<std::size_t, std::size_t>{2, 2}, {3, 1}, {1, 4}, {1, 1}, {4, 3}}) {
        row.cases.push_back(nearest({2, 3, 4, 3}, x, y));
        for (const bool align : {false, true}) row.cases.push_back(bilinear({2, 3, 4, 3}, x, y, align));
    }
    row.cases.push_back(nearest({1, 2, 2, 17}, 2, 2));
    row.cases.push_back(bilinear({1, 2, 2, 17}, 2, 2, false));
    row.cases.push_back(bilinear({1, 2, 2, 17}, 2, 3, true));
    row.cases.push_back(bilinear({3, 1, 1, 5}, 2, 3, true));
    row.large = {nearest({16, 56, 56, 64}, 2, 2), bilinear({16, 56, 56, 64}, 2, 2, false),
                 bilinear({8, 270, 480, 3}, 2, 2, true)};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
