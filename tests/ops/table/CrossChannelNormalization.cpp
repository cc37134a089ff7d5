// Normalisation by the mean square of neighbouring channels.

#include <MPS/CNNNormalization.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <algorithm>
#include <cmath>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;

struct Settings {
    std::size_t size;
    float alpha, beta, delta;
};

template <class Kernel>
std::shared_ptr<Kernel> make(const std::shared_ptr<MTL::Device>& device, const Settings& s) {
    auto kernel = std::make_shared<Kernel>(device, s.size);
    kernel->setAlpha(s.alpha);
    kernel->setBeta(s.beta);
    kernel->setDelta(s.delta);
    return kernel;
}

/// x_k L_k^-beta in double.
Array formula(const Array& x, const Settings& s) {
    Array y = x;
    const auto size = static_cast<std::int64_t>(s.size), channels = static_cast<std::int64_t>(x.shape.c);
    for (std::size_t i = 0; i < x.values.size(); ++i) {
        const auto k = static_cast<std::int64_t>(i % x.shape.c);
        const double* pixel = &x.values[i - static_cast<std::size_t>(k)];
        double sum = 0;
        for (auto q = std::max<std::int64_t>(0, k - size / 2);
             q <= std::min(channels - 1, k + (size - 1) / 2); ++q)
            sum += pixel[q] * pixel[q];
        const double base =
            static_cast<double>(s.delta) + static_cast<double>(s.alpha) / static_cast<double>(s.size) * sum;
        y.values[i] *= std::pow(base, -static_cast<double>(s.beta));
    }
    return y;
}

/// L lies between delta and delta + alpha for operands up to 1. A quotient has beta times the roundings of L,
/// which is a sum over the window, and those of the power; a gradient adds one for each window over the
/// channel.
OpCase normalization(const std::string& name, const Shape& shape, const Settings& s) {
    UnaryPair pair;
    pair.source = {"source", shape};
    pair.forward = [s](const auto& device) { return make<MPS::CNNCrossChannelNormalization>(device, s); };
    pair.backward = [s](const auto& device) {
        return make<MPS::CNNCrossChannelNormalizationGradient>(device, s);
    };
    auto op = caseOf(name, pair);
    op.closedForm = [s](const std::vector<Array>& operands) {
        return std::vector<Array>{formula(operands[0], s)};
    };
    const double taps = static_cast<double>(s.size), beta = std::fabs(s.beta);
    const double most = std::pow(s.beta < 0 ? s.delta + s.alpha : s.delta, -s.beta);
    const double logarithm = std::fmax(std::fabs(std::log(s.delta)), std::fabs(std::log(s.delta + s.alpha)));
    op.sumLength = beta * (taps + 4) + 8 + 6 * beta * logarithm;
    op.magnitude = most;
    op.gradientLength = op.sumLength + 2 * taps + 8 + 6 * logarithm;
    op.gradientMagnitude = most + 2 * s.alpha * beta * most / std::fmin(1.0, s.delta);
    return op;
}

std::vector<ErrorCase> errors() {
    const auto image = [](const auto& device, const Shape& shape) {
        return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1)})[0];
    };
    const auto gradient = [=](const Settings& s, const Shape& incoming) {
        return [=](const std::shared_ptr<MTL::Device>& device) {
            const auto forward = make<MPS::CNNCrossChannelNormalization>(device, {5, 1, 0.75f, 1});
            const auto backward = make<MPS::CNNCrossChannelNormalizationGradient>(device, s);
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto x = image(device, {1, 3, 4, 2}), y = image(device, {1, 3, 4, 2});
            const auto state = forward->resultState(x, {}, y);
            backward->encode(commands, image(device, incoming), x, state, y);
        };
    };
    return {{"null device", [](const auto&) { MPS::CNNCrossChannelNormalization(nullptr, 5); },
             "device: expected"},
            {"no window", [](const auto& device) { MPS::CNNCrossChannelNormalization(device, 0); },
             "kernelSize: expected at least 1"},
            {"negative alpha",
             [](const auto& device) { MPS::CNNCrossChannelNormalization(device, 3).setAlpha(-1); },
             "alpha: expected at least 0"},
            {"another delta", gradient({5, 1, 0.75f, 2}, {1, 3, 4, 2}),
             "delta: expected 1, as CNNCrossChannelNormalization had"},
            {"another window", gradient({3, 1, 0.75f, 1}, {1, 3, 4, 2}), "kernelSize: expected 5"},
            {"another gradient", gradient({5, 1, 0.75f, 1}, {1, 3, 4, 1}),
             "sourceGradient: expected 2 feature channels"}};
}

}  // namespace

OpRow CrossChannelNormalization() {
    OpRow row;
    row.family = "cross_channel_normalization";
    row.classes = {"MPSCNNCrossChannelNormalization", "MPSCNNCrossChannelNormalizationGradient"};
    row.pytorch = "F.local_response_norm(x, size, alpha, beta, k=delta)";
    row.cases = {normalization("five of eleven channels", {2, 2, 3, 11}, {5, 1, 0.75f, 1}),
                 normalization("even window", {2, 3, 2, 6}, {4, 2, 0.5f, 0.5f}),
                 normalization("beta 5", {2, 2, 3, 7}, {5, 1, 5, 1}),
                 normalization("beta 1.3", {1, 3, 3, 9}, {3, 1, 1.3f, 0.75f}),
                 normalization("one channel", {3, 2, 4, 1}, {5, 1, 0.75f, 1}),
                 normalization("window of one", {1, 2, 3, 5}, {1, 2, 1, 1}),
                 normalization("window beyond the channels", {1, 2, 3, 4}, {9, 1.5f, 0.75f, 1}),
                 normalization("no alpha", {1, 2, 2, 5}, {3, 0, 0.75f, 2}),
                 normalization("integers", {2, 3, 3, 5}, {3, 3, -1, 1}),
                 normalization("integers, even window", {2, 3, 3, 6}, {4, 4, -2, 1})};
    row.cases[8].exactOnIntegers = row.cases[9].exactOnIntegers = true;
    row.large = {normalization("AlexNet, 96 channels", {16, 55, 55, 96}, {5, 5e-4f, 0.75f, 2}),
                 normalization("256 channels", {16, 28, 28, 256}, {5, 5e-4f, 0.75f, 2})};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
