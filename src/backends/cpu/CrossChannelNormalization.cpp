#include "backends/cpu/vector/CrossChannelNormalization.h"

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Register.h"

namespace pewter::cpu {

namespace {

/// fn(first, pixels, operand rooms, room of the vector code) for runs of whole pixels.
template <typename Op, typename Fn>
void forPixels(const Op& op, int operands, ops::Stream& stream, Fn&& fn) {
    const std::int64_t c = op.src.c, pixels = op.src.n * op.src.h * op.src.w;
    if (c == 0 || pixels == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const std::int64_t some = std::max<std::int64_t>(1, kRun / 2 / (c + op.kernelSize - 1));
    const std::int64_t operandRoom = some * c, windowRoom = crossChannelRoom(some, c, op.kernelSize);
    // A power: a thread pays off sooner.
    const std::int64_t parts = partsOf(pixels, std::max<std::int64_t>(1, kElementGrain / 8 / c));
    float* const rooms = frame.floats(parts * (operands * operandRoom + windowRoom));
    forParts(parts, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        float* const own = rooms + part * (operands * operandRoom + windowRoom);
        float* room[3];
        for (int i = 0; i < operands; ++i) room[i] = own + i * operandRoom;
        for (std::int64_t p = from; p < to; p += some)
            fn(p * c, std::min(some, to - p), room, own + operands * operandRoom);
        baseline::streamEnd();
    });
}

template <typename Op>
CrossChannelParameters parametersOf(const Op& op) {
    const auto size = static_cast<double>(op.kernelSize);
    return {Power(op.beta), op.kernelSize, static_cast<float>(op.alpha / size), static_cast<float>(op.delta),
            static_cast<float>(2 * op.alpha * op.beta / size)};
}

}  // namespace

void Cpu::run(const ops::CrossChannelNormalizationForward& op, ops::Stream& stream) {
    const Source src(op.src);
    const Sink dst(op.dst);
    const std::int64_t c = op.src.c;
    const auto parameters = parametersOf(op);
    const bool past = isStreamed(op.dst);
    forPixels(op, 2, stream, [&](std::int64_t first, std::int64_t pixels, float** room, float* windows) {
        const float* x = src.read(first, pixels * c, room[0]);
        float* y = dst.room(first, pixels * c, room[1]);
        PEWTER_VECTOR(crossChannelPixels)(parameters, x, y, pixels, c, windows, past);
        dst.write(first, pixels * c, y);
    });
}

void Cpu::run(const ops::CrossChannelNormalizationGradient& op, ops::Stream& stream) {
    const Source src(op.src), diffDst(op.diffDst);
    const Sink diffSrc(op.diffSrc);
    const std::int64_t c = op.src.c;
    const auto parameters = parametersOf(op);
    const bool past = isStreamed(op.diffSrc);
    forPixels(op, 3, stream, [&](std::int64_t first, std::int64_t pixels, float** room, float* windows) {
        const float* x = src.read(first, pixels * c, room[0]);
        const float* g = diffDst.read(first, pixels * c, room[1]);
        float* d = diffSrc.room(first, pixels * c, room[2]);
        PEWTER_VECTOR(crossChannelGradientPixels)(parameters, x, g, d, pixels, c, windows, past);
        diffSrc.write(first, pixels * c, d);
    });
}

}  // namespace pewter::cpu
