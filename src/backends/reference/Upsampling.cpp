#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::ResampleForward& op, ops::Stream&) {
    const Values src(op.src);
    Values dst = Values::zerosLike(op.dst);
    const auto mean = [](const ops::ResampleTap& tap, double a, double b) {
        return tap.fraction == 0 ? a : (1 - tap.fraction) * a + tap.fraction * b;
    };
    for (std::int64_t n = 0; n < dst.n; ++n) {
        const ops::ResampleView& view = op.views[n % op.viewCount];
        const std::int64_t image = n / op.viewCount;
        for (std::int64_t y = 0; y < dst.h; ++y)
            for (std::int64_t x = 0; x < dst.w; ++x) {
                const auto v = resampleTap(view.y, op.type, op.zeroOutside, src.h, y);
                const auto u = resampleTap(view.x, op.type, op.zeroOutside, src.w, x);
                if (v.a < 0 || u.a < 0) continue;
                for (std::int64_t c = 0; c < dst.c; ++c)
                    dst.at(n, y, x, c) =
                        mean(v, mean(u, src.at(image, v.a, u.a, c), src.at(image, v.a, u.b, c)),
                             mean(u, src.at(image, v.b, u.a, c), src.at(image, v.b, u.b, c)));
            }
    }
    dst.writeTo(op.dst);
}

void Reference::run(const ops::ResampleGradient& op, ops::Stream&) {
    const Values diffDst(op.diffDst);
    Values diffSrc = Values::zerosLike(op.diffSrc);
    for (std::int64_t n = 0; n < diffDst.n; ++n)
        for (std::int64_t y = 0; y < diffDst.h; ++y)
            for (std::int64_t x = 0; x < diffDst.w; ++x) {
                const auto v = resampleTap(op.view.y, op.type, false, diffSrc.h, y);
                const auto u = resampleTap(op.view.x, op.type, false, diffSrc.w, x);
                for (std::int64_t c = 0; c < diffDst.c; ++c) {
                    const double g = diffDst.at(n, y, x, c);
                    diffSrc.at(n, v.a, u.a, c) += (1 - v.fraction) * (1 - u.fraction) * g;
                    diffSrc.at(n, v.a, u.b, c) += (1 - v.fraction) * u.fraction * g;
                    diffSrc.at(n, v.b, u.a, c) += v.fraction * (1 - u.fraction) * g;
                    diffSrc.at(n, v.b, u.b, c) += v.fraction * u.fraction * g;
                }
            }
    diffSrc.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
