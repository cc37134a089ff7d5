#include <algorithm>
#include <cmath>

#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"
#include "backends/reference/SoftMaxFunction.h"

namespace pewter::reference {

void logSoftMax(const double* x, std::int64_t channels, double* out) {
    const double maximum = *std::max_element(x, x + channels);
    double sum = 0;
    for (std::int64_t c = 0; c < channels; ++c) sum += std::exp(x[c] - maximum);
    for (std::int64_t c = 0; c < channels; ++c) out[c] = x[c] - maximum - std::log(sum);
}

void Reference::run(const ops::SoftMaxForward& op, ops::Stream&) {
    const Values src(op.src);
    Values dst = Values::zerosLike(op.dst);
    for (std::int64_t i = 0; i < src.count(); i += src.c) {
        logSoftMax(&src[i], src.c, &dst[i]);
        for (std::int64_t c = 0; c < src.c && !op.logarithm; ++c) dst[i + c] = std::exp(dst[i + c]);
    }
    dst.writeTo(op.dst);
}

void Reference::run(const ops::SoftMaxGradient& op, ops::Stream&) {
    const Values dst(op.dst), diffDst(op.diffDst);
    Values diffSrc = Values::zerosLike(op.diffSrc);
    for (std::int64_t i = 0; i < dst.count(); i += dst.c) {
        double sum = 0;
        for (std::int64_t c = i; c < i + dst.c; ++c) sum += op.logarithm ? diffDst[c] : diffDst[c] * dst[c];
        for (std::int64_t c = i; c < i + dst.c; ++c)
            diffSrc[c] = op.logarithm ? diffDst[c] - std::exp(dst[c]) * sum : dst[c] * (diffDst[c] - sum);
    }
    diffSrc.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
