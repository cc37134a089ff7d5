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
          tile_(std::max<std::int64_t>(4 * op.window.width, kTile / std::max<std::int64_t>(1, geometry.c))),
          rows_(op.window.height, frame),
          columns_(frame.floats((tile_ + op.window.width) * geometry.c)),
          sums_(frame.floats(tile_ * geometry.c)),
          centres_(frame.floats(tile_ * geometry.c)) {}

    /// fn(first element of the row, elements, sums of the columns' squares, what the centres read) for the tiles of result
    /// row y; `written` is another row of results that is used soon.
    template <class Fn>
    void forTiles(const float* image, std::int64_t y, const float* written, Fn&& fn) {
        const auto& window = g_.window;
        g_.under(y, rows_);
        rows_.point(image, g_.w * g_.c);
        // The row that the windows of the next result row add.
        const std::int64_t added = y + 1 - window.padTop + window.height - 1;
        const float* newRow = added >= 0 && added < g_.h ? image + added * g_.w * g_.c : nullptr;
        const std::int64_t centre = g_.centre(y);
        const float* centreRow = centre < 0 ? nullptr : image + centre * g_.w * g_.c;
        for (std::int64_t x = 0; x < g_.outW; x += tile_) {
            const std::int64_t some = std::min(tile_, g_.outW - x);
            g_.fillOutside(x - window.padLeft, some + window.width - 1, columns_,
                           [&](std::int64_t from, std::int64_t to, float* into) {
                               for (std::int64_t i = 0; i < rows_.count; ++i) rows_.at[i] += from * g_.c;
                               PEWTER_VECTOR(weightedSquares)
                               (rows_.at, rows_.weight, rows_.count, (to - from) * g_.c, into,
                                newRow ? newRow + from * g_.c : nullptr,
                                written ? written + x * g_.c : nullptr);
                               for (std::int64_t i = 0; i < rows_.count; ++i) rows_.at[i] -= from * g_.c;
                           });
            fn(x * g_.c, some * g_.c, columns_,
               g_.columns(centreRow, x - window.padLeft + window.width / 2, some, centres_));
        }
    }

    const SpatialParameters& parameters() const { return parameters_; }
    float* room() const { return sums_; }

private:
    const WindowRows& g_;
    SpatialParameters parameters_;
    std::int64_t tile_;
    WindowRows::Rows rows_;
    float *columns_, *sums_, *centres_;
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
    forParts(parts, rows, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        auto& own = windows[static_cast<std::size_t>(part)];
        for (std::int64_t row = from; row < to; ++row) {
            const auto* image = static_cast<const float*>(at(src, row / op.dst.h, 0, 0));
            float* y = dst.data() + row * length;
            own.forTiles(image, row % op.dst.h, y,
                         [&](std::int64_t first, std::int64_t count, float* columns, const float* x) {
                             PEWTER_VECTOR(spatialRun)
                             (own.parameters(), columns, op.window.width, geometry.c, x, y + first, count, own.room());
                         });
        }
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
          capacity_(capacity),
          length_(geometry.outW * geometry.c),
          factor_(static_cast<float>(-2 * op.alpha * op.beta /
                                     static_cast<double>(op.window.width * op.window.height))),
          rows_(capacity, frame),
          a_(frame.floats(capacity * length_)),
          s_(frame.floats(capacity * length_)),
          wide_(frame.floats((geometry.outW + 2 * (op.window.width - 1)) * geometry.c)),
          sums_(frame.floats((geometry.outW + op.window.width - 1) * geometry.c)),
          centres_(frame.floats(length_)),
          foldedA_(frame.floats(geometry.w * geometry.c)),
          foldedS_(frame.floats(geometry.w * geometry.c)) {}

    /// Source rows [from, to) of one image.
    void run(const float* image, const float* gradient, float* diff, std::int64_t from, std::int64_t to) {
        std::int64_t next = g_.firstOver(from);
        for (std::int64_t v = from; v < to; ++v) {
            for (const std::int64_t end = g_.endOver(v); next < end; ++next) window(image, gradient, next);
            const float* sums = tapSums(v);
            const float* centres = centreSums(v);
            PEWTER_VECTOR(spatialSourceRun)
            (factor_, image + v * g_.w * g_.c, centres, sums, diff + v * g_.w * g_.c, g_.w * g_.c);
        }
    }

private:
    float* slot(float* ring, std::int64_t row) const { return ring + row % capacity_ * length_; }

    void window(const float* image, const float* gradient, std::int64_t row) {
        const float* g = gradient + row * length_;
        float *a = slot(a_, row), *s = slot(s_, row);
        windows_.forTiles(image, row, row + 1 < g_.outH ? g + length_ : nullptr,
                          [&](std::int64_t first, std::int64_t count, float* columns, const float* x) {
                              PEWTER_VECTOR(spatialGradientRun)
                              (windows_.parameters(), columns, g_.window.width, g_.c, x, g + first, a + first,
                               s + first, count, windows_.room());
                          });
    }

    const float* tapSums(std::int64_t v) {
        g_.over(v, rows_);
        for (std::int64_t i = 0; i < rows_.count; ++i) rows_.at[i] = slot(s_, rows_.index[i]);
        const std::int64_t around = g_.window.width - 1, count = g_.outW + around;
        std::fill_n(wide_, around * g_.c, 0.0f);
        PEWTER_VECTOR(weightedSums)(rows_.at, rows_.weight, rows_.count, length_, wide_ + around * g_.c);
        std::fill_n(wide_ + count * g_.c, around * g_.c, 0.0f);
        PEWTER_VECTOR(slidingSums)(wide_, g_.window.width, g_.c, count * g_.c, sums_);
        return g_.folded(sums_, count, g_.window.padLeft, foldedS_);
    }

    const float* centreSums(std::int64_t v) {
        g_.centredOn(v, g_.firstOver(v), g_.endOver(v), rows_);
        for (std::int64_t i = 0; i < rows_.count; ++i) rows_.at[i] = slot(a_, rows_.index[i]);
        PEWTER_VECTOR(weightedSums)(rows_.at, rows_.weight, rows_.count, length_, centres_);
        return g_.folded(centres_, g_.outW, g_.window.padLeft - g_.window.width / 2, foldedA_);
    }

    const WindowRows& g_;
    Windows windows_;
    std::int64_t capacity_, length_;
    float factor_;
    WindowRows::Rows rows_;
    float *a_, *s_, *wide_, *sums_, *centres_, *foldedA_, *foldedS_;
};

}  // namespace

void Cpu::run(const ops::SpatialNormalizationGradient& op, ops::Stream& stream) {
    runAdjoints<SpatialAdjoint>(op, stream);
}

}  // namespace pewter::cpu
