#include "backends/cpu/vector/BinaryConvolution.h"

#include <algorithm>
#include <cstring>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"

// Where both operands are bits and the channels fill words of 64, products are counted with one exclusive or
// (or "and") and one population count a word. Everything else is a float32 convolution with weights of -1, 0
// and 1, whose sums of integers are exact below 2^24.

namespace pewter::cpu {

using ops::BinaryConvolutionType;
using ops::Tensor;

namespace {

/// Words of 64 that must be at least this full for counting to beat the float32 convolution.
constexpr std::int64_t kFullWord = 16;

std::int64_t wordsOf(std::int64_t channels) { return (channels + 63) / 64; }

bool countsBits(const ops::BinaryConvolutionForward& op) {
    return op.type != BinaryConvolutionType::BinaryWeights && op.src.c >= kFullWord * wordsOf(op.src.c);
}

/// t = (src + inputBias) * inputScale with the border that the windows reach written out, dense.
Tensor borderedSource(Cpu& cpu, const ops::BinaryConvolutionForward& op, Scratch::Frame& frame,
                      ops::Stream& stream) {
    const ops::Window& w = op.window;
    Tensor t = staged(op.src, frame);
    if (!op.inputBias.isNull() || !op.inputScale.isNull()) {
        const float *bias = staged(op.inputBias, frame), *scale = staged(op.inputScale, frame);
        const auto* from = static_cast<const float*>(t.data);
        t.data = frame.floats(t.count());
        auto* const to = static_cast<float*>(t.data);
        const auto affine = PEWTER_VECTOR(affinePixels);
        parallelFor(0, t.n * t.h * t.w, std::max<std::int64_t>(1, kElementGrain / t.c),
                    [&](std::int64_t first, std::int64_t last) {
                        affine(from + first * t.c, bias, scale, to + first * t.c, last - first, t.c);
                    });
    }
    const std::int64_t h = (op.dst.h - 1) * w.strideY + (w.height - 1) * w.dilationY + 1;
    const std::int64_t width = (op.dst.w - 1) * w.strideX + (w.width - 1) * w.dilationX + 1;
    if (w.padTop == 0 && w.padLeft == 0 && h <= t.h && width <= t.w) return t;
    const Tensor bordered =
        Tensor::dense(frame.floats(t.n * h * width * t.c), ops::Type::Float32, t.n, h, width, t.c);
    cpu.run(ops::Copy{t, bordered, -w.padLeft, -w.padTop, w.edge}, stream);
    return bordered;
}

/// The mean of |t| over each window: one number a pixel of dst.
const float* windowMeans(const Tensor& t, const ops::BinaryConvolutionForward& op, Scratch::Frame& frame) {
    float* const sums = frame.floats(t.n * t.h * t.w);
    const auto sum = PEWTER_VECTOR(magnitudes);
    const auto* const data = static_cast<const float*>(t.data);
    parallelFor(
        0, t.n * t.h * t.w, std::max<std::int64_t>(1, kElementGrain / t.c),
        [&](std::int64_t from, std::int64_t to) { sum(data + from * t.c, sums + from, to - from, t.c); });
    const ops::Window& w = op.window;
    float* const means = frame.floats(op.dst.n * op.dst.h * op.dst.w);
    const float share = 1.0f / static_cast<float>(w.width * w.height * t.c);
    parallelFor(
        0, op.dst.n * op.dst.h, std::max<std::int64_t>(1, kElementGrain / (op.dst.w * w.width * w.height)),
        [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t row = from; row < to; ++row) {
                float* const mean = means + row * op.dst.w;
                std::fill_n(mean, op.dst.w, 0.0f);
                const float* const first = sums + (row / op.dst.h * t.h + row % op.dst.h * w.strideY) * t.w;
                for (std::int64_t r = 0; r < w.height; ++r)
                    for (std::int64_t q = 0; q < w.width; ++q) {
                        const float* const tap = first + r * w.dilationY * t.w + q * w.dilationX;
                        for (std::int64_t x = 0; x < op.dst.w; ++x) mean[x] += tap[x * w.strideX];
                    }
                for (std::int64_t x = 0; x < op.dst.w; ++x) mean[x] *= share;
            }
        });
    return means;
}

/// The seam's words of 32 as words of 64, what lies beyond the channels cleared, kFilterLanes filters side by
/// side.
const std::uint64_t* laneWeights(const ops::BinaryConvolutionForward& op, Scratch::Frame& frame) {
    const std::int64_t taps = op.window.width * op.window.height, words = wordsOf(op.src.c);
    const std::int64_t given = (op.src.c + 31) / 32, filter = taps * words;
    const std::int64_t blocks = (op.dst.c + kFilterLanes - 1) / kFilterLanes;
    const auto* const from = static_cast<const std::uint32_t*>(op.weights.data);
    auto* const to = static_cast<std::uint64_t*>(
        frame.bytes(static_cast<std::size_t>(blocks * filter * kFilterLanes) * sizeof(std::uint64_t)));
    const std::int64_t rest = op.src.c % 64;
    const std::uint64_t last = rest == 0 ? ~std::uint64_t{0} : (std::uint64_t{1} << rest) - 1;
    parallelFor(
        0, blocks, std::max<std::int64_t>(1, kElementGrain / (filter * kFilterLanes)),
        [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t o = begin * kFilterLanes; o < end * kFilterLanes; ++o) {
                std::uint64_t* const lane = to + o / kFilterLanes * filter * kFilterLanes + o % kFilterLanes;
                for (std::int64_t i = 0; i < filter; ++i) {
                    std::uint64_t word = 0;
                    if (o < op.dst.c) {
                        const std::int64_t k = i % words;
                        const std::uint32_t* const pair = from + (o * taps + i / words) * given + 2 * k;
                        word = pair[0];
                        if (2 * k + 1 < given) word |= static_cast<std::uint64_t>(pair[1]) << 32;
                        if (k == words - 1) word &= last;
                    }
                    lane[i * kFilterLanes] = word;
                }
            }
        });
    return to;
}

/// Every bit as a float32: 1, and `zero` for those not set.
Tensor floatWeights(const ops::BinaryConvolutionForward& op, float zero, Scratch::Frame& frame) {
    const std::int64_t taps = op.window.width * op.window.height, c = op.src.c, given = (c + 31) / 32;
    const Tensor weights = Tensor::dense(frame.floats(op.dst.c * taps * c), ops::Type::Float32, op.dst.c,
                                         op.window.height, op.window.width, c);
    const auto* const from = static_cast<const std::uint32_t*>(op.weights.data);
    auto* const to = static_cast<float*>(weights.data);
    parallelFor(0, op.dst.c * taps, std::max<std::int64_t>(1, kElementGrain / c),
                [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t row = begin; row < end; ++row)
                        for (std::int64_t i = 0; i < c; ++i)
                            to[row * c + i] = from[row * given + i / 32] >> (i % 32) & 1 ? 1.0f : zero;
                });
    return weights;
}

void countBits(const ops::BinaryConvolutionForward& op, const Tensor& t, float* dst, Scratch::Frame& frame) {
    const ops::Window& w = op.window;
    const std::int64_t words = wordsOf(t.c), pixels = t.n * t.h * t.w;
    auto* const bits = static_cast<std::uint64_t*>(frame.bytes(static_cast<std::size_t>(pixels * words) * 8));
    const auto pack = PEWTER_VECTOR(packPixels);
    const auto* const data = static_cast<const float*>(t.data);
    parallelFor(0, pixels, std::max<std::int64_t>(1, kElementGrain / t.c),
                [&](std::int64_t from, std::int64_t to) {
                    pack(data + from * t.c, bits + from * words, to - from, t.c);
                });
    // Taps side by side are one run of words.
    const bool joined = w.dilationX == 1 || w.width == 1;
    BinaryPlan plan;
    plan.src = bits;
    plan.weights = laneWeights(op, frame);
    plan.dst = dst;
    plan.rowWords = t.w * words;
    plan.imageWords = t.h * plan.rowWords;
    plan.runs = joined ? w.height : w.height * w.width;
    plan.length = joined ? w.width * words : words;
    auto* const offsets =
        static_cast<std::int64_t*>(frame.bytes(static_cast<std::size_t>(plan.runs) * sizeof(std::int64_t)));
    for (std::int64_t run = 0; run < plan.runs; ++run) {
        const std::int64_t r = joined ? run : run / w.width, q = joined ? 0 : run % w.width;
        offsets[run] = r * w.dilationY * plan.rowWords + q * w.dilationX * words;
    }
    plan.offsets = offsets;
    plan.stepX = w.strideX * words;
    plan.stepY = w.strideY * plan.rowWords;
    plan.outH = op.dst.h;
    plan.outW = op.dst.w;
    plan.outputs = op.dst.c;
    plan.products = w.width * w.height * t.c;
    const auto rows =
        op.type == BinaryConvolutionType::And ? PEWTER_VECTOR(andRows) : PEWTER_VECTOR(xnorRows);
    const std::int64_t work = op.dst.w * op.dst.c * plan.runs * plan.length;
    parallelFor(0, op.dst.n * op.dst.h,
                std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(1, work)),
                [&](std::int64_t from, std::int64_t to) { rows(plan, from, to); });
}

}  // namespace

void Cpu::run(const ops::BinaryConvolutionForward& op, ops::Stream& stream) {
    if (op.dst.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const StagedOutput dst(op.dst, frame);
    Tensor t = borderedSource(*this, op, frame, stream);
    const float* beta = op.betaScaling ? windowMeans(t, op, frame) : nullptr;
    if (countsBits(op)) {
        countBits(op, t, dst.data(), frame);
    } else {
        const bool both = op.type != BinaryConvolutionType::BinaryWeights;
        if (both) {
            const auto* const from = static_cast<const float*>(t.data);
            t.data = frame.floats(t.count());
            auto* const to = static_cast<float*>(t.data);
            const auto threshold =
                op.type == BinaryConvolutionType::And ? PEWTER_VECTOR(stepsOf) : PEWTER_VECTOR(signsOf);
            forRuns(t.count(), [&](std::int64_t first, std::int64_t count) {
                std::memcpy(to + first, from + first, static_cast<std::size_t>(count) * sizeof(float));
                threshold(to + first, count);
            });
        }
        ops::ConvolutionForward convolution;
        convolution.src = t;
        convolution.weights = floatWeights(op, op.type == BinaryConvolutionType::And ? 0.0f : -1.0f, frame);
        convolution.dst = dst.view();
        convolution.window = op.window;
        convolution.window.padLeft = convolution.window.padTop = 0;
        convolution.window.edge = ops::Edge::Zero;
        run(convolution, stream);
    }
    const float *scale = staged(op.outputScale, frame), *bias = staged(op.outputBias, frame);
    if (scale || bias || beta) {
        const auto finish = PEWTER_VECTOR(finishPixels);
        parallelFor(0, op.dst.n * op.dst.h * op.dst.w, std::max<std::int64_t>(1, kElementGrain / op.dst.c),
                    [&](std::int64_t from, std::int64_t to) {
                        finish(dst.data() + from * op.dst.c, scale, bias, beta ? beta + from : nullptr,
                               to - from, op.dst.c);
                    });
    }
    if (op.neuron.type != ops::NeuronType::None)
        run(ops::NeuronForward{dst.view(), dst.view(), op.neuron}, stream);
    dst.finish();
}

}  // namespace pewter::cpu
