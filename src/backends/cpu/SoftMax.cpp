#include "backends/cpu/vector/SoftMax.h"

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"

namespace pewter::cpu {

namespace {

/// fn(first, pixels, room) for runs of whole pixels; room[i] is memory for a run of operand i.
template <typename Fn>
void forPixels(const ops::Tensor& extents, int operands, ops::Stream& stream, Fn&& fn) {
    const std::int64_t c = extents.c, pixels = extents.n * extents.h * extents.w;
    if (c == 0 || pixels == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const std::int64_t some = std::max<std::int64_t>(1, kRun / c);
    // Exponentials: a thread pays off sooner.
    const std::int64_t parts = partsOf(pixels, std::max<std::int64_t>(1, kElementGrain / 4 / c));
    float* const rooms = frame.floats(parts * operands * some * c);
    forParts(parts, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        float* room[3];
        for (int i = 0; i < operands; ++i) room[i] = rooms + (part * operands + i) * some * c;
        for (std::int64_t p = from; p < to; p += some) fn(p * c, std::min(some, to - p), room);
    });
}

}  // namespace

void Cpu::run(const ops::SoftMaxForward& op, ops::Stream& stream) {
    const Source src(op.src);
    const Sink dst(op.dst);
    const std::int64_t c = op.src.c;
    const auto forward = PEWTER_VECTOR(softMaxPixels);
    forPixels(op.src, 2, stream, [&](std::int64_t first, std::int64_t pixels, float** room) {
        const float* x = src.read(first, pixels * c, room[0]);
        float* y = dst.room(first, pixels * c, room[1]);
        forward(x, y, pixels, c, op.logarithm);
        dst.write(first, pixels * c, y);
    });
}

void Cpu::run(const ops::SoftMaxGradient& op, ops::Stream& stream) {
    const Source dst(op.dst), diffDst(op.diffDst);
    const Sink diffSrc(op.diffSrc);
    const std::int64_t c = op.dst.c;
    const auto gradient = PEWTER_VECTOR(softMaxGradientPixels);
    forPixels(op.dst, 3, stream, [&](std::int64_t first, std::int64_t pixels, float** room) {
        const float* y = dst.read(first, pixels * c, room[0]);
        const float* g = diffDst.read(first, pixels * c, room[1]);
        float* d = diffSrc.room(first, pixels * c, room[2]);
        gradient(y, g, d, pixels, c, op.logarithm);
        diffSrc.write(first, pixels * c, d);
    });
}

}  // namespace pewter::cpu
