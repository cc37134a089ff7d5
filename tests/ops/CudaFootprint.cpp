#include <gtest/gtest.h>

#include <array>

// Behind the one that names the namespace.
#include "backends/cuda/Platform.cuh"

#include "backends/cuda/Footprint.h"

// Which operations may run beside one another on device cuda.

namespace pewter::test {
namespace {

using cuda_emulated::Footprint;
using cuda_emulated::footprintOf;

/// Ten pictures of one row in one piece of memory.
class Pictures {
public:
    ops::Tensor at(std::int64_t index, std::int64_t channels = 4) {
        return ops::Tensor::dense(memory_.data() + index * 4, ops::Type::Float32, 1, 1, 1, channels);
    }
    ops::Array array(std::int64_t index) { return {memory_.data() + index * 4, ops::Type::Float32, 4}; }

private:
    std::array<float, 40> memory_{};
};

bool areApart(const Footprint& one, const Footprint& other) {
    const bool apart = one.isApartFrom(other);
    EXPECT_EQ(other.isApartFrom(one), apart);
    return apart;
}

TEST(CudaFootprint, OperationsAreApartThatWriteNothingTheOtherTouches) {
    Pictures p;
    const auto first = Footprint().reads(p.at(0)).reads(p.array(1)).writes(p.at(2));
    EXPECT_TRUE(areApart(first, Footprint().reads(p.at(0)).writes(p.at(3))));
    EXPECT_TRUE(areApart(first, Footprint().reads(p.at(1)).writes(p.array(3))));
    EXPECT_FALSE(areApart(first, Footprint().writes(p.at(0)))) << "it writes what the first one reads";
    EXPECT_FALSE(areApart(first, Footprint().writes(p.array(1)))) << "it writes what the first one reads";
    EXPECT_FALSE(areApart(first, Footprint().reads(p.at(2)))) << "it reads what the first one writes";
    EXPECT_FALSE(areApart(first, Footprint().writes(p.at(2)))) << "both write";
    EXPECT_FALSE(areApart(first, Footprint().reads(p.at(1, 5)))) << "one element";
}

TEST(CudaFootprint, OperandsReachFromTheirFirstByteToTheirLastInAnyOrder) {
    Pictures p;
    auto spread = p.at(4, 1);  // pictures 4, 6 and 8
    spread.n = 3, spread.strideN = 8;
    auto turned = p.at(8, 1);
    turned.n = 3, turned.strideN = -8;
    for (const auto& written : {spread, turned}) {
        const auto first = Footprint().writes(written);
        EXPECT_TRUE(areApart(first, Footprint().reads(p.at(3))));
        EXPECT_FALSE(areApart(first, Footprint().reads(p.at(4))));
        EXPECT_FALSE(areApart(first, Footprint().reads(p.at(5)))) << "what lies between counts, too";
        EXPECT_FALSE(areApart(first, Footprint().reads(p.at(8))));
        EXPECT_TRUE(areApart(first, Footprint().reads(p.at(9))));
    }
}

TEST(CudaFootprint, WhatIsAbsentOrEmptyTouchesNothing) {
    Pictures p;
    const auto all = Footprint().writes(p.at(0, 40));
    EXPECT_TRUE(areApart(all, Footprint().reads(ops::Tensor{}).writes(ops::Array{})));
    auto none = p.at(1);
    none.n = 0;
    EXPECT_TRUE(areApart(all, Footprint().writes(none)));
}

TEST(CudaFootprint, GradientsOfOneLayerAreApartUntilTheyShareMemory) {
    Pictures p;
    ops::ConvolutionDataGradient data;
    data.diffDst = p.at(0), data.weights = p.at(1), data.diffSrc = p.at(2);
    ops::ConvolutionWeightsGradient weights;
    weights.src = p.at(3), weights.diffDst = p.at(0), weights.diffWeights = p.at(4), weights.diffBias = p.array(5);
    EXPECT_TRUE(areApart(footprintOf(data), footprintOf(weights)));
    for (ops::Tensor* shared : {&weights.src, &weights.diffWeights}) {
        const auto before = std::exchange(*shared, p.at(2));
        EXPECT_FALSE(areApart(footprintOf(data), footprintOf(weights)));
        *shared = before;
    }
    weights.diffBias = p.array(1);
    EXPECT_FALSE(areApart(footprintOf(data), footprintOf(weights)));

    const ops::FullyConnectedDataGradient denseData{p.at(0), p.at(1), p.at(2)};
    ops::FullyConnectedWeightsGradient denseWeights{p.at(3), p.at(0), p.at(4), p.array(5)};
    EXPECT_TRUE(areApart(footprintOf(denseData), footprintOf(denseWeights)));
    denseWeights.diffWeights = p.at(1);
    EXPECT_FALSE(areApart(footprintOf(denseData), footprintOf(denseWeights)));
}

}  // namespace
}  // namespace pewter::test
