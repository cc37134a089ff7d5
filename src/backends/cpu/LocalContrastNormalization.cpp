#include <stdexcept>

#include "backends/cpu/Cpu.h"

namespace pewter::cpu {

void Cpu::run(const ops::LocalContrastNormalizationForward&, ops::Stream&) {
    throw std::runtime_error("LocalContrastNormalizationForward is not there yet");
}

void Cpu::run(const ops::LocalContrastNormalizationGradient&, ops::Stream&) {
    throw std::runtime_error("LocalContrastNormalizationGradient is not there yet");
}

}  // namespace pewter::cpu
