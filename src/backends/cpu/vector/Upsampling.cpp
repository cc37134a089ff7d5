#include "backends/cpu/vector/Upsampling.h"

#include <cstring>

#include "backends/cpu/vector/CopyOut.h"
#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/ResampleRows.h"

// Enlarging, a source row is resampled along x once, into a line that stays in the cache; two lines make an
// output row. Shrinking, two source rows make one, which is resampled along x. The adjoint goes the other
// way: incoming rows are summed into a line, which is then gathered along x.

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Rows of the result whose reads are asked for while another is resampled along x.
constexpr std::int64_t kRowsAhead = 2;

inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

void copy(const float* from, float* to, std::int64_t count) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
}

PEWTER_INLINE void blend(const float* a, float weightA, const float* b, float weightB, float* dst,
                         std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] = weightA * a[i] + weightB * b[i];
}

/// The same, past the caches. b may be null: then dst = a.
void blendStreaming(const float* a, float weightA, const float* b, float weightB, float* dst,
                    std::int64_t count) {
    std::int64_t i = 0;
    const std::int64_t head = unaligned(dst, count);
    for (; i < head; ++i) dst[i] = b ? weightA * a[i] + weightB * b[i] : a[i];
    for (; i + kLanes <= count; i += kLanes) {
        Vector x, y;
        loadFrom(a + i, x);
        if (b) {
            loadFrom(b + i, y);
            x = weightA * x + weightB * y;
        }
        streamTo(dst + i, x);
    }
    for (; i < count; ++i) dst[i] = b ? weightA * a[i] + weightB * b[i] : a[i];
}

/// A window of four registers at most that shuffles reach; SSE2 has no shuffle by a register.
#if defined(__AVX2__)
constexpr std::int64_t kWindow = 4;
#else
constexpr std::int64_t kWindow = 0;
#endif

/// values = the elements of a window at the places.
PEWTER_INLINE void pick(const float* window, [[maybe_unused]] std::int32_t width, const std::int32_t* places,
                        Vector& values) {
#if defined(__AVX2__)
    if (width > 0) {
        Number place;
        Vector a, b;
        std::memcpy(&place, places, sizeof place);
        loadFrom(window, a);
        loadFrom(window + kLanes, b);
        values = __builtin_shuffle(a, b, place);
        if (width > 2) {
            loadFrom(window + 2 * kLanes, a);
            loadFrom(window + 3 * kLanes, b);
            const Vector high = __builtin_shuffle(a, b, place);
            values = place < static_cast<std::int32_t>(2 * kLanes) ? values : high;
        }
        return;
    }
#endif
    float loaded[kLanes];
    for (std::int64_t i = 0; i < kLanes; ++i) loaded[i] = window[places[i]];
    loadFrom(loaded, values);
}

/// Readers is 0 for any number.
template <int Readers>
void gatherRowOf(const ResampleGather& g, const float* row, float* dst, Soon* soon) {
    const std::int64_t readers = Readers > 0 ? Readers : g.readers;
    for (std::int64_t block = 0; block < g.blocks; ++block) {
        if (soon) soon->step();
        Vector sum = {};
        for (std::int64_t t = 0; t < readers; ++t) {
            const std::int64_t at = block * readers + t;
            Vector values, weights;
            pick(row + g.windows[at], g.widths[at], g.places + at * kLanes, values);
            if (Readers == 1 && !g.weights) {
                sum = values;
                continue;
            }
            loadFrom(g.weights + at * kLanes, weights);
            sum += weights * values;
        }
        const std::int64_t left = g.count - block * kLanes;
        if (left >= kLanes)
            storeTo(dst + block * kLanes, sum);
        else
            std::memcpy(dst + block * kLanes, &sum, static_cast<std::size_t>(left) * sizeof(float));
    }
}

void gatherRow(const ResampleGather& g, const float* row, float* dst, Soon* soon = nullptr) {
    switch (g.readers) {
        case 1:
            return gatherRowOf<1>(g, row, dst, soon);
        case 2:
            return gatherRowOf<2>(g, row, dst, soon);
        case 3:
            return gatherRowOf<3>(g, row, dst, soon);
        case 4:
            return gatherRowOf<4>(g, row, dst, soon);
        default:
            return gatherRowOf<0>(g, row, dst, soon);
    }
}

/// One pixel: registers of channels, then the rest.
PEWTER_INLINE void blendPixel(const float* a, float weightA, const float* b, float weightB, float* dst,
                              std::int64_t channels) {
    std::int64_t i = 0;
    for (; i + kLanes <= channels; i += kLanes) {
        Vector x, y;
        loadFrom(a + i, x);
        loadFrom(b + i, y);
        storeTo(dst + i, Vector(weightA * x + weightB * y));
    }
    for (; i < channels; ++i) dst[i] = weightA * a[i] + weightB * b[i];
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
            blendPixel(row + step.a * p.c, step.weightA, row + step.b * p.c, step.weightB, line, p.c);
    }
}

/// A source row, or a mean of two, along x as seen by the view of an image.
void makeLine(const ResamplePlan& p, std::int64_t image, const float* row, float* line, Soon* soon = nullptr) {
    if (p.gather.readers > 0)
        gatherRow(p.gather, row, line, soon);
    else
        pixelLine(p, p.columns + image % p.views * p.outW, row, line);
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
        makeLine(p_, image, from, line(slot));
        return line(slot);
    }

private:
    float* line(int slot) { return memory_ + slot * p_.outW * p_.c; }

    const ResamplePlan& p_;
    float* memory_;
    std::int64_t image_[2] = {-1, -1}, row_[2] = {-1, -1};
};

}  // namespace

std::int64_t gatherLanes() { return kLanes; }
std::int64_t gatherRegisters() { return kWindow; }

void resampleRows(const ResamplePlan& p, std::int64_t from, std::int64_t to, float* memory) {
    const std::int64_t length = p.outW * p.c;
    Lines lines(p, memory);
    // Where the source rows end that a row of the result reads; rows first means one view.
    const auto endOf = [&](std::int64_t row) PEWTER_LAMBDA {
        return p.src + (row / p.outH * p.h + p.rows[row % p.outH].b + 1) * p.w * p.c;
    };
    Soon soon(p.rowsFirst ? endOf(from) : nullptr);
    for (std::int64_t row = from; row < to; ++row) {
        const std::int64_t image = row / p.outH;
        const ResampleStep& step = p.rows[image % p.views * p.outH + row % p.outH];
        float* dst = p.dst + row * length;
        if (step.a < 0) {
            std::memset(dst, 0, static_cast<std::size_t>(length) * sizeof(float));
            continue;
        }
        if (p.rowsFirst) {
            const float* source = p.src + image / p.views * p.h * p.w * p.c;
            const float *a = source + step.a * p.w * p.c, *b = source + step.b * p.w * p.c;
            if (step.weightB != 0) blend(a, step.weightA, b, step.weightB, memory, p.w * p.c);
            float* const line = p.streaming ? memory + p.w * p.c : dst;
            soon.upTo(endOf(smaller(row + kRowsAhead, to - 1)), p.gather.blocks);
            makeLine(p, image, step.weightB != 0 ? memory : a, line, &soon);
            if (p.streaming) copyOut(line, length, true, dst);
            continue;
        }
        const float* a = lines.of(image, step.a);
        const float* b = step.weightB == 0 ? nullptr : lines.of(image, step.b, a);
        if (p.streaming)
            blendStreaming(a, step.weightA, b, step.weightB, dst, length);
        else if (b)
            blend(a, step.weightA, b, step.weightB, dst, length);
        else
            copy(a, dst, length);
    }
    if (p.streaming) streamEnd();
}

void resampleGradientRows(const ResampleGradientPlan& p, std::int64_t from, std::int64_t to, float* line) {
    const std::int64_t length = p.outW * p.c;
    const auto endOf = [&](std::int64_t row) PEWTER_LAMBDA {
        const std::int64_t end = p.rows.start[row % p.h + 1], first = p.rows.start[row % p.h];
        return p.dst + (row / p.h * p.outH + (end > first ? p.rows.output[end - 1] + 1 : 0)) * length;
    };
    Soon soon(endOf(from));
    for (std::int64_t row = from; row < to; ++row) {
        const std::int64_t* start = p.rows.start + row % p.h;
        sumRows(p.dst + row / p.h * p.outH * length, length, p.rows.output, p.rows.weight, start[0], start[1],
                line, length);
        float* dst = p.src + row * p.w * p.c;
        soon.upTo(endOf(smaller(row + kRowsAhead, to - 1)), p.gather.blocks);
        if (p.gather.readers > 0)
            gatherRow(p.gather, line, dst, &soon);
        else
            for (std::int64_t u = 0; u < p.w; ++u)
                sumRows(line, p.c, p.columns.output, p.columns.weight, p.columns.start[u],
                        p.columns.start[u + 1], dst + u * p.c, p.c);
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
