#pragma once

#include "backends/cuda/PixelSums.cuh"
#include "ops/Loss.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// Loss of one element and its derivatives with respect to prediction and label, all without the function's weight.
struct ElementLoss {
    float value, derivative, labelDerivative;
};

PEWTER_DEVICE float signOf(float x) { return static_cast<float>((x > 0) - (x < 0)); }

/// Of prediction y and label t; logProbability is y after log-softmax over its pixel (SoftMaxCrossEntropy only).
PEWTER_DEVICE ElementLoss elementLoss(const ops::LossFunction& f, float y, float t, float logProbability) {
    const float d = y - t;
    const float smoothing = f.labelSmoothing > 0 ? f.labelSmoothing : 0, keep = 1 - smoothing;
    switch (f.type) {
        case ops::LossType::MeanAbsoluteError: return {fabsf(d), signOf(d), -signOf(d)};
        case ops::LossType::MeanSquaredError: return {d * d, 2 * d, -2 * d};
        case ops::LossType::SoftMaxCrossEntropy: {
            const float s = t * keep + smoothing / static_cast<float>(f.numberOfClasses);
            return {-s * logProbability, expf(logProbability) - s, -keep * logProbability};
        }
        case ops::LossType::SigmoidCrossEntropy: {
            const float s = t * keep + smoothing / 2, e = expf(-fabsf(y));
            return {(y < 0 ? 0 : y) - y * s + log1pf(e), (y >= 0 ? 1 / (1 + e) : e / (1 + e)) - s, -keep * y};
        }
        case ops::LossType::CategoricalCrossEntropy: return {-t * logf(y), -t / y, -logf(y)};
        case ops::LossType::Hinge: {
            const float label = 2 * t - 1, margin = 1 - label * y;
            if (margin > 0) return {margin, -label, -2 * y};
            return {0, 0, 0};
        }
        case ops::LossType::Huber: {
            const float delta = f.delta, size = fabsf(d);
            if (size <= delta) return {d * d / 2, d, -d};
            return {delta * delta / 2 + delta * (size - delta), delta * signOf(d), -delta * signOf(d)};
        }
        case ops::LossType::CosineDistance: return {-y * t, -t, -y};  // the 1 of 1 - sum y t is added once an image
        case ops::LossType::Log: {
            const float epsilon = f.epsilon, yes = logf(y + epsilon), no = logf(1 - y + epsilon);
            return {-t * yes - (1 - t) * no,
                    (y - t - 2 * epsilon * t + epsilon) / (y * (1 - y) + epsilon * (1 + epsilon)), no - yes};
        }
        case ops::LossType::KullbackLeiblerDivergence: return {t == 0 ? 0 : t * (logf(t) - y), -t, logf(t) - y + 1};
    }
    return {0, 0, 0};
}

/// What the sum of losses is divided by; `elements` of an image, of `images` images, `counted` of non-zero weight.
PEWTER_HD double divisorOf(const ops::LossReduction& reduction, double elements, double images, double counted) {
    switch (reduction.type) {
        case ops::ReductionType::None:
        case ops::ReductionType::Sum: return 1;
        case ops::ReductionType::Mean: return reduction.acrossBatch ? elements * images : elements;
        case ops::ReductionType::SumByNonZeroWeights: return counted;
    }
    return 1;
}

/// Losses an image that Mean counts: a pixel is one loss of a softmax.
inline double lossesOf(const ops::LossFunction& function, const ops::Tensor& src) {
    const bool onePixelOneLoss = function.type == ops::LossType::SoftMaxCrossEntropy;
    return static_cast<double>(onePixelOneLoss ? src.h * src.w : src.h * src.w * src.c);
}

/// Pieces of one stretch of scratch memory.
class Pieces {
public:
    template <class T>
    std::size_t add(std::int64_t count) {
        const std::size_t at = bytes_;
        bytes_ += (static_cast<std::size_t>(count) * sizeof(T) + 15) / 16 * 16;
        return at;
    }
    char* take(CudaStream& stream) const { return bytes_ ? static_cast<char*>(stream.scratch(bytes_)) : nullptr; }

private:
    std::size_t bytes_ = 0;
};

/// The log-softmax of a pixel is x - maximum - logSum.
struct LogSum {
    float maximum, logSum;
};
struct LogSumsOfPixel {
    View src;
    LogSum* out;

    template <class Who>
    PEWTER_DEVICE void operator()(Who who, std::int64_t pixel) const {
        const SoftMaxSums sums = softMaxSums(who, src, pixelOf(src, pixel), src.c);
        if (who.first() == 0) out[pixel] = {sums.maximum, logf(sums.sum)};
    }
};

// --- losses of elements, and their sums ---

/// One element's loss and gradient, weighted, and its weight.
struct LossTerm {
    float loss, gradient, weight;
};
struct LossSums {
    double loss, counted;
};
struct AddLosses {
    PEWTER_DEVICE LossSums operator()(const LossSums& a, const LossSums& b) const {
        return {a.loss + b.loss, a.counted + b.counted};
    }
};

/// Where the results of elements go; what is null is not wanted. sums: of every part of every image.
struct LossOutputs {
    View gradient, losses;
    LossSums* sums;
};

/// One block a part of an image.
template <class F>
__global__ void lossTermsKernel(View src, std::int64_t parts, std::int64_t part, LossOutputs to, F f) {
    const std::int64_t size = std::int64_t{1} * src.h * src.w * src.c, image = blockIdx.x / parts;
    const std::int64_t from = blockIdx.x % parts * part, end = from + part < size ? from + part : size;
    LossSums sums{0, 0};
    for (std::int64_t i = from + threadIdx.x; i < end; i += blockDim.x) {
        const Position p = positionOf(src, image * size + i);
        const LossTerm term = f(p);
        if (!to.gradient.isNull()) store(to.gradient, p, term.gradient);
        if (!to.losses.isNull()) store(to.losses, p, term.loss);
        sums.loss += term.loss;
        sums.counted += term.weight != 0;
    }
    if (!to.sums) return;
    sums = combineInBlock(sums, AddLosses());
    if (threadIdx.x == 0) to.sums[blockIdx.x] = sums;
}

/// How the elements of an image are cut into parts.
struct LossParts {
    std::int64_t count, size;

    explicit LossParts(const ops::Tensor& src) {
        const std::int64_t elements = src.h * src.w * src.c;
        const std::int64_t wanted = std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(1, src.n));
        count = std::clamp<std::int64_t>(elements / 1024, 1, wanted);
        size = (elements + count - 1) / count;
    }
};

/// reduced = (the losses, plus `constant` an image) / divisor.
struct ReduceLosses {
    ops::LossReduction reduction;
    View loss;
    double elements, constant;

    PEWTER_DEVICE void operator()(std::int64_t image, const LossSums& sums) const {
        const int images = loss.n;
        const double divisor = divisorOf(reduction, elements, images, sums.counted);
        const double all = sums.loss + constant * (reduction.acrossBatch ? images : 1);
        store(loss, static_cast<int>(image), 0, 0, 0, static_cast<float>(divisor == 0 ? 0 : all / divisor));
        for (int n = 1; reduction.acrossBatch && n < images; ++n) store(loss, n, 0, 0, 0, 0);
    }
};
struct LossSumAt {
    const LossSums* sums;
    std::int64_t length;
    PEWTER_DEVICE LossSums operator()(std::int64_t row, std::int64_t i) const { return sums[row * length + i]; }
};

/// Gradient and loss of every element of src, f(position) being its terms. sums: room for those of every part where
/// the losses are reduced.
template <class F>
void runLosses(CudaStream& stream, const ops::LossReduction& reduction, const ops::Tensor& src, const ops::Tensor& gradient,
               const ops::Tensor& loss, double elements, double constant, LossSums* sums, F f) {
    if (src.count() == 0) return;
    const LossParts parts(src);
    const bool reduces = !loss.isNull() && reduction.type != ops::ReductionType::None;
    LossOutputs to{viewOf(gradient), reduces ? View{} : viewOf(loss), reduces ? sums : nullptr};
    launch(stream, lossTermsKernel<F>, src.n * parts.count, kThreads, viewOf(src), parts.count, parts.size, to, f);
    if (!reduces) return;
    const std::int64_t length = reduction.acrossBatch ? src.n * parts.count : parts.count;
    reduceRows(stream, reduction.acrossBatch ? 1 : src.n, length, LossSums{0, 0}, LossSumAt{sums, length}, AddLosses(),
               ReduceLosses{reduction, viewOf(loss), elements, constant});
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
