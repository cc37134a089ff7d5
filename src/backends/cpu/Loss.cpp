#include "backends/cpu/vector/Loss.h"

#include <algorithm>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Arithmetic.h"

namespace pewter::cpu {

namespace {

/// Loss sum and count of non-zero weights of one row of one image.
struct RowSum {
    double loss = 0, count = 0;
};

/// Sums of images from those of their rows, reduced and divided as op asks, into op.loss.
void reduce(const ops::Loss& op, const RowSum* rows, float* results) {
    const ops::Tensor& src = op.src;
    RowSum all;
    const auto valueOf = [&](const RowSum& sum, double images) {
        double divisor = 1;
        if (op.reduction == ops::ReductionType::Mean) {
            // A pixel is one loss of a softmax.
            const std::int64_t channels = op.type == ops::LossType::SoftMaxCrossEntropy ? 1 : src.c;
            divisor = static_cast<double>(src.h * src.w * channels) * images;
        } else if (op.reduction == ops::ReductionType::SumByNonZeroWeights) {
            divisor = sum.count;
        }
        return divisor == 0 ? 0.0f : static_cast<float>(sum.loss / divisor);
    };
    for (std::int64_t n = 0; n < src.n; ++n) {
        RowSum image;
        // 1 - sum y t: the 1 of an image.
        if (op.type == ops::LossType::CosineDistance) image.loss = static_cast<double>(op.weight);
        for (std::int64_t y = 0; y < src.h; ++y) {
            image.loss += rows[n * src.h + y].loss;
            image.count += rows[n * src.h + y].count;
        }
        all.loss += image.loss;
        all.count += image.count;
        results[n] = op.reduceAcrossBatch ? 0.0f : valueOf(image, 1);
    }
    if (op.reduceAcrossBatch) results[0] = valueOf(all, static_cast<double>(src.n));
    Sink(op.loss).write(0, src.n, results);
}

}  // namespace

void Cpu::run(const ops::Loss& op, ops::Stream& stream) {
    const std::int64_t c = op.src.c, width = op.src.w, rows = op.src.n * op.src.h;
    if (op.src.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Source src(op.src), labels(op.labels);
    const Source weights = op.weights.isNull() ? Source() : Source(op.weights);
    const Sink gradient = op.gradient.isNull() ? Sink() : Sink(op.gradient);
    const bool wantsLoss = !op.loss.isNull(), reduces = op.reduction != ops::ReductionType::None;
    const Sink loss = wantsLoss && !reduces ? Sink(op.loss) : Sink();
    const std::int64_t some = std::max<std::int64_t>(1, kRun / c), room = some * c;
    const std::int64_t parts = partsOf(rows, std::max<std::int64_t>(1, kElementGrain / 4 / (width * c)));
    float* const rooms = frame.floats(parts * 6 * room);
    // Of rows, whoever sums them: the result does not depend on the number of threads.
    auto* const sums = static_cast<RowSum*>(frame.bytes(static_cast<std::size_t>(rows) * sizeof(RowSum)));
    forParts(parts, rows, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        float* const buffer = rooms + part * 6 * room;
        for (std::int64_t row = from; row < to; ++row) {
            RowSum sum;
            for (std::int64_t x = 0; x < width; x += some) {
                LossRun run;
                run.pixels = std::min(some, width - x);
                run.c = c;
                const std::int64_t first = (row * width + x) * c, count = run.pixels * c;
                run.src = src.read(first, count, buffer);
                run.labels = labels.read(first, count, buffer + room);
                if (!weights.isNull()) run.weights = weights.read(first, count, buffer + 2 * room);
                if (wantsLoss)
                    run.loss = loss.isNull() ? buffer + 3 * room : loss.room(first, count, buffer + 3 * room);
                if (!gradient.isNull()) run.gradient = gradient.room(first, count, buffer + 4 * room);
                PEWTER_VECTOR(lossRun)(op, run, buffer + 5 * room);
                if (!gradient.isNull()) gradient.write(first, count, run.gradient);
                if (!loss.isNull()) loss.write(first, count, run.loss);
                if (!wantsLoss || !reduces) continue;
                sum.loss += PEWTER_VECTOR(sumRun)(run.loss, count);
                sum.count += static_cast<double>(run.weights ? PEWTER_VECTOR(countNonZero)(run.weights, count)
                                                             : count);
            }
            sums[row] = sum;
        }
    });
    if (wantsLoss && reduces) reduce(op, sums, frame.floats(op.src.n));
}

}  // namespace pewter::cpu
