#include "backends/cpu/TurnedCopy.h"

#include <algorithm>
#include <utility>

#include "backends/cpu/Parallel.h"
#include "backends/cpu/vector/TurnedCopy.h"

namespace pewter::cpu {

bool copyTurned(const ops::Tensor& src, const ops::Tensor& dst) {
    struct Axis {
        std::int64_t extent, from, to;
    };
    Axis axes[4] = {{dst.n, src.strideN, dst.strideN},
                    {dst.h, src.strideH, dst.strideH},
                    {dst.w, src.strideW, dst.strideW},
                    {dst.c, src.strideC, dst.strideC}};
    if (ops::sizeOf(dst.type) != 4) return false;
    // The last but one: neighbours in src; the last one: neighbours in dst.
    constexpr std::int64_t kFewest = 8;
    const auto moveTo = [&](int place, std::int64_t Axis::*stride) {
        for (int i = 0; i < 4; ++i)
            if (axes[i].*stride == 1 && axes[i].extent >= kFewest) {
                std::swap(axes[i], axes[place]);
                return true;
            }
        return false;
    };
    if (!moveTo(3, &Axis::to) || !moveTo(2, &Axis::from) || axes[3].from == 1 || axes[3].to != 1)
        return false;
    const auto& [outer, inner, row, column] = axes;
    const std::int64_t strips = (row.extent + kTurnedRows - 1) / kTurnedRows;
    const auto stripAt = [&](std::int64_t i) {
        const std::int64_t a = i / strips / inner.extent, b = i / strips % inner.extent,
                           at = i % strips * kTurnedRows;
        return TurnedStrip{static_cast<const std::uint32_t*>(src.data) + a * outer.from + b * inner.from + at,
                           static_cast<std::uint32_t*>(dst.data) + a * outer.to + b * inner.to + at * row.to,
                           column.from,
                           row.to,
                           std::min(kTurnedRows, row.extent - at),
                           column.extent};
    };
    const auto turn = PEWTER_VECTOR(turnStrip);
    const std::int64_t grain = std::max<std::int64_t>(1, kElementGrain / (kTurnedRows * column.extent));
    parallelFor(0, outer.extent * inner.extent * strips, grain, [&](std::int64_t first, std::int64_t end) {
        for (std::int64_t i = first; i < end; ++i) turn(stripAt(i), stripAt(std::min(i + 1, end - 1)));
    });
    return true;
}

}  // namespace pewter::cpu
