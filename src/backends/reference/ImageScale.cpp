#include "ops/ImageScale.h"

#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::LanczosForward& op, ops::Stream&) {
    const Values src(op.src);
    Values dst = Values::zerosLike(op.dst);
    std::vector<ops::LanczosTap> rows, columns;
    for (std::int64_t y = 0; y < dst.h; ++y) {
        lanczosTaps(op.view.y, src.h, y, rows);
        for (std::int64_t x = 0; x < dst.w; ++x) {
            lanczosTaps(op.view.x, src.w, x, columns);
            for (std::int64_t n = 0; n < dst.n; ++n)
                for (std::int64_t c = 0; c < dst.c; ++c) {
                    double sum = 0;
                    for (const auto& v : rows)
                        for (const auto& u : columns)
                            sum += v.weight * u.weight * src.at(n, v.pixel, u.pixel, c);
                    dst.at(n, y, x, c) = sum;
                }
        }
    }
    dst.writeTo(op.dst);
}

}  // namespace pewter::reference
