#include "backends/cpu/Depthwise.h"

#include <algorithm>

#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Depthwise.h"

namespace pewter::cpu {

bool runsDepthwise(const ops::Tensor& src, const ops::Tensor& weights, const ops::Tensor& dst,
                   const ops::Window& window, std::int64_t groups, bool turned) {
    const std::int64_t c = src.c;
    const bool isDepthwise = groups == c && dst.c == c && weights.n == c && weights.c == 1;
    // Few channels leave registers idle; many taps are oneDNN's; an adjoint whose strides leave gaps is another operation.
    if (!isDepthwise || c < 16 || window.height * window.width > 25 || window.edge != ops::Edge::Zero) return false;
    if (turned && (window.strideX != 1 || window.strideY != 1)) return false;
    return isPlain(src) && isPlain(dst) && dst.count() != 0 && src.count() != 0;
}

bool runDepthwise(const ops::Tensor& src, const ops::Tensor& weights, const ops::Tensor& dst, const float* bias,
                  const ops::Window& window, std::int64_t groups, bool turned, Scratch::Frame& frame) {
    if (!runsDepthwise(src, weights, dst, window, groups, turned)) return false;
    const std::int64_t c = src.c, height = window.height, width = window.width;
    DepthwisePlan plan{static_cast<const float*>(src.data), nullptr, bias, static_cast<float*>(dst.data),
                       src.h, src.w, c, dst.h, dst.w, window, isStreamed(dst)};
    if (turned) {
        plan.window.padLeft = (width - 1) * window.dilationX - window.padLeft;
        plan.window.padTop = (height - 1) * window.dilationY - window.padTop;
    }
    const auto* const from = static_cast<const float*>(staged(weights, frame).data);
    const std::int64_t count = height * width;
    float* const taps = frame.floats(count * c);
    for (std::int64_t t = 0; t < count; ++t)
        for (std::int64_t k = 0; k < c; ++k) taps[(turned ? count - 1 - t : t) * c + k] = from[k * count + t];
    plan.taps = taps;
    const auto run = PEWTER_VECTOR(depthwiseRows);
    parallelFor(0, dst.n * dst.h, std::max<std::int64_t>(1, kElementGrain / (dst.w * c * count)),
                [&](std::int64_t first, std::int64_t end) { run(plan, first, end); });
    return true;
}

bool sumsDepthwise(const ops::Tensor& src, const ops::Tensor& diffDst, const ops::Window& window, std::int64_t groups) {
    const std::int64_t c = src.c;
    const auto moves = [](std::int64_t taps, std::int64_t stride, std::int64_t dilation, std::int64_t pad) {
        return taps == 3 && stride == 1 && dilation == 1 && pad >= 0;
    };
    return groups == c && diffDst.c == c && c >= 16 && window.edge == ops::Edge::Zero && isPlain(src) &&
           isPlain(diffDst) && diffDst.count() != 0 && src.count() != 0 &&
           moves(window.height, window.strideY, window.dilationY, window.padTop) &&
           moves(window.width, window.strideX, window.dilationX, window.padLeft);
}

bool sumDepthwise(const ops::Tensor& src, const ops::Tensor& diffDst, float* sums, const ops::Window& window,
                  std::int64_t groups, bool accumulate, Scratch::Frame& frame) {
    if (!sumsDepthwise(src, diffDst, window, groups)) return false;
    const std::int64_t c = src.c, count = 9;
    const DepthwisePlan plan{static_cast<const float*>(src.data), nullptr, nullptr, static_cast<float*>(diffDst.data),
                             src.h, src.w, c, diffDst.h, diffDst.w, window};
    const std::int64_t parts = partsOf(diffDst.count());
    float* const partial = frame.floats(parts * count * c);
    std::fill_n(partial, parts * count * c, 0.0f);
    const auto run = PEWTER_VECTOR(depthwiseSums);
    forParts(parts, diffDst.n * diffDst.h, [&](std::int64_t part, std::int64_t first, std::int64_t end) {
        run(plan, first, end, partial + part * count * c);
    });
    for (std::int64_t k = 0; k < c; ++k)
        for (std::int64_t t = 0; t < count; ++t) {
            float sum = accumulate ? sums[k * count + t] : 0;
            for (std::int64_t part = 0; part < parts; ++part) sum += partial[(part * count + t) * c + k];
            sums[k * count + t] = sum;
        }
    return true;
}

}  // namespace pewter::cpu
