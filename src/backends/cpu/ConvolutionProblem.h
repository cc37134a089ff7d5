#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "backends/cpu/Engine.h"
#include "backends/cpu/Parallel.h"
#include "ops/Convolution.h"

namespace pewter::cpu {

/// Which of its three operands a convolution computes from the other two.
enum class Direction : std::int64_t { Forward = 1, DataGradient = 2, WeightsGradient = 3 };

/// One axis of a window over a source axis.
struct Axis {
    std::int64_t source, outputs, taps, stride, dilation, before;

    std::int64_t windowExtent() const { return (taps - 1) * dilation + 1; }
    /// Source positions that all windows together span, padding included.
    std::int64_t needed() const { return (outputs - 1) * stride + windowExtent(); }
    /// Padding on the far side; negative where the source goes on.
    std::int64_t after() const { return needed() - before - source; }
    bool reachesOutside() const { return before > 0 || after() > 0; }
    /// What oneDNN's kernels are made for: no crop that could hide a whole step, no window wholly in the
    /// padding.
    bool isUsual() const {
        return before >= 0 && before < windowExtent() && after() < windowExtent() && after() > -stride;
    }
};

/// A convolution as oneDNN takes it: extents of source and destination, window, groups.
struct Problem {
    std::int64_t n, inputs, outputs, groups;
    Axis y, x;
    bool clamp;

    Problem(const ops::Tensor& src, const ops::Tensor& dst, const ops::Window& w, std::int64_t groupCount)
        : n(src.n),
          inputs(src.c),
          outputs(dst.c),
          groups(groupCount),
          y{src.h, dst.h, w.height, w.strideY, w.dilationY, w.padTop},
          x{src.w, dst.w, w.width, w.strideX, w.dilationX, w.padLeft},
          clamp(w.edge == ops::Edge::Clamp) {}

    bool isEmpty() const { return n == 0 || y.outputs <= 0 || x.outputs <= 0; }
    /// Whether the source has to be laid out anew, with its border written out.
    bool needsBorder() const {
        return !y.isUsual() || !x.isUsual() || (clamp && (y.reachesOutside() || x.reachesOutside()));
    }
    /// The same convolution over a source with the border written out.
    Problem bordered() const {
        Problem p = *this;
        p.y.source = y.needed(), p.y.before = 0;
        p.x.source = x.needed(), p.x.before = 0;
        p.clamp = false;
        return p;
    }

    double flops() const {
        return 2.0 * static_cast<double>(n * outputs * y.outputs * x.outputs) *
               static_cast<double>(y.taps * x.taps * (inputs / groups));
    }

    dnnl::memory::dims srcExtents() const { return {n, inputs, y.source, x.source}; }
    dnnl::memory::dims dstExtents() const { return {n, outputs, y.outputs, x.outputs}; }
    dnnl::memory::dims weightExtents() const {
        if (groups == 1) return {outputs, inputs, y.taps, x.taps};
        return {groups, outputs / groups, inputs / groups, y.taps, x.taps};
    }
};

}  // namespace pewter::cpu
