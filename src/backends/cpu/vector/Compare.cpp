#include "backends/cpu/vector/Compare.h"

#include "backends/cpu/vector/Math.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

template <class Fn>
PEWTER_INLINE void mark(const float* x, const float* y, float* dst, std::int64_t count, Fn fn) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] = fn(x[i], y[i]) ? 1.0f : 0.0f;
}

/// Exact for all but far apart exponents, where the rounded difference is on the right side of any threshold.
PEWTER_INLINE double distance(float x, float y) {
    return __builtin_fabs(static_cast<double>(x) - static_cast<double>(y));
}

}  // namespace

void compareRun(const ops::Compare& op, const float* x, const float* y, float* dst, std::int64_t count) {
    const double t = op.threshold;
    switch (op.type) {
        case ops::ComparisonType::Equal:
            return mark(x, y, dst, count, [=](float a, float b) { return distance(a, b) <= t; });
        case ops::ComparisonType::NotEqual:
            return mark(x, y, dst, count, [=](float a, float b) { return distance(a, b) > t; });
        case ops::ComparisonType::Less:
            return mark(x, y, dst, count, [](float a, float b) { return a < b; });
        case ops::ComparisonType::LessOrEqual:
            return mark(x, y, dst, count, [](float a, float b) { return a <= b; });
        case ops::ComparisonType::Greater:
            return mark(x, y, dst, count, [](float a, float b) { return a > b; });
        case ops::ComparisonType::GreaterOrEqual:
            return mark(x, y, dst, count, [](float a, float b) { return a >= b; });
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
