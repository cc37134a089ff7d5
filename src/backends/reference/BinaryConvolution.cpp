#include <cmath>

#include "backends/reference/Elements.h"
#include "backends/reference/NeuronFunction.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

/// The weight bit of filter row `row` (o, r and q counted through) for channel c: 0 or 1.
int bitOf(const ops::Array& words, std::int64_t row, std::int64_t wordsPerPixel, std::int64_t c) {
    const auto word = static_cast<const std::uint32_t*>(words.data)[row * wordsPerPixel + c / 32];
    return static_cast<int>(word >> (c % 32) & 1);
}

/// What one source value t adds under weight bit b.
double product(ops::BinaryConvolutionType type, double t, int b) {
    switch (type) {
        case ops::BinaryConvolutionType::Xnor:
            return (t < 0 ? -1 : 1) * (2 * b - 1);
        case ops::BinaryConvolutionType::And:
            return (t < 0 ? 0 : 1) * b;
        default:
            return t * (2 * b - 1);
    }
}

}  // namespace

void Reference::run(const ops::BinaryConvolutionForward& op, ops::Stream&) {
    Values src(op.src);
    const std::vector<double> inputBias = valuesOf(op.inputBias, src.c, 0),
                              inputScale = valuesOf(op.inputScale, src.c, 1),
                              outputBias = valuesOf(op.outputBias, op.dst.c, 0),
                              outputScale = valuesOf(op.outputScale, op.dst.c, 1);
    for (std::int64_t i = 0; i < src.count(); ++i) {
        const auto c = static_cast<std::size_t>(i % src.c);
        src[i] = (src[i] + inputBias[c]) * inputScale[c];
    }
    const ops::Window& window = op.window;
    const std::int64_t words = (src.c + 31) / 32, taps = window.width * window.height;
    Values dst = Values::zerosLike(op.dst);
    for (std::int64_t n = 0; n < dst.n; ++n)
        for (std::int64_t y = 0; y < dst.h; ++y)
            for (std::int64_t x = 0; x < dst.w; ++x) {
                double magnitude = 0;
                for (std::int64_t r = 0; r < window.height; ++r)
                    for (std::int64_t q = 0; q < window.width; ++q) {
                        const auto v = edgeIndex(y * window.strideY - window.padTop + r * window.dilationY,
                                                 src.h, window.edge);
                        const auto u = edgeIndex(x * window.strideX - window.padLeft + q * window.dilationX,
                                                 src.w, window.edge);
                        for (std::int64_t c = 0; c < src.c; ++c) {
                            const double t = v < 0 || u < 0 ? 0 : src.at(n, v, u, c);
                            magnitude += std::fabs(t);
                            for (std::int64_t o = 0; o < dst.c; ++o)
                                dst.at(n, y, x, o) += product(
                                    op.type, t, bitOf(op.weights, o * taps + r * window.width + q, words, c));
                        }
                    }
                const double beta = op.betaScaling ? magnitude / static_cast<double>(taps * src.c) : 1;
                for (std::int64_t o = 0; o < dst.c; ++o) {
                    double& value = dst.at(n, y, x, o);
                    const auto channel = static_cast<std::size_t>(o);
                    value = neuron(op.neuron, value * outputScale[channel] * beta + outputBias[channel], o);
                }
            }
    dst.writeTo(op.dst);
}

}  // namespace pewter::reference
