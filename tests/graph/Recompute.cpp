#include <gmock/gmock.h>

#include <MPS/NNRecomputePolicy.hpp>
#include <cstdlib>
#include <string>

#include "GraphNets.h"

/// Forward images that are computed again instead of kept.
using namespace pewter::test;
using testing::HasSubstr;

namespace {

using Policy = MPS::NNRecomputePolicy;

/// Convolutions, batch normalisations, neurons, dropout and a residual addition, one after the other, in blocks with labels.
void buildBlocks(Net& net) {
    net.width = net.height = 8;
    const auto named = [](const auto& node, const std::string& label) {
        node->setLabel(label);
        return node->resultImage();
    };
    Node x = named(net.layer(net.input, "first", 3, 3, 8), "first");
    for (const std::string block : {"a", "b", "c"}) {
        const auto conv = named(net.layer(x, block + " layer", 3, 8, 8), block + " conv");
        net.norms.push_back(std::make_shared<NormSource>(net.device, block + " norm", 8, 300 + net.norms.size(), net.log));
        const auto norm = named(MPS::CNNBatchNormalizationNode::node(conv, net.norms.back()), block + " norm");
        const auto neuron = named(MPS::CNNNeuronTanHNode::node(norm), block + " neuron");
        const auto dropped = named(MPS::CNNDropoutNode::node(neuron, 0.75F, 11 + net.norms.size()), block + " dropout");
        x = named(MPS::NNAdditionNode::node(x, dropped), block + " sum");
    }
    x = named(MPS::CNNNeuronSoftPlusNode::node(x), "last neuron");
    x = named(MPS::CNNPoolingAverageNode::node(x, 2), "pool");
    net.logits = net.layer(x, "dense", 4, 8, net.classes, true)->resultImage();
}

struct Training {
    std::vector<double> losses;
    std::vector<float> parameters;
    MPS::NNGraphReport report;
    std::size_t measured = 0;

    void expectSame(const Training& other) const {
        EXPECT_EQ(losses, other.losses);
        EXPECT_EQ(parameters, other.parameters);
    }
};

/// Four steps with other pictures each; the policy holds from the step `from` on.
Training train(const DevicePtr& device, const Policy& policy, std::uint64_t from = 0, bool rewritten = true,
               bool needed = false) {
    Net net(device);
    buildBlocks(net);
    net.train(nullptr, needed);
    if (!rewritten) {
        net.graph = MPS::NNGraph::graph(device, {net.termini.front()->resultImage()}, {needed}, MPS::NNGraphOptions::none());
        net.graph->setFormat(Format::Float32);
        net.graph->setLabel("training");
    }
    Training training;
    for (std::uint64_t i = 0; i < 4; ++i) {
        if (i == from) net.graph->setRecomputePolicy(policy);
        training.losses.push_back(net.step(3, i));
        training.measured = net.peak;
    }
    training.report = net.graph->memoryReport({net.images(3)}, {net.labels(3)});
    for (const auto& layer : net.layers)
        for (const float value : layer->trained()) training.parameters.push_back(value);
    for (const auto& norm : net.norms)
        for (const auto& buffer : {norm->state->gamma(), norm->state->beta()})
            for (const float value : floatsOf(buffer)) training.parameters.push_back(value);
    return training;
}

}  // namespace

TEST(Recompute, WithoutAPolicyNothingIsComputedAgain) {
    for (const auto& device : MTL::copyAllDevices()) {
        const auto report = train(device, Policy::none()).report;
        EXPECT_EQ(report.recomputedSteps, 0u);
        EXPECT_EQ(report.recomputedBytes, 0u);
        EXPECT_EQ(report.peakWithoutRecomputation, report.peakBytes);
        for (const auto& step : report.steps) EXPECT_EQ(step.recomputes, MPS::NNGraphReport::npos);
    }
}

TEST(Recompute, NamedFiltersRunTwiceAndTrainTheSameBitForBit) {
    const std::vector<std::vector<std::string>> choices{
        {"a neuron"},
        {"a norm"},
        {"b dropout", "b norm"},
        {"a conv", "a norm", "a neuron"},
        {"a conv", "a norm", "a neuron", "b conv", "b norm", "b neuron", "c conv", "c norm", "c neuron"},
        {"a sum", "b sum", "c sum", "last neuron"},
        {"first"},
        {"pool"},
    };
    for (const auto& device : MTL::copyAllDevices())
        for (const bool rewritten : {true, false}) {
            const auto kept = train(device, Policy::none(), 0, rewritten);
            for (const auto& labels : choices) {
                SCOPED_TRACE(device->name() + ", " + labels.front() + " and further " + std::to_string(labels.size() - 1));
                const auto again = train(device, Policy::nodes(labels), 0, rewritten);
                again.expectSame(kept);
                // Rewritten, a neuron behind a normalisation is part of it.
                const auto steps = std::count_if(labels.begin(), labels.end(), [&](const std::string& label) {
                    return !rewritten || !label.ends_with(" neuron") || label == "last neuron" || labels.size() == 1;
                });
                EXPECT_EQ(again.report.recomputedSteps, static_cast<std::size_t>(steps));
                EXPECT_GT(again.report.recomputedBytes, 0u);
                EXPECT_EQ(again.report.peakWithoutRecomputation, kept.report.peakBytes);
                EXPECT_EQ(again.measured, again.report.peakBytes);
                for (const auto& step : again.report.steps) {
                    if (step.recomputes == MPS::NNGraphReport::npos) continue;
                    EXPECT_EQ(step.label, again.report.steps.at(step.recomputes).label);
                    EXPECT_FALSE(step.updatesWeights);
                }
            }
        }
}

TEST(Recompute, ADropoutDrawsTheMaskOfItsEncodeAgain) {
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        std::vector<double> losses[2];
        std::vector<float> weights[2];
        for (const bool again : {false, true}) {
            Net net(device);
            const auto x = net.layer(net.input, "first", 3, 3, 4)->resultImage();
            const auto dropout = MPS::CNNDropoutNode::node(x, 0.5F, 5);
            dropout->setLabel("dropout");
            // Its image is read by the gradient of the square.
            const auto square = MPS::NNMultiplicationNode::node(dropout->resultImage(), x);
            net.logits = net.layer(square->resultImage(), "dense", 6, 4, net.classes, true)->resultImage();
            net.train();
            if (again) net.graph->setRecomputePolicy(Policy::nodes({"dropout"}));
            for (std::uint64_t i = 0; i < 5; ++i) losses[again].push_back(net.step(2, i));
            for (const auto& layer : net.layers)
                for (const float value : layer->trained()) weights[again].push_back(value);
            if (again) {
                EXPECT_EQ(net.graph->memoryReport({net.images(2)}, {net.labels(2)}).recomputedSteps, 1u);
            }
        }
        EXPECT_EQ(losses[0], losses[1]);
        EXPECT_EQ(weights[0], weights[1]);
    }
}

TEST(Recompute, ABudgetIsKeptWithTheSameLossesAndWeights) {
    for (const auto& device : MTL::copyAllDevices())
        for (const bool needed : {false, true}) {
            SCOPED_TRACE(device->name());
            const auto kept = train(device, Policy::none(), 0, true, needed);
            for (const double share : {0.95, 0.85, 0.75}) {
                const auto bytes = static_cast<std::size_t>(share * static_cast<double>(kept.report.peakBytes));
                const auto again = train(device, Policy::budget(bytes), 0, true, needed);
                again.expectSame(kept);
                EXPECT_LE(again.report.peakBytes, bytes);
                EXPECT_EQ(again.measured, again.report.peakBytes);
                EXPECT_GT(again.report.recomputedSteps, 0u);
                EXPECT_EQ(again.report.peakWithoutRecomputation, kept.report.peakBytes);
            }
            const auto ample = train(device, Policy::budget(kept.report.peakBytes), 0, true, needed);
            ample.expectSame(kept);
            EXPECT_EQ(ample.report.recomputedSteps, 0u);
        }
}

TEST(Recompute, APolicyMayComeAndGoBetweenSteps) {
    for (const auto& device : MTL::copyAllDevices()) {
        const auto kept = train(device, Policy::none());
        train(device, Policy::nodes({"a neuron", "b neuron"}), 2).expectSame(kept);
        Net net(device);
        buildBlocks(net);
        net.train();
        net.graph->setRecomputePolicy(Policy::nodes({"a neuron"}));
        EXPECT_EQ(net.step(3, 0), kept.losses[0]);
        net.graph->setRecomputePolicy(Policy::none());
        EXPECT_EQ(net.graph->memoryReport({net.images(3)}, {net.labels(3)}).recomputedSteps, 0u);
        EXPECT_EQ(net.step(3, 1), kept.losses[1]);
    }
}

TEST(Recompute, AfterAnUpdateNothingIsComputedWithTheNewWeights) {
    // The loss makes the gradient of "conv", which updates its weights at once; the gradient of the product, for the other
    // loss, reads its image only then.
    for (const auto& device : MTL::copyAllDevices())
        for (const bool shares : {false, true}) {
            SCOPED_TRACE(device->name() + (shares ? ", by a filter with the same weights" : ""));
            std::vector<float> weights[2];
            for (const bool again : {false, true}) {
                Net net(device);
                const auto conv = net.layer(net.input, "conv", 6, 3, net.classes, true);
                auto read = conv;
                if (shares) read = MPS::CNNFullyConnectedNode::node(MPS::NNImageNode::node(tag("third")), net.layers[0]);
                read->setLabel("read");
                const auto side = net.layer(MPS::NNImageNode::node(tag("other")), "side", 6, 3, net.classes, true);
                const auto product = MPS::NNMultiplicationNode::node(read->resultImage(), side->resultImage())->resultImage();
                const auto descriptor = MPS::CNNLossDescriptor::cnnLossDescriptor(MPS::CNNLossType::SoftMaxCrossEntropy,
                                                                                  MPS::CNNReductionType::Sum);
                std::vector<Node> results;
                const auto keep = [&](const MPS::NNFilterNodes& termini, const std::string& input) {
                    for (const auto& terminus : termini)
                        if (terminus->resultImage()->handle()->label() == input) results.push_back(terminus->resultImage());
                };
                keep(MPS::CNNLossNode::node(conv->resultImage(), descriptor)->trainingGraph(nullptr), "input");
                keep(MPS::CNNLossNode::node(product, descriptor)->trainingGraph(nullptr), "other");
                ASSERT_EQ(results.size(), 2u);
                MPS::NNGraphOptions options;
                options.warningHandler = [](const std::string&) {};
                const auto graph = MPS::NNGraph::graph(device, results, {false, false}, options);
                graph->setFormat(Format::Float32);
                const std::vector<MPS::ImageBatch> images(graph->sourceImageHandles().size(), net.images(2));
                if (again) {
                    graph->setRecomputePolicy(Policy::nodes({"read"}));
                    EXPECT_THROW(graph->memoryReport(images, {net.labels(2), net.labels(2)}), MPS::Error);
                    graph->setRecomputePolicy(Policy::none());
                    const auto peak = graph->memoryReport(images, {net.labels(2), net.labels(2)}).peakBytes;
                    graph->setRecomputePolicy(Policy::budget(peak - 1));
                    try {
                        graph->memoryReport(images, {net.labels(2), net.labels(2)});
                    } catch (const MPS::Error&) {
                        graph->setRecomputePolicy(Policy::none());
                    }
                }
                for (std::uint64_t i = 0; i < 3; ++i) {
                    const auto commands = net.queue->commandBuffer();
                    graph->encodeBatch(commands, images, {net.labels(2, i), net.labels(2, i + 9)});
                    run(commands);
                }
                for (const auto& layer : net.layers)
                    for (const float value : layer->trained()) weights[again].push_back(value);
            }
            EXPECT_EQ(weights[0], weights[1]);
        }
}

TEST(Recompute, ALabelThatNoFilterHasOrWhoseResultCannotBeMadeAgainIsRefused) {
    Net net;
    buildBlocks(net);
    net.train();
    const auto message = [&](const Policy& policy) {
        net.graph->setRecomputePolicy(policy);
        const auto commands = net.queue->commandBuffer();
        std::string text = "no error";
        try {
            net.graph->encodeBatch(commands, {net.images(2)}, {net.labels(2)});
        } catch (const MPS::Error& error) {
            text = error.what();
        }
        EXPECT_EQ(commands->liveTemporaryMemoryPeak(), 0u);
        return text;
    };
    EXPECT_THAT(message(Policy::nodes({"nobody"})),
                testing::AllOf(HasSubstr("recomputePolicy"), HasSubstr("'nobody'"), HasSubstr("training")));
    EXPECT_THAT(message(Policy::budget(1)), testing::AllOf(HasSubstr("a budget of at least"), HasSubstr("1")));
    // Policies that came to nothing leave the graph as it was.
    net.graph->setRecomputePolicy(Policy::none());
    EXPECT_EQ(net.step(3, 0), train(net.device, Policy::none()).losses[0]);
}

TEST(Recompute, TheLeastBudgetThatAnErrorNamesIsEnough) {
    Net net;
    buildBlocks(net);
    net.train();
    net.graph->setRecomputePolicy(Policy::budget(1));
    std::string text;
    try {
        net.graph->memoryReport({net.images(3)}, {net.labels(3)});
    } catch (const MPS::Error& error) {
        text = error.what();
    }
    const std::string before = "a budget of at least ";
    ASSERT_NE(text.find(before), std::string::npos) << text;
    const auto least = std::strtoull(text.c_str() + text.find(before) + before.size(), nullptr, 10);
    net.graph->setRecomputePolicy(Policy::budget(least));
    EXPECT_LE(net.graph->memoryReport({net.images(3)}, {net.labels(3)}).peakBytes, least);
}

TEST(Recompute, AGraphWithoutGradientKernelsHasNothingToComputeAgain) {
    Net net;
    buildBlocks(net);
    const auto graph = MPS::NNGraph::graph(net.device, net.logits);
    graph->setRecomputePolicy(Policy::nodes({"a sum"}));
    std::string text;
    try {
        graph->memoryReport({net.images(2)});
    } catch (const MPS::Error& error) {
        text = error.what();
    }
    EXPECT_THAT(text, testing::AllOf(HasSubstr("recomputePolicy"), HasSubstr("a gradient kernel among them"), HasSubstr("'a sum'")));
}

TEST(Recompute, AnImageThatLeavesTheGraphIsKept) {
    Net net;
    buildBlocks(net);
    const auto image = net.logits->producer()->sources()[0];
    image->setExportFromGraph(true);
    net.train();
    net.graph->setRecomputePolicy(Policy::nodes({"pool"}));
    EXPECT_THROW(net.graph->memoryReport({net.images(2)}, {net.labels(2)}), MPS::Error);
}
