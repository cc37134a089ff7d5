#pragma once

#include <vector>

#include "ops/Convolution.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// The memory that an operation reads and writes: every operand from its first byte to its last, whatever lies between.
class Footprint {
public:
    Footprint& reads(const ops::Tensor& t) { return add(read_, t); }
    Footprint& reads(const ops::Array& a) { return add(read_, a); }
    Footprint& writes(const ops::Tensor& t) { return add(written_, t); }
    Footprint& writes(const ops::Array& a) { return add(written_, a); }

    /// Whether neither operation writes what the other one touches.
    bool isApartFrom(const Footprint& other) const {
        return !meet(written_, other.written_) && !meet(written_, other.read_) && !meet(read_, other.written_);
    }

private:
    struct Bytes {
        const char *begin, *end;
    };

    Footprint& add(std::vector<Bytes>& to, const ops::Tensor& t) {
        if (t.isNull() || t.count() == 0) return *this;
        std::int64_t low = 0, high = 0;
        const auto axis = [&](std::int64_t extent, std::int64_t stride) {
            (stride < 0 ? low : high) += (extent - 1) * stride;
        };
        axis(t.n, t.strideN);
        axis(t.h, t.strideH);
        axis(t.w, t.strideW);
        axis(t.c, t.strideC);
        const auto size = static_cast<std::int64_t>(ops::sizeOf(t.type));
        const auto* data = static_cast<const char*>(t.data);
        to.push_back({data + low * size, data + (high + 1) * size});
        return *this;
    }
    Footprint& add(std::vector<Bytes>& to, const ops::Array& a) {
        const auto* data = static_cast<const char*>(a.data);
        if (data) to.push_back({data, data + a.size * static_cast<std::int64_t>(ops::sizeOf(a.type))});
        return *this;
    }
    static bool meet(const std::vector<Bytes>& some, const std::vector<Bytes>& others) {
        for (const Bytes& one : some)
            for (const Bytes& other : others)
                if (one.begin < other.end && other.begin < one.end) return true;
        return false;
    }

    std::vector<Bytes> read_, written_;
};

inline Footprint footprintOf(const ops::ConvolutionDataGradient& op) {
    return Footprint().reads(op.diffDst).reads(op.weights).reads(op.bias).writes(op.diffSrc);
}
inline Footprint footprintOf(const ops::FullyConnectedDataGradient& op) {
    return Footprint().reads(op.diffDst).reads(op.weights).writes(op.diffSrc);
}
inline Footprint footprintOf(const ops::ConvolutionWeightsGradient& op) {
    return Footprint().reads(op.src).reads(op.diffDst).writes(op.diffWeights).writes(op.diffBias);
}
inline Footprint footprintOf(const ops::FullyConnectedWeightsGradient& op) {
    return Footprint().reads(op.src).reads(op.diffDst).writes(op.diffWeights).writes(op.diffBias);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
