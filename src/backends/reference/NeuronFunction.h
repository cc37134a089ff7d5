#pragma once

#include <cstdint>

#include "ops/Neuron.h"

namespace pewter::reference {

/// f(x); channel picks PReLU's slope.
double neuron(const ops::Neuron& neuron, double x, std::int64_t channel);
/// f'(x). Where two branches meet, the one of x >= 0; sign(0) = 0.
double neuronDerivative(const ops::Neuron& neuron, double x, std::int64_t channel);

}  // namespace pewter::reference
