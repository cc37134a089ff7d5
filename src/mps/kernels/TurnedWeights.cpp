#include "mps/kernels/TurnedWeights.h"

#include <limits>

#include "ops/Arithmetic.h"
#include "ops/Copy.h"

namespace pewter::mps {

namespace {

/// Parts that differ by more than strides: one a group, all at once where a group has one input channel.
std::int64_t partsOf(const ops::Tensor& own, std::int64_t groups) { return own.c == 1 ? 1 : groups; }

/// Part `part` of the own weights, in the order of turned ones: n = input channel, c = output channel of its
/// group.
ops::Tensor ownPart(const ops::Tensor& own, std::int64_t groups, std::int64_t part) {
    const std::int64_t filter = own.h * own.w * own.c, outputs = own.n / groups;
    ops::Tensor view = own;
    view.n = own.c == 1 ? groups : own.c;
    view.c = outputs;
    view.strideN = own.c == 1 ? outputs * filter : 1;
    view.strideC = filter;
    // The window runs backwards.
    view.strideH = -own.w * own.c;
    view.strideW = -own.c;
    if (own.data)
        view.data = static_cast<float*>(own.data) + part * outputs * filter + (own.h * own.w - 1) * own.c;
    return view;
}

ops::Tensor turnedPart(const ops::Tensor& turned, std::int64_t parts, std::int64_t part) {
    ops::Tensor view = turned;
    view.n = turned.n / parts;
    if (turned.data) view.data = static_cast<float*>(turned.data) + part * view.n * turned.strideN;
    return view;
}

}  // namespace

ops::Tensor turnedShape(const ops::Tensor& own, std::int64_t groups) {
    return ops::Tensor::dense(nullptr, own.type, own.c * groups, own.h, own.w, own.n / groups);
}

void forEachTurnedPart(const ops::Tensor& own, const ops::Tensor& turned, std::int64_t groups,
                       const std::function<void(const ops::Tensor&, const ops::Tensor&)>& visit) {
    const std::int64_t parts = partsOf(own, groups);
    for (std::int64_t part = 0; part < parts; ++part)
        visit(ownPart(own, groups, part), turnedPart(turned, parts, part));
}

void encodeTurn(Encoder& encoder, const TensorRef& own, const TensorRef& turned, std::int64_t groups) {
    const std::int64_t parts = partsOf(own.shape, groups);
    for (std::int64_t part = 0; part < parts; ++part)
        encoder.run([own, turned, groups, parts, part] {
            ops::Copy op;
            op.src = ownPart(own.tensor(), groups, part);
            op.dst = turnedPart(turned.tensor(), parts, part);
            return op;
        });
}

void encodeTurnBack(Encoder& encoder, const TensorRef& turned, const TensorRef& own, std::int64_t groups,
                    bool accumulate) {
    const std::int64_t parts = partsOf(own.shape, groups);
    for (std::int64_t part = 0; part < parts; ++part) {
        if (accumulate)
            encoder.run([own, turned, groups, parts, part] {
                ops::Arithmetic op;
                op.primary = op.dst = ownPart(own.tensor(), groups, part);
                op.secondary = turnedPart(turned.tensor(), parts, part);
                // Infinities stay what they are.
                op.minimum = -std::numeric_limits<float>::infinity();
                op.maximum = std::numeric_limits<float>::infinity();
                return op;
            });
        else
            encoder.run([own, turned, groups, parts, part] {
                ops::Copy op;
                op.src = turnedPart(turned.tensor(), parts, part);
                op.dst = ownPart(own.tensor(), groups, part);
                return op;
            });
    }
}

}  // namespace pewter::mps
