#include "backends/cpu/vector/GroupNormalization.h"

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Register.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Sum of fn(i) for i in [0, count), in eight lanes and those one after the other.
template <class Fn>
PEWTER_INLINE double sumInLanes(std::int64_t count, Fn fn) {
    double lanes[8] = {}, total = 0;
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (std::int64_t lane = 0; lane < 8; ++lane) lanes[lane] += fn(i + lane);
    for (const double lane : lanes) total += lane;
    for (; i < count; ++i) total += fn(i);
    return total;
}

}  // namespace

void joinChannels(const double* mean, double* squares, double pixels, double* middle, std::int64_t width,
                  std::int64_t groups) {
    // All channels of a group count the same pixels: their means average, and their distances from it add to
    // the squares.
    for (std::int64_t k = 0; k < groups; ++k) {
        const double *const means = mean + k * width, *const own = squares + k * width;
        const double average =
            sumInLanes(width, [=](std::int64_t i) { return means[i]; }) / static_cast<double>(width);
        const double between =
            sumInLanes(width, [=](std::int64_t i) { return (means[i] - average) * (means[i] - average); });
        middle[k] = average;
        // What lay there belongs to groups that are done with.
        squares[k] = sumInLanes(width, [=](std::int64_t i) { return own[i]; }) + pixels * between;
    }
}

void inverseDeviations(const double* squares, double share, double epsilon, double* out, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t k = 0; k < count; ++k) out[k] = 1 / __builtin_sqrt(squares[k] * share + epsilon);
}

void forwardFactors(const double* mean, const double* deviation, const float* gamma, const float* beta,
                    float* center, float* scale, float* shift, std::int64_t c) {
    PEWTER_VECTORIZE
    for (std::int64_t k = 0; k < c; ++k) {
        center[k] = static_cast<float>(mean[k]);
        const double factor = gamma ? static_cast<double>(gamma[k]) * deviation[k] : deviation[k];
        scale[k] = static_cast<float>(factor);
        const double rest = (static_cast<double>(center[k]) - mean[k]) * factor;
        shift[k] = static_cast<float>(beta ? static_cast<double>(beta[k]) + rest : rest);
    }
}

void groupGradientRun(const float* src, const float* diffDst, const float* center, const float* scale,
                      const float* deviation, const float* a, const float* b, float* diffSrc,
                      std::int64_t count, bool past) {
    const auto at = [=](std::int64_t i, auto lane) PEWTER_LAMBDA {
        decltype(lane) x, g, m, s, d, sum, product;
        loadFrom(src + i, x), loadFrom(diffDst + i, g), loadFrom(center + i, m), loadFrom(scale + i, s);
        loadFrom(deviation + i, d), loadFrom(a + i, sum), loadFrom(b + i, product);
        return (s * g - sum) - ((x - m) * d) * product;
    };
    const std::int64_t head = past ? unaligned(diffSrc, count) : 0;
    std::int64_t i = 0;
    for (; i < head; ++i) diffSrc[i] = at(i, 0.0f);
    for (; i + kLanes <= count; i += kLanes) {
        const Vector value = at(i, Vector{});
        if (past)
            streamTo(diffSrc + i, value);
        else
            storeTo(diffSrc + i, value);
    }
    for (; i < count; ++i) diffSrc[i] = at(i, 0.0f);
}

}  // namespace pewter::cpu::PEWTER_ISA
