#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

/// visit(y, x, v, u): (y,x) of the smaller image takes (v,u) of the larger one. Reads of zeros outside are
/// left out.
template <class Op, class Visitor>
void forEachPair(const Op& op, const Values& small, const Values& large, Visitor visit) {
    for (std::int64_t y = 0; y < small.h; ++y)
        for (std::int64_t x = 0; x < small.w; ++x) {
            const auto v = edgeIndex(y + op.offsetY, large.h, op.edge);
            const auto u = edgeIndex(x + op.offsetX, large.w, op.edge);
            if (v >= 0 && u >= 0) visit(y, x, v, u);
        }
}

}  // namespace

void Reference::run(const ops::Copy& op, ops::Stream&) {
    const Values src(op.src);
    Values dst = Values::zerosLike(op.dst);
    for (std::int64_t n = 0; n < dst.n; ++n)
        forEachPair(op, dst, src, [&](auto y, auto x, auto v, auto u) {
            for (std::int64_t c = 0; c < dst.c; ++c) dst.at(n, y, x, c) = src.at(n, v, u, c);
        });
    dst.writeTo(op.dst);
}

void Reference::run(const ops::CopyGradient& op, ops::Stream&) {
    const Values src(op.src);
    Values dst = Values::zerosLike(op.dst);
    for (std::int64_t n = 0; n < src.n; ++n)
        forEachPair(op, src, dst, [&](auto y, auto x, auto v, auto u) {
            for (std::int64_t c = 0; c < src.c; ++c) dst.at(n, v, u, c) += src.at(n, y, x, c);
        });
    dst.writeTo(op.dst);
}

void Reference::run(const ops::Fill& op, ops::Stream&) {
    Values dst = Values::zerosLike(op.dst);
    for (std::int64_t i = 0; i < dst.count(); ++i) dst[i] = op.value;
    dst.writeTo(op.dst);
}

void Reference::run(const ops::ArrayCopy& op, ops::Stream&) { write(valuesOf(op.src), op.dst); }

}  // namespace pewter::reference
