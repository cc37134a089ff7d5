#include <gmock/gmock.h>

#include "GraphNets.h"

/// Training style CPU: data sources update their layers on the host once the command buffer has completed.
using namespace pewter::test;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

MPS::GradientNodeBlock onHost() {
    return [](const auto& gradient, const auto&, const auto&, const auto&) {
        if (auto* trainable = dynamic_cast<MPS::NNTrainableNode*>(gradient.get()))
            trainable->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceCPU);
    };
}

/// Weights without biases, which notes the gradients that it is handed.
class Biasless final : public LayerSource {
public:
    using LayerSource::LayerSource;
    using LayerSource::update;
    const float* biasTerms() const override { return nullptr; }
    std::optional<std::size_t> biasTermsLength() const override {
        return saysSo ? std::optional<std::size_t>(0) : std::nullopt;
    }
    bool update(const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
                const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>&) override {
        ofWeights = floatsOf(gradientState->gradientForWeights());
        ofBiases = floatsOf(gradientState->gradientForBiases());
        return true;
    }
    bool saysSo = false;
    std::vector<float> ofWeights, ofBiases;
};

}  // namespace

TEST(UpdatesHost, GammaAndBetaAreUpdatedBeforeMeanAndVarianceAndEachPairIsLoadedAfterItsUpdate) {
    Net net;
    buildWhole(net);
    net.train(onHost());
    net.log->clear();
    net.step(3);
    EXPECT_EQ(*net.log, (CallLog{"host update dense", "load dense", "purge dense", "host update gate",
                                 "load gate", "purge gate", "host update inside", "load inside",
                                 "purge inside", "host update gamma and beta norm", "load norm", "purge norm",
                                 "host update mean and variance norm", "load norm", "purge norm",
                                 "host update first", "load first", "purge first"}));
    for (const auto& layer : net.layers) layer->accepts = false;
    net.norms[0]->accepts = false;
    net.log->clear();
    net.step(3);
    for (const auto& call : *net.log) EXPECT_EQ(call.substr(0, 4), "host") << call;
    EXPECT_EQ(net.log->size(), 6u);
}

TEST(UpdatesHost, TheHostLearnsWhatTheDeviceLearns) {
    // The same plain descent on either side: both in float32, one rounding a weight apart at most.
    Net host, device;
    for (Net* net : {&host, &device}) {
        buildChain(*net);
        net->train(net == &host ? onHost() : nullptr);
        for (int i = 0; i < 3; ++i) net->step(3, static_cast<std::uint64_t>(i));
    }
    for (std::size_t i = 0; i < 2; ++i) {
        auto values = host.layers[i]->values;
        values.insert(values.end(), host.layers[i]->biases.begin(), host.layers[i]->biases.end());
        const auto trained = device.layers[i]->trained();
        ASSERT_EQ(values.size(), trained.size());
        double changed = 0;
        for (std::size_t k = 0; k < values.size(); ++k) {
            EXPECT_NEAR(values[k], trained[k], 1e-5);
            changed += std::fabs(trained[k] - values[k]);
        }
        EXPECT_LT(changed, 1e-3);
        EXPECT_EQ(host.layers[i]->updates, 3u);
    }
}

TEST(UpdatesHost, ASourceThatSaysItHasNoBiasesIsHandedZerosForTheirGradientsAndTheSameForItsWeights) {
    Net silent, frank;
    std::vector<std::shared_ptr<Biasless>> sources;
    for (Net* net : {&silent, &frank}) {
        for (const std::size_t outputs : {8u, 5u}) {
            sources.push_back(std::make_shared<Biasless>(net->device, "layer", 3, outputs == 8 ? 3 : 8, outputs, outputs));
            sources.back()->saysSo = net == &frank;
        }
        const auto conv = MPS::CNNConvolutionNode::node(net->input, *(sources.end() - 2));
        const auto pool = MPS::CNNPoolingMaxNode::node(Net::relu(conv->resultImage()), 2);
        net->logits = MPS::CNNFullyConnectedNode::node(pool->resultImage(), sources.back())->resultImage();
        net->train(onHost());
        net->step(2);
    }
    for (const std::size_t layer : {0u, 1u}) {
        EXPECT_EQ(sources[layer]->ofWeights, sources[layer + 2]->ofWeights);
        EXPECT_THAT(sources[layer]->ofBiases, Contains(testing::Ne(0.0f)));
        EXPECT_EQ(sources[layer + 2]->ofBiases, std::vector<float>(layer == 0 ? 8 : 5, 0.0f));
    }
}

TEST(UpdatesHost, GradientStatesOutliveTheCommandBufferAndNothingTemporaryIsLeftOver) {
    Diagnostics diagnostics;
    Net net;
    buildWhole(net);
    net.train(onHost());
    const auto report = net.graph->memoryReport({net.images(3)}, {net.labels(3)});
    std::size_t persistent = 0;
    for (const auto& state : report.states)
        if (!state.source && !state.temporary && state.bytes > 0) ++persistent;
    EXPECT_EQ(persistent, 5u);  // four convolutions and the normalisation
    net.step(3);
    EXPECT_THAT(diagnostics.messages, IsEmpty());
    EXPECT_EQ(net.peak, report.peakBytes);
}

TEST(UpdatesHost, AFailedEncodeLeavesNoUpdateBehind) {
    Net net;
    buildChain(net);
    net.train([&](const auto& gradient, const auto& forward, const auto& a, const auto& b) {
        onHost()(gradient, forward, a, b);
        // The last layer on the host, the first one on the device, where it fails.
        if (forward && forward->label().empty() &&
            !dynamic_cast<MPS::CNNFullyConnectedGradientNode*>(gradient.get()))
            if (auto* trainable = dynamic_cast<MPS::NNTrainableNode*>(gradient.get()))
                trainable->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceGPU);
    });
    net.layers[0]->answer = Answer::Forgetful;
    net.log->clear();
    const auto commands = net.queue->commandBuffer();
    EXPECT_THAT(errorOf([&] { net.graph->encodeBatch(commands, {net.images(2)}, {net.labels(2)}); }),
                HasSubstr("conv"));
    run(commands);
    EXPECT_EQ(*net.log, CallLog{"update conv"});
    EXPECT_EQ(net.layers[1]->updates, 0u);
    net.layers[0]->answer = Answer::Own;
    net.step(2);
    EXPECT_EQ(net.layers[1]->updates, 1u);
}

TEST(UpdatesHost, ACommandThatFailsCallsNoUpdate) {
    Net net;
    buildChain(net);
    net.train(onHost());
    const auto commands = net.queue->commandBuffer();
    commands->encodeHostFunction("breakdown", [] { throw std::runtime_error("out of luck"); });
    net.graph->encodeBatch(commands, {net.images(2)}, {net.labels(2)});
    commands->commit();
    commands->waitUntilCompleted();
    EXPECT_EQ(commands->status(), MTL::CommandBufferStatus::Error);
    for (const auto& layer : net.layers) EXPECT_EQ(layer->updates, 0u);
    Net other;
    buildChain(other);
    other.train(onHost());
    EXPECT_EQ(net.step(2), other.step(2));
}
