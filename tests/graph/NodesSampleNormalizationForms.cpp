#include "NodesSampleNormalization.h"

/// How nodes of instance and group normalisation are made, what their gradient nodes take over, and what they
/// refuse.
using namespace pewter::test;
using namespace pewter::test::sample;

namespace {

using ImageNode = std::shared_ptr<MPS::NNImageNode>;

template <class Case>
class NodesSampleNormalizationForms : public testing::Test {};
TYPED_TEST_SUITE(NodesSampleNormalizationForms, SampleNormalizations, CaseNames);

ImageNode image() { return MPS::NNImageNode::node(); }

template <class Case>
std::shared_ptr<MPS::NNGradientStateNode> stateOf(const std::shared_ptr<typename Case::Node>& node) {
    return std::dynamic_pointer_cast<MPS::NNGradientStateNode>(node->resultState());
}

}  // namespace

TYPED_TEST(NodesSampleNormalizationForms, StartOnTheDeviceWithTheirDataSource) {
    const auto source = Descent<TypeParam>::one(testDevice());
    const auto input = image();
    input->setFormat(Format::Float32);
    const auto node = TypeParam::Node::node(input, source);
    EXPECT_EQ(node->dataSource(), source);
    EXPECT_EQ(node->sources(), MPS::NNImageNodes{input});
    EXPECT_EQ(node->trainingStyle(), kGPU);
    EXPECT_EQ(node->paddingPolicy()->paddingMethod(), MPS::NNPaddingMethodSizeSame);
    EXPECT_EQ(node->resultImage()->format(), Format::Float32);
    EXPECT_EQ(node->label(), "");
    ASSERT_EQ(node->resultStates().size(), 1u);
    EXPECT_NE(stateOf<TypeParam>(node), nullptr);
    EXPECT_EQ(node->className(), std::string(TypeParam::kNode));
    EXPECT_EQ(std::make_shared<typename TypeParam::Node>(input, source)->dataSource(), source);
}

TYPED_TEST(NodesSampleNormalizationForms, AGradientNodeTakesOverStyleLabelStateAndSource) {
    const auto input = image(), gradient = image();
    const auto node = TypeParam::Node::node(input, Descent<TypeParam>::one(testDevice()));
    node->setTrainingStyle(kCPU);
    node->setLabel("first");
    const auto made =
        std::dynamic_pointer_cast<typename TypeParam::GradientNode>(node->gradientFilter(gradient));
    ASSERT_NE(made, nullptr);
    EXPECT_EQ(made->trainingStyle(), kCPU);
    EXPECT_EQ(made->label(), "first");
    EXPECT_EQ(made->sources(), (MPS::NNImageNodes{gradient, input}));
    EXPECT_EQ(made->sourceStates(), MPS::NNStateNodes{node->resultState()});
    // Copied when it is made, its own afterwards.
    node->setTrainingStyle(kNone);
    EXPECT_EQ(made->trainingStyle(), kCPU);
    EXPECT_EQ(TypeParam::GradientNode::node(gradient, input, stateOf<TypeParam>(node))->trainingStyle(),
              kGPU);
}

TYPED_TEST(NodesSampleNormalizationForms, AGradientNodeMadeByHandEqualsThatOfItsForwardNode) {
    Random random(35);
    const Extents extents{2, 3, 2, 4};
    const auto x = uniform(random, extents.count()), g = uniform(random, extents.count());
    for (const auto& device : MTL::copyAllDevices()) {
        const auto run = [&](int form) {
            const auto source =
                std::make_shared<Descent<TypeParam>>(device, Numbers{1, 2, 3, 4}, Numbers(4), 2);
            const auto input = MPS::NNImageNode::node(label("x")), start = MPS::NNImageNode::node(label("g"));
            const auto node = TypeParam::Node::node(input, source);
            std::shared_ptr<MPS::NNFilterNode> gradient;
            if (form == 0) gradient = node->gradientFilter(start);
            if (form == 1) gradient = node->gradientFilter(MPS::NNImageNodes{start});
            if (form == 2) gradient = node->gradientFilters(start).at(0);
            if (form == 3) gradient = TypeParam::GradientNode::node(start, input, stateOf<TypeParam>(node));
            if (form == 4)
                gradient = std::make_shared<typename TypeParam::GradientNode>(start, input,
                                                                              stateOf<TypeParam>(node));
            MPS::NNGraph graph(device, gradient->resultImage());
            graph.setFormat(Format::Float32);
            Numbers both;
            for (int i = 0; i < 2; ++i) {
                std::vector<MPS::ImageBatch> sources;
                for (const auto& handle : graph.sourceImageHandles())
                    sources.push_back(imagesOf(device, extents, handle->label() == "x" ? x : g));
                const auto commands = device->newCommandQueue()->commandBuffer();
                const auto result = graph.encodeBatch(commands, sources);
                finish(commands);
                const auto values = read(result);
                both.insert(both.end(), values.begin(), values.end());
            }
            return both;
        };
        const auto expected = run(0);
        EXPECT_NE(Numbers(expected.begin(), expected.begin() + 48),
                  Numbers(expected.begin() + 48, expected.end()))
            << "the second step comes after an update";
        for (int form = 1; form < 5; ++form) EXPECT_EQ(run(form), expected) << device->name() << form;
    }
}

TYPED_TEST(NodesSampleNormalizationForms, AKernelIsCalledByItsNodesLabelElseByItsDataSources) {
    for (const bool labelled : {false, true}) {
        const auto source = std::make_shared<Descent<TypeParam>>(testDevice(), Numbers{1, 2}, Numbers(2));
        const auto node = TypeParam::Node::node(image(), source);
        if (labelled) node->setLabel("first");
        MPS::NNGraph graph(testDevice(), node->trainingGraph(image()).at(0)->resultImage());
        const auto report =
            graph.memoryReport(std::vector<MPS::ImageBatch>(2, imagesOf(testDevice(), {1, 2, 2, 2}, Numbers(8))));
        ASSERT_EQ(report.steps.size(), 2u);
        const std::string own = labelled ? "first" : "norm";
        EXPECT_EQ(report.steps[0].label, report.steps[0].className + " '" + own + "'");
        EXPECT_EQ(report.steps[1].label, report.steps[1].className + " '" + own + "'");
        EXPECT_TRUE(report.steps[1].updatesWeights);
    }
}

TYPED_TEST(NodesSampleNormalizationForms, WhatCannotBeIsRefusedByName) {
    const auto source = Descent<TypeParam>::one(testDevice());
    const std::string node = TypeParam::kNode,
                      gradientNode = node.substr(0, node.size() - 4) + "GradientNode";
    EXPECT_EQ(sentenceOf([&] { TypeParam::Node::node(nullptr, source); }),
              node + ": source: expected an image node, found null.");
    EXPECT_EQ(sentenceOf([&] { TypeParam::Node::node(image(), nullptr); }),
              node + ": dataSource: expected a data source, found null.");
    EXPECT_EQ(sentenceOf([&] { TypeParam::GradientNode::node(image(), image(), nullptr); }),
              gradientNode + ": gradientState: expected a state node, found null.");
    EXPECT_THAT(
        sentenceOf([&] {
            TypeParam::Node::node(image(), source)->setTrainingStyle(static_cast<MPS::NNTrainingStyle>(3));
        }),
        HasSubstr("trainingStyle"));
    // A state of another family.
    using Other = std::conditional_t<std::is_same_v<TypeParam, InstanceNodes>, GroupNodes, InstanceNodes>;
    const auto other = Other::Node::node(image(), Descent<Other>::one(testDevice()));
    const auto gradient = TypeParam::GradientNode::node(image(), other->sources()[0], stateOf<Other>(other));
    gradient->setLabel("back");
    EXPECT_THAT(sentenceOf([&] { MPS::NNGraph(testDevice(), gradient->resultImage()); }),
                testing::AllOf(HasSubstr(gradientNode + " 'back': gradientState: expected a state that a"),
                               HasSubstr("normalisation of this graph makes, found another one.")));
    // The kernel's own rules, with the label of the data source.
    MPS::NNGraph graph(testDevice(), TypeParam::Node::node(image(), source)->resultImage());
    const auto commands = testDevice()->newCommandQueue()->commandBuffer();
    EXPECT_THAT(sentenceOf([&] {
                    graph.encodeBatch(commands, {imagesOf(testDevice(), {1, 1, 1, 2}, Numbers(2))});
                }),
                testing::AllOf(HasSubstr("'norm': sourceImage: expected 1 feature channels, found 2")));
}
