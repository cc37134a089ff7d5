#include "ops/Reduction.h"

#include "backends/cuda/Cuda.h"
#include "backends/cuda/TileProduct.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// What the elements read so far make. An argument below 0: none so far.
struct Partial {
    float sum, extremum;
    int nonZeroWeights, argument;
};

struct Reducing {
    View src, weights, dst;
    ops::ReductionOperation operation;
    float scale;
    bool byNonZeroWeights, max;
    int h, w, c;  // reduced extents

    std::int64_t length() const { return std::int64_t{1} * h * w * c; }
};

PEWTER_DEVICE bool isNaN(float x) { return x != x; }

/// A NaN first, then the extremum, then the lower channel.
PEWTER_DEVICE bool isBefore(const Reducing& r, const Partial& a, const Partial& b) {
    if (isNaN(a.extremum) != isNaN(b.extremum)) return isNaN(a.extremum);
    if (!isNaN(a.extremum) && a.extremum != b.extremum) return (a.extremum > b.extremum) == r.max;
    return a.argument <= b.argument;
}

PEWTER_DEVICE Partial together(const Reducing& r, const Partial& a, const Partial& b) {
    const bool first = b.argument < 0 || (a.argument >= 0 && isBefore(r, a, b));
    return {a.sum + b.sum, first ? a.extremum : b.extremum, a.nonZeroWeights + b.nonZeroWeights,
            first ? a.argument : b.argument};
}

/// Element i of those that make result `row`.
PEWTER_DEVICE Partial partialOf(const Reducing& r, std::int64_t row, std::int64_t i) {
    const Position p = positionOf(r.dst, row);
    const Split s = splitBy(i, r.w, r.c);
    const int y = p.h + static_cast<int>(s.outer), x = p.w + s.middle, c = p.c + s.inner;
    const float value = load(r.src, p.n, y, x, c), weight = r.weights.isNull() ? 1 : load(r.weights, p.n, y, x, c);
    return {value * weight, value, weight != 0 ? 1 : 0, c};
}

PEWTER_DEVICE void finishRow(const Reducing& r, std::int64_t row, const Partial& all) {
    float value = 0;
    switch (r.operation) {
        case ops::ReductionOperation::Sum:
        case ops::ReductionOperation::Mean: {
            const bool mean = r.operation == ops::ReductionOperation::Mean;
            const float divisor = r.byNonZeroWeights ? static_cast<float>(all.nonZeroWeights)
                                  : mean ? static_cast<float>(r.h) * static_cast<float>(r.w) * static_cast<float>(r.c)
                                         : 1;
            value = r.byNonZeroWeights && all.nonZeroWeights == 0 ? 0 : r.scale * all.sum / divisor;
            break;
        }
        case ops::ReductionOperation::Min:
        case ops::ReductionOperation::Max: value = all.extremum; break;
        case ops::ReductionOperation::ArgumentMin:
        case ops::ReductionOperation::ArgumentMax: value = static_cast<float>(all.argument); break;
    }
    store(r.dst, positionOf(r.dst, row), value);
}

/// A block a result: where channels are reduced its threads read neighbours.
void reduceByBlocks(CudaStream& stream, const Reducing& r) {
    reduceRows(
        stream, r.dst.count(), r.length(), Partial{0, 0, 0, -1},
        PEWTER_KERNEL_LAMBDA(std::int64_t row, std::int64_t i) { return partialOf(r, row, i); },
        PEWTER_KERNEL_LAMBDA(const Partial& a, const Partial& b) { return together(r, a, b); },
        PEWTER_KERNEL_LAMBDA(std::int64_t row, const Partial& all) { finishRow(r, row, all); });
}

/// A thread a result and slot of its elements: neighbours take neighbouring results.
void partialsBySlots(CudaStream& stream, const Reducing& r, std::int64_t slots, Partial* partials) {
    const std::int64_t rows = r.dst.count(), length = r.length(), share = (length + slots - 1) / slots;
    forEach(stream, slots * rows, PEWTER_KERNEL_LAMBDA(std::int64_t k) {
        const std::int64_t row = k % rows, begin = k / rows * share, end = begin + share < length ? begin + share : length;
        Partial sum{0, 0, 0, -1};
        for (std::int64_t i = begin; i < end; ++i) sum = together(r, sum, partialOf(r, row, i));
        if (partials == nullptr)
            finishRow(r, row, sum);
        else
            partials[k] = sum;
    });
}
void addSlots(CudaStream& stream, const Reducing& r, std::int64_t slots, const Partial* partials) {
    const std::int64_t rows = r.dst.count();
    reduceRows(
        stream, rows, slots, Partial{0, 0, 0, -1},
        PEWTER_KERNEL_LAMBDA(std::int64_t row, std::int64_t slot) { return partials[slot * rows + row]; },
        PEWTER_KERNEL_LAMBDA(const Partial& a, const Partial& b) { return together(r, a, b); },
        PEWTER_KERNEL_LAMBDA(std::int64_t row, const Partial& all) { finishRow(r, row, all); });
}

}  // namespace

void Cuda::run(const ops::Reduction& op, ops::Stream& stream) {
    Reducing r{viewOf(op.src), viewOf(op.weights), viewOf(op.dst), op.operation, op.scale, op.byNonZeroWeights,
               op.operation == ops::ReductionOperation::Max || op.operation == ops::ReductionOperation::ArgumentMax,
               1, 1, 1};
    if (r.dst.h == 1) r.h = r.src.h;
    if (r.dst.w == 1) r.w = r.src.w;
    if (r.dst.c == 1) r.c = r.src.c;
    CudaStream& queue = streamOf(stream);
    const std::int64_t rows = r.dst.count(), length = r.length();
    if (rows == 0) return;
    if (r.c > 1) return reduceByBlocks(queue, r);
    constexpr std::int64_t kThreadsWanted = 132 * 1024, kShortest = 16;
    const std::int64_t slots = std::max<std::int64_t>(1, std::min(kThreadsWanted / rows, length / kShortest));
    Partial* partials = nullptr;
    if (slots > 1) {
        const std::size_t bytes = static_cast<std::size_t>(slots * rows) * sizeof(Partial);
        partials = static_cast<Partial*>(resolve(queue.scratch(bytes)));
    }
    partialsBySlots(queue, r, slots, partials);
    if (partials != nullptr) addSlots(queue, r, slots, partials);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
