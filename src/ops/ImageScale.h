#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "ops/Tensor.h"
#include "ops/Upsampling.h"

namespace pewter::ops {

/// One pixel that an output reads, and its share.
struct LanczosTap {
    std::int64_t pixel = 0;
    double weight = 0;
};

/// Lanczos' window of three lobes: sinc(t) sinc(t / 3), 0 from |t| = 3 on. Exact at whole t.
inline double lanczos(double t) {
    if (std::fabs(t) >= 3) return 0;
    if (t == std::floor(t)) return t == 0 ? 1 : 0;
    const double x = std::numbers::pi * t;
    return 3 * std::sin(x) * std::sin(x / 3) / (x * x);
}

/// The one place where weights come from: the pixels that output i of an axis of `extent` reads, in order,
/// none twice and none with weight 0. At position p, with s the distance of neighbouring outputs in pixels or
/// 1 if that is more, pixel j weighs lanczos((j - p) / s) divided by the sum of all weights; what would lie
/// outside is the pixel at the edge.
inline void lanczosTaps(const ResampleAxis& axis, std::int64_t extent, std::int64_t i,
                        std::vector<LanczosTap>& taps) {
    const double step = axis.numerator / axis.denominator;
    const double position = axis.first + static_cast<double>(i) * axis.numerator / axis.denominator;
    const double stretch = std::fmax(1, std::fabs(step));
    taps.clear();
    double sum = 0;
    const double end = std::floor(position + 3 * stretch), last = static_cast<double>(extent - 1);
    for (double j = std::ceil(position - 3 * stretch); j <= end; ++j) {
        const double weight = lanczos((j - position) / stretch);
        if (weight == 0) continue;
        sum += weight;
        const auto pixel = static_cast<std::int64_t>(j < 0 ? 0 : j > last ? last : j);
        if (!taps.empty() && taps.back().pixel == pixel)
            taps.back().weight += weight;
        else
            taps.push_back({pixel, weight});
    }
    for (auto& tap : taps) tap.weight /= sum;
}

/// dst(n, y, x, c) = sum over the taps v of row y and u of column x of v.weight u.weight src(n, v.pixel,
/// u.pixel, c). n and c are equal; the types may differ.
struct LanczosForward {
    Tensor src, dst;
    ResampleView view;
};

}  // namespace pewter::ops
