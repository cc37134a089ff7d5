#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Upsampling.h"

// Tables of resampling by any filter, and how rows are shared out.

namespace pewter::cpu {

template <class T>
T* take(std::int64_t count, Scratch::Frame& frame) {
    return static_cast<T*>(frame.bytes(static_cast<std::size_t>(count) * sizeof(T)));
}

inline bool fitsGather(const ops::Tensor& row) {
    return row.c < kManyChannels && row.w * row.c < std::numeric_limits<std::int32_t>::max();
}

/// Tables for `count` elements with `readers` each, out of rows of `length` elements. element(k, t) is what
/// reader t of element k reads, weight(k, t) its weight; -1 for a reader that is missing.
template <class Element, class Weight>
ResampleGather gatherOf(std::int64_t count, std::int64_t readers, std::int64_t length, bool weighted,
                        Scratch::Frame& frame, Element element, Weight weight) {
    const std::int64_t lanes = PEWTER_VECTOR(gatherLanes)(), registers = PEWTER_VECTOR(gatherRegisters)();
    ResampleGather g;
    g.count = count, g.readers = readers, g.blocks = (count + lanes - 1) / lanes;
    const std::int64_t entries = readers * g.blocks;
    auto* const windows = take<std::int64_t>(entries, frame);
    auto* const widths = take<std::int32_t>(entries, frame);
    auto* const places = take<std::int32_t>(entries * lanes, frame);
    float* const weights = weighted ? frame.floats(entries * lanes) : nullptr;
    for (std::int64_t at = 0; at < entries; ++at) {
        const std::int64_t t = at % readers, first = at / readers * lanes;
        const std::int64_t end = std::min(first + lanes, count);
        std::int64_t least = length, most = -1;
        for (std::int64_t k = first; k < end; ++k) {
            const std::int64_t e = element(k, t);
            if (e >= 0) least = std::min(least, e), most = std::max(most, e);
        }
        if (most < 0) least = most = 0;
        std::int64_t width = 0;
        for (std::int64_t wide = 4; wide >= 2; wide -= 2)
            if (wide <= registers && most - least < wide * lanes && length >= wide * lanes) width = wide;
        // A window does not leave the row.
        const std::int64_t start = width > 0 ? std::min(least, length - width * lanes) : least;
        windows[at] = start, widths[at] = static_cast<std::int32_t>(width);
        for (std::int64_t i = 0; i < lanes; ++i) {
            const std::int64_t e = first + i < end ? element(first + i, t) : -1;
            // What reads nothing reads an element of the window's with weight 0.
            places[at * lanes + i] = static_cast<std::int32_t>((e < 0 ? least : e) - start);
            if (weighted) weights[at * lanes + i] = e < 0 ? 0.0f : weight(first + i, t);
        }
    }
    g.windows = windows, g.widths = widths, g.places = places, g.weights = weights;
    return g;
}

/// fn(from, to, line) for parts of `rows`, each with `lineLength` floats of its own.
template <class Fn>
void forRows(std::int64_t rows, std::int64_t elements, std::int64_t lineLength, Scratch::Frame& frame,
             Fn&& fn) {
    const std::int64_t parts = std::min(rows, partsOf(elements));
    const std::int64_t room = (lineLength + kRunAlignment - 1) / kRunAlignment * kRunAlignment;
    float* const lines = frame.floats(parts * room);
    forParts(parts, rows, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        fn(from, to, lines + part * room);
    });
}

}  // namespace pewter::cpu
