#include <MPS/NNReductionNode.hpp>

#include "NodesRun.h"

using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::HasSubstr;

namespace {

using Make = std::function<std::shared_ptr<NNUnaryReductionNode>(const ImageNode&)>;

template <class Node>
Make make() {
    return [](const ImageNode& source) { return Node::node(source); };
}

struct Case {
    const char* name;
    Make make;
    Pictures whole, clipped;
};

/// Two pictures of 3 x 2 pixels with 2 channels; the second is the negative of the first.
Pictures source() {
    Pictures p{3, 2, 2, {1, 8, 5, 3, 9, 4, /**/ 2, 7, 6, 10, 0, 12}};
    for (std::size_t i = 0; i < 12; ++i) p.values.push_back(-p.values[i]);
    return p;
}

/// The two right columns.
MTL::Region right() { return {{1, 0, 0}, {2, 9, 1}}; }

std::vector<Case> cases() {
    return {
        {"RowMin",
         make<NNReductionRowMinNode>(),
         {1, 2, 2, {1, 3, 0, 7, -9, -8, -6, -12}},
         {1, 2, 2, {5, 3, 0, 10, -9, -4, -6, -12}}},
        {"RowMax",
         make<NNReductionRowMaxNode>(),
         {1, 2, 2, {9, 8, 6, 12, -1, -3, 0, -7}},
         {1, 2, 2, {9, 4, 6, 12, -5, -3, 0, -10}}},
        {"RowSum",
         make<NNReductionRowSumNode>(),
         {1, 2, 2, {15, 15, 8, 29, -15, -15, -8, -29}},
         {1, 2, 2, {14, 7, 6, 22, -14, -7, -6, -22}}},
        {"RowMean",
         make<NNReductionRowMeanNode>(),
         {1, 2, 2, {5, 5, 8.0F / 3, 29.0F / 3, -5, -5, -8.0F / 3, -29.0F / 3}},
         {1, 2, 2, {7, 3.5, 3, 11, -7, -3.5, -3, -11}}},
        {"ColumnMin",
         make<NNReductionColumnMinNode>(),
         {3, 1, 2, {1, 7, 5, 3, 0, 4, -2, -8, -6, -10, -9, -12}},
         {2, 1, 2, {5, 3, 0, 4, -6, -10, -9, -12}}},
        {"ColumnMax",
         make<NNReductionColumnMaxNode>(),
         {3, 1, 2, {2, 8, 6, 10, 9, 12, -1, -7, -5, -3, 0, -4}},
         {2, 1, 2, {6, 10, 9, 12, -5, -3, 0, -4}}},
        {"ColumnSum",
         make<NNReductionColumnSumNode>(),
         {3, 1, 2, {3, 15, 11, 13, 9, 16, -3, -15, -11, -13, -9, -16}},
         {2, 1, 2, {11, 13, 9, 16, -11, -13, -9, -16}}},
        {"ColumnMean",
         make<NNReductionColumnMeanNode>(),
         {3, 1, 2, {1.5, 7.5, 5.5, 6.5, 4.5, 8, -1.5, -7.5, -5.5, -6.5, -4.5, -8}},
         {2, 1, 2, {5.5, 6.5, 4.5, 8, -5.5, -6.5, -4.5, -8}}},
        {"ChannelsMin",
         make<NNReductionFeatureChannelsMinNode>(),
         {3, 2, 1, {1, 3, 4, 2, 6, 0, -8, -5, -9, -7, -10, -12}},
         {2, 2, 1, {3, 4, 6, 0, -5, -9, -10, -12}}},
        {"ChannelsMax",
         make<NNReductionFeatureChannelsMaxNode>(),
         {3, 2, 1, {8, 5, 9, 7, 10, 12, -1, -3, -4, -2, -6, 0}},
         {2, 2, 1, {5, 9, 10, 12, -3, -4, -6, 0}}},
        {"ChannelsSum",
         make<NNReductionFeatureChannelsSumNode>(),
         {3, 2, 1, {9, 8, 13, 9, 16, 12, -9, -8, -13, -9, -16, -12}},
         {2, 2, 1, {8, 13, 16, 12, -8, -13, -16, -12}}},
        {"ChannelsMean",
         make<NNReductionFeatureChannelsMeanNode>(),
         {3, 2, 1, {4.5, 4, 6.5, 4.5, 8, 6, -4.5, -4, -6.5, -4.5, -8, -6}},
         {2, 2, 1, {4, 6.5, 8, 6, -4, -6.5, -8, -6}}},
        {"ChannelsArgumentMin",
         make<NNReductionFeatureChannelsArgumentMinNode>(),
         {3, 2, 1, {0, 1, 1, 0, 0, 0, 1, 0, 0, 1, 1, 1}},
         {2, 2, 1, {1, 1, 0, 0, 0, 0, 1, 1}}},
        {"ChannelsArgumentMax",
         make<NNReductionFeatureChannelsArgumentMaxNode>(),
         {3, 2, 1, {1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0}},
         {2, 2, 1, {0, 0, 1, 1, 1, 1, 0, 0}}},
        {"SpatialMean",
         make<NNReductionSpatialMeanNode>(),
         {1, 1, 2, {23.0F / 6, 44.0F / 6, -23.0F / 6, -44.0F / 6}},
         {1, 1, 2, {5, 7.25, -5, -7.25}}},
    };
}

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

class NodesReduction : public testing::TestWithParam<Case> {};

ImageNode spatialMean(const ImageNode& source, const MTL::Region& region) {
    const auto node = NNReductionSpatialMeanNode::node(source);
    node->setClipRectSource(region);
    return node->resultImage();
}

}  // namespace

TEST_P(NodesReduction, CollapsesTheImageOrItsRegionOnEveryDevice) {
    const Case& c = GetParam();
    for (const auto& device : graphDevices()) {
        const auto node = c.make(inputNamed("x"));
        EXPECT_EQ(node->clipRectSource(), RectNoClip);
        EXPECT_EQ(resultOf(device, node->resultImage(), {{"x", source()}}), c.whole) << device->name();
        node->setClipRectSource(right());
        EXPECT_EQ(node->clipRectSource(), right());
        EXPECT_EQ(resultOf(device, node->resultImage(), {{"x", source()}}), c.clipped) << device->name();
    }
}

TEST_P(NodesReduction, OnlyTheSpatialMeanHasAGradientAndAState) {
    const Case& c = GetParam();
    const auto node = c.make(inputNamed("x"));
    if (std::dynamic_pointer_cast<NNReductionSpatialMeanNode>(node)) {
        ASSERT_EQ(node->resultStates().size(), 1u);
        EXPECT_NE(std::dynamic_pointer_cast<NNReductionSpatialMeanGradientNode>(
                      node->gradientFilter(inputNamed("g"))),
                  nullptr);
        return;
    }
    EXPECT_EQ(node->resultState(), nullptr);
    node->setLabel("reduced");
    EXPECT_THAT(messageOf([&] { node->gradientFilter(inputNamed("g")); }),
                AllOf(HasSubstr(node->className()), HasSubstr("'reduced'"), HasSubstr("stopGradient")));
}

TEST_P(NodesReduction, AMissingSourceIsNamed) {
    EXPECT_THAT(messageOf([&] { GetParam().make(nullptr); }),
                AllOf(HasSubstr("NNReduction"), HasSubstr("source"), HasSubstr("null")));
}

INSTANTIATE_TEST_SUITE_P(All, NodesReduction, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

TEST(NodesReductions, TheSumOfChannelsHasAFactor) {
    for (const auto& device : graphDevices()) {
        const auto node = NNReductionFeatureChannelsSumNode::node(inputNamed("x"));
        EXPECT_EQ(node->weight(), 1);
        node->setWeight(0.5F);
        EXPECT_EQ(node->weight(), 0.5F);
        EXPECT_EQ(resultOf(device, node->resultImage(), {{"x", {2, 1, 2, {1, 2, 3, 5}}}}),
                  (Pictures{2, 1, 1, {1.5, 4}}))
            << device->name();
    }
}

TEST(NodesReductions, TheGradientOfASpatialMeanIsSpreadOverItsRegionAndZeroOutside) {
    const auto whole = [](const auto& in) { return spatialMean(in.at("x"), RectNoClip); };
    const auto clipped = [](const auto& in) { return spatialMean(in.at("x"), right()); };
    for (const auto& device : graphDevices()) {
        const Pictures g{1, 1, 2, {12, 6, 24, -12}};
        EXPECT_EQ(gradientsOf(device, whole, {{"x", source()}}, g).at("x"),
                  (Pictures{3, 2, 2, {2,      1,  2, 1,  2, 1,  2, 1,  2, 1,  2, 1,
                                      /**/ 4, -2, 4, -2, 4, -2, 4, -2, 4, -2, 4, -2}}))
            << device->name();
        EXPECT_EQ(gradientsOf(device, clipped, {{"x", source()}}, g).at("x"),
                  (Pictures{3, 2, 2, {0,      0, 3, 1.5, 3, 1.5, 0, 0, 3, 1.5, 3, 1.5,
                                      /**/ 0, 0, 6, -3,  6, -3,  0, 0, 6, -3,  6, -3}}))
            << device->name();
    }
}

TEST(NodesReductions, TheGradientOfASpatialMeanIsTheCentralDifference) {
    const NamedPictures inputs{{"x", waves(5, 4, 3, 2)}};
    expectDerivative([](const auto& in) { return spatialMean(in.at("x"), RectNoClip); }, inputs);
    expectDerivative([](const auto& in) { return spatialMean(in.at("x"), {{1, 2, 0}, {3, 1, 1}}); }, inputs);
    // In a net, with the mean's source used twice.
    expectDerivative(
        [](const auto& in) {
            const auto x = CNNNeuronTanHNode::node(in.at("x"))->resultImage();
            const auto scaled = NNMultiplicationNode::node(x, spatialMean(x, right()));
            scaled->setSecondaryStrideInPixelsX(0);
            scaled->setSecondaryStrideInPixelsY(0);
            return scaled->resultImage();
        },
        inputs);
}

TEST(NodesReductions, ASpatialMeanGradientMadeByHandEqualsThatOfItsForwardNode) {
    for (const auto& device : graphDevices()) {
        const auto results = [&](bool byHand) {
            const auto x = inputNamed("x"), g = inputNamed("g");
            const auto forward = NNReductionSpatialMeanNode::node(x);
            forward->setClipRectSource(right());
            const auto state = std::static_pointer_cast<NNGradientStateNode>(forward->resultState());
            const Filter gradient = byHand ? Filter(NNReductionSpatialMeanGradientNode::node(g, x, state))
                                           : forward->gradientFilter(g);
            EXPECT_EQ(gradient->sources(), (NNImageNodes{g, x}));
            EXPECT_EQ(gradient->sourceStates(), NNStateNodes{state});
            return resultOf(device, gradient->resultImage(), {{"x", source()}, {"g", waves(1, 1, 2, 2)}});
        };
        EXPECT_EQ(results(true), results(false)) << device->name();
    }
    const ImageNode some = inputNamed("x"), none;
    EXPECT_THAT(messageOf([&] { NNReductionSpatialMeanGradientNode::node(some, some, nullptr); }),
                AllOf(HasSubstr("NNReductionSpatialMeanGradientNode"), HasSubstr("gradientState")));
}

TEST(NodesReductions, ARegionOutsideTheImageIsRefusedByTheKernelsName) {
    const auto node = NNReductionSpatialMeanNode::node(inputNamed("x"));
    node->setLabel("pool");
    node->setClipRectSource({{3, 0, 0}, {1, 1, 1}});
    EXPECT_THAT(messageOf([&] {
                    resultOf(MTL::copyDevice("reference"), node->resultImage(), {{"x", source()}});
                }),
                AllOf(HasSubstr("pool"), HasSubstr("clipRectSource"), HasSubstr("3 x 2")));
}

TEST(NodesReductions, AGradientOfAnotherSizeIsRefused) {
    EXPECT_THAT(messageOf([&] {
                    gradientsOf(
                        MTL::copyDevice("reference"),
                        [](const auto& in) { return spatialMean(in.at("x"), RectNoClip); }, {{"x", source()}},
                        waves(1, 1, 1, 2));
                }),
                AllOf(HasSubstr("NNReduceSpatialMeanGradient"), HasSubstr("2 feature channels")));
}
