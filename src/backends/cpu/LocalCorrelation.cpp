#include "backends/cpu/vector/LocalCorrelation.h"

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// Fewer channels than this leave much of a dot product's vectors idle: then pixels lie side by side instead.
constexpr std::int64_t kFewChannels = 32;

/// Results from this size on go past the caches: nothing of them would be left there for their reader.
constexpr std::int64_t kStreamedFloats = std::int64_t{2} << 20;

/// Room for `count` floats of every plane: whole registers, and an odd number of them, so that the planes of
/// a pixel do not share their places in a cache.
std::int64_t planeOf(std::int64_t count) { return ((count + kMostLanes - 1) / kMostLanes | 1) * kMostLanes; }

template <class T>
T* take(std::int64_t count, Scratch::Frame& frame) {
    return static_cast<T*>(frame.bytes(static_cast<std::size_t>(count) * sizeof(T)));
}

std::int64_t landing(std::int64_t position, std::int64_t extent, ops::Edge edge) {
    if (position >= 0 && position < extent) return position;
    return edge == ops::Edge::Clamp ? std::clamp<std::int64_t>(position, 0, extent - 1) : -1;
}

/// One thread's way through result rows.
class Correlation {
public:
    Correlation(const ops::LocalCorrelation& op, const Tensor& primary, const Tensor& secondary,
                Scratch::Frame& frame)
        : op_(op),
          primary_(primary),
          secondary_(secondary),
          c_(primary.c),
          width_(2 * op.windowX + 1),
          height_(2 * op.windowY + 1),
          shifts_(width_ * height_),
          wide_(op.dst.w + 2 * op.windowX * op.strideX),
          slots_(std::min(2 * op.windowY * op.strideY + 1, secondary.h)),
          zeros_(frame.floats(c_)),
          columns_(take<std::int64_t>(wide_, frame)) {
        std::fill_n(zeros_, c_, 0.0f);
        for (std::int64_t j = 0; j < wide_; ++j) {
            const std::int64_t u = landing(op.offsetX + j - op.windowX * op.strideX, secondary.w, op.edge);
            columns_[j] = u < 0 ? -1 : u * c_;
        }
        if (c_ < kFewChannels)
            takePlanes(frame);
        else
            pixels_ = take<const float*>(wide_, frame);
    }

    void row(std::int64_t image, std::int64_t y, float* dst) {
        for (std::int64_t n = 0; n < height_; ++n) {
            const std::int64_t v =
                landing(op_.offsetY + y + (n - op_.windowY) * op_.strideY, secondary_.h, op_.edge);
            float* to = dst + n * width_;
            if (planes_)
                rows_[n] = keptPlanes(image, v);
            else if (v < 0)
                for (std::int64_t x = 0; x < op_.dst.w; ++x) std::fill_n(to + x * shifts_, width_, 0.0f);
            else
                byPixels(image, y, v, to);
        }
        if (planes_) byPlanes(image, y, dst);
    }

private:
    /// Pixels of a row whose distance from pixel `phase` is a multiple of the stride: neighbouring shifts of
    /// theirs are neighbours.
    std::int64_t pixelsOf(std::int64_t phase) const {
        return (op_.dst.w - phase + op_.strideX - 1) / op_.strideX;
    }

    void takePlanes(Scratch::Frame& frame) {
        planeA_ = planeOf(pixelsOf(0));
        planeB_ = planeOf(planeA_ + width_ + kMostLanes);
        const std::int64_t ofA = op_.strideX * c_ * planeA_,
                           all = ofA + op_.strideX * c_ * (slots_ + 1) * planeB_;
        primaryPlanes_ = frame.floats(all);
        planes_ = primaryPlanes_ + ofA;
        std::fill_n(primaryPlanes_, all, 0.0f);
        sums_ = frame.floats(2 * shifts_ * kMostLanes);
        held_ = take<std::int64_t>(slots_, frame);
        std::fill_n(held_, slots_, -1);
        rows_ = take<const float*>(height_, frame);
        own_ = take<std::int64_t>(op_.dst.w, frame);
        for (std::int64_t x = 0; x < op_.dst.w; ++x) own_[x] = x * c_;
        streaming_ = isPlain(op_.dst) && op_.dst.count() >= kStreamedFloats;
    }

    void byPixels(std::int64_t image, std::int64_t y, std::int64_t v, float* dst) {
        const float* const row = rowOf(secondary_, image, v);
        for (std::int64_t j = 0; j < wide_; ++j) pixels_[j] = columns_[j] < 0 ? zeros_ : row + columns_[j];
        PEWTER_VECTOR(dotProducts)
        (rowOf(primary_, image, y), pixels_, op_.dst.w, c_, width_, op_.strideX, dst, shifts_);
    }

    /// Row y of an image's dense pixels, or null outside.
    static const float* rowOf(const Tensor& pixels, std::int64_t image, std::int64_t y) {
        return y < 0 || y >= pixels.h ? nullptr : static_cast<const float*>(at(pixels, image, y, 0));
    }

    void byPlanes(std::int64_t image, std::int64_t y, float* dst) {
        const PixelRow row{rowOf(primary_, image, y), zeros_, own_};
        for (std::int64_t phase = 0; phase < op_.strideX && phase < op_.dst.w; ++phase) {
            float* const a = primaryPlanes_ + phase * c_ * planeA_;
            planesOf(row, phase, pixelsOf(phase), a, planeA_);
            ShiftedPixels pixels{a,  planeA_, phase * c_ * planeB_,  planeB_,    pixelsOf(phase),
                                 c_, width_,  op_.strideX * shifts_, streaming_, {}};
            if (op_.strideX == 1) {
                pixels.next[0] = rowOf(primary_, image, y + op_.strideY);
                pixels.next[1] = rowOf(secondary_, image, op_.offsetY + y + (op_.windowY + 1) * op_.strideY);
            }
            PEWTER_VECTOR(shiftedProducts)(pixels, rows_, height_, sums_, dst + phase * shifts_);
        }
    }

    /// The channel planes of every strideX-th pixel of a row.
    void planesOf(PixelRow row, std::int64_t phase, std::int64_t count, float* planes,
                  std::int64_t plane) const {
        row.columns += phase;
        PEWTER_VECTOR(channelPlanes)(row, count, op_.strideX, c_, planes, plane);
    }

    /// Those of a row of the secondary, every phase's, kept for the result rows that follow; zeros for a row
    /// outside.
    const float* keptPlanes(std::int64_t image, std::int64_t v) {
        const std::int64_t phaseRoom = c_ * planeB_, room = op_.strideX * phaseRoom;
        if (v < 0) return planes_ + slots_ * room;
        const std::int64_t slot = v % slots_, id = image * secondary_.h + v;
        float* const planes = planes_ + slot * room;
        if (held_[slot] == id) return planes;
        const PixelRow row{rowOf(secondary_, image, v), zeros_, columns_};
        for (std::int64_t phase = 0; phase < op_.strideX && phase < op_.dst.w; ++phase)
            planesOf(row, phase, pixelsOf(phase) + width_ - 1, planes + phase * phaseRoom, planeB_);
        held_[slot] = id;
        return planes;
    }

    const ops::LocalCorrelation& op_;
    const Tensor &primary_, &secondary_;
    std::int64_t c_, width_, height_, shifts_, wide_, slots_;
    float* zeros_;
    /// Where the secondary's pixels begin in their row, from the one under the first shift of result column 0
    /// on, or -1 outside; and many channels: the pixels.
    std::int64_t* columns_;
    const float** pixels_ = nullptr;
    /// Few channels: floats between planes; a phase has c_ of them.
    std::int64_t planeA_ = 0, planeB_ = 0;
    float *primaryPlanes_ = nullptr, *planes_ = nullptr, *sums_ = nullptr;
    const float** rows_ = nullptr;
    std::int64_t *held_ = nullptr, *own_ = nullptr;
    bool streaming_ = false;
};

}  // namespace

void Cpu::run(const ops::LocalCorrelation& op, ops::Stream& stream) {
    if (op.dst.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Tensor primary = staged(op.primary, frame), secondary = staged(op.secondary, frame);
    const StagedOutput dst(op.dst, frame);
    const std::int64_t rows = op.dst.n * op.dst.h, length = op.dst.w * op.dst.c;
    const std::int64_t parts = partsOf(
        rows, std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(1, length * primary.c)));
    std::vector<Correlation> own;
    for (std::int64_t part = 0; part < parts; ++part) own.emplace_back(op, primary, secondary, frame);
    forParts(parts, rows, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        // Rows a stride apart share most of the rows that they read, neighbours none.
        for (std::int64_t phase = 0; phase < op.strideY; ++phase)
            for (std::int64_t row = from + phase; row < to; row += op.strideY)
                own[static_cast<std::size_t>(part)].row(row / op.dst.h, row % op.dst.h,
                                                        dst.data() + row * length);
    });
    dst.finish();
}

}  // namespace pewter::cpu
