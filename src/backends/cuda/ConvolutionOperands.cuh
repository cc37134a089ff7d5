#pragma once

#include "backends/cuda/TileProduct.cuh"
#include "ops/Convolution.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// Positions far outside stay far outside.
PEWTER_HD int nearby(std::int64_t position) {
    constexpr std::int64_t kFar = std::int64_t{1} << 30;
    return static_cast<int>(position < -kFar ? -kFar : position > kFar - 1 ? kFar - 1 : position);
}

/// The outputs that read position v of an axis of `extent` through the tap `tap` = tap index * dilation - pad; first >
/// last when there are none. More than one only at the ends under Edge::Clamp.
struct Outputs {
    int first, last;
};
PEWTER_DEVICE Outputs outputsReading(int v, int extent, int tap, int stride, int outputs, ops::Edge edge) {
    const int distance = v - tap;
    Outputs o{distance, distance};
    if (stride != 1) {
        o.first = distance <= 0 ? 0 : 1 + (distance - 1) / stride;
        o.last = distance < 0 ? -1 : distance / stride;
    }
    if (o.first < 0) o.first = 0;
    if (edge == ops::Edge::Clamp) {
        if (v == 0) o.first = 0;
        if (v == extent - 1) o.last = outputs - 1;
    }
    if (o.last > outputs - 1) o.last = outputs - 1;
    return o;
}

/// The source of a convolution as a matrix: output pixels by (window row, window column, channel of the group). With
/// kTapsAreRows its transpose.
template <class T, bool kTapsAreRows>
struct Patches {
    static constexpr bool kAlong = !kTapsAreRows;
    /// Where the window of an output pixel begins; or a place in the window.
    struct Place {
        std::int64_t offset;
        int y, x;
    };
    using Row = Place;
    using Column = Place;
    View src;
    ops::Window window;
    int outputHeight, outputWidth, groupChannels;

    PEWTER_DEVICE Place pixel(std::int64_t i) const {
        const Split s = splitBy(i, outputHeight, outputWidth);
        return {s.outer * src.strideN, nearby(s.middle * window.strideY - window.padTop),
                nearby(s.inner * window.strideX - window.padLeft)};
    }
    PEWTER_DEVICE Place tap(std::int64_t group, std::int64_t i) const {
        const Split s = splitBy(i, static_cast<int>(window.width), groupChannels);
        return {(group * groupChannels + s.inner) * src.strideC, nearby(s.outer * window.dilationY),
                nearby(s.middle * window.dilationX)};
    }
    /// The group comes with the rows: it moves the pixels' offsets, or the taps'.
    PEWTER_DEVICE Row row(std::int64_t group, std::int64_t i) const {
        if (kTapsAreRows) return tap(group, i);
        Place p = pixel(i);
        p.offset += group * groupChannels * src.strideC;
        return p;
    }
    PEWTER_DEVICE Column column(std::int64_t k) const { return kTapsAreRows ? pixel(k) : tap(0, k); }
    PEWTER_DEVICE float load(const Row& r, const Column& k) const {
        const int v = edgeIndex(r.y + k.y, src.h, window.edge), u = edgeIndex(r.x + k.x, src.w, window.edge);
        if (v < 0 || u < 0) return 0;
        return readAs<T>(src.data, src.type, r.offset + k.offset + v * src.strideH + u * src.strideW);
    }
};

/// The gradient at a convolution's result as a matrix: source pixels by (window row, window column, output channel of the
/// group). An element is the sum over all outputs that read the pixel through that tap.
template <class T>
struct Gathered {
    static constexpr bool kAlong = true;
    struct Row {
        std::int64_t offset;
        int v, u;
    };
    struct Column {
        std::int64_t offset;
        int y, x;
    };
    View diffDst;
    ops::Window window;
    int sourceHeight, sourceWidth, groupChannels;

    PEWTER_DEVICE Row row(std::int64_t group, std::int64_t i) const {
        const Split s = splitBy(i, sourceHeight, sourceWidth);
        return {s.outer * diffDst.strideN + group * groupChannels * diffDst.strideC, s.middle, s.inner};
    }
    PEWTER_DEVICE Column column(std::int64_t k) const {
        const Split s = splitBy(k, static_cast<int>(window.width), groupChannels);
        return {s.inner * diffDst.strideC, nearby(s.outer * window.dilationY - window.padTop),
                nearby(s.middle * window.dilationX - window.padLeft)};
    }
    PEWTER_DEVICE float load(const Row& r, const Column& k) const {
        const Outputs y = outputsReading(r.v, sourceHeight, k.y, nearby(window.strideY), diffDst.h, window.edge);
        const Outputs x = outputsReading(r.u, sourceWidth, k.x, nearby(window.strideX), diffDst.w, window.edge);
        float sum = 0;
        for (int i = y.first; i <= y.last; ++i)
            for (int j = x.first; j <= x.last; ++j)
                sum += readAs<T>(diffDst.data, diffDst.type,
                                 r.offset + k.offset + i * diffDst.strideH + j * diffDst.strideW);
        return sum;
    }
};

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
