#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace pewter::train {

/// One step of SplitMix64 (Steele, Lea, Flood 2014): advances `state` and returns 64 well mixed bits.
/// Turns any seed, 0 included, into good starting states for other generators.
constexpr std::uint64_t splitMix64(std::uint64_t& state) noexcept {
    state += 0x9E3779B97F4A7C15u;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/// xoshiro256** 1.0 (Blackman, Vigna 2018) with the few draws that training needs.
///
/// The distributions of the standard library give different numbers in different implementations. Here every
/// number follows from the seed by integer arithmetic alone, so a seed means the same thing on every machine.
class Random {
public:
    /// Starts from `seed`; `stream` gives independent sequences under one seed (an epoch, a layer).
    explicit constexpr Random(std::uint64_t seed, std::uint64_t stream = 0) noexcept : state_{} {
        std::uint64_t mixedStream = stream;
        std::uint64_t mixer = seed ^ (stream == 0 ? 0 : splitMix64(mixedStream));
        for (std::uint64_t& word : state_) word = splitMix64(mixer);
    }

    /// Starts from a full state, which must not be all zero.
    explicit constexpr Random(const std::array<std::uint64_t, 4>& state) noexcept : state_(state) {}

    /// 64 random bits.
    constexpr std::uint64_t next() noexcept {
        const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
        const std::uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = rotate(state_[3], 45);
        return result;
    }

    /// A whole number in [0, bound), every one equally likely; `bound` must not be 0.
    constexpr std::uint64_t below(std::uint64_t bound) noexcept {
        // 2^64 mod bound: draws under it would make small remainders more likely, so they are drawn again.
        const std::uint64_t surplus = (0 - bound) % bound;
        std::uint64_t draw = next();
        while (draw < surplus) draw = next();
        return draw % bound;
    }

    /// A number in [0, 1): a multiple of 2^-53, exact in double.
    constexpr double uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

    /// Puts `values` into a random order, every order equally likely (Fisher and Yates).
    template <typename T>
    constexpr void shuffle(std::span<T> values) noexcept {
        for (std::size_t left = values.size(); left > 1; --left) {
            const auto chosen = static_cast<std::size_t>(below(left));
            std::swap(values[left - 1], values[chosen]);
        }
    }

private:
    static constexpr std::uint64_t rotate(std::uint64_t value, int bits) noexcept {
        return (value << bits) | (value >> (64 - bits));
    }

    std::array<std::uint64_t, 4> state_;
};

}  // namespace pewter::train
