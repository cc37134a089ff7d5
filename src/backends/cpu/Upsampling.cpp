#include <stdexcept>

#include "backends/cpu/Cpu.h"

namespace pewter::cpu {

void Cpu::run(const ops::ResampleForward&, ops::Stream&) {
    throw std::runtime_error("ResampleForward is not there yet");
}

void Cpu::run(const ops::ResampleGradient&, ops::Stream&) {
    throw std::runtime_error("ResampleGradient is not there yet");
}

}  // namespace pewter::cpu
