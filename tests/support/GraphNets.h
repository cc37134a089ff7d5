#pragma once

#include <MPS/CNNBatchNormalizationNode.hpp>
#include <MPS/CNNConvolutionNode.hpp>
#include <MPS/CNNDropoutNode.hpp>
#include <MPS/CNNLossNode.hpp>
#include <MPS/CNNNeuronNode.hpp>
#include <MPS/CNNPoolingNode.hpp>
#include <MPS/CNNSoftMaxNode.hpp>
#include <MPS/Handle.hpp>
#include <MPS/NNArithmeticNode.hpp>
#include <MPS/NNGraph.hpp>
#include <MPS/NNImageNode.hpp>

#include "GraphSources.h"

/// Small networks with their training graphs.
namespace pewter::test {

using Node = std::shared_ptr<MPS::NNImageNode>;

/// A handle that is only a name.
class Tag final : public MPS::Handle {
public:
    explicit Tag(std::string text) : text_(std::move(text)) {}
    std::string label() const override { return text_; }

private:
    std::string text_;
};
inline std::shared_ptr<MPS::Handle> tag(const std::string& text) { return std::make_shared<Tag>(text); }

/// A network with its training graph.
struct Net {
    explicit Net(DevicePtr d = testDevice()) : device(std::move(d)), queue(device->newCommandQueue()) {}

    DevicePtr device;
    std::shared_ptr<MTL::CommandQueue> queue;
    std::shared_ptr<CallLog> log = std::make_shared<CallLog>();
    std::vector<std::shared_ptr<LayerSource>> layers;
    std::vector<std::shared_ptr<NormSource>> norms;
    std::size_t width = 6, height = 6, channels = 3, classes = 5;
    Node input = MPS::NNImageNode::node(tag("input"));
    Node logits;
    std::shared_ptr<MPS::CNNLossNode> loss;
    MPS::NNFilterNodes termini;
    std::shared_ptr<MPS::NNGraph> graph;

    /// A convolution or, with `full`, a fully connected filter with weights of its own.
    std::shared_ptr<MPS::CNNConvolutionNode> layer(const Node& source, const std::string& label,
                                                   std::size_t kernel, std::size_t inputs,
                                                   std::size_t outputs, bool full = false) {
        layers.push_back(
            std::make_shared<LayerSource>(device, label, kernel, inputs, outputs, 100 + layers.size(), log));
        return full ? MPS::CNNFullyConnectedNode::node(source, layers.back())
                    : MPS::CNNConvolutionNode::node(source, layers.back());
    }
    Node norm(const Node& source, const std::string& label, std::size_t size) {
        norms.push_back(std::make_shared<NormSource>(device, label, size, 200 + norms.size(), log));
        return MPS::CNNBatchNormalizationNode::node(source, norms.back())->resultImage();
    }
    static Node relu(const Node& source) { return MPS::CNNNeuronReLUNode::node(source)->resultImage(); }

    /// Loss, gradient filters and graph behind logits.
    void train(const MPS::GradientNodeBlock& handler = nullptr, bool needed = false,
               Format format = Format::Float32) {
        auto descriptor = MPS::CNNLossDescriptor::cnnLossDescriptor(MPS::CNNLossType::SoftMaxCrossEntropy,
                                                                    MPS::CNNReductionType::Sum);
        descriptor.weight = 0.25f;
        loss = MPS::CNNLossNode::node(logits, descriptor);
        termini = loss->trainingGraph(nullptr, handler);
        graph = MPS::NNGraph::graph(device, termini.front()->resultImage(), needed);
        graph->setFormat(format);
        graph->setLabel("training");
    }

    MPS::ImageBatch images(std::size_t count, std::uint64_t seed = 1, Format format = Format::Float32) const {
        return drawImages(device, count, width, height, channels, seed, format);
    }
    MPS::StateBatch labels(std::size_t count, std::uint64_t seed = 1, Format format = Format::Float32) const {
        return drawLabels(device, count, classes, seed, format);
    }
    /// One committed and completed training step; the loss.
    double step(std::size_t count, std::uint64_t seed = 1, Format format = Format::Float32) {
        const auto state = labels(count, seed);
        const auto commands = queue->commandBuffer();
        result = graph->encodeBatch(commands, {images(count, seed, format)}, {state});
        run(commands);
        peak = commands->peakTemporaryMemory();
        livePeak = commands->liveTemporaryMemoryPeak();
        return lossOf(state);
    }
    MPS::ImageBatch result;
    std::size_t peak = 0, livePeak = 0;
};

/// Convolution, ReLU, max pooling, fully connected, loss.
inline void buildChain(Net& net) {
    const auto conv = net.layer(net.input, "conv", 3, net.channels, 8);
    const auto pool = MPS::CNNPoolingMaxNode::node(Net::relu(conv->resultImage()), 2);
    net.logits = net.layer(pool->resultImage(), "dense", 3, 8, net.classes, true)->resultImage();
}

/// Every class of filter of the library between a picture and a loss: batch normalisation, a residual
/// addition, a product, both poolings, dropout.
inline void buildWhole(Net& net) {
    const auto first = net.layer(net.input, "first", 3, net.channels, 4)->resultImage();
    const auto x = MPS::CNNNeuronTanHNode::node(net.norm(first, "norm", 4))->resultImage();
    const auto inside = MPS::CNNNeuronSoftPlusNode::node(net.layer(x, "inside", 3, 4, 4)->resultImage());
    const auto sum = MPS::NNAdditionNode::node(x, inside->resultImage())->resultImage();
    const auto pooled = MPS::CNNPoolingMaxNode::node(sum, 3, 2)->resultImage();
    const auto gate = MPS::CNNNeuronSigmoidNode::node(net.layer(pooled, "gate", 1, 4, 4)->resultImage());
    const auto product = MPS::NNMultiplicationNode::node(pooled, gate->resultImage())->resultImage();
    const auto dropped = MPS::CNNDropoutNode::node(product, 0.75f, 11)->resultImage();
    const auto mean = MPS::CNNPoolingAverageNode::node(dropped, 2, 1)->resultImage();
    net.logits = net.layer(mean, "dense", 3, 4, net.classes, true)->resultImage();
}

}  // namespace pewter::test
