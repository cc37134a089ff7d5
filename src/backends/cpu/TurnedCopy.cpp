#include "backends/cpu/TurnedCopy.h"

#include <algorithm>
#include <utility>

#include "backends/cpu/Parallel.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Register.h"
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
    // Large results leave in lines, a block of columns at a time: rows of the source are then read along. Lines of all
    // columns, often a power of two apart, would share a few places of the caches.
    const auto isWhole = [](std::int64_t elements) { return elements % kTurnedRows == 0; };
    const bool past = dst.count() >= kStreamedElements && isWhole(column.extent) && isWhole(row.to) &&
                      isWhole(outer.to) && isWhole(inner.to) &&
                      reinterpret_cast<std::uintptr_t>(dst.data) % (kTurnedRows * sizeof(float)) == 0;
    const std::int64_t strips = (row.extent + kTurnedRows - 1) / kTurnedRows;
    const std::int64_t columns = past ? kTurnedRows : column.extent, blocks = column.extent / columns;
    const auto stripAt = [&](std::int64_t i) {
        const std::int64_t image = i / strips / blocks, a = image / inner.extent, b = image % inner.extent,
                           at = i % strips * kTurnedRows, k = i / strips % blocks * columns;
        return TurnedStrip{
            static_cast<const std::uint32_t*>(src.data) + a * outer.from + b * inner.from + at + k * column.from,
            static_cast<std::uint32_t*>(dst.data) + a * outer.to + b * inner.to + at * row.to + k,
            column.from,
            row.to,
            std::min(kTurnedRows, row.extent - at),
            columns,
            past};
    };
    const auto turn = PEWTER_VECTOR(turnStrip);
    const std::int64_t grain = std::max<std::int64_t>(1, kElementGrain / (kTurnedRows * columns)),
                       ahead = past ? 4 : 1;
    parallelFor(0, outer.extent * inner.extent * blocks * strips, grain, [&](std::int64_t first, std::int64_t end) {
        for (std::int64_t i = first; i < end; ++i) turn(stripAt(i), stripAt(std::min(i + ahead, end - 1)));
        if (past) baseline::streamEnd();
    });
    return true;
}

}  // namespace pewter::cpu
