#pragma once

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Register.h"

// Weighted sums of rows, the half of a resampling that runs along y.

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Rows that are read soon, one behind the other in memory. They are asked for a few lines at a time while what came
/// before them keeps the processor busy: a loop that reads them would only wait.
class Soon {
public:
    /// Nothing is asked for before `start`, which the caller reads at once.
    explicit Soon(const float* start) : next_(start) {}

    /// From now on up to `end`, in as many steps; of what is more than stays in the second-level cache the last part.
    PEWTER_INLINE void upTo(const float* end, std::int64_t steps) {
        if (end - next_ > kMost) next_ = end - kMost;
        end_ = end;
        step_ = end > next_ ? ((end - next_) / kLine / (steps > 0 ? steps : 1) + 1) * kLine : 0;
    }
    PEWTER_INLINE void step() {
        const float* const to = end_ - next_ > step_ ? next_ + step_ : end_;
        for (; next_ < to; next_ += kLine) __builtin_prefetch(next_, 0, 2);
    }

private:
    static constexpr std::int64_t kLine = 16, kMost = 1 << 17;
    const float *next_, *end_ = nullptr;
    std::int64_t step_ = 0;
};

/// dst = the sum of weight[i] times the `count` floats at from + output[i] * stride, i = first ... end - 1.
PEWTER_INLINE void sumRows(const float* from, std::int64_t stride, const std::int64_t* output,
                           const float* weight, std::int64_t first, std::int64_t end, float* dst,
                           std::int64_t count) {
    constexpr std::int64_t kAtOnce = 8;
    std::int64_t k = 0;
    for (; k + kAtOnce * kLanes <= count; k += kAtOnce * kLanes) {
        Vector sums[kAtOnce] = {};
        for (std::int64_t i = first; i < end; ++i) {
            const float* row = from + output[i] * stride + k;
            for (std::int64_t r = 0; r < kAtOnce; ++r) {
                Vector values;
                loadFrom(row + r * kLanes, values);
                sums[r] += weight[i] * values;
            }
        }
        for (std::int64_t r = 0; r < kAtOnce; ++r) storeTo(dst + k + r * kLanes, sums[r]);
    }
    for (; k + kLanes <= count; k += kLanes) {
        Vector sum = {};
        for (std::int64_t i = first; i < end; ++i) {
            Vector values;
            loadFrom(from + output[i] * stride + k, values);
            sum += weight[i] * values;
        }
        storeTo(dst + k, sum);
    }
    for (; k < count; ++k) {
        float sum = 0;
        for (std::int64_t i = first; i < end; ++i) sum += weight[i] * from[output[i] * stride + k];
        dst[k] = sum;
    }
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
