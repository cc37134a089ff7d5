#include <MPS/NNConcatenationNode.hpp>

#include "NodesRun.h"

/// Graphs that are deeper than the stack.
using namespace pewter::test;

namespace {

constexpr int kDeep = 100000;

/// y = x + 1, again and again.
ImageNode deepChain(ImageNode x, int count) {
    for (int i = 0; i < count; ++i) x = MPS::CNNNeuronLinearNode::node(x, 1, 1)->resultImage();
    return x;
}

const Pictures kInput{1, 1, 4, {1, -2, 3, 0}}, kGradient{1, 1, 4, {5, -6, 7, 8}};

}  // namespace

TEST(DeepGraphs, AHundredThousandFiltersInARowCompileRunAndAreFreed) {
    for (const auto& device : graphDevices()) {
        auto result = deepChain(inputNamed("x"), kDeep);
        EXPECT_EQ(resultOf(device, result, {{"x", kInput}}), (Pictures{1, 1, 4, {100001, 99998, 100003, 100000}}))
            << device->name();
    }
}

TEST(DeepGraphs, TheGradientOfAHundredThousandFiltersReachesTheFirst) {
    const auto device = graphDevices().back();
    auto result = deepChain(inputNamed("x"), kDeep);
    auto termini = result->producer()->trainingGraph(inputNamed("g"));
    ASSERT_EQ(termini.size(), 1u);
    auto gradient = termini.front()->resultImage();
    termini.clear();
    result.reset();
    EXPECT_EQ(resultOf(device, gradient, {{"x", kInput}, {"g", kGradient}}), kGradient);
}
