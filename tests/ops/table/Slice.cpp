// Boxes of pixels and channels, and what concatenation is made of.

#include <MPS/NNSlice.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <algorithm>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;

/// A box of `to`'s size from (x, y, channel) of the source on, outside which edge pixels or zeros are read.
struct Box {
    std::int64_t x = 0, y = 0;
    std::size_t channel = 0;
    bool clamp = false;
};

OpCase slice(std::string name, const Shape& shape, const Shape& to, const Box& box) {
    OpCase op;
    op.name = std::move(name);
    op.operands = {{"source", shape, Domain::Signed, Kind::Image, false}};
    op.run = [=](const Setting& setting, const std::vector<Array>& operands, const Incoming*) {
        MPS::NNSlice kernel(setting.device);
        kernel.setOffset({box.x, box.y, 0});
        kernel.setSourceFeatureChannelOffset(box.channel);
        kernel.setEdgeMode(box.clamp ? MPS::ImageEdgeMode::Clamp : MPS::ImageEdgeMode::Zero);
        const auto commands = setting.device->newCommandQueue()->commandBuffer();
        const auto results = imagesOf(setting, {to, std::vector<double>(to.count(), 9)});
        kernel.encodeBatch(commands, imagesOf(setting, operands[0]), results);
        finish(commands);
        Outcome outcome;
        outcome.outputs = {arrayOf(results)};
        outcome.gradients.resize(1);
        return outcome;
    };
    op.closedForm = [=](const std::vector<Array>& operands) {
        Array y{to, {}};
        const auto w = static_cast<std::int64_t>(shape.w), h = static_cast<std::int64_t>(shape.h);
        for (std::size_t n = 0; n < to.n; ++n)
            for (std::int64_t j = box.y; j < box.y + static_cast<std::int64_t>(to.h); ++j)
                for (std::int64_t i = box.x; i < box.x + static_cast<std::int64_t>(to.w); ++i)
                    for (std::size_t c = 0; c < to.c; ++c) {
                        const auto u = std::clamp<std::int64_t>(i, 0, w - 1),
                                   v = std::clamp<std::int64_t>(j, 0, h - 1);
                        const bool inside = u == i && v == j;
                        const auto at = ((n * shape.h + static_cast<std::size_t>(v)) * shape.w +
                                         static_cast<std::size_t>(u)) *
                                            shape.c +
                                        box.channel + c;
                        y.values.push_back(inside || box.clamp ? operands[0].values[at] : 0);
                    }
        return std::vector<Array>{y};
    };
    op.exactOnIntegers = true;
    return op;
}

/// Sources side by side in channels, each from a multiple of 4 on.
OpCase concatenation(std::string name, const Shape& shape, const std::vector<std::size_t>& channels) {
    OpCase op;
    op.name = std::move(name);
    std::size_t all = 0;
    for (std::size_t i = 0; i < channels.size(); ++i) {
        op.operands.push_back({"source " + std::to_string(i),
                               {shape.n, shape.h, shape.w, channels[i]},
                               Domain::Signed,
                               Kind::Image,
                               false});
        all += (channels[i] + 3) / 4 * 4;
    }
    const Shape to{shape.n, shape.h, shape.w, all};
    op.run = [=](const Setting& setting, const std::vector<Array>& operands, const Incoming*) {
        MPS::NNSlice kernel(setting.device);
        const auto commands = setting.device->newCommandQueue()->commandBuffer();
        const auto results = imagesOf(setting, {to, std::vector<double>(to.count(), 9)});
        std::size_t first = 0;
        for (const auto& operand : operands) {
            kernel.setDestinationFeatureChannelOffset(first);
            kernel.encodeBatch(commands, imagesOf(setting, operand), results);
            first += (operand.shape.c + 3) / 4 * 4;
        }
        finish(commands);
        Outcome outcome;
        outcome.outputs = {arrayOf(results)};
        outcome.gradients.resize(operands.size());
        return outcome;
    };
    op.closedForm = [=](const std::vector<Array>& operands) {
        Array y{to, {}};
        for (std::size_t p = 0; p < to.n * to.h * to.w; ++p)
            for (const auto& operand : operands)
                for (std::size_t c = 0; c < (operand.shape.c + 3) / 4 * 4; ++c)
                    y.values.push_back(c < operand.shape.c ? operand.values[p * operand.shape.c + c] : 0);
        return std::vector<Array>{y};
    };
    op.exactOnIntegers = true;
    return op;
}

}  // namespace

OpRow Slice() {
    OpRow row;
    row.family = "slice";
    row.classes = {"MPSNNSlice"};
    row.pytorch = "x[:, c:c + channels, y:y + height, x:x + width]; torch.cat(sources, dim=1) for several";
    row.cases = {slice("all of it", {2, 3, 4, 5}, {2, 3, 4, 5}, {}),
                 slice("a box", {2, 5, 6, 11}, {2, 2, 3, 3}, {2, 1, 4}),
                 slice("channels only", {1, 3, 2, 9}, {1, 3, 2, 1}, {0, 0, 8}),
                 slice("zeros around", {2, 3, 2, 4}, {2, 6, 5, 4}, {-1, -2, 0}),
                 slice("edge pixels around", {2, 3, 2, 4}, {2, 6, 5, 4}, {-1, -2, 0, true}),
                 slice("outside", {1, 2, 2, 3}, {1, 2, 2, 3}, {7, -9, 0, true}),
                 concatenation("3 and 5 channels side by side", {2, 2, 3, 1}, {3, 5}),
                 concatenation("three sources side by side", {1, 3, 2, 1}, {8, 1, 6})};
    row.large = {slice("half of the channels", {16, 112, 112, 64}, {16, 112, 112, 32}, {0, 0, 32}),
                 slice("the middle", {16, 112, 112, 64}, {16, 80, 80, 64}, {16, 16, 0}),
                 concatenation("two times 64 channels side by side", {16, 56, 56, 1}, {64, 64})};
    row.errors = {{"null device", [](const auto&) { MPS::NNSlice(nullptr); }, "device: expected"},
                  {"a channel between",
                   [](const std::shared_ptr<MTL::Device>& device) {
                       MPS::NNSlice kernel(device);
                       kernel.setSourceFeatureChannelOffset(2);
                       kernel.encode(device->newCommandQueue()->commandBuffer(),
                                     imagesOf({device}, {{1, 1, 1, 8}, std::vector<double>(8, 1)})[0]);
                   },
                   "sourceFeatureChannelOffset: expected a multiple of 4, found 2"},
                  {"a mirror",
                   [](const std::shared_ptr<MTL::Device>& device) {
                       MPS::NNSlice kernel(device);
                       kernel.setEdgeMode(MPS::ImageEdgeMode::MirrorWithEdge);
                       kernel.encode(device->newCommandQueue()->commandBuffer(),
                                     imagesOf({device}, {{1, 1, 1, 1}, {1}})[0]);
                   },
                   "edgeMode: expected Zero or Clamp"}};
    return row;
}

}  // namespace pewter::optable
