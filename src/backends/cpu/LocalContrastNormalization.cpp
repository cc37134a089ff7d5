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
          tile_(std::max<std::int64_t>(4 * op.window.width, kTile / std::max<std::int64_t>(1, geometry.c))),
          wide_(tile_ + op.window.width),
          rows_(op.window.height, frame),
          columns_(doubles(frame, 2 * wide_ * geometry.c)),
          sums_(doubles(frame, 2 * tile_ * geometry.c)),
          centres_(frame.floats(tile_ * geometry.c)) {}

    /// fn(first element of the row, elements, sums, squares, what the centres read) for the tiles of result
    /// row y; `written` is another row of results that is used soon.
    template <class Fn>
    void forTiles(const float* image, std::int64_t y, const float* written, Fn&& fn) {
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
                (rows_.at, rows_.weight, rows_.count, (to - from) * g_.c, into, squareColumns + (into - columns_),
                 newRow ? newRow + from * g_.c : nullptr, written ? written + x * g_.c : nullptr);
            });
            // Its columns inside came with those of the sums, and lie at the same places.
            g_.fillOutside(first, count, squareColumns, [](std::int64_t, std::int64_t, double*) {});
            const float* centres = g_.columns(centreRow, x - window.padLeft + window.width / 2, some, centres_);
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
          capacity_(capacity),
          length_(geometry.outW * geometry.c),
          meanShare_(static_cast<float>(op.p0 * moments_.parameters().share)),
          factor_(static_cast<float>(2 * op.alpha * op.beta * moments_.parameters().share)),
          rows_(capacity, frame),
          a_(frame.floats(capacity * length_)),
          wide_(frame.floats((geometry.outW + 2 * (op.window.width - 1)) * geometry.c)),
          centres_(frame.floats(length_)),
          foldedCentres_(frame.floats(geometry.w * geometry.c)) {
        for (int i = 0; i < (factor_ != 0 ? 3 : 1); ++i) {
            sums_[i] = frame.floats((geometry.outW + op.window.width - 1) * geometry.c);
            foldedSums_[i] = frame.floats(geometry.w * geometry.c);
        }
        if (factor_ == 0) return;
        b_ = frame.floats(capacity * length_);
        bm_ = frame.floats(capacity * length_);
    }

    /// Source rows [from, to) of one image.
    void run(const float* image, const float* gradient, float* diff, std::int64_t from, std::int64_t to) {
        std::int64_t next = g_.firstOver(from);
        for (std::int64_t v = from; v < to; ++v) {
            for (const std::int64_t end = g_.endOver(v); next < end; ++next) window(image, gradient, next);
            const float* centres = centreSums(v);
            const float* sumA = tapSums(v, a_, 0);
            const float *sumB = b_ ? tapSums(v, b_, 1) : nullptr, *sumBM = b_ ? tapSums(v, bm_, 2) : nullptr;
            const std::int64_t first = v * g_.w * g_.c;
            PEWTER_VECTOR(contrastSourceRun)
            (moments_.parameters().ps, meanShare_, factor_, image + first, centres, sumA, sumB, sumBM,
             diff + first, g_.w * g_.c);
        }
    }

private:
    float* slot(float* ring, std::int64_t row) const { return ring + row % capacity_ * length_; }

    void window(const float* image, const float* gradient, std::int64_t row) {
        const float* g = gradient + row * length_;
        float *a = slot(a_, row), *b = b_ ? slot(b_, row) : nullptr, *bm = b_ ? slot(bm_, row) : nullptr;
        moments_.forTiles(image, row, row + 1 < g_.outH ? g + length_ : nullptr,
                          [&](std::int64_t first, std::int64_t count, const double* sums,
                              const double* squares, const float* x) {
                              PEWTER_VECTOR(contrastGradientRun)
                              (moments_.parameters(), sums, squares, x, g + first, a + first,
                               b ? b + first : nullptr, b ? bm + first : nullptr, count);
                          });
    }

    const float* tapSums(std::int64_t v, float* ring, int field) {
        g_.over(v, rows_);
        for (std::int64_t i = 0; i < rows_.count; ++i) rows_.at[i] = slot(ring, rows_.index[i]);
        const std::int64_t around = g_.window.width - 1, count = g_.outW + around;
        std::fill_n(wide_, around * g_.c, 0.0f);
        PEWTER_VECTOR(weightedSums)(rows_.at, rows_.weight, rows_.count, length_, wide_ + around * g_.c);
        std::fill_n(wide_ + count * g_.c, around * g_.c, 0.0f);
        PEWTER_VECTOR(slidingSums)(wide_, g_.window.width, g_.c, count * g_.c, sums_[field]);
        return g_.folded(sums_[field], count, g_.window.padLeft, foldedSums_[field]);
    }

    const float* centreSums(std::int64_t v) {
        g_.centredOn(v, g_.firstOver(v), g_.endOver(v), rows_);
        for (std::int64_t i = 0; i < rows_.count; ++i) rows_.at[i] = slot(a_, rows_.index[i]);
        PEWTER_VECTOR(weightedSums)(rows_.at, rows_.weight, rows_.count, length_, centres_);
        return g_.folded(centres_, g_.outW, g_.window.padLeft - g_.window.width / 2, foldedCentres_);
    }

    const WindowRows& g_;
    Moments moments_;
    std::int64_t capacity_, length_;
    float meanShare_, factor_;
    WindowRows::Rows rows_;
    float *a_, *b_ = nullptr, *bm_ = nullptr, *wide_, *centres_, *foldedCentres_;
    float *sums_[3] = {}, *foldedSums_[3] = {};
};

}  // namespace

void Cpu::run(const ops::LocalContrastNormalizationGradient& op, ops::Stream& stream) {
    runAdjoints<ContrastAdjoint>(op, stream);
}

}  // namespace pewter::cpu
