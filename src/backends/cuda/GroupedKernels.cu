#include "backends/cuda/GroupedKernels.cuh"

#include "backends/cuda/ConvolutionOperands.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

struct Grouped {
    View weights;
    ops::Window window;
    int outputs;  // of a group
    Run bias;
    ops::Neuron neuron;
    bool accumulate;
};

/// The end of an element: bias, what is there already, neuron.
PEWTER_DEVICE void finishElement(const Grouped& g, const View& to, const Position& p, float sum) {
    if (!g.bias.isNull()) sum += load(g.bias, p.c);
    if (g.accumulate) sum += load(to, p);
    store(to, p, neuron(g.neuron, sum, p.c));
}

template <class T>
void forwardOf(CudaStream& stream, const View& src, const View& dst, const Grouped& g) {
    forEachElement(stream, dst, PEWTER_KERNEL_LAMBDA(const Position& p) {
        const View& weights = g.weights;
        const std::int64_t image = p.n * src.strideN + std::int64_t{1} * (p.c / g.outputs) * weights.c * src.strideC;
        float sum = 0;
        for (int r = 0; r < weights.h; ++r) {
            const int v = edgeIndex(p.h * g.window.strideY - g.window.padTop + r * g.window.dilationY, src.h, g.window.edge);
            if (v < 0) continue;
            for (int q = 0; q < weights.w; ++q) {
                const int u =
                    edgeIndex(p.w * g.window.strideX - g.window.padLeft + q * g.window.dilationX, src.w, g.window.edge);
                if (u < 0) continue;
                const std::int64_t from = image + v * src.strideH + u * src.strideW, by = weights.offset(p.c, r, q, 0);
                for (int c = 0; c < weights.c; ++c)
                    sum += readAs<T>(src.data, src.type, from + c * src.strideC) *
                           readAs<T>(weights.data, weights.type, by + c * weights.strideC);
            }
        }
        finishElement(g, dst, p, sum);
    });
}

template <class T>
void dataGradientOf(CudaStream& stream, const View& diffDst, const View& diffSrc, const Grouped& g) {
    forEachElement(stream, diffSrc, PEWTER_KERNEL_LAMBDA(const Position& p) {
        const View& weights = g.weights;
        const ops::Window& window = g.window;
        const int first = p.c / weights.c * g.outputs, channel = p.c % weights.c;
        float sum = 0;
        for (int r = 0; r < weights.h; ++r) {
            const Outputs y = outputsReading(p.h, diffSrc.h, nearby(r * window.dilationY - window.padTop),
                                             nearby(window.strideY), diffDst.h, window.edge);
            for (int q = 0; q < weights.w && y.first <= y.last; ++q) {
                const Outputs x = outputsReading(p.w, diffSrc.w, nearby(q * window.dilationX - window.padLeft),
                                                 nearby(window.strideX), diffDst.w, window.edge);
                for (int i = y.first; i <= y.last; ++i)
                    for (int j = x.first; j <= x.last; ++j)
                        for (int o = first; o < first + g.outputs; ++o)
                            sum += readAs<T>(diffDst.data, diffDst.type, diffDst.offset(p.n, i, j, o)) *
                                   readAs<T>(weights.data, weights.type, weights.offset(o, r, q, channel));
            }
        }
        finishElement(g, diffSrc, p, sum);
    });
}

/// Taps (places in the window, channel of the group) that one thread of the weights gradient takes together.
constexpr int kTaps = 9;

/// partials[slot][o][tap]: sums over the pixels of a slot. Neighbouring threads take neighbouring channels.
template <class T>
__global__ void __launch_bounds__(kThreads) groupedWeightsKernel(View src, View diffDst, ops::Window window, int outputs,
                                                                 int groupChannels, std::int64_t slots, float* partials) {
    const int taps = static_cast<int>(window.width * window.height) * groupChannels, chunks = (taps + kTaps - 1) / kTaps;
    const std::int64_t pixels = std::int64_t{1} * diffDst.n * diffDst.h * diffDst.w, share = (pixels + slots - 1) / slots;
    const std::int64_t count = slots * chunks * diffDst.c, step = std::int64_t{1} * gridDim.x * blockDim.x;
    for (std::int64_t i = std::int64_t{1} * blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        const int o = static_cast<int>(i % diffDst.c), chunk = static_cast<int>(i / diffDst.c % chunks);
        const std::int64_t slot = i / diffDst.c / chunks;
        float sum[kTaps];
        int dy[kTaps], dx[kTaps];
        std::int64_t channel[kTaps];
        PEWTER_UNROLL
        for (int k = 0; k < kTaps; ++k) {
            const Split s = splitBy(chunk * kTaps + k, static_cast<int>(window.width), groupChannels);
            sum[k] = 0;
            dy[k] = nearby(s.outer * window.dilationY - window.padTop);
            dx[k] = nearby(s.middle * window.dilationX - window.padLeft);
            channel[k] = (std::int64_t{1} * (o / outputs) * groupChannels + s.inner) * src.strideC;
        }
        const std::int64_t end = (slot + 1) * share < pixels ? (slot + 1) * share : pixels;
        for (std::int64_t p = slot * share; p < end; ++p) {
            const Split at = splitBy(p, diffDst.h, diffDst.w);
            const float error = readAs<T>(diffDst.data, diffDst.type,
                                          diffDst.offset(at.outer, at.middle, at.inner, o));
            const std::int64_t image = at.outer * src.strideN;
            const int y = nearby(at.middle * window.strideY), x = nearby(at.inner * window.strideX);
            PEWTER_UNROLL
            for (int k = 0; k < kTaps; ++k) {
                const int v = edgeIndex(y + dy[k], src.h, window.edge), u = edgeIndex(x + dx[k], src.w, window.edge);
                if (v < 0 || u < 0 || chunk * kTaps + k >= taps) continue;
                sum[k] += error * readAs<T>(src.data, src.type, image + channel[k] + v * src.strideH + u * src.strideW);
            }
        }
        PEWTER_UNROLL
        for (int k = 0; k < kTaps; ++k)
            if (chunk * kTaps + k < taps) partials[(slot * diffDst.c + o) * taps + chunk * kTaps + k] = sum[k];
    }
}

void addSlots(CudaStream& stream, const float* partials, std::int64_t slots, const View& diffWeights, bool accumulate) {
    const std::int64_t count = diffWeights.count();
    reduceRows(
        stream, count, slots, 0.0f,
        PEWTER_KERNEL_LAMBDA(std::int64_t row, std::int64_t slot) { return partials[slot * count + row]; },
        PEWTER_KERNEL_LAMBDA(float a, float b) { return a + b; },
        PEWTER_KERNEL_LAMBDA(std::int64_t row, float sum) {
            const Position p = positionOf(diffWeights, row);
            store(diffWeights, p, accumulate ? load(diffWeights, p) + sum : sum);
        });
}

}  // namespace

void groupedForward(CudaStream& stream, const ops::ConvolutionForward& op) {
    const View src = viewOf(op.src), dst = viewOf(op.dst), weights = viewOf(op.weights);
    const Grouped g{weights, op.window, static_cast<int>(weights.n / op.groups), runOf(op.bias), neuronOf(stream, op.neuron, op.dst.c), false};
    if (depthwiseForward(stream, op)) return;
    withType(src.type, weights.type, [&]<class T>(T) { forwardOf<T>(stream, src, dst, g); });
}

void groupedDataGradient(CudaStream& stream, const ops::ConvolutionDataGradient& op) {
    const View diffDst = viewOf(op.diffDst), diffSrc = viewOf(op.diffSrc), weights = viewOf(op.weights);
    const Grouped g{weights,           op.window,          static_cast<int>(weights.n / op.groups),
                    runOf(op.bias), neuronOf(stream, op.neuron, op.diffSrc.c), op.accumulate};
    if (depthwiseDataGradient(stream, op)) return;
    withType(diffDst.type, weights.type, [&]<class T>(T) { dataGradientOf<T>(stream, diffDst, diffSrc, g); });
}

void groupedWeightsGradient(CudaStream& stream, const ops::ConvolutionWeightsGradient& op) {
    const View src = viewOf(op.src), diffDst = viewOf(op.diffDst), diffWeights = viewOf(op.diffWeights);
    const std::int64_t taps = op.window.width * op.window.height * diffWeights.c, chunks = (taps + kTaps - 1) / kTaps;
    const std::int64_t pixels = std::int64_t{1} * diffDst.n * diffDst.h * diffDst.w;
    // Threads enough to hide the reads, and at least 32 pixels each.
    constexpr std::int64_t kWanted = 132 * 1024;
    const std::int64_t slots = std::max<std::int64_t>(
        1, std::min(kWanted / std::max<std::int64_t>(1, chunks * diffDst.c), (pixels + 31) / 32));
    const std::size_t bytes = static_cast<std::size_t>(slots * diffWeights.count()) * sizeof(float);
    auto* partials = static_cast<float*>(resolve(stream.scratch(bytes)));
    const int outputs = static_cast<int>(diffWeights.n / op.groups);
    withType(src.type, diffDst.type, [&]<class T>(T) {
        launch(stream, groupedWeightsKernel<T>, blocksFor(slots * chunks * diffDst.c), kThreads, src, diffDst, op.window,
               outputs, diffWeights.c, slots, partials);
    });
    addSlots(stream, partials, slots, diffWeights, op.accumulate);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
