#include <MPS/CNNLossNode.hpp>
#include <MPS/CNNSoftMaxNode.hpp>
#include <MPS/NNGraph.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/TrainingNetwork.hpp>

namespace pewter::train {

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

TrainingNetwork::TrainingNetwork(const NetworkDescription& description, const std::shared_ptr<MTL::Device>& device,
                                 const TrainingSettings& settings)
    : description_(description),
      device_(device),
      settings_(settings),
      builder_(device, settings.optimizer, settings.seed) {
    using MPS::Error;
    if (!device) throw Error("network " + description.name, "device", "a device", "null");
    if (settings.batchSize == 0) throw Error("network " + description.name, "batchSize", "at least 1", "0");
    const auto pictures = MPS::NNImageNode::node(std::make_shared<Name>("pictures"));

    builder_.setTraining(true);
    auto loss = MPS::CNNLossDescriptor::cnnLossDescriptor(description.target.loss, MPS::CNNReductionType::Sum);
    loss.weight = description.target.lossWeight(settings.batchSize);
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
    auto result = description.build(builder_, pictures);
    if (description.target.isClasses()) {
        const auto softMax = MPS::CNNSoftMaxNode::node(result);
        softMax->setLabel("softmax");
        result = softMax->resultImage();
    }
    result->setFormat(MPS::ImageFeatureChannelFormat::Float32);
    inference_ = MPS::NNGraph::graph(device, result);
    inference_->setLabel(description.name + " inference");
    inference_->setFormat(settings.format);
}

TrainingNetwork::~TrainingNetwork() = default;

void TrainingNetwork::setLearningRate(float rate) {
    for (const auto& source : dataSources()) source->setLearningRate(rate);
}

std::size_t TrainingNetwork::parameterCount() const {
    std::size_t count = 0;
    for (const auto& source : dataSources()) count += source->parameterCount();
    return count;
}

}  // namespace pewter::train
