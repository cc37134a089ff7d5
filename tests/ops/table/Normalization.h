#pragma once

#include <MPS/CNNGroupNormalization.hpp>
#include <MPS/CNNInstanceNormalization.hpp>
#include <MTL/Device.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

/// What the rows of the normalisations share.
namespace pewter::optable {

constexpr float kNormalizationEpsilon = 0.0625f;

/// A data source over lists of numbers; empty ones are handed out as null.
template <class Protocol>
class NormalizationSource : public Protocol {
public:
    NormalizationSource(std::size_t channels, std::vector<float> gamma, std::vector<float> beta,
                        float epsilon)
        : channels_(channels), gamma_(std::move(gamma)), beta_(std::move(beta)), epsilon_(epsilon) {}

    std::size_t numberOfFeatureChannels() const override { return channels_; }
    const float* gamma() override { return gamma_.empty() ? nullptr : gamma_.data(); }
    const float* beta() override { return beta_.empty() ? nullptr : beta_.data(); }
    std::string label() const override { return "norm"; }
    float epsilon() const override { return epsilon_; }

private:
    std::size_t channels_;
    std::vector<float> gamma_, beta_;
    float epsilon_;
};

/// Operands of every normalisation.
inline std::vector<check::Operand> normalizationOperands(const check::Shape& shape, std::size_t channels,
                                                         check::Domain domain = check::Domain::Signed) {
    using namespace check;
    const Shape one{1, 1, 1, channels};
    return {{"source", shape, domain},
            {"gamma", one, Domain::Signed, Kind::Parameter},
            {"beta", one, Domain::Signed, Kind::Parameter}};
}

/// Error bounds, in units of 2^-23, for sources and incoming gradients within 1 and epsilon 1/16:
/// a mean is off by 10 (twenty roundings of half a unit on the way of a number into a sum) of the range,
/// which is 2, and deviations are at least 1/4: 80 for xh. Its own size, at most 3 for numbers spread evenly,
/// brings 18 of the inverse deviation and 3 roundings. With scales within 1: 80 + 3 * 21 < 28 * 8. Gradients
/// for the source: 4 (inverse deviation) * (14 for the mean of h + 3 * (36 for the mean of h xh + 15) + 80
/// for xh) < 28 * 40. Those for gamma are sums of pixels * (12 * 3 + 80) < 28 * 5 * pixels.
inline void boundNormalization(check::OpCase& op, const check::Shape& shape) {
    op.sumLength = op.gradientLength = 24;
    op.magnitude = 8;
    op.gradientMagnitude = std::max(40.0, 5.0 * static_cast<double>(shape.n * shape.h * shape.w));
}

/// Forward and backward through a normalisation with one state an image. make(device, gamma, beta) is the
/// kernel.
template <class Kernel, class Gradient, class Make>
check::OpCase normalizationCase(std::string name, std::vector<check::Operand> operands,
                                const check::Shape& image, Make make) {
    using namespace check;
    OpCase op;
    op.name = std::move(name);
    op.operands = std::move(operands);
    op.run = [make, image](const Setting& setting, const std::vector<Array>& numbers,
                           const Incoming* incoming) {
        const std::shared_ptr<Kernel> kernel =
            make(setting.device, numbers.size() > 1 ? floatsOf(numbers[1]) : std::vector<float>(),
                 numbers.size() > 1 ? floatsOf(numbers[2]) : std::vector<float>());
        kernel->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commands = setting.device->newCommandQueue()->commandBuffer();
        const auto sources = imagesOf(setting, {image, numbers[0].values});
        Outcome outcome;
        outcome.gradients.resize(numbers.size());
        if (!incoming) {
            const auto results = kernel->encodeBatch(commands, sources);
            finish(commands);
            outcome.outputs = {arrayOf(results)};
            return outcome;
        }
        MPS::StateBatch states;
        const auto results = kernel->encodeBatch(commands, sources, &states, false);
        Gradient gradient(setting.device);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto dx = gradient.encodeBatch(commands, imagesOf(setting, {image, (*incoming)(0, image)}),
                                             sources, states);
        finish(commands);
        outcome.outputs = {arrayOf(results)};
        outcome.gradients[0] = arrayOf(dx);
        outcome.gradients[0].shape = numbers[0].shape;
        const bool wide = setting.format == MPS::ImageFeatureChannelFormat::Float64;
        for (std::size_t i = 1; i < numbers.size(); ++i) {
            // Each image's own gradients, added up.
            outcome.gradients[i] = {numbers[i].shape, std::vector<double>(image.c, 0.0)};
            for (const auto& state : states) {
                auto& own = static_cast<MPS::CNNNormalizationGradientState&>(*state);
                const auto part =
                    arrayOf(*(i == 1 ? own.gradientForGamma() : own.gradientForBeta()), image.c, wide);
                for (std::size_t c = 0; c < image.c; ++c) outcome.gradients[i].values[c] += part.values[c];
            }
        }
        return outcome;
    };
    boundNormalization(op, image);
    return op;
}

}  // namespace pewter::optable
