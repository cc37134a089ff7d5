#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

/// x^-exponent for a run of bases. Exponents that are quarters below 8 in size (those of the usual layers)
/// take products and square roots, within 2 + whole roundings; any other e^(-exponent ln x), whose error
/// grows with |exponent ln x| as well: relative 2^-24 * (6 + 6 |exponent ln x|).
struct Power {
    explicit Power(double exponent) : exponent(static_cast<float>(exponent)), inverse(exponent >= 0) {
        const double quarters = 4 * (exponent < 0 ? -exponent : exponent);
        if (!(quarters < 32) || quarters != static_cast<double>(static_cast<int>(quarters))) return;
        whole = static_cast<int>(quarters) / 4;
        quarter = static_cast<int>(quarters) % 4;
    }

    float exponent;
    /// Integer part of the exponent's size and quarters beyond it; -1: neither.
    int whole = -1, quarter = 0;
    /// Whether the exponent is not negative, so that the power is a quotient.
    bool inverse;
};

}  // namespace pewter::cpu
