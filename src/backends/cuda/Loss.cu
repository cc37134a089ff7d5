#include "backends/cuda/Cuda.h"
#include "backends/cuda/LossFunction.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// The loss of an element and its derivatives, unweighted.
struct ElementLossAt {
    ops::LossFunction function;
    View src, labels;
    const LogSum* logSums;

    PEWTER_DEVICE ElementLoss operator()(const Position& p) const {
        const float y = load(src, p), t = load(labels, p);
        float logProbability = 0;
        if (logSums) {
            const LogSum s = logSums[(std::int64_t{1} * p.n * src.h + p.h) * src.w + p.w];
            logProbability = y - s.maximum - s.logSum;
        }
        return elementLoss(function, y, t, logProbability);
    }
};

struct TermAt {
    ElementLossAt element;
    View weights;

    PEWTER_DEVICE LossTerm operator()(const Position& p) const {
        const float w = weights.isNull() ? 1 : load(weights, p), factor = element.function.weight * w;
        const ElementLoss one = element(p);
        return {factor * one.value, factor * one.derivative, w};
    }
};

bool isSoftMax(const ops::LossFunction& f) { return f.type == ops::LossType::SoftMaxCrossEntropy; }

std::int64_t pixelsOf(const ops::Tensor& t) { return t.n * t.h * t.w; }

/// Computes the log-softmax's sums of every pixel into room that the caller has set aside.
const LogSum* fillLogSums(CudaStream& stream, const ops::LossFunction& function, const ops::Tensor& src, char* room) {
    if (!isSoftMax(function)) return nullptr;
    auto* const sums = reinterpret_cast<LogSum*>(room);
    forEachPixel(stream, pixelsOf(src), src.c, LogSumsOfPixel{viewOf(src), sums});
    return sums;
}

// --- the chain rule ---

struct Factors {
    ops::LossReduction reduction;
    View incoming;
    const double* counts;  // of every image, or null: all of `size` elements
    double size, elements;
    float weight;
    float* out;

    PEWTER_DEVICE void operator()(std::int64_t image) const {
        const int images = incoming.n;
        double counted = counts ? counts[image] : size;
        if (reduction.acrossBatch) {
            counted = counts ? 0 : size * images;
            for (int n = 0; counts && n < images; ++n) counted += counts[n];
        }
        const double divisor = divisorOf(reduction, elements, images, counted);
        const double u = load(incoming, reduction.acrossBatch ? 0 : static_cast<int>(image), 0, 0, 0);
        out[image] = divisor == 0 ? 0.0f : static_cast<float>(u / divisor * weight);
    }
};

struct NonZeroAt {
    View weights;
    std::int64_t size;
    PEWTER_DEVICE double operator()(std::int64_t image, std::int64_t i) const {
        return load(weights, positionOf(weights, image * size + i)) != 0;
    }
};
struct StoreCount {
    double* out;
    PEWTER_DEVICE void operator()(std::int64_t image, double sum) const { out[image] = sum; }
};

struct GradientAt {
    ElementLossAt element;
    View weights, incoming, dst;
    const float* factors;  // of every image; null: incoming is an element's own
    bool labelGradients;

    PEWTER_DEVICE void operator()(const Position& p) const {
        const ElementLoss one = element(p);
        float factor = factors ? factors[p.n] : load(incoming, p) * element.function.weight;
        if (!weights.isNull()) factor *= load(weights, p);
        store(dst, p, factor * (labelGradients ? one.labelDerivative : one.derivative));
    }
};

}  // namespace

void Cuda::run(const ops::Loss& op, ops::Stream& stream) {
    if (op.src.count() == 0) return;
    CudaStream& s = streamOf(stream);
    Pieces pieces;
    const auto logSums = pieces.add<LogSum>(isSoftMax(op.function) ? pixelsOf(op.src) : 0);
    const auto sums = pieces.add<LossSums>(op.src.n * LossParts(op.src).count);
    char* const room = pieces.take(s);
    const ElementLossAt element{op.function, viewOf(op.src), viewOf(op.labels),
                                fillLogSums(s, op.function, op.src, room + logSums)};
    const double constant = op.function.type == ops::LossType::CosineDistance ? op.function.weight : 0;
    runLosses(s, op.reduction, op.src, op.gradient, op.loss, lossesOf(op.function, op.src), constant,
              reinterpret_cast<LossSums*>(room + sums), TermAt{element, viewOf(op.weights)});
}

void Cuda::run(const ops::LossGradient& op, ops::Stream& stream) {
    if (op.src.count() == 0) return;
    CudaStream& s = streamOf(stream);
    const std::int64_t images = op.src.n, size = op.src.h * op.src.w * op.src.c;
    Pieces pieces;
    const auto logSumsAt = pieces.add<LogSum>(isSoftMax(op.function) ? pixelsOf(op.src) : 0);
    const auto countsAt = pieces.add<double>(images);
    const auto factorsAt = pieces.add<float>(images);
    char* const room = pieces.take(s);
    const View weights = viewOf(op.weights), incoming = viewOf(op.incoming);
    float* factors = nullptr;
    if (op.reduction.type != ops::ReductionType::None) {
        double* counts = nullptr;
        if (op.reduction.type == ops::ReductionType::SumByNonZeroWeights && !weights.isNull()) {
            counts = reinterpret_cast<double*>(room + countsAt);
            reduceRows(s, images, size, 0.0, NonZeroAt{weights, size}, Plus(), StoreCount{counts});
        }
        factors = reinterpret_cast<float*>(room + factorsAt);
        forEach(s, images, Factors{op.reduction, incoming, counts, static_cast<double>(size),
                                   lossesOf(op.function, op.src), op.function.weight, factors});
    }
    const ElementLossAt element{op.function, viewOf(op.src), viewOf(op.labels),
                                fillLogSums(s, op.function, op.src, room + logSumsAt)};
    forEachElement(s, element.src, GradientAt{element, weights, incoming, viewOf(op.dst), factors, op.labelGradients});
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
