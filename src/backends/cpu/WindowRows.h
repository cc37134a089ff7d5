#pragma once

#include <algorithm>
#include <cstdint>

#include "backends/cpu/Staging.h"
#include "ops/Convolution.h"
#include "ops/Tensor.h"

namespace pewter::cpu {

/// One image's rows under sliding windows of stride and dilation 1, and the windows over its rows: the
/// geometry of the normalisations by a neighbourhood of pixels. Positions outside the source follow the
/// window's edge mode.
class WindowRows {
public:
    WindowRows(const ops::Window& window, const ops::Tensor& source, const ops::Tensor& result)
        : window(window), h(source.h), w(source.w), c(source.c), outH(result.h), outW(result.w) {}

    ops::Window window;
    std::int64_t h, w, c, outH, outW;

    /// Rows with the number of times that each counts.
    struct Rows {
        std::int64_t* index;
        float* weight;
        const float** at;
        std::int64_t count = 0;

        Rows(std::int64_t most, Scratch::Frame& frame)
            : index(static_cast<std::int64_t*>(
                  frame.bytes(static_cast<std::size_t>(most) * sizeof(std::int64_t)))),
              weight(frame.floats(most)),
              at(static_cast<const float**>(frame.bytes(static_cast<std::size_t>(most) * sizeof(float*)))) {}

        void add(std::int64_t row, float times) {
            if (count > 0 && index[count - 1] == row) {
                weight[count - 1] += times;
                return;
            }
            index[count] = row;
            weight[count++] = times;
        }
        /// Rows in the order in which the first of two windows adds them: what both cover, and then its own.
        /// With `pair`, the next window's own row comes besides.
        void share(bool pair) {
            if (pair)
                add(index[count - 1] + 1, 1);
            else
                std::rotate(index, index + 1, index + count);
        }
        /// Where each row lies, the first of `first` on.
        void point(const float* first, std::int64_t length) {
            for (std::int64_t i = 0; i < count; ++i) at[i] = first + index[i] * length;
        }
    };

    /// Source rows that the windows of result row y cover.
    void under(std::int64_t y, Rows& rows) const {
        rows.count = 0;
        for (std::int64_t r = 0; r < window.height; ++r) {
            const std::int64_t v = landing(y - window.padTop + r, h);
            if (v >= 0) rows.add(v, 1);
        }
    }

    /// Whether the windows of result rows y and y + 1 lie on source rows of their own, so that what they
    /// share is added once: the same rows for every thread, since it changes the order of sums.
    bool underPairs(std::int64_t y) const {
        const std::int64_t top = y - window.padTop;
        return top >= 0 && top % 2 == 0 && top + 1 + window.height <= h && y + 1 < outH;
    }
    /// The same of the windows over source rows v and v + 1.
    bool overPairs(std::int64_t v) const {
        if (clamps() || v % 2 != 0) return false;
        return v + window.padTop - window.height + 1 >= 0 && v + 1 + window.padTop < outH && v + 1 < h;
    }

    /// Result rows [first, end) whose windows cover source row v.
    std::int64_t firstOver(std::int64_t v) const {
        if (clamps() && v == 0) return 0;
        return std::clamp<std::int64_t>(v + window.padTop - window.height + 1, 0, outH);
    }
    std::int64_t endOver(std::int64_t v) const {
        if (clamps() && v == h - 1) return outH;
        return std::clamp<std::int64_t>(v + window.padTop + 1, 0, outH);
    }
    /// The same with the number of taps that read row v.
    void over(std::int64_t v, Rows& rows) const {
        rows.count = 0;
        for (std::int64_t l = firstOver(v), end = endOver(v); l < end; ++l) {
            const std::int64_t tap = v + window.padTop - l;  // the one that lies on v
            const std::int64_t from = clamps() && v == 0 ? 0 : tap;
            const std::int64_t to = clamps() && v == h - 1 ? window.height - 1 : tap;
            const std::int64_t taps = std::min(to, window.height - 1) - std::max<std::int64_t>(from, 0) + 1;
            if (taps > 0) rows.add(l, static_cast<float>(taps));
        }
    }
    /// Most result rows over one source row.
    std::int64_t mostOver() const {
        std::int64_t most = 1;
        for (std::int64_t v = 0; v < h; ++v) most = std::max(most, endOver(v) - firstOver(v));
        return most;
    }

    /// Source row that the centre of result row l reads, -1 for zeros.
    std::int64_t centre(std::int64_t l) const { return landing(l - window.padTop + window.height / 2, h); }
    /// Result rows among [first, end) whose centre reads source row v.
    void centredOn(std::int64_t v, std::int64_t first, std::int64_t end, Rows& rows) const {
        rows.count = 0;
        for (std::int64_t l = first; l < end; ++l)
            if (centre(l) == v) rows.add(l, 1);
    }

    /// Columns [first, first + count) of a source row, which reach outside as the edge mode says: the row
    /// itself where they do not, else a copy in `room`. A null row is one of zeros.
    const float* columns(const float* row, std::int64_t first, std::int64_t count, float* room) const {
        if (row && first >= 0 && first + count <= w) return row + first * c;
        fillOutside(first, count, room, [&](std::int64_t from, std::int64_t to, float* into) {
            if (row)
                std::copy(row + from * c, row + to * c, into);
            else
                std::fill_n(into, (to - from) * c, 0.0f);
        });
        return room;
    }

    /// Fills columns [first, first + count) of `room`: inside(from, to, into) writes those of the source, and
    /// the rest becomes zeros or copies of the edge column. With none inside, the edge column is made in its
    /// place.
    template <class T, class Fn>
    void fillOutside(std::int64_t first, std::int64_t count, T* room, Fn&& inside) const {
        const std::int64_t end = first + count;
        const std::int64_t from = std::clamp<std::int64_t>(first, 0, w),
                           to = std::clamp<std::int64_t>(end, 0, w);
        if (from < to) inside(from, to, room + (from - first) * c);
        const std::int64_t left = std::min(end, std::int64_t{0}) - first;  // columns left of the source
        const std::int64_t right = end - std::max(first, w);
        spread(room, left, from < to ? room + (from - first) * c : nullptr, 0, inside);
        if (right > 0)
            spread(room + (count - right) * c, right, from < to ? room + (to - 1 - first) * c : nullptr,
                   w - 1, inside);
    }

    /// Column j of `values` (which has `count`) belongs to source column j - shift. What each source column
    /// gets: zeros where there is none; those outside are dropped or go to the edge column. Changes values or
    /// returns room.
    float* folded(float* values, std::int64_t count, std::int64_t shift, float* room) const {
        const std::int64_t from = std::clamp<std::int64_t>(-shift, 0, w),
                           to = std::clamp<std::int64_t>(count - shift, 0, w);
        float* row = values + shift * c;
        if (from > 0 || to < w || from >= to) {
            row = room;
            std::fill_n(room, w * c, 0.0f);
            if (from < to) std::copy(values + (from + shift) * c, values + (to + shift) * c, room + from * c);
        }
        if (!clamps()) return row;
        for (std::int64_t j = 0; j < std::min(shift, count); ++j) addPixel(values + j * c, row);
        for (std::int64_t j = std::max<std::int64_t>(w + shift, 0); j < count; ++j)
            addPixel(values + j * c, row + (w - 1) * c);
        return row;
    }

    bool clamps() const { return window.edge == ops::Edge::Clamp; }

private:
    std::int64_t landing(std::int64_t position, std::int64_t extent) const {
        if (position >= 0 && position < extent) return position;
        return clamps() ? std::clamp<std::int64_t>(position, 0, extent - 1) : -1;
    }
    void addPixel(const float* from, float* to) const {
        for (std::int64_t i = 0; i < c; ++i) to[i] += from[i];
    }
    /// `count` columns outside: zeros, or copies of `edge`, made in the first of them when it is null.
    template <class T, class Fn>
    void spread(T* into, std::int64_t count, const T* edge, std::int64_t column, Fn&& inside) const {
        if (count <= 0) return;
        if (!clamps()) {
            std::fill_n(into, count * c, T(0));
            return;
        }
        if (!edge) inside(column, column + 1, into), edge = into;
        for (std::int64_t i = 0; i < count; ++i)
            if (into + i * c != edge) std::copy(edge, edge + c, into + i * c);
    }
};

}  // namespace pewter::cpu
