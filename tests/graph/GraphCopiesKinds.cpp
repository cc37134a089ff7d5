#include <gtest/gtest.h>

#include <MPS/CNNBinaryConvolutionNode.hpp>
#include <MPS/CNNConvolutionTransposeNode.hpp>
#include <MPS/CNNGroupNormalizationNode.hpp>
#include <MPS/CNNInstanceNormalizationNode.hpp>
#include <MPS/NNForwardLossNode.hpp>
#include <Pewter/HostKernel.hpp>
#include <Pewter/KernelNode.hpp>

#include "BinaryWeights.h"
#include "GraphRuns.h"
#include "NormalizationKernels.h"

/// Copies of graphs with each kind of step that has something of its own: the copy gives the numbers of the original.
using namespace pewter::test;

namespace {

Node neutral() { return MPS::NNImageNode::node(nullptr); }

std::shared_ptr<MPS::NNGraph> graphOf(const DevicePtr& device, const Node& result) {
    const auto graph = MPS::NNGraph::graph(device, result);
    graph->setFormat(Format::Float32);
    return graph;
}

/// The gradient of the first input of a net whose result has the size of its input.
Node gradientOf(const Node& result) { return result->producer()->trainingGraph(neutral()).front()->resultImage(); }

/// Equal bits on the same device, nearly equal numbers elsewhere; nothing that the copy does reaches the original.
void expectCopies(const std::function<Node(const DevicePtr&)>& build) {
    for (const auto& device : MTL::copyAllDevices())
        for (const auto& other : MTL::copyAllDevices()) {
            SCOPED_TRACE(device->name() + " to " + other->name());
            const auto graph = graphOf(device, build(device));
            const auto copy = std::static_pointer_cast<MPS::NNGraph>(graph->copy(other));
            const auto found = infer(*copy), expected = infer(*graph);
            ASSERT_EQ(found.size(), expected.size());
            EXPECT_NE(expected, std::vector<double>(expected.size()));
            for (std::size_t i = 0; i < found.size(); ++i)
                if (other == device)
                    EXPECT_EQ(found[i], expected[i]);
                else
                    EXPECT_NEAR(found[i], expected[i], 1e-4 * (1 + std::abs(expected[i])));
        }
}

class Bits final : public MPS::CNNConvolutionDataSource {
public:
    bool load() override { return true; }
    void purge() override {}
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor() const override {
        return MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 3, 3);
    }
    MPS::DataType dataType() const override { return MPS::DataType::UInt32; }
    const void* weights() const override { return words_.data(); }
    const float* biasTerms() const override { return biases_.data(); }
    std::string label() const override { return "bits"; }
    std::optional<std::size_t> weightsLength() const override { return words_.size(); }

private:
    std::vector<std::uint32_t> words_ = packedBits(std::vector<int>{1, 0, 1, 0, 0, 1, 1, 1, 0}, 3);
    std::vector<float> biases_{1, -1, 2};
};

template <class Source>
std::shared_ptr<Source> values(std::size_t groups) {
    auto source = std::make_shared<Source>(3, groups);
    source->g = {1, -2, 3};
    source->b = {0.5F, 0, -1};
    return source;
}

/// y = 2 x, keeping the number of pixels.
class Doubled final : public pewter::HostStateKernel {
public:
    using HostStateKernel::HostStateKernel;
    const char* className() const override { return "Doubled"; }
    std::shared_ptr<MPS::Kernel> copy(const DevicePtr& to) const override {
        return std::make_shared<Doubled>(to ? to : device());
    }

protected:
    std::size_t stateSize(const MPS::Image&, const MPS::Image&) const override { return 1; }
    Computation computation() const override {
        return [](const auto& source, const auto&, const auto&, auto& destination, auto&) {
            for (std::size_t i = 0; i < source.values.size(); ++i) destination.values[i] = 2 * source.values[i];
        };
    }
};

MPS::CNNLossDescriptor squares() {
    return MPS::CNNLossDescriptor::cnnLossDescriptor(MPS::CNNLossType::MeanSquaredError, MPS::CNNReductionType::None);
}

}  // namespace

TEST(GraphCopiesKinds, BinaryConvolutions) {
    expectCopies([](const DevicePtr&) {
        return MPS::CNNBinaryConvolutionNode::node(neutral(), std::make_shared<Bits>(), 0.5F,
                                                   MPS::CNNBinaryConvolutionType::XNOR, MPS::CNNBinaryConvolutionFlags::None)
            ->resultImage();
    });
}

TEST(GraphCopiesKinds, InstanceAndGroupNormalisationsAndTheirGradients) {
    const auto instance = [](const DevicePtr&) {
        return MPS::CNNInstanceNormalizationNode::node(neutral(), values<InstanceKind::Source>(3))->resultImage();
    };
    const auto group = [](const DevicePtr&) {
        return MPS::CNNGroupNormalizationNode::node(neutral(), values<GroupKind::Source>(1))->resultImage();
    };
    expectCopies(instance);
    expectCopies(group);
    Diagnostics diagnostics;  // these data sources have no update
    expectCopies([=](const DevicePtr& device) { return gradientOf(instance(device)); });
    expectCopies([=](const DevicePtr& device) { return gradientOf(group(device)); });
    diagnostics.messages.clear();
}

TEST(GraphCopiesKinds, TransposedConvolutionsAndTheirGradients) {
    const auto up = [](const DevicePtr& device) {
        const auto weights = std::make_shared<LayerSource>(device, "up", 3, 3, 3, 5);
        const auto node = MPS::CNNConvolutionTransposeNode::node(neutral(), nullptr, weights);
        node->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);  // the optimizer stays on its device
        return node->resultImage();
    };
    expectCopies(up);
    expectCopies([=](const DevicePtr& device) { return gradientOf(up(device)); });
}

TEST(GraphCopiesKinds, ForwardLossesAndTheirGradients) {
    const auto loss = [](const DevicePtr&) { return MPS::NNForwardLossNode::node(neutral(), neutral(), squares())->resultImage(); };
    expectCopies(loss);
    expectCopies([=](const DevicePtr& device) { return gradientOf(loss(device)); });
}

TEST(GraphCopiesKinds, LossesWithLabels) {
    for (const auto& device : MTL::copyAllDevices()) {
        Net net(device);
        buildChain(net);
        net.train();
        const auto copy = std::static_pointer_cast<MPS::NNGraph>(net.graph->copy());
        const auto ofCopy = trainSteps(net, *copy, 1, 3);
        EXPECT_EQ(trainSteps(net, *net.graph, 1, 3), ofCopy);
        EXPECT_NE(ofCopy[0], 0);
    }
}

TEST(GraphCopiesKinds, KernelsOfTheApplicationWithStates) {
    expectCopies([](const DevicePtr&) {
        return pewter::KernelNode::node(neutral(), [](const DevicePtr& device) { return std::make_shared<Doubled>(device); })
            ->resultImage();
    });
}
