#include <stdexcept>

#include "backends/cpu/Cpu.h"

namespace pewter::cpu {

void Cpu::run(const ops::LocalCorrelation&, ops::Stream&) {
    throw std::runtime_error("LocalCorrelation is not there yet");
}

}  // namespace pewter::cpu
