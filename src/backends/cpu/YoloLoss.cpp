#include "ops/YoloLoss.h"

#include <cmath>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/LossRuns.h"
#include "backends/cpu/vector/Loss.h"
#include "backends/cpu/vector/Neuron.h"

namespace pewter::cpu {

namespace {

/// A detector's channels are few objects among many zeros. So each part of the loss is gathered into lists of
/// its own, computed by the vector code of plain losses, and scattered back.
enum Part { kPosition, kSize, kConfidence, kClasses, kParts };

/// Elements of one part in one run of pixels, in blocks of neighbours.
struct List {
    float *y, *t, *w, *loss, *gradient;
    std::int32_t* where;  ///< first element of each block
    std::int64_t block, count;

    /// The block's predictions and weights; labels are up to the caller, who gets their place.
    float* add(std::int64_t first, const float* predictions, const float* weights, float scale) {
        where[count / block] = static_cast<std::int32_t>(first);
        float *const toY = y + count, *const toW = w + count, *const toT = t + count;
        for (std::int64_t i = 0; i < block; ++i) toY[i] = predictions[first + i];
        if (weights)
            for (std::int64_t i = 0; i < block; ++i) toW[i] = scale * weights[first + i];
        else
            std::fill_n(toW, block, scale);
        count += block;
        return toT;
    }
    /// The same for blocks of one element.
    void addOne(std::int64_t first, const float* predictions, const float* weights, float scale, float label) {
        where[count] = static_cast<std::int32_t>(first);
        y[count] = predictions[first];
        w[count] = weights ? scale * weights[first] : scale;
        t[count] = label;
        ++count;
    }
    void scatter(const float* values, float* to) const {
        if (block == 1)
            for (std::int64_t i = 0; i < count; ++i) to[where[i]] = values[i];
        else
            for (std::int64_t i = 0; i < count; i += block) std::copy_n(values + i, block, to + where[i / block]);
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

/// Who is trained for what in one cell. IOUs decide by comparison, so they are computed in double; few cells
/// have a true box.
class Assigner {
public:
    /// ious: room for as many numbers as there are anchors.
    Assigner(const ops::YoloLoss& op, double* ious) : op_(op), step_(op.channelsPerAnchor()), ious_(ious) {}

    /// Whether the labels t of a cell have neither box nor object, as those of most cells.
    bool isEmpty(const float* t) const {
        bool empty = true;
        for (const float* end = t + op_.anchorCount * step_; t != end; t += step_)
            empty = empty && t[4] != 1.0f && !(t[2] > 0.0f && t[3] > 0.0f);
        return empty;
    }
    /// Looks at the predictions r and labels t of a cell.
    void begin(const float* r, const float* t) {
        r_ = r;
        t_ = t;
        best_ = 0;
        any_ = false;
        for (std::int64_t a = 0; a < op_.anchorCount; ++a) any_ |= hasBox(a);
        if (!any_) return;
        for (std::int64_t a = 0; a < op_.anchorCount; ++a) {
            ious_[a] = !hasBox(a) ? 0 : op_.predictedBoxes ? boxIou(a) : shapeIou(a);
            best_ = std::max(best_, ious_[a]);
        }
    }
    bool isObject(std::int64_t a) const {
        return t_[a * step_ + 4] == 1.0f && (iou(a) == best_ || iou(a) > static_cast<double>(op_.minIou));
    }
    /// Of an anchor without object.
    bool isAbsent(std::int64_t a) const { return iou(a) < static_cast<double>(op_.maxIou); }
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
    double iou(std::int64_t a) const { return any_ ? ious_[a] : 0; }
    double shapeIou(std::int64_t a) const {
        const double width = t_[a * step_ + 2], height = t_[a * step_ + 3];
        const double both = std::min(anchor(a, 0), width) * std::min(anchor(a, 1), height);
        return both / (anchor(a, 0) * anchor(a, 1) + width * height - both);
    }

    const ops::YoloLoss& op_;
    std::int64_t step_;
    double* ious_;
    const float *r_ = nullptr, *t_ = nullptr;
    double best_ = 0;
    bool any_ = false;
};

/// Floats that the anchors' IOUs take.
std::int64_t iouRoom(const ops::YoloLoss& op) {
    return op.anchorCount * static_cast<std::int64_t>(sizeof(double) / sizeof(float));
}

/// Factors of the four parts besides those of elements.
struct Scales {
    float position, size, confidence, classes;
};

Scales scalesOf(const ops::YoloLoss& op, const PixelRuns& runs, const Source& src, const Source& labels,
                Scratch::Frame& frame) {
    if (!op.normalised) return {1, 1, 1, 1};
    RowSum* const sums = rowSums(runs, frame);
    const std::int64_t room = runs.room(), ious = iouRoom(op);
    runs.each(frame, ious + 2 * room,
              [&](std::int64_t row, std::int64_t first, std::int64_t pixels, float* buffer) {
                  Assigner cell(op, reinterpret_cast<double*>(buffer));
                  const float* const r = src.read(first, pixels * op.src.c, buffer + ious);
                  const float* const t = labels.read(first, pixels * op.src.c, buffer + ious + room);
                  for (std::int64_t p = 0; p < pixels; ++p) {
                      cell.begin(r + p * op.src.c, t + p * op.src.c);
                      for (std::int64_t a = 0; a < op.anchorCount; ++a)
                          sums[row].count += cell.isObject(a) ? 1 : 0;
                  }
              });
    double objects = 0;
    for (std::int64_t row = 0; row < runs.rows(); ++row) objects += sums[row].count;
    const auto perObject = static_cast<float>(1 / (objects + 1e-4));
    return {perObject, objects == 0 ? 0.0f : static_cast<float>(1 / (2 * objects)),
            static_cast<float>(1 / static_cast<double>(op.src.n * op.src.h * op.src.w)), perObject};
}

void gather(const ops::YoloLoss& op, const Scales& scales, Assigner& cell, const float* r, const float* t,
            const float* w, std::int64_t pixels, List* lists) {
    const std::int64_t step = op.channelsPerAnchor();
    const float absent = op.scaleNoObject * scales.confidence;
    for (std::int64_t p = 0; p < pixels; ++p) {
        if (cell.isEmpty(t + p * op.src.c)) {
            for (std::int64_t a = 0; a < op.anchorCount && op.maxIou > 0; ++a)
                lists[kConfidence].addOne(p * op.src.c + a * step + 4, r, w, absent, 0);
            continue;
        }
        cell.begin(r + p * op.src.c, t + p * op.src.c);
        for (std::int64_t a = 0; a < op.anchorCount; ++a) {
            const std::int64_t first = p * op.src.c + a * step;
            const bool object = cell.isObject(a);
            if (!object && !cell.isAbsent(a)) continue;
            if (!object) {
                lists[kConfidence].addOne(first + 4, r, w, absent, 0);
                continue;
            }
            lists[kConfidence].addOne(first + 4, r, w, op.scaleObject * scales.confidence,
                                      op.rescore ? static_cast<float>(cell.boxIou(a)) : 1.0f);
            std::copy_n(t + first, 2, lists[kPosition].add(first, r, w, op.scalePosition * scales.position));
            float* const sizes = lists[kSize].add(first + 2, r, w, op.scaleSize * scales.size);
            for (std::int64_t i = 0; i < 2; ++i)
                sizes[i] = static_cast<float>(
                    std::log(static_cast<double>(t[first + 2 + i]) / op.anchors[2 * a + i] + 1e-5));
            std::copy_n(t + first + 5, step - 5,
                        lists[kClasses].add(first + 5, r, w, op.scaleClass * scales.classes));
        }
    }
}

/// Positions go through a sigmoid before their loss, and its derivative after it.
void squash(const List& positions) {
    ops::Neuron neuron;
    neuron.type = ops::NeuronType::Sigmoid;
    PEWTER_VECTOR(neuronForward)(neuron, nullptr, positions.y, positions.y, positions.count);
}
void unsquash(const List& positions) {
    for (std::int64_t i = 0; i < positions.count; ++i)
        positions.gradient[i] *= positions.y[i] * (1.0f - positions.y[i]);
}

/// Gradients of one list and its losses, or their sum added to `sum`; room is memory for a run.
void compute(const ops::LossFunction& function, Part part, const List& list, double* sum, float* room) {
    LossRun run;
    run.c = part == kClasses ? list.block : 1;
    run.pixels = list.count / run.c;
    run.src = list.y;
    run.labels = list.t;
    run.weights = list.w;
    run.weight = function.weight;
    if (sum)
        run.sum = sum;
    else
        run.loss = list.loss;
    run.gradient = list.gradient;
    if (part == kPosition) squash(list);
    PEWTER_VECTOR(lossRun)(function, run, room);
    if (part == kPosition) unsquash(list);
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
    const std::int64_t room = runs.room(), boxes = runs.pixels() * op.anchorCount, ious = iouRoom(op);
    const std::int64_t blocks[kParts] = {2, 2, 1, op.channelsPerAnchor() - 5};
    const ops::LossFunction* const functions[kParts] = {&op.position, &op.size, &op.confidence, &op.classes};

    // A buffer: IOUs, then room for a run of predictions, labels, weights, losses, gradients and a softmax,
    // then the arrays of the lists.
    const auto each = [&](std::int64_t row, std::int64_t first, std::int64_t pixels, float* buffer) {
        const std::int64_t count = pixels * op.src.c;
        Assigner cell(op, reinterpret_cast<double*>(buffer));
        float* const rooms = buffer + ious;
        const float* const r = src.read(first, count, rooms);
        const float* const t = labels.read(first, count, rooms + room);
        const float* const w = weights.isNull() ? nullptr : weights.read(first, count, rooms + 2 * room);
        float* const losses = loss.isNull() ? nullptr : loss.room(first, count, rooms + 3 * room);
        float* const gradients = gradient.isNull() ? nullptr : gradient.room(first, count, rooms + 4 * room);

        List lists[kParts];
        float* next = rooms + 6 * room;
        for (int part = 0; part < kParts; ++part) {
            List& list = lists[part];
            for (float** array : {&list.y, &list.t, &list.w, &list.loss, &list.gradient}) {
                *array = next;
                next += blocks[part] * boxes;
            }
            list.where = reinterpret_cast<std::int32_t*>(next);
            next += boxes;
            list.block = blocks[part];
            list.count = 0;
        }
        gather(op, scales, cell, r, t, w, pixels, lists);
        if (reduces)
            sums[row].count += static_cast<double>(w ? PEWTER_VECTOR(countNonZero)(w, count) : count);
        if (losses) std::fill_n(losses, count, 0.0f);
        if (gradients) std::fill_n(gradients, count, 0.0f);
        for (int part = 0; part < kParts; ++part) {
            const List& list = lists[part];
            if (list.count == 0) continue;
            compute(*functions[part], static_cast<Part>(part), list, reduces ? &sums[row].loss : nullptr,
                    rooms + 5 * room);
            if (losses) list.scatter(list.loss, losses);
            if (gradients) list.scatter(list.gradient, gradients);
        }
        if (losses) loss.write(first, count, losses);
        if (gradients) gradient.write(first, count, gradients);
    };
    runs.each(frame, ious + (6 + kArrays) * room, each);
    if (reduces)
        reduceRows(op.reduction, sums, op.src, static_cast<double>(op.src.h * op.src.w * op.src.c), 0,
                   op.loss, frame);
}

}  // namespace pewter::cpu
