#include <gmock/gmock.h>

#include <MPS/CNNPooling.hpp>
#include <MPS/NNInitialGradientNode.hpp>
#include <MPS/NNPadding.hpp>
#include <limits>
#include <type_traits>

#include "EveryDevice.h"
#include "GraphKernels.h"

/// What an application can get wrong around a graph: an error that names the node by its label, nothing
/// encoded, nothing left over, and the graph as usable as before.
using namespace pewter::test;
using testing::AllOf;
using testing::HasSubstr;

namespace {

/// Commands, memory, temporaries and handlers of a command buffer.
struct Everything {
    explicit Everything(const BufferPtr& commandBuffer)
        : recorded(commandBuffer),
          temporaries(pewter::mtl::rootOf(*commandBuffer).temporaryCount()),
          handlers(pewter::mtl::rootOf(*commandBuffer).completedHandlerCount()) {}
    Recorded recorded;
    std::size_t temporaries, handlers;
    friend bool operator==(const Everything&, const Everything&) = default;
};

/// The sentence of a mistake, after which the command buffer must be as it was.
std::string sentenceOf(const BufferPtr& commands, const std::function<void()>& mistake) {
    const Everything before(commands);
    const auto sentence = errorOf(mistake);
    EXPECT_EQ(Everything(commands), before) << sentence;
    return sentence;
}

/// A policy that returns what it is told to.
class Nonsense final : public MPS::NNPadding {
public:
    MPS::NNPaddingMethod paddingMethod() const override {
        return MPS::NNPaddingMethodCustom | MPS::NNPaddingMethodSizeSame;
    }
    MPS::ImageDescriptor destinationImageDescriptor(const std::vector<ImagePtr>&, const MPS::StateBatch&,
                                                    MPS::Kernel& kernel,
                                                    const MPS::ImageDescriptor& suggested) override {
        auto descriptor = suggested;
        if (act) act(dynamic_cast<MPS::CNNKernel&>(kernel), descriptor);
        return descriptor;
    }
    std::function<void(MPS::CNNKernel&, MPS::ImageDescriptor&)> act;
};

/// A neuron 'before', a convolution 'conv' with the policy, a pooling behind it.
struct Policed : Net {
    explicit Policed(const DevicePtr& d) : Net(d) {
        const auto first = MPS::CNNNeuronAbsoluteNode::node(input);
        first->setLabel("before");
        const auto conv = layer(first->resultImage(), "conv", 3, 3, 4);
        conv->setPaddingPolicy(policy);
        forward =
            MPS::NNGraph::graph(device, MPS::CNNPoolingMaxNode::node(conv->resultImage(), 2)->resultImage());
        forward->setFormat(Format::Float32);
    }
    std::vector<double> good() {
        policy->act = nullptr;
        const auto commands = queue->commandBuffer();
        const auto results = forward->encodeBatch(commands, {images(2)});
        run(commands);
        return valuesOf(*results[1]);
    }
    std::shared_ptr<Nonsense> policy = std::make_shared<Nonsense>();
    std::shared_ptr<MPS::NNGraph> forward;
};

}  // namespace

// --- no cycles, several devices ---

TEST(GraphBadInput, NoCycleCanBeMade) {
    // What a filter reads is given to its constructor, and its result comes into being with it: a filter
    // reads only what is older than itself. Nothing changes that later.
    using Filter = MPS::NNFilterNode;
    static_assert(std::is_same_v<decltype(std::declval<Filter&>().sources()), const MPS::NNImageNodes&>);
    static_assert(std::is_same_v<decltype(std::declval<Filter&>().sourceStates()), const MPS::NNStateNodes&>);
    static_assert(!std::is_copy_assignable_v<Filter> && !std::is_copy_assignable_v<MPS::NNImageNode> &&
                  !std::is_copy_assignable_v<MPS::NNStateNode>);
    const auto input = MPS::NNImageNode::node();
    const auto first = MPS::CNNNeuronAbsoluteNode::node(input);
    const auto second = MPS::CNNNeuronAbsoluteNode::node(first->resultImage());
    EXPECT_EQ(second->sources(), MPS::NNImageNodes{first->resultImage()});
    EXPECT_EQ(first->sources(), MPS::NNImageNodes{input});
    EXPECT_EQ(input->producer(), nullptr);
}

TEST(GraphBadInput, AStateNodeThatItsFilterDidNotMakeIsRefusedByLabel) {
    const auto input = MPS::NNImageNode::node();
    const auto neuron = MPS::CNNNeuronAbsoluteNode::node(input);
    neuron->setLabel("absolute");
    const auto false_ = std::make_shared<MPS::NNGradientStateNode>(neuron.get());
    const auto gradient = MPS::CNNNeuronGradientNode::node(
        neuron->resultImage(), input, false_,
        MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::Absolute));
    gradient->setLabel("backward");
    EXPECT_THAT(errorOf([&] { MPS::NNGraph(testDevice(), gradient->resultImage()); }),
                AllOf(HasSubstr("CNNNeuronGradientNode 'backward'"), HasSubstr("'absolute'")));
}

TEST(GraphBadInput, OneNodeInGraphsOfSeveralDevicesHasKernelsOfItsOwnInEach) {
    Net net;
    buildChain(net);
    for (const auto& layer : net.layers) {
        layer->answer = Answer::Nothing;
        for (float& value : layer->values) value = std::round(2 * value);
        for (float& value : layer->biases) value = std::round(8 * value);
    }
    net.termini = MPS::NNInitialGradientNode::node(net.logits)->trainingGraph();
    struct Graph {
        DevicePtr device;
        std::shared_ptr<MPS::NNGraph> forward, backward;
    };
    std::vector<Graph> graphs;
    for (const auto& device : MTL::copyAllDevices()) {
        net.log->clear();
        graphs.push_back({device, MPS::NNGraph::graph(device, net.logits),
                          MPS::NNGraph::graph(device, net.termini[0]->resultImage())});
        // Each graph loads for itself; the sources are shared.
        const auto loads = std::count(net.log->begin(), net.log->end(), "load conv");
        EXPECT_GE(loads, 2);
        EXPECT_EQ(std::count(net.log->begin(), net.log->end(), "purge conv"), loads);
    }
    std::vector<std::vector<double>> results, gradients;
    for (int round = 0; round < 2; ++round)
        for (const auto& graph : graphs) {
            const auto pictures = drawImages(graph.device, 2, 6, 6, 3, 5);
            graph.forward->setFormat(Format::Float32);
            graph.backward->setFormat(Format::Float32);
            const auto commands = graph.device->newCommandQueue()->commandBuffer();
            const auto result = graph.forward->encodeBatch(commands, {pictures});
            const auto gradient = graph.backward->encodeBatch(commands, {pictures});
            run(commands);
            results.push_back(valuesOf(*result[1]));
            gradients.push_back(valuesOf(*gradient[1]));
        }
    for (std::size_t i = 1; i < results.size(); ++i) {
        EXPECT_EQ(results[i], results[0]);
        EXPECT_EQ(gradients[i], gradients[0]);
    }
}

// --- inputs ---

TEST(GraphBadInput, ALabelBatchOfAnotherSizeNamesInputAndNumbers) {
    Net net;
    buildChain(net);
    net.train();
    const auto commands = net.queue->commandBuffer();
    for (const std::size_t count : {1u, 4u})
        EXPECT_THAT(
            sentenceOf(commands,
                       [&] { net.graph->encodeBatch(commands, {net.images(3)}, {net.labels(count)}); }),
            AllOf(HasSubstr("NNGraph 'training'"), HasSubstr("sourceStates[0]"), HasSubstr("3 entries"),
                  HasSubstr(std::string("found ").append(std::to_string(count)))));
    EXPECT_THAT(sentenceOf(commands, [&] { net.graph->encodeBatch(commands, {{}}, {{}}); }),
                AllOf(HasSubstr("NNGraph 'training'"), HasSubstr("an empty batch")));
    EXPECT_TRUE(std::isfinite(net.step(3)));
}

TEST(GraphBadInput, AMissingInputIsNamedByTheHandlesOfAllAndAnUnnamedOneStaysInTheList) {
    const auto device = testDevice();
    const auto a = MPS::NNImageNode::node(tag("pictures")), b = MPS::NNImageNode::node();
    MPS::NNGraph graph(device, MPS::NNAdditionNode::node(a, b)->resultImage());
    graph.setLabel("sum");
    ASSERT_EQ(graph.sourceImageHandles().size(), 2u);
    EXPECT_EQ(graph.sourceImageHandles()[1], nullptr);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto image = drawImages(device, 1, 2, 2, 1, 1)[0];
    EXPECT_THAT(sentenceOf(commands, [&] { graph.encode(commands, {image}); }),
                AllOf(HasSubstr("NNGraph 'sum'"), HasSubstr("sourceImages"), HasSubstr("pictures"),
                      HasSubstr("expected 2"), HasSubstr("found 1")));
    EXPECT_THAT(sentenceOf(commands,
                           [&] {
                               graph.encode(commands, {image, nullptr});
                           }),
                AllOf(HasSubstr("sourceImages[1][0]"), HasSubstr("null")));
}

TEST(GraphBadInput, TwoHandlesThatAreOneObjectStayTwoInputs) {
    const auto device = testDevice();
    const auto one = tag("one");
    MPS::NNGraph graph(device,
                       MPS::NNSubtractionNode::node(MPS::NNImageNode::node(one), MPS::NNImageNode::node(one))
                           ->resultImage());
    EXPECT_EQ(graph.sourceImageHandles(), (std::vector<std::shared_ptr<MPS::Handle>>{one, one}));
}

// --- padding policies ---

TEST_ON_EVERY_DEVICE(GraphBadInput, APolicyThatReturnsAnImpossibleImageIsNamedByItsFilter) {
    Policed net(device);
    const auto expected = net.good();
    struct Case {
        const char* what;
        std::function<void(MPS::CNNKernel&, MPS::ImageDescriptor&)> act;
        std::string found;
    };
    const std::vector<Case> cases = {
        {"no width", [](auto&, auto& d) { d.width = 0; }, "0 x 6"},
        {"no height", [](auto&, auto& d) { d.height = 0; }, "6 x 0"},
        {"no channels", [](auto&, auto& d) { d.featureChannels = 0; }, "0"},
        {"fewer channels", [](auto&, auto& d) { d.featureChannels = 3; }, "3"},
        {"more pictures", [](auto&, auto& d) { d.numberOfImages = 2; }, "2"},
        {"no pictures", [](auto&, auto& d) { d.numberOfImages = 0; }, "0"},
        {"more than there is memory", [](auto&, auto& d) { d.width = std::size_t{1} << 40; },
         "1099511627776"},
        {"more than can be counted", [](auto&, auto& d) { d.width = d.height = SIZE_MAX / 2; }, ""},
    };
    for (const auto& each : cases) {
        SCOPED_TRACE(each.what);
        net.policy->act = each.act;
        const auto commands = net.queue->commandBuffer();
        const auto sentence =
            sentenceOf(commands, [&] { net.forward->encodeBatch(commands, {net.images(2)}); });
        EXPECT_THAT(sentence, AllOf(HasSubstr("'conv'"), HasSubstr(each.found)));
        EXPECT_EQ(net.good(), expected);
    }
}

TEST_ON_EVERY_DEVICE(GraphBadInput, AnOffsetFarOutsideReadsTheEdgeOrIsRefusedAndNeverReadsForeignMemory) {
    for (const std::int64_t offset :
         {std::int64_t{1} << 20, -(std::int64_t{1} << 20), std::int64_t{1} << 40, -(std::int64_t{1} << 40),
          std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
        SCOPED_TRACE(offset);
        Policed net(device);
        const auto expected = net.good();
        net.policy->act = [&](MPS::CNNKernel& kernel, auto&) { kernel.setOffset({offset, 0, 0}); };
        const auto commands = net.queue->commandBuffer();
        const Everything before(commands);
        MPS::ImageBatch results;
        const auto sentence = errorOf([&] { results = net.forward->encodeBatch(commands, {net.images(2)}); });
        if (!sentence.empty()) {
            EXPECT_THAT(sentence, AllOf(HasSubstr("'conv'"), HasSubstr("offset")));
            EXPECT_EQ(Everything(commands), before);
        } else {
            run(commands);
            // Nothing but zeros around the source: the biases are left.
            const auto& biases = net.layers[0]->biases;
            const auto values = valuesOf(*results[0]);
            for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], biases[i % 4]);
        }
        EXPECT_EQ(net.good(), expected);
    }
}

TEST(GraphBadInput, NoPolicyAndOneThatThrowsAreNamed) {
    Policed net(testDevice());
    const auto pool = MPS::CNNPoolingMaxNode::node(net.input, 2);
    pool->setLabel("pool");
    EXPECT_THAT(errorOf([&] { pool->setPaddingPolicy(nullptr); }),
                AllOf(HasSubstr("CNNPoolingMaxNode 'pool'"), HasSubstr("paddingPolicy"), HasSubstr("null")));
    net.policy->act = [](auto&, auto&) { throw std::runtime_error("no idea"); };
    const auto commands = net.queue->commandBuffer();
    const Everything before(commands);
    EXPECT_THROW(net.forward->encodeBatch(commands, {net.images(2)}), std::runtime_error);
    EXPECT_EQ(Everything(commands), before);
}

// --- normalisation data sources ---

namespace {

/// Parameters that can be refused, miscounted, missing, or thrown over.
struct Unsteady : NormSource {
    using NormSource::NormSource;
    bool load() override { return NormSource::load() && loads; }
    std::size_t numberOfFeatureChannels() const override { return channels ? channels : gammas.size(); }
    const float* beta() override {
        if (throws) throw std::runtime_error("disk full");
        return NormSource::beta();
    }
    bool loads = true, throws = false;
    std::size_t channels = 0;
};

struct Normalised : Net {
    explicit Normalised(const DevicePtr& d) : Net(d) {
        source = std::make_shared<Unsteady>(device, "norm", 3, 5, log);
        node = MPS::CNNBatchNormalizationNode::node(input, source);
    }
    std::vector<double> infer(MPS::NNGraph& on) const {
        on.setFormat(Format::Float32);
        const auto commands = queue->commandBuffer();
        const auto result = on.encode(commands, {images(1)[0]});
        run(commands);
        return valuesOf(*result);
    }
    std::shared_ptr<Unsteady> source;
    std::shared_ptr<MPS::CNNBatchNormalizationNode> node;
};

}  // namespace

TEST(GraphBadInput, ANormalisationThatDoesNotLoadIsNamedAndIsNotPurged) {
    Normalised net(testDevice());
    net.source->loads = false;
    EXPECT_THAT(errorOf([&] { MPS::NNGraph(net.device, net.node->resultImage()); }),
                AllOf(HasSubstr("'norm'"), HasSubstr("dataSource"), HasSubstr("load() returned false")));
    EXPECT_EQ(*net.log, (CallLog{"load norm"}));
    net.node->setLabel("first norm");
    EXPECT_THAT(errorOf([&] { MPS::NNGraph(net.device, net.node->resultImage()); }),
                HasSubstr("'first norm'"));
    net.source->loads = true;
    MPS::NNGraph graph(net.device, net.node->resultImage());
    EXPECT_EQ(net.infer(graph).size(), 108u);
}

TEST(GraphBadInput, ANormalisationOfTooFewChannelsIsNamedWhereTheImageDoesNotFit) {
    Normalised net(testDevice());
    net.channels = 4;
    MPS::NNGraph graph(net.device, net.node->resultImage());
    const auto commands = net.queue->commandBuffer();
    EXPECT_THAT(sentenceOf(commands, [&] { graph.encodeBatch(commands, {net.images(2)}); }),
                AllOf(HasSubstr("CNNBatchNormalization 'norm'"), HasSubstr("3"), HasSubstr("4")));
    net.source->channels = 5;
    EXPECT_THAT(
        errorOf([&] { graph.reloadFromDataSources(); }),
        AllOf(HasSubstr("'norm'"), HasSubstr("numberOfFeatureChannels"), HasSubstr("3"), HasSubstr("5")));
}

TEST(GraphBadInput, AReloadThatFailsHalfWayChangesNothingAndPurgesWhatItLoaded) {
    Normalised net(testDevice());
    MPS::NNGraph graph(net.device, net.node->resultImage());
    const auto before = net.infer(graph);
    for (float& gamma : net.source->gammas) gamma += 1;
    net.source->throws = true;
    net.log->clear();
    EXPECT_THROW(graph.reloadFromDataSources(), std::runtime_error);
    EXPECT_EQ(*net.log, (CallLog{"load norm", "purge norm"}));
    EXPECT_EQ(net.infer(graph), before);
    net.source->loads = false;
    EXPECT_THAT(errorOf([&] { graph.reloadFromDataSources(); }), HasSubstr("'norm'"));
    EXPECT_EQ(net.infer(graph), before);
    net.source->loads = true;
    net.source->throws = false;
    graph.reloadFromDataSources();
    EXPECT_NE(net.infer(graph), before);
}

// --- gradient filters without their forward filter ---

TEST(GraphBadInput, AGradientFilterWithAStateOfAnotherKindIsNamed) {
    Normalised net(testDevice());
    const auto neuron = MPS::CNNNeuronAbsoluteNode::node(net.input);
    const auto foreign = std::static_pointer_cast<MPS::NNGradientStateNode>(neuron->resultState());
    const auto gradient =
        MPS::CNNBatchNormalizationGradientNode::node(neuron->resultImage(), net.input, foreign);
    gradient->setLabel("backward");
    EXPECT_THAT(errorOf([&] { MPS::NNGraph(net.device, gradient->resultImage()); }),
                AllOf(HasSubstr("CNNBatchNormalizationGradientNode 'backward'"), HasSubstr("gradientState")));
}

TEST_ON_EVERY_DEVICE(GraphBadInput, ASourceStateOfAnotherClassOrSizeIsNamedByTheFilterThatReadsIt) {
    const auto gradient = MPS::CNNPoolingMaxGradientNode::node(
        MPS::NNImageNode::node(tag("gradient")), MPS::NNImageNode::node(tag("source")),
        std::static_pointer_cast<MPS::NNGradientStateNode>(stateInput("state")), 2, 2, 2, 2);
    gradient->setLabel("unpool");
    MPS::NNGraph graph(device, gradient->resultImage());
    graph.setLabel("backward");
    const auto g = drawImages(device, 1, 2, 2, 1, 1), x = drawImages(device, 1, 4, 4, 1, 2);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto plain = std::make_shared<MPS::State>(device, 16);
    EXPECT_THAT(sentenceOf(commands,
                           [&] {
                               graph.encodeBatch(commands, {g, x}, {{plain}});
                           }),
                AllOf(HasSubstr("'unpool'"), HasSubstr("NNGradientState")));
    EXPECT_THAT(sentenceOf(commands,
                           [&] {
                               graph.encodeBatch(commands, {g, x}, {{nullptr}});
                           }),
                AllOf(HasSubstr("'backward'"), HasSubstr("sourceStates[0][0]"), HasSubstr("null")));
    EXPECT_THAT(sentenceOf(commands,
                           [&] {
                               graph.encodeBatch(commands, {g, x});
                           }),
                AllOf(HasSubstr("'backward'"), HasSubstr("sourceStates"), HasSubstr("state")));
    // Of a forward kernel with another window.
    MPS::CNNPoolingMax other(device, 3, 3, 1, 1);
    other.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    std::shared_ptr<MPS::State> state;
    other.encode(commands, x[0], &state, false);
    EXPECT_THAT(sentenceOf(commands,
                           [&] {
                               graph.encodeBatch(commands, {g, x}, {{state}});
                           }),
                AllOf(HasSubstr("'unpool'"), HasSubstr("2"), HasSubstr("3")));
}

// --- re-entrancy ---

TEST(GraphBadInput, FromInsideAnUpdateTheSameGraphRefusesToEncodeToReportAndToReload) {
    struct Curious : LayerSource {
        using LayerSource::LayerSource;
        std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> update(
            const BufferPtr& commandBuffer, const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradient,
            const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& source) override {
            if (act) act(commandBuffer);
            return LayerSource::update(commandBuffer, gradient, source);
        }
        std::function<void(const BufferPtr&)> act;
    };
    Net net;
    const auto source = std::make_shared<Curious>(net.device, "dense", 6, 3, 5, 1, net.log);
    net.logits = MPS::CNNFullyConnectedNode::node(net.input, source)->resultImage();
    net.train();
    std::vector<std::string> sentences;
    source->act = [&](const BufferPtr& commands) {
        const auto images = net.images(2);
        const auto labels = net.labels(2);
        sentences.push_back(errorOf([&] { net.graph->encodeBatch(commands, {images}, {labels}); }));
        sentences.push_back(errorOf([&] { net.graph->memoryReport({images}, {labels}); }));
        sentences.push_back(errorOf([&] { net.graph->reloadFromDataSources(); }));
    };
    const double before = net.step(2);
    ASSERT_EQ(sentences.size(), 3u);
    for (const auto& sentence : sentences)
        EXPECT_THAT(sentence,
                    AllOf(HasSubstr("NNGraph 'training'"), HasSubstr("callback of the same graph")));
    source->act = nullptr;
    EXPECT_LT(net.step(2), before);
}

TEST(GraphBadInput, AnotherGraphMayBeEncodedFromInsideACallback) {
    Policed net(testDevice());
    const auto expected = net.good();
    MPS::NNGraph other(net.device, Net::relu(net.input));
    other.setFormat(Format::Float32);
    const auto commands = net.queue->commandBuffer();
    const auto picture = net.images(1, 4)[0];
    ImagePtr inner;
    net.policy->act = [&](auto&, auto&) { inner = other.encode(commands, {picture}); };
    const auto results = net.forward->encodeBatch(commands, {net.images(2)});
    run(commands);
    EXPECT_EQ(valuesOf(*results[1]), expected);
    auto values = valuesOf(*picture);
    for (double& value : values) value = std::max(value, 0.0);
    EXPECT_EQ(valuesOf(*inner), values);
}

TEST(GraphBadInput, AnUpdateThatThrowsUndoesTheEncodeWithAllItsTemporaries) {
    struct Failing : LayerSource {
        using LayerSource::LayerSource;
        std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> update(
            const BufferPtr& commandBuffer, const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradient,
            const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& source) override {
            if (fail) throw std::runtime_error("not now");
            return LayerSource::update(commandBuffer, gradient, source);
        }
        bool fail = false;
    };
    Net net;
    const auto conv = std::make_shared<Failing>(net.device, "first", 3, 3, 4, 2, net.log);
    const auto x = MPS::CNNConvolutionNode::node(net.input, conv)->resultImage();
    net.logits = net.layer(Net::relu(x), "dense", 6, 4, net.classes, true)->resultImage();
    net.train();
    conv->fail = true;
    const auto commands = net.queue->commandBuffer();
    CopyKernel copy;
    const auto sources = copy.encodeBatch(commands, net.images(2));
    const Everything before(commands);
    EXPECT_THROW(net.graph->encodeBatch(commands, {sources}, {net.labels(2)}), std::runtime_error);
    EXPECT_EQ(Everything(commands), before);
    for (const auto& image : sources) EXPECT_EQ(temporary(image).readCount(), 1u);
    conv->fail = false;
    net.graph->encodeBatch(commands, {sources}, {net.labels(2)});
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    Diagnostics diagnostics;
    run(commands);
    EXPECT_TRUE(diagnostics.messages.empty());
}
