#pragma once

#include "backends/cuda/Launch.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// What an element of the result is made of.
template <int N>
struct Inputs {
    float value[N];
    PEWTER_HD float operator[](int i) const { return value[i]; }
};

template <int N>
struct Views {
    View view[N];
};

/// 16 bytes at a time from every operand, which all are dense and of one type.
template <class T, int N, class F>
__global__ void denseElementsKernel(std::int64_t vectors, std::int64_t count, int channels, const T* s0, const T* s1,
                                    const T* s2, T* dst, F f) {
    constexpr int kLanes = 16 / sizeof(T);
    struct alignas(16) Lanes {
        T lane[kLanes];
    };
    const T* sources[3] = {s0, s1, s2};
    const std::int64_t step = std::int64_t{1} * gridDim.x * blockDim.x;
    for (std::int64_t v = std::int64_t{1} * blockIdx.x * blockDim.x + threadIdx.x; v < vectors; v += step) {
        const std::int64_t first = v * kLanes;
        int channel = static_cast<int>(first % channels);
        if (first + kLanes <= count) {
            Lanes in[N], out;
            for (int k = 0; k < N; ++k) in[k] = reinterpret_cast<const Lanes*>(sources[k])[v];
            for (int l = 0; l < kLanes; ++l) {
                Inputs<N> x;
                for (int k = 0; k < N; ++k) x.value[k] = toFloat(in[k].lane[l]);
                fromFloat(out.lane[l], f(x, channel));
                if (++channel == channels) channel = 0;
            }
            reinterpret_cast<Lanes*>(dst)[v] = out;
            continue;
        }
        for (std::int64_t i = first; i < count; ++i) {
            Inputs<N> x;
            for (int k = 0; k < N; ++k) x.value[k] = toFloat(sources[k][i]);
            fromFloat(dst[i], f(x, static_cast<int>(i % channels)));
        }
    }
}

template <class T, int N, class F>
void denseElements(CudaStream& stream, const View& dst, const View (&sources)[N], F f) {
    const T* from[3] = {};
    for (int k = 0; k < N; ++k) from[k] = reinterpret_cast<const T*>(sources[k].data);
    const std::int64_t count = dst.count(), vectors = (count * static_cast<std::int64_t>(sizeof(T)) + 15) / 16;
    launch(stream, denseElementsKernel<T, N, F>, blocksFor(vectors), kThreads, vectors, count, dst.c,
           from[0], from[1], from[2], reinterpret_cast<T*>(dst.data), f);
}

/// Whether 16 bytes of neighbouring channels lie together everywhere, at multiples of 16; a source may have one value for
/// all channels instead.
inline bool hasLanes(const ops::Tensor& t, ops::Type type, bool isSource) {
    if (t.type != type || (t.strideC != 1 && !(isSource && t.strideC == 0))) return false;
    const auto lanes = static_cast<std::int64_t>(16 / ops::sizeOf(type));
    if (t.c % lanes) return false;
    if (t.strideC == 0) return true;
    return reinterpret_cast<std::uintptr_t>(t.data) % 16 == 0 && (t.n == 1 || t.strideN % lanes == 0) &&
           (t.h == 1 || t.strideH % lanes == 0) && (t.w == 1 || t.strideW % lanes == 0);
}

/// 16 bytes at a time from views with hasLanes().
template <class T, int N, class F>
__global__ void laneElementsKernel(std::int64_t vectors, View dst, Views<N> sources, F f) {
    constexpr int kLanes = 16 / sizeof(T);
    struct alignas(16) Lanes {
        T lane[kLanes];
    };
    View groups = dst;
    groups.c /= kLanes;
    const std::int64_t step = std::int64_t{1} * gridDim.x * blockDim.x;
    for (std::int64_t v = std::int64_t{1} * blockIdx.x * blockDim.x + threadIdx.x; v < vectors; v += step) {
        const Position p = positionOf(groups, v);
        Lanes in[N], out;
        for (int k = 0; k < N; ++k) {
            const View& s = sources.view[k];
            const T* from = reinterpret_cast<const T*>(s.data) + s.offset(p.n, p.h, p.w, p.c * kLanes);
            if (s.strideC == 1) {
                in[k] = *reinterpret_cast<const Lanes*>(from);
            } else {
                for (int l = 0; l < kLanes; ++l) in[k].lane[l] = *from;
            }
        }
        for (int l = 0; l < kLanes; ++l) {
            Inputs<N> x;
            for (int k = 0; k < N; ++k) x.value[k] = toFloat(in[k].lane[l]);
            fromFloat(out.lane[l], f(x, p.c * kLanes + l));
        }
        *reinterpret_cast<Lanes*>(reinterpret_cast<T*>(dst.data) + dst.offset(p.n, p.h, p.w, p.c * kLanes)) = out;
    }
}

template <class T, int N, class F>
void laneElements(CudaStream& stream, const View& dst, const Views<N>& sources, F f) {
    const std::int64_t vectors = dst.count() / static_cast<std::int64_t>(16 / sizeof(T));
    launch(stream, laneElementsKernel<T, N, F>, blocksFor(vectors), kThreads, vectors, dst, sources, f);
}

/// dst = f(the elements of the sources at the same place, channel), for up to three sources with dst's extents, of any
/// strides and types; dst may be one of the sources.
template <int N, class F>
void elementwise(CudaStream& stream, const ops::Tensor& dst, const ops::Tensor (&sources)[N], F f) {
    static_assert(N <= 3);
    const View to = viewOf(dst);
    View from[N];
    bool dense = dst.isDense() && reinterpret_cast<std::uintptr_t>(dst.data) % 16 == 0;
    for (int k = 0; k < N; ++k) {
        from[k] = viewOf(sources[k]);
        dense = dense && sources[k].isDense() && sources[k].type == dst.type &&
                reinterpret_cast<std::uintptr_t>(sources[k].data) % 16 == 0;
    }
    if (dense && dst.type == ops::Type::Float32) return denseElements<float>(stream, to, from, f);
    if (dense && dst.type == ops::Type::Float16) return denseElements<Half>(stream, to, from, f);
    if (dense && dst.type == ops::Type::BFloat16) return denseElements<Brain>(stream, to, from, f);
    Views<N> all;
    for (int k = 0; k < N; ++k) all.view[k] = from[k];
    const bool isFloat = dst.type == ops::Type::Float32 || dst.type == ops::Type::Float16 || dst.type == ops::Type::BFloat16;
    bool lanes = isFloat && hasLanes(dst, dst.type, false);
    for (int k = 0; k < N; ++k) lanes = lanes && hasLanes(sources[k], dst.type, true);
    if (lanes && dst.type == ops::Type::Float32) return laneElements<float>(stream, to, all, f);
    if (lanes && dst.type == ops::Type::Float16) return laneElements<Half>(stream, to, all, f);
    if (lanes) return laneElements<Brain>(stream, to, all, f);
    forEachElement(stream, to, PEWTER_KERNEL_LAMBDA(const Position& p) {
        Inputs<N> x;
        for (int k = 0; k < N; ++k) x.value[k] = load(all.view[k], p);
        store(to, p, f(x, p.c));
    });
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
