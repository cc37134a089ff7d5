// The same elements in another width, height and number of channels.

#include <MPS/NNReshape.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;

/// n of both shapes is equal.
OpCase reshape(std::string name, const Shape& shape, const Shape& to) {
    OpCase op;
    op.name = std::move(name);
    op.operands = {{"source", shape}};
    op.run = [=](const Setting& setting, const std::vector<Array>& operands, const Incoming* incoming) {
        MPS::NNReshape forward(setting.device);
        forward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commands = setting.device->newCommandQueue()->commandBuffer();
        const auto sources = imagesOf(setting, operands[0]);
        MPS::StateBatch states;
        const auto results = forward.encodeBatch(commands, sources, &states, false, to.w, to.h, to.c);
        MPS::ImageBatch gradients;
        if (incoming) {
            MPS::NNReshapeGradient backward(setting.device);
            backward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            gradients =
                backward.encodeBatch(commands, imagesOf(setting, {to, (*incoming)(0, to)}), sources, states);
        }
        finish(commands);
        Outcome outcome;
        outcome.outputs = {arrayOf(results)};
        outcome.gradients.resize(1);
        if (incoming) outcome.gradients[0] = arrayOf(gradients);
        return outcome;
    };
    op.closedForm = [to](const std::vector<Array>& operands) {
        return std::vector<Array>{{to, operands[0].values}};
    };
    op.exactOnIntegers = true;
    return op;
}

}  // namespace

OpRow Reshape() {
    OpRow row;
    row.family = "reshape";
    row.classes = {"MPSNNReshape", "MPSNNReshapeGradient"};
    row.pytorch = "x.permute(0, 2, 3, 1).reshape(n, height, width, channels)";
    row.cases = {reshape("to a vector", {2, 3, 4, 5}, {2, 1, 1, 60}),
                 reshape("from a vector", {2, 1, 1, 24}, {2, 2, 4, 3}),
                 reshape("to a plane", {1, 2, 3, 4}, {1, 4, 6, 1}),
                 reshape("the same shape", {2, 3, 2, 4}, {2, 3, 2, 4}),
                 reshape("turned", {3, 2, 5, 3}, {3, 5, 3, 2}),
                 reshape("one element", {4, 1, 1, 1}, {4, 1, 1, 1}),
                 reshape("odd extents", {1, 5, 3, 7}, {1, 7, 5, 3}),
                 reshape("to a row", {2, 3, 3, 3}, {2, 1, 27, 1})};
    row.large = {reshape("features to vectors", {64, 28, 28, 128}, {64, 1, 1, 100352})};
    row.errors = {{"null device", [](const auto&) { MPS::NNReshape(nullptr); }, "device: expected"},
                  {"another number of elements",
                   [](const std::shared_ptr<MTL::Device>& device) {
                       const auto x = imagesOf({device}, {{1, 3, 2, 4}, std::vector<double>(24, 1)})[0];
                       MPS::NNReshape(device).encode(device->newCommandQueue()->commandBuffer(), x, 5, 5, 1);
                   },
                   "reshaped size: expected 24 elements, those of 2 x 3 pixels of 4 feature channels, found "
                   "5 x 5 of 1"},
                  {"a destination of another size",
                   [](const std::shared_ptr<MTL::Device>& device) {
                       const auto x = imagesOf({device}, {{1, 3, 2, 4}, std::vector<double>(24, 1)})[0];
                       const auto y = imagesOf({device}, {{1, 1, 1, 23}, std::vector<double>(23, 1)})[0];
                       MPS::NNReshape(device).encode(device->newCommandQueue()->commandBuffer(), x, y);
                   },
                   "destinationImage: expected 24 elements"},
                  {"a gradient without a state",
                   [](const std::shared_ptr<MTL::Device>& device) {
                       const auto x = imagesOf({device}, {{1, 1, 1, 1}, {1}})[0];
                       MPS::NNReshapeGradient(device).encode(device->newCommandQueue()->commandBuffer(), x, x,
                                                             nullptr);
                   },
                   "gradientState: expected a NNGradientState, found null"}};
    return row;
}

}  // namespace pewter::optable
