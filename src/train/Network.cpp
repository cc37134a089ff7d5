#include <fmt/format.h>

#include <MPS/CNNBatchNormalizationNode.hpp>
#include <MPS/CNNConvolutionNode.hpp>
#include <MPS/CNNDropoutNode.hpp>
#include <MPS/CNNLossNode.hpp>
#include <MPS/CNNNeuronNode.hpp>
#include <MPS/CNNPoolingNode.hpp>
#include <MPS/CNNSoftMaxNode.hpp>
#include <MPS/NNGraph.hpp>
#include <MPS/NNPadding.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/Network.hpp>

namespace pewter::train {

using MPS::Error;

std::shared_ptr<ConvolutionDataSource> NetworkBuilder::convolutionSource(const std::string& label,
                                                                         const ConvolutionShape& shape,
                                                                         const Start& start) {
    auto& source = convolutions_[label];
    if (!source) {
        // Every layer draws from its own stream of the one seed.
        source = std::make_shared<ConvolutionDataSource>(device_, label, shape, start.weights, start.bias, optimizer_,
                                                         seed_, order_.size() + 1);
        order_.push_back(source);
    }
    return source;
}

NetworkBuilder::Image NetworkBuilder::convolution(const Image& source, const std::string& label, std::size_t kernel,
                                                  std::size_t inputs, std::size_t outputs, const Start& start) {
    const auto node = MPS::CNNConvolutionNode::node(
        source, convolutionSource(label,
                                  {.kernelWidth = kernel, .kernelHeight = kernel, .inputs = inputs,
                                   .outputs = outputs},
                                  start));
    node->setLabel(label);
    node->setPaddingPolicy(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeSame));
    return node->resultImage();
}

NetworkBuilder::Image NetworkBuilder::fullyConnected(const Image& source, const std::string& label, std::size_t width,
                                                     std::size_t height, std::size_t inputs, std::size_t outputs,
                                                     const Start& start) {
    const auto node = MPS::CNNFullyConnectedNode::node(
        source, convolutionSource(label,
                                  {.kernelWidth = width, .kernelHeight = height, .inputs = inputs,
                                   .outputs = outputs},
                                  start));
    node->setLabel(label);
    return node->resultImage();
}

NetworkBuilder::Image NetworkBuilder::batchNormalization(const Image& source, const std::string& label,
                                                         std::size_t channels) {
    auto& data = normalizations_[label];
    if (!data) {
        data = std::make_shared<BatchNormalizationDataSource>(device_, label, channels, optimizer_);
        order_.push_back(data);
    }
    const auto node = MPS::CNNBatchNormalizationNode::node(source, data);
    node->setLabel(label);
    return node->resultImage();
}

NetworkBuilder::Image NetworkBuilder::relu(const Image& source, const std::string& label) {
    const auto node = MPS::CNNNeuronReLUNode::node(source);
    node->setLabel(label);
    return node->resultImage();
}

NetworkBuilder::Image NetworkBuilder::maxPool(const Image& source, const std::string& label) {
    const auto node = MPS::CNNPoolingMaxNode::node(source, 2);
    node->setPaddingPolicy(MPS::NNDefaultPadding::paddingForTensorflowAveragePooling());
    node->setLabel(label);
    return node->resultImage();
}

NetworkBuilder::Image NetworkBuilder::dropout(const Image& source, const std::string& label, float keepProbability) {
    if (!training_) return source;
    const auto node = MPS::CNNDropoutNode::node(source, keepProbability, seed_, MTL::Size{1, 1, 1});
    node->setLabel(label);
    return node->resultImage();
}

const std::vector<NetworkDescription>& networks() {
    using Image = NetworkBuilder::Image;
    static const std::vector<NetworkDescription> known = {
        {.name = "digits",
         .width = 8,
         .height = 8,
         .channels = 1,
         .classes = 10,
         .batchSize = 32,
         .epochs = 20,
         .learningRate = 2e-3f,
         .build =
             [](NetworkBuilder& b, const Image& input) {
                 const NetworkBuilder::Start he{.weights = Initializer::heNormal(), .bias = 0};
                 auto x = b.convolution(input, "conv1", 3, 1, 32, he);
                 x = b.relu(b.batchNormalization(x, "norm1", 32), "relu1");
                 x = b.convolution(x, "conv2", 3, 32, 64, he);
                 x = b.relu(b.batchNormalization(x, "norm2", 64), "relu2");
                 x = b.maxPool(x, "pool");
                 x = b.relu(b.fullyConnected(x, "fc1", 4, 4, 64, 128, he), "relu3");
                 x = b.dropout(x, "dropout", 0.5f);
                 return b.fullyConnected(x, "fc2", 1, 1, 128, 10, {.weights = Initializer::xavier(), .bias = 0});
             }},
        // Apple's sample network with its settings.
        {.name = "mnist",
         .width = 28,
         .height = 28,
         .channels = 1,
         .classes = 10,
         .batchSize = 40,
         .epochs = 1,
         .learningRate = 1e-3f,
         .build =
             [](NetworkBuilder& b, const Image& input) {
                 const NetworkBuilder::Start start{.weights = Initializer::uniform(0.2f), .bias = 0.1f};
                 auto x = b.convolution(input, "conv1", 5, 1, 32, start);
                 x = b.maxPool(b.relu(x, "relu1"), "pool1");
                 x = b.convolution(x, "conv2", 5, 32, 64, start);
                 x = b.maxPool(b.relu(x, "relu2"), "pool2");
                 x = b.relu(b.fullyConnected(x, "fc1", 7, 7, 64, 1024, start), "relu3");
                 x = b.dropout(x, "dropout", 0.5f);
                 return b.fullyConnected(x, "fc2", 1, 1, 1024, 10, start);
             }},
    };
    return known;
}

const NetworkDescription& network(const std::string& name) {
    std::string names;
    for (const auto& description : networks()) {
        if (description.name == name) return description;
        names += (names.empty() ? "" : ", ") + description.name;
    }
    throw Error("network", "name", "one of " + names, fmt::format("\"{}\"", name));
}

namespace {

/// Names the inputs of a graph.
class Name final : public MPS::Handle {
public:
    explicit Name(std::string label) : label_(std::move(label)) {}
    std::string label() const override { return label_; }

private:
    std::string label_;
};

}  // namespace

Classifier::Classifier(const NetworkDescription& description, const std::shared_ptr<MTL::Device>& device,
                       const ClassifierSettings& settings)
    : description_(description),
      device_(device),
      settings_(settings),
      builder_(device, settings.optimizer, settings.seed) {
    if (!device) throw Error("network " + description.name, "device", "a device", "null");
    if (settings.batchSize == 0) throw Error("network " + description.name, "batchSize", "at least 1", "0");
    const auto pictures = MPS::NNImageNode::node(std::make_shared<Name>("pictures"));

    builder_.setTraining(true);
    auto loss = MPS::CNNLossDescriptor::cnnLossDescriptor(MPS::CNNLossType::SoftMaxCrossEntropy,
                                                          MPS::CNNReductionType::Sum);
    loss.weight = 1.0f / static_cast<float>(settings.batchSize);
    const auto lossNode = MPS::CNNLossNode::node(description.build(builder_, pictures), loss);
    lossNode->setLabel("loss");
    lossNode->inputLabels()->setHandle(std::make_shared<Name>("labels"));
    const bool narrow = settings.format != MPS::ImageFeatureChannelFormat::Float32;
    if (narrow) lossNode->resultImage()->setFormat(MPS::ImageFeatureChannelFormat::Float32);
    const auto termini = lossNode->trainingGraph(nullptr, [&](const auto& gradient, const auto& forward, const auto&,
                                                              const auto&) {
        if (forward) gradient->setLabel(forward->label() + " gradient");
        // Gradients of half-width graphs would flush to zero.
        if (narrow) gradient->resultImage()->setFormat(MPS::ImageFeatureChannelFormat::Float32);
    });
    std::vector<std::shared_ptr<MPS::NNImageNode>> results;
    for (const auto& terminus : termini) results.push_back(terminus->resultImage());
    // Nobody needs the gradient of the pictures; the weights are updated all the same.
    training_ = MPS::NNGraph::graph(device, results, std::vector<bool>(results.size(), false));
    training_->setLabel(description.name + " training");
    training_->setFormat(settings.format);

    builder_.setTraining(false);
    const auto softMax = MPS::CNNSoftMaxNode::node(description.build(builder_, pictures));
    softMax->setLabel("softmax");
    softMax->resultImage()->setFormat(MPS::ImageFeatureChannelFormat::Float32);
    inference_ = MPS::NNGraph::graph(device, softMax->resultImage());
    inference_->setLabel(description.name + " inference");
    inference_->setFormat(settings.format);
}

Classifier::~Classifier() = default;

void Classifier::setLearningRate(float rate) {
    for (const auto& source : dataSources()) source->setLearningRate(rate);
}

std::size_t Classifier::parameterCount() const {
    std::size_t count = 0;
    for (const auto& source : dataSources()) count += source->parameterCount();
    return count;
}

}  // namespace pewter::train
