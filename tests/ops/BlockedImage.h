#pragma once

#include <vector>

#include "backends/cpu/BlockedLayout.h"
#include "support/OpTensors.h"

namespace pewter::test {

/// A dense float32 image, and the same elements in blocks.
class BlockedImage {
public:
    explicit BlockedImage(const ops::Tensor& plain) : shape_(plain), lines_(static_cast<std::size_t>(plain.count() / 16)) {
        shape_.layout = ops::ImageLayout::ChannelBlocks;
        shape_.data = lines_[0].values;
        cpu::toBlocks(layout(), static_cast<const float*>(plain.data), lines_[0].values);
    }
    operator ops::Tensor() const { return shape_; }  // NOLINT: meant to convert
    /// In N,H,W,C order.
    std::vector<float> values() const {
        std::vector<float> all(static_cast<std::size_t>(shape_.count()));
        cpu::fromBlocks(layout(), lines_[0].values, false, all.data());
        return all;
    }

private:
    struct alignas(64) Line {
        float values[16];
    };
    cpu::BlockedLayout layout() const { return {true, shape_.n, shape_.h * shape_.w, shape_.c}; }
    ops::Tensor shape_;
    std::vector<Line> lines_;
};

inline std::vector<float> floatsOf(const OpTensor& t) {
    const auto* const data = static_cast<const float*>(t.view().data);
    return {data, data + t.count()};
}

}  // namespace pewter::test
