#include <fmt/format.h>

#include <MPS/CNNNeuronNode.hpp>
#include <MPS/CNNSoftMaxNode.hpp>
#include <MPS/NNForwardLossNode.hpp>

#include "Draw.h"

namespace pewter::fuzz {

namespace {

using Loss = MPS::CNNLossType;
using Reduction = MPS::CNNReductionType;

/// Values in (0, 1); of a softmax those of a pixel add up to 1.
std::size_t probabilities(Drawer& d, std::size_t image, bool sums) {
    if (sums)
        return d.addUnary(
            image, d.sizeOf(image), "softmax", [](const ImageNode& x) { return MPS::CNNSoftMaxNode::node(x); }, 1,
            d.sizeOf(image).channels);
    return d.addUnary(
        image, d.sizeOf(image), "sigmoid", [](const ImageNode& x) { return MPS::CNNNeuronSigmoidNode::node(x); }, 1);
}

/// A loss as an image, against labels that are an image of the graph.
bool drawForwardLoss(Drawer& d) {
    std::size_t prediction = d.pickTame(6);
    const Size size = d.sizeOf(prediction);
    std::size_t labels = *d.pickWhere([&](const Size& s) { return s == size; });
    auto loss = MPS::CNNLossDescriptor::cnnLossDescriptor(
        d.oneOf({Loss::MeanSquaredError, Loss::MeanAbsoluteError, Loss::SigmoidCrossEntropy, Loss::SoftMaxCrossEntropy,
                 Loss::Hinge, Loss::Huber, Loss::CosineDistance, Loss::CategoricalCrossEntropy, Loss::Log,
                 Loss::KullbackLeiblerDivergence}),
        d.oneOf({Reduction::Sum, Reduction::Mean, Reduction::None}));
    loss.weight = d.oneOf({1.0F, 0.5F, 0.25F});
    bool weighted = d.chance(0.2);
    if (loss.lossType == Loss::CosineDistance) loss.reductionType = Reduction::Sum, weighted = false;
    if (loss.lossType == Loss::SoftMaxCrossEntropy) {
        // The gradient is that of labels that add up to 1, with one factor for all channels of a pixel.
        labels = probabilities(d, labels, true);
        weighted = false;
        if (loss.reductionType == Reduction::None) loss.reductionType = Reduction::Sum;
        if (d.chance(0.3)) loss.labelSmoothing = 0.125F, loss.numberOfClasses = size.channels;
    }
    if (loss.lossType == Loss::CategoricalCrossEntropy || loss.lossType == Loss::Log) {
        if (d.plan.magnitudeOf(prediction) > 3) return false;
        prediction = probabilities(d, prediction, false);
        loss.epsilon = 0.01F;
    }
    if (loss.lossType == Loss::KullbackLeiblerDivergence || loss.lossType == Loss::Log) {
        if (d.plan.magnitudeOf(labels) > 3) return false;
        labels = probabilities(d, labels, false);
    }
    loss.reduceAcrossBatch = loss.reductionType != Reduction::None && d.chance(0.2);
    PlanNode node;
    node.sources = {prediction, labels};
    // Inputs come first: one that nothing reads yet can serve as weights.
    if (weighted && loss.reductionType != Reduction::None) {
        weighted = false;
        for (std::size_t i = 0; i < d.plan.inputs.size(); ++i)
            if (d.readers()[i] == 0 && d.plan.inputs[i] == size) {
                weighted = true;
                for (auto& value : d.plan.inputValues[i]) value = d.chance(0.2) ? 0 : std::abs(value);
                d.plan.constants.insert(i);
                node.sources.push_back(i);
                break;
            }
        if (weighted && d.chance(0.3)) loss.reductionType = Reduction::SumByNonZeroWeights;
    } else {
        weighted = false;
    }
    const double m = d.plan.magnitudeOf(prediction) + d.plan.magnitudeOf(labels) + 1;
    const bool reduces = loss.reductionType != Reduction::None;
    const bool mean = loss.reductionType == Reduction::Mean;
    node.size = reduces ? Size{1, 1, 1} : size;
    node.magnitude = m * m * (reduces && !mean ? static_cast<double>(size.count()) : 1);
    node.terms = d.plan.batch * size.count();
    node.text = fmt::format("forward loss {} reduction {}{} weight {}{}", static_cast<int>(loss.lossType),
                            static_cast<int>(loss.reductionType), loss.reduceAcrossBatch ? " across the batch" : "",
                            loss.weight, weighted ? " weighted" : "");
    node.build = [loss](const std::vector<ImageNode>& x, const Building&) -> FilterNode {
        return MPS::NNForwardLossNode::node(x, loss);
    };
    d.add(std::move(node));
    return true;
}

}  // namespace

std::vector<Family> lossFamilies() { return {{"forward loss", 1, drawForwardLoss, false}}; }

}  // namespace pewter::fuzz
