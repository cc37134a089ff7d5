#include "backends/cpu/vector/LocalCorrelation.h"

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// Fewer channels than this leave most of a dot product's vectors idle: then shifts lie side by side instead.
constexpr std::int64_t kFewChannels = 32;

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
          shifts_(width_ * (2 * op.windowY + 1)),
          wide_(op.dst.w + 2 * op.windowX * op.strideX),
          slots_(std::min(2 * op.windowY * op.strideY + 1, secondary.h)),
          zeros_(frame.floats(c_)),
          pixels_(static_cast<const float**>(frame.bytes(static_cast<std::size_t>(wide_) * sizeof(float*)))) {
        std::fill_n(zeros_, c_, 0.0f);
        if (c_ >= kFewChannels) return;
        phase_ = (wide_ + op.strideX - 1) / op.strideX;
        plane_ = phase_ * op.strideX;
        // Shifts are read as many at a time as there are lanes: past the end, the last time.
        planes_ = frame.floats((slots_ + 1) * c_ * plane_ + kShiftsAtOnce);
        std::fill_n(planes_, (slots_ + 1) * c_ * plane_ + kShiftsAtOnce, 0.0f);
        held_ =
            static_cast<std::int64_t*>(frame.bytes(static_cast<std::size_t>(slots_) * sizeof(std::int64_t)));
        std::fill_n(held_, slots_, -1);
        rows_ = static_cast<const float**>(
            frame.bytes(static_cast<std::size_t>(2 * op.windowY + 1) * sizeof(float*)));
    }

    void row(std::int64_t image, std::int64_t y, float* dst) {
        for (std::int64_t n = 0; n <= 2 * op_.windowY; ++n) {
            const std::int64_t v =
                landing(op_.offsetY + y + (n - op_.windowY) * op_.strideY, secondary_.h, op_.edge);
            float* to = dst + n * width_;
            if (planes_)
                rows_[n] = planesOf(image, v);
            else if (v < 0)
                for (std::int64_t x = 0; x < op_.dst.w; ++x) std::fill_n(to + x * shifts_, width_, 0.0f);
            else
                byPixels(image, y, v, to);
        }
        if (!planes_) return;
        const ShiftedRow r{static_cast<const float*>(at(primary_, image, y, 0)),
                           op_.dst.w,
                           c_,
                           width_,
                           op_.strideX,
                           phase_,
                           plane_,
                           shifts_};
        PEWTER_VECTOR(shiftedProducts)(r, rows_, 2 * op_.windowY + 1, dst);
    }

private:
    /// Where the pixels of secondary row v lie, from the one under the first shift of result column 0 on.
    void findPixels(std::int64_t image, std::int64_t v) {
        for (std::int64_t j = 0; j < wide_; ++j) {
            const std::int64_t u =
                landing(op_.offsetX + j - op_.windowX * op_.strideX, secondary_.w, op_.edge);
            pixels_[j] = u < 0 ? zeros_ : static_cast<const float*>(at(secondary_, image, v, u));
        }
    }

    void byPixels(std::int64_t image, std::int64_t y, std::int64_t v, float* dst) {
        findPixels(image, v);
        PEWTER_VECTOR(dotProducts)
        (static_cast<const float*>(at(primary_, image, y, 0)), pixels_, op_.dst.w, c_, width_, op_.strideX,
         dst, shifts_);
    }

    /// The channel planes of a row, kept for the result rows that follow; zeros for a row outside.
    const float* planesOf(std::int64_t image, std::int64_t v) {
        if (v < 0) return planes_ + slots_ * c_ * plane_;
        const std::int64_t slot = v % slots_, id = image * secondary_.h + v;
        float* planes = planes_ + slot * c_ * plane_;
        if (held_[slot] == id) return planes;
        findPixels(image, v);
        for (std::int64_t z = 0; z < c_; ++z)
            for (std::int64_t p = 0; p < op_.strideX; ++p)
                for (std::int64_t j = p, to = z * plane_ + p * phase_; j < wide_; j += op_.strideX)
                    planes[to++] = pixels_[j][z];
        held_[slot] = id;
        return planes;
    }

    const ops::LocalCorrelation& op_;
    const Tensor &primary_, &secondary_;
    std::int64_t c_, width_, shifts_, wide_, slots_;
    float* zeros_;
    const float** pixels_;
    std::int64_t phase_ = 0, plane_ = 0;
    float* planes_ = nullptr;
    const float** rows_ = nullptr;
    std::int64_t* held_ = nullptr;
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
        for (std::int64_t row = from; row < to; ++row)
            own[static_cast<std::size_t>(part)].row(row / op.dst.h, row % op.dst.h,
                                                    dst.data() + row * length);
    });
    dst.finish();
}

}  // namespace pewter::cpu
