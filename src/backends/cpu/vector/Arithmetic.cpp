#include "backends/cpu/vector/Arithmetic.h"

#include "backends/cpu/vector/Reduce.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

template <class Fn>
PEWTER_INLINE void combine(const ops::Arithmetic& op, const float* x, const float* y, float* dst,
                           std::uint8_t* mask, std::int64_t count, Fn fn) {
    const float bias = op.bias, low = op.minimum, high = op.maximum;
    if (mask != nullptr) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) {
            const float r = fn(x[i], y[i]) + bias;
            const float above = r < low ? low : r;
            mask[i] = static_cast<std::uint8_t>((low < r) & (r < high));
            dst[i] = high < above ? high : above;
        }
        return;
    }
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) {
        const float r = fn(x[i], y[i]) + bias;
        // Written so that NaN stays.
        const float above = r < low ? low : r;
        dst[i] = high < above ? high : above;
    }
}

}  // namespace

void arithmeticRun(const ops::Arithmetic& op, const float* x, const float* y, float* dst, std::uint8_t* mask,
                   std::int64_t count) {
    const float p = op.primaryScale, s = op.secondaryScale;
    switch (op.type) {
        case ops::ArithmeticType::Add:
            return combine(op, x, y, dst, mask, count, [=](float a, float b) { return p * a + s * b; });
        case ops::ArithmeticType::Subtract:
            return combine(op, x, y, dst, mask, count, [=](float a, float b) { return p * a - s * b; });
        case ops::ArithmeticType::Multiply:
            return combine(op, x, y, dst, mask, count, [=](float a, float b) { return (p * a) * (s * b); });
        case ops::ArithmeticType::Divide:
            return combine(op, x, y, dst, mask, count, [=](float a, float b) { return (p * a) / (s * b); });
    }
}

void scaleRun(const float* src, float scale, float* dst, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] = scale * src[i];
}

void multiplyRun(const float* src, float scale, float* dst, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] *= scale * src[i];
}

void addPixels(const float* src, std::int64_t pixels, std::int64_t c, double* sums) {
    constexpr std::int64_t kTile = 256, kBlock = 64;
    if (c > kTile) {
        for (std::int64_t p = 0; p < pixels; ++p) addTo(src + p * c, sums, c);
        return;
    }
    // Several pixels side by side fill the vectors; a lane adds up to kBlock numbers before it is emptied.
    const std::int64_t tile = kTile / c * c;
    for (std::int64_t left = pixels * c; left > 0;) {
        float lanes[kTile] = {};
        for (std::int64_t row = 0; row < kBlock && left > 0; ++row) {
            const std::int64_t length = left < tile ? left : tile;
            for (std::int64_t i = 0; i < length; ++i) lanes[i] += src[i];
            src += length;
            left -= length;
        }
        for (std::int64_t i = 0; i < tile; i += c)
            for (std::int64_t k = 0; k < c; ++k) sums[k] += static_cast<double>(lanes[i + k]);
    }
}

void addTo(const float* src, double* sums, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) sums[i] += static_cast<double>(src[i]);
}

void maskRun(const float* src, float scale, const std::uint8_t* mask, float* dst, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] = scale * src[i] * static_cast<float>(mask[i]);
}

double sumRun(const float* src, std::int64_t count) {
    return sumOf(count, [=](std::int64_t i) { return src[i]; });
}

}  // namespace pewter::cpu::PEWTER_ISA
