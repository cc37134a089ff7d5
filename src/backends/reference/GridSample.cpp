#include <algorithm>
#include <cmath>

#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

/// Two taps of an axis; an index of -1 reads 0.
struct Taps {
    std::int64_t index[2];
    double weight[2];
};

Taps tapsOf(double position, std::int64_t extent, ops::Edge edge) {
    // Far outside nothing changes any more, and the index stays a whole number.
    const double near = std::clamp(position, -2.0, static_cast<double>(extent) + 1), low = std::floor(near);
    const auto index = static_cast<std::int64_t>(low);
    return {{edgeIndex(index, extent, edge), edgeIndex(index + 1, extent, edge)},
            {1 - (near - low), near - low}};
}

}  // namespace

void Reference::run(const ops::GridSample& op, ops::Stream&) {
    const Values src(op.src), grid(op.grid);
    Values dst = Values::zerosLike(op.dst);
    for (std::int64_t n = 0; n < dst.n; ++n)
        for (std::int64_t y = 0; y < dst.h; ++y)
            for (std::int64_t x = 0; x < dst.w; ++x) {
                const double* at = grid.pixel(n, y, x);
                const double u = op.offsetX + (op.relative ? static_cast<double>(x) : 0) + at[0];
                const double v = op.offsetY + (op.relative ? static_cast<double>(y) : 0) + at[1];
                const bool isPosition = !std::isnan(u) && !std::isnan(v);
                const Taps tu = tapsOf(isPosition ? u : 0, src.w, op.edge);
                const Taps tv = tapsOf(isPosition ? v : 0, src.h, op.edge);
                for (std::int64_t c = 0; c < dst.c; ++c) {
                    double sum = isPosition ? 0 : std::nan("");
                    for (int r = 0; r < 2; ++r)
                        for (int q = 0; q < 2; ++q)
                            if (tv.index[r] >= 0 && tu.index[q] >= 0)
                                sum += tv.weight[r] * tu.weight[q] * src.at(n, tv.index[r], tu.index[q], c);
                    dst.at(n, y, x, c) = sum;
                }
            }
    dst.writeTo(op.dst);
}

}  // namespace pewter::reference
