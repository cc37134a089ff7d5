// Copies between types and counts of channels: what operands of the libraries need.
#include "backends/cuda/Recast.cuh"

#include "backends/cuda/Lanes.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

template <class L>
struct RecastLanes {
    View from, to;
    bool fromFloats;  ///< all of a thread's channels lie together, as float32 at multiples of 16 bytes
    bool accumulate;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(to, i);
        const std::int64_t place = offsetOf(to, p);
        float x[L::kCount] = {};
        if (p.n < from.n) {
            const std::int64_t source = offsetOf(from, p);
            if (fromFloats) {
                loadFloats(reinterpret_cast<const float*>(from.data) + source, x);
            } else {
                for (int l = 0; l < L::kCount; ++l)
                    if (p.c + l < from.c) x[l] = loadAs(from.type, from.data, source + l * from.strideC);
            }
        }
        if (accumulate) {
            float before[L::kCount];
            L::load(to, place, before);
            for (int l = 0; l < L::kCount; ++l) x[l] += before[l];
        }
        L::store(to, place, x);
    }
};

}  // namespace

void recast(CudaStream& stream, const ops::Tensor& from, const ops::Tensor& to, bool accumulate) {
    // A dense run has no positions to find.
    if (from.isDense() && to.isDense() && from.sameExtents(to) && (to.n > 1 || to.h > 1 || to.w > 1) &&
        to.count() < (std::int64_t{1} << 31))
        return recast(stream, ops::Tensor::dense(from.data, from.type, 1, 1, 1, from.count()),
                      ops::Tensor::dense(to.data, to.type, 1, 1, 1, to.count()), accumulate);
    const bool fromFloats = from.type == ops::Type::Float32 && hasLanes(from) && from.c == to.c &&
                            to.c % static_cast<std::int64_t>(16 / ops::sizeOf(to.type)) == 0;
    forLanes<RecastLanes>(stream, to, {}, true, viewOf(from), viewOf(to), fromFloats, accumulate);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
