#include <stdexcept>

#include "backends/cpu/Cpu.h"

namespace pewter::cpu {

void Cpu::run(const ops::SpatialNormalizationForward&, ops::Stream&) {
    throw std::runtime_error("SpatialNormalizationForward is not there yet");
}

void Cpu::run(const ops::SpatialNormalizationGradient&, ops::Stream&) {
    throw std::runtime_error("SpatialNormalizationGradient is not there yet");
}

}  // namespace pewter::cpu
