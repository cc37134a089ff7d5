#include <fmt/format.h>

#include "train/networks/Networks.h"

namespace pewter::train {

using Image = NetworkBuilder::Image;

NetworkDescription yoloNetwork(std::size_t size) {
    // Five poolings; in every cell 15 boxes of 6 values.
    constexpr std::size_t kResult = 90;
    return {.name = "yolo",
            .width = size,
            .height = size,
            .channels = 3,
            .target = Target::image(size / 32, size / 32, kResult),
            .batchSize = 8,
            .epochs = 1,
            .learningRate = 1e-3f,
            .build = [](NetworkBuilder& b, const Image& input) {
                auto x = input;
                std::size_t channels = 3;
                for (std::size_t i = 1; i <= 8; ++i) {
                    const std::size_t outputs = i < 8 ? 8u << i : 1024;
                    x = b.convolution(x, fmt::format("conv{}", i),
                                      {.inputs = channels, .outputs = outputs, .bias = false},
                                      {.weights = Initializer::heNormal()});
                    x = b.batchNormalization(x, fmt::format("norm{}", i), outputs);
                    x = b.relu(x, fmt::format("relu{}", i), 0.1f);
                    if (i <= 5) x = b.maxPool(x, fmt::format("pool{}", i));
                    channels = outputs;
                }
                return b.convolution(x, "conv9", 1, channels, kResult, {});
            }};
}

}  // namespace pewter::train
