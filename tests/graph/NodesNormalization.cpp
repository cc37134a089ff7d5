#include <MPS/CNNNormalization.hpp>
#include <MPS/CNNNormalizationNode.hpp>
#include <MPS/NNGraph.hpp>
#include <MTL/MTL.hpp>

#include "TestKernel.h"
#include "UnaryKernels.h"

/// The normalisations by a neighbourhood as nodes.
using namespace pewter::test;
using namespace MPS;

namespace {

using ImageNode = std::shared_ptr<NNImageNode>;
using Filter = std::shared_ptr<NNFilterNode>;
using G = NNGradientStateNode;

/// A handle that is only a name.
class Called final : public Handle {
public:
    explicit Called(std::string text) : text_(std::move(text)) {}
    std::string label() const override { return text_; }

private:
    std::string text_;
};

ImageNode image(const std::string& name = "x") { return NNImageNode::node(std::make_shared<Called>(name)); }

std::shared_ptr<G> stateOf(const Filter& node) { return std::dynamic_pointer_cast<G>(node->resultState()); }

/// One encode of a graph up to `result`; inputs are called x and g.
Numbers run(const DevicePtr& device, const ImageNode& result, const Extents& extents, const Numbers& x,
            const Numbers& g = {}, ::Format format = ::Format::Float32) {
    NNGraph graph(device, result);
    graph.setFormat(format);
    std::vector<ImageBatch> sources;
    for (const auto& handle : graph.sourceImageHandles())
        sources.push_back(imagesOf(device, extents, handle->label() == "x" ? x : g, format));
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto images = graph.encodeBatch(commands, sources);
    finish(commands);
    return read(images);
}

template <class To>
void setCommon(To& to, float alpha, float beta, float delta) {
    to.setAlpha(alpha);
    to.setBeta(beta);
    to.setDelta(delta);
}
template <class To>
void setMore(To& to) {
    setCommon(to, 1.5f, 0.75f, 0.25f);
    to.setP0(0.5f);
    to.setPm(2);
    to.setPs(-3);
}

/// A node with parameters that are not its defaults, the kernels that must agree with it, and its gradient
/// node made by hand.
struct Case {
    std::string name;
    std::function<Filter(const ImageNode&)> node;
    std::function<UnaryPair(const DevicePtr&)> kernels;
    std::function<Filter(const ImageNode& gradient, const Filter& forward)> byHand;
};

template <class Forward, class Backward, class... Size>
UnaryPair pairOf(const DevicePtr& device, const auto& set, Size... size) {
    UnaryPair pair;
    const auto forward = std::make_shared<Forward>(device, size...);
    const auto backward = std::make_shared<Backward>(device, size...);
    set(*forward), set(*backward);
    pair.forward = forward, pair.backward = backward;
    return pair;
}

std::vector<Case> cases() {
    const auto common = [](auto& to) { setCommon(to, 1.5f, 0.75f, 2); };
    const auto more = [](auto& to) { setMore(to); };
    return {
        {"spatial",
         [common](const ImageNode& x) {
             const auto node = CNNSpatialNormalizationNode::node(x, 3);
             common(*node);
             node->setKernelHeight(2);
             return node;
         },
         [common](const DevicePtr& device) {
             return pairOf<CNNSpatialNormalization, CNNSpatialNormalizationGradient>(device, common, 3, 2);
         },
         [common](const ImageNode& g, const Filter& forward) {
             const auto node =
                 CNNSpatialNormalizationGradientNode::node(g, forward->sources()[0], stateOf(forward), 3);
             common(*node);
             node->setKernelHeight(2);
             return node;
         }},
        {"localContrast",
         [more](const ImageNode& x) {
             const auto node = CNNLocalContrastNormalizationNode::node(x, 3);
             more(*node);
             node->setKernelWidth(4);
             return node;
         },
         [more](const DevicePtr& device) {
             return pairOf<CNNLocalContrastNormalization, CNNLocalContrastNormalizationGradient>(device, more,
                                                                                                 4, 3);
         },
         [more](const ImageNode& g, const Filter& forward) {
             const auto node = CNNLocalContrastNormalizationGradientNode::node(g, forward->sources()[0],
                                                                               stateOf(forward), 4, 3);
             more(*node);
             return node;
         }},
        {"crossChannel",
         [common](const ImageNode& x) {
             const auto node = CNNCrossChannelNormalizationNode::node(x, 3);
             common(*node);
             node->setKernelSizeInFeatureChannels(4);
             return node;
         },
         [common](const DevicePtr& device) {
             return pairOf<CNNCrossChannelNormalization, CNNCrossChannelNormalizationGradient>(device, common,
                                                                                               4);
         },
         [](const ImageNode& g, const Filter& forward) {
             return CNNCrossChannelNormalizationGradientNode::node(g, forward->sources()[0], stateOf(forward),
                                                                   4);
         }},
    };
}

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

class NodesNormalization : public testing::TestWithParam<Case> {};

Extents someExtents() { return {2, 5, 4, 6}; }

}  // namespace

TEST_P(NodesNormalization, AGraphComputesWhatTheKernelsCompute) {
    Random random(41);
    const Extents extents = someExtents();
    const auto x = uniform(random, extents.count()), g = uniform(random, extents.count());
    for (const auto& device : MTL::copyAllDevices()) {
        const auto expected = GetParam().kernels(device).run(extents, x, [&](std::size_t) { return g; });
        const auto node = GetParam().node(image());
        EXPECT_EQ(run(device, node->resultImage(), extents, x), expected.y) << device->name();
        const auto gradients = node->trainingGraph(image("g"));
        ASSERT_EQ(gradients.size(), 1u);
        EXPECT_EQ(run(device, gradients[0]->resultImage(), extents, x, g), expected.dx) << device->name();
    }
}

TEST_P(NodesNormalization, GradientImagesAreCentralDifferences) {
    Random random(42);
    const Extents extents{2, 3, 2, 3};
    const auto x = distinct(random, extents.count(), 0x1p-4), g = uniform(random, extents.count());
    const auto device = MTL::copyDevice("reference");
    const auto node = GetParam().node(image());
    const auto gradient = node->trainingGraph(image("g")).at(0)->resultImage();
    const auto double_ = ::Format::Float64;
    EXPECT_TRUE(isDerivative(run(device, gradient, extents, x, g, double_), x, [&](const Numbers& moved) {
        return dot(run(device, node->resultImage(), extents, moved, {}, double_), g);
    }));
}

TEST_P(NodesNormalization, AGradientNodeMadeByHandEqualsThatOfItsForwardNode) {
    Random random(43);
    const Extents extents = someExtents();
    const auto x = uniform(random, extents.count()), g = uniform(random, extents.count());
    for (const auto& device : MTL::copyAllDevices()) {
        const auto of = [&](const auto& make) {
            return run(device, make(GetParam().node(image()), image("g"))->resultImage(), extents, x, g);
        };
        const auto expected = of([](const Filter& f, const ImageNode& g) { return f->gradientFilter(g); });
        EXPECT_EQ(of([](const Filter& f, const ImageNode& g) { return GetParam().byHand(g, f); }), expected)
            << device->name();
        EXPECT_EQ(of([](const Filter& f, const ImageNode& g) { return f->gradientFilter(NNImageNodes{g}); }),
                  expected);
        EXPECT_EQ(of([](const Filter& f, const ImageNode& g) { return f->gradientFilters(g).at(0); }),
                  expected);
    }
}

TEST_P(NodesNormalization, TheStateIsMadeForTheGradientOnly) {
    const auto node = GetParam().node(image());
    ASSERT_EQ(node->resultStates().size(), 1u);
    EXPECT_NE(stateOf(node), nullptr);
    const auto device = testDevice();
    const auto images = imagesOf(device, someExtents(), Numbers(someExtents().count(), 1));
    NNGraph forward(device, node->resultImage());
    EXPECT_TRUE(forward.memoryReport({images}).states.empty());
    const auto gradient = node->gradientFilter(image("g"));
    EXPECT_EQ(gradient->sourceStates(), NNStateNodes{node->resultState()});
    NNGraph backward(device, gradient->resultImage());
    const auto report = backward.memoryReport({images, images});
    ASSERT_EQ(report.states.size(), 1u);
    EXPECT_EQ(report.states[0].className, "NNGradientState");
    EXPECT_EQ(report.states[0].count, 2u);
}

INSTANTIATE_TEST_SUITE_P(All, NodesNormalization, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

TEST(NodesNormalizationForms, StartWithTheParametersOfTheDocumentation) {
    const auto x = image(), g = image("g");
    const auto spatial = CNNSpatialNormalizationNode::node(x, 7);
    EXPECT_EQ(spatial->alpha(), 1);
    EXPECT_EQ(spatial->beta(), 5);
    EXPECT_EQ(spatial->delta(), 1);
    EXPECT_EQ(spatial->kernelWidth(), 7u);
    EXPECT_EQ(spatial->kernelHeight(), 7u);
    const auto contrast = CNNLocalContrastNormalizationNode::node(x, 7);
    EXPECT_EQ(contrast->alpha(), 1);
    EXPECT_EQ(contrast->beta(), 0.5f);
    EXPECT_EQ(contrast->delta(), 0x1p-10f);
    EXPECT_EQ(contrast->pm(), 0);
    EXPECT_EQ(contrast->ps(), 1);
    EXPECT_EQ(contrast->p0(), 1);
    EXPECT_EQ(contrast->kernelWidth(), 7u);
    EXPECT_EQ(contrast->kernelHeight(), 7u);
    const auto channels = CNNCrossChannelNormalizationNode::node(x, 7);
    EXPECT_EQ(channels->alpha(), 1);
    EXPECT_EQ(channels->beta(), 5);
    EXPECT_EQ(channels->delta(), 1);
    EXPECT_EQ(channels->kernelSizeInFeatureChannels(), 7u);

    const auto ofSpatial = CNNSpatialNormalizationGradientNode::node(g, x, stateOf(spatial), 7);
    EXPECT_EQ(ofSpatial->alpha(), 1);
    EXPECT_EQ(ofSpatial->beta(), 5);
    EXPECT_EQ(ofSpatial->delta(), 1);
    EXPECT_EQ(ofSpatial->kernelWidth(), 7u);
    EXPECT_EQ(ofSpatial->kernelHeight(), 7u);
    const auto ofContrast = CNNLocalContrastNormalizationGradientNode::node(g, x, stateOf(contrast), 7, 6);
    EXPECT_EQ(ofContrast->alpha(), 0);
    EXPECT_EQ(ofContrast->beta(), 0.5f);
    EXPECT_EQ(ofContrast->delta(), 0x1p-10f);
    EXPECT_EQ(ofContrast->p0(), 1);
    EXPECT_EQ(ofContrast->pm(), 0);
    EXPECT_EQ(ofContrast->ps(), 1);
    EXPECT_EQ(ofContrast->kernelWidth(), 7u);
    EXPECT_EQ(ofContrast->kernelHeight(), 6u);
    EXPECT_EQ(CNNCrossChannelNormalizationGradientNode::node(g, x, stateOf(channels), 7)->kernelSize(), 7u);
}

TEST(NodesNormalizationForms, WithoutASizeTheWindowIsFiveWide) {
    Random random(44);
    const Extents extents{1, 7, 6, 8};
    const auto x = uniform(random, extents.count());
    const auto device = testDevice();
    const auto of = [&](const Filter& node) { return run(device, node->resultImage(), extents, x); };
    EXPECT_EQ(CNNSpatialNormalizationNode::node(image())->kernelWidth(), 5u);
    EXPECT_EQ(CNNLocalContrastNormalizationNode::node(image())->kernelHeight(), 5u);
    EXPECT_EQ(CNNCrossChannelNormalizationNode::node(image())->kernelSizeInFeatureChannels(), 5u);
    EXPECT_EQ(of(CNNSpatialNormalizationNode::node(image())),
              of(std::make_shared<CNNSpatialNormalizationNode>(image(), 5)));
    EXPECT_EQ(of(CNNLocalContrastNormalizationNode::node(image())),
              of(std::make_shared<CNNLocalContrastNormalizationNode>(image(), 5)));
    EXPECT_EQ(of(CNNCrossChannelNormalizationNode::node(image())),
              of(std::make_shared<CNNCrossChannelNormalizationNode>(image(), 5)));
    EXPECT_NE(of(CNNSpatialNormalizationNode::node(image())),
              of(CNNSpatialNormalizationNode::node(image(), 3)));
}

TEST(NodesNormalizationForms, SmallNumbersComeOutExactly) {
    for (const auto& device : MTL::copyAllDevices()) {
        // A sum of squares of 8 under every window, to the power of 1.
        const auto spatial = CNNSpatialNormalizationNode::node(image(), 4);
        setCommon(*spatial, 16, 1, 0);
        EXPECT_EQ(run(device, spatial->resultImage(), {1, 1, 2, 1}, {2, 2}), (Numbers{0.25, 0.25}));
        const auto channels = CNNCrossChannelNormalizationNode::node(image(), 4);
        setCommon(*channels, 4, 1, 0);
        EXPECT_EQ(run(device, channels->resultImage(), {1, 1, 1, 2}, {2, 2}), (Numbers{0.25, 0.25}));
        // Means 3, 6, 10, 9 taken away; the variance does not count.
        const auto contrast = CNNLocalContrastNormalizationNode::node(image(), 4);
        setCommon(*contrast, 0, 1, 1);
        contrast->setKernelHeight(1);
        contrast->setPm(1);
        contrast->setPs(2);
        EXPECT_EQ(run(device, contrast->resultImage(), {1, 1, 4, 1}, {4, 8, 12, 16}), (Numbers{3, 5, 5, 15}))
            << device->name();
        contrast->setP0(0);
        EXPECT_EQ(run(device, contrast->resultImage(), {1, 1, 4, 1}, {4, 8, 12, 16}),
                  (Numbers{9, 17, 25, 33}));
    }
}

TEST(NodesNormalizationForms, GradientFiltersCopyEveryParameter) {
    const auto spatial = CNNSpatialNormalizationNode::node(image(), 3);
    setCommon(*spatial, 2, 3, 4);
    spatial->setKernelWidth(6);
    spatial->setLabel("first");
    const auto a =
        std::dynamic_pointer_cast<CNNSpatialNormalizationGradientNode>(spatial->gradientFilter(image("g")));
    ASSERT_NE(a, nullptr);
    EXPECT_EQ((std::vector{a->alpha(), a->beta(), a->delta()}), (std::vector{2.f, 3.f, 4.f}));
    EXPECT_EQ(a->kernelWidth(), 6u);
    EXPECT_EQ(a->kernelHeight(), 3u);
    EXPECT_EQ(a->label(), "first");
    const auto contrast = CNNLocalContrastNormalizationNode::node(image(), 3);
    setMore(*contrast);
    contrast->setKernelHeight(2);
    const auto b = std::dynamic_pointer_cast<CNNLocalContrastNormalizationGradientNode>(
        contrast->gradientFilter(image("g")));
    ASSERT_NE(b, nullptr);
    EXPECT_EQ((std::vector{b->alpha(), b->beta(), b->delta(), b->p0(), b->pm(), b->ps()}),
              (std::vector{1.5f, 0.75f, 0.25f, 0.5f, 2.f, -3.f}));
    EXPECT_EQ(b->kernelWidth(), 3u);
    EXPECT_EQ(b->kernelHeight(), 2u);
    const auto c = std::dynamic_pointer_cast<CNNCrossChannelNormalizationGradientNode>(
        CNNCrossChannelNormalizationNode::node(image(), 9)->gradientFilter(image("g")));
    ASSERT_NE(c, nullptr);
    EXPECT_EQ(c->kernelSize(), 9u);
}

TEST(NodesNormalizationForms, TheGradientAcrossChannelsTakesItsParametersFromTheState) {
    Random random(45);
    const Extents extents{1, 2, 2, 6};
    const auto x = uniform(random, extents.count()), g = uniform(random, extents.count());
    for (const auto& device : MTL::copyAllDevices()) {
        const auto node = CNNCrossChannelNormalizationNode::node(image(), 3);
        const auto gradient = node->gradientFilter(image("g"));
        setCommon(*node, 2, 0.5f, 3);
        const auto pair = pairOf<CNNCrossChannelNormalization, CNNCrossChannelNormalizationGradient>(
            device, [](auto& to) { setCommon(to, 2, 0.5f, 3); }, 3);
        EXPECT_EQ(run(device, gradient->resultImage(), extents, x, g),
                  pair.run(extents, x, [&](std::size_t) { return g; }).dx)
            << device->name();
    }
}

TEST(NodesNormalizationForms, AnEncodeWhoseTwoFiltersDifferIsRefused) {
    const auto sentence = [](const Filter& gradient) {
        return sentenceOf([&] {
            run(testDevice(), gradient->resultImage(), {1, 2, 2, 2}, Numbers(8, 1), Numbers(8, 1));
        });
    };
    const auto contrast = CNNLocalContrastNormalizationNode::node(image(), 3);
    const auto byHand = CNNLocalContrastNormalizationGradientNode::node(image("g"), contrast->sources()[0],
                                                                        stateOf(contrast), 3, 3);
    byHand->setLabel("back");
    // The trap of a gradient node's own default.
    EXPECT_EQ(
        sentence(byHand),
        "CNNLocalContrastNormalizationGradient 'back': alpha: expected 1, as CNNLocalContrastNormalization "
        "had, found 0.");
    byHand->setAlpha(1);
    EXPECT_EQ(sentence(byHand), "");
    const auto spatial = CNNSpatialNormalizationNode::node(image(), 3);
    const auto gradient = spatial->gradientFilter(image("g"));
    spatial->setKernelWidth(5);
    EXPECT_THAT(sentence(gradient),
                HasSubstr("gradientState: expected a forward window of 3 x 3, found 5 x 3"));
    const auto channels = CNNCrossChannelNormalizationNode::node(image(), 3);
    EXPECT_THAT(sentence(CNNCrossChannelNormalizationGradientNode::node(image("g"), channels->sources()[0],
                                                                        stateOf(channels), 5)),
                HasSubstr("kernelSize: expected 3"));
    // A state of another family.
    EXPECT_THAT(sentence(CNNCrossChannelNormalizationGradientNode::node(image("g"), spatial->sources()[0],
                                                                        stateOf(spatial), 3)),
                HasSubstr("CNNCrossChannelNormalizationGradient: gradientState"));
}

TEST(NodesNormalizationForms, ImpossibleParametersAreRefusedByName) {
    const auto x = image();
    const auto spatial = CNNSpatialNormalizationNode::node(x);
    spatial->setLabel("first");
    const auto state = stateOf(spatial);
    const std::string one = ": expected at least 1, found 0.";
    EXPECT_EQ(sentenceOf([&] { CNNSpatialNormalizationNode::node(x, 0); }),
              "CNNSpatialNormalizationNode: kernelSize" + one);
    EXPECT_EQ(sentenceOf([&] { CNNLocalContrastNormalizationNode::node(x, 0); }),
              "CNNLocalContrastNormalizationNode: kernelSize" + one);
    EXPECT_EQ(sentenceOf([&] { CNNCrossChannelNormalizationNode::node(x, 0); }),
              "CNNCrossChannelNormalizationNode: kernelSize" + one);
    EXPECT_EQ(sentenceOf([&] { CNNSpatialNormalizationGradientNode::node(x, x, state, 0); }),
              "CNNSpatialNormalizationGradientNode: kernelSize" + one);
    EXPECT_EQ(sentenceOf([&] { CNNLocalContrastNormalizationGradientNode::node(x, x, state, 3, 0); }),
              "CNNLocalContrastNormalizationGradientNode: kernelHeight" + one);
    EXPECT_EQ(sentenceOf([&] { CNNCrossChannelNormalizationGradientNode::node(x, x, state, 0); }),
              "CNNCrossChannelNormalizationGradientNode: kernelSize" + one);
    EXPECT_EQ(sentenceOf([&] { spatial->setKernelWidth(0); }),
              "CNNSpatialNormalizationNode 'first': kernelWidth" + one);
    EXPECT_EQ(sentenceOf([&] { spatial->setKernelHeight(0); }),
              "CNNSpatialNormalizationNode 'first': kernelHeight" + one);
    EXPECT_EQ(sentenceOf([&] { CNNLocalContrastNormalizationNode::node(x)->setKernelWidth(0); }),
              "CNNLocalContrastNormalizationNode: kernelWidth" + one);
    EXPECT_EQ(
        sentenceOf([&] { CNNCrossChannelNormalizationNode::node(x)->setKernelSizeInFeatureChannels(0); }),
        "CNNCrossChannelNormalizationNode: kernelSizeInFeatureChannels" + one);
    EXPECT_EQ(sentenceOf([&] { spatial->setAlpha(-1); }),
              "CNNSpatialNormalizationNode 'first': alpha: expected at least 0, found -1.");
    EXPECT_EQ(spatial->alpha(), 1);
    EXPECT_THAT(sentenceOf([&] { CNNSpatialNormalizationGradientNode::node(x, x, state, 3)->setAlpha(-1); }),
                HasSubstr("alpha: expected at least 0"));
    EXPECT_THAT(
        sentenceOf([&] { CNNLocalContrastNormalizationGradientNode::node(x, x, state, 3, 3)->setAlpha(-1); }),
        HasSubstr("alpha: expected at least 0"));
    EXPECT_EQ(sentenceOf([&] { CNNSpatialNormalizationNode::node(nullptr); }),
              "CNNSpatialNormalizationNode: source: expected an image node, found null.");
    EXPECT_EQ(sentenceOf([&] { CNNSpatialNormalizationGradientNode::node(x, x, nullptr, 3); }),
              "CNNSpatialNormalizationGradientNode: gradientState: expected a state node, found null.");
}
