#include "backends/cpu/vector/Loss.h"

#include "backends/cpu/Cpu.h"
#include "backends/cpu/LossRuns.h"
#include "backends/cpu/vector/SendOut.h"

namespace pewter::cpu {

void Cpu::run(const ops::Loss& op, ops::Stream& stream) {
    if (op.src.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Source src(op.src), labels(op.labels);
    const Source weights = op.weights.isNull() ? Source() : Source(op.weights);
    const Sink gradient = op.gradient.isNull() ? Sink() : Sink(op.gradient);
    const bool reduces = !op.loss.isNull() && op.reduction.type != ops::ReductionType::None;
    const Sink loss = op.loss.isNull() || reduces ? Sink() : Sink(op.loss);
    // A gradient that the caches do not hold: its lines need not be read before they are written.
    float* const past = !gradient.isNull() && isStreamed(op.gradient) ? static_cast<float*>(op.gradient.data) : nullptr;
    const PixelRuns runs(op.src);
    const std::int64_t room = runs.room();
    RowSum* const sums = reduces ? rowSums(runs, frame) : nullptr;
    runs.each(frame, 6 * room, [&](std::int64_t row, std::int64_t first, std::int64_t pixels, float* buffer) {
        LossRun run;
        run.pixels = pixels;
        run.c = op.src.c;
        run.weight = op.function.weight;
        const std::int64_t count = pixels * op.src.c;
        run.src = src.read(first, count, buffer);
        run.labels = labels.read(first, count, buffer + room);
        if (!weights.isNull()) run.weights = weights.read(first, count, buffer + 2 * room);
        if (reduces) run.sum = &sums[row].loss;
        if (!loss.isNull()) run.loss = loss.room(first, count, buffer + 3 * room);
        if (past)
            run.gradient = buffer + 4 * room;
        else if (!gradient.isNull())
            run.gradient = gradient.room(first, count, buffer + 4 * room);
        // Counted before the gradient, which may lie over the weights.
        if (reduces)
            sums[row].count +=
                static_cast<double>(run.weights ? PEWTER_VECTOR(countNonZero)(run.weights, count) : count);
        PEWTER_VECTOR(lossRun)(op.function, run, buffer + 5 * room);
        if (past)
            PEWTER_VECTOR(sendOut)(run.gradient, count, past + first);
        else if (!gradient.isNull())
            gradient.write(first, count, run.gradient);
        if (!loss.isNull()) loss.write(first, count, run.loss);
    });
    if (!reduces) return;
    const bool cosine = op.function.type == ops::LossType::CosineDistance;  // 1 - sum y t: the 1 of an image
    reduceRows(op.reduction, sums, op.src, lossesOf(op.function, op.src),
               cosine ? static_cast<double>(op.function.weight) : 0, op.loss, frame);
}

}  // namespace pewter::cpu
