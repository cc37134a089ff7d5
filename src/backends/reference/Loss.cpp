#include "backends/reference/LossFunction.h"
#include "backends/reference/Reference.h"
#include "backends/reference/SoftMaxFunction.h"

namespace pewter::reference {

void Reference::run(const ops::Loss& op, ops::Stream&) {
    const Values src(op.src), labels(op.labels), weights(op.weights);
    Values gradient = Values::zerosLike(op.src), losses = Values::zerosLike(op.src), logarithms = src;
    if (op.function.type == ops::LossType::SoftMaxCrossEntropy)
        for (std::int64_t i = 0; i < src.count(); i += src.c) logSoftMax(&src[i], src.c, &logarithms[i]);
    for (std::int64_t i = 0; i < src.count(); ++i) {
        const double factor = op.function.weight * (weights.isEmpty() ? 1 : weights[i]);
        const ElementLoss element = elementLoss(op.function, src[i], labels[i], logarithms[i]);
        losses[i] = factor * element.value;
        gradient[i] = factor * element.derivative;
    }
    if (!op.gradient.isNull()) gradient.writeTo(op.gradient);
    const double constant = op.function.type == ops::LossType::CosineDistance ? op.function.weight : 0;
    if (!op.loss.isNull())
        reduceLosses(op.reduction, losses, weights, lossesOf(op.function, src), constant, op.loss);
}

}  // namespace pewter::reference
