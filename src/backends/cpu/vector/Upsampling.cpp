#include "backends/cpu/vector/Upsampling.h"

#include <cstring>

#include "backends/cpu/vector/Math.h"

// A source row is resampled along x once, into a line that stays in the cache; two lines make an output row.
// The adjoint goes the other way: incoming rows are summed into a line, which is then gathered along x.

namespace pewter::cpu::PEWTER_ISA {
namespace {

void copy(const float* from, float* to, std::int64_t count) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
}

PEWTER_INLINE void blend(const float* a, float weightA, const float* b, float weightB, float* dst,
                         std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] = weightA * a[i] + weightB * b[i];
}

PEWTER_INLINE void addScaled(const float* values, float weight, float* sums, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) sums[i] += weight * values[i];
}

/// A source row along x, element by element.
void gatherLine(const ResamplePlan& p, const float* row, float* line) {
    const std::int32_t *a = p.elementsA, *b = p.elementsB;
    const float *weightA = p.weightsA, *weightB = p.weightsB;
    const std::int64_t count = p.outW * p.c;
    if (p.nearest) {
        PEWTER_VECTORIZE
        for (std::int64_t k = 0; k < count; ++k) line[k] = row[a[k]];
        return;
    }
    PEWTER_VECTORIZE
    for (std::int64_t k = 0; k < count; ++k) line[k] = weightA[k] * row[a[k]] + weightB[k] * row[b[k]];
}

/// A source row along x, pixel by pixel.
void pixelLine(const ResamplePlan& p, const ResampleStep* columns, const float* row, float* line) {
    for (std::int64_t x = 0; x < p.outW; ++x, line += p.c) {
        const ResampleStep& step = columns[x];
        if (step.a < 0)
            std::memset(line, 0, static_cast<std::size_t>(p.c) * sizeof(float));
        else if (step.weightB == 0)
            copy(row + step.a * p.c, line, p.c);
        else
            blend(row + step.a * p.c, step.weightA, row + step.b * p.c, step.weightB, line, p.c);
    }
}

/// The lines made last.
class Lines {
public:
    Lines(const ResamplePlan& plan, float* memory) : p_(plan), memory_(memory) {}

    /// Row `row` of an image as seen by one view; the line that `keep` points at is left alone.
    const float* of(std::int64_t image, std::int64_t row, const float* keep = nullptr) {
        for (int i = 0; i < 2; ++i)
            if (image_[i] == image && row_[i] == row) return line(i);
        const int slot = keep ? (keep == line(0) ? 1 : 0) : (row_[0] <= row_[1] ? 0 : 1);
        image_[slot] = image, row_[slot] = row;
        const float* from = p_.src + ((image / p_.views) * p_.h + row) * p_.w * p_.c;
        if (p_.elementsA)
            gatherLine(p_, from, line(slot));
        else
            pixelLine(p_, p_.columns + image % p_.views * p_.outW, from, line(slot));
        return line(slot);
    }

private:
    float* line(int slot) { return memory_ + slot * p_.outW * p_.c; }

    const ResamplePlan& p_;
    float* memory_;
    std::int64_t image_[2] = {-1, -1}, row_[2] = {-1, -1};
};

/// One row of a result: for each pixel the weighted sum of what reads it.
void gatherPixels(const ResampleGradientPlan& p, const float* line, float* dst) {
    for (std::int64_t u = 0; u < p.w; ++u, dst += p.c) {
        std::memset(dst, 0, static_cast<std::size_t>(p.c) * sizeof(float));
        for (std::int64_t i = p.columns.start[u]; i < p.columns.start[u + 1]; ++i)
            addScaled(line + p.columns.output[i] * p.c, p.columns.weight[i], dst, p.c);
    }
}

void gatherElements(const ResampleGradientPlan& p, const float* line, float* dst) {
    const std::int64_t count = p.w * p.c;
    const std::int32_t* elements = p.elements;
    const float* weights = p.weights;
    std::memset(dst, 0, static_cast<std::size_t>(count) * sizeof(float));
    for (std::int64_t t = 0; t < p.readers; ++t, elements += count, weights += count) {
        PEWTER_VECTORIZE
        for (std::int64_t k = 0; k < count; ++k) dst[k] += weights[k] * line[elements[k]];
    }
}

}  // namespace

void resampleRows(const ResamplePlan& p, std::int64_t from, std::int64_t to, float* memory) {
    const std::int64_t length = p.outW * p.c;
    Lines lines(p, memory);
    for (std::int64_t row = from; row < to; ++row) {
        const std::int64_t image = row / p.outH;
        const ResampleStep& step = p.rows[image % p.views * p.outH + row % p.outH];
        float* dst = p.dst + row * length;
        if (step.a < 0) {
            std::memset(dst, 0, static_cast<std::size_t>(length) * sizeof(float));
            continue;
        }
        const float* a = lines.of(image, step.a);
        if (step.weightB == 0)
            copy(a, dst, length);
        else
            blend(a, step.weightA, lines.of(image, step.b, a), step.weightB, dst, length);
    }
}

void resampleGradientRows(const ResampleGradientPlan& p, std::int64_t from, std::int64_t to, float* line) {
    constexpr std::int64_t kBlock = 2048;
    const std::int64_t length = p.outW * p.c;
    line[length] = 0;
    for (std::int64_t row = from; row < to; ++row) {
        const std::int64_t first = p.rows.start[row % p.h], end = p.rows.start[row % p.h + 1];
        const float* image = p.dst + row / p.h * p.outH * length;
        std::memset(line, 0, static_cast<std::size_t>(length) * sizeof(float));
        for (std::int64_t block = 0; block < length; block += kBlock) {
            const std::int64_t count = length - block < kBlock ? length - block : kBlock;
            for (std::int64_t i = first; i < end; ++i)
                addScaled(image + p.rows.output[i] * length + block, p.rows.weight[i], line + block, count);
        }
        float* dst = p.src + row * p.w * p.c;
        if (p.elements)
            gatherElements(p, line, dst);
        else
            gatherPixels(p, line, dst);
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
