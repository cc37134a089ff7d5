#include <fmt/format.h>

#include "train/networks/Networks.h"
#include "train/networks/Residual.h"

namespace pewter::train {

using Image = NetworkBuilder::Image;

namespace {

/// Two convolutions around which the source goes by, through one of its own where the extents change.
Image block(NetworkBuilder& b, const Image& source, const std::string& label, std::size_t inputs, std::size_t outputs,
            std::size_t stride) {
    auto x = normalized(b, source, label + " conv1", 3, inputs, outputs, stride);
    x = normalized(b, b.relu(x, label + " relu1"), label + " conv2", 3, outputs, outputs, 1);
    return b.relu(residual(b, x, source, label, inputs, outputs, stride), label + " relu2");
}

}  // namespace

NetworkDescription resnet18Network(std::size_t size) {
    return {.name = "resnet18",
            .width = size,
            .height = size,
            .channels = 3,
            .target = Target::classes(10),
            .batchSize = 64,
            .epochs = 1,
            .learningRate = 1e-3f,
            .build = [](NetworkBuilder& b, const Image& input) {
                auto x = b.relu(normalized(b, input, "conv", 3, 3, 64, 1), "relu");
                std::size_t channels = 64;
                for (std::size_t i = 0; i < 8; ++i) {
                    const std::size_t outputs = 64u << i / 2, stride = i % 2 == 0 && i > 0 ? 2 : 1;
                    x = block(b, x, fmt::format("block{}", i + 1), channels, outputs, stride);
                    channels = outputs;
                }
                return b.fullyConnected(b.spatialMean(x, "mean"), "fc", 1, 1, channels, 10, {});
            }};
}

}  // namespace pewter::train
