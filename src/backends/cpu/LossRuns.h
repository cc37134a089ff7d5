#pragma once

#include <algorithm>
#include <cstdint>

#include "backends/cpu/Parallel.h"
#include "backends/cpu/Runs.h"
#include "ops/Loss.h"

// What losses of one image and of detectors share.

namespace pewter::cpu {

/// The pixels of an image batch in runs: rows are shared among the threads, a row is cut into runs of whole
/// pixels.
class PixelRuns {
public:
    /// `run`: elements of a run at the most (a pixel is never cut).
    explicit PixelRuns(const ops::Tensor& src, std::int64_t run = kRun)
        : rows_(src.n * src.h),
          width_(src.w),
          c_(src.c),
          pixels_(std::min(std::max<std::int64_t>(1, run / c_), std::max<std::int64_t>(1, width_))),
          parts_(partsOf(
              rows_, std::max<std::int64_t>(1, kElementGrain / 4 / std::max<std::int64_t>(1, width_ * c_)))) {
    }

    std::int64_t rows() const { return rows_; }
    /// Elements of the longest run.
    std::int64_t room() const { return pixels_ * c_; }
    std::int64_t pixels() const { return pixels_; }

    /// fn(row, first, pixels, buffer) for every run, on all threads: `first` counts elements from the start
    /// of the batch, buffer holds `floats`. Runs of one row come in order on one thread.
    template <typename Fn>
    void each(Scratch::Frame& frame, std::int64_t floats, Fn&& fn) const {
        // Each thread's buffer begins with a cache line.
        const std::int64_t room = (floats + 15) / 16 * 16;
        float* const rooms = frame.floats(parts_ * room);
        forParts(parts_, rows_, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
            for (std::int64_t row = from; row < to; ++row)
                for (std::int64_t x = 0; x < width_; x += pixels_)
                    fn(row, (row * width_ + x) * c_, std::min(pixels_, width_ - x), rooms + part * room);
        });
    }

private:
    std::int64_t rows_, width_, c_, pixels_, parts_;
};

/// Loss sum and count of non-zero weights of one row of one image.
struct RowSum {
    double loss = 0, count = 0;
};

/// Zeros for every row. Sums go by rows, so that the result does not depend on the number of threads.
RowSum* rowSums(const PixelRuns& runs, Scratch::Frame& frame);

/// What the sum of losses is divided by; `elements` of an image, of `images` images, `counted` of non-zero
/// weight.
double divisorOf(const ops::LossReduction& reduction, double elements, double images, double counted);

/// Losses an image that Mean counts: a pixel is one loss of a softmax.
double lossesOf(const ops::LossFunction& function, const ops::Tensor& src);

/// Sums of images from those of their rows, plus `constant` an image, reduced into a loss of n values.
void reduceRows(const ops::LossReduction& reduction, const RowSum* rows, const ops::Tensor& src,
                double elements, double constant, const ops::Tensor& loss, Scratch::Frame& frame);

}  // namespace pewter::cpu
