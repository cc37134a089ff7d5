#include <MPS/CNNConvolution.hpp>
#include <MPS/CNNLoss.hpp>
#include <MPS/CNNNeuron.hpp>

#include "GraphNets.h"

/// The worked example of read counts: a convolution and a neuron driven by hand, and the same network as a
/// graph.
using namespace pewter::test;

namespace {

MPS::CNNLossDescriptor lossDescriptor() {
    return MPS::CNNLossDescriptor::cnnLossDescriptor(MPS::CNNLossType::MeanSquaredError,
                                                     MPS::CNNReductionType::Sum);
}

std::shared_ptr<MPS::CNNLossLabels> labels(const DevicePtr& device, std::uint64_t seed) {
    return std::make_shared<MPS::CNNLossLabels>(device, MTL::Size{1, 1, 1},
                                                drawImages(device, 1, 5, 5, 4, seed)[0], nullptr);
}

MPS::CNNConvolutionGradientState& gradients(const std::shared_ptr<MPS::State>& state) {
    return dynamic_cast<MPS::CNNConvolutionGradientState&>(*state);
}

/// The kernels of the step, their counts checked after every call.
struct ByHand {
    ByHand() {
        for (MPS::CNNKernel* kernel :
             {static_cast<MPS::CNNKernel*>(convolution.get()), static_cast<MPS::CNNKernel*>(&neuron),
              static_cast<MPS::CNNKernel*>(&loss)})
            kernel->setDestinationImageAllocator(MPS::TemporaryImage::defaultAllocator());
    }
    DevicePtr device = testDevice();
    std::shared_ptr<LayerSource> source = std::make_shared<LayerSource>(device, "conv", 3, 3, 4, 100);
    std::shared_ptr<MPS::CNNConvolution> convolution = std::make_shared<MPS::CNNConvolution>(device, source);
    MPS::NNNeuronDescriptor sigmoid =
        MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::Sigmoid);
    MPS::CNNNeuron neuron{device, sigmoid};
    MPS::CNNLoss loss{device, lossDescriptor()};
    MPS::CNNNeuronGradient neuronGradient{device, sigmoid};
    MPS::CNNConvolutionGradient convolutionGradient{device, source};

    void step(const BufferPtr& commands, const ImagePtr& x,
              const std::shared_ptr<MPS::CNNLossLabels>& target) {
        std::shared_ptr<MPS::State> s, t;
        const auto y = convolution->encode(commands, x, &s, true);
        EXPECT_EQ(temporary(y).readCount(), 1u);
        EXPECT_EQ(s->readCount(), 1u);
        temporary(y).setReadCount(2);
        s->setReadCount(2);
        const auto z = neuron.encode(commands, y, &t, true);
        EXPECT_EQ(temporary(z).readCount(), 1u);
        EXPECT_EQ(temporary(y).readCount(), 1u);
        const bool hasState = t && t->isTemporary();
        if (hasState) {
            EXPECT_EQ(t->readCount(), 1u);
        }
        const auto gz = loss.encode(commands, z, target);
        EXPECT_EQ(temporary(gz).readCount(), 1u);
        EXPECT_EQ(temporary(z).readCount(), 0u);
        const auto gy = neuronGradient.encode(commands, gz, y, t);
        EXPECT_EQ(temporary(gy).readCount(), 1u);
        EXPECT_EQ(temporary(gz).readCount(), 0u);
        EXPECT_EQ(temporary(y).readCount(), 0u);
        if (hasState) {
            EXPECT_EQ(t->readCount(), 0u);
        }
        const auto gx = convolutionGradient.encode(commands, gy, x, s);
        EXPECT_EQ(temporary(gy).readCount(), 0u);
        EXPECT_EQ(s->readCount(), 1u);
        EXPECT_TRUE(gradients(s).hasGradients());
        const auto weights = convolution->exportWeightsAndBiases(commands, true);
        const auto fresh =
            source->update(commands, std::dynamic_pointer_cast<MPS::CNNConvolutionGradientState>(s), weights);
        EXPECT_EQ(s->readCount(), 0u);
        EXPECT_EQ(weights->readCount(), 0u);
        convolution->reloadWeightsAndBiases(commands, fresh);
        convolutionGradient.reloadWeightsAndBiases(commands, fresh);
        temporary(gx).setReadCount(0);
        EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    }
};

}  // namespace

TEST(ReadCountsWholeStep, ByHandEveryCountFollowsTheTableAndNothingIsLeftOver) {
    Diagnostics diagnostics;
    ByHand hand;
    const auto queue = hand.device->newCommandQueue();
    const auto commands = queue->commandBuffer();
    hand.step(commands, drawImages(hand.device, 1, 5, 5, 3, 1)[0], labels(hand.device, 2));
    run(commands);
    EXPECT_TRUE(diagnostics.messages.empty()) << diagnostics.messages.front();
}

TEST(ReadCountsWholeStep, WithoutTheSecondReadTheGradientOfTheNeuronIsRefusedByName) {
    ByHand hand;
    const auto commands = hand.device->newCommandQueue()->commandBuffer();
    const auto x = drawImages(hand.device, 1, 5, 5, 3, 1)[0];
    std::shared_ptr<MPS::State> s, t;
    const auto y = hand.convolution->encode(commands, x, &s, true);
    const auto z = hand.neuron.encode(commands, y, &t, true);
    const auto gz = hand.loss.encode(commands, z, labels(hand.device, 2));
    const Recorded before(commands);
    const auto sentence = errorOf([&] { hand.neuronGradient.encode(commands, gz, y, t); });
    EXPECT_NE(sentence.find("CNNNeuronGradient"), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("sourceImage"), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("read count 0 (last read by CNNNeuron"), std::string::npos) << sentence;
    EXPECT_EQ(Recorded(commands), before);
    for (const auto& image : {gz}) temporary(image).setReadCount(0);
    for (const auto& state : {s, t})
        if (state && state->isTemporary()) state->setReadCount(0);
    run(commands);
}

TEST(ReadCountsWholeStep, TheGraphOfTheSameNetworkGivesTheSameBitsStepByStep) {
    ByHand hand;
    const auto queue = hand.device->newCommandQueue();
    const auto input = MPS::NNImageNode::node();
    const auto source = std::make_shared<LayerSource>(hand.device, "conv", 3, 3, 4, 100);
    const auto y = MPS::CNNConvolutionNode::node(input, source)->resultImage();
    const auto z = MPS::CNNNeuronSigmoidNode::node(y)->resultImage();
    const auto termini = MPS::CNNLossNode::node(z, lossDescriptor())->trainingGraph();
    ASSERT_EQ(termini.size(), 1u);
    MPS::NNGraph graph(hand.device, termini[0]->resultImage(), false);
    graph.setFormat(Format::Float32);
    for (std::uint64_t step = 0; step < 5; ++step) {
        const auto x = drawImages(hand.device, 1, 5, 5, 3, step)[0];
        const auto a = labels(hand.device, 50 + step), b = labels(hand.device, 50 + step);
        const auto commands = queue->commandBuffer();
        hand.step(commands, x, a);
        run(commands);
        const auto second = queue->commandBuffer();
        if (step % 2)
            graph.encodeBatch(second, {{x}}, {{b}});
        else
            graph.encode(second, {x}, {b});
        EXPECT_EQ(Recorded(second).liveBytes, 0u);
        run(second);
        EXPECT_EQ(valuesOf(*a->lossImage()), valuesOf(*b->lossImage())) << step;
        EXPECT_EQ(hand.source->trained(), source->trained()) << step;
    }
    EXPECT_NE(hand.source->trained()[0], hand.source->values[0]);
}
