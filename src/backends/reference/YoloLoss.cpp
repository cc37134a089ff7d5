#include <algorithm>
#include <cmath>

#include "backends/reference/LossFunction.h"
#include "backends/reference/Reference.h"
#include "backends/reference/SoftMaxFunction.h"

namespace pewter::reference {

namespace {

/// What one anchor of one cell is trained for.
struct Assignment {
    bool object = false, none = false;
    double boxIou = 0;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Length that two intervals of these centres and sizes share.
double overlap(double centre, double size, double otherCentre, double otherSize) {
    const double from = std::max(centre - size / 2, otherCentre - otherSize / 2);
    const double to = std::min(centre + size / 2, otherCentre + otherSize / 2);
    return std::max(0.0, to - from);
}

/// Of the anchors of one cell: predictions r and labels t of its channels.
std::vector<Assignment> assign(const ops::YoloLoss& op, const double* r, const double* t) {
    const auto anchors = static_cast<std::size_t>(op.anchorCount);
    std::vector<Assignment> all(anchors);
    std::vector<double> ious(anchors, 0.0);
    for (std::size_t a = 0; a < anchors; ++a, r += op.channelsPerAnchor(), t += op.channelsPerAnchor()) {
        if (t[2] <= 0 || t[3] <= 0) continue;
        const double width = op.anchors[2 * a], height = op.anchors[2 * a + 1], area = t[2] * t[3];
        const double shared = std::min(width, t[2]) * std::min(height, t[3]);
        const double boxWidth = width * std::exp(r[2]), boxHeight = height * std::exp(r[3]);
        const double both =
            overlap(sigmoid(r[0]), boxWidth, t[0], t[2]) * overlap(sigmoid(r[1]), boxHeight, t[1], t[3]);
        all[a].boxIou = both / (boxWidth * boxHeight + area - both);
        ious[a] = op.predictedBoxes ? all[a].boxIou : shared / (width * height + area - shared);
    }
    t -= op.src.c;
    const double best = *std::max_element(ious.begin(), ious.end());
    for (std::size_t a = 0; a < anchors; ++a, t += op.channelsPerAnchor()) {
        all[a].object = t[4] == 1 && (ious[a] == best || ious[a] > op.minIou);
        all[a].none = !all[a].object && ious[a] < op.maxIou;
    }
    return all;
}

}  // namespace

void Reference::run(const ops::YoloLoss& op, ops::Stream&) {
    const Values src(op.src), labels(op.labels), weights(op.weights);
    Values gradient = Values::zerosLike(op.src), losses = Values::zerosLike(op.src);
    const std::int64_t cells = src.n * src.h * src.w, step = op.channelsPerAnchor(), classes = step - 5;
    std::vector<std::vector<Assignment>> assignments;
    double objects = 0;
    for (std::int64_t cell = 0; cell < cells; ++cell) {
        assignments.push_back(assign(op, &src[cell * src.c], &labels[cell * src.c]));
        for (const auto& one : assignments.back()) objects += one.object;
    }
    const auto shared = [&](double divisor) { return !op.normalised ? 1 : divisor == 0 ? 0 : 1 / divisor; };
    const double perObject = shared(objects + 1e-4), perSize = shared(2 * objects),
                 perCell = shared(static_cast<double>(cells));

    const auto add = [&](std::int64_t i, const ops::LossFunction& f, double scale, double y, double t,
                         double logarithm, double chain) {
        const double factor = scale * f.weight * (weights.isEmpty() ? 1 : weights[i]);
        const ElementLoss element = elementLoss(f, y, t, logarithm);
        losses[i] = factor * element.value;
        gradient[i] = factor * element.derivative * chain;
    };
    std::vector<double> logarithms(static_cast<std::size_t>(classes));
    for (std::int64_t cell = 0; cell < cells; ++cell)
        for (std::int64_t a = 0; a < op.anchorCount; ++a) {
            const auto& one = assignments[static_cast<std::size_t>(cell)][static_cast<std::size_t>(a)];
            const std::int64_t first = cell * src.c + a * step;
            if (one.object || one.none)
                add(first + 4, op.confidence, (one.object ? op.scaleObject : op.scaleNoObject) * perCell,
                    src[first + 4],
                    !one.object  ? 0
                    : op.rescore ? one.boxIou
                                 : 1,
                    0, 1);
            if (!one.object) continue;
            for (std::int64_t i = 0; i < 2; ++i) {
                const double b = sigmoid(src[first + i]);
                add(first + i, op.position, op.scalePosition * perObject, b, labels[first + i], 0,
                    b * (1 - b));
                const double target = std::log(labels[first + 2 + i] / op.anchors[2 * a + i] + 1e-5);
                add(first + 2 + i, op.size, op.scaleSize * perSize, src[first + 2 + i], target, 0, 1);
            }
            logSoftMax(&src[first + 5], classes, logarithms.data());
            for (std::int64_t k = 0; k < classes; ++k)
                add(first + 5 + k, op.classes, op.scaleClass * perObject, src[first + 5 + k],
                    labels[first + 5 + k], logarithms[static_cast<std::size_t>(k)], 1);
        }
    if (!op.gradient.isNull()) gradient.writeTo(op.gradient);
    if (!op.loss.isNull())
        reduceLosses(op.reduction, losses, weights, static_cast<double>(src.h * src.w * src.c), 0, op.loss);
}

}  // namespace pewter::reference
