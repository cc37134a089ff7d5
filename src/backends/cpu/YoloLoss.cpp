#include "ops/YoloLoss.h"

#include <cmath>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/LossRuns.h"
#include "backends/cpu/vector/Arithmetic.h"
#include "backends/cpu/vector/Loss.h"

namespace pewter::cpu {

namespace {

/// A detector's channels are few objects among many zeros. So each part of the loss is gathered into lists of
/// its own, computed by the vector code of plain losses, and scattered back.
enum Part { kPosition, kSize, kConfidence, kClasses, kParts };

/// Elements of one part in one run of pixels.
struct List {
    float *y, *t, *w, *loss, *gradient;
    std::int32_t* where;  ///< element of the run
    std::int64_t count;

    void add(std::int64_t element, float prediction, float label, float weight) {
        y[count] = prediction;
        t[count] = label;
        w[count] = weight;
        where[count++] = static_cast<std::int32_t>(element);
    }
};

/// Floats that the lists of a run take: six arrays (indices are as large as floats) for each of its elements.
constexpr std::int64_t kArrays = 6;

double overlap(double centre, double size, double otherCentre, double otherSize) {
    const double from = std::max(centre - size / 2, otherCentre - otherSize / 2);
    const double to = std::min(centre + size / 2, otherCentre + otherSize / 2);
    return std::max(0.0, to - from);
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// IOUs decide by comparison, so they are computed in double; few cells have a true box.
class Assigner {
public:
    explicit Assigner(const ops::YoloLoss& op) : op_(op), step_(op.channelsPerAnchor()) {}

    /// Looks at the labels t and predictions r of one cell.
    void begin(const float* r, const float* t) {
        r_ = r;
        t_ = t;
        best_ = 0;
        bool any = false;
        for (std::int64_t a = 0; a < op_.anchorCount; ++a) any |= hasBox(a);
        if (any)
            for (std::int64_t a = 0; a < op_.anchorCount; ++a) best_ = std::max(best_, iou(a));
        any_ = any;
    }
    bool isObject(std::int64_t a) const {
        if (t_[a * step_ + 4] != 1.0f) return false;
        const double own = any_ ? iou(a) : 0;
        return own == best_ || own > static_cast<double>(op_.minIou);
    }
    bool isAbsent(std::int64_t a) const { return (any_ ? iou(a) : 0) < static_cast<double>(op_.maxIou); }
    /// IOU of the predicted and the true box.
    double boxIou(std::int64_t a) const {
        if (!hasBox(a)) return 0;
        const float *r = r_ + a * step_, *t = t_ + a * step_;
        const double width = anchor(a, 0) * std::exp(static_cast<double>(r[2])),
                     height = anchor(a, 1) * std::exp(static_cast<double>(r[3])), trueWidth = t[2],
                     trueHeight = t[3];
        const double both =
            overlap(sigmoid(r[0]), width, t[0], trueWidth) * overlap(sigmoid(r[1]), height, t[1], trueHeight);
        return both / (width * height + trueWidth * trueHeight - both);
    }

private:
    double anchor(std::int64_t a, int axis) const { return op_.anchors[2 * a + axis]; }
    bool hasBox(std::int64_t a) const { return t_[a * step_ + 2] > 0.0f && t_[a * step_ + 3] > 0.0f; }
    double iou(std::int64_t a) const {
        if (!hasBox(a)) return 0;
        if (op_.predictedBoxes) return boxIou(a);
        const double width = t_[a * step_ + 2], height = t_[a * step_ + 3];
        const double both = std::min(anchor(a, 0), width) * std::min(anchor(a, 1), height);
        return both / (anchor(a, 0) * anchor(a, 1) + width * height - both);
    }

    const ops::YoloLoss& op_;
    std::int64_t step_;
    const float *r_ = nullptr, *t_ = nullptr;
    double best_ = 0;
    bool any_ = false;
};

/// Factors of the four parts besides those of elements.
struct Scales {
    float position, size, confidence, classes;
};

Scales scalesOf(const ops::YoloLoss& op, const PixelRuns& runs, const Source& src, const Source& labels,
                Scratch::Frame& frame) {
    if (!op.normalised) return {1, 1, 1, 1};
    RowSum* const sums = rowSums(runs, frame);
    const std::int64_t room = runs.room();
    runs.each(frame, 2 * room, [&](std::int64_t row, std::int64_t first, std::int64_t pixels, float* buffer) {
        const float* const r = src.read(first, pixels * op.src.c, buffer);
        const float* const t = labels.read(first, pixels * op.src.c, buffer + room);
        Assigner cell(op);
        for (std::int64_t p = 0; p < pixels; ++p) {
            cell.begin(r + p * op.src.c, t + p * op.src.c);
            for (std::int64_t a = 0; a < op.anchorCount; ++a) sums[row].count += cell.isObject(a) ? 1 : 0;
        }
    });
    double objects = 0;
    for (std::int64_t row = 0; row < runs.rows(); ++row) objects += sums[row].count;
    const auto perObject = static_cast<float>(1 / (objects + 1e-4));
    return {perObject, objects == 0 ? 0.0f : static_cast<float>(1 / (2 * objects)),
            static_cast<float>(1 / static_cast<double>(op.src.n * op.src.h * op.src.w)), perObject};
}

void gather(const ops::YoloLoss& op, const Scales& scales, const float* r, const float* t, const float* w,
            std::int64_t pixels, List* lists) {
    const std::int64_t step = op.channelsPerAnchor();
    const auto weight = [w](std::int64_t i) { return w ? w[i] : 1.0f; };
    Assigner cell(op);
    for (std::int64_t p = 0; p < pixels; ++p) {
        cell.begin(r + p * op.src.c, t + p * op.src.c);
        for (std::int64_t a = 0; a < op.anchorCount; ++a) {
            const std::int64_t first = p * op.src.c + a * step;
            if (!cell.isObject(a)) {
                if (cell.isAbsent(a))
                    lists[kConfidence].add(first + 4, r[first + 4], 0,
                                           op.scaleNoObject * scales.confidence * weight(first + 4));
                continue;
            }
            lists[kConfidence].add(first + 4, r[first + 4],
                                   op.rescore ? static_cast<float>(cell.boxIou(a)) : 1.0f,
                                   op.scaleObject * scales.confidence * weight(first + 4));
            for (std::int64_t i = first; i < first + 2; ++i) {
                lists[kPosition].add(i, static_cast<float>(sigmoid(r[i])), t[i],
                                     op.scalePosition * scales.position * weight(i));
                const double size = static_cast<double>(t[i + 2]) / op.anchors[2 * a + (i - first)];
                lists[kSize].add(i + 2, r[i + 2], static_cast<float>(std::log(size + 1e-5)),
                                 op.scaleSize * scales.size * weight(i + 2));
            }
            for (std::int64_t i = first + 5; i < first + step; ++i)
                lists[kClasses].add(i, r[i], t[i], op.scaleClass * scales.classes * weight(i));
        }
    }
}

}  // namespace

void Cpu::run(const ops::YoloLoss& op, ops::Stream& stream) {
    if (op.src.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Source src(op.src), labels(op.labels);
    const Source weights = op.weights.isNull() ? Source() : Source(op.weights);
    const Sink gradient = op.gradient.isNull() ? Sink() : Sink(op.gradient);
    const bool reduces = !op.loss.isNull() && op.reduction.type != ops::ReductionType::None;
    const Sink loss = op.loss.isNull() || reduces ? Sink() : Sink(op.loss);
    const PixelRuns runs(op.src, 4 * kRun);
    const Scales scales = scalesOf(op, runs, src, labels, frame);
    RowSum* const sums = reduces ? rowSums(runs, frame) : nullptr;
    const std::int64_t room = runs.room(), boxes = runs.pixels() * op.anchorCount;
    const std::int64_t longest[kParts] = {2 * boxes, 2 * boxes, boxes, boxes * (op.channelsPerAnchor() - 5)};
    const ops::LossFunction* const functions[kParts] = {&op.position, &op.size, &op.confidence, &op.classes};

    runs.each(
        frame, (6 + kArrays) * room,
        [&](std::int64_t row, std::int64_t first, std::int64_t pixels, float* buffer) {
            const std::int64_t count = pixels * op.src.c;
            const float* const r = src.read(first, count, buffer);
            const float* const t = labels.read(first, count, buffer + room);
            const float* const w = weights.isNull() ? nullptr : weights.read(first, count, buffer + 2 * room);
            float* const losses = loss.isNull() ? nullptr : loss.room(first, count, buffer + 3 * room);
            float* const gradients =
                gradient.isNull() ? nullptr : gradient.room(first, count, buffer + 4 * room);
            float* const softMaxRoom = buffer + 5 * room;

            List lists[kParts];
            float* next = buffer + 6 * room;
            for (int part = 0; part < kParts; ++part) {
                const auto array = [&] {
                    float* const begin = next;
                    next += longest[part];
                    return begin;
                };
                lists[part] = {
                    array(), array(), array(), array(), array(), reinterpret_cast<std::int32_t*>(array()), 0};
            }
            gather(op, scales, r, t, w, pixels, lists);
            if (reduces)
                sums[row].count += static_cast<double>(w ? PEWTER_VECTOR(countNonZero)(w, count) : count);
            if (losses) std::fill_n(losses, count, 0.0f);
            if (gradients) std::fill_n(gradients, count, 0.0f);
            for (int part = 0; part < kParts; ++part) {
                const List& list = lists[part];
                if (list.count == 0) continue;
                LossRun run;
                run.c = part == kClasses ? op.channelsPerAnchor() - 5 : 1;
                run.pixels = list.count / run.c;
                run.src = list.y;
                run.labels = list.t;
                run.weights = list.w;
                run.weight = functions[part]->weight;
                run.loss = list.loss;
                run.gradient = list.gradient;
                PEWTER_VECTOR(lossRun)(*functions[part], run, softMaxRoom);
                if (part == kPosition)  // the chain through the sigmoid
                    for (std::int64_t i = 0; i < list.count; ++i)
                        list.gradient[i] *= list.y[i] * (1.0f - list.y[i]);
                if (reduces) sums[row].loss += PEWTER_VECTOR(sumRun)(list.loss, list.count);
                if (losses)
                    for (std::int64_t i = 0; i < list.count; ++i) losses[list.where[i]] = list.loss[i];
                if (gradients)
                    for (std::int64_t i = 0; i < list.count; ++i) gradients[list.where[i]] = list.gradient[i];
            }
            if (losses) loss.write(first, count, losses);
            if (gradients) gradient.write(first, count, gradients);
        });
    if (reduces)
        reduceRows(op.reduction, sums, op.src, static_cast<double>(op.src.h * op.src.w * op.src.c), 0,
                   op.loss, frame);
}

}  // namespace pewter::cpu
