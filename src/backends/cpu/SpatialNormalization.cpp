#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/WindowAdjoint.h"
#include "backends/cpu/WindowRows.h"
#include "backends/cpu/vector/WindowNormalization.h"
#include "backends/cpu/vector/WindowSums.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// Elements of a row taken at a time, so that its sums stay in the first-level cache.
constexpr std::int64_t kTile = 2048;

/// Sums over the windows of result rows: first down the columns, then along the row.
class Windows {
public:
    template <class Op>
    Windows(const Op& op, const WindowRows& geometry, Scratch::Frame& frame)
        : g_(geometry),
          parameters_{Power(op.beta),
                      static_cast<float>(op.alpha / static_cast<double>(op.window.width * op.window.height)),
                      static_cast<float>(op.delta)},
          tile_(tileOf(geometry)),
          rows_(op.window.height + 1, frame),
          columns_{frame.floats((tile_ + op.window.width) * geometry.c),
                   frame.floats((tile_ + op.window.width) * geometry.c)},
          sums_(frame.floats(tile_ * geometry.c)),
          centres_(frame.floats(tile_ * geometry.c)) {}

    /// Columns of a tile: whole lines of the cache, of any number of channels.
    static std::int64_t tileOf(const WindowRows& g) {
        const std::int64_t columns =
            std::max<std::int64_t>(4 * g.window.width, kTile / std::max<std::int64_t>(1, g.c));
        return (columns + 15) / 16 * 16;
    }

    /// fn(result row, first element of it, elements, sums of the columns' squares, what the centres read) for
    /// the tiles of result rows y and, if `pair`, y + 1; `soon`, unless null, is the first of as many rows of
    /// results that are used soon.
    template <class Fn>
    void forTiles(const float* image, std::int64_t y, bool pair, const float* soon, Fn&& fn) {
        const auto& window = g_.window;
        const std::int64_t rows = pair ? 2 : 1;
        g_.under(y, rows_);
        if (g_.underPairs(y)) rows_.share(pair);
        rows_.point(image, g_.w * g_.c);
        for (std::int64_t x = 0; x < g_.outW; x += tile_) {
            const std::int64_t some = std::min(tile_, g_.outW - x);
            const std::int64_t first = x - window.padLeft, count = some + window.width - 1;
            g_.fillOutside(first, count, columns_[0], [&](std::int64_t from, std::int64_t to, float* into) {
                const Ahead ahead = aheadOf(image, y + rows, rows, from, soon ? soon + x * g_.c : nullptr);
                for (std::int64_t i = 0; i < rows_.count; ++i) rows_.at[i] += from * g_.c;
                if (pair) PEWTER_VECTOR(pairedSquares)
                (rows_.at, rows_.count - 1, (to - from) * g_.c, into, columns_[1] + (into - columns_[0]),
                 ahead);
                else PEWTER_VECTOR(weightedSquares)(rows_.at, rows_.weight, rows_.count, (to - from) * g_.c,
                                                    into, ahead);
                for (std::int64_t i = 0; i < rows_.count; ++i) rows_.at[i] -= from * g_.c;
            });
            // Its columns inside came with the first row's, and lie at the same places.
            if (pair) g_.fillOutside(first, count, columns_[1], [](std::int64_t, std::int64_t, float*) {});
            for (std::int64_t row = 0; row < rows; ++row) {
                const std::int64_t centre = g_.centre(y + row);
                const float* centreRow = centre < 0 ? nullptr : image + centre * g_.w * g_.c;
                fn(y + row, x * g_.c, some * g_.c, columns_[row],
                   g_.columns(centreRow, first + window.width / 2, some, centres_));
            }
        }
    }

    const SpatialParameters& parameters() const { return parameters_; }
    float* room() const { return sums_; }

private:
    /// The last source rows under the windows of `rows` result rows from y on, and rows of results.
    Ahead aheadOf(const float* image, std::int64_t y, std::int64_t rows, std::int64_t column,
                  const float* soon) const {
        Ahead ahead;
        for (std::int64_t i = 0; i < rows; ++i) {
            const std::int64_t added = y + i - g_.window.padTop + g_.window.height - 1;
            if (added >= 0 && added < g_.h) ahead.at[i] = image + (added * g_.w + column) * g_.c;
            if (soon && y + i < g_.outH) ahead.at[2 + i] = soon + i * g_.outW * g_.c;
        }
        return ahead;
    }

    const WindowRows& g_;
    SpatialParameters parameters_;
    std::int64_t tile_;
    WindowRows::Rows rows_;
    float *columns_[2], *sums_, *centres_;
};

}  // namespace

void Cpu::run(const ops::SpatialNormalizationForward& op, ops::Stream& stream) {
    if (op.dst.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Tensor src = staged(op.src, frame);
    const StagedOutput dst(op.dst, frame);
    const WindowRows geometry(op.window, op.src, op.dst);
    const std::int64_t rows = op.dst.n * op.dst.h, length = geometry.outW * geometry.c;
    const std::int64_t parts = rowPartsOf(rows, length);
    std::vector<Windows> windows;
    for (std::int64_t part = 0; part < parts; ++part) windows.emplace_back(op, geometry, frame);
    const bool past = isStreamed(op.dst);
    forParts(parts, rows, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        auto& own = windows[static_cast<std::size_t>(part)];
        for (std::int64_t row = from; row < to;) {
            const std::int64_t n = row / op.dst.h, y = row - n * op.dst.h;
            const bool pair = row + 1 < to && geometry.underPairs(y);
            float* image = dst.data() + n * op.dst.h * length;
            own.forTiles(static_cast<const float*>(at(src, n, 0, 0)), y, pair, nullptr,
                         [&](std::int64_t resultRow, std::int64_t first, std::int64_t count, float* columns,
                             const float* x) {
                             PEWTER_VECTOR(spatialRun)
                             (own.parameters(), columns, op.window.width, geometry.c, x,
                              image + resultRow * length + first, count, own.room(), past);
                         });
            row += pair ? 2 : 1;
        }
        baseline::streamEnd();
    });
    dst.finish();
}

namespace {

/// The gradient of one range of source rows at a time. What the windows of a result row give is kept until no
/// source row needs it: the gradient a of what the centre reads, and the share s of every tap.
class SpatialAdjoint {
public:
    SpatialAdjoint(const ops::SpatialNormalizationGradient& op, const WindowRows& geometry,
                   std::int64_t capacity, Scratch::Frame& frame)
        : g_(geometry),
          windows_(op, geometry, frame),
          shares_(geometry, capacity, frame),
          past_(isStreamed(op.diffSrc)),
          length_(geometry.outW * geometry.c),
          tile_(geometry.clamps() ? geometry.w : Windows::tileOf(geometry)),
          factor_(static_cast<float>(-2 * op.alpha * op.beta /
                                     static_cast<double>(op.window.width * op.window.height))),
          a_(shares_.newRing(frame)),
          s_(shares_.newRing(frame)),
          sums_(frame.floats(tile_ * geometry.c)) {
        const std::int64_t room =
            geometry.clamps() ? shares_.rowRoom() : (tile_ + op.window.width) * geometry.c;
        for (float*& own : rooms_) own = frame.floats(room);
    }

    /// Source rows [from, to) of one image.
    void run(const float* image, const float* gradient, float* diff, std::int64_t from, std::int64_t to) {
        std::int64_t next = g_.firstOver(from);
        for (std::int64_t v = from; v < to;) {
            const bool pair = v + 1 < to && g_.overPairs(v);
            for (const std::int64_t end = g_.endOver(pair ? v + 1 : v); next < end;)
                next += windows(image, gradient, next, next + 1 < end && g_.underPairs(next));
            const std::int64_t first = v * g_.w * g_.c;
            if (g_.clamps()) {
                PEWTER_VECTOR(spatialSourceRun)
                (factor_, shares_.clampedSums(s_, v, rooms_[0]), 1, g_.c, image + first,
                 shares_.clampedCentres(a_, v, rooms_[1]), diff + first, g_.w * g_.c, sums_, past_);
            } else {
                sources(image, diff, v, pair);
            }
            v += pair ? 2 : 1;
        }
    }

private:
    std::int64_t windows(const float* image, const float* gradient, std::int64_t y, bool pair) {
        const std::int64_t rows = pair ? 2 : 1;
        windows_.forTiles(
            image, y, pair, gradient + (y + rows) * length_,
            [&](std::int64_t row, std::int64_t first, std::int64_t count, float* columns, const float* x) {
                PEWTER_VECTOR(spatialGradientRun)
                (windows_.parameters(), columns, g_.window.width, g_.c, x, gradient + row * length_ + first,
                 shares_.slot(a_, row) + first, shares_.slot(s_, row) + first, count, windows_.room());
            });
        return rows;
    }

    void sources(const float* image, float* diff, std::int64_t v, bool pair) {
        for (std::int64_t x = 0; x < g_.w; x += tile_) {
            const std::int64_t some = std::min(tile_, g_.w - x);
            shares_.columns(s_, v, x, some, rooms_[0], pair ? rooms_[1] : nullptr);
            for (std::int64_t row = 0; row < (pair ? 2 : 1); ++row) {
                const std::int64_t first = ((v + row) * g_.w + x) * g_.c;
                PEWTER_VECTOR(spatialSourceRun)
                (factor_, rooms_[row], g_.window.width, g_.c, image + first,
                 shares_.centres(a_, v + row, x, some, sums_), diff + first, some * g_.c, windows_.room(),
                 past_);
            }
        }
    }

    const WindowRows& g_;
    Windows windows_;
    WindowShares shares_;
    bool past_;
    std::int64_t length_, tile_;
    float factor_;
    float *a_, *s_, *sums_, *rooms_[2];
};

}  // namespace

void Cpu::run(const ops::SpatialNormalizationGradient& op, ops::Stream& stream) {
    runAdjoints<SpatialAdjoint>(op, stream);
}

}  // namespace pewter::cpu
