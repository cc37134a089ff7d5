#include "backends/cpu/LossRuns.h"

namespace pewter::cpu {

RowSum* rowSums(const PixelRuns& runs, Scratch::Frame& frame) {
    const auto rows = static_cast<std::size_t>(runs.rows());
    auto* const sums = static_cast<RowSum*>(frame.bytes(rows * sizeof(RowSum)));
    std::fill_n(sums, rows, RowSum{});
    return sums;
}

double divisorOf(const ops::LossReduction& reduction, double elements, double images, double counted) {
    if (reduction.type == ops::ReductionType::Mean)
        return reduction.acrossBatch ? elements * images : elements;
    return reduction.type == ops::ReductionType::SumByNonZeroWeights ? counted : 1;
}

double lossesOf(const ops::LossFunction& function, const ops::Tensor& src) {
    return static_cast<double>(src.h * src.w *
                               (function.type == ops::LossType::SoftMaxCrossEntropy ? 1 : src.c));
}

void reduceRows(const ops::LossReduction& reduction, const RowSum* rows, const ops::Tensor& src,
                double elements, double constant, const ops::Tensor& loss, Scratch::Frame& frame) {
    float* const results = frame.floats(src.n);
    const auto valueOf = [&](const RowSum& sum) {
        const double divisor = divisorOf(reduction, elements, static_cast<double>(src.n), sum.count);
        return divisor == 0 ? 0.0f : static_cast<float>(sum.loss / divisor);
    };
    RowSum all;
    for (std::int64_t n = 0; n < src.n; ++n) {
        RowSum image;
        image.loss = constant;
        for (std::int64_t y = 0; y < src.h; ++y) {
            image.loss += rows[n * src.h + y].loss;
            image.count += rows[n * src.h + y].count;
        }
        all.loss += image.loss;
        all.count += image.count;
        results[n] = reduction.acrossBatch ? 0.0f : valueOf(image);
    }
    if (reduction.acrossBatch) results[0] = valueOf(all);
    Sink(loss).write(0, src.n, results);
}

}  // namespace pewter::cpu
