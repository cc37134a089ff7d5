#include <stdexcept>

#include "backends/cpu/Cpu.h"

namespace pewter::cpu {

void Cpu::run(const ops::GramMatrixForward&, ops::Stream&) {
    throw std::runtime_error("GramMatrixForward is not there yet");
}

void Cpu::run(const ops::GramMatrixGradient&, ops::Stream&) {
    throw std::runtime_error("GramMatrixGradient is not there yet");
}

}  // namespace pewter::cpu
