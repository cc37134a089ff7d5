#pragma once

#include <Pewter/check/OpCase.hpp>
#include <Pewter/train/Random.hpp>

namespace pewter::check {

/// Incoming gradients that follow from the seed and the number of the output alone: between -1 and 1 and exact in float32,
/// or integers from -4 to 4.
inline Incoming drawnIncoming(std::uint64_t seed, bool integers) {
    return [seed, integers](std::size_t output, const Shape& shape) {
        train::Random random(seed, 1000 + output);
        std::vector<double> values(shape.count());
        for (double& value : values)
            value = integers ? static_cast<double>(random.below(9)) - 4
                             : static_cast<float>(2 * random.uniform() - 1);
        return values;
    };
}

}  // namespace pewter::check
