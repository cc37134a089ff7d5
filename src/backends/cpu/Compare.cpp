#include "backends/cpu/vector/Compare.h"

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"

namespace pewter::cpu {

void Cpu::run(const ops::Compare& op, ops::Stream&) {
    const Source primary(op.primary), secondary(op.secondary);
    const Sink dst(op.dst);
    const auto compare = PEWTER_VECTOR(compareRun);
    forRuns(op.dst.count(), [&](std::int64_t first, std::int64_t count) {
        alignas(64) float a[kRun], b[kRun], out[kRun];
        const float* x = primary.read(first, count, a);
        const float* y = secondary.read(first, count, b);
        float* r = dst.room(first, count, out);
        compare(op, x, y, r, count);
        dst.write(first, count, r);
    });
}

}  // namespace pewter::cpu
