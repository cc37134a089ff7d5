#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

/// visit(n, y, x, c, v, u, k): element (y,x,c) of the padded image takes (v,u,k) of the source; -1 among the
/// three where it is filled.
template <class Op, class Visitor>
void forEachElement(const Op& op, const Values& padded, const Values& source, Visitor visit) {
    for (std::int64_t n = 0; n < padded.n; ++n)
        for (std::int64_t y = 0; y < padded.h; ++y)
            for (std::int64_t x = 0; x < padded.w; ++x)
                for (std::int64_t c = 0; c < padded.c; ++c)
                    visit(n, y, x, c, ops::padIndex(y + op.offsetY, source.h, op.edge),
                          ops::padIndex(x + op.offsetX, source.w, op.edge),
                          ops::padIndex(c + op.offsetC, source.c, op.edge));
}

}  // namespace

void Reference::run(const ops::PadForward& op, ops::Stream&) {
    const Values src(op.src);
    Values dst = Values::zerosLike(op.dst);
    forEachElement(op, dst, src, [&](auto n, auto y, auto x, auto c, auto v, auto u, auto k) {
        if (v >= 0 && u >= 0 && k >= 0)
            dst.at(n, y, x, c) = src.at(n, v, u, k);
        else if (op.edge == ops::PadEdge::Constant)
            dst.at(n, y, x, c) = op.fillValues ? op.fillValues[c] : op.fillValue;
    });
    dst.writeTo(op.dst);
}

void Reference::run(const ops::PadGradient& op, ops::Stream&) {
    const Values diffDst(op.diffDst);
    Values diffSrc = Values::zerosLike(op.diffSrc);
    forEachElement(op, diffDst, diffSrc, [&](auto n, auto y, auto x, auto c, auto v, auto u, auto k) {
        if (v >= 0 && u >= 0 && k >= 0) diffSrc.at(n, v, u, k) += diffDst.at(n, y, x, c);
    });
    diffSrc.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
