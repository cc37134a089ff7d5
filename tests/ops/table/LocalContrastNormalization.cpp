// Normalisation by mean and variance of a window of pixels.

#include <MPS/CNNNormalization.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <cmath>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;
using MPS::ImageEdgeMode;

struct Settings {
    std::size_t width, height;
    float alpha, beta, delta;
    ImageEdgeMode edge = ImageEdgeMode::Zero;
    MPS::NNPaddingMethod padding = MPS::NNPaddingMethodSizeSame;
    float p0 = 1, pm = 0, ps = 1;
};

template <class Kernel>
std::shared_ptr<Kernel> make(const std::shared_ptr<MTL::Device>& device, const Settings& s) {
    auto kernel = std::make_shared<Kernel>(device, s.width, s.height);
    kernel->setAlpha(s.alpha);
    kernel->setBeta(s.beta);
    kernel->setDelta(s.delta);
    kernel->setP0(s.p0);
    kernel->setPm(s.pm);
    kernel->setPs(s.ps);
    return kernel;
}

/// T lies between delta and delta + alpha for operands up to 1. Its sums are taken in double, so that it has
/// one rounding, which the power multiplies by beta; a gradient adds one for each window over the pixel.
OpCase normalization(const std::string& name, const Shape& shape, const Settings& s) {
    UnaryPair pair;
    pair.source = {"source", shape};
    pair.forward = [s](const auto& device) {
        auto kernel = make<MPS::CNNLocalContrastNormalization>(device, s);
        kernel->setEdgeMode(s.edge);
        kernel->setPadding(MPS::NNDefaultPadding::padding(s.padding));
        return kernel;
    };
    pair.backward = [s](const auto& device) {
        return make<MPS::CNNLocalContrastNormalizationGradient>(device, s);
    };
    auto op = caseOf(name, pair);
    const double taps = static_cast<double>(s.width * s.height), beta = std::fabs(s.beta);
    const double most = std::pow(s.beta < 0 ? s.delta + s.alpha : s.delta, -s.beta);
    const double logarithm = std::fmax(std::fabs(std::log(s.delta)), std::fabs(std::log(s.delta + s.alpha)));
    const double distance = 1 + std::fabs(s.p0);
    op.sumLength = 2 * beta + 12 + 6 * beta * logarithm;
    op.magnitude = std::fabs(s.pm) + s.ps * distance * most;
    op.gradientLength = op.sumLength + taps + 8 + 6 * logarithm;
    // Under Clamp all taps of all windows may be one pixel's.
    const double times = s.edge == ImageEdgeMode::Clamp ? taps : 1;
    op.gradientMagnitude =
        times * s.ps * (distance * most + 4 * s.alpha * beta * distance * most / std::fmin(1.0, s.delta));
    return op;
}

std::vector<ErrorCase> errors() {
    const auto image = [](const auto& device, const Shape& shape) {
        return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1)})[0];
    };
    const auto gradient = [=](float beta, std::size_t width, const Shape& incoming) {
        return [=](const std::shared_ptr<MTL::Device>& device) {
            const auto forward = make<MPS::CNNLocalContrastNormalization>(device, {3, 3, 1, 0.75f, 1});
            const auto backward =
                make<MPS::CNNLocalContrastNormalizationGradient>(device, {width, 3, 1, beta, 1});
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto x = image(device, {1, 3, 4, 2}), y = image(device, {1, 3, 4, 2});
            const auto state = forward->resultState(x, {}, y);
            backward->encode(commands, image(device, incoming), x, state, y);
        };
    };
    return {{"null device", [](const auto&) { MPS::CNNLocalContrastNormalization(nullptr, 3, 3); },
             "device: expected"},
            {"no window", [](const auto& device) { MPS::CNNLocalContrastNormalization(device, 0, 3); },
             "kernelWidth: expected at least 1"},
            {"mirrored edges",
             [=](const auto& device) {
                 MPS::CNNLocalContrastNormalization kernel(device, 3, 3);
                 kernel.setEdgeMode(ImageEdgeMode::Mirror);
                 kernel.encode(device->newCommandQueue()->commandBuffer(), image(device, {1, 3, 4, 2}),
                               image(device, {1, 3, 4, 2}));
             },
             "edgeMode: expected Zero or Clamp"},
            {"another beta", gradient(2, 3, {1, 3, 4, 2}),
             "beta: expected 0.75, as CNNLocalContrastNormalization had"},
            {"another window", gradient(0.75f, 5, {1, 3, 4, 2}), "gradientState: expected a forward window"},
            {"another gradient", gradient(0.75f, 3, {1, 3, 3, 2}), "sourceGradient: expected 4 x 3 pixels"}};
}

}  // namespace

OpRow LocalContrastNormalization() {
    OpRow row;
    row.family = "local_contrast_normalization";
    row.classes = {"MPSCNNLocalContrastNormalization", "MPSCNNLocalContrastNormalizationGradient"};
    row.pytorch = "pm + ps * (x - p0 * mean(x)) / (delta + alpha * (mean(x * x) - mean(x) ** 2)) ** beta";
    const Shape shape{2, 4, 5, 3};
    for (const auto edge : {ImageEdgeMode::Zero, ImageEdgeMode::Clamp}) {
        const std::string at = edge == ImageEdgeMode::Zero ? ", zero" : ", clamp";
        row.cases.push_back(normalization("3x3" + at, shape, {3, 3, 1, 0.75f, 1, edge}));
        row.cases.push_back(normalization("even window" + at, shape, {4, 2, 2, 0.5f, 0.5f, edge}));
        row.cases.push_back(normalization("beta 5" + at, shape, {3, 5, 1, 5, 1, edge}));
        row.cases.push_back(normalization("beta 1.3" + at, shape, {3, 3, 1, 1.3f, 0.75f, edge}));
        row.cases.push_back(normalization("wide window" + at, {1, 3, 4, 2}, {11, 9, 1, 0.75f, 1, edge}));
        row.cases.push_back(normalization("full" + at, {1, 2, 3, 2},
                                          {3, 2, 1, 0.75f, 1, edge, MPS::NNPaddingMethodSizeFull}));
        row.cases.push_back(
            normalization("valid" + at, shape, {3, 3, 1, 0.75f, 1, edge, MPS::NNPaddingMethodSizeValidOnly}));
        row.cases.push_back(normalization("no variance" + at, shape, {3, 3, 0, 0.5f, 0.25f, edge}));
        row.cases.push_back(
            normalization("all parameters" + at, shape,
                          {2, 3, 2, 0.5f, 0.5f, edge, MPS::NNPaddingMethodSizeSame, 0.5f, 0.25f, 1.5f}));
        // Means over 4 pixels and squares of them are exact, and a power of -1 is a product.
        row.cases.push_back(normalization("integers" + at, shape, {2, 2, 1, -1, 1, edge}));
        row.cases.back().exactOnIntegers = true;
    }
    row.large = {normalization("64 channels, 5x5", {8, 112, 112, 64}, {5, 5, 1, 0.5f, 1}),
                 normalization("3 channels, 9x9", {8, 512, 512, 3}, {9, 9, 1, 0.5f, 1})};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
