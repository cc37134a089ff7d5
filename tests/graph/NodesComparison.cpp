#include <MPS/NNComparisonNode.hpp>
#include <limits>

#include "NodesRun.h"

/// Arithmetic without a gradient, and how the others name theirs.
using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::HasSubstr;

TEST(NodesComparison, EveryTypeGivesOneOrZeroOnEveryDevice) {
    const NamedPictures inputs{{"x", {3, 1, 1, {1, 2, 3, /**/ -1, 0, 5}}},
                               {"y", {3, 1, 1, {2, 2, 2, /**/ -1, 1, 4}}}};
    const std::vector<std::pair<NNComparisonType, Numbers>> expected{
        {NNComparisonType::Equal, {0, 1, 0, 1, 0, 0}},
        {NNComparisonType::NotEqual, {1, 0, 1, 0, 1, 1}},
        {NNComparisonType::Less, {1, 0, 0, 0, 1, 0}},
        {NNComparisonType::LessOrEqual, {1, 1, 0, 1, 1, 0}},
        {NNComparisonType::Greater, {0, 0, 1, 0, 0, 1}},
        {NNComparisonType::GreaterOrEqual, {0, 1, 1, 1, 0, 1}}};
    for (const auto& device : graphDevices())
        for (const auto& [type, values] : expected) {
            const auto node = NNComparisonNode::node(inputNamed("x"), inputNamed("y"));
            EXPECT_EQ(node->comparisonType(), NNComparisonType::Equal);
            node->setComparisonType(type);
            EXPECT_EQ(node->comparisonType(), type);
            EXPECT_EQ(resultOf(device, node->resultImage(), inputs), (Pictures{3, 1, 1, values}))
                << static_cast<int>(type) << " on " << device->name();
        }
}

TEST(NodesComparison, OperandsAreBroadcastAndScalesHaveNoSay) {
    for (const auto& device : graphDevices()) {
        const auto node = NNComparisonNode::node(NNImageNodes{inputNamed("x"), inputNamed("y")});
        node->setComparisonType(NNComparisonType::Greater);
        node->setSecondaryStrideInPixelsX(0);
        node->setSecondaryStrideInPixelsY(0);
        node->setPrimaryScale(-1);
        node->setBias(9);
        node->setMaximumValue(0.5F);
        EXPECT_EQ(resultOf(device, node->resultImage(), {{"x", counted(2, 2, 2)}, {"y", {1, 1, 2, {2, 5}}}}),
                  (Pictures{2, 2, 2, {0, 0, 1, 0, 1, 1, 1, 1}}))
            << device->name();
    }
}

TEST(NodesComparison, ArgumentsAreRefusedByName) {
    const auto x = inputNamed("x");
    const auto node = NNComparisonNode::node(x, x);
    node->setLabel("same");
    EXPECT_THAT(messageOf([&] { node->setComparisonType(static_cast<NNComparisonType>(6)); }),
                AllOf(HasSubstr("NNComparisonNode 'same'"), HasSubstr("comparisonType"), HasSubstr("6")));
    EXPECT_THAT(messageOf([&] {
                    NNComparisonNode::node({x, x, x});
                }),
                AllOf(HasSubstr("NNComparisonNode"), HasSubstr("two"), HasSubstr("found 3")));
    EXPECT_THAT(messageOf([&] { NNComparisonNode::node(x, nullptr); }), HasSubstr("rightSource"));
}

TEST(NodesArithmetic, EachNamesTheClassOfItsGradientFilters) {
    const auto x = inputNamed("x"), y = inputNamed("y"), g = inputNamed("g");
    const std::vector<std::shared_ptr<NNBinaryArithmeticNode>> nodes{
        NNAdditionNode::node(x, y), NNSubtractionNode::node(x, y), NNMultiplicationNode::node(x, y)};
    for (const auto& node : nodes)
        for (const auto& filter : node->gradientFilters(g))
            EXPECT_STREQ(filter->className(), node->gradientClass());
    EXPECT_STREQ(nodes[0]->gradientClass(), "NNAdditionGradientNode");
    EXPECT_EQ(NNDivisionNode::node(x, y)->gradientClass(), nullptr);
    EXPECT_EQ(NNComparisonNode::node(x, y)->gradientClass(), nullptr);
}

TEST(NodesArithmetic, DivisionAndComparisonHaveNeitherGradientNorState) {
    const auto x = inputNamed("x"), y = inputNamed("y"), g = inputNamed("g");
    for (const std::shared_ptr<NNBinaryArithmeticNode>& node :
         {std::shared_ptr<NNBinaryArithmeticNode>(NNDivisionNode::node(x, y)),
          std::shared_ptr<NNBinaryArithmeticNode>(NNComparisonNode::node(x, y))}) {
        node->setLabel("end");
        EXPECT_EQ(node->resultState(), nullptr);
        EXPECT_THAT(messageOf([&] { node->gradientFilters(g); }),
                    AllOf(HasSubstr(node->className()), HasSubstr("'end'"), HasSubstr("stopGradient")));
        EXPECT_THAT(messageOf([&] { node->trainingGraph(g); }), HasSubstr("stopGradient"));
    }
}

TEST(NodesArithmetic, QuotientsAreScaledShiftedAndCutOnEveryDevice) {
    for (const auto& device : graphDevices()) {
        const auto node = NNDivisionNode::node(inputNamed("x"), inputNamed("y"));
        node->setPrimaryScale(6);
        node->setSecondaryScale(2);
        node->setBias(1);
        node->setMinimumValue(-5);
        node->setMaximumValue(9);
        EXPECT_EQ(resultOf(device, node->resultImage(),
                           {{"x", {2, 1, 2, {1, 2, 4, -8}}}, {"y", {2, 1, 2, {1, -3, 0.5, 2}}}}),
                  (Pictures{2, 1, 2, {4, -1, 9, -5}}))
            << device->name();
    }
}
