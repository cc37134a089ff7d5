#include "backends/reference/Elements.h"
#include "backends/reference/NeuronFunction.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

/// visit(y, x, r, q, v, u): position (y,x) of the output reads (v,u) of the source through row r, column q of
/// the window. Taps that read the zeros around the source are left out.
template <class Visitor>
void forEachTap(const ops::Window& window, const Values& out, const Values& src, Visitor visit) {
    for (std::int64_t y = 0; y < out.h; ++y)
        for (std::int64_t x = 0; x < out.w; ++x)
            for (std::int64_t r = 0; r < window.height; ++r)
                for (std::int64_t q = 0; q < window.width; ++q) {
                    const auto v = edgeIndex(y * window.strideY - window.padTop + r * window.dilationY, src.h,
                                             window.edge);
                    const auto u = edgeIndex(x * window.strideX - window.padLeft + q * window.dilationX,
                                             src.w, window.edge);
                    if (v >= 0 && u >= 0) visit(y, x, r, q, v, u);
                }
}

/// What is there already, or zeros.
Values startOf(const ops::Tensor& sum, bool accumulate) {
    return accumulate ? Values(sum) : Values::zerosLike(sum);
}

/// Adds the sum of diffDst over images and pixels to diffBias (or stores it).
void biasGradient(const Values& diffDst, const ops::Array& diffBias, bool accumulate) {
    if (diffBias.isNull()) return;
    std::vector<double> sum = accumulate ? valuesOf(diffBias) : std::vector<double>(diffBias.size, 0.0);
    for (std::int64_t i = 0; i < diffDst.count(); ++i) sum[i % diffDst.c] += diffDst[i];
    write(sum, diffBias);
}

/// dst = neuron(dst + bias), channel by channel.
void finish(Values& dst, const ops::Array& biases, const ops::Neuron& f) {
    const std::vector<double> bias = valuesOf(biases, dst.c, 0);
    for (std::int64_t i = 0; i < dst.count(); ++i) dst[i] = neuron(f, dst[i] + bias[i % dst.c], i % dst.c);
}

}  // namespace

void Reference::run(const ops::ConvolutionForward& op, ops::Stream&) {
    const Values src(op.src), weights(op.weights);
    Values dst = Values::zerosLike(op.dst);
    const std::int64_t groupSize = weights.n / op.groups;
    for (std::int64_t n = 0; n < dst.n; ++n)
        forEachTap(op.window, dst, src, [&](auto y, auto x, auto r, auto q, auto v, auto u) {
            for (std::int64_t o = 0; o < dst.c; ++o) {
                const double* s = src.pixel(n, v, u) + o / groupSize * weights.c;
                const double* w = weights.pixel(o, r, q);
                double sum = 0;
                for (std::int64_t c = 0; c < weights.c; ++c) sum += w[c] * s[c];
                dst.at(n, y, x, o) += sum;
            }
        });
    finish(dst, op.bias, op.neuron);
    dst.writeTo(op.dst);
}

void Reference::run(const ops::ConvolutionDataGradient& op, ops::Stream&) {
    const Values diffDst(op.diffDst), weights(op.weights);
    Values diffSrc = startOf(op.diffSrc, op.accumulate);
    const std::int64_t groupSize = weights.n / op.groups;
    for (std::int64_t n = 0; n < diffDst.n; ++n)
        forEachTap(op.window, diffDst, diffSrc, [&](auto y, auto x, auto r, auto q, auto v, auto u) {
            for (std::int64_t o = 0; o < diffDst.c; ++o) {
                double* s = diffSrc.pixel(n, v, u) + o / groupSize * weights.c;
                const double* w = weights.pixel(o, r, q);
                const double e = diffDst.at(n, y, x, o);
                for (std::int64_t c = 0; c < weights.c; ++c) s[c] += w[c] * e;
            }
        });
    finish(diffSrc, op.bias, op.neuron);
    diffSrc.writeTo(op.diffSrc);
}

void Reference::run(const ops::ConvolutionWeightsGradient& op, ops::Stream&) {
    const Values src(op.src), diffDst(op.diffDst);
    biasGradient(diffDst, op.diffBias, op.accumulate);
    if (op.diffWeights.isNull()) return;
    Values diffWeights = startOf(op.diffWeights, op.accumulate);
    const std::int64_t groupSize = diffWeights.n / op.groups;
    for (std::int64_t n = 0; n < diffDst.n; ++n)
        forEachTap(op.window, diffDst, src, [&](auto y, auto x, auto r, auto q, auto v, auto u) {
            for (std::int64_t o = 0; o < diffDst.c; ++o) {
                const double* s = src.pixel(n, v, u) + o / groupSize * diffWeights.c;
                double* w = diffWeights.pixel(o, r, q);
                const double e = diffDst.at(n, y, x, o);
                for (std::int64_t c = 0; c < diffWeights.c; ++c) w[c] += e * s[c];
            }
        });
    diffWeights.writeTo(op.diffWeights);
}

// Fully connected: a source image is one row of `length` elements in H,W,C order, and so is a filter.

void Reference::run(const ops::FullyConnectedForward& op, ops::Stream&) {
    const Values src(op.src), weights(op.weights);
    Values dst = Values::zerosLike(op.dst);
    const std::int64_t length = src.h * src.w * src.c;
    for (std::int64_t n = 0; n < dst.n; ++n)
        for (std::int64_t o = 0; o < dst.c; ++o)
            for (std::int64_t k = 0; k < length; ++k)
                dst[n * dst.c + o] += weights[o * length + k] * src[n * length + k];
    finish(dst, op.bias, op.neuron);
    dst.writeTo(op.dst);
}

void Reference::run(const ops::FullyConnectedDataGradient& op, ops::Stream&) {
    const Values diffDst(op.diffDst), weights(op.weights);
    Values diffSrc = Values::zerosLike(op.diffSrc);
    const std::int64_t length = diffSrc.h * diffSrc.w * diffSrc.c;
    for (std::int64_t n = 0; n < diffDst.n; ++n)
        for (std::int64_t o = 0; o < diffDst.c; ++o)
            for (std::int64_t k = 0; k < length; ++k)
                diffSrc[n * length + k] += weights[o * length + k] * diffDst[n * diffDst.c + o];
    diffSrc.writeTo(op.diffSrc);
}

void Reference::run(const ops::FullyConnectedWeightsGradient& op, ops::Stream&) {
    const Values src(op.src), diffDst(op.diffDst);
    Values diffWeights = startOf(op.diffWeights, op.accumulate);
    const std::int64_t length = src.h * src.w * src.c;
    for (std::int64_t n = 0; n < diffDst.n; ++n)
        for (std::int64_t o = 0; o < diffDst.c; ++o)
            for (std::int64_t k = 0; k < length; ++k)
                diffWeights[o * length + k] += diffDst[n * diffDst.c + o] * src[n * length + k];
    diffWeights.writeTo(op.diffWeights);
    biasGradient(diffDst, op.diffBias, op.accumulate);
}

}  // namespace pewter::reference
