#include <gmock/gmock.h>

#include <algorithm>

#include "GraphNets.h"

/// Temporary memory of graphs: the report predicts what a run measures and changes nothing.
using namespace pewter::test;
using testing::IsEmpty;

namespace {

using Build = std::function<void(Net&)>;

/// Networks of several shapes.
const std::vector<std::pair<const char*, Build>>& networks() {
    static const std::vector<std::pair<const char*, Build>> all{
        {"chain", buildChain},
        {"whole", buildWhole},
        {"shared weights",
         [](Net& net) {
             const auto shared = std::make_shared<LayerSource>(net.device, "shared", 3, 4, 4, 1, net.log);
             const auto x = net.layer(net.input, "first", 1, 3, 4)->resultImage();
             const auto y = MPS::CNNConvolutionNode::node(x, shared)->resultImage();
             const auto z = MPS::CNNConvolutionNode::node(Net::relu(y), shared)->resultImage();
             net.logits = net.layer(z, "dense", 6, 4, net.classes, true)->resultImage();
         }},
        {"weights larger than pictures, exported for every update of a shared layer",
         [](Net& net) {
             net.width = net.height = 2;
             const auto shared = std::make_shared<LayerSource>(net.device, "shared", 3, 32, 32, 1, net.log);
             const auto x = net.layer(net.input, "first", 1, 3, 32)->resultImage();
             const auto y = MPS::CNNConvolutionNode::node(x, shared)->resultImage();
             const auto z = MPS::CNNConvolutionNode::node(Net::relu(y), shared)->resultImage();
             net.logits = net.layer(z, "dense", 2, 32, net.classes, true)->resultImage();
         }},
        {"wide and deep",
         [](Net& net) {
             net.width = 12;
             net.height = 9;
             auto x = net.layer(net.input, "first", 3, 3, 16)->resultImage();
             for (int i = 0; i < 4; ++i) {
                 const auto y =
                     net.norm(Net::relu(net.layer(x, "block", 3, 16, 16)->resultImage()), "norm", 16);
                 x = MPS::NNAdditionNode::node(x, y)->resultImage();
                 if (i == 1) x = MPS::CNNPoolingAverageNode::node(x, 2)->resultImage();
             }
             x = MPS::CNNPoolingMaxNode::node(x, 6, 5, 6, 5)->resultImage();
             net.logits = net.layer(x, "dense", 1, 16, net.classes, true)->resultImage();
         }},
        {"frozen and exported",
         [](Net& net) {
             const auto conv = net.layer(net.input, "conv", 3, 3, 8);
             conv->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
             const auto x = Net::relu(conv->resultImage());
             x->setExportFromGraph(true);
             net.logits =
                 net.layer(MPS::CNNDropoutNode::node(x)->resultImage(), "dense", 6, 8, net.classes, true)
                     ->resultImage();
             net.logits->producer()->resultState()->setExportFromGraph(true);
         }},
    };
    return all;
}

}  // namespace

TEST(MemoryReport, ThePredictedPeakIsTheMeasuredOneForEveryNetworkAndBatchAndTheBoundLiesBelow) {
    for (const auto& [name, build] : networks())
        for (const bool needed : {false, true})
            for (const std::size_t count : {1u, 2u, 5u}) {
                Net net;
                build(net);
                net.train(nullptr, needed);
                const auto report = net.graph->memoryReport({net.images(count)}, {net.labels(count)});
                net.step(count);
                EXPECT_EQ(report.peakBytes, net.peak) << name << ", batch " << count;
                EXPECT_EQ(report.lowerBoundBytes, net.livePeak) << name << ", batch " << count;
                EXPECT_LE(report.lowerBoundBytes, report.peakBytes);
                EXPECT_GT(report.lowerBoundBytes, 0u);
                for (const auto& step : report.steps) EXPECT_LE(step.liveBytes, report.lowerBoundBytes);
                if (net.graph->intermediateImageHandles().empty()) {
                    EXPECT_EQ(report.steps.back().liveBytes, 0u) << name << ", batch " << count;
                }
            }
}

TEST(MemoryReport, AReportChangesNothingLossesOfLaterStepsAreEqual) {
    for (const auto& [name, build] : networks()) {
        std::vector<double> losses[2];
        std::vector<float> weights[2];
        for (const bool reports : {false, true}) {
            Net net;
            build(net);
            net.train();
            for (std::uint64_t i = 0; i < 4; ++i) {
                if (reports) net.graph->memoryReport({net.images(2 + i)}, {net.labels(2 + i)});
                losses[reports].push_back(net.step(3, i));
                if (reports) net.graph->memoryReport({net.images(3)}, {net.labels(3)});
            }
            for (const auto& layer : net.layers) EXPECT_LE(layer->updates, 4u);
            for (const auto& layer : net.layers)
                if (layer->state)
                    for (const float value : layer->trained()) weights[reports].push_back(value);
        }
        EXPECT_EQ(losses[0], losses[1]) << name;
        EXPECT_EQ(weights[0], weights[1]) << name;
    }
}

TEST(MemoryReport, TemporariesThatLeaveTheGraphAndStatesOfUpdatesAreInThePeak) {
    for (const auto& [name, build] : networks())
        for (const std::size_t count : {1u, 3u}) {
            Net net;
            build(net);
            net.train(nullptr, true);
            std::vector<Node> ends{net.termini.front()->resultImage(), net.logits};
            for (const auto& node : net.logits->producer()->sources()) ends.push_back(node);
            net.graph = MPS::NNGraph::graph(net.device, ends);
            net.graph->setFormat(Format::Float32);
            net.graph->setDestinationImageAllocator(MPS::TemporaryImage::defaultAllocator());
            const auto report = net.graph->memoryReport({net.images(count)}, {net.labels(count)});
            const auto commands = net.queue->commandBuffer();
            std::vector<MPS::ImageBatch> further;
            auto results = net.graph->encodeBatch(commands, {net.images(count)}, {net.labels(count)}, &further, nullptr);
            EXPECT_EQ(commands->peakTemporaryMemory(), report.peakBytes) << name << ", batch " << count;
            further.push_back(results);
            for (const auto& batch : further)
                if (batch.front()->isTemporary()) MPS::ImageBatchIncrementReadCount(batch, -1);
            run(commands);
        }
}

TEST(MemoryReport, AReportLeavesNothingBehindEvenWithATemporaryResult) {
    Diagnostics diagnostics;
    Net net;
    buildWhole(net);
    net.train(nullptr, true);
    net.graph->setDestinationImageAllocator(MPS::TemporaryImage::defaultAllocator());
    const auto labels = net.labels(2);
    const auto report = net.graph->memoryReport({net.images(2)}, {labels});
    EXPECT_TRUE(report.images[report.steps.back().resultImage].temporary);
    EXPECT_EQ(report.images[report.steps.back().resultImage].readCount, 1u);
    EXPECT_THAT(diagnostics.messages, IsEmpty());
    const auto commands = net.queue->commandBuffer();
    const auto results = net.graph->encodeBatch(commands, {net.images(2)}, {labels});
    EXPECT_EQ(commands->peakTemporaryMemory(), report.peakBytes);
    MPS::ImageBatchIncrementReadCount(results, -1);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    run(commands);
    EXPECT_THAT(diagnostics.messages, IsEmpty());
}

TEST(MemoryReport, ASecondStepTakesNoMemoryFromTheSystem) {
    for (const auto& [name, build] : networks()) {
        Net net;
        build(net);
        for (const auto& layer : net.layers) layer->useMomentum();
        net.train();
        const auto images = net.images(4);
        const auto labels = net.labels(4);
        const auto step = [&] {
            const auto commands = net.queue->commandBuffer();
            net.graph->encodeBatch(commands, {images}, {labels});
            run(commands);
        };
        step();
        const auto bytes = net.device->currentAllocatedSize(), calls = net.device->systemAllocationCount();
        for (int i = 0; i < 3; ++i) step();
        EXPECT_EQ(net.device->systemAllocationCount(), calls) << name;
        EXPECT_EQ(net.device->currentAllocatedSize(), bytes) << name;
    }
}

TEST(MemoryReport, StrictModePassesAndNothingIsDiagnosedOverManyStepsOfDifferentBatches) {
    Diagnostics diagnostics;
    MTL::setStrictTemporaries(true);
    for (const auto& [name, build] : networks()) {
        Net net;
        build(net);
        net.train();
        diagnostics.messages.clear();  // what graphs are told of while they are made
        for (const std::size_t count : {3u, 1u, 4u}) {
            const auto commands = net.queue->commandBuffer();
            net.graph->encodeBatch(commands, {net.images(count)}, {net.labels(count)});
            EXPECT_EQ(Recorded(commands).liveBytes, 0u) << name;
            run(commands);
        }
        EXPECT_THAT(diagnostics.messages, IsEmpty()) << name;
    }
    MTL::setStrictTemporaries(false);
}

TEST(MemoryReport, EveryStateNamesTheKernelThatMakesItThoseThatReadItAndTheCountItStartsWith) {
    Net net;
    buildWhole(net);
    net.train();
    const auto report = net.graph->memoryReport({net.images(3)}, {net.labels(3)});
    // Labels, and one of every filter but the loss and the neurons, which are part of the layers before them.
    EXPECT_EQ(report.states.size(), 11u);
    for (const auto& state : report.states) {
        if (state.source) {
            EXPECT_EQ(state.className, "CNNLossLabels");
            EXPECT_EQ(state.count, 3u);
            continue;
        }
        EXPECT_FALSE(state.forwardKernel.empty());
        EXPECT_FALSE(state.consumers.empty()) << state.forwardKernel;
        EXPECT_EQ(state.forwardKernel, report.steps[state.firstWriter].label);
        EXPECT_LT(state.firstWriter, state.lastReader);
        if (state.className == "CNNConvolutionGradientState") {
            EXPECT_EQ(state.readCount, 2u);  // gradient kernel and update
            EXPECT_EQ(state.count, 1u);
            EXPECT_GT(state.bytes, 0u);
        } else if (state.className == "CNNBatchNormalizationState") {
            EXPECT_EQ(state.readCount, 5u);  // itself, two gradient kernels, two updates
        } else if (state.className == "CNNArithmeticGradientState") {
            EXPECT_EQ(state.consumers.size(), 2u);
        }
    }
    const auto text = net.graph->debugDescription();
    for (const auto& step : report.steps) EXPECT_NE(text.find(step.label), std::string::npos) << step.label;
}

TEST(MemoryReport, AForwardImageThatAGradientReadsIsNotRecycledBefore) {
    // The same losses with every interior image exported and kept, where nothing can be recycled.
    for (const auto& [name, build] : networks()) {
        std::vector<double> losses[2];
        for (const bool keep : {false, true}) {
            Net net;
            build(net);
            if (keep) {
                std::vector<Node> todo{net.logits};
                while (!todo.empty()) {
                    const auto node = todo.back();
                    todo.pop_back();
                    if (!node->producer() || node->exportFromGraph()) continue;
                    node->setExportFromGraph(true);
                    node->setImageAllocator(MPS::Image::defaultAllocator());
                    for (const auto& source : node->producer()->sources()) todo.push_back(source);
                }
            }
            net.train([&](const auto& gradient, const auto&, const auto&, const auto&) {
                if (!keep) return;
                gradient->resultImage()->setExportFromGraph(true);
                gradient->resultImage()->setImageAllocator(MPS::Image::defaultAllocator());
            });
            // An image that leaves is made, and rounded.
            MPS::NNGraphOptions options;
            options.fuseNeuronGradients = options.accumulateGradients = false;
            net.graph = MPS::NNGraph::graph(net.device, {net.termini.front()->resultImage()}, {false}, options);
            net.graph->setFormat(Format::Float32);
            for (std::uint64_t i = 0; i < 3; ++i) losses[keep].push_back(net.step(3, i));
        }
        EXPECT_EQ(losses[0], losses[1]) << name;
    }
}
