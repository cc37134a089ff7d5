#include "ops/ImageScale.h"

#include "backends/cuda/Cuda.h"
#include "backends/cuda/Lanes.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace scaling {

/// ops::LanczosTap as kernels read it.
struct Tap {
    int pixel;
    float weight;
};

/// Taps of one axis: `most` places and a count for every output.
struct Axis {
    ops::ResampleAxis axis;
    int extent, outputs;
    std::int64_t most;
    Tap* taps;
    int* counts;
};

/// ops::lanczos().
PEWTER_DEVICE double lanczos(double t) {
    if (fabs(t) >= 3) return 0;
    if (t == floor(t)) return t == 0 ? 1 : 0;
    const double x = 3.141592653589793 * t;
    return 3 * sin(x) * sin(x / 3) / (x * x);
}

/// ops::lanczosTaps() of one output.
PEWTER_DEVICE void fillTaps(const Axis& a, int i) {
    const double step = a.axis.numerator / a.axis.denominator;
    const double position = a.axis.first + static_cast<double>(i) * a.axis.numerator / a.axis.denominator;
    const double stretch = fmax(1.0, fabs(step)), last = a.extent - 1;
    const double begin = ceil(position - 3 * stretch), end = floor(position + 3 * stretch);
    double sum = 0;
    for (double j = begin; j <= end; ++j) sum += lanczos((j - position) / stretch);
    Tap* const taps = a.taps + i * a.most;
    int count = 0, pixel = 0;
    double weight = 0;
    // A tap is written when the next pixel comes, and the last one after them all.
    const auto flush = [&] {
        if (weight != 0 && count < a.most) taps[count++] = {pixel, static_cast<float>(weight / sum)};
    };
    for (double j = begin; j <= end; ++j) {
        const double more = lanczos((j - position) / stretch);
        const int at = static_cast<int>(j < 0 ? 0 : j > last ? last : j);
        if (at != pixel) {
            flush();
            pixel = at, weight = 0;
        }
        weight += more;
    }
    flush();
    a.counts[i] = count;
}

struct FillTaps {
    Axis rows, columns;
    PEWTER_DEVICE void operator()(std::int64_t i) const {
        if (i < rows.outputs)
            fillTaps(rows, static_cast<int>(i));
        else
            fillTaps(columns, static_cast<int>(i - rows.outputs));
    }
};

template <class L>
struct Forward {
    View src, dst;
    Axis rows, columns;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(dst, i);
        const Tap *const v = rows.taps + p.h * rows.most, *const u = columns.taps + p.w * columns.most;
        const int rowCount = rows.counts[p.h], columnCount = columns.counts[p.w];
        float sum[L::kCount] = {};
        for (int r = 0; r < rowCount; ++r) {
            const std::int64_t at = src.offset(p.n, v[r].pixel, 0, p.c);
            float row[L::kCount] = {};
            for (int q = 0; q < columnCount; ++q) {
                float x[L::kCount];
                L::load(src, at + u[q].pixel * src.strideW, x);
                for (int l = 0; l < L::kCount; ++l) row[l] += u[q].weight * x[l];
            }
            for (int l = 0; l < L::kCount; ++l) sum[l] += v[r].weight * row[l];
        }
        L::store(dst, offsetOf(dst, p), sum);
    }
};

/// An output reads one pixel for each within three steps on either side, none twice.
Axis axisOf(const ops::ResampleAxis& axis, std::int64_t extent, std::int64_t outputs) {
    const double stretch = std::fmax(1, std::fabs(axis.numerator / axis.denominator));
    const auto most = static_cast<std::int64_t>(std::fmin(6 * stretch + 2, static_cast<double>(extent)));
    return {axis, static_cast<int>(extent), static_cast<int>(outputs), most, nullptr, nullptr};
}

}  // namespace scaling

void Cuda::run(const ops::LanczosForward& op, ops::Stream& s) {
    using namespace scaling;
    if (op.dst.count() == 0) return;
    CudaStream& stream = streamOf(s);
    Axis rows = axisOf(op.view.y, op.src.h, op.dst.h), columns = axisOf(op.view.x, op.src.w, op.dst.w);
    const std::int64_t outputs = op.dst.h + op.dst.w, places = op.dst.h * rows.most + op.dst.w * columns.most;
    const auto tapBytes = static_cast<std::size_t>(places) * sizeof(Tap);
    rows.taps = resolve(static_cast<Tap*>(stream.scratch(tapBytes + static_cast<std::size_t>(outputs) * sizeof(int))));
    columns.taps = rows.taps + op.dst.h * rows.most;
    rows.counts = reinterpret_cast<int*>(rows.taps + places);
    columns.counts = rows.counts + op.dst.h;
    forEach(stream, outputs, FillTaps{rows, columns});
    forLanes<Forward>(stream, op.dst, {&op.src}, true, viewOf(op.src), viewOf(op.dst), rows, columns);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
