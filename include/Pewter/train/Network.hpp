#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <MPS/CNNLoss.hpp>
#include <Pewter/train/NetworkBuilder.hpp>

namespace pewter::train {

/// What a network is trained towards: the loss, and the extents of its result, which those of a sample's labels are.
struct PEWTER_API Target {
    MPS::CNNLossType loss = MPS::CNNLossType::SoftMaxCrossEntropy;
    std::size_t width = 1, height = 1, channels = 2;

    /// Logits of that many classes, softmax cross-entropy.
    static Target classes(std::size_t count) { return {MPS::CNNLossType::SoftMaxCrossEntropy, 1, 1, count}; }
    /// An image, mean squared error.
    static Target image(std::size_t width, std::size_t height, std::size_t channels) {
        return {MPS::CNNLossType::MeanSquaredError, width, height, channels};
    }

    bool isClasses() const { return loss == MPS::CNNLossType::SoftMaxCrossEntropy; }
    /// With it the loss images of a batch add up to the mean: over the samples for classes, over all elements of all
    /// samples for images.
    float lossWeight(std::size_t batchSize) const;
};

/// What a network is before any device: shapes, defaults, and the function that makes its nodes up to the result (logits,
/// or an image).
struct PEWTER_API NetworkDescription {
    std::string name;
    std::size_t width = 1, height = 1, channels = 1;
    Target target;
    std::size_t batchSize = 32, epochs = 1;
    float learningRate = 1e-3f;
    std::function<std::shared_ptr<MPS::NNImageNode>(NetworkBuilder&, const std::shared_ptr<MPS::NNImageNode>&)> build;
};

/// The networks that the library knows:
/// - `digits`: 8 x 8 digits.
/// - `mnist`: Apple's sample network, 28 x 28.
/// - `resnet18`: 18 layers with residual additions (He, Zhang, Ren, Sun 2015), the form for 32 x 32 pictures.
/// - `resnet50`: 50 layers of the same in bottlenecks, for 224 x 224 pictures of 1000 classes, the stride in the 3 x 3
///   convolution of a block.
/// - `style`: the image transformation network of Johnson, Alahi, Li (2016) with instance normalisation, 256 x 256.
/// - `yolo`: the body of tiny YOLO (Redmon, Farhadi 2017), 416 x 416, with a regression towards 13 x 13 x 90.
PEWTER_API const std::vector<NetworkDescription>& networks();
/// By name; throws MPS::Error that lists the names.
PEWTER_API const NetworkDescription& network(const std::string& name);

/// The last four for square pictures of another size: a multiple of 8, any, a multiple of 4, and of 32.
PEWTER_API NetworkDescription resnet18Network(std::size_t size = 32);
PEWTER_API NetworkDescription resnet50Network(std::size_t size = 224);
PEWTER_API NetworkDescription styleNetwork(std::size_t size = 256);
PEWTER_API NetworkDescription yoloNetwork(std::size_t size = 416);

}  // namespace pewter::train
