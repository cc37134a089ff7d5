#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/WindowAdjoint.h"
#include "backends/cpu/WindowRows.h"
#include "backends/cpu/vector/WindowNormalization.h"
#include "backends/cpu/vector/WindowSums.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// Elements of a row taken at a time, so that the sums of its columns stay in the first-level cache.
constexpr std::int64_t kTile = 1536;
/// Elements whose windows are summed along the row before they are used.
constexpr std::int64_t kPiece = 512;
/// Up to as many taps, sums along a row leave those of its columns as they are.
constexpr std::int64_t kFewTaps = 11;

double* doubles(Scratch::Frame& frame, std::int64_t count) {
    return static_cast<double*>(frame.bytes(static_cast<std::size_t>(count) * sizeof(double)));
}

/// Sums and sums of squares over the windows of result rows, in double: their difference is the variance.
class Moments {
public:
    template <class Op>
    Moments(const Op& op, const WindowRows& geometry, Scratch::Frame& frame)
        : g_(geometry),
          parameters_{Power(op.beta),
                      1 / static_cast<double>(op.window.width * op.window.height),
                      op.alpha,
                      op.delta,
                      op.p0,
                      static_cast<float>(op.pm),
                      static_cast<float>(op.ps)},
          tile_(tileOf(geometry)),
          wide_(tile_ + op.window.width),
          rows_(op.window.height, frame),
          columns_(doubles(frame, 2 * wide_ * geometry.c)),
          sums_(doubles(frame, 2 * tile_ * geometry.c)),
          centres_(frame.floats(tile_ * geometry.c)) {}

    /// Columns of a tile: whole lines of the cache, of any number of channels.
    static std::int64_t tileOf(const WindowRows& g) {
        const std::int64_t columns =
            std::max<std::int64_t>(4 * g.window.width, kTile / std::max<std::int64_t>(1, g.c));
        return (columns + 15) / 16 * 16;
    }

    /// fn(first element of the row, elements, sums, squares, what the centres read) for the tiles of result
    /// row y; `soon` is another row of results that is used soon.
    template <class Fn>
    void forTiles(const float* image, std::int64_t y, const float* soon, Fn&& fn) {
        const auto& window = g_.window;
        g_.under(y, rows_);
        // The row that the windows of the next result row add.
        const std::int64_t added = y + 1 - window.padTop + window.height - 1;
        const float* newRow = added >= 0 && added < g_.h ? image + added * g_.w * g_.c : nullptr;
        const std::int64_t centre = g_.centre(y);
        const float* centreRow = centre < 0 ? nullptr : image + centre * g_.w * g_.c;
        double *const squareColumns = columns_ + wide_ * g_.c, *const squares = sums_ + tile_ * g_.c;
        for (std::int64_t x = 0; x < g_.outW; x += tile_) {
            const std::int64_t some = std::min(tile_, g_.outW - x), first = x - window.padLeft,
                               count = some + window.width - 1;
            g_.fillOutside(first, count, columns_, [&](std::int64_t from, std::int64_t to, double* into) {
                rows_.point(image + from * g_.c, g_.w * g_.c);
                PEWTER_VECTOR(weightedMoments)
                (rows_.at, rows_.weight, rows_.count, (to - from) * g_.c, into,
                 squareColumns + (into - columns_),
                 {{newRow ? newRow + from * g_.c : nullptr, soon ? soon + x * g_.c : nullptr}});
            });
            // Its columns inside came with those of the sums, and lie at the same places.
            g_.fillOutside(first, count, squareColumns, [](std::int64_t, std::int64_t, double*) {});
            const float* centres =
                g_.columns(centreRow, x - window.padLeft + window.width / 2, some, centres_);
            const std::int64_t all = some * g_.c, piece = window.width <= kFewTaps ? kPiece : all;
            for (std::int64_t i = 0; i < all; i += piece) {
                const std::int64_t elements = std::min(piece, all - i);
                PEWTER_VECTOR(slidingDoubles)(columns_ + i, window.width, g_.c, elements, sums_);
                PEWTER_VECTOR(slidingDoubles)(squareColumns + i, window.width, g_.c, elements, squares);
                fn(x * g_.c + i, elements, sums_, squares, centres + i);
            }
        }
    }

    const ContrastParameters& parameters() const { return parameters_; }

private:
    const WindowRows& g_;
    ContrastParameters parameters_;
    std::int64_t tile_, wide_;
    WindowRows::Rows rows_;
    double *columns_, *sums_;
    float* centres_;
};

}  // namespace

void Cpu::run(const ops::LocalContrastNormalizationForward& op, ops::Stream& stream) {
    if (op.dst.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Tensor src = staged(op.src, frame);
    const StagedOutput dst(op.dst, frame);
    const WindowRows geometry(op.window, op.src, op.dst);
    const std::int64_t rows = op.dst.n * op.dst.h, length = geometry.outW * geometry.c;
    const std::int64_t parts = rowPartsOf(rows, length);
    std::vector<Moments> moments;
    for (std::int64_t part = 0; part < parts; ++part) moments.emplace_back(op, geometry, frame);
    forParts(parts, rows, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        auto& own = moments[static_cast<std::size_t>(part)];
        for (std::int64_t row = from; row < to; ++row) {
            const auto* image = static_cast<const float*>(at(src, row / op.dst.h, 0, 0));
            float* y = dst.data() + row * length;
            own.forTiles(image, row % op.dst.h, y,
                         [&](std::int64_t first, std::int64_t count, const double* sums,
                             const double* squares, const float* x) {
                             PEWTER_VECTOR(contrastRun)
                             (own.parameters(), sums, squares, x, y + first, count);
                         });
        }
    });
    dst.finish();
}

namespace {

/// The gradient of one range of source rows at a time. What the windows of a result row give is kept until no
/// source row needs it: a = g T^-beta, and where the variance counts b = g (x - p0 M) T^(-beta-1) and b M.
class ContrastAdjoint {
public:
    ContrastAdjoint(const ops::LocalContrastNormalizationGradient& op, const WindowRows& geometry,
                    std::int64_t capacity, Scratch::Frame& frame)
        : g_(geometry),
          moments_(op, geometry, frame),
          shares_(geometry, capacity, frame),
          past_(isStreamed(op.diffSrc)),
          length_(geometry.outW * geometry.c),
          tile_(geometry.clamps() ? geometry.w : Moments::tileOf(geometry)),
          parameters_{moments_.parameters().ps, static_cast<float>(op.p0 * moments_.parameters().share),
                      static_cast<float>(2 * op.alpha * op.beta * moments_.parameters().share)},
          kinds_(parameters_.factor != 0 ? 3 : 1),
          centres_(frame.floats(geometry.clamps() ? shares_.rowRoom() : tile_ * geometry.c)),
          room_(frame.floats(3 * tile_ * geometry.c)) {
        const std::int64_t wide =
            geometry.clamps() ? shares_.rowRoom() : (tile_ + op.window.width) * geometry.c;
        for (int i = 0; i < kinds_; ++i) {
            rings_[i] = shares_.newRing(frame);
            for (auto& row : rooms_) row[i] = frame.floats(wide);
        }
    }

    /// Source rows [from, to) of one image.
    void run(const float* image, const float* gradient, float* diff, std::int64_t from, std::int64_t to) {
        std::int64_t next = g_.firstOver(from);
        for (std::int64_t v = from; v < to;) {
            const bool pair = v + 1 < to && g_.overPairs(v);
            for (const std::int64_t end = g_.endOver(pair ? v + 1 : v); next < end; ++next)
                window(image, gradient, next);
            if (g_.clamps())
                clampedSource(image, diff, v);
            else
                sources(image, diff, v, pair);
            v += pair ? 2 : 1;
        }
    }

private:
    float* slot(int kind, std::int64_t row, std::int64_t element) const {
        return rings_[kind] ? shares_.slot(rings_[kind], row) + element : nullptr;
    }

    void window(const float* image, const float* gradient, std::int64_t row) {
        const float* g = gradient + row * length_;
        moments_.forTiles(image, row, row + 1 < g_.outH ? g + length_ : nullptr,
                          [&](std::int64_t first, std::int64_t count, const double* sums,
                              const double* squares, const float* x) {
                              PEWTER_VECTOR(contrastGradientRun)
                              (moments_.parameters(), sums, squares, x, g + first, slot(0, row, first),
                               slot(1, row, first), slot(2, row, first), count);
                          });
    }

    void sources(const float* image, float* diff, std::int64_t v, bool pair) {
        for (std::int64_t x = 0; x < g_.w; x += tile_) {
            const std::int64_t some = std::min(tile_, g_.w - x);
            for (int i = 0; i < kinds_; ++i)
                shares_.columns(rings_[i], v, x, some, rooms_[0][i], pair ? rooms_[1][i] : nullptr);
            for (std::int64_t row = 0; row < (pair ? 2 : 1); ++row) {
                const std::int64_t first = ((v + row) * g_.w + x) * g_.c;
                PEWTER_VECTOR(contrastSourceRun)
                (parameters_, rooms_[row], g_.window.width, g_.c, image + first,
                 shares_.centres(rings_[0], v + row, x, some, centres_), diff + first, some * g_.c, room_,
                 past_);
            }
        }
    }

    void clampedSource(const float* image, float* diff, std::int64_t v) {
        float* sums[3] = {};
        for (int i = 0; i < kinds_; ++i) sums[i] = shares_.clampedSums(rings_[i], v, rooms_[0][i]);
        const std::int64_t first = v * g_.w * g_.c;
        PEWTER_VECTOR(contrastSourceRun)
        (parameters_, sums, 1, g_.c, image + first, shares_.clampedCentres(rings_[0], v, centres_),
         diff + first, g_.w * g_.c, room_, past_);
    }

    const WindowRows& g_;
    Moments moments_;
    WindowShares shares_;
    bool past_;
    std::int64_t length_, tile_;
    ContrastSourceParameters parameters_;
    int kinds_;
    float *centres_, *room_, *rings_[3] = {}, *rooms_[2][3] = {};
};

}  // namespace

void Cpu::run(const ops::LocalContrastNormalizationGradient& op, ops::Stream& stream) {
    runAdjoints<ContrastAdjoint>(op, stream);
}

}  // namespace pewter::cpu
