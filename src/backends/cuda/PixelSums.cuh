#pragma once

#include "backends/cuda/Launch.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// Who works on the channels of one pixel: a thread where they are few, else a block.
struct OneThread {
    PEWTER_DEVICE int first() const { return 0; }
    PEWTER_DEVICE int step() const { return 1; }
    template <class T, class Combine>
    PEWTER_DEVICE T combined(T value, Combine) const {
        return value;
    }
};
struct OneBlock {
    PEWTER_DEVICE int first() const { return static_cast<int>(threadIdx.x); }
    PEWTER_DEVICE int step() const { return static_cast<int>(blockDim.x); }
    template <class T, class Combine>
    PEWTER_DEVICE T combined(T value, Combine combine) const {
        return combineInBlock(value, combine);
    }
};

template <class F>
__global__ void pixelThreadsKernel(std::int64_t pixels, F f) {
    const std::int64_t step = std::int64_t{1} * gridDim.x * blockDim.x;
    for (std::int64_t i = std::int64_t{1} * blockIdx.x * blockDim.x + threadIdx.x; i < pixels; i += step)
        f(OneThread{}, i);
}

template <class F>
__global__ void pixelBlocksKernel(F f) {
    f(OneBlock{}, std::int64_t{blockIdx.x});
}

/// f(who, pixel) for every pixel, by a thread or a block after the number of channels; f is a function object with a
/// template as its call.
template <class F>
void forEachPixel(CudaStream& stream, std::int64_t pixels, std::int64_t channels, F f) {
    if (channels <= 32) return launch(stream, pixelThreadsKernel<F>, blocksFor(pixels, 128), 128, pixels, f);
    launch(stream, pixelBlocksKernel<F>, pixels, channels <= 128 ? 32 : channels <= 2048 ? 128 : 512, f);
}

/// Where pixel i of a tensor lies: its first channel.
PEWTER_DEVICE Position pixelOf(const View& t, std::int64_t i) {
    Position p;
    p.c = 0;
    p.w = static_cast<int>(i % t.w);
    i /= t.w;
    p.h = static_cast<int>(i % t.h);
    p.n = static_cast<int>(i / t.h);
    return p;
}

struct Larger {
    PEWTER_DEVICE float operator()(float a, float b) const { return b > a ? b : a; }
};
struct Plus {
    PEWTER_DEVICE float operator()(float a, float b) const { return a + b; }
    PEWTER_DEVICE double operator()(double a, double b) const { return a + b; }
};

/// Of a softmax: the greatest x and the sum of exp(x - greatest). Every thread of `who` gets them.
struct SoftMaxSums {
    float maximum, sum;
};

template <class Who>
PEWTER_DEVICE SoftMaxSums softMaxSums(Who who, const View& src, const Position& p, int channels) {
    float maximum = -INFINITY;
    for (int c = who.first(); c < channels; c += who.step()) maximum = Larger()(maximum, load(src, p.n, p.h, p.w, p.c + c));
    maximum = who.combined(maximum, Larger());
    float sum = 0;
    for (int c = who.first(); c < channels; c += who.step()) sum += expf(load(src, p.n, p.h, p.w, p.c + c) - maximum);
    return {maximum, who.combined(sum, Plus())};
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
