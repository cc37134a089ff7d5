#pragma once

#include <algorithm>
#include <vector>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Parallel.h"
#include "backends/cpu/Staging.h"
#include "backends/cpu/WindowRows.h"

namespace pewter::cpu {

/// Parts for rows of windows: their sums and a power cost about as much as eight plain elements.
inline std::int64_t rowPartsOf(std::int64_t rows, std::int64_t rowLength) {
    return partsOf(rows, std::max<std::int64_t>(1, kElementGrain / 8 / std::max<std::int64_t>(1, rowLength)));
}

/// The gradient of a normalisation over windows: every thread takes rows of the source of its own, and an Adjoint with the
/// ring buffers that they need. Adjoint(op, geometry, capacity, frame) and run(image, gradient, diff, first row, last row).
template <class Adjoint, class Op>
void runAdjoints(const Op& op, ops::Stream& stream) {
    if (op.diffSrc.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const ops::Tensor src = staged(op.src, frame), diffDst = staged(op.diffDst, frame);
    const StagedOutput diffSrc(op.diffSrc, frame);
    const WindowRows geometry(op.window, op.src, op.diffDst);
    const std::int64_t rows = op.diffSrc.n * op.diffSrc.h, capacity = geometry.mostOver();
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
    });
    diffSrc.finish();
}

}  // namespace pewter::cpu
