#include <stdexcept>

#include "backends/cpu/Cpu.h"

namespace pewter::cpu {

void Cpu::run(const ops::Compare&, ops::Stream&) {
    throw std::runtime_error("Compare is not there yet");
}

}  // namespace pewter::cpu
