#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ops/Tensor.h"

namespace pewter::test {

/// Dense float32 whose elements begin at a line of the cache, as images' do: what kernels ask for that store whole
/// lines past the caches. All elements are `value` at first.
class Lines {
public:
    Lines(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c, float value = 0)
        : n_(n), h_(h), w_(w), c_(c), lines_(static_cast<std::size_t>((n * h * w * c + 15) / 16)) {
        for (auto& line : lines_) line.numbers.fill(value);
    }
    float* data() { return lines_.front().numbers.data(); }
    const float* data() const { return lines_.front().numbers.data(); }
    std::int64_t count() const { return n_ * h_ * w_ * c_; }
    ops::Tensor view() { return ops::Tensor::dense(data(), ops::Type::Float32, n_, h_, w_, c_); }
    /// Channels [first, first + count) of every pixel.
    ops::Tensor channels(std::int64_t first, std::int64_t count) {
        ops::Tensor part = view();
        part.data = data() + first, part.c = count;
        return part;
    }
    template <class Random>
    void fillUniform(Random& random, double low, double high) {
        for (std::int64_t i = 0; i < count(); ++i) data()[i] = static_cast<float>(random.uniform(low, high));
    }
    friend bool operator==(const Lines& a, const Lines& b) {
        for (std::int64_t i = 0; i < a.count(); ++i)
            if (a.data()[i] != b.data()[i]) return false;
        return a.count() == b.count();
    }

private:
    struct alignas(64) Line {
        std::array<float, 16> numbers;
    };
    std::int64_t n_, h_, w_, c_;
    std::vector<Line> lines_;
};

}  // namespace pewter::test
