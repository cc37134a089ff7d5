#include <stdexcept>

#include "backends/cpu/Cpu.h"

namespace pewter::cpu {

void Cpu::run(const ops::CrossChannelNormalizationForward&, ops::Stream&) {
    throw std::runtime_error("CrossChannelNormalizationForward is not there yet");
}

void Cpu::run(const ops::CrossChannelNormalizationGradient&, ops::Stream&) {
    throw std::runtime_error("CrossChannelNormalizationGradient is not there yet");
}

}  // namespace pewter::cpu
