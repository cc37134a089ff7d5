#include <fmt/format.h>

#include <iterator>

#include "train/networks/Networks.h"
#include "train/networks/Residual.h"

namespace pewter::train {

using Image = NetworkBuilder::Image;

namespace {

constexpr std::size_t kExpansion = 4;

/// Three convolutions, the middle one of few channels with the stride; the source goes by them as in resnet18.
Image bottleneck(NetworkBuilder& b, const Image& source, const std::string& label, std::size_t inputs, std::size_t width,
                 std::size_t stride) {
    const std::size_t outputs = kExpansion * width;
    auto x = b.relu(normalized(b, source, label + " conv1", 1, inputs, width, 1), label + " relu1");
    x = b.relu(normalized(b, x, label + " conv2", 3, width, width, stride), label + " relu2");
    x = normalized(b, x, label + " conv3", 1, width, outputs, 1);
    return b.relu(residual(b, x, source, label, inputs, outputs, stride), label + " relu3");
}

}  // namespace

NetworkDescription resnet50Network(std::size_t size) {
    return {.name = "resnet50",
            .width = size,
            .height = size,
            .channels = 3,
            .target = Target::classes(1000),
            .batchSize = 128,
            .epochs = 1,
            .learningRate = 1e-3f,
            .build = [](NetworkBuilder& b, const Image& input) {
                auto x = b.relu(normalized(b, input, "conv", 7, 3, 64, 2), "relu");
                x = b.maxPool(x, "pool", 3, 2);
                constexpr std::size_t kBlocks[] = {3, 4, 6, 3};
                std::size_t channels = 64;
                for (std::size_t stage = 0; stage < std::size(kBlocks); ++stage)
                    for (std::size_t i = 0; i < kBlocks[stage]; ++i) {
                        const std::size_t width = 64u << stage, stride = stage > 0 && i == 0 ? 2 : 1;
                        x = bottleneck(b, x, fmt::format("block{}.{}", stage + 1, i + 1), channels, width, stride);
                        channels = kExpansion * width;
                    }
                return b.fullyConnected(b.spatialMean(x, "mean"), "fc", 1, 1, channels, 1000, {});
            }};
}

}  // namespace pewter::train
