// Depthwise convolutions of dense images, one filter a channel: 16 bytes of channels and several pixels of a row a thread.
#include "backends/cuda/ConvolutionOperands.cuh"
#include "backends/cuda/GroupedKernels.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

constexpr int kPixels = 4;

struct Depthwise {
    std::int64_t imageRows;  // of dst, over all images
    int height, width, srcHeight, srcWidth, channels;
    ops::Window window;
    bool turned;  // filters read backwards, for the data gradient
    Run bias;
    ops::Neuron neuron;
    bool accumulate;
};

template <class T>
struct alignas(16) Channels {
    static constexpr int kCount = 16 / sizeof(T);
    T lane[kCount];
};

template <class T>
__global__ void __launch_bounds__(kThreads) depthwiseKernel(Depthwise d, const Channels<T>* src, const T* weights,
                                                            Channels<T>* dst) {
    constexpr int kCount = Channels<T>::kCount;
    const int vectors = d.channels / kCount, quads = (d.width + kPixels - 1) / kPixels;
    const int taps = static_cast<int>(d.window.width * d.window.height);
    const std::int64_t count = d.imageRows * quads * vectors, step = std::int64_t{1} * gridDim.x * blockDim.x;
    for (std::int64_t i = std::int64_t{1} * blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        const Split at = splitBy(i, quads, vectors);
        const int channel = at.inner * kCount, x0 = at.middle * kPixels;
        const std::int64_t image = at.outer / d.height;
        const int y = static_cast<int>(at.outer - image * d.height);
        float sum[kPixels][kCount] = {};
        for (int tap = 0; tap < taps; ++tap) {
            const int r = tap / static_cast<int>(d.window.width), q = tap % static_cast<int>(d.window.width);
            const int v = edgeIndex(y * d.window.strideY - d.window.padTop + r * d.window.dilationY, d.srcHeight,
                                    d.window.edge);
            if (v < 0) continue;
            float weight[kCount];
            const T* from = weights + std::int64_t{1} * channel * taps + (d.turned ? taps - 1 - tap : tap);
            PEWTER_UNROLL
            for (int l = 0; l < kCount; ++l) weight[l] = toFloat(from[std::int64_t{1} * l * taps]);
            const Channels<T>* row = src + (image * d.srcHeight + v) * d.srcWidth * vectors + at.inner;
            PEWTER_UNROLL
            for (int p = 0; p < kPixels; ++p) {
                const int u = edgeIndex((x0 + p) * d.window.strideX - d.window.padLeft + q * d.window.dilationX, d.srcWidth,
                                        d.window.edge);
                if (u < 0) continue;
                const Channels<T> in = row[std::int64_t{1} * u * vectors];
                PEWTER_UNROLL
                for (int l = 0; l < kCount; ++l) sum[p][l] += toFloat(in.lane[l]) * weight[l];
            }
        }
        PEWTER_UNROLL
        for (int p = 0; p < kPixels; ++p) {
            if (x0 + p >= d.width) continue;
            Channels<T>* to = dst + (at.outer * d.width + x0 + p) * vectors + at.inner;
            Channels<T> out;
            if (d.accumulate) out = *to;
            PEWTER_UNROLL
            for (int l = 0; l < kCount; ++l) {
                float value = sum[p][l];
                if (!d.bias.isNull()) value += load(d.bias, channel + l);
                if (d.accumulate) value += toFloat(out.lane[l]);
                if (d.neuron.type == ops::NeuronType::ReLU) value = value >= 0 ? value : leak(d.neuron.a, value);
                fromFloat(out.lane[l], value);
            }
            *to = out;
        }
    }
}

bool fits(const ops::Tensor& t, ops::Type type) {
    return t.type == type && t.isDense() && reinterpret_cast<std::uintptr_t>(t.data) % 16 == 0;
}

/// Whether the kernel has done it.
bool depthwise(CudaStream& stream, const ops::Tensor& src, const ops::Tensor& weights, const ops::Tensor& dst,
               std::int64_t groups, const Depthwise& d) {
    const bool simple = d.neuron.type == ops::NeuronType::None || d.neuron.type == ops::NeuronType::ReLU;
    if (!simple || weights.n != groups || weights.c != 1 || !fits(src, dst.type) || !fits(weights, dst.type) ||
        !fits(dst, dst.type) || sizeOf(dst.type) > 4 || dst.c % (16 / static_cast<std::int64_t>(sizeOf(dst.type))) != 0)
        return false;
    bool done = false;
    withType(dst.type, dst.type, [&]<class T>(T) {
        if constexpr (!std::is_same_v<T, Any>) {
            const std::int64_t work = d.imageRows * ((d.width + kPixels - 1) / kPixels) * (d.channels / Channels<T>::kCount);
            launch(stream, depthwiseKernel<T>, blocksFor(work), kThreads, d,
                   static_cast<const Channels<T>*>(resolve(src.data)), static_cast<const T*>(resolve(weights.data)),
                   static_cast<Channels<T>*>(resolve(dst.data)));
            done = true;
        }
    });
    return done;
}

int extent(std::int64_t value) { return static_cast<int>(value); }

}  // namespace

bool depthwiseForward(CudaStream& stream, const ops::ConvolutionForward& op) {
    const ops::Tensor &src = op.src, &dst = op.dst;
    const Depthwise d{dst.n * dst.h,   extent(dst.h), extent(dst.w), extent(src.h),   extent(src.w),       extent(dst.c),
                      op.window, false,         runOf(op.bias), neuronOf(stream, op.neuron, op.dst.c), false};
    return depthwise(stream, src, op.weights, dst, op.groups, d);
}

bool depthwiseDataGradient(CudaStream& stream, const ops::ConvolutionDataGradient& op) {
    ops::Window window = op.window;
    if (window.strideX != 1 || window.strideY != 1 || window.edge != ops::Edge::Zero) return false;
    // Source pixel v is read through tap r by output v + pad - r dilation.
    window.padTop = (window.height - 1) * window.dilationY - window.padTop;
    window.padLeft = (window.width - 1) * window.dilationX - window.padLeft;
    const ops::Tensor &from = op.diffDst, &to = op.diffSrc;
    const Depthwise d{to.n * to.h, extent(to.h), extent(to.w), extent(from.h),  extent(from.w),      extent(to.c),
                      window,      true,         runOf(op.bias), neuronOf(stream, op.neuron, op.diffSrc.c), op.accumulate};
    return depthwise(stream, from, op.weights, to, op.groups, d);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
