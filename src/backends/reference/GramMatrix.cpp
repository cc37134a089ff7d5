#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::GramMatrixForward& op, ops::Stream&) {
    const Values src(op.src);
    Values dst = Values::zerosLike(op.dst);
    for (std::int64_t n = 0; n < src.n; ++n)
        for (std::int64_t v = 0; v < src.h; ++v)
            for (std::int64_t u = 0; u < src.w; ++u)
                for (std::int64_t f = 0; f < src.c; ++f)
                    for (std::int64_t c = 0; c < src.c; ++c)
                        dst.at(n, 0, f, c) += src.at(n, v, u, f) * src.at(n, v, u, c);
    for (std::int64_t i = 0; i < dst.count(); ++i) dst[i] *= op.alpha;
    dst.writeTo(op.dst);
}

void Reference::run(const ops::GramMatrixGradient& op, ops::Stream&) {
    const Values src(op.src), diffDst(op.diffDst);
    Values diffSrc = Values::zerosLike(op.diffSrc);
    for (std::int64_t n = 0; n < src.n; ++n)
        for (std::int64_t v = 0; v < src.h; ++v)
            for (std::int64_t u = 0; u < src.w; ++u)
                for (std::int64_t k = 0; k < src.c; ++k) {
                    double sum = 0;
                    for (std::int64_t c = 0; c < src.c; ++c)
                        sum += (diffDst.at(n, 0, k, c) + diffDst.at(n, 0, c, k)) * src.at(n, v, u, c);
                    diffSrc.at(n, v, u, k) = op.alpha * sum;
                }
    diffSrc.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
