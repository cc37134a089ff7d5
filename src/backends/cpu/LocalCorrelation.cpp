#include "backends/cpu/vector/LocalCorrelation.h"

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// Fewer channels than this leave most of a dot product's vectors idle: then pixels lie side by side instead.
constexpr std::int64_t kFewChannels = 32;
/// Pixels of a row taken at a time, so that their products stay in the caches.
constexpr std::int64_t kTile = 128;

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
          around_(2 * op.windowX * op.strideX),
          zeros_(frame.floats(c_)),
          pixels_(static_cast<const float**>(
              frame.bytes(static_cast<std::size_t>(kTile + around_) * sizeof(float*)))) {
        std::fill_n(zeros_, c_, 0.0f);
        if (c_ >= kFewChannels) return;
        planesA_ = frame.floats(c_ * kTile);
        planesB_ = frame.floats(c_ * (kTile + around_));
        products_ = frame.floats(width_ * kTile);
    }

    void row(std::int64_t image, std::int64_t y, float* dst) {
        for (std::int64_t x = 0; x < op_.dst.w; x += kTile)
            tile(image, y, x, std::min(kTile, op_.dst.w - x), dst + x * shifts_);
    }

private:
    void tile(std::int64_t image, std::int64_t y, std::int64_t x, std::int64_t count, float* dst) {
        const auto* a = static_cast<const float*>(at(primary_, image, y, x));
        const std::int64_t wide = count + around_;
        if (planesA_)
            for (std::int64_t z = 0; z < c_; ++z)
                for (std::int64_t i = 0; i < count; ++i) planesA_[z * count + i] = a[i * c_ + z];
        for (std::int64_t n = 0; n <= 2 * op_.windowY; ++n) {
            const std::int64_t v =
                landing(op_.offsetY + y + (n - op_.windowY) * op_.strideY, secondary_.h, op_.edge);
            for (std::int64_t j = 0; j < wide; ++j) {
                const std::int64_t u =
                    landing(op_.offsetX + x + j - op_.windowX * op_.strideX, secondary_.w, op_.edge);
                pixels_[j] = v < 0 || u < 0 ? zeros_ : static_cast<const float*>(at(secondary_, image, v, u));
            }
            if (!planesA_) {
                PEWTER_VECTOR(dotProducts)
                (a, pixels_, count, c_, width_, op_.strideX, dst + n * width_, shifts_);
                continue;
            }
            for (std::int64_t z = 0; z < c_; ++z)
                for (std::int64_t j = 0; j < wide; ++j) planesB_[z * wide + j] = pixels_[j][z];
            PEWTER_VECTOR(planarProducts)
            (planesA_, planesB_, count, wide, c_, width_, op_.strideX, products_);
            for (std::int64_t i = 0; i < count; ++i)
                for (std::int64_t m = 0; m < width_; ++m)
                    dst[i * shifts_ + n * width_ + m] = products_[m * count + i];
        }
    }

    const ops::LocalCorrelation& op_;
    const Tensor &primary_, &secondary_;
    std::int64_t c_, width_, shifts_, around_;
    float* zeros_;
    const float** pixels_;
    float *planesA_ = nullptr, *planesB_ = nullptr, *products_ = nullptr;
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
