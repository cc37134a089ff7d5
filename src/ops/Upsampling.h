#pragma once

#include <cstdint>

#include "ops/Tensor.h"

namespace pewter::ops {

enum class ResampleType : std::uint8_t { Nearest, Bilinear };

/// One axis of a resampling: output i lies at the source position
///   first + i * numerator / denominator
/// in pixels whose centres are the integers.
struct ResampleAxis {
    double first = 0, numerator = 1, denominator = 1;
};

/// Both axes.
struct ResampleView {
    ResampleAxis x, y;
};

/// What one output reads of an axis: (1 - fraction) of pixel a and fraction of pixel b; a < 0: nothing, the
/// position lies outside and gives 0.
struct ResampleTap {
    std::int64_t a = 0, b = 0;
    double fraction = 0;
};

/// The one place where positions become pixels. Positions outside the `extent` pixels are moved to the
/// nearest one, or with zeroOutside read nothing; there 1e-9 of a pixel is granted to the rounding of the
/// position.
constexpr ResampleTap resampleTap(const ResampleAxis& axis, ResampleType type, bool zeroOutside,
                               std::int64_t extent, std::int64_t i) {
    constexpr double kRounding = 1e-9;
    const double last = static_cast<double>(extent - 1);
    double position = axis.first + static_cast<double>(i) * axis.numerator / axis.denominator;
    if (zeroOutside && !(position >= -kRounding && position <= last + kRounding)) return {-1, -1, 0};
    position = position > 0 ? (position < last ? position : last) : 0;
    const auto a = static_cast<std::int64_t>(position);
    if (type == ResampleType::Nearest) return {a, a, 0};
    return {a, a + 1 < extent ? a + 1 : a, position - static_cast<double>(a)};
}

/// Image b * viewCount + r of dst is image b of src seen through views[r]. Nearest: the pixel at the position
/// rounded down. Bilinear: the mean of the four pixels around the position by their nearness. views outlives
/// the run.
struct ResampleForward {
    ResampleType type = ResampleType::Bilinear;
    Tensor src, dst;
    const ResampleView* views = nullptr;
    std::int64_t viewCount = 1;
    bool zeroOutside = false;
};

/// diffSrc = adjoint of the resampling with one view (and positions moved to the nearest pixel) applied to
/// diffDst; overwrites all of diffSrc.
struct ResampleGradient {
    ResampleType type = ResampleType::Bilinear;
    Tensor diffDst, diffSrc;
    ResampleView view;
};

}  // namespace pewter::ops
