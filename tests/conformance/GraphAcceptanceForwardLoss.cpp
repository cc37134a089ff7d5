#include <MPS/NNForwardLossNode.hpp>
#include <MPS/NNInitialGradientNode.hpp>

#include <cmath>

#include "GraphNets.h"
#include "WeightedKernels.h"

/// The acceptance test of graphs, 17: a forward loss started with ones against the loss filter that is its
/// own gradient.
using namespace pewter::test;

namespace {

/// The weights of both layers after one step of descent, and the gradient of the picture.
struct Outcome {
    Numbers picture;
    std::vector<float> first, second;
};

struct Layers : Net {
    explicit Layers(DevicePtr d) : Net(std::move(d)) { buildChain(*this); }
    Outcome outcome(const MPS::ImageBatch& gradients) const {
        Outcome result;
        for (const auto& image : gradients)
            for (const double value : valuesOf(*image)) result.picture.push_back(value);
        result.first = layers[0]->trained();
        result.second = layers[1]->trained();
        return result;
    }
};

Outcome withLossNode(const DevicePtr& device, const MPS::CNNLossDescriptor& descriptor,
                     const MPS::ImageBatch& labels, const MPS::ImageBatch& weights) {
    Layers net(device);
    const auto loss = MPS::CNNLossNode::node(net.logits, descriptor);
    MPS::NNGraph graph(device, loss->trainingGraph().at(0)->resultImage());
    graph.setFormat(Format::Float32);
    MPS::StateBatch states;
    const bool reduces = descriptor.reductionType != MPS::CNNReductionType::None;
    for (std::size_t i = 0; i < labels.size(); ++i)
        states.push_back(
            std::make_shared<MPS::CNNLossLabels>(device, MTL::Size{1, 1, reduces ? 1 : net.classes},
                                                 labels[i], weights.empty() ? nullptr : weights[i]));
    const auto commands = net.queue->commandBuffer();
    const auto gradients = graph.encodeBatch(commands, {net.images(labels.size())}, {states});
    finish(commands);
    return net.outcome(gradients);
}

Outcome withForwardLoss(const DevicePtr& device, const MPS::CNNLossDescriptor& descriptor,
                        const MPS::ImageBatch& labels, const MPS::ImageBatch& weights) {
    Layers net(device);
    const auto t = MPS::NNImageNode::node(tag("labels")), w = MPS::NNImageNode::node(tag("weights"));
    const auto loss = MPS::NNForwardLossNode::node(net.logits, t, weights.empty() ? nullptr : w, descriptor);
    const auto termini = MPS::NNInitialGradientNode::node(loss->resultImage())->trainingGraph();
    // The gradient of the picture is made last; that of the labels ends in their own filter.
    EXPECT_EQ(termini.size(), 2u);
    MPS::NNGraph graph(device, termini.back()->resultImage());
    graph.setFormat(Format::Float32);
    std::vector<MPS::ImageBatch> sources;
    for (const auto& handle : graph.sourceImageHandles())
        sources.push_back(handle == t->handle()   ? labels
                          : handle == w->handle() ? weights
                                                  : net.images(labels.size()));
    const auto commands = net.queue->commandBuffer();
    const auto gradients = graph.encodeBatch(commands, sources);
    finish(commands);
    return net.outcome(gradients);
}

}  // namespace

TEST(GraphAcceptance, N17_AForwardLossStartedWithOnesGivesTheGradientsOfTheLossFilter) {
    using Type = MPS::CNNLossType;
    constexpr std::size_t kCount = 3, kClasses = 5;
    for (const auto& device : weightedDevices())
        for (const auto type :
             {Type::MeanAbsoluteError, Type::MeanSquaredError, Type::SoftMaxCrossEntropy,
              Type::SigmoidCrossEntropy, Type::CategoricalCrossEntropy, Type::Hinge, Type::Huber,
              Type::CosineDistance, Type::Log, Type::KullbackLeiblerDivergence})
            for (const auto reduction : {MPS::CNNReductionType::Sum, MPS::CNNReductionType::None})
                for (const bool weighted : {false, true}) {
                    if (type == Type::CosineDistance && reduction == MPS::CNNReductionType::None) continue;
                    auto descriptor = MPS::CNNLossDescriptor::cnnLossDescriptor(type, reduction);
                    descriptor.weight = 0.5F;
                    descriptor.numberOfClasses = kClasses;
                    descriptor.labelSmoothing = 0.125F;
                    descriptor.delta = 0.75F;
                    Random random(static_cast<std::uint64_t>(type) + 1);
                    Numbers values(kCount * kClasses), scales(kCount * kClasses);
                    for (auto& value : values) value = static_cast<double>(random.integer(0, 1));
                    for (auto& scale : scales) scale = static_cast<double>(random.integer(1, 3));
                    const auto labels = batchOf(device, kCount, 1, 1, kClasses, values);
                    const auto weights =
                        weighted ? batchOf(device, kCount, 1, 1, kClasses, scales) : MPS::ImageBatch();
                    const auto expected = withLossNode(device, descriptor, labels, weights);
                    const auto found = withForwardLoss(device, descriptor, labels, weights);
                    SCOPED_TRACE(device->name() + ", type " + std::to_string(static_cast<int>(type)));
                    EXPECT_EQ(found.picture, expected.picture);
                    EXPECT_EQ(found.first, expected.first);
                    EXPECT_EQ(found.second, expected.second);
                    EXPECT_NE(expected.picture, Numbers(expected.picture.size()));
                    for (const double value : expected.picture) ASSERT_TRUE(std::isfinite(value));
                }
}
