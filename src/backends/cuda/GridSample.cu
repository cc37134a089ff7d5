#include "ops/GridSample.h"

#include "backends/cuda/Cuda.h"
#include "backends/cuda/Lanes.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace sampling {

/// Two taps of an axis; an index of -1 reads 0.
struct Taps {
    int index[2];
    float weight[2];

    PEWTER_DEVICE Taps(double position, int extent, ops::Edge edge) {
        // Far outside nothing changes any more, and the index stays a whole number.
        const double most = extent + 1.0, near = position < -2 ? -2 : position > most ? most : position;
        const double low = floor(near);
        const int first = static_cast<int>(low);
        index[0] = edgeIndex(first, extent, edge), index[1] = edgeIndex(first + 1, extent, edge);
        weight[0] = static_cast<float>(1 - (near - low)), weight[1] = static_cast<float>(near - low);
    }
};

template <class L>
struct Forward {
    View src, grid, dst;
    double offsetX, offsetY;
    bool relative;
    ops::Edge edge;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(dst, i);
        const double x = offsetX + (relative ? p.w : 0) + load(grid, p.n, p.h, p.w, 0);
        const double y = offsetY + (relative ? p.h : 0) + load(grid, p.n, p.h, p.w, 1);
        const bool isPosition = x == x && y == y;
        const Taps u(isPosition ? x : 0, src.w, edge), v(isPosition ? y : 0, src.h, edge);
        float sum[L::kCount];
        for (int l = 0; l < L::kCount; ++l) sum[l] = isPosition ? 0 : NAN;
        for (int r = 0; r < 2; ++r)
            for (int q = 0; q < 2; ++q) {
                if (v.index[r] < 0 || u.index[q] < 0) continue;
                float s[L::kCount];
                L::load(src, src.offset(p.n, v.index[r], u.index[q], p.c), s);
                const float weight = v.weight[r] * u.weight[q];
                for (int l = 0; l < L::kCount; ++l) sum[l] += weight * s[l];
            }
        L::store(dst, offsetOf(dst, p), sum);
    }
};

}  // namespace sampling

void Cuda::run(const ops::GridSample& op, ops::Stream& stream) {
    forLanes<sampling::Forward>(streamOf(stream), op.dst, {&op.src}, true, viewOf(op.src), viewOf(op.grid), viewOf(op.dst),
                                op.offsetX, op.offsetY, op.relative, op.edge);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
