#include <gmock/gmock.h>

#include <MPS/CNNBinaryConvolutionNode.hpp>
#include <MPS/CNNConvolutionTransposeNode.hpp>
#include <functional>
#include <limits>

#include "GraphNets.h"
#include "WeightedKernels.h"

/// Data sources of convolution filters that do not load or hold too little: the sentence names the filter by
/// its label, no graph comes of it, nothing stays behind, and the same nodes serve once the source is right.
using namespace pewter::test;
using testing::AllOf;
using testing::HasSubstr;

namespace {

/// Says how much it holds, and may have it wrong.
struct Known : ListSource {
    using ListSource::ListSource;
    std::optional<std::size_t> weightsLength() const override {
        return type == MPS::DataType::Float32 ? floats.size() : bytes.size();
    }
    std::optional<std::size_t> biasTermsLength() const override { return biases.size(); }
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor() const override {
        return hasDescriptor ? shape : nullptr;
    }
    bool hasDescriptor = true;
};

/// 1 weight, 1 bias.
std::shared_ptr<Known> one() {
    return std::make_shared<Known>(MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 1, 1),
                                   Numbers{3}, Numbers{1});
}

using Filter = std::shared_ptr<MPS::NNFilterNode>;
using Make = std::function<Filter(const Node& source, const std::shared_ptr<Known>& weights)>;

struct Kind {
    std::string node, kernel;
    Make make;
};

std::vector<Kind> kinds() {
    return {{"CNNConvolutionNode", "CNNConvolution",
             [](const Node& x, const auto& w) { return MPS::CNNConvolutionNode::node(x, w); }},
            {"CNNFullyConnectedNode", "CNNFullyConnected",
             [](const Node& x, const auto& w) { return MPS::CNNFullyConnectedNode::node(x, w); }},
            {"CNNConvolutionTransposeNode", "CNNConvolutionTranspose", [](const Node& x, const auto& w) {
                 return MPS::CNNConvolutionTransposeNode::node(x, nullptr, w);
             }}};
}

/// The sentence of a graph that cannot be made; it leaves no memory and no data source open.
std::string refused(const DevicePtr& device, const Filter& last, const Known& source) {
    const auto make = [&] { return sentenceOf([&] { MPS::NNGraph graph(device, last->resultImage()); }); };
    // A device may keep what a filter in front has given back; a second attempt finds it there.
    make();
    const auto bytes = device->currentAllocatedSize();
    const int open = source.loads - source.purges;
    const auto sentence = make();
    EXPECT_EQ(device->currentAllocatedSize(), bytes) << sentence;
    // A load that failed is not purged.
    EXPECT_EQ(source.loads - source.purges, open + (source.loadable ? 0 : 1)) << sentence;
    return sentence;
}

Numbers resultOf(const DevicePtr& device, MPS::NNGraph& graph, double x) {
    graph.setFormat(Format::Float32);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto result = graph.encodeBatch(commands, {batchOf(device, 1, 1, 1, 1, {x})});
    finish(commands);
    return read(result);
}

struct Fault {
    const char* what;
    std::function<void(Known&)> breaks;
    std::vector<const char*> words;
};

std::vector<Fault> faults() {
    return {
        {"load fails", [](Known& s) { s.loadable = false; }, {"weights", "load() succeeds", "found false"}},
        {"no descriptor", [](Known& s) { s.hasDescriptor = false; }, {"descriptor", "found null"}},
        {"senseless descriptor",
         [](Known& s) { s.shape->setStrideInPixelsX(0); },
         {"strideInPixelsX", "at least 1", "found 0"}},
        {"no weights", [](Known& s) { s.floats.clear(); }, {"weights", "found null"}},
        {"few weights",
         [](Known& s) { s.shape->setInputFeatureChannels(7); },
         {"weights", "expected 7 elements", "found 1"}},
        {"few biases",
         [](Known& s) {
             s.shape->setOutputFeatureChannels(4);
             s.floats.resize(4);
         },
         {"biasTerms", "expected 4 elements", "found 1"}}};
}

}  // namespace

TEST(DataSourceErrors, AFilterWhoseSourceIsWrongIsNamedByLabelAndServesOnceTheSourceIsRight) {
    for (const auto& device : weightedDevices())
        for (const auto& kind : kinds())
            for (const auto& fault : faults()) {
                SCOPED_TRACE(kind.node + ", " + fault.what);
                const auto source = one();
                const auto input = MPS::NNImageNode::node(tag("input"));
                // Behind a filter that has loaded already.
                const auto before = std::make_shared<Known>(*one());
                const auto first = MPS::CNNConvolutionNode::node(input, before);
                const auto filter = kind.make(first->resultImage(), source);
                filter->setLabel("middle");
                const auto last = MPS::CNNNeuronReLUNode::node(filter->resultImage());
                const auto shape = source->shape->copy();
                fault.breaks(*source);
                const auto sentence = refused(device, last, *source);
                EXPECT_THAT(sentence, HasSubstr(kind.node + " 'middle'"));
                for (const auto* word : fault.words) EXPECT_THAT(sentence, HasSubstr(word));
                EXPECT_EQ(before->loads, before->purges);

                // Without a label of its own the source's says which.
                filter->setLabel("");
                const auto plain = refused(device, last, *source);
                EXPECT_THAT(plain, HasSubstr(kind.kernel + " 'layer'"));

                source->loadable = source->hasDescriptor = true;
                source->shape = shape;
                source->floats = {3};
                source->biases = {1};
                MPS::NNGraph graph(device, last->resultImage());
                EXPECT_EQ(resultOf(device, graph, 2), Numbers{(2 * 3 + 1) * 3 + 1});
            }
}

TEST(DataSourceErrors, GradientFiltersNameThemselves) {
    const auto device = testDevice();
    const auto x = MPS::NNImageNode::node(), g = MPS::NNImageNode::node();
    for (const bool transposed : {false, true}) {
        const auto source = one(), other = one();
        const auto forward = transposed ? MPS::CNNConvolutionTransposeNode::node(x, nullptr, source)
                                        : MPS::CNNConvolutionNode::node(x, source);
        Filter gradient;
        if (transposed)
            gradient = MPS::CNNConvolutionTransposeGradientNode::node(
                g, x,
                std::dynamic_pointer_cast<MPS::CNNConvolutionTransposeGradientStateNode>(
                    forward->resultState()),
                other);
        else
            gradient =
                MPS::CNNConvolutionGradientNode::node(g, x, forward->convolutionGradientState(), other);
        gradient->setLabel("back");
        other->loadable = false;
        EXPECT_THAT(refused(device, gradient, *other),
                    AllOf(HasSubstr("GradientNode 'back'"), HasSubstr("load() succeeds")));
        EXPECT_EQ(source->loads, source->purges);
        other->loadable = true;
        other->shape = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(3, 3, 1, 1);
        other->floats.resize(9);
        // It loads, but it is no twin of the forward filter's.
        EXPECT_THAT(refused(device, gradient, *other),
                    AllOf(HasSubstr("'back'"), HasSubstr("weights"), HasSubstr("1 x 1 taps"),
                          HasSubstr("3 x 3 taps")));
    }
}

TEST(DataSourceErrors, NothingKeepsASourceOfAGraphThatCouldNotBeMade) {
    const auto device = testDevice();
    for (const auto& kind : kinds()) {
        auto source = one();
        source->loadable = false;
        const std::weak_ptr<Known> watch = source;
        auto filter = kind.make(MPS::NNImageNode::node(), source);
        EXPECT_NE(refused(device, filter, *source), "");
        source.reset();
        EXPECT_FALSE(watch.expired());
        filter.reset();
        EXPECT_TRUE(watch.expired()) << kind.node;
    }
}

TEST(DataSourceErrors, AReloadThatFailsNamesTheFilterAndKeepsTheWeights) {
    for (const auto& device : weightedDevices())
        for (const auto& kind : kinds())
            for (const auto& fault : faults()) {
                SCOPED_TRACE(kind.node + ", " + fault.what);
                const auto source = one();
                const auto filter = kind.make(MPS::NNImageNode::node(), source);
                filter->setLabel("middle");
                MPS::NNGraph graph(device, filter->resultImage());
                source->floats = {100};
                fault.breaks(*source);
                const int open = source->loads - source->purges;
                const auto sentence = sentenceOf([&] { graph.reloadFromDataSources(); });
                EXPECT_THAT(sentence, HasSubstr(kind.kernel + " 'middle'"));
                EXPECT_EQ(source->loads - source->purges, open + (source->loadable ? 0 : 1));
                EXPECT_EQ(resultOf(device, graph, 2), Numbers{7});
            }
}

TEST(DataSourceErrors, QuantizedAndPackedWeightsAreCountedInTheirOwnElements) {
    const auto device = testDevice();
    const auto source = std::make_shared<Known>(
        MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 4, 1), Numbers{});
    source->type = MPS::DataType::UInt8;
    source->bytes = {0, 255, 0};
    source->ranges = {0, 1};
    const auto node = MPS::CNNConvolutionNode::node(MPS::NNImageNode::node(), source);
    node->setLabel("codes");
    EXPECT_THAT(refused(device, node, *source),
                AllOf(HasSubstr("CNNConvolutionNode 'codes'"), HasSubstr("expected 4 elements"),
                      HasSubstr("found 3")));
    source->bytes.push_back(255);
    EXPECT_EQ(refused(device, node, *source), "");
    // 33 input channels of one bit are two words.
    source->type = MPS::DataType::UInt32;
    source->shape = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 33, 3);
    source->bytes.assign(5, 0);
    const auto bits = MPS::CNNBinaryFullyConnectedNode::node(MPS::NNImageNode::node(), source, 1,
                                                             MPS::CNNBinaryConvolutionType::XNOR,
                                                             MPS::CNNBinaryConvolutionFlags::None);
    bits->setLabel("bits");
    EXPECT_THAT(refused(device, bits, *source),
                AllOf(HasSubstr("CNNBinaryFullyConnectedNode 'bits'"), HasSubstr("expected 6 elements"),
                      HasSubstr("found 5")));
}
