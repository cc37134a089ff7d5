#pragma once

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "OpTensors.h"
#include "ops/Convolution.h"

/// Problems drawn with a fixed seed, for the comparisons of the cpu device with the oracle.
namespace pewter::test {

inline constexpr ops::Type kImageTypes[] = {ops::Type::Float32, ops::Type::Float16, ops::Type::BFloat16,
                                            ops::Type::Unorm8, ops::Type::Unorm16};

inline ops::Type drawImageType(Random& random) {
    // Every second one float32, whose path is its own.
    return random.coin() ? ops::Type::Float32 : kImageTypes[random.integer(1, 4)];
}

/// Types that hold gradients.
inline ops::Type drawSignedType(Random& random) {
    return random.coin() ? ops::Type::Float32 : kImageTypes[random.integer(1, 2)];
}

inline Layout drawLayout(Random& random) {
    switch (random.integer(0, 3)) {
        case 0:
            return Layout::gaps();
        case 1:
            return Layout::scattered();
        default:
            return Layout::dense();
    }
}

/// One axis of a window: taps, stride, dilation, pad before, and as many outputs as an arbitrary pad behind
/// gives.
struct DrawnAxis {
    std::int64_t source, taps, stride, dilation, pad, outputs;

    DrawnAxis(Random& random, std::int64_t longest, std::int64_t mostTaps, std::int64_t mostDilation) {
        source = random.integer(1, longest);
        taps = random.integer(1, mostTaps);
        stride = random.integer(1, 3);
        dilation = random.integer(1, mostDilation);
        const std::int64_t extent = (taps - 1) * dilation + 1;
        // Half of them as layers have them, half anything: crops, pads of more than a window.
        const bool usual = random.coin();
        pad = usual ? random.integer(0, extent / 2) : random.integer(-2, extent + 2);
        const std::int64_t after = usual ? random.integer(0, extent / 2) : random.integer(-4, extent + 2);
        outputs = std::max<std::int64_t>(1, (source + pad + after - extent) / stride + 1);
        outputs = std::min<std::int64_t>(outputs, 16);
    }
};

inline std::string describe(const ops::Window& w, std::int64_t n, const DrawnAxis& y, const DrawnAxis& x) {
    std::ostringstream text;
    text << "n" << n << " " << y.source << "x" << x.source << " to " << y.outputs << "x" << x.outputs
         << " window " << w.height << "x" << w.width << " stride " << w.strideY << "," << w.strideX
         << " dilation " << w.dilationY << "," << w.dilationX << " pad " << w.padTop << "," << w.padLeft
         << (w.edge == ops::Edge::Clamp ? " clamp" : " zero");
    return text.str();
}

inline ops::Window windowOf(const DrawnAxis& y, const DrawnAxis& x, ops::Edge edge) {
    return {x.taps, y.taps, x.stride, y.stride, x.dilation, y.dilation, x.pad, y.pad, edge};
}

/// The magnitudes of a tensor's elements, in double.
inline OpTensor magnitudes(const OpTensor& t) {
    const ops::Tensor v = t.view();
    std::vector<double> values = t.values();
    for (double& value : values) value = std::fabs(value);
    return {ops::Type::Float64, v.n, v.h, v.w, v.c, values};
}

inline OpArray magnitudes(const OpArray& a) {
    std::vector<double> values = a.values();
    for (double& value : values) value = std::fabs(value);
    return a.size() == 0 ? OpArray() : OpArray(ops::Type::Float64, values);
}

/// Room for the oracle's answer to what goes into `t`: same extents, double. Starts with the values of `t`.
inline OpTensor inDouble(const OpTensor& t) { return t.as(ops::Type::Float64); }
inline OpArray inDouble(const OpArray& a) {
    return a.size() == 0 ? OpArray() : OpArray(ops::Type::Float64, a.values());
}

}  // namespace pewter::test
