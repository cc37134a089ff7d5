#include "backends/cuda/Cuda.h"
#include "backends/cuda/Elementwise.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// What an ops::Arithmetic does to a pair of elements.
struct Formula {
    ops::ArithmeticType type;
    float primaryScale, secondaryScale, bias, minimum, maximum;

    explicit Formula(const ops::Arithmetic& op)
        : type(op.type), primaryScale(op.primaryScale), secondaryScale(op.secondaryScale), bias(op.bias),
          minimum(op.minimum), maximum(op.maximum) {}

    PEWTER_DEVICE float free(float primary, float secondary) const {
        const float x = primaryScale * primary, y = secondaryScale * secondary;
        switch (type) {
            case ops::ArithmeticType::Add: return x + y + bias;
            case ops::ArithmeticType::Subtract: return x - y + bias;
            case ops::ArithmeticType::Multiply: return x * y + bias;
            case ops::ArithmeticType::Divide: return x / y + bias;
        }
        return 0;
    }
    /// NaN stays NaN.
    PEWTER_DEVICE float clamped(float r) const {
        const float low = r < minimum ? minimum : r;
        return maximum < low ? maximum : low;
    }
};

/// The element gradients of an ops::ArithmeticGradient before the sum over broadcast axes.
struct ElementGradient {
    View diffDst, other, mask;
    float scale;

    explicit ElementGradient(const ops::ArithmeticGradient& op) : diffDst(viewOf(op.diffDst)), other{}, mask{} {
        const bool product = op.type == ops::ArithmeticType::Multiply || op.type == ops::ArithmeticType::Divide;
        if (product && !op.other.isNull()) other = viewOf(op.other);
        if (!op.mask.isNull()) mask = viewOf(op.mask);
        scale = op.primaryScale * (other.isNull() ? 1.0f : op.secondaryScale);
    }
    PEWTER_DEVICE float at(const Position& p) const {
        float e = scale * load(diffDst, p);
        if (!other.isNull()) e *= load(other, p);
        if (!mask.isNull()) e *= load(mask, p);
        return e;
    }
};

/// Extents in N,H,W,C order.
struct Extents {
    int n, h, w, c;

    std::int64_t count() const { return std::int64_t{1} * n * h * w * c; }
    PEWTER_DEVICE Position at(std::int64_t i) const {
        View v{};
        v.n = n, v.h = h, v.w = w, v.c = c;
        return positionOf(v, i);
    }
};

PEWTER_DEVICE Position sumOf(const Position& a, const Position& b) {
    return {a.n + b.n, a.h + b.h, a.w + b.w, a.c + b.c};
}

/// A sum over axes: the extents that stay (1 for the others) and those that go.
struct Axes {
    Extents kept, gone;

    Axes(const ops::Tensor& from, const ops::Tensor& to) {
        const auto split = [](std::int64_t extent, std::int64_t left, int& keeps, int& goes) {
            const bool sums = left == 1 && extent != 1;
            keeps = static_cast<int>(sums ? 1 : extent);
            goes = static_cast<int>(sums ? extent : 1);
        };
        split(from.n, to.n, kept.n, gone.n);
        split(from.h, to.h, kept.h, gone.h);
        split(from.w, to.w, kept.w, gone.w);
        split(from.c, to.c, kept.c, gone.c);
    }
};

PEWTER_DEVICE double add(double a, double b) { return a + b; }

/// One block a result.
void sumRows(CudaStream& stream, const Axes& axes, const ElementGradient& e, const View& to) {
    reduceRows(
        stream, axes.kept.count(), axes.gone.count(), 0.0,
        PEWTER_KERNEL_LAMBDA(std::int64_t row, std::int64_t i) {
            return static_cast<double>(e.at(sumOf(axes.kept.at(row), axes.gone.at(i))));
        },
        PEWTER_KERNEL_LAMBDA(double a, double b) { return add(a, b); },
        PEWTER_KERNEL_LAMBDA(std::int64_t row, double sum) { store(to, axes.kept.at(row), static_cast<float>(sum)); });
}

/// Neighbouring threads take neighbouring channels; the sum of each is cut into parts, added by a second kernel.
void sumColumns(CudaStream& stream, const Axes& axes, const ElementGradient& e, const View& to) {
    const std::int64_t results = axes.kept.count(), length = axes.gone.count();
    const std::int64_t parts =
        std::clamp<std::int64_t>(std::min((std::int64_t{1} << 18) / results, length / 16), 1, 1024);
    const std::int64_t part = (length + parts - 1) / parts;
    double* const sums = static_cast<double*>(stream.scratch(static_cast<std::size_t>(parts * results) * sizeof(double)));
    forEach(stream, parts * results, PEWTER_KERNEL_LAMBDA(std::int64_t i) {
        const Position column = axes.kept.at(i % results);
        const std::int64_t from = i / results * part, end = from + part < length ? from + part : length;
        double sum = 0;
        for (std::int64_t k = from; k < end; ++k) sum += e.at(sumOf(column, axes.gone.at(k)));
        sums[i] = sum;
    });
    forEach(stream, results, PEWTER_KERNEL_LAMBDA(std::int64_t i) {
        double sum = 0;
        for (std::int64_t k = 0; k < parts; ++k) sum += sums[k * results + i];
        store(to, axes.kept.at(i), static_cast<float>(sum));
    });
}

}  // namespace

void Cuda::run(const ops::Arithmetic& op, ops::Stream& stream) {
    const Formula formula(op);
    if (op.mask.isNull())
        return elementwise(streamOf(stream), op.dst, {op.primary, op.secondary},
                           PEWTER_KERNEL_LAMBDA(const Inputs<2>& x, int) {
                               return formula.clamped(formula.free(x[0], x[1]));
                           });
    const View primary = viewOf(op.primary), secondary = viewOf(op.secondary), dst = viewOf(op.dst), mask = viewOf(op.mask);
    forEachElement(streamOf(stream), dst, PEWTER_KERNEL_LAMBDA(const Position& p) {
        const float r = formula.free(load(primary, p), load(secondary, p));
        store(dst, p, formula.clamped(r));
        store(mask, p, formula.minimum < r && r < formula.maximum ? 1.0f : 0.0f);
    });
}

void Cuda::run(const ops::ArithmeticGradient& op, ops::Stream& stream) {
    if (op.diffDst.count() == 0) return;
    CudaStream& s = streamOf(stream);
    const ElementGradient e(op);
    const View to = viewOf(op.diffSrc);
    const float scale = e.scale;
    if (op.diffSrc.sameExtents(op.diffDst)) {
        if (!e.mask.isNull())
            return forEachElement(s, to, PEWTER_KERNEL_LAMBDA(const Position& p) { store(to, p, e.at(p)); });
        if (!e.other.isNull())
            return elementwise(s, op.diffSrc, {op.diffDst, op.other},
                               PEWTER_KERNEL_LAMBDA(const Inputs<2>& x, int) { return scale * x[0] * x[1]; });
        return elementwise(s, op.diffSrc, {op.diffDst},
                           PEWTER_KERNEL_LAMBDA(const Inputs<1>& x, int) { return scale * x[0]; });
    }
    const Axes axes(op.diffDst, op.diffSrc);
    if (op.diffDst.c > 1 && axes.gone.c == 1) return sumColumns(s, axes, e, to);
    sumRows(s, axes, e, to);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
