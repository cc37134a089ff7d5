#include "backends/cpu/vector/Dropout.h"

#include <algorithm>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"

namespace pewter::cpu {

namespace {

/// dst = src * mask / keepProbability over views of one size.
void apply(const Source& src, const Source& mask, float keepProbability, const Sink& dst,
           std::int64_t count) {
    const auto multiply = PEWTER_VECTOR(dropoutApply);
    forRuns(count, [&](std::int64_t first, std::int64_t some) {
        alignas(64) float in[kRun], kept[kRun], out[kRun];
        const float* x = src.read(first, some, in);
        const float* m = mask.read(first, some, kept);
        float* y = dst.room(first, some, out);
        multiply(x, m, keepProbability, y, some);
        dst.write(first, some, y);
    });
}

/// The part of `view` from (y0, x0) on, h by w.
ops::Tensor window(ops::Tensor view, std::int64_t y0, std::int64_t x0, std::int64_t h, std::int64_t w) {
    view.data = at(view, 0, y0, x0);
    view.h = h;
    view.w = w;
    return view;
}

/// Rows (columns) [from, to) of an image of `extent` that take a mask of `maskExtent` shifted by `offset`; a
/// mask of one element is shared, and no shift leads out of it.
struct Inside {
    Inside(std::int64_t extent, std::int64_t maskExtent, std::int64_t offset)
        : shift(maskExtent == 1 ? 0 : offset),
          from(maskExtent == 1 ? 0 : std::clamp<std::int64_t>(-offset, 0, extent)),
          to(maskExtent == 1 ? extent : std::clamp<std::int64_t>(maskExtent - offset, from, extent)) {}
    std::int64_t shift, from, to;
    std::int64_t size() const { return to - from; }
};

}  // namespace

void Cpu::run(const ops::DropoutForward& op, ops::Stream&) {
    const ops::Tensor& mask = op.mask;
    const std::int64_t elements = mask.h * mask.w * mask.c;
    const std::int64_t runs = (elements + kRun - 1) / kRun;
    const auto draw = PEWTER_VECTOR(dropoutMask);
    const auto drawAndApply = PEWTER_VECTOR(dropoutRun);
    // A mask of its own for every element is applied while it is in the cache.
    const bool whole = mask.sameExtents(op.src), past = isStreamed(op.dst);
    const Source src(op.src);
    const Sink dst(op.dst);
    parallelFor(0, mask.n * runs, kElementGrain / 2 / kRun, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t i = from; i < to; ++i) {
            const std::int64_t n = i / runs, first = i % runs * kRun, some = std::min(kRun, elements - first);
            const std::int64_t at = n * elements + first;
            const DropoutDraw numbers{op.seed, op.sequence, static_cast<std::uint32_t>(n), op.keepProbability};
            const auto block = static_cast<std::uint32_t>(first / 4);
            auto* const bytes = static_cast<std::uint8_t*>(mask.data) + at;
            if (!whole) {
                draw(numbers, block, bytes, some);
                continue;
            }
            alignas(64) float in[kRun], out[kRun];
            const float* x = src.read(at, some, in);
            float* y = dst.room(at, some, out);
            drawAndApply(numbers, block, bytes, x, y, some, past);
            dst.write(at, some, y);
        }
    });
    if (!whole) apply(src, Source::broadcast(mask, op.src), op.keepProbability, dst, op.src.count());
}

void Cpu::run(const ops::DropoutGradient& op, ops::Stream& stream) {
    const ops::Tensor& diff = op.diffDst;
    const Inside rows(diff.h, op.mask.h, op.offsetY), columns(diff.w, op.mask.w, op.offsetX);
    if (rows.size() < diff.h || columns.size() < diff.w) {
        // What lies outside the mask becomes 0. The gradient may be written over its source: keep a copy of
        // it.
        Scratch::Frame frame(scratchOf(stream));
        float* const copy = frame.floats(diff.count());
        load(diff, copy);
        run(ops::Fill{op.diffSrc, 0}, stream);
        if (rows.size() == 0 || columns.size() == 0) return;
        const auto dense = ops::Tensor::dense(copy, ops::Type::Float32, diff.n, diff.h, diff.w, diff.c);
        const auto part = window(dense, rows.from, columns.from, rows.size(), columns.size());
        const auto mask = window(op.mask, rows.from + rows.shift, columns.from + columns.shift,
                                 op.mask.h == 1 ? 1 : rows.size(), op.mask.w == 1 ? 1 : columns.size());
        apply(Source(part), Source::broadcast(mask, part), op.keepProbability,
              Sink(window(op.diffSrc, rows.from, columns.from, rows.size(), columns.size())), part.count());
        return;
    }
    const auto mask =
        window(op.mask, rows.shift, columns.shift, op.mask.h == 1 ? 1 : diff.h, op.mask.w == 1 ? 1 : diff.w);
    apply(Source(diff), Source::broadcast(mask, diff), op.keepProbability, Sink(op.diffSrc), diff.count());
}

}  // namespace pewter::cpu
