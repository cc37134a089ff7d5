#include <stdexcept>

#include "backends/cpu/Cpu.h"

namespace pewter::cpu {

void Cpu::run(const ops::GroupNormalizationForward&, ops::Stream&) {
    throw std::runtime_error("GroupNormalizationForward is not there yet");
}

void Cpu::run(const ops::GroupNormalizationGradient&, ops::Stream&) {
    throw std::runtime_error("GroupNormalizationGradient is not there yet");
}

}  // namespace pewter::cpu
