#include <gmock/gmock.h>

#include <fmt/format.h>
#include <MPS/NNInitialGradientNode.hpp>

#include <algorithm>
#include <cmath>
#include <map>

#include "EveryDevice.h"
#include "GraphKernels.h"

/// Graphs inside loops of the application, and a network that is split over several graphs.
using namespace pewter::test;
using testing::ElementsAre;

namespace {

ImagePtr imageOf(const DevicePtr& device, std::size_t width, std::size_t channels,
                 const std::vector<double>& values) {
    const auto image = std::make_shared<MPS::Image>(device, describe(width, 1, channels));
    fillImage(*image, values);
    return image;
}

/// h' = 2 leaky(h + x), slope -1/2 below zero: exact on small integers.
struct Cell {
    Cell(const Node& from, const Node& x) {
        sum = MPS::NNAdditionNode::node(from, x)->resultImage();
        leaky = MPS::CNNNeuronReLUNode::node(sum, -0.5f);
        doubled = MPS::CNNNeuronLinearNode::node(leaky->resultImage(), 2, 0);
    }
    Node sum;
    std::shared_ptr<MPS::CNNNeuronReLUNode> leaky;
    std::shared_ptr<MPS::CNNNeuronLinearNode> doubled;
};

constexpr std::size_t kSteps = 4, kWidth = 64;

std::vector<ImagePtr> sequence(const DevicePtr& device) {
    std::vector<ImagePtr> images;
    for (std::size_t t = 0; t < kSteps; ++t) {
        std::vector<double> values(kWidth);
        for (std::size_t i = 0; i < kWidth; ++i)
            values[i] = 8 * (static_cast<double>((i * 7 + t * 5) % 11) - 5);
        images.push_back(imageOf(device, kWidth, 1, values));
    }
    return images;
}

/// The whole sequence in one graph; inputs h, x0, x1 ... in the order of their handles.
struct Unrolled {
    Unrolled() {
        Node at = h;
        for (std::size_t t = 0; t < kSteps; ++t) {
            xs.push_back(MPS::NNImageNode::node(tag(fmt::format("x{}", t))));
            at = (last = Cell(at, xs.back()).doubled)->resultImage();
        }
    }
    Node h = MPS::NNImageNode::node(tag("h"));
    std::vector<Node> xs;
    std::shared_ptr<MPS::CNNNeuronLinearNode> last;

    static std::vector<ImagePtr> inputs(const MPS::NNGraph& graph, const ImagePtr& start,
                                        const std::vector<ImagePtr>& images,
                                        const ImagePtr& gradient = nullptr) {
        std::vector<ImagePtr> sources;
        for (const auto& handle : graph.sourceImageHandles()) {
            const auto label = handle->label();
            sources.push_back(label == "h"   ? start
                              : label == "g" ? gradient
                                             : images.at(static_cast<std::size_t>(label[1] - '0')));
        }
        return sources;
    }
};

ImagePtr ones(const DevicePtr& device) { return imageOf(device, kWidth, 1, std::vector<double>(kWidth, 1)); }

}  // namespace

TEST_ON_EVERY_DEVICE(Loops, ATemporaryResultGoesRoundOnOneCommandBufferInTwoImagesOfMemory) {
    const auto images = sequence(device);
    const auto start = ones(device);
    Unrolled unrolled;
    MPS::NNGraph whole(device, unrolled.last->resultImage());
    const auto h = MPS::NNImageNode::node(tag("h")), x = MPS::NNImageNode::node(tag("x"));
    MPS::NNGraph step(device, Cell(h, x).doubled->resultImage());
    whole.setFormat(Format::Float32);
    step.setFormat(Format::Float32);
    step.setDestinationImageAllocator(MPS::TemporaryImage::defaultAllocator());

    const auto commands = device->newCommandQueue()->commandBuffer();
    std::size_t peakOfTwo = 0;
    ImagePtr state = start;
    for (std::size_t t = 0; t < kSteps; ++t) {
        if (t + 1 == kSteps) step.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto before = state;
        state = step.encode(commands, {before, images[t]});
        if (t > 0) {
            EXPECT_EQ(temporary(before).readCount(), 0u);
        }
        if (t == 1) peakOfTwo = commands->peakTemporaryMemory();
    }
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    EXPECT_EQ(commands->peakTemporaryMemory(), peakOfTwo);
    const auto expected = whole.encode(commands, Unrolled::inputs(whole, start, images));
    run(commands);
    EXPECT_EQ(valuesOf(*state), valuesOf(*expected));
}

TEST_ON_EVERY_DEVICE(Loops, GradientStatesOfEveryStepReturnToABackwardGraphInReverse) {
    const auto images = sequence(device);
    const auto start = ones(device), gradient = ones(device);
    Unrolled unrolled;
    const auto termini = unrolled.last->trainingGraph(MPS::NNImageNode::node(tag("g")));
    ASSERT_EQ(termini.size(), kSteps + 1);  // every x, and h
    const auto toH = std::find_if(termini.begin(), termini.end(), [](const auto& filter) {
        const auto& handle = filter->resultImage()->handle();
        return handle && handle->label() == "h";
    });
    ASSERT_NE(toH, termini.end());
    MPS::NNGraph whole(device, (*toH)->resultImage());
    whole.setFormat(Format::Float32);

    // Forward: what the gradient kernels will read leaves the graph.
    const Cell cell(MPS::NNImageNode::node(tag("h")), MPS::NNImageNode::node(tag("x")));
    const auto activated = cell.leaky->resultImage();
    cell.sum->setHandle(tag("sum"));
    activated->setHandle(tag("activated"));
    for (const auto& node : {cell.sum, activated}) node->setExportFromGraph(true);
    cell.leaky->resultState()->setHandle(tag("leaky"));
    cell.doubled->resultState()->setHandle(tag("doubled"));
    for (const auto& node : {cell.leaky->resultState(), cell.doubled->resultState()})
        node->setExportFromGraph(true);
    MPS::NNGraph forward(device, cell.doubled->resultImage());
    // Backward: images and states that come from outside.
    const auto leaky = stateInput("leaky"), doubled = stateInput("doubled");
    const auto asGradient = [](const auto& node) {
        return std::static_pointer_cast<MPS::NNGradientStateNode>(node);
    };
    const auto first = MPS::CNNNeuronGradientNode::node(
        MPS::NNImageNode::node(tag("g")), MPS::NNImageNode::node(tag("activated")), asGradient(doubled),
        MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::Linear, 2, 0));
    const auto second = MPS::CNNNeuronGradientNode::node(
        first->resultImage(), MPS::NNImageNode::node(tag("sum")), asGradient(leaky),
        MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU, -0.5f));
    MPS::NNGraph backward(device, second->resultImage());
    for (MPS::NNGraph* graph : {&forward, &backward}) {
        graph->setFormat(Format::Float32);
        graph->setOutputStateIsTemporary(true);
    }
    const auto namesOf = [](const auto& handles) {
        std::vector<std::string> names;
        for (const auto& handle : handles) names.push_back(handle->label());
        return names;
    };

    const auto commands = device->newCommandQueue()->commandBuffer();
    std::vector<std::map<std::string, ImagePtr>> kept;
    std::vector<std::map<std::string, std::shared_ptr<MPS::State>>> states;
    forward.setDestinationImageAllocator(MPS::TemporaryImage::defaultAllocator());
    ImagePtr h = start;
    for (std::size_t t = 0; t < kSteps; ++t) {
        std::vector<ImagePtr> out;
        std::vector<std::shared_ptr<MPS::State>> made;
        h = forward.encode(commands, {h, images[t]}, {}, &out, &made);
        auto& names = kept.emplace_back();
        for (std::size_t i = 0; i < out.size(); ++i)
            names[namesOf(forward.intermediateImageHandles())[i]] = out[i];
        auto& stateNames = states.emplace_back();
        for (std::size_t i = 0; i < made.size(); ++i)
            stateNames[namesOf(forward.resultStateHandles())[i]] = made[i];
    }
    temporary(h).setReadCount(0);
    backward.setDestinationImageAllocator(MPS::TemporaryImage::defaultAllocator());
    ImagePtr g = gradient;
    for (std::size_t t = kSteps; t-- > 0;) {
        if (t == 0) backward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        std::vector<ImagePtr> sources;
        for (const auto& name : namesOf(backward.sourceImageHandles()))
            sources.push_back(name == "g" ? g : kept[t].at(name));
        std::vector<std::shared_ptr<MPS::State>> sourceStates;
        for (const auto& name : namesOf(backward.sourceStateHandles()))
            sourceStates.push_back(states[t].at(name));
        g = backward.encode(commands, sources, sourceStates);
        for (const auto& [name, state] : states[t]) EXPECT_EQ(state->readCount(), 0u) << name;
        for (const auto& [name, image] : kept[t]) EXPECT_EQ(temporary(image).readCount(), 0u) << name;
    }
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    const auto expected = whole.encode(commands, Unrolled::inputs(whole, start, images, gradient));
    Diagnostics diagnostics;
    run(commands);
    EXPECT_THAT(diagnostics.messages, testing::IsEmpty());
    EXPECT_EQ(valuesOf(*g), valuesOf(*expected));
    EXPECT_THAT(valuesOf(*g), testing::Contains(-8.0));
}

TEST_ON_EVERY_DEVICE(Loops, TheStateThatOneEncodeGivesIsTheSourceStateOfTheNext) {
    const auto before = stateInput("before");
    const auto filter = pewter::KernelNode::node(MPS::NNImageNode::node(), before, factory<Gate>());
    filter->resultState()->setHandle(tag("after"));
    filter->resultState()->setExportFromGraph(true);
    MPS::NNGraph graph(device, filter->resultImage());
    graph.setFormat(Format::Float32);
    ASSERT_EQ(graph.sourceStateHandles().size(), 1u);
    EXPECT_EQ(graph.sourceStateHandles()[0]->label(), "before");
    ASSERT_EQ(graph.resultStateHandles().size(), 1u);
    EXPECT_EQ(graph.resultStateHandles()[0]->label(), "after");
    EXPECT_EQ(graph.readCountForSourceState(0), 1u);
    for (const bool isTemporary : {true, false}) {
        SCOPED_TRACE(isTemporary);
        graph.setOutputStateIsTemporary(isTemporary);
        auto commands = device->newCommandQueue()->commandBuffer();
        std::shared_ptr<MPS::State> state =
            std::make_shared<pewter::HostState>(device, std::vector<double>{10});
        std::vector<ImagePtr> results;
        for (int t = 0; t < 3; ++t) {
            std::vector<std::shared_ptr<MPS::State>> after;
            results.push_back(
                graph.encode(commands, {imageOf(device, 2, 1, {1.0 + t, 2})}, {state}, nullptr, &after));
            ASSERT_EQ(after.size(), 1u);
            EXPECT_EQ(state->readCount(), 0u);
            EXPECT_EQ(after[0]->isTemporary(), isTemporary);
            state = after[0];
            // A state that outlives its command buffer may go to another one.
            if (!isTemporary) {
                run(commands);
                commands = device->newCommandQueue()->commandBuffer();
            }
        }
        if (isTemporary) {
            EXPECT_EQ(state->readCount(), 1u);
            state->setReadCount(0);
            EXPECT_EQ(Recorded(commands).liveBytes, 0u);
        }
        run(commands);
        // Running sums 13, 17, 22.
        EXPECT_THAT(valuesOf(*results[0]), ElementsAre(13, 26));
        EXPECT_THAT(valuesOf(*results[1]), ElementsAre(34, 34));
        EXPECT_THAT(valuesOf(*results[2]), ElementsAre(66, 44));
        if (!isTemporary) {
            EXPECT_THAT(dynamic_cast<pewter::HostState&>(*state).values(), ElementsAre(22));
        }
    }
}

TEST_ON_EVERY_DEVICE(Loops, OneStateServesAWholeBatchOfSequences) {
    const auto filter =
        pewter::KernelNode::node(MPS::NNImageNode::node(), stateInput("before"), factory<Gate>());
    filter->resultState()->setExportFromGraph(true);
    MPS::NNGraph graph(device, filter->resultImage());
    graph.setFormat(Format::Float32);
    graph.setOutputStateIsTemporary(true);
    const auto commands = device->newCommandQueue()->commandBuffer();
    MPS::StateBatch states;
    for (const double value : {1.0, 5.0, 9.0})
        states.push_back(std::make_shared<pewter::HostState>(device, std::vector<double>{value}));
    MPS::ImageBatch results;
    for (int t = 0; t < 2; ++t) {
        MPS::ImageBatch images;
        for (int i = 0; i < 3; ++i) images.push_back(imageOf(device, 1, 1, {1.0 + i}));
        std::vector<MPS::StateBatch> after;
        results = graph.encodeBatch(commands, {images}, {states}, nullptr, &after);
        states = after.at(0);
    }
    MPS::StateBatchIncrementReadCount(states, -1);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    run(commands);
    EXPECT_EQ(valuesOf(*results[0])[0], 3);       // 1 + 1 + 1
    EXPECT_EQ(valuesOf(*results[1])[0], 2 * 9);   // 5 + 2 + 2
    EXPECT_EQ(valuesOf(*results[2])[0], 3 * 15);  // 9 + 3 + 3
}

TEST_ON_EVERY_DEVICE(Loops, ANetworkSplitInTwoWithCodeOfItsOwnBetweenLearnsWhatTheWholeOneLearns) {
    const auto build = [&](Net& net, bool split) {
        net.width = net.height = 3;
        const auto conv = net.layer(net.input, "conv", 3, 3, 4);
        Node middle = split ? MPS::NNImageNode::node(tag("middle"))
                            : MPS::CNNNeuronLinearNode::node(conv->resultImage(), 2, 0)->resultImage();
        net.logits = net.layer(middle, "dense", 3, 4, net.classes, true)->resultImage();
        for (const auto& layer : net.layers) {
            for (float& value : layer->values) value = std::round(2 * value);
            for (float& value : layer->biases) value = std::round(8 * value);
        }
        return conv;
    };
    const auto picture = drawImages(device, 1, 3, 3, 3, 3)[0];
    auto values = valuesOf(*picture);
    for (double& value : values) value = std::round(1.5 * value);
    fillImage(*picture, values);

    Net whole(device);
    build(whole, false);
    MPS::NNGraph graph(device,
                       MPS::NNInitialGradientNode::node(whole.logits)->trainingGraph().at(0)->resultImage());
    graph.setFormat(Format::Float32);
    const auto commands = whole.queue->commandBuffer();
    const auto expected = graph.encode(commands, {picture});
    run(commands);

    Net halves(device);
    const auto conv = build(halves, true);
    MPS::NNGraph front(device, conv->resultImage());
    MPS::NNGraph rear(device,
                      MPS::NNInitialGradientNode::node(halves.logits)->trainingGraph().at(0)->resultImage());
    const auto termini = conv->trainingGraph(MPS::NNImageNode::node(tag("gradient")));
    ASSERT_EQ(termini.size(), 1u);
    MPS::NNGraph back(device, termini[0]->resultImage());
    ASSERT_EQ(back.sourceImageHandles().size(), 2u);
    EXPECT_EQ(back.sourceImageHandles()[0]->label(), "gradient");
    EXPECT_EQ(back.sourceImageHandles()[1]->label(), "input");
    for (MPS::NNGraph* each : {&front, &rear, &back}) each->setFormat(Format::Float32);
    const auto encoded = [&](MPS::NNGraph& on, const std::vector<ImagePtr>& sources) {
        const auto buffer = halves.queue->commandBuffer();
        const auto result = on.encode(buffer, sources);
        run(buffer);
        return result;
    };
    const auto twice = [&](const ImagePtr& image) {
        auto numbers = valuesOf(*image);
        for (double& value : numbers) value *= 2;
        fillImage(*image, numbers);
        return image;
    };
    const auto middle = twice(encoded(front, {picture}));
    const auto gradient = twice(encoded(rear, {middle}));
    const auto result = encoded(back, {gradient, picture});
    EXPECT_EQ(valuesOf(*result), valuesOf(*expected));
    for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(halves.layers[i]->trained(), whole.layers[i]->trained());
    EXPECT_THAT(halves.layers[0]->trained(), testing::Not(testing::Each(0.0f)));
}
