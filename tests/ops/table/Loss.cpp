// Losses: value and gradient at once, the value alone, and the chain rule towards predictions and labels.

#include <MPS/CNNLoss.hpp>
#include <MPS/NNInitialGradient.hpp>
#include <MPS/NNLoss.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;
using MPS::CNNLossDescriptor;
using MPS::CNNLossType;
using MPS::CNNReductionType;

/// A loss with what it is made for. Bounds over the domains: of a loss, and of a derivative by prediction or
/// label.
struct LossKind {
    const char* name;
    CNNLossType type;
    Domain predictions, labels;
    double loss, slope;
};

/// Signed predictions are at most 1 in size, distinct ones 2; probabilities lie between 0.05 and 0.95, so
/// that logarithms stay under 3 and quotients under 20.
const LossKind kKinds[] = {
    {"mean absolute error", CNNLossType::MeanAbsoluteError, Domain::Distinct, Domain::OneHot, 3, 1},
    {"mean squared error", CNNLossType::MeanSquaredError, Domain::Signed, Domain::Signed, 4, 4},
    {"softmax cross entropy", CNNLossType::SoftMaxCrossEntropy, Domain::Signed, Domain::OneHot, 6, 6},
    {"sigmoid cross entropy", CNNLossType::SigmoidCrossEntropy, Domain::Signed, Domain::OneHot, 3, 2},
    {"categorical cross entropy", CNNLossType::CategoricalCrossEntropy, Domain::Probability,
     Domain::Probability, 3, 20},
    {"hinge", CNNLossType::Hinge, Domain::Distinct, Domain::OneHot, 3, 4},
    {"Huber", CNNLossType::Huber, Domain::Distinct, Domain::OneHot, 3, 1},
    {"cosine distance", CNNLossType::CosineDistance, Domain::Signed, Domain::Signed, 2, 1},
    {"log", CNNLossType::Log, Domain::Probability, Domain::Probability, 6, 40},
    {"Kullback-Leibler divergence", CNNLossType::KullbackLeiblerDivergence, Domain::Signed,
     Domain::Probability, 4, 5},
};

CNNLossDescriptor descriptorOf(CNNLossType type, CNNReductionType reduction, bool across = false) {
    auto d = CNNLossDescriptor::cnnLossDescriptor(type, reduction);
    d.reduceAcrossBatch = across;
    d.weight = 1.5f;
    d.delta = 0.75f;
    d.epsilon = 0x1p-6f;
    return d;
}

/// p - t is the derivative of a softmax where the channels of a pixel share one incoming gradient: its losses
/// without reduction are added up over the channels here.
bool addsChannels(const CNNLossDescriptor& d) {
    return d.lossType == CNNLossType::SoftMaxCrossEntropy && d.reductionType == CNNReductionType::None;
}

Array sumOfChannels(const Array& all) {
    Array sums{{all.shape.n, all.shape.h, all.shape.w, 1}, {}};
    for (std::size_t i = 0; i < all.values.size(); ++i) {
        if (i % all.shape.c == 0) sums.values.push_back(0);
        sums.values.back() += all.values[i];
    }
    return sums;
}

Array spread(const Array& one, std::size_t channels) {
    Array all{{one.shape.n, one.shape.h, one.shape.w, channels}, {}};
    for (const double value : one.values) all.values.insert(all.values.end(), channels, value);
    return all;
}

Shape lossShape(const CNNLossDescriptor& d, const Shape& source) {
    return d.reductionType == CNNReductionType::None ? source : Shape{source.n, 1, 1, 1};
}

/// Images that have been written before: measurements are of kernels, not of the system that hands out pages.
MPS::ImageBatch written(const Setting& setting, const Shape& shape) {
    return imagesOf(setting, {shape, std::vector<double>(shape.count(), 7.0)});
}

/// NNForwardLoss, and NNLossGradient twice. Operands: predictions, labels, and weights if there are three.
OpCase chain(const LossKind& kind, const std::string& name, const CNNLossDescriptor& d, const Shape& shape,
             bool weighted) {
    OpCase op;
    op.name = name;
    op.operands = {{"predictions", shape, kind.predictions}, {"labels", shape, kind.labels}};
    if (weighted) op.operands.push_back({"weights", shape, Domain::OneHot, Kind::Image, false});
    op.run = [d](const Setting& setting, const std::vector<Array>& operands, const Incoming* incoming) {
        MPS::NNForwardLoss forward(setting.device, d);
        forward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commands = setting.device->newCommandQueue()->commandBuffer();
        const auto y = imagesOf(setting, operands[0]), t = imagesOf(setting, operands[1]);
        const auto w = operands.size() > 2 ? imagesOf(setting, operands[2]) : MPS::ImageBatch();
        MPS::StateBatch states;
        const auto losses = forward.encodeBatch(commands, y, t, w, &states, false);
        Outcome outcome;
        outcome.gradients.resize(operands.size());
        MPS::ImageBatch gradients[2];
        if (incoming) {
            const Shape& source = operands[0].shape;
            Array u{addsChannels(d) ? Shape{source.n, source.h, source.w, 1} : lossShape(d, source), {}};
            u.values = (*incoming)(0, u.shape);
            if (addsChannels(d)) u = spread(u, source.c);
            const auto from = imagesOf(setting, u);
            MPS::NNLossGradient backward(setting.device, d);
            for (const bool labels : {false, true}) {
                backward.setComputeLabelGradients(labels);
                gradients[labels] = written(setting, source);
                backward.encodeBatch(commands, from, y, t, w, states, gradients[labels]);
            }
        }
        finish(commands);
        outcome.outputs = {addsChannels(d) ? sumOfChannels(arrayOf(losses)) : arrayOf(losses)};
        for (std::size_t i = 0; incoming && i < 2; ++i) outcome.gradients[i] = arrayOf(gradients[i]);
        return outcome;
    };
    // A reduced loss is a sum over the image or the batch, the logarithm in a softmax one over the channels.
    const bool none = d.reductionType == CNNReductionType::None;
    const double terms =
        none ? (addsChannels(d) ? static_cast<double>(shape.c) : 1) : static_cast<double>(shape.count());
    op.sumLength = terms + static_cast<double>(shape.c) + 16;
    op.magnitude =
        (d.reductionType == CNNReductionType::Sum || addsChannels(d) ? terms : 1) * kind.loss * 1.5 + 1.5;
    op.gradientLength = static_cast<double>(shape.c) + 20;
    op.gradientMagnitude = 2 * kind.slope * 1.5;
    return op;
}

/// CNNLoss: its gradient is that of the sum; what a caller would multiply it by is multiplied here.
OpCase fused(const LossKind& kind, const std::string& name, const CNNLossDescriptor& d, const Shape& shape) {
    OpCase op;
    op.name = name;
    op.operands = {{"predictions", shape, kind.predictions},
                   {"labels", shape, kind.labels, Kind::Image, false}};
    op.run = [d](const Setting& setting, const std::vector<Array>& operands, const Incoming* incoming) {
        MPS::CNNLoss kernel(setting.device, d);
        const auto commands = setting.device->newCommandQueue()->commandBuffer();
        const auto labels =
            MPS::CNNLossLabels::batch(setting.device, {1, 1, 1}, imagesOf(setting, operands[1]));
        const auto gradients = written(setting, operands[0].shape);
        kernel.encodeBatch(commands, imagesOf(setting, operands[0]), labels, gradients);
        finish(commands);
        MPS::ImageBatch losses;
        for (const auto& one : labels) losses.push_back(one->lossImage());
        Outcome outcome;
        outcome.outputs = {arrayOf(losses)};
        outcome.gradients.resize(2);
        if (!incoming) return outcome;
        outcome.gradients[0] = arrayOf(gradients);
        const Shape& shape = operands[0].shape;
        const auto u = (*incoming)(0, {shape.n, 1, 1, 1});
        const std::size_t one = shape.count() / shape.n;
        for (std::size_t i = 0; i < shape.count(); ++i) outcome.gradients[0].values[i] *= u[i / one];
        return outcome;
    };
    op.sumLength = static_cast<double>(shape.count() / shape.n + shape.c) + 16;
    op.magnitude = static_cast<double>(shape.count() / shape.n) * kind.loss * 1.5 + 1.5;
    op.gradientLength = static_cast<double>(shape.c) + 20;
    op.gradientMagnitude = 2 * kind.slope * 1.5;
    return op;
}

const char* nameOf(CNNReductionType reduction) {
    constexpr const char* kNames[] = {"none", "sum", "mean", "by weights"};
    return kNames[static_cast<std::size_t>(reduction)];
}

/// Errors of an encode of the forward loss.
ErrorCase misuse(std::string name,
                 std::function<void(MPS::NNForwardLoss&, const std::shared_ptr<MTL::CommandBuffer>&)> fn,
                 std::string says) {
    return {std::move(name),
            [fn](const auto& device) {
                MPS::NNForwardLoss kernel(device,
                                          descriptorOf(CNNLossType::MeanSquaredError, CNNReductionType::Sum));
                fn(kernel, device->newCommandQueue()->commandBuffer());
            },
            std::move(says)};
}

MPS::ImageBatch images(const MPS::Kernel& kernel, const Shape& shape) {
    return imagesOf({kernel.device()}, {shape, std::vector<double>(shape.count(), 1.0)});
}

std::vector<ErrorCase> errors() {
    const auto made = [](CNNLossType type, CNNReductionType reduction, float smoothing = 0,
                         std::size_t classes = 1) {
        return [=](const auto& device) {
            auto d = descriptorOf(type, reduction);
            d.labelSmoothing = smoothing;
            d.numberOfClasses = classes;
            MPS::CNNLoss kernel(device, d);
        };
    };
    return {
        {"unknown type", made(CNNLossType::Count, CNNReductionType::Sum),
         "lossType: expected one of the ten"},
        {"unknown reduction", made(CNNLossType::Log, CNNReductionType::Count),
         "reductionType: expected None"},
        {"cosine distance that does not sum", made(CNNLossType::CosineDistance, CNNReductionType::Mean),
         "reductionType: expected Sum"},
        {"smoothing above 1", made(CNNLossType::SoftMaxCrossEntropy, CNNReductionType::Sum, 2),
         "labelSmoothing"},
        {"no classes", made(CNNLossType::SoftMaxCrossEntropy, CNNReductionType::Sum, 0, 0),
         "numberOfClasses"},
        misuse(
            "labels of another size",
            [](auto& kernel, const auto& commands) {
                kernel.encodeBatch(commands, images(kernel, {1, 1, 1, 3}), images(kernel, {1, 1, 1, 4}), {},
                                   nullptr, false);
            },
            "labels: expected 1 x 1 x 3, the size of the source"),
        misuse(
            "no labels",
            [](auto& kernel, const auto& commands) {
                static_cast<MPS::CNNKernel&>(kernel).encodeBatch(commands, images(kernel, {1, 1, 1, 3}));
            },
            "labels: expected an encode with labels"),
        misuse(
            "fewer weights than sources",
            [](auto& kernel, const auto& commands) {
                const auto x = images(kernel, {2, 1, 1, 3});
                kernel.encodeBatch(commands, x, x, {x[0]}, nullptr, false);
            },
            "weights: expected 2 entries"),
        {"a gradient of another size than the loss",
         [](const auto& device) {
             MPS::NNLossGradient kernel(device,
                                        descriptorOf(CNNLossType::MeanSquaredError, CNNReductionType::Sum));
             const auto x = images(kernel, {1, 1, 1, 3});
             kernel.encodeBatch(device->newCommandQueue()->commandBuffer(), x, x, x, {}, {});
         },
         "sourceGradient: expected 1 x 1 x 1, the size of a loss that reduces"},
        {"labels shorter than their layout",
         [](const auto&) {
             MPS::CNNLossDataDescriptor::cnnLossDataDescriptor(
                 {1, 2}, MPS::DataLayout::HeightxWidthxFeatureChannels, {1, 1, 3});
         },
         "data: expected 12 bytes"},
    };
}

}  // namespace

OpRow Loss() {
    OpRow row;
    row.family = "loss";
    row.classes = {
        "MPSCNNLoss",       "MPSNNForwardLoss",     "MPSNNLossGradient",        "MPSNNInitialGradient",
        "MPSCNNLossLabels", "MPSCNNLossDescriptor", "MPSCNNLossDataDescriptor", "MPSNNLossCallback"};
    row.pytorch =
        "F.l1_loss, F.mse_loss, F.cross_entropy, F.binary_cross_entropy_with_logits, F.huber_loss, F.kl_div";
    using enum CNNReductionType;
    const Shape shape{2, 2, 3, 3};
    for (const auto& kind : kKinds) {
        const std::string name = kind.name;
        row.cases.push_back(fused(kind, name + ", with its gradient", descriptorOf(kind.type, Sum), shape));
        const bool softMax = kind.type == CNNLossType::SoftMaxCrossEntropy;
        const bool all = softMax || kind.type == CNNLossType::MeanSquaredError;
        for (const auto reduction : {None, Sum, Mean, SumByNonZeroWeights}) {
            const bool cosine = kind.type == CNNLossType::CosineDistance;
            if (cosine ? reduction != Sum : !all && reduction != None && reduction != SumByNonZeroWeights)
                continue;
            for (const bool across : {false, true}) {
                if (across && (reduction == None || (!all && !cosine))) continue;
                row.cases.push_back(
                    chain(kind, name + ", " + nameOf(reduction) + (across ? " across the batch" : ""),
                          descriptorOf(kind.type, reduction, across), shape, !softMax));
            }
        }
    }
    for (const auto index : {2, 3}) {
        auto d = descriptorOf(kKinds[index].type, Mean);
        d.labelSmoothing = 0.125f;
        d.numberOfClasses = 3;
        row.cases.push_back(
            chain(kKinds[index], std::string(kKinds[index].name) + ", smoothed labels", d, shape, false));
    }
    auto exact = fused(kKinds[1], "mean squared error of integers",
                       descriptorOf(CNNLossType::MeanSquaredError, Sum), {3, 2, 1, 5});
    exact.exactOnIntegers = true;
    exact.closedForm = [](const std::vector<Array>& operands) {
        std::vector<double> sums(3, 0.0);
        for (std::size_t i = 0; i < operands[0].values.size(); ++i) {
            const double d = operands[0].values[i] - operands[1].values[i];
            sums[i / 10] += 1.5 * d * d;
        }
        return std::vector<Array>{{{3, 1, 1, 1}, sums}};
    };
    row.cases.push_back(exact);
    auto ones =
        caseOf("initial gradient", UnaryPair{{"source", {2, 3, 1, 5}}, [](const auto& device) {
                                                 return std::make_shared<MPS::NNInitialGradient>(device);
                                             }});
    ones.exactOnIntegers = true;
    ones.closedForm = [](const std::vector<Array>& operands) {
        return std::vector<Array>{{operands[0].shape, std::vector<double>(operands[0].values.size(), 1.0)}};
    };
    row.cases.push_back(ones);

    const Shape wide{32, 32, 32, 256}, scores{1024, 1, 1, 4096};
    row.large = {chain(kKinds[1], "mean squared error, 33 MB a tensor",
                       descriptorOf(CNNLossType::MeanSquaredError, Mean), wide, true),
                 fused(kKinds[2], "softmax cross entropy, 4096 classes",
                       descriptorOf(CNNLossType::SoftMaxCrossEntropy, Mean), scores),
                 chain(kKinds[3], "sigmoid cross entropy, no reduction",
                       descriptorOf(CNNLossType::SigmoidCrossEntropy, None), wide, false)};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
