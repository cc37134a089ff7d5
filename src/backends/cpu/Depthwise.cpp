#include "backends/cpu/Depthwise.h"

#include <algorithm>

#include "backends/cpu/Parallel.h"
#include "backends/cpu/vector/Depthwise.h"

namespace pewter::cpu {

bool runDepthwise(const ops::Tensor& src, const ops::Tensor& weights, const ops::Tensor& dst, const float* bias,
                  const ops::Window& window, std::int64_t groups, bool turned, Scratch::Frame& frame) {
    const std::int64_t c = src.c, height = window.height, width = window.width;
    const bool isDepthwise = groups == c && dst.c == c && weights.n == c && weights.c == 1;
    // Few channels leave registers idle; many taps are oneDNN's; an adjoint whose strides leave gaps is another operation.
    if (!isDepthwise || c < 16 || height * width > 25 || window.edge != ops::Edge::Zero) return false;
    if (turned && (window.strideX != 1 || window.strideY != 1)) return false;
    if (!isPlain(src) || !isPlain(dst) || dst.count() == 0 || src.count() == 0) return false;
    DepthwisePlan plan{static_cast<const float*>(src.data), nullptr, bias, static_cast<float*>(dst.data),
                       src.h, src.w, c, dst.h, dst.w, window};
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

}  // namespace pewter::cpu
