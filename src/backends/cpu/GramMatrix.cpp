#include <algorithm>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/MatrixProduct.h"
#include "backends/cpu/Parallel.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

const float* imageOf(const Tensor& t, std::int64_t n) { return static_cast<const float*>(at(t, n, 0, 0)); }

/// to = from + its transpose, in blocks that fit the first-level cache.
void symmetric(const float* from, std::int64_t side, float* to) {
    constexpr std::int64_t kBlock = 32;
    const std::int64_t blocks = (side + kBlock - 1) / kBlock;
    parallelFor(0, blocks,
                std::max<std::int64_t>(1, kElementGrain / (kBlock * std::max<std::int64_t>(1, side))),
                [&](std::int64_t first, std::int64_t end) {
                    for (std::int64_t i = first * kBlock; i < std::min(end * kBlock, side); i += kBlock)
                        for (std::int64_t j = 0; j < side; j += kBlock)
                            for (std::int64_t k = i; k < std::min(i + kBlock, side); ++k)
                                for (std::int64_t c = j; c < std::min(j + kBlock, side); ++c)
                                    to[k * side + c] = from[k * side + c] + from[c * side + k];
                });
}

}  // namespace

void Cpu::run(const ops::GramMatrixForward& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const Tensor src = staged(op.src, frame);
    const StagedOutput dst(op.dst, frame);
    const std::int64_t channels = src.c, pixels = src.h * src.w;
    for (std::int64_t n = 0; n < src.n; ++n)
        multiply(true, channels, channels, pixels, static_cast<float>(op.alpha), imageOf(src, n),
                 imageOf(src, n), dst.data() + n * channels * channels);
    dst.finish();
}

void Cpu::run(const ops::GramMatrixGradient& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const Tensor src = staged(op.src, frame), diffDst = staged(op.diffDst, frame);
    const StagedOutput diffSrc(op.diffSrc, frame);
    const std::int64_t channels = src.c, pixels = src.h * src.w;
    float* both = frame.floats(channels * channels);
    for (std::int64_t n = 0; n < src.n; ++n) {
        symmetric(imageOf(diffDst, n), channels, both);
        multiply(false, pixels, channels, channels, static_cast<float>(op.alpha), imageOf(src, n), both,
                 diffSrc.data() + n * pixels * channels);
    }
    diffSrc.finish();
}

}  // namespace pewter::cpu
