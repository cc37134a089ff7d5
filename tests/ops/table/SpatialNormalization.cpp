// Normalisation by the mean square of a window of pixels.

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
};

template <class Kernel>
std::shared_ptr<Kernel> make(const std::shared_ptr<MTL::Device>& device, const Settings& s) {
    auto kernel = std::make_shared<Kernel>(device, s.width, s.height);
    kernel->setAlpha(s.alpha);
    kernel->setBeta(s.beta);
    kernel->setDelta(s.delta);
    return kernel;
}

/// T lies between delta and delta + alpha for operands up to 1. A quotient has beta times the roundings of T,
/// which is a sum over the window, and those of the power; a gradient adds one for each window over the
/// pixel.
OpCase normalization(const std::string& name, const Shape& shape, const Settings& s) {
    UnaryPair pair;
    pair.source = {"source", shape};
    pair.forward = [s](const auto& device) {
        auto kernel = make<MPS::CNNSpatialNormalization>(device, s);
        kernel->setEdgeMode(s.edge);
        kernel->setPadding(MPS::NNDefaultPadding::padding(s.padding));
        return kernel;
    };
    pair.backward = [s](const auto& device) { return make<MPS::CNNSpatialNormalizationGradient>(device, s); };
    auto op = caseOf(name, pair);
    const double taps = static_cast<double>(s.width * s.height), beta = std::fabs(s.beta);
    const double most = std::pow(s.beta < 0 ? s.delta + s.alpha : s.delta, -s.beta);
    const double logarithm = std::fmax(std::fabs(std::log(s.delta)), std::fabs(std::log(s.delta + s.alpha)));
    op.sumLength = beta * (taps + 4) + 8 + 6 * beta * logarithm;
    op.magnitude = most;
    op.gradientLength = op.sumLength + 2 * taps + 8 + 6 * logarithm;
    // Under Clamp all taps of all windows may be one pixel's.
    const double times = s.edge == ImageEdgeMode::Clamp ? taps : 1;
    op.gradientMagnitude = times * (most + 2 * s.alpha * beta * most / std::fmin(1.0, s.delta));
    return op;
}

std::vector<ErrorCase> errors() {
    const auto image = [](const auto& device, const Shape& shape) {
        return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1)})[0];
    };
    const auto gradient = [=](float beta, std::size_t width, const Shape& incoming) {
        return [=](const std::shared_ptr<MTL::Device>& device) {
            const auto forward = make<MPS::CNNSpatialNormalization>(device, {3, 3, 1, 0.75f, 1});
            const auto backward = make<MPS::CNNSpatialNormalizationGradient>(device, {width, 3, 1, beta, 1});
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto x = image(device, {1, 3, 4, 2}), y = image(device, {1, 3, 4, 2});
            const auto state = forward->resultState(x, {}, y);
            backward->encode(commands, image(device, incoming), x, state, y);
        };
    };
    return {
        {"null device", [](const auto&) { MPS::CNNSpatialNormalization(nullptr, 3, 3); }, "device: expected"},
        {"no window", [](const auto& device) { MPS::CNNSpatialNormalization(device, 0, 3); },
         "kernelWidth: expected at least 1"},
        {"negative alpha",
         [](const auto& device) { MPS::CNNSpatialNormalization(device, 3, 3).setAlpha(-1); },
         "alpha: expected at least 0"},
        {"mirrored edges",
         [=](const auto& device) {
             MPS::CNNSpatialNormalization kernel(device, 3, 3);
             kernel.setEdgeMode(ImageEdgeMode::Mirror);
             kernel.encode(device->newCommandQueue()->commandBuffer(), image(device, {1, 3, 4, 2}),
                           image(device, {1, 3, 4, 2}));
         },
         "edgeMode: expected Zero or Clamp"},
        {"another beta", gradient(2, 3, {1, 3, 4, 2}), "beta: expected 0.75, as CNNSpatialNormalization had"},
        {"another window", gradient(0.75f, 5, {1, 3, 4, 2}), "gradientState: expected a forward window"},
        {"another gradient", gradient(0.75f, 3, {1, 3, 3, 2}), "sourceGradient: expected 4 x 3 pixels"}};
}

}  // namespace

OpRow SpatialNormalization() {
    OpRow row;
    row.family = "spatial_normalization";
    row.classes = {"MPSCNNSpatialNormalization", "MPSCNNSpatialNormalizationGradient"};
    row.pytorch = "x / (delta + alpha * F.avg_pool2d(F.pad(x * x, ...), k, 1)) ** beta";
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
        row.cases.push_back(normalization("integers" + at, shape, {3, 3, 9, -1, 1, edge}));
        row.cases.back().exactOnIntegers = true;
    }
    row.large = {normalization("64 channels, 5x5", {8, 112, 112, 64}, {5, 5, 1, 0.75f, 1}),
                 normalization("3 channels, 9x9", {8, 512, 512, 3}, {9, 9, 1, 0.5f, 1})};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
