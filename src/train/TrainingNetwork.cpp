#include <fmt/format.h>

#include <MPS/Archive.hpp>
#include <MPS/CNNLossNode.hpp>
#include <MPS/CNNSoftMaxNode.hpp>
#include <MPS/NNGraph.hpp>
#include <MPS/NNRecomputePolicy.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/TrainingNetwork.hpp>
#include <cmath>

namespace pewter::train {

namespace {

/// Names the inputs of a graph.
class Name final : public MPS::Handle, public MPS::SecureCoding {
public:
    static constexpr const char* kName = "train.Name";
    explicit Name(std::string label) : label_(std::move(label)) {}
    explicit Name(MPS::Coder& coder) : label_(coder.decodeString("label")) {}
    std::string label() const override { return label_; }
    const char* className() const override { return kName; }
    void encodeWithCoder(MPS::Coder& coder) const override { coder.encodeString(label_, "label"); }

private:
    std::string label_;
};

float lossScaleOf(const std::string& name, const TrainingSettings& settings) {
    const float scale = settings.lossScale;
    if (!(scale >= 0) || std::isinf(scale))
        throw MPS::Error("network " + name, "lossScale", "a positive number, or 0 for the default", fmt::format("{}", scale));
    if (scale != 0) return scale;
    return settings.format == MPS::ImageFeatureChannelFormat::Float16 ? kLossScale : 1;
}

/// For gradients that are `scale` times as large. They are clipped first and rescaled then.
OptimizerSettings scaled(OptimizerSettings optimizer, float scale) {
    auto& descriptor = optimizer.descriptor;
    descriptor.gradientRescale /= scale;
    if (descriptor.applyGradientClipping) {
        descriptor.gradientClipMin *= scale;
        descriptor.gradientClipMax *= scale;
    }
    return optimizer;
}

std::string sourceKey(std::size_t index) { return "dataSource" + std::to_string(index); }

void setMemoryBudget(MPS::NNGraph& graph, const std::optional<std::size_t>& bytes) {
    if (bytes) graph.setRecomputePolicy(MPS::NNRecomputePolicy::budget(*bytes));
}

}  // namespace

TrainingNetwork::TrainingNetwork(const NetworkDescription& description, const std::shared_ptr<MTL::Device>& device,
                                 const TrainingSettings& settings)
    : description_(description),
      device_(device),
      settings_(settings),
      lossScale_(lossScaleOf(description.name, settings)),
      builder_(device, scaled(settings.optimizer, lossScale_), settings.seed) {
    using MPS::Error;
    MPS::RegisterArchivedClass<Name>(Name::kName);
    if (!device) throw Error("network " + description.name, "device", "a device", "null");
    if (settings.batchSize == 0) throw Error("network " + description.name, "batchSize", "at least 1", "0");
    const auto pictures = MPS::NNImageNode::node(std::make_shared<Name>("pictures"));

    builder_.setTraining(true);
    auto loss = MPS::CNNLossDescriptor::cnnLossDescriptor(description.target.loss, MPS::CNNReductionType::Sum);
    loss.weight = description.target.lossWeight(settings.batchSize) * lossScale_;
    const auto lossNode = MPS::CNNLossNode::node(description.build(builder_, pictures), loss);
    lossNode->setLabel("loss");
    lossNode->inputLabels()->setHandle(std::make_shared<Name>("labels"));
    const bool narrow = settings.format != MPS::ImageFeatureChannelFormat::Float32;
    if (narrow) lossNode->resultImage()->setFormat(MPS::ImageFeatureChannelFormat::Float32);
    const auto termini = lossNode->trainingGraph(nullptr, [&](const auto& gradient, const auto& forward, const auto&,
                                                              const auto&) {
        if (forward) gradient->setLabel(forward->label() + " gradient");
        if (narrow) gradient->resultImage()->setFormat(settings.format);
    });
    std::vector<std::shared_ptr<MPS::NNImageNode>> results;
    for (const auto& terminus : termini) results.push_back(terminus->resultImage());
    // Nobody needs the gradient of the pictures; the weights are updated all the same.
    training_ = MPS::NNGraph::graph(device, results, std::vector<bool>(results.size(), false));
    training_->setLabel(description.name + " training");
    training_->setFormat(settings.format);
    training_->setOptions(settings.options);
    setMemoryBudget(*training_, settings.memoryBudget);

    sources_ = builder_.dataSources();
}

TrainingNetwork::~TrainingNetwork() = default;

MPS::NNGraph& TrainingNetwork::inferenceGraph() {
    if (inference_) return *inference_;
    builder_.setTraining(false);
    auto result = description_.build(builder_, MPS::NNImageNode::node(std::make_shared<Name>("pictures")));
    if (description_.target.isClasses()) {
        const auto softMax = MPS::CNNSoftMaxNode::node(result);
        softMax->setLabel("softmax");
        result = softMax->resultImage();
    }
    result->setFormat(MPS::ImageFeatureChannelFormat::Float32);
    inference_ = MPS::NNGraph::graph(device_, result);
    inference_->setLabel(description_.name + " inference");
    inference_->setFormat(settings_.format);
    inference_->setOptions(settings_.options);
    return *inference_;
}

void TrainingNetwork::setLearningRate(float rate) {
    for (const auto& source : dataSources()) source->setLearningRate(rate);
}

std::size_t TrainingNetwork::parameterCount() const {
    std::size_t count = 0;
    for (const auto& source : dataSources()) count += source->parameterCount();
    return count;
}

void TrainingNetwork::save(const std::string& path) {
    inferenceGraph();
    MPS::KeyedArchiver archiver;
    archiver.encodeString(description_.name, "network");
    archiver.encodeUnsigned(settings_.batchSize, "batchSize");
    archiver.encodeDouble(lossScale_, "lossScale");
    archiver.encodeObject(training_, "training");
    archiver.encodeObject(inference_, "inference");
    for (std::size_t i = 0; i < sources_.size(); ++i) archiver.encodeObject(sources_[i], sourceKey(i));
    archiver.writeToFile(path);
}

void TrainingNetwork::load(const std::string& path) {
    const auto data = MPS::KeyedUnarchiver::dataOfFile(path);
    MPS::KeyedUnarchiver unarchiver(data, device_);
    const auto who = "network " + description_.name;
    if (const auto name = unarchiver.decodeString("network"); name != description_.name)
        throw MPS::Error(who, "file", "one of this network", "one of " + name);
    if (const auto batch = unarchiver.decodeSize("batchSize"); batch != settings_.batchSize)
        throw MPS::Error(who, "batchSize", std::to_string(batch) + ", as in the file", std::to_string(settings_.batchSize));
    const auto graph = [&](const char* key) {
        auto made = unarchiver.decodeObjectOfClass<MPS::NNGraph>(key);
        if (!made) unarchiver.refuse(key, "a graph", "null");
        if (made->format() != settings_.format)
            throw MPS::Error(who, "format", "the one of the graphs in the file", "another one");
        return made;
    };
    // Graphs and optimizers of the file agree with one another; before there was a scale, it was 1.
    const float scale = unarchiver.containsValue("lossScale") ? unarchiver.decodeFloat("lossScale") : 1;
    if (!(scale > 0) || std::isinf(scale)) unarchiver.refuse("lossScale", "a positive number", fmt::format("{}", scale));
    auto training = graph("training"), inference = graph("inference");
    std::vector<std::shared_ptr<DataSource>> sources;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
        sources.push_back(unarchiver.decodeObjectOfClass<DataSource>(sourceKey(i)));
        if (!sources.back()) unarchiver.refuse(sourceKey(i), "a data source", "null");
    }
    lossScale_ = scale;
    training_ = std::move(training);
    setMemoryBudget(*training_, settings_.memoryBudget);
    inference_ = std::move(inference);
    sources_ = std::move(sources);
}

}  // namespace pewter::train
