#include "backends/cpu/vector/Neuron.h"

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"

namespace pewter::cpu {

void Cpu::run(const ops::NeuronForward& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const ChannelTile slopes = slopesOf(op.neuron, op.src.c, frame);
    const Source src(op.src);
    const Sink dst(op.dst);
    const auto forward = PEWTER_VECTOR(neuronForward);
    forRuns(op.src.count(), [&](std::int64_t first, std::int64_t count) {
        alignas(64) float in[kRun], out[kRun];
        const float* x = src.read(first, count, in);
        float* y = dst.room(first, count, out);
        forward(op.neuron, slopes.of(first), x, y, count);
        dst.write(first, count, y);
    });
}

void Cpu::run(const ops::NeuronGradient& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const ChannelTile slopes = slopesOf(op.neuron, op.src.c, frame);
    const Source src(op.src), diffDst(op.diffDst);
    const Sink diffSrc(op.diffSrc);
    const auto gradient = PEWTER_VECTOR(neuronGradient);
    forRuns(op.src.count(), [&](std::int64_t first, std::int64_t count) {
        alignas(64) float in[kRun], diff[kRun], out[kRun];
        const float* x = src.read(first, count, in);
        const float* g = diffDst.read(first, count, diff);
        float* d = diffSrc.room(first, count, out);
        gradient(op.neuron, slopes.of(first), x, g, d, count);
        diffSrc.write(first, count, d);
    });
}

}  // namespace pewter::cpu
