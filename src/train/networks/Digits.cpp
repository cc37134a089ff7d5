#include "train/networks/Networks.h"

namespace pewter::train {

using Image = NetworkBuilder::Image;
using Start = NetworkBuilder::Start;

NetworkDescription digitsNetwork() {
    return {.name = "digits",
            .width = 8,
            .height = 8,
            .channels = 1,
            .target = Target::classes(10),
            .batchSize = 32,
            .epochs = 20,
            .learningRate = 2e-3f,
            .build = [](NetworkBuilder& b, const Image& input) {
                const Start he{.weights = Initializer::heNormal(), .bias = 0};
                auto x = b.convolution(input, "conv1", 3, 1, 32, he);
                x = b.relu(b.batchNormalization(x, "norm1", 32), "relu1");
                x = b.convolution(x, "conv2", 3, 32, 64, he);
                x = b.relu(b.batchNormalization(x, "norm2", 64), "relu2");
                x = b.maxPool(x, "pool");
                x = b.relu(b.fullyConnected(x, "fc1", 4, 4, 64, 128, he), "relu3");
                x = b.dropout(x, "dropout", 0.5f);
                return b.fullyConnected(x, "fc2", 1, 1, 128, 10, {.weights = Initializer::xavier(), .bias = 0});
            }};
}

// Apple's sample network with its settings.
NetworkDescription mnistNetwork() {
    return {.name = "mnist",
            .width = 28,
            .height = 28,
            .channels = 1,
            .target = Target::classes(10),
            .batchSize = 40,
            .epochs = 1,
            .learningRate = 1e-3f,
            .build = [](NetworkBuilder& b, const Image& input) {
                const Start start{.weights = Initializer::uniform(0.2f), .bias = 0.1f};
                auto x = b.convolution(input, "conv1", 5, 1, 32, start);
                x = b.maxPool(b.relu(x, "relu1"), "pool1");
                x = b.convolution(x, "conv2", 5, 32, 64, start);
                x = b.maxPool(b.relu(x, "relu2"), "pool2");
                x = b.relu(b.fullyConnected(x, "fc1", 7, 7, 64, 1024, start), "relu3");
                x = b.dropout(x, "dropout", 0.5f);
                return b.fullyConnected(x, "fc2", 1, 1, 1024, 10, start);
            }};
}

}  // namespace pewter::train
