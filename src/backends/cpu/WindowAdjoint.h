#pragma once

#include <algorithm>
#include <vector>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/Staging.h"
#include "backends/cpu/WindowRows.h"
#include "backends/cpu/vector/Register.h"
#include "backends/cpu/vector/WindowSums.h"

namespace pewter::cpu {

/// Parts for rows of windows: their sums and a power cost about as much as eight plain elements.
inline std::int64_t rowPartsOf(std::int64_t rows, std::int64_t rowLength) {
    return partsOf(rows, std::max<std::int64_t>(1, kElementGrain / 8 / std::max<std::int64_t>(1, rowLength)));
}

/// Sums of what result rows give, over the windows that contain source pixels. Rows are kept in rings of
/// `capacity` until no source row needs them.
class WindowShares {
public:
    WindowShares(const WindowRows& geometry, std::int64_t capacity, Scratch::Frame& frame)
        : g_(geometry),
          capacity_(capacity),
          length_(geometry.outW * geometry.c),
          around_(geometry.window.width - 1),
          rows_(capacity, frame),
          wide_(geometry.clamps() ? frame.floats((geometry.outW + 2 * around_) * geometry.c) : nullptr) {}

    float* newRing(Scratch::Frame& frame) const { return frame.floats(capacity_ * length_); }
    float* slot(float* ring, std::int64_t row) const { return ring + row % capacity_ * length_; }
    /// Floats for the sums over one source row of an image whose edges are clamped.
    std::int64_t rowRoom() const { return (g_.outW + around_ + g_.w) * g_.c; }

    /// Columns' sums of the windows over source row v, or v and the next where there is a second room: those
    /// from which source columns [x, x + some) take window.width neighbours each. Edges are not clamped.
    void columns(float* ring, std::int64_t v, std::int64_t x, std::int64_t some, float* room, float* second) {
        const std::int64_t first = x + g_.window.padLeft - around_, end = first + some + around_;
        const std::int64_t from = std::clamp<std::int64_t>(first, 0, g_.outW),
                           to = std::clamp<std::int64_t>(end, from, g_.outW);
        pointOver(ring, v, second != nullptr, from * g_.c);
        const std::int64_t before = (from - first) * g_.c, inside = (to - from) * g_.c,
                           after = (end - to) * g_.c;
        for (float* sums : {room, second}) {
            if (!sums) continue;
            std::fill_n(sums, before, 0.0f);
            std::fill_n(sums + before + inside, after, 0.0f);
        }
        if (second)
            PEWTER_VECTOR(pairedSums)(rows_.at, rows_.count - 1, inside, room + before, second + before);
        else
            PEWTER_VECTOR(weightedSums)(rows_.at, rows_.weight, rows_.count, inside, room + before);
    }

    /// What the window centred on each of source columns [x, x + some) of row v gives. Edges are not clamped.
    const float* centres(float* ring, std::int64_t v, std::int64_t x, std::int64_t some, float* room) const {
        const auto& window = g_.window;
        const std::int64_t row = v + window.padTop - window.height / 2,
                           first = x + window.padLeft - window.width / 2;
        const float* values = row < 0 || row >= g_.outH ? nullptr : slot(ring, row);
        if (values && first >= 0 && first + some <= g_.outW) return values + first * g_.c;
        std::fill_n(room, some * g_.c, 0.0f);
        const std::int64_t from = std::clamp<std::int64_t>(first, 0, g_.outW),
                           to = std::clamp<std::int64_t>(first + some, from, g_.outW);
        if (values) std::copy(values + from * g_.c, values + to * g_.c, room + (from - first) * g_.c);
        return room;
    }

    /// Both for a whole row of an image whose edges are clamped; room: of rowRoom().
    float* clampedSums(float* ring, std::int64_t v, float* room) {
        pointOver(ring, v, false, 0);
        const std::int64_t count = g_.outW + around_;
        std::fill_n(wide_, around_ * g_.c, 0.0f);
        PEWTER_VECTOR(weightedSums)(rows_.at, rows_.weight, rows_.count, length_, wide_ + around_ * g_.c);
        std::fill_n(wide_ + count * g_.c, around_ * g_.c, 0.0f);
        PEWTER_VECTOR(slidingSums)(wide_, g_.window.width, g_.c, count * g_.c, room);
        return g_.folded(room, count, g_.window.padLeft, room + count * g_.c);
    }
    float* clampedCentres(float* ring, std::int64_t v, float* room) {
        g_.centredOn(v, g_.firstOver(v), g_.endOver(v), rows_);
        for (std::int64_t i = 0; i < rows_.count; ++i) rows_.at[i] = slot(ring, rows_.index[i]);
        PEWTER_VECTOR(weightedSums)(rows_.at, rows_.weight, rows_.count, length_, room);
        return g_.folded(room, g_.outW, g_.window.padLeft - g_.window.width / 2, room + length_);
    }

private:
    /// The rows of windows over source row v, or v and the next, from an element of theirs on.
    void pointOver(float* ring, std::int64_t v, bool pair, std::int64_t element) {
        g_.over(v, rows_);
        if (g_.overPairs(v)) rows_.share(pair);
        for (std::int64_t i = 0; i < rows_.count; ++i) rows_.at[i] = slot(ring, rows_.index[i]) + element;
    }

    const WindowRows& g_;
    std::int64_t capacity_, length_, around_;
    WindowRows::Rows rows_;
    float* wide_;
};

/// The gradient of a normalisation over windows: every thread takes rows of the source of its own, and an
/// Adjoint with the rings of rows that they need, those of the windows over two source rows. Adjoint(op,
/// geometry, capacity, frame) and run(image, gradient, diff, first row, last row).
template <class Adjoint, class Op>
void runAdjoints(const Op& op, ops::Stream& stream) {
    if (op.diffSrc.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const ops::Tensor src = staged(op.src, frame), diffDst = staged(op.diffDst, frame);
    const StagedOutput diffSrc(op.diffSrc, frame);
    const WindowRows geometry(op.window, op.src, op.diffDst);
    const std::int64_t rows = op.diffSrc.n * op.diffSrc.h, capacity = geometry.mostOver() + 1;
    const std::int64_t parts = rowPartsOf(rows, op.diffSrc.w * op.diffSrc.c);
    std::vector<Adjoint> adjoints;
    for (std::int64_t part = 0; part < parts; ++part) adjoints.emplace_back(op, geometry, capacity, frame);
    forParts(parts, rows, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        for (std::int64_t row = from; row < to;) {
            const std::int64_t n = row / op.diffSrc.h, end = std::min(to, (n + 1) * op.diffSrc.h);
            adjoints[static_cast<std::size_t>(part)].run(static_cast<const float*>(at(src, n, 0, 0)),
                                                         static_cast<const float*>(at(diffDst, n, 0, 0)),
                                                         static_cast<float*>(at(diffSrc.view(), n, 0, 0)),
                                                         row - n * op.diffSrc.h, end - n * op.diffSrc.h);
            row = end;
        }
        baseline::streamEnd();
    });
    diffSrc.finish();
}

}  // namespace pewter::cpu
