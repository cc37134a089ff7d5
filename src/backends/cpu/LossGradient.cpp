#include "backends/cpu/Cpu.h"
#include "backends/cpu/LossRuns.h"
#include "backends/cpu/vector/Arithmetic.h"
#include "backends/cpu/vector/Loss.h"

namespace pewter::cpu {

namespace {

/// u r weight of every image, for losses that reduce.
float* factorsOf(const ops::LossGradient& op, const PixelRuns& runs, Scratch::Frame& frame) {
    const std::int64_t images = op.src.n, size = op.src.h * op.src.w * op.src.c;
    float* const factors = frame.floats(images);
    auto* const counts = static_cast<double*>(frame.bytes(static_cast<std::size_t>(images) * sizeof(double)));
    std::fill_n(counts, images, op.weights.isNull() ? static_cast<double>(size) : 0.0);
    if (op.reduction.type == ops::ReductionType::SumByNonZeroWeights && !op.weights.isNull()) {
        const Source weights(op.weights);
        RowSum* const sums = rowSums(runs, frame);
        runs.each(frame, runs.room(),
                  [&](std::int64_t row, std::int64_t first, std::int64_t pixels, float* buffer) {
                      const std::int64_t count = pixels * op.src.c;
                      sums[row].count += static_cast<double>(
                          PEWTER_VECTOR(countNonZero)(weights.read(first, count, buffer), count));
                  });
        for (std::int64_t row = 0; row < runs.rows(); ++row) counts[row / op.src.h] += sums[row].count;
    }
    double all = 0;
    for (std::int64_t n = 0; n < images; ++n) all += counts[n];
    float* const room = frame.floats(images);
    const float* const incoming = Source(op.incoming).read(0, images, room);
    for (std::int64_t n = 0; n < images; ++n) {
        const bool across = op.reduction.acrossBatch;
        const double divisor = divisorOf(op.reduction, lossesOf(op.function, op.src),
                                         static_cast<double>(images), across ? all : counts[n]);
        const double u = static_cast<double>(incoming[across ? 0 : n]);
        factors[n] =
            divisor == 0 ? 0.0f : static_cast<float>(u / divisor * static_cast<double>(op.function.weight));
    }
    return factors;
}

}  // namespace

void Cpu::run(const ops::LossGradient& op, ops::Stream& stream) {
    if (op.src.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const PixelRuns runs(op.src);
    const bool reduces = op.reduction.type != ops::ReductionType::None;
    const float* const factors = reduces ? factorsOf(op, runs, frame) : nullptr;
    const Source src(op.src), labels(op.labels);
    const Source weights = op.weights.isNull() ? Source() : Source(op.weights);
    const Source incoming = reduces ? Source() : Source(op.incoming);
    const Sink dst(op.dst);
    const std::int64_t room = runs.room();
    runs.each(frame, 6 * room, [&](std::int64_t row, std::int64_t first, std::int64_t pixels, float* buffer) {
        LossRun run;
        run.pixels = pixels;
        run.c = op.src.c;
        run.weight = reduces ? factors[row / op.src.h] : op.function.weight;
        const std::int64_t count = pixels * op.src.c;
        run.src = src.read(first, count, buffer);
        run.labels = labels.read(first, count, buffer + room);
        if (!weights.isNull()) run.weights = weights.read(first, count, buffer + 2 * room);
        if (!reduces) {
            // The incoming gradient of an element is one more weight.
            const float* const u = incoming.read(first, count, buffer + 3 * room);
            if (run.weights) {
                float* const product = buffer + 3 * room;
                if (product != u) std::copy_n(u, count, product);
                PEWTER_VECTOR(multiplyRun)(run.weights, 1.0f, product, count);
                run.weights = product;
            } else {
                run.weights = u;
            }
        }
        float* const results = dst.room(first, count, buffer + 4 * room);
        (op.labelGradients ? run.labelGradient : run.gradient) = results;
        PEWTER_VECTOR(lossRun)(op.function, run, buffer + 5 * room);
        dst.write(first, count, results);
    });
}

}  // namespace pewter::cpu
