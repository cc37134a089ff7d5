// Sampling at the positions that a second image holds.

#include <MPS/NNGridSample.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;

OpCase sample(const std::string& name, const Shape& shape, const Shape& grid, bool positions, bool clamp) {
    BinaryPair pair;
    pair.primary = {"image", shape};
    pair.secondary = {"grid", grid, Domain::Distinct};
    pair.forward = [=](const auto& device) {
        const auto kernel = std::make_shared<MPS::NNGridSample>(device);
        kernel->setUseGridValueAsInputCoordinate(positions);
        if (clamp) kernel->setPrimaryEdgeMode(MPS::ImageEdgeMode::Clamp);
        return kernel;
    };
    auto op = caseOf(std::string(positions ? "positions" : "displacements") +
                         (clamp ? ", edge pixels outside, " : ", zeros outside, ") + name,
                     pair);
    op.sumLength = 4;  // taps whose weights add up to at most 1
    op.exactOnIntegers = true;
    return op;
}

std::vector<ErrorCase> errors() {
    const auto encodes = [](auto change, std::size_t channels = 2) {
        return [=](const std::shared_ptr<MTL::Device>& device) {
            MPS::NNGridSample kernel(device);
            change(kernel);
            const Shape shape{1, 2, 2, 1}, grid{1, 2, 2, channels};
            kernel.encode(device->newCommandQueue()->commandBuffer(),
                          imagesOf({device}, {shape, std::vector<double>(shape.count(), 1)})[0],
                          imagesOf({device}, {grid, std::vector<double>(grid.count(), 1)})[0]);
        };
    };
    return {{"null device", [](const auto&) { MPS::NNGridSample(nullptr); }, "device: expected"},
            {"a grid of one channel", encodes([](auto&) {}, 1),
             "secondaryImage: expected at least 2 feature channels, x and y, found 1"},
            {"a stride", encodes([](auto& kernel) { kernel.setPrimaryStrideInPixelsX(2); }),
             "primaryStrideInPixelsX: expected 1, found 2"},
            {"a broadcast grid", encodes([](auto& kernel) { kernel.setSecondaryStrideInPixelsY(0); }),
             "secondaryStrideInPixelsY: expected 1, found 0"},
            {"a mirrored edge",
             encodes([](auto& kernel) { kernel.setPrimaryEdgeMode(MPS::ImageEdgeMode::Mirror); }),
             "primaryEdgeMode: expected Zero or Clamp"}};
}

}  // namespace

OpRow GridSample() {
    OpRow row;
    row.family = "grid_sample";
    row.classes = {"MPSNNGridSample"};
    row.pytorch = "F.grid_sample(x, grid, align_corners=True)";
    for (const bool positions : {true, false})
        for (const bool clamp : {false, true}) {
            row.cases.push_back(sample("3 channels", {2, 3, 4, 3}, {2, 5, 3, 2}, positions, clamp));
            row.cases.push_back(sample("17 channels", {1, 2, 3, 17}, {1, 3, 4, 2}, positions, clamp));
            row.cases.push_back(sample("one pixel", {2, 1, 1, 4}, {2, 2, 2, 3}, positions, clamp));
        }
    row.large = {sample("32 channels", {8, 192, 192, 32}, {8, 192, 192, 2}, false, false),
                 sample("3 channels", {8, 540, 960, 3}, {8, 540, 960, 2}, false, true)};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
