#include <fmt/format.h>

#include "train/networks/Networks.h"

namespace pewter::train {

using Image = NetworkBuilder::Image;

namespace {

/// Convolution and instance normalisation.
Image normalized(NetworkBuilder& b, const Image& source, const std::string& label, std::size_t kernel,
                 std::size_t inputs, std::size_t outputs, std::size_t stride = 1) {
    const auto x = b.convolution(source, label, square(kernel, inputs, outputs, stride, true), {.weights = Initializer::heNormal()});
    return b.instanceNormalization(x, label + " norm", outputs);
}

}  // namespace

NetworkDescription styleNetwork(std::size_t size) {
    return {.name = "style",
            .width = size,
            .height = size,
            .channels = 3,
            .target = Target::image(size, size, 3),
            .batchSize = 2,
            .epochs = 1,
            .learningRate = 1e-3f,
            .build = [](NetworkBuilder& b, const Image& input) {
                auto x = b.relu(normalized(b, input, "conv1", 9, 3, 32), "relu1");
                x = b.relu(normalized(b, x, "conv2", 3, 32, 64, 2), "relu2");
                x = b.relu(normalized(b, x, "conv3", 3, 64, 128, 2), "relu3");
                for (int i = 1; i <= 5; ++i) {
                    const auto label = fmt::format("block{}", i);
                    auto y = b.relu(normalized(b, x, label + " conv1", 3, 128, 128), label + " relu");
                    y = normalized(b, y, label + " conv2", 3, 128, 128);
                    x = b.addition(x, y, label + " sum");
                }
                x = b.upsamplingNearest(x, "up1", 2);
                x = b.relu(normalized(b, x, "conv4", 3, 128, 64), "relu4");
                x = b.upsamplingNearest(x, "up2", 2);
                x = b.relu(normalized(b, x, "conv5", 3, 64, 32), "relu5");
                return b.sigmoid(b.convolution(x, "conv6", 9, 32, 3, {}), "sigmoid");
            }};
}

}  // namespace pewter::train
