#pragma once

#include <algorithm>
#include <initializer_list>

#include "backends/cuda/Launch.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// Neighbouring channels of one pixel, read and written at once.
template <class T, int kLanes>
struct alignas(sizeof(T) * kLanes < 16 ? sizeof(T) * kLanes : 16) Lanes {
    T lane[kLanes];
};

/// A tensor as a matrix of pixels (counted in N,H,W order) and vectors of channels, 16 bytes a vector: channels lie back
/// to back, pixels at one distance.
template <class T>
struct DensePixels {
    using Element = T;
    using Int = int;
    static constexpr int kLanes = 16 / sizeof(T);
    using Sample = Lanes<T, kLanes>;
    T* data;
    std::int64_t stride;

    explicit DensePixels(const ops::Tensor& t)
        : data(static_cast<T*>(resolve(t.data))), stride(t.w > 1 ? t.strideW : t.h > 1 ? t.strideH : t.strideN) {}
    PEWTER_DEVICE Sample load(std::int64_t pixel, int vector) const {
        return *reinterpret_cast<const Sample*>(data + pixel * stride + vector * kLanes);
    }
    PEWTER_DEVICE void store(std::int64_t pixel, int vector, const Sample& sample) const {
        *reinterpret_cast<Sample*>(data + pixel * stride + vector * kLanes) = sample;
    }
};

/// The same for any strides and types, a channel a vector.
struct AnyPixels {
    using Element = float;
    using Int = std::int64_t;
    static constexpr int kLanes = 1;
    using Sample = Lanes<float, 1>;
    View view;

    explicit AnyPixels(const ops::Tensor& t) : view(viewOf(t)) {}
    PEWTER_DEVICE Sample load(std::int64_t pixel, int vector) const {
        return {{pewter::PEWTER_CUDA_NAMESPACE::load(view, positionOf(view, pixel * view.c + vector))}};
    }
    PEWTER_DEVICE void store(std::int64_t pixel, int vector, const Sample& sample) const {
        pewter::PEWTER_CUDA_NAMESPACE::store(view, positionOf(view, pixel * view.c + vector), sample.lane[0]);
    }
};

/// Whether DensePixels can stand for t.
inline bool hasDensePixels(const ops::Tensor& t, ops::Type type) {
    const auto lanes = static_cast<std::int64_t>(16 / sizeOf(type));
    const std::int64_t stride = t.w > 1 ? t.strideW : t.h > 1 ? t.strideH : t.strideN;
    return t.type == type && t.c % lanes == 0 && t.strideC == 1 && stride % lanes == 0 &&
           (t.w <= 1 || t.h <= 1 || t.strideH == t.w * stride) &&
           (t.n <= 1 || t.strideN == t.h * t.w * stride || t.h * t.w == 1) &&
           reinterpret_cast<std::uintptr_t>(t.data) % 16 == 0;
}

template <class Pixels>
struct PixelsOf {
    using Type = Pixels;
    Pixels operator()(const ops::Tensor& t) const { return Pixels(t); }
};

/// f(PixelsOf<...>) with the fastest way to walk all of the tensors; null ones do not count.
template <class F>
void withPixels(std::initializer_list<const ops::Tensor*> tensors, F f) {
    const auto all = [&](ops::Type type) {
        return std::all_of(tensors.begin(), tensors.end(),
                           [&](const ops::Tensor* t) { return t->isNull() || hasDensePixels(*t, type); });
    };
    if (all(ops::Type::Float32)) return f(PixelsOf<DensePixels<float>>());
    if (all(ops::Type::Float16)) return f(PixelsOf<DensePixels<Half>>());
    if (all(ops::Type::BFloat16)) return f(PixelsOf<DensePixels<Brain>>());
    f(PixelsOf<AnyPixels>());
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
