#pragma once

#include <initializer_list>

#include "backends/cuda/Launch.cuh"

// Kernels whose threads each make some channels of one pixel: one, of any type and strides, or 16 bytes of them. A kernel
// is a template over Lanes with operator()(index of its channels among all, in N,H,W,C order).

namespace pewter::PEWTER_CUDA_NAMESPACE {

struct AnyLane {
    static constexpr int kCount = 1;
    static PEWTER_DEVICE void load(const View& t, std::int64_t offset, float (&x)[1]) {
        x[0] = loadAs(t.type, t.data, offset);
    }
    static PEWTER_DEVICE void store(const View& t, std::int64_t offset, const float (&x)[1]) {
        storeAs(t.type, t.data, offset, x[0]);
    }
};

template <class T>
struct TypedLanes {
    static constexpr int kCount = 16 / sizeof(T);
    struct alignas(16) Chunk {
        T lane[kCount];
    };
    static PEWTER_DEVICE void load(const View& t, std::int64_t offset, float (&x)[kCount]) {
        const Chunk chunk = *reinterpret_cast<const Chunk*>(reinterpret_cast<const T*>(t.data) + offset);
        for (int l = 0; l < kCount; ++l) x[l] = toFloat(chunk.lane[l]);
    }
    static PEWTER_DEVICE void store(const View& t, std::int64_t offset, const float (&x)[kCount]) {
        Chunk chunk;
        for (int l = 0; l < kCount; ++l) fromFloat(chunk.lane[l], x[l]);
        *reinterpret_cast<Chunk*>(reinterpret_cast<T*>(t.data) + offset) = chunk;
    }
};

/// Consecutive floats of scratch memory, aligned to 16 bytes where they are four or more.
template <int N>
PEWTER_DEVICE void loadFloats(const float* from, float (&x)[N]) {
    struct alignas(N % 4 == 0 ? 16 : 4) Chunk {
        float lane[N];
    };
    const Chunk chunk = *reinterpret_cast<const Chunk*>(from);
    for (int l = 0; l < N; ++l) x[l] = chunk.lane[l];
}
template <int N>
PEWTER_DEVICE void storeFloats(float* to, const float (&x)[N]) {
    struct alignas(N % 4 == 0 ? 16 : 4) Chunk {
        float lane[N];
    } chunk;
    for (int l = 0; l < N; ++l) chunk.lane[l] = x[l];
    *reinterpret_cast<Chunk*>(to) = chunk;
}

/// Where thread i's first channel lies.
template <class L>
PEWTER_DEVICE Position lanesAt(View t, std::int64_t i) {
    t.c /= L::kCount;
    Position p = positionOf(t, i);
    p.c *= L::kCount;
    return p;
}
PEWTER_DEVICE std::int64_t offsetOf(const View& t, const Position& p) { return t.offset(p.n, p.h, p.w, p.c); }

/// Whether 16 bytes of channels can be taken at a time.
inline bool hasLanes(const ops::Tensor& t) {
    const auto lanes = static_cast<std::int64_t>(16 / ops::sizeOf(t.type));
    return reinterpret_cast<std::uintptr_t>(t.data) % 16 == 0 && t.strideC == 1 && t.c % lanes == 0 &&
           t.strideN % lanes == 0 && t.strideH % lanes == 0 && t.strideW % lanes == 0;
}

/// Runs Kernel<Lanes>{arguments...} for every element of `over`, with as many lanes as all images allow and `wide` grants.
template <template <class> class Kernel, class... Arguments>
void forLanes(CudaStream& stream, const ops::Tensor& over, std::initializer_list<const ops::Tensor*> others, bool wide,
              const Arguments&... arguments) {
    wide = wide && hasLanes(over);
    for (const ops::Tensor* t : others) wide = wide && t->type == over.type && hasLanes(*t);
    const auto run = [&](auto kernel, int lanes) { forEach(stream, over.count() / lanes, kernel); };
    if (wide && over.type == ops::Type::Float32) return run(Kernel<TypedLanes<float>>{arguments...}, 4);
    if (wide && over.type == ops::Type::Float16) return run(Kernel<TypedLanes<Half>>{arguments...}, 8);
    if (wide && over.type == ops::Type::BFloat16) return run(Kernel<TypedLanes<Brain>>{arguments...}, 8);
    run(Kernel<AnyLane>{arguments...}, 1);
}

/// Whether any element of one lies between the first and the last of the other in memory.
inline bool mayOverlap(const ops::Tensor& a, const ops::Tensor& b) {
    const auto span = [](const ops::Tensor& t) {
        auto low = reinterpret_cast<std::intptr_t>(t.data), high = low;
        const auto grow = [&](std::int64_t extent, std::int64_t stride) {
            const std::int64_t bytes = (extent - 1) * stride * static_cast<std::int64_t>(ops::sizeOf(t.type));
            (bytes < 0 ? low : high) += bytes;
        };
        grow(t.n, t.strideN), grow(t.h, t.strideH), grow(t.w, t.strideW), grow(t.c, t.strideC);
        return std::pair{low, high};
    };
    const auto x = span(a), y = span(b);
    return x.first <= y.second && y.first <= x.second;
}

/// Dense float32 scratch memory with the extents of t.
inline ops::Tensor scratchLike(const ops::Tensor& t, float* memory) {
    return ops::Tensor::dense(memory, ops::Type::Float32, t.n, t.h, t.w, t.c);
}

template <class L>
struct CopyLanes {
    View src, dst;
    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(dst, i);
        float x[L::kCount];
        L::load(src, offsetOf(src, p), x);
        L::store(dst, offsetOf(dst, p), x);
    }
};

/// work(result) with dst, or where dst may share memory with a source that is read around every element, with scratch
/// memory that is copied to dst afterwards. work itself uses no scratch memory.
template <class Work>
void throughScratch(CudaStream& stream, const ops::Tensor& src, const ops::Tensor& dst, Work&& work) {
    if (dst.count() == 0) return;
    if (!mayOverlap(src, dst)) return work(dst);
    const auto bytes = static_cast<std::size_t>(dst.count()) * sizeof(float);
    const ops::Tensor result = scratchLike(dst, static_cast<float*>(stream.scratch(bytes)));
    work(result);
    forLanes<CopyLanes>(stream, dst, {&result}, true, viewOf(result), viewOf(dst));
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
