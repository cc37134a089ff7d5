#include <MPS/NNPadNode.hpp>
#include <MPS/NNReshapeNode.hpp>

#include "NodesRun.h"

/// Nodes that move elements: reshape and pad.
using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::HasSubstr;

namespace {

ImageNode reshaped(const ImageNode& x, std::size_t width, std::size_t height, std::size_t channels) {
    return NNReshapeNode::node(x, width, height, channels)->resultImage();
}

ImageNode padded(const ImageNode& x, ImageEdgeMode mode, float fill = 0) {
    const auto node = NNPadNode::node(x, {1, 0, 1}, {2, 1, 0}, mode);
    node->setFillValue(fill);
    return node->resultImage();
}

std::shared_ptr<NNGradientStateNode> stateOf(const Filter& forward) {
    return std::static_pointer_cast<NNGradientStateNode>(forward->resultState());
}

}  // namespace

TEST(NodesReshape, KeepsTheElementsInTheirOrderOnEveryDevice) {
    for (const auto& device : graphDevices()) {
        const auto values = counted(3, 2, 4, 2).values;
        EXPECT_EQ(resultOf(device, reshaped(inputNamed("x"), 4, 1, 6), {{"x", {3, 2, 4, values}}}),
                  (Pictures{4, 1, 6, values}))
            << device->name();
        EXPECT_EQ(resultOf(device, reshaped(inputNamed("x"), 1, 8, 3), {{"x", {3, 2, 4, values}}}),
                  (Pictures{1, 8, 3, values}))
            << device->name();
    }
}

TEST(NodesReshape, TheGradientHasTheShapeOfTheSource) {
    for (const auto& device : graphDevices())
        EXPECT_EQ(gradientsOf(
                      device, [](const auto& in) { return reshaped(in.at("x"), 1, 8, 3); },
                      {{"x", waves(3, 2, 4, 2)}}, counted(1, 8, 3, 2))
                      .at("x"),
                  counted(3, 2, 4, 2))
            << device->name();
    expectDerivative(
        [](const auto& in) {
            const auto x = CNNNeuronTanHNode::node(in.at("x"))->resultImage();
            return NNMultiplicationNode::node(reshaped(x, 2, 2, 3), reshaped(x, 2, 2, 3))->resultImage();
        },
        {{"x", waves(3, 4, 1, 2)}});
}

TEST(NodesReshape, AGradientMadeByHandEqualsThatOfItsForwardNode) {
    for (const auto& device : graphDevices())
        for (const bool byHand : {false, true}) {
            const auto x = inputNamed("x"), g = inputNamed("g");
            const auto forward = NNReshapeNode::node(x, 1, 1, 6);
            const Filter gradient = byHand ? Filter(NNReshapeGradientNode::node(g, x, stateOf(forward)))
                                           : Filter(forward->gradientFilter(g));
            EXPECT_NE(std::dynamic_pointer_cast<NNReshapeGradientNode>(gradient), nullptr);
            EXPECT_EQ(gradient->sources(), (NNImageNodes{g, x}));
            EXPECT_EQ(
                resultOf(device, gradient->resultImage(), {{"x", waves(3, 2, 1)}, {"g", counted(1, 1, 6)}}),
                counted(3, 2, 1));
        }
}

TEST(NodesReshape, ShapesThatDoNotFitAreRefusedByName) {
    const auto node = NNReshapeNode::node(inputNamed("x"), 2, 3, 4);
    EXPECT_EQ(node->resultWidth(), 2u);
    EXPECT_EQ(node->resultHeight(), 3u);
    EXPECT_EQ(node->resultFeatureChannels(), 4u);
    node->setLabel("flatten");
    EXPECT_THAT(messageOf([&] {
                    resultOf(MTL::copyDevice("reference"), node->resultImage(), {{"x", waves(3, 3, 3)}});
                }),
                AllOf(HasSubstr("flatten"), HasSubstr("27 elements"), HasSubstr("2 x 3 of 4")));
    EXPECT_THAT(messageOf([&] { NNReshapeNode::node(inputNamed("x"), 2, 0, 4); }),
                AllOf(HasSubstr("NNReshapeNode"), HasSubstr("resultHeight")));
    EXPECT_THAT(messageOf([&] { NNReshapeNode::node(nullptr, 2, 1, 4); }), HasSubstr("source"));
}

TEST(NodesPad, AddsPixelsAndChannelsByItsEdgeModeOnEveryDevice) {
    // 2 x 1 pixels of 2 channels: one column before, two after, one row below, one channel below.
    const NamedPictures inputs{{"x", {2, 1, 2, {1, 2, 3, 4}}}};
    const auto twice = [](Numbers row) {
        const auto copy = row;
        row.insert(row.end(), copy.begin(), copy.end());
        return Pictures{5, 2, 3, row};
    };
    const Numbers bottom(15, 0), filled(15, 7);
    for (const auto& device : graphDevices()) {
        const auto of = [&](ImageEdgeMode mode) {
            return resultOf(device, padded(inputNamed("x"), mode, 7), inputs);
        };
        Numbers zero{0, 0, 0, 0, 1, 2, 0, 3, 4, 0, 0, 0, 0, 0, 0};
        zero.insert(zero.end(), bottom.begin(), bottom.end());
        EXPECT_EQ(of(ImageEdgeMode::Zero), (Pictures{5, 2, 3, zero})) << device->name();
        Numbers constant{7, 7, 7, 7, 1, 2, 7, 3, 4, 7, 7, 7, 7, 7, 7};
        constant.insert(constant.end(), filled.begin(), filled.end());
        EXPECT_EQ(of(ImageEdgeMode::Constant), (Pictures{5, 2, 3, constant})) << device->name();
        EXPECT_EQ(of(ImageEdgeMode::Clamp), twice({1, 1, 2, 1, 1, 2, 3, 3, 4, 3, 3, 4, 3, 3, 4}))
            << device->name();
        EXPECT_EQ(of(ImageEdgeMode::Mirror), twice({4, 3, 4, 2, 1, 2, 4, 3, 4, 2, 1, 2, 4, 3, 4}))
            << device->name();
        EXPECT_EQ(of(ImageEdgeMode::MirrorWithEdge), twice({1, 1, 2, 1, 1, 2, 3, 3, 4, 3, 3, 4, 1, 1, 2}))
            << device->name();
    }
}

TEST(NodesPad, FillsWithZeroUnlessToldOtherwise) {
    const auto node = NNPadNode::node(inputNamed("x"), {1, 2, 3}, {4, 5, 6}, ImageEdgeMode::Constant);
    EXPECT_EQ(node->fillValue(), 0);
    EXPECT_EQ(node->paddingSizeBefore().channel, 3u);
    EXPECT_EQ(node->paddingSizeAfter().y, 5u);
    EXPECT_EQ(node->edgeMode(), ImageEdgeMode::Constant);
    const auto result = resultOf(MTL::copyDevice("reference"), node->resultImage(), {{"x", {1, 1, 1, {9}}}});
    EXPECT_EQ(result.width, 6u);
    EXPECT_EQ(result.height, 8u);
    EXPECT_EQ(result.channels, 10u);
    Numbers expected(480, 0);
    expected[(2 * 6 + 1) * 10 + 3] = 9;
    EXPECT_EQ(result.values, expected);
}

TEST(NodesPad, TheGradientSumsWhatWasCopiedFromAnElement) {
    for (const auto& device : graphDevices()) {
        const auto of = [&](ImageEdgeMode mode) {
            return gradientsOf(
                       device,
                       [=](const auto& in) {
                           return NNPadNode::node(in.at("x"), {1, 0, 0}, {2, 0, 0}, mode)->resultImage();
                       },
                       {{"x", {2, 1, 1, {5, 6}}}}, {5, 1, 1, {1, 10, 100, 1000, 10000}})
                .at("x");
        };
        EXPECT_EQ(of(ImageEdgeMode::Zero), (Pictures{2, 1, 1, {10, 100}})) << device->name();
        EXPECT_EQ(of(ImageEdgeMode::Constant), (Pictures{2, 1, 1, {10, 100}})) << device->name();
        EXPECT_EQ(of(ImageEdgeMode::Clamp), (Pictures{2, 1, 1, {11, 11100}})) << device->name();
        EXPECT_EQ(of(ImageEdgeMode::Mirror), (Pictures{2, 1, 1, {1010, 10101}})) << device->name();
        EXPECT_EQ(of(ImageEdgeMode::MirrorWithEdge), (Pictures{2, 1, 1, {10011, 1100}})) << device->name();
    }
}

TEST(NodesPad, GradientsAreCentralDifferences) {
    for (const auto mode : {ImageEdgeMode::Zero, ImageEdgeMode::Clamp, ImageEdgeMode::Mirror,
                            ImageEdgeMode::MirrorWithEdge, ImageEdgeMode::Constant})
        expectDerivative(
            [=](const auto& in) {
                const auto x = CNNNeuronTanHNode::node(in.at("x"))->resultImage();
                return CNNNeuronTanHNode::node(padded(x, mode, 0.5F))->resultImage();
            },
            {{"x", waves(3, 2, 2, 2)}});
}

TEST(NodesPad, AGradientMadeByHandEqualsThatOfItsForwardNode) {
    for (const auto& device : graphDevices()) {
        const auto run = [&](bool byHand) {
            const auto x = inputNamed("x"), g = inputNamed("g");
            const auto forward = NNPadNode::node(x, {1, 0, 0}, {0, 2, 0}, ImageEdgeMode::Mirror);
            const Filter gradient = byHand ? Filter(NNPadGradientNode::node(g, x, stateOf(forward)))
                                           : Filter(forward->gradientFilter(g));
            EXPECT_NE(std::dynamic_pointer_cast<NNPadGradientNode>(gradient), nullptr);
            return resultOf(device, gradient->resultImage(), {{"x", waves(3, 2, 1)}, {"g", waves(4, 4, 1)}});
        };
        EXPECT_EQ(run(true), run(false));
    }
}

TEST(NodesPad, ArgumentsAreRefusedByName) {
    EXPECT_THAT(messageOf([&] { NNPadNode::node(inputNamed("x"), {}, {}, static_cast<ImageEdgeMode>(5)); }),
                AllOf(HasSubstr("NNPadNode"), HasSubstr("edgeMode"), HasSubstr("5")));
    EXPECT_THAT(messageOf([&] { NNPadNode::node(nullptr, {}, {}, ImageEdgeMode::Zero); }),
                AllOf(HasSubstr("NNPadNode"), HasSubstr("source")));
    EXPECT_THAT(messageOf([&] { NNPadGradientNode::node(inputNamed("g"), inputNamed("x"), nullptr); }),
                AllOf(HasSubstr("NNPadGradientNode"), HasSubstr("gradientState")));
}
