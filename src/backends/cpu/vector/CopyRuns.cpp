#include "backends/cpu/vector/CopyRuns.h"

#include "backends/cpu/vector/Register.h"

namespace pewter::cpu::PEWTER_ISA {

void streamRuns(const CopiedRuns& runs) {
    constexpr std::int64_t kAhead = 8;
    for (std::int64_t i = 0; i < runs.count; ++i) {
        const std::byte* const from = runs.from + i * runs.fromStep;
        std::byte* const to = runs.to + i * runs.toStep;
        // Processors ask ahead within a run, and not for the next.
        for (std::int64_t k = 0; i + kAhead < runs.count && k < runs.bytes; k += kLineBytes)
            __builtin_prefetch(from + kAhead * runs.fromStep + k);
        for (std::int64_t k = 0; k < runs.bytes; k += kRegister) {
            Vector value;
            std::memcpy(&value, from + k, sizeof value);
            streamTo(reinterpret_cast<float*>(to + k), value);
        }
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
