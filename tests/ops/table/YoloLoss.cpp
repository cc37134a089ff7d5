// The loss of a detector. Targets are constants where gradients are checked: those by rescoring follow the
// predictions, so that their gradient is not the derivative (tests/ops/ReferenceYoloLoss.cpp looks at the
// parts that are).

#include <MPS/CNNYOLOLoss.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <cmath>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;
using MPS::CNNLossType;
using MPS::CNNReductionType;
using MPS::CNNYOLOLossDescriptor;

constexpr std::size_t kClasses = 3;

CNNYOLOLossDescriptor descriptorOf(std::size_t anchors, CNNReductionType reduction = CNNReductionType::Sum) {
    std::vector<float> sizes;
    for (std::size_t a = 0; a < anchors; ++a) {
        sizes.push_back(0.75f + static_cast<float>(a));
        sizes.push_back(1.5f + 0.5f * static_cast<float>(a));
    }
    return CNNYOLOLossDescriptor::cnnLossDescriptor(
        CNNLossType::MeanSquaredError, CNNLossType::Huber, CNNLossType::SigmoidCrossEntropy,
        CNNLossType::SoftMaxCrossEntropy, reduction, sizes, anchors);
}

/// A box in every `apart`th cell, of a size between those of the anchors, in all of them.
Array labelsOf(const Shape& shape, std::size_t anchors, std::size_t apart) {
    Array labels{shape, std::vector<double>(shape.count(), 0.0)};
    const std::size_t step = shape.c / anchors;
    for (std::size_t cell = 0; cell < shape.n * shape.h * shape.w; cell += apart)
        for (std::size_t a = 0; a < anchors; ++a) {
            double* const t = &labels.values[cell * shape.c + a * step];
            const double k = static_cast<double>(cell % 7);
            t[0] = 0.125 * k, t[1] = 1 - t[0];
            t[2] = 0.5 + 0.5 * k, t[3] = 3 - 0.375 * k;
            t[4] = 1;
            t[5 + cell % (step - 5)] = 1;
        }
    return labels;
}

OpCase yolo(std::string name, const CNNYOLOLossDescriptor& d, const Shape& cells,
            std::size_t classes = kClasses, std::size_t apart = 3) {
    const std::size_t anchors = d.numberOfAnchorBoxes;
    const Shape shape{cells.n, cells.h, cells.w, anchors * (5 + classes)};
    const auto labels = std::make_shared<Array>(labelsOf(shape, anchors, apart));
    OpCase op;
    op.name = std::move(name);
    op.operands = {{"predictions", shape, Domain::Signed, Kind::Image,
                    !d.rescore && d.presence == MPS::CNNYOLOLossPresence::AnchorShape}};
    op.run = [d, labels](const Setting& setting, const std::vector<Array>& operands,
                         const Incoming* incoming) {
        const Shape& shape = operands[0].shape;
        MPS::CNNYOLOLoss kernel(setting.device, d);
        const auto commands = setting.device->newCommandQueue()->commandBuffer();
        const auto truth = MPS::CNNLossLabels::batch(setting.device, {1, 1, 1}, imagesOf(setting, *labels));
        // Written before: measurements are of the kernel, not of the system that hands out pages.
        const auto gradients = imagesOf(setting, {shape, std::vector<double>(shape.count(), 7.0)});
        kernel.encodeBatch(commands, imagesOf(setting, operands[0]), truth, gradients);
        finish(commands);
        MPS::ImageBatch losses;
        for (const auto& one : truth) losses.push_back(one->lossImage());
        Outcome outcome;
        outcome.outputs = {arrayOf(losses)};
        outcome.gradients.resize(1);
        if (!incoming) return outcome;
        // The gradient is that of the sum; what a caller would multiply it by is multiplied here.
        outcome.gradients[0] = arrayOf(gradients);
        const auto u = (*incoming)(0, {shape.n, 1, 1, 1});
        const std::size_t one = shape.count() / shape.n;
        const double divisor = d.reductionType == CNNReductionType::Mean ? static_cast<double>(one) : 1;
        for (std::size_t i = 0; i < shape.count(); ++i)
            outcome.gradients[0].values[i] *= u[i / one] / divisor;
        return outcome;
    };
    // An image adds up its cells; a cell at most 100 times a cross entropy below 2, 10 times sizes of
    // |ln(t/a)| below 3, 2 times one of a softmax below 3, for each anchor.
    const double all = static_cast<double>(cells.h * cells.w * anchors);
    op.sumLength = all + static_cast<double>(classes) + 20;
    op.magnitude = d.reductionType == CNNReductionType::Mean ? 300 : 300 * all;
    op.gradientLength = static_cast<double>(classes) + 20;
    op.gradientMagnitude = 200;
    return op;
}

}  // namespace

OpRow YoloLoss() {
    OpRow row;
    row.family = "yolo_loss";
    row.classes = {"MPSCNNYOLOLoss", "MPSCNNYOLOLossDescriptor"};
    const Shape cells{2, 2, 3, 1};
    const auto constant = [](std::size_t anchors, CNNReductionType reduction = CNNReductionType::Sum) {
        auto d = descriptorOf(anchors, reduction);
        d.rescore = false;
        return d;
    };
    row.cases.push_back(yolo("one anchor", constant(1), cells));
    row.cases.push_back(yolo("two anchors", constant(2), cells));
    row.cases.push_back(yolo("five anchors, one class", constant(5), {1, 1, 4, 1}, 1));
    row.cases.push_back(yolo("mean", constant(2, CNNReductionType::Mean), cells));
    auto d = constant(2);
    d.normalization = MPS::CNNYOLOLossNormalization::PerTerm;
    row.cases.push_back(yolo("terms divided by objects", d, cells));
    d = constant(3);
    d.XYLossDescriptor.lossType = CNNLossType::SigmoidCrossEntropy;
    d.WHLossDescriptor.lossType = CNNLossType::MeanSquaredError;
    d.confidenceLossDescriptor.lossType = CNNLossType::MeanSquaredError;
    d.classesLossDescriptor.lossType = CNNLossType::SigmoidCrossEntropy;
    d.scaleObject = 7, d.scaleNoObject = 3, d.minIOUForObjectPresence = 0.5f;
    row.cases.push_back(yolo("other losses, scales and limits", d, cells));
    d = constant(2);
    d.classesLossDescriptor.labelSmoothing = 0.25f;
    d.classesLossDescriptor.numberOfClasses = kClasses;
    d.WHLossDescriptor.delta = 0.5f;
    row.cases.push_back(yolo("smoothed classes, small delta", d, cells));
    row.cases.push_back(yolo("rescored", descriptorOf(3), cells));
    d = descriptorOf(3);
    d.presence = MPS::CNNYOLOLossPresence::PredictedBox;
    row.cases.push_back(yolo("objects by predicted boxes", d, cells));

    // Three objects an image, and seven.
    row.large = {
        yolo("13 x 13 cells, 5 anchors, 20 classes, 64 images", descriptorOf(5), {64, 13, 13, 1}, 20, 50),
        yolo("26 x 26 cells, 3 anchors, 80 classes, 16 images", descriptorOf(3), {16, 26, 26, 1}, 80, 100)};

    const auto made = [](auto change) {
        return [change](const auto& device) {
            auto d = descriptorOf(2);
            change(d);
            MPS::CNNYOLOLoss kernel(device, d);
        };
    };
    row.errors = {
        {"no anchors", made([](auto& d) { d.numberOfAnchorBoxes = 0; }),
         "numberOfAnchorBoxes: expected at least 1"},
        {"anchors without sizes", made([](auto& d) { d.numberOfAnchorBoxes = 3; }),
         "anchorBoxes: expected 6 numbers"},
        {"an anchor without width", made([](auto& d) { d.anchorBoxes[0] = 0; }), "anchorBoxes[0]: expected"},
        {"a part that is no loss of elements",
         made([](auto& d) { d.XYLossDescriptor.lossType = CNNLossType::CosineDistance; }),
         "XYLossDescriptor: expected a loss of single elements"},
        {"channels that are no boxes",
         [](const auto& device) {
             MPS::CNNYOLOLoss kernel(device, descriptorOf(2));
             const auto images = imagesOf({device}, {{1, 1, 1, 13}, std::vector<double>(13)});
             kernel.encodeBatch(device->newCommandQueue()->commandBuffer(), images,
                                MPS::CNNLossLabels::batch(device, {1, 1, 1}, images));
         },
         "sourceImage: expected 2 (5 + K) feature channels"}};
    return row;
}

}  // namespace pewter::optable
