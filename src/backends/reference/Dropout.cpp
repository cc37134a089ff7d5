#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"
#include "ops/Random.h"

namespace pewter::reference {

namespace {

/// The mask value of an element; an extent of 1 is shared along its axis, and outside the mask it is 0.
double maskAt(const Values& mask, std::int64_t n, std::int64_t v, std::int64_t u, std::int64_t c) {
    const auto row = mask.h == 1 ? 0 : edgeIndex(v, mask.h, ops::Edge::Zero);
    const auto column = mask.w == 1 ? 0 : edgeIndex(u, mask.w, ops::Edge::Zero);
    return row < 0 || column < 0 ? 0 : mask.at(n, row, column, mask.c == 1 ? 0 : c);
}

/// data * mask / keepProbability, element (v,u) with mask element (v+offsetY, u+offsetX).
void applyMask(Values& data, const Values& mask, double keepProbability, std::int64_t offsetY,
               std::int64_t offsetX) {
    for (std::int64_t n = 0; n < data.n; ++n)
        for (std::int64_t v = 0; v < data.h; ++v)
            for (std::int64_t u = 0; u < data.w; ++u)
                for (std::int64_t c = 0; c < data.c; ++c)
                    data.at(n, v, u, c) *= maskAt(mask, n, v + offsetY, u + offsetX, c) / keepProbability;
}

}  // namespace

void Reference::run(const ops::DropoutForward& op, ops::Stream&) {
    Values data(op.src);
    Values mask = Values::zerosLike(op.mask);
    const std::int64_t elements = mask.h * mask.w * mask.c;
    for (std::int64_t n = 0; n < mask.n; ++n)
        for (std::int64_t i = 0; i < elements; ++i) {
            const float draw = ops::uniform(op.seed, op.sequence, static_cast<std::uint32_t>(n),
                                            static_cast<std::uint64_t>(i));
            mask[n * elements + i] = draw < op.keepProbability ? 1 : 0;
        }
    mask.writeTo(op.mask);
    applyMask(data, mask, op.keepProbability, 0, 0);
    data.writeTo(op.dst);
}

void Reference::run(const ops::DropoutGradient& op, ops::Stream&) {
    Values diff(op.diffDst);
    applyMask(diff, Values(op.mask), op.keepProbability, op.offsetY, op.offsetX);
    diff.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
