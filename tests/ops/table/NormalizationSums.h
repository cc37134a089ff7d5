#pragma once

#include <MTL/CommandBuffer.hpp>
#include <MTL/Resource.hpp>

#include "mps/core/Encoder.h"
#include "table/Normalization.h"

/// Batch normalisation with another image added before the neuron: no kernel of Apple's, but what graphs make of several.
/// The operations of the seam as they are.
namespace pewter::optable {

struct SumSettings {
    ops::Neuron neuron;
    /// Whether an image is added, and whether the gradient of the sum is wanted.
    bool hasAddend = true, hasSum = true;
    /// The result lies where the addend does, and the gradient of the sum where the incoming one does.
    bool inPlace = false;
    /// The result and the gradient of the sum are float32 whatever the others are.
    bool mixed = false;
    /// Not 0: where the operand is 1 this is added, where it is 0 it is taken off, far from the neuron's kink.
    double apart = 0;
    float epsilon = kNormalizationEpsilon;
    std::int64_t pieces = 1;  ///< calls that the sums are added up over
};

/// The run of normalizationSum(): its arrays and images.
class SumRun {
public:
    SumRun(const check::Setting& setting, const SumSettings& settings, const check::Shape& shape)
        : setting_(setting), settings_(settings), shape_(shape),
          wide_(setting.format == MPS::ImageFeatureChannelFormat::Float64),
          commands_(setting.device->newCommandQueue()->commandBuffer()),
          encoder_(*commands_, "normalizationSum", setting.device), mean_(array()), variance_(array()),
          diffGamma_(array()), diffBeta_(array()) {}

    check::Outcome run(const std::vector<check::Array>& numbers, const check::Incoming* incoming) {
        const auto source = image(numbers[0].values), result = image({}, settings_.mixed);
        const auto gamma = parameter(numbers[1]), beta = parameter(numbers[2]);
        const auto addend = settings_.hasAddend ? image(addendOf(numbers[3].values)) : MPS::ImageBatch();
        const mps::TensorRef src = read(source), dst = write(result), added = addend.empty() ? mps::TensorRef() : read(addend);
        const auto inPlace = [&](const mps::TensorRef& from, const mps::TensorRef& to) {
            if (!settings_.inPlace) return from;
            encoder_.run([=] { return ops::Copy{from.tensor(), to.tensor()}; });
            return to;
        };
        encoder_.run([=, mean = mean_, variance = variance_] {
            return ops::BatchNormalizationStatistics{src.tensor(), mean.array(), variance.array()};
        });
        encoder_.run([=, this, mean = mean_, variance = variance_, there = inPlace(added, dst)] {
            return ops::BatchNormalizationForward{src.tensor(),  dst.tensor(),      mean.array(),     variance.array(), gamma.array(),
                                                  beta.array(), settings_.epsilon, settings_.neuron, there.tensor()};
        });
        check::Outcome outcome;
        outcome.gradients.resize(numbers.size());
        MPS::ImageBatch sum, dx;
        if (incoming) {
            const auto in = image((*incoming)(0, shape_));
            if (settings_.hasSum) sum = image({}, settings_.mixed), dx = image({});
            const mps::TensorRef diffSum = sum.empty() ? mps::TensorRef() : write(sum);
            const mps::TensorRef diffDst = inPlace(read(in), diffSum);
            const std::int64_t n = src.shape.n;
            for (std::int64_t piece = 0; piece < settings_.pieces; ++piece)
                encodeSums(n * piece / settings_.pieces, n * (piece + 1) / settings_.pieces, src, diffDst, added, diffSum, gamma, beta);
            if (settings_.hasSum) encodeGradient(src, diffSum, write(dx), gamma, beta);
        }
        encoder_.finish();
        check::finish(commands_);
        outcome.outputs = {check::arrayOf(result)};
        if (!incoming) return outcome;
        if (settings_.hasSum) outcome.gradients[0] = check::arrayOf(dx);
        outcome.gradients[0].shape = numbers[0].shape;
        outcome.gradients[1] = check::arrayOf(*diffGamma_.buffer, shape_.c, wide_);
        outcome.gradients[2] = check::arrayOf(*diffBeta_.buffer, shape_.c, wide_);
        if (!settings_.hasAddend || !settings_.hasSum) return outcome;
        outcome.gradients[3] = check::arrayOf(sum);
        outcome.gradients[3].shape = numbers[3].shape;
        for (double& value : outcome.gradients[3].values) value *= settings_.apart != 0 ? 2 * settings_.apart : 1;
        return outcome;
    }

private:
    std::vector<double> addendOf(std::vector<double> values) const {
        for (double& value : values) value = settings_.apart != 0 ? settings_.apart * (2 * value - 1) : value;
        return values;
    }
    mps::ArrayRef array() const {
        const auto type = wide_ ? ops::Type::Float64 : ops::Type::Float32;
        return {setting_.device->newBuffer(shape_.c * ops::sizeOf(type)), 0, type, static_cast<std::int64_t>(shape_.c)};
    }
    mps::ArrayRef parameter(const check::Array& numbers) const {
        const auto values = check::floatsOf(numbers);
        return {setting_.device->newBuffer(values.data(), values.size() * sizeof(float)), 0, ops::Type::Float32,
                static_cast<std::int64_t>(values.size())};
    }
    MPS::ImageBatch image(std::vector<double> values, bool isFloat32 = false) const {
        check::Setting setting = setting_;
        if (isFloat32 && !wide_) setting.format = MPS::ImageFeatureChannelFormat::Float32;
        values.resize(shape_.count());
        return check::imagesOf(setting, {shape_, std::move(values)});
    }
    mps::TensorRef read(const MPS::ImageBatch& images) { return encoder_.source(images, 0, shape_.n); }
    mps::TensorRef write(const MPS::ImageBatch& images) {
        const mps::Clip whole{0, 0, static_cast<std::int64_t>(shape_.w), static_cast<std::int64_t>(shape_.h)};
        return encoder_.destination(images, 0, shape_.n, whole, 0, shape_.c);
    }

    /// Of the images [from, to).
    void encodeSums(std::int64_t from, std::int64_t to, const mps::TensorRef& src, const mps::TensorRef& diffDst,
                    const mps::TensorRef& added, const mps::TensorRef& diffSum, const mps::ArrayRef& gamma,
                    const mps::ArrayRef& beta) {
        const auto cut = [=](const mps::TensorRef& all) { return all ? all.images(from, to - from) : all; };
        encoder_.run([=, this, mean = mean_, variance = variance_, ofGamma = diffGamma_, ofBeta = diffBeta_] {
            return ops::BatchNormalizationStatisticsGradient{
                cut(src).tensor(), cut(diffDst).tensor(), mean.array(),      variance.array(),
                gamma.array(),     beta.array(),          ofGamma.array(),   ofBeta.array(),
                settings_.epsilon, settings_.neuron,      from > 0,          cut(added).tensor(),
                cut(diffSum).tensor()};
        });
    }
    void encodeGradient(const mps::TensorRef& src, const mps::TensorRef& diffSum, const mps::TensorRef& diffSrc,
                        const mps::ArrayRef& gamma, const mps::ArrayRef& beta) {
        encoder_.run([=, this, mean = mean_, variance = variance_, ofGamma = diffGamma_, ofBeta = diffBeta_] {
            const std::int64_t count = src.shape.n * src.shape.h * src.shape.w;
            return ops::BatchNormalizationGradient{src.tensor(),     diffSum.tensor(), diffSrc.tensor(),  mean.array(),
                                                   variance.array(), gamma.array(),    beta.array(),      ofGamma.array(),
                                                   ofBeta.array(),   settings_.epsilon, {},               count};
        });
    }

    check::Setting setting_;
    SumSettings settings_;
    check::Shape shape_;
    bool wide_;
    std::shared_ptr<MTL::CommandBuffer> commands_;
    mps::Encoder encoder_;
    mps::ArrayRef mean_, variance_, diffGamma_, diffBeta_;
};

/// Operands: source, gamma, beta and, if the settings have it, what is added.
inline check::OpCase normalizationSum(std::string name, const check::Shape& shape, const SumSettings& settings,
                                      std::vector<check::Operand> operands) {
    check::OpCase op;
    op.name = std::move(name);
    op.operands = std::move(operands);
    op.run = [=](const check::Setting& setting, const std::vector<check::Array>& numbers, const check::Incoming* incoming) {
        return SumRun(setting, settings, shape).run(numbers, incoming);
    };
    boundNormalization(op, shape);
    op.magnitude += std::max(1.0, settings.apart);
    // Slopes and curvatures of the neurons here, on both ways.
    op.gradientMagnitude *= 3 * std::max(1.0, 2 * settings.apart);
    return op;
}

inline check::OpCase normalizationSum(std::string name, const check::Shape& shape, const SumSettings& settings = {}) {
    auto operands = normalizationOperands(shape, shape.c);
    if (settings.hasAddend)
        operands.push_back({"addend", shape, settings.apart != 0 ? check::Domain::OneHot : check::Domain::Signed});
    // Through a neuron the result is not linear in gamma and beta, unless one side of a kink is kept to.
    const bool isLinear = settings.neuron.type == ops::NeuronType::None || settings.apart != 0;
    for (auto& one : operands)
        one.differentiable = one.kind == check::Kind::Parameter ? isLinear : settings.hasSum;
    return normalizationSum(std::move(name), shape, settings, std::move(operands));
}

inline std::vector<check::OpCase> normalizationSums() {
    using namespace check;
    using enum ops::NeuronType;
    static constexpr float kSlopes[] = {0.5f, 0, 0.25f, 2, 1, 0.125f, 0, 1.5f};
    const Shape rows{2, 2, 3, 8};
    std::vector<OpCase> cases = {
        normalizationSum("sum 1x3x4x3", {1, 3, 4, 3}),
        normalizationSum("sum 8x1x1x6", {8, 1, 1, 6}, {.neuron = {ReLU}}),
        normalizationSum("sum 3x2x3x16, ReLU", {3, 2, 3, 16}, {.neuron = {ReLU}}),
        normalizationSum("sum, leaky ReLU, three calls", {5, 2, 3, 8}, {.neuron = {ReLU, 0.25f}, .pieces = 3}),
        normalizationSum("sum in place", rows, {.inPlace = true}),
        normalizationSum("sum in place, ReLU", rows, {.neuron = {ReLU}, .inPlace = true}),
        normalizationSum("sum in place, tanh", rows, {.neuron = {TanH, 1.25f, 0.75f}, .inPlace = true}),
        normalizationSum("sum, PReLU", rows, {.neuron = {PReLU, 0, 0, 0, kSlopes}}),
        normalizationSum("sum of two formats, ReLU", rows, {.neuron = {ReLU}, .mixed = true}),
        normalizationSum("sum far from the kink, leaky ReLU", rows, {.neuron = {ReLU, 0.25f}, .apart = 8}),
        normalizationSum("sum whose gradient nobody wants, leaky ReLU", rows,
                         {.neuron = {ReLU, 0.25f}, .hasSum = false, .apart = 8}),
        normalizationSum("gradient of no sum, ReLU", rows, {.neuron = {ReLU}, .hasAddend = false}),
    };
    // Pairs of pixels of one channel, one of them 1: mean 1/2, deviation 1/2, every sum exact.
    const Shape image{2, 2, 8, 1}, pairs{2, 2, 4, 2};
    auto operands = normalizationOperands(pairs, 1, Domain::OneHot);
    operands.push_back({"addend", pairs, Domain::OneHot});
    for (const bool inPlace : {false, true}) {
        const std::string name = inPlace ? "sum in place, balanced ones" : "sum, balanced ones";
        auto exact = normalizationSum(
            name, image, {.neuron = {ReLU, 0.25f}, .inPlace = inPlace, .apart = 4, .epsilon = 0}, operands);
        exact.exactOnIntegers = true;
        exact.closedForm = [image](const std::vector<Array>& all) {
            Array y{image, all[0].values};
            for (std::size_t i = 0; i < y.values.size(); ++i) {
                const double z = (2 * y.values[i] - 1) * all[1].values[0] + all[2].values[0] + 8 * all[3].values[i] - 4;
                y.values[i] = z >= 0 ? z : 0.25 * z;
            }
            return std::vector<Array>{y};
        };
        cases.push_back(exact);
    }
    return cases;
}

}  // namespace pewter::optable
