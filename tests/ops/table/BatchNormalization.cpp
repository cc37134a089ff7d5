// Batch normalisation: with the statistics of the batch (training), and with stored ones (inference).

#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/NNNeuronDescriptor.hpp>
#include <cmath>

#include "table/NormalizationSums.h"
#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;
using Device = std::shared_ptr<MTL::Device>;
using MPS::NNNeuronDescriptor;
using State = MPS::CNNBatchNormalizationState;

class Source final : public NormalizationSource<MPS::CNNBatchNormalizationDataSource> {
public:
    Source(std::size_t channels, std::vector<float> gamma, std::vector<float> beta, float epsilon,
           std::vector<float> mean = {}, std::vector<float> variance = {})
        : NormalizationSource(channels, std::move(gamma), std::move(beta), epsilon),
          mean_(std::move(mean)),
          variance_(std::move(variance)) {}
    const float* mean() override { return mean_.empty() ? nullptr : mean_.data(); }
    const float* variance() override { return variance_.empty() ? nullptr : variance_.data(); }
    bool load() override { return true; }
    void purge() override {}

private:
    std::vector<float> mean_, variance_;
};

struct Settings {
    float epsilon = kNormalizationEpsilon;
    NNNeuronDescriptor neuron;
    /// Calls that every kernel gets the batch in.
    std::size_t pieces = 1;
    /// Stored statistics; without them those of the batch are used.
    bool stored = false;
    std::vector<float> variance;
};

MPS::ImageBatch part(const MPS::ImageBatch& all, std::size_t piece, std::size_t pieces) {
    const auto at = [&](std::size_t i) {
        return all.begin() + static_cast<std::ptrdiff_t>(i * all.size() / pieces);
    };
    return {at(piece), at(piece + 1)};
}

/// Operands: source, gamma, beta; with stored statistics also mean and, unless the settings have it,
/// variance.
OpCase batch(std::string name, std::vector<Operand> operands, const Shape& image, const Settings& s) {
    OpCase op;
    op.name = std::move(name);
    op.operands = std::move(operands);
    op.run = [s, image](const Setting& setting, const std::vector<Array>& numbers, const Incoming* incoming) {
        const auto listOf = [&](std::size_t i) {
            return i < numbers.size() ? floatsOf(numbers[i]) : std::vector<float>();
        };
        const auto source = std::make_shared<Source>(image.c, listOf(1), listOf(2), s.epsilon, listOf(3),
                                                     s.variance.empty() ? listOf(4) : s.variance);
        const auto kernel = std::make_shared<MPS::CNNBatchNormalization>(setting.device, source, s.neuron);
        MPS::CNNBatchNormalizationStatistics statistics(setting.device);
        MPS::CNNBatchNormalizationStatisticsGradient sums(setting.device, s.neuron);
        MPS::CNNBatchNormalizationGradient gradient(setting.device, s.neuron);
        const auto commands = setting.device->newCommandQueue()->commandBuffer();
        const Array zeros{image, std::vector<double>(image.count(), 0.0)};
        const auto from = imagesOf(setting, {image, numbers[0].values}), to = imagesOf(setting, zeros);
        const auto state = std::dynamic_pointer_cast<State>(kernel->resultState(from[0], {}, to[0]));
        const auto each = [&](const auto& body) {
            for (std::size_t i = 0; i < s.pieces; ++i)
                body([&](const MPS::ImageBatch& all) { return part(all, i, s.pieces); });
        };
        if (s.stored) {
            each([&](const auto& cut) { kernel->encodeBatch(commands, cut(from), cut(to)); });
        } else {
            each([&](const auto& cut) { statistics.encodeBatch(commands, cut(from), state); });
            each([&](const auto& cut) { kernel->encodeBatch(commands, cut(from), state, cut(to)); });
        }
        Outcome outcome;
        outcome.gradients.resize(numbers.size());
        MPS::ImageBatch dx;
        if (incoming) {
            const auto in = imagesOf(setting, {image, (*incoming)(0, image)});
            dx = imagesOf(setting, zeros);
            each([&](const auto& cut) { sums.encodeBatch(commands, cut(in), cut(from), state); });
            each(
                [&](const auto& cut) { gradient.encodeBatch(commands, cut(in), cut(from), state, cut(dx)); });
        }
        finish(commands);
        outcome.outputs = {arrayOf(to)};
        if (!incoming) return outcome;
        outcome.gradients[0] = arrayOf(dx);
        outcome.gradients[0].shape = numbers[0].shape;
        const bool wide = setting.format == MPS::ImageFeatureChannelFormat::Float64;
        for (std::size_t i = 1; i < std::min<std::size_t>(numbers.size(), 3); ++i)
            outcome.gradients[i] =
                arrayOf(*(i == 1 ? state->gradientForGamma() : state->gradientForBeta()), image.c, wide);
        return outcome;
    };
    boundNormalization(op, image);
    return op;
}

OpCase training(std::string name, const Shape& shape, const Settings& s = {}) {
    return batch(std::move(name), normalizationOperands(shape, shape.c), shape, s);
}

/// A neuron on top: the result is no longer linear in gamma and beta, whose gradients other tests check.
OpCase withNeuron(std::string name, const Shape& shape, MPS::CNNNeuronType type, bool stored = false) {
    auto op =
        training(std::move(name), shape,
                 {.neuron = NNNeuronDescriptor::cnnNeuronDescriptor(type, 1.25f, 0.75f), .stored = stored});
    op.operands[1].differentiable = op.operands[2].differentiable = false;
    // Slopes up to 1.25 and curvatures up to 1.6 of the neurons here, on both ways.
    op.magnitude *= 1.25;
    op.gradientMagnitude *= 3;
    return op;
}

OpCase inference(std::string name, const Shape& shape, std::size_t pieces = 1) {
    auto operands = normalizationOperands(shape, shape.c);
    const Shape one{1, 1, 1, shape.c};
    operands.push_back({"mean", one, Domain::Signed, Kind::Parameter, false});
    operands.push_back({"variance", one, Domain::Positive, Kind::Parameter, false});
    return batch(std::move(name), std::move(operands), shape, {.pieces = pieces, .stored = true});
}

MPS::ImageBatch images(const Device& device, const Shape& shape) {
    return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1.0)});
}

std::shared_ptr<MPS::CNNBatchNormalization> kernel(const Device& device, std::size_t channels) {
    return std::make_shared<MPS::CNNBatchNormalization>(
        device, std::make_shared<Source>(channels, std::vector<float>(), std::vector<float>(),
                                         kNormalizationEpsilon));
}

std::vector<ErrorCase> errors() {
    return {
        {"null data source", [](const auto& device) { MPS::CNNBatchNormalization(device, nullptr); },
         "CNNBatchNormalization: dataSource: expected a data source, found null"},
        {"no channels", [](const auto& device) { kernel(device, 0); },
         "dataSource.numberOfFeatureChannels: expected at least 1, found 0"},
        {"another number of channels",
         [](const auto& device) {
             kernel(device, 4)->encodeBatch(device->newCommandQueue()->commandBuffer(),
                                            images(device, {1, 2, 2, 3}));
         },
         "CNNBatchNormalization 'norm': sourceImage: expected 4 feature channels, found 3"},
        {"an encode with a result state",
         [](const auto& device) {
             MPS::StateBatch states;
             kernel(device, 4)->encodeBatch(device->newCommandQueue()->commandBuffer(),
                                            images(device, {1, 2, 2, 4}), &states, false);
         },
         "destinationState: expected an encode with a batch normalisation state"},
        {"a null state",
         [](const auto& device) {
             const auto x = images(device, {1, 2, 2, 4});
             kernel(device, 4)->encodeBatch(device->newCommandQueue()->commandBuffer(), x,
                                            std::shared_ptr<State>(), x);
         },
         "batchNormalizationState: expected a CNNBatchNormalizationState, found null"},
        {"the state of another kernel",
         [](const auto& device) {
             const auto x = images(device, {1, 2, 2, 4}), y = images(device, {1, 2, 2, 4});
             const auto other = kernel(device, 4);
             const auto state = std::dynamic_pointer_cast<State>(other->resultState(x[0], {}, y[0]));
             kernel(device, 4)->encodeBatch(device->newCommandQueue()->commandBuffer(), x, state, y);
         },
         "batchNormalizationState: expected a state that this kernel made"},
        {"statistics of another number of channels",
         [](const auto& device) {
             const auto x = images(device, {1, 2, 2, 4}), narrow = images(device, {1, 2, 2, 3});
             const auto k = kernel(device, 4);
             const auto state = std::dynamic_pointer_cast<State>(k->resultState(x[0], {}, x[0]));
             MPS::CNNBatchNormalizationStatistics(device).encodeBatch(
                 device->newCommandQueue()->commandBuffer(), narrow, state);
         },
         "sourceImages: expected 4 feature channels, found 3"},
        {"a gradient before the statistics gradient",
         [](const auto& device) {
             const auto x = images(device, {1, 2, 2, 4}), y = images(device, {1, 2, 2, 4});
             const auto k = kernel(device, 4);
             const auto state = std::dynamic_pointer_cast<State>(k->resultState(x[0], {}, y[0]));
             const auto commands = device->newCommandQueue()->commandBuffer();
             MPS::CNNBatchNormalizationStatistics(device).encodeBatch(commands, x, state);
             MPS::CNNBatchNormalizationGradient(device).encodeBatch(commands, y, x, state);
         },
         "batchNormalizationState: expected statistics gradients of all 4 pixels in the statistics, found of "
         "0"},
        {"statistics of too few channels",
         [](const auto& device) {
             const auto state = std::make_shared<MPS::CNNNormalizationMeanAndVarianceState>(
                 device->newBuffer(8), device->newBuffer(8));
             kernel(device, 4)->reloadMeanAndVariance(device->newCommandQueue()->commandBuffer(), state);
         },
         "meanAndVarianceState: expected 4 values of float32, found 8 bytes"},
        {"a state of null buffers",
         [](const auto& device) { MPS::CNNNormalizationMeanAndVarianceState(device->newBuffer(8), nullptr); },
         "variance: expected a buffer, found null"},
    };
}

}  // namespace

OpRow BatchNormalization() {
    OpRow row;
    row.family = "batch_normalization";
    row.classes = {"MPSCNNBatchNormalization",
                   "MPSCNNBatchNormalizationStatistics",
                   "MPSCNNBatchNormalizationStatisticsGradient",
                   "MPSCNNBatchNormalizationGradient",
                   "MPSCNNBatchNormalizationState",
                   "MPSCNNBatchNormalizationDataSource",
                   "MPSCNNNormalizationGammaAndBetaState",
                   "MPSCNNNormalizationMeanAndVarianceState"};
    row.pytorch =
        "F.batch_norm(x, None, None, gamma, beta, training=True, eps=epsilon), training=False with stored "
        "statistics";
    for (const Shape& shape :
         {Shape{1, 3, 4, 3}, Shape{2, 2, 3, 5}, Shape{3, 2, 4, 1}, Shape{8, 1, 1, 6}, Shape{1, 4, 4, 7}}) {
        const auto size = std::to_string(shape.n) + "x" + std::to_string(shape.h) + "x" +
                          std::to_string(shape.w) + "x" + std::to_string(shape.c);
        row.cases.push_back(training("training " + size, shape));
        row.cases.push_back(inference("inference " + size, shape));
    }
    row.cases.push_back(training("training in three calls", {5, 2, 2, 3}, {.pieces = 3}));
    row.cases.push_back(inference("inference in two calls", {3, 2, 2, 3}, 2));
    row.cases.push_back(training("epsilon 1", {2, 3, 3, 2}, {.epsilon = 1}));
    auto plain = training("no gamma, no beta", {2, 3, 3, 3});
    plain.operands.resize(1);
    row.cases.push_back(plain);
    row.cases.push_back(withNeuron("training, sigmoid", {2, 2, 3, 3}, MPS::CNNNeuronType::Sigmoid));
    row.cases.push_back(withNeuron("training, tanh", {2, 2, 3, 3}, MPS::CNNNeuronType::TanH));
    row.cases.push_back(withNeuron("inference, tanh", {2, 2, 3, 3}, MPS::CNNNeuronType::TanH, true));
    // Pairs of pixels of one channel, one of them 1: mean 1/2, deviation 1/2, every sum exact.
    const Shape pairs{2, 2, 4, 2}, image{2, 2, 8, 1};
    auto exact = batch("training, balanced ones", normalizationOperands(pairs, 1, Domain::OneHot), image,
                       {.epsilon = 0});
    exact.exactOnIntegers = true;
    exact.closedForm = [image](const std::vector<Array>& operands) {
        Array y{image, operands[0].values};
        for (double& v : y.values) v = (2 * v - 1) * operands[1].values[0] + operands[2].values[0];
        return std::vector<Array>{y};
    };
    row.cases.push_back(exact);
    // Deviations are powers of two.
    auto operands = normalizationOperands({2, 3, 5, 3}, 3);
    operands.push_back({"mean", {1, 1, 1, 3}, Domain::Signed, Kind::Parameter, false});
    auto stored = batch("inference, exact deviations", operands, {2, 3, 5, 3},
                        {.epsilon = 0, .stored = true, .variance = {4, 1, 0.25f}});
    stored.exactOnIntegers = true;
    stored.closedForm = [](const std::vector<Array>& all) {
        constexpr double kInverse[] = {0.5, 1, 2};
        Array y = all[0];
        for (std::size_t i = 0; i < y.values.size(); ++i) {
            const std::size_t c = i % 3;
            y.values[i] =
                (y.values[i] - all[3].values[c]) * kInverse[c] * all[1].values[c] + all[2].values[c];
        }
        return std::vector<Array>{y};
    };
    row.cases.push_back(stored);
    for (auto& op : normalizationSums()) row.cases.push_back(std::move(op));
    row.large = {training("training, 26 MB", {32, 56, 56, 64}),
                 inference("inference, 26 MB", {32, 56, 56, 64}),
                 training("training, many channels, 26 MB", {64, 14, 14, 512}),
                 withNeuron("training, tanh, 26 MB", {32, 56, 56, 64}, MPS::CNNNeuronType::TanH),
                 normalizationSum("training, sum and ReLU, 26 MB", {32, 56, 56, 64}, {.neuron = {ops::NeuronType::ReLU}})};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
