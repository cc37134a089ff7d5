#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::LocalCorrelation& op, ops::Stream&) {
    const Values primary(op.primary), secondary(op.secondary);
    Values dst = Values::zerosLike(op.dst);
    const std::int64_t width = 2 * op.windowX + 1, height = 2 * op.windowY + 1;
    for (std::int64_t image = 0; image < dst.n; ++image)
        for (std::int64_t y = 0; y < dst.h; ++y)
            for (std::int64_t x = 0; x < dst.w; ++x)
                for (std::int64_t n = 0; n < height; ++n)
                    for (std::int64_t m = 0; m < width; ++m) {
                        const auto v =
                            edgeIndex(op.offsetY + y + (n - op.windowY) * op.strideY, secondary.h, op.edge);
                        const auto u =
                            edgeIndex(op.offsetX + x + (m - op.windowX) * op.strideX, secondary.w, op.edge);
                        if (v < 0 || u < 0) continue;
                        double sum = 0;
                        for (std::int64_t z = 0; z < primary.c; ++z)
                            sum += primary.at(image, y, x, z) * secondary.at(image, v, u, z);
                        dst.at(image, y, x, n * width + m) = sum;
                    }
    dst.writeTo(op.dst);
}

}  // namespace pewter::reference
