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

    PEWTER_DEVICE float free(float primary, float secondary) const { return free(type, primary, secondary); }
    PEWTER_DEVICE float free(ops::ArithmeticType kind, float primary, float secondary) const {
        const float x = primaryScale * primary, y = secondaryScale * secondary;
        switch (kind) {
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

/// No element has to find out what is done to it.
template <ops::ArithmeticType kType>
void combine(CudaStream& stream, const ops::Arithmetic& op, const Formula& formula) {
    elementwise(stream, op.dst, {op.primary, op.secondary}, PEWTER_KERNEL_LAMBDA(const Inputs<2>& x, int) {
        return formula.clamped(formula.free(kType, x[0], x[1]));
    });
}

void combine(CudaStream& stream, const ops::Arithmetic& op, const Formula& formula) {
    switch (op.type) {
        case ops::ArithmeticType::Add: return combine<ops::ArithmeticType::Add>(stream, op, formula);
        case ops::ArithmeticType::Subtract: return combine<ops::ArithmeticType::Subtract>(stream, op, formula);
        case ops::ArithmeticType::Multiply: return combine<ops::ArithmeticType::Multiply>(stream, op, formula);
        case ops::ArithmeticType::Divide: return combine<ops::ArithmeticType::Divide>(stream, op, formula);
    }
}

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

struct Plus {
    PEWTER_DEVICE double operator()(double a, double b) const { return a + b; }
};

/// One block a result.
void sumRows(CudaStream& stream, const Axes& axes, const ElementGradient& e, const View& to) {
    reduceRows(
        stream, axes.kept.count(), axes.gone.count(), 0.0,
        PEWTER_KERNEL_LAMBDA(std::int64_t row, std::int64_t i) {
            return static_cast<double>(e.at(sumOf(axes.kept.at(row), axes.gone.at(i))));
        },
        Plus(),
        PEWTER_KERNEL_LAMBDA(std::int64_t row, double sum) { store(to, axes.kept.at(row), static_cast<float>(sum)); });
}

// --- sums of columns: neighbouring threads take neighbouring channels, and the rows are cut into parts ---

/// The sums of every part, `results` doubles each.
struct ColumnParts {
    std::int64_t results, length, count, size;
    double* sums;

    ColumnParts(CudaStream& stream, const Axes& axes, std::int64_t lanes)
        : results(axes.kept.count()), length(axes.gone.count()) {
        const std::int64_t threads = std::int64_t{1} << 18;
        count = std::clamp<std::int64_t>(std::min(threads * lanes / results, length / 16), 1, 1024);
        size = (length + count - 1) / count;
        sums = static_cast<double*>(stream.scratch(static_cast<std::size_t>(count * results) * sizeof(double)));
    }
    PEWTER_HD std::int64_t from(std::int64_t part) const { return part * size < length ? part * size : length; }
};

void sumColumns(CudaStream& stream, const Axes& axes, const ElementGradient& e, const ColumnParts& parts) {
    forEach(stream, parts.count * parts.results, PEWTER_KERNEL_LAMBDA(std::int64_t i) {
        const Position column = axes.kept.at(i % parts.results);
        const std::int64_t part = i / parts.results, end = parts.from(part + 1);
        double sum = 0;
        for (std::int64_t k = parts.from(part); k < end; ++k) sum += e.at(sumOf(column, axes.gone.at(k)));
        parts.sums[i] = sum;
    });
}

/// Dense operands seen as outer x length x width elements, the middle axis to be summed.
template <class T, int kLanes>
struct DenseColumns {
    struct alignas(sizeof(T) * kLanes) Lanes {
        T lane[kLanes];
    };
    const Lanes *diffDst, *other;
    float scale;
    std::int64_t vectors;  // of a row
    ColumnParts parts;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const std::int64_t v = i % vectors, part = i / vectors % parts.count, outer = i / vectors / parts.count;
        const std::int64_t end = parts.from(part + 1);
        double sum[kLanes] = {};
        for (std::int64_t k = parts.from(part); k < end; ++k) {
            const std::int64_t at = (outer * parts.length + k) * vectors + v;
            const Lanes in = diffDst[at];
            float e[kLanes];
            for (int l = 0; l < kLanes; ++l) e[l] = scale * toFloat(in.lane[l]);
            if (other) {
                const Lanes factor = other[at];
                for (int l = 0; l < kLanes; ++l) e[l] *= toFloat(factor.lane[l]);
            }
            for (int l = 0; l < kLanes; ++l) sum[l] += e[l];
        }
        double* const to = parts.sums + part * parts.results + (outer * vectors + v) * kLanes;
        for (int l = 0; l < kLanes; ++l) to[l] = sum[l];
    }
};

/// Elements of the kept axes after the summed ones, 0 when kept axes lie between summed ones.
std::int64_t widthAfter(const Axes& axes) {
    const int kept[4] = {axes.kept.n, axes.kept.h, axes.kept.w, axes.kept.c};
    const int gone[4] = {axes.gone.n, axes.gone.h, axes.gone.w, axes.gone.c};
    std::int64_t width = 1;
    int a = 3;
    for (; a >= 0 && gone[a] == 1; --a) width *= kept[a];
    for (; a >= 0 && kept[a] == 1; --a) {}
    for (; a >= 0; --a)
        if (gone[a] != 1) return 0;
    return width;
}

template <class T, int kLanes>
void sumDense(CudaStream& stream, const ElementGradient& e, std::int64_t width, const ColumnParts& parts) {
    using Sum = DenseColumns<T, kLanes>;
    using Lanes = typename Sum::Lanes;
    forEach(stream, parts.count * parts.results / kLanes,
            Sum{reinterpret_cast<const Lanes*>(e.diffDst.data), reinterpret_cast<const Lanes*>(e.other.data), e.scale,
                width / kLanes, parts});
}

template <class T>
void sumDense(CudaStream& stream, const ElementGradient& e, std::int64_t width, const ColumnParts& parts) {
    constexpr int kLanes = 16 / sizeof(T);
    const auto bits = reinterpret_cast<std::uintptr_t>(e.diffDst.data) | reinterpret_cast<std::uintptr_t>(e.other.data);
    if (width % kLanes == 0 && bits % 16 == 0) return sumDense<T, kLanes>(stream, e, width, parts);
    sumDense<T, 1>(stream, e, width, parts);
}

/// Adds the parts, few in one thread, many in one block.
void addParts(CudaStream& stream, const Axes& axes, const ColumnParts& parts, const View& to) {
    if (parts.count > 32)
        return reduceRows(
            stream, parts.results, parts.count, 0.0,
            PEWTER_KERNEL_LAMBDA(std::int64_t row, std::int64_t k) { return parts.sums[k * parts.results + row]; }, Plus(),
            PEWTER_KERNEL_LAMBDA(std::int64_t row, double sum) {
                store(to, axes.kept.at(row), static_cast<float>(sum));
            });
    forEach(stream, parts.results, PEWTER_KERNEL_LAMBDA(std::int64_t i) {
        double sum = 0;
        for (std::int64_t k = 0; k < parts.count; ++k) sum += parts.sums[k * parts.results + i];
        store(to, axes.kept.at(i), static_cast<float>(sum));
    });
}

void sumOverColumns(CudaStream& stream, const ops::ArithmeticGradient& op, const Axes& axes, const ElementGradient& e) {
    const ops::Type type = op.diffDst.type;
    const bool dense = op.diffDst.isDense() && e.mask.isNull() &&
                       (e.other.isNull() || (op.other.isDense() && op.other.type == type));
    const std::int64_t width = dense ? widthAfter(axes) : 0;
    const ColumnParts parts(stream, axes, width ? 4 : 1);
    if (width && type == ops::Type::Float32)
        sumDense<float>(stream, e, width, parts);
    else if (width && type == ops::Type::Float16)
        sumDense<Half>(stream, e, width, parts);
    else if (width && type == ops::Type::BFloat16)
        sumDense<Brain>(stream, e, width, parts);
    else
        sumColumns(stream, axes, e, parts);
    addParts(stream, axes, parts, viewOf(op.diffSrc));
}

}  // namespace

void Cuda::run(const ops::Arithmetic& op, ops::Stream& stream) {
    const Formula formula(op);
    if (op.mask.isNull()) return combine(streamOf(stream), op, formula);
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
        // The gradient of a sum is there already where a graph lets both lie in one place.
        if (scale == 1 && op.diffSrc.data == op.diffDst.data && op.diffSrc.type == op.diffDst.type &&
            op.diffSrc.isDense() && op.diffDst.isDense())
            return;
        return elementwise(s, op.diffSrc, {op.diffDst},
                           PEWTER_KERNEL_LAMBDA(const Inputs<1>& x, int) { return scale * x[0]; });
    }
    const Axes axes(op.diffDst, op.diffSrc);
    if (op.diffDst.c > 1 && axes.gone.c == 1) return sumOverColumns(s, op, axes, e);
    sumRows(s, axes, e, to);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
