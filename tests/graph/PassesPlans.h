#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "GraphNets.h"

/// What graphs with and without a rewrite give, and where their plans put it.
namespace pewter::test {

using Build = std::function<Node(const Node&)>;

struct Outcome {
    std::vector<std::vector<double>> values;
    MPS::NNGraphReport report;
    std::size_t measured = 0;
};

/// Two encodes, so that one runs the plan of the other.
inline Outcome outcome(const DevicePtr& device, const Build& build, const MPS::NNGraphOptions& options, std::size_t count = 3) {
    const auto graph = MPS::NNGraph::graph(device, {build(MPS::NNImageNode::node(tag("x")))}, {}, options);
    graph->setFormat(Format::Float32);
    Outcome found;
    const auto images = drawImages(device, count, 8, 5, 4, 7);
    found.report = graph->memoryReport({images});
    for (int twice = 0; twice < 2; ++twice) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto results = graph->encodeBatch(commands, {images});
        run(commands);
        found.measured = commands->peakTemporaryMemory();
        for (const auto& image : results) found.values.push_back(valuesOf(*image));
        if (twice == 0) continue;
        // Inputs are never overwritten.
        const auto again = drawImages(device, count, 8, 5, 4, 7);
        for (std::size_t i = 0; i < images.size(); ++i) EXPECT_EQ(valuesOf(*images[i]), valuesOf(*again[i]));
    }
    return found;
}

/// Ranges that surely live at one time: across the boundary of two steps.
inline void expectApart(const MPS::NNGraphReport& report) {
    for (std::size_t i = 0; i < report.ranges.size(); ++i)
        for (std::size_t j = 0; j < i; ++j) {
            const auto &a = report.ranges[i], &b = report.ranges[j];
            if (!a.bytes || !b.bytes || a.firstStep >= b.lastStep || b.firstStep >= a.lastStep) continue;
            EXPECT_TRUE(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset)
                << "ranges " << j << " and " << i << " of steps " << b.firstStep << " to " << b.lastStep << " and "
                << a.firstStep << " to " << a.lastStep;
        }
}

}  // namespace pewter::test
