#include "backends/cpu/vector/SendOut.h"

#include <cstring>

#include "backends/cpu/vector/CopyOut.h"

namespace pewter::cpu::PEWTER_ISA {

void sendOut(const float* from, std::int64_t count, float* to) {
    copyOut(from, count, true, to);
    streamEnd();
}

}  // namespace pewter::cpu::PEWTER_ISA
