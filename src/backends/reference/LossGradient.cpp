#include "backends/reference/LossFunction.h"
#include "backends/reference/Reference.h"
#include "backends/reference/SoftMaxFunction.h"

namespace pewter::reference {

void Reference::run(const ops::LossGradient& op, ops::Stream&) {
    const Values src(op.src), labels(op.labels), weights(op.weights), incoming(op.incoming);
    Values dst = Values::zerosLike(op.src), logarithms = src;
    if (op.function.type == ops::LossType::SoftMaxCrossEntropy)
        for (std::int64_t i = 0; i < src.count(); i += src.c) logSoftMax(&src[i], src.c, &logarithms[i]);
    const auto counts = countsOf(op.reduction, src, weights);
    const std::int64_t size = src.h * src.w * src.c;
    for (std::int64_t i = 0; i < src.count(); ++i) {
        const std::int64_t n = i / size;
        const bool reduces = op.reduction.type != ops::ReductionType::None;
        const double divisor = divisorOf(op.reduction, lossesOf(op.function, src), static_cast<double>(src.n),
                                         counts[static_cast<std::size_t>(n)]);
        const double u = incoming[!reduces ? i : op.reduction.acrossBatch ? 0 : n];
        const double factor = divisor == 0 ? 0 : u / divisor * op.function.weight;
        const ElementLoss element = elementLoss(op.function, src[i], labels[i], logarithms[i]);
        dst[i] = factor * (weights.isEmpty() ? 1 : weights[i]) *
                 (op.labelGradients ? element.labelDerivative : element.derivative);
    }
    dst.writeTo(op.dst);
}

}  // namespace pewter::reference
