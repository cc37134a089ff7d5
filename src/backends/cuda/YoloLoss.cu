#include "ops/YoloLoss.h"

#include "backends/cuda/Cuda.h"
#include "backends/cuda/LossFunction.cuh"
#include "backends/cuda/NeuronFunction.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// Anchor sizes on their way to the device, in the kernel's parameters.
struct StoreAnchors {
    float value[512];
    float* to;
    PEWTER_DEVICE void operator()(std::int64_t i) const { to[i] = value[i]; }
};

void storeAnchors(CudaStream& stream, const float* anchors, std::int64_t count, float* to) {
    for (std::int64_t first = 0; first < count; first += 512) {
        StoreAnchors some{};
        const std::int64_t length = std::min<std::int64_t>(512, count - first);
        std::copy_n(anchors + first, length, some.value);
        some.to = to + first;
        forEach(stream, length, some);
    }
}

enum class Role : std::int32_t { Nothing, Object, None };

/// What one anchor of one cell is trained for.
struct Assignment {
    double iou;
    float boxIou;
    Role role;
    LogSum classes;  // of objects
};

PEWTER_DEVICE double sigmoidOf(double x) { return 1 / (1 + exp(-x)); }

/// Length that two intervals of these centres and sizes share.
PEWTER_DEVICE double overlap(double centre, double size, double otherCentre, double otherSize) {
    const double from = fmax(centre - size / 2, otherCentre - otherSize / 2);
    const double to = fmin(centre + size / 2, otherCentre + otherSize / 2);
    return fmax(0.0, to - from);
}

/// The anchors of one cell. In double, so that ties and limits fall as in the reference.
struct AssignCell {
    View src, labels;
    const float* anchors;
    Assignment* out;
    int anchorCount, step;
    double minIou, maxIou;
    bool predictedBoxes;

    PEWTER_DEVICE double label(const Position& p, int c) const { return load(labels, p.n, p.h, p.w, c); }
    PEWTER_DEVICE double raw(const Position& p, int c) const { return load(src, p.n, p.h, p.w, c); }

    PEWTER_DEVICE void overlaps(const Position& p, int a, Assignment& one) const {
        const int c = a * step;
        const double trueWidth = label(p, c + 2), trueHeight = label(p, c + 3);
        one = {0, 0, Role::Nothing, {0, 0}};
        if (trueWidth <= 0 || trueHeight <= 0) return;
        const double width = anchors[2 * a], height = anchors[2 * a + 1], area = trueWidth * trueHeight;
        const double shared = fmin(width, trueWidth) * fmin(height, trueHeight);
        const double boxWidth = width * exp(raw(p, c + 2)), boxHeight = height * exp(raw(p, c + 3));
        const double both = overlap(sigmoidOf(raw(p, c)), boxWidth, label(p, c), trueWidth) *
                            overlap(sigmoidOf(raw(p, c + 1)), boxHeight, label(p, c + 1), trueHeight);
        const double boxIou = both / (boxWidth * boxHeight + area - both);
        one.boxIou = static_cast<float>(boxIou);
        one.iou = predictedBoxes ? boxIou : shared / (width * height + area - shared);
    }

    PEWTER_DEVICE void operator()(std::int64_t cell) const {
        Position p = pixelOf(src, cell);
        Assignment* const all = out + cell * anchorCount;
        double best = 0;
        for (int a = 0; a < anchorCount; ++a) {
            overlaps(p, a, all[a]);
            best = a == 0 || best < all[a].iou ? all[a].iou : best;
        }
        for (int a = 0; a < anchorCount; ++a) {
            Assignment& one = all[a];
            const bool object = label(p, a * step + 4) == 1 && (one.iou == best || one.iou > minIou);
            one.role = object ? Role::Object : one.iou < maxIou ? Role::None : Role::Nothing;
            if (!object) continue;
            p.c = a * step + 5;
            const SoftMaxSums sums = softMaxSums(OneThread{}, src, p, step - 5);
            one.classes = {sums.maximum, logf(sums.sum)};
        }
    }
};

struct ObjectAt {
    const Assignment* all;
    PEWTER_DEVICE double operator()(std::int64_t, std::int64_t i) const { return all[i].role == Role::Object; }
};
struct StoreObjects {
    double* out;
    PEWTER_DEVICE void operator()(std::int64_t, double sum) const { *out = sum; }
};

struct YoloTermAt {
    ops::LossFunction position, size, confidence, classes;
    float scalePosition, scaleSize, scaleNoObject, scaleObject, scaleClass;
    bool rescore, normalised;
    int anchorCount, step;
    View src, labels, weights;
    const float* anchors;
    const Assignment* assignments;
    const double* objects;

    PEWTER_DEVICE float shared(double divisor) const {
        return !normalised ? 1.0f : divisor == 0 ? 0.0f : static_cast<float>(1 / divisor);
    }
    PEWTER_DEVICE LossTerm term(const ops::LossFunction& f, float scale, float y, float t, float logarithm, float w) const {
        const float factor = scale * f.weight * w;
        const ElementLoss one = elementLoss(f, y, t, logarithm);
        return {factor * one.value, factor * one.derivative, w};
    }

    PEWTER_DEVICE LossTerm operator()(const Position& p) const {
        const int a = p.c / step, k = p.c % step;
        const std::int64_t cell = (std::int64_t{1} * p.n * src.h + p.h) * src.w + p.w;
        const Assignment& one = assignments[cell * anchorCount + a];
        const float w = weights.isNull() ? 1 : load(weights, p);
        const bool object = one.role == Role::Object;
        if (!object && (k != 4 || one.role == Role::Nothing)) return {0, 0, w};
        const float y = load(src, p);
        if (k == 4) {
            const double cells = static_cast<double>(src.n) * src.h * src.w;
            const float target = !object ? 0 : rescore ? one.boxIou : 1;
            return term(confidence, (object ? scaleObject : scaleNoObject) * shared(cells), y, target, 0, w);
        }
        const float t = load(labels, p);
        if (k < 2) {
            const float b = sigmoid(y);
            LossTerm result = term(position, scalePosition * shared(*objects + 1e-4), b, t, 0, w);
            result.gradient *= b * (1 - b);
            return result;
        }
        if (k < 4) {
            const float target = logf(t / anchors[2 * a + k - 2] + 1e-5f);
            return term(size, scaleSize * shared(2 * *objects), y, target, 0, w);
        }
        const float logarithm = y - one.classes.maximum - one.classes.logSum;
        return term(classes, scaleClass * shared(*objects + 1e-4), y, t, logarithm, w);
    }
};

}  // namespace

void Cuda::run(const ops::YoloLoss& op, ops::Stream& stream) {
    if (op.src.count() == 0) return;
    CudaStream& s = streamOf(stream);
    const std::int64_t cells = op.src.n * op.src.h * op.src.w;
    Pieces pieces;
    const auto anchorsAt = pieces.add<float>(2 * op.anchorCount);
    const auto assignmentsAt = pieces.add<Assignment>(cells * op.anchorCount);
    const auto objectsAt = pieces.add<double>(1);
    const auto sumsAt = pieces.add<LossSums>(op.src.n * LossParts(op.src).count);
    char* const room = pieces.take(s);
    auto* const anchors = reinterpret_cast<float*>(room + anchorsAt);
    auto* const assignments = reinterpret_cast<Assignment*>(room + assignmentsAt);
    auto* const objects = reinterpret_cast<double*>(room + objectsAt);
    const auto count = static_cast<int>(op.anchorCount), step = static_cast<int>(op.channelsPerAnchor());
    const View src = viewOf(op.src), labels = viewOf(op.labels);

    storeAnchors(s, op.anchors, 2 * op.anchorCount, anchors);
    forEach(s, cells, AssignCell{src, labels, anchors, assignments, count, step, op.minIou, op.maxIou, op.predictedBoxes});
    reduceRows(s, 1, cells * op.anchorCount, 0.0, ObjectAt{assignments}, Plus(), StoreObjects{objects});
    const YoloTermAt term{op.position, op.size, op.confidence, op.classes, op.scalePosition, op.scaleSize,
                          op.scaleNoObject, op.scaleObject, op.scaleClass, op.rescore, op.normalised, count, step,
                          src, labels, viewOf(op.weights), anchors, assignments, objects};
    runLosses(s, op.reduction, op.src, op.gradient, op.loss, static_cast<double>(op.src.h * op.src.w * op.src.c), 0,
              reinterpret_cast<LossSums*>(room + sumsAt), term);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
