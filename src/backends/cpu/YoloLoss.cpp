#include <stdexcept>

#include "backends/cpu/Cpu.h"

namespace pewter::cpu {

void Cpu::run(const ops::YoloLoss&, ops::Stream&) {
    throw std::runtime_error("YoloLoss is not there yet");
}

}  // namespace pewter::cpu
