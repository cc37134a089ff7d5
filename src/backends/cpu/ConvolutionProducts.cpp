#include "backends/cpu/ConvolutionProducts.h"

#include <algorithm>

#include "backends/cpu/MatrixProduct.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/BatchNormalization.h"
#include "backends/cpu/vector/Register.h"

namespace pewter::cpu {

namespace {

/// Fewer channels than this on either side, and copies cost as much as products.
constexpr std::int64_t kLeastChannels = 16;
/// Windows that are multiplied together: sums at least so long, and what they cover in half of a second-level cache.
constexpr std::int64_t kLeastWindows = 256, kWindowFloats = std::int64_t{1} << 17;
/// The same by all threads together, which pass over large gradients of weights once for it.
constexpr std::int64_t kSharedFloats = std::int64_t{1} << 21;
/// Gradients of weights up to this size are summed by every thread for itself, over windows of its own.
constexpr std::int64_t kOwnSums = std::int64_t{1} << 18;

/// What the windows of a problem cover, counted through all images.
class Windows {
public:
    explicit Windows(const Problem& problem)
        : p_(problem),
          row_(problem.x.taps * problem.inputs),
          length_(problem.y.taps * row_),
          count_(problem.n * problem.y.outputs * problem.x.outputs) {}

    std::int64_t count() const { return count_; }
    /// Elements that one covers.
    std::int64_t length() const { return length_; }
    /// How many are multiplied together.
    std::int64_t together(std::int64_t floats) const {
        return std::min(count_, std::max<std::int64_t>(kLeastWindows, floats / length_));
    }
    /// Whether windows are single pixels that lie one behind the other.
    bool arePixels() const {
        const auto isOne = [](const Axis& a) {
            return a.taps == 1 && a.stride == 1 && a.before == 0 && a.source == a.outputs;
        };
        return isOne(p_.y) && isOne(p_.x);
    }

    /// Rows of the matrix for windows [from, to), with zeros outside of the image.
    void gather(const float* src, std::int64_t from, std::int64_t to, float* rows) const {
        forTaps(from, to, [&](std::int64_t pixel, std::int64_t first, std::int64_t last, std::int64_t at) {
            float* const row = rows + at;
            std::fill_n(row, first * p_.inputs, 0.0f);
            std::copy_n(src + pixel * p_.inputs, (last - first) * p_.inputs, row + first * p_.inputs);
            std::fill_n(row + last * p_.inputs, (p_.x.taps - last) * p_.inputs, 0.0f);
        });
    }

    /// The way back, where every pixel is in at most one window; those in none become 0 unless results are added.
    void spread(const float* rows, std::int64_t from, std::int64_t to, bool add, bool past, float* src) const {
        const auto copy = past ? PEWTER_VECTOR(copyRunPast) : copyPlain;
        forTaps(from, to, [&](std::int64_t pixel, std::int64_t first, std::int64_t last, std::int64_t at) {
            const float* const values = rows + at + first * p_.inputs;
            float* const to = src + pixel * p_.inputs;
            const std::int64_t count = (last - first) * p_.inputs;
            if (!add) return copy(values, to, count);
            for (std::int64_t i = 0; i < count; ++i) to[i] += values[i];
        });
        for (std::int64_t window = from; window < to && !add; ++window) clearAfter(window, src);
        if (past) baseline::streamEnd();
    }

private:
    static void copyPlain(const float* from, float* to, std::int64_t count) { std::copy_n(from, count, to); }

    /// fn(source pixel under the first tap that is inside, that tap, the one behind the last, where the row of taps lies in the
    /// matrix) for every row of taps; a row outside has no taps.
    template <class Fn>
    void forTaps(std::int64_t from, std::int64_t to, Fn fn) const {
        for (std::int64_t window = from; window < to; ++window) {
            const std::int64_t line = window / p_.x.outputs, n = line / p_.y.outputs;
            const std::int64_t left = window % p_.x.outputs * p_.x.stride - p_.x.before,
                               top = line % p_.y.outputs * p_.y.stride - p_.y.before;
            const std::int64_t first = std::clamp<std::int64_t>(-left, 0, p_.x.taps),
                               last = std::clamp<std::int64_t>(p_.x.source - left, first, p_.x.taps);
            for (std::int64_t r = 0; r < p_.y.taps; ++r) {
                const std::int64_t v = top + r * p_.y.dilation, at = (window - from) * length_ + r * row_;
                const bool inside = v >= 0 && v < p_.y.source;
                fn((n * p_.y.source + v) * p_.x.source + left + first, first, inside ? last : first, at);
            }
        }
    }

    /// Zeros for the pixels right of the last window of a row and under those of the last row.
    void clearAfter(std::int64_t window, float* src) const {
        const std::int64_t line = window / p_.x.outputs, y = line % p_.y.outputs;
        if (window % p_.x.outputs + 1 < p_.x.outputs) return;
        const std::int64_t width = p_.x.source * p_.inputs;
        float* const image = src + line / p_.y.outputs * p_.y.source * width;
        const std::int64_t top = std::max<std::int64_t>(0, y * p_.y.stride - p_.y.before),
                           end = std::min(p_.y.source, (y + 1) * p_.y.stride - p_.y.before);
        const std::int64_t right = std::min(p_.x.source, p_.x.outputs * p_.x.stride - p_.x.before) * p_.inputs;
        for (std::int64_t v = top; v < end; ++v) std::fill(image + v * width + right, image + (v + 1) * width, 0.0f);
        if (y + 1 == p_.y.outputs) std::fill(image + end * width, image + p_.y.source * width, 0.0f);
    }

    const Problem& p_;
    std::int64_t row_, length_, count_;
};

/// to += the `parts` lists of `count` numbers at `from`, one after the other.
void addParts(const float* from, std::int64_t parts, std::int64_t count, float* to) {
    parallelFor(0, count, kElementGrain, [&](std::int64_t first, std::int64_t end) {
        for (std::int64_t part = 0; part < parts; ++part)
            for (std::int64_t i = first; i < end; ++i) to[i] += from[part * count + i];
    });
}

/// The weights' gradient is the transposed gradient of the results times the matrix of windows.
void weightsGradient(const ConvolutionTask& task, const ConvolutionOperands& operands, Scratch::Frame& frame) {
    const Problem& p = task.problem;
    const Windows windows(p);
    const std::int64_t length = windows.length(), count = p.outputs * length;
    const std::int64_t together = windows.together(count > kOwnSums ? kSharedFloats : kWindowFloats);
    const auto* const src = static_cast<const float*>(operands.src);
    const auto* const dst = static_cast<const float*>(operands.dst);
    const auto add = [&](std::int64_t first, std::int64_t some, const float* matrix, bool adds, float* sums) {
        multiply(true, p.outputs, length, some, 1.0f, dst + first * p.outputs, matrix, sums, adds);
    };
    if (count > kOwnSums) {
        float* const matrix = windows.arePixels() ? nullptr : frame.floats(together * length);
        for (std::int64_t first = 0; first < windows.count(); first += together) {
            const std::int64_t some = std::min(together, windows.count() - first);
            if (matrix)
                parallelFor(0, some, std::max<std::int64_t>(1, kElementGrain / length),
                            [&](std::int64_t from, std::int64_t to) {
                                windows.gather(src, first + from, first + to, matrix + from * length);
                            });
            add(first, some, matrix ? matrix : src + first * length, first > 0 || task.accumulate, operands.weights);
        }
        return;
    }
    const std::int64_t parts = partsOf(windows.count(), kLeastWindows);
    float* const sums = frame.floats((parts - 1) * count);
    float* const rooms = windows.arePixels() ? nullptr : frame.floats(parts * together * length);
    forParts(parts, windows.count(), [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        float* const own = part == 0 ? operands.weights : sums + (part - 1) * count;
        float* const matrix = rooms ? rooms + part * together * length : nullptr;
        for (std::int64_t first = from; first < to; first += together) {
            const std::int64_t some = std::min(together, to - first);
            if (matrix) windows.gather(src, first, first + some, matrix);
            add(first, some, matrix ? matrix : src + first * length, first > from || (part == 0 && task.accumulate), own);
        }
    });
    if (parts > 1) addParts(sums, parts - 1, count, operands.weights);
}

/// The matrix of windows is the gradient of the results times the weights.
void dataGradient(const ConvolutionTask& task, const ConvolutionOperands& operands, Scratch::Frame& frame) {
    const Problem& p = task.problem;
    const Windows windows(p);
    const std::int64_t length = windows.length(), together = windows.together(kWindowFloats);
    const auto* const dst = static_cast<const float*>(operands.dst);
    auto* const src = static_cast<float*>(operands.src);
    const bool past = p.n * p.y.source * p.x.source * p.inputs >= kStreamedElements;
    const std::int64_t parts = partsOf(windows.count(), kLeastWindows);
    float* const rooms = frame.floats(parts * together * length);
    forParts(parts, windows.count(), [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        float* const matrix = rooms + part * together * length;
        for (std::int64_t first = from; first < to; first += together) {
            const std::int64_t some = std::min(together, to - first);
            multiply(false, some, length, p.outputs, 1.0f, dst + first * p.outputs, operands.weights, matrix);
            windows.spread(matrix, first, first + some, task.accumulate, past, src);
        }
    });
}

}  // namespace

bool hasProducts(const ConvolutionTask& task) {
    const Problem& p = task.problem;
    const bool isPlain = task.srcType == ops::Type::Float32 && task.dstType == ops::Type::Float32 && p.groups == 1 &&
                         !p.clamp && p.x.dilation == 1;
    if (!isPlain || p.inputs < kLeastChannels || p.outputs < kLeastChannels) return false;
    if (task.direction == Direction::WeightsGradient) return true;
    const auto liesSideBySide = [](const Axis& a) { return a.stride == a.taps && a.dilation == 1; };
    return task.direction == Direction::DataGradient && liesSideBySide(p.y) && liesSideBySide(p.x);
}

void executeProducts(const ConvolutionTask& task, const ConvolutionOperands& operands, Scratch::Frame& frame) {
    if (task.direction == Direction::WeightsGradient)
        weightsGradient(task, operands, frame);
    else
        dataGradient(task, operands, frame);
}

}  // namespace pewter::cpu
