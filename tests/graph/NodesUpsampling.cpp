#include <MPS/CNNUpsamplingNode.hpp>

#include "NodesRun.h"

using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::HasSubstr;

namespace {

/// Two pictures of 2 x 2 pixels with one channel.
Pictures source() { return {2, 2, 1, {0, 4, 8, 16, /**/ 2, 2, 6, 10}}; }

ImageNode nearest(const ImageNode& x, std::size_t sx, std::size_t sy) {
    return CNNUpsamplingNearestNode::node(x, sx, sy)->resultImage();
}

ImageNode bilinear(const ImageNode& x, std::size_t sx, std::size_t sy, bool align) {
    return CNNUpsamplingBilinearNode::node(x, sx, sy, align)->resultImage();
}

}  // namespace

TEST(NodesUpsampling, NearestRepeatsPixelsOnEveryDevice) {
    for (const auto& device : graphDevices())
        EXPECT_EQ(resultOf(device, nearest(inputNamed("x"), 3, 2), {{"x", source()}}),
                  (Pictures{6, 4, 1, {0,  0,  0, 4, 4, 4,  0,  0,  0,  4,  4, 4, 8, 8,  8,  16,
                                      16, 16, 8, 8, 8, 16, 16, 16, 2,  2,  2, 2, 2, 2,  2,  2,
                                      2,  2,  2, 2, 6, 6,  6,  10, 10, 10, 6, 6, 6, 10, 10, 10}}))
            << device->name();
}

TEST(NodesUpsampling, BilinearStartsAtTheFirstCentreOrAlignsTheCorners) {
    for (const auto& device : graphDevices()) {
        const Pictures row{2, 1, 2, {0, 12, 6, 24}};
        // Without a flag, and with one that says the same.
        const Pictures plain{4, 1, 2, {0, 12, 3, 18, 6, 24, 6, 24}};
        EXPECT_EQ(resultOf(device, CNNUpsamplingBilinearNode::node(inputNamed("x"), 2, 1)->resultImage(),
                           {{"x", row}}),
                  plain)
            << device->name();
        EXPECT_EQ(resultOf(device, bilinear(inputNamed("x"), 2, 1, false), {{"x", row}}), plain);
        EXPECT_EQ(resultOf(device, bilinear(inputNamed("x"), 2, 1, true), {{"x", row}}),
                  (Pictures{4, 1, 2, {0, 12, 2, 16, 4, 20, 6, 24}}))
            << device->name();
    }
}

TEST(NodesUpsampling, ThePaddingPolicyHasNoSay) {
    const auto node = CNNUpsamplingNearestNode::node(inputNamed("x"), 2, 1);
    node->setPaddingPolicy(NNDefaultPadding::padding(NNPaddingMethodSizeFull));
    const auto result = resultOf(MTL::copyDevice("reference"), node->resultImage(), {{"x", source()}});
    EXPECT_EQ(result.width, 4u);
    EXPECT_EQ(result.height, 2u);
}

TEST(NodesUpsampling, TheGradientOfNearestSumsItsBlocks) {
    for (const auto& device : graphDevices())
        EXPECT_EQ(gradientsOf(
                      device, [](const auto& in) { return nearest(in.at("x"), 3, 2); },
                      {{"x", {1, 2, 1, {5, 6}}}}, counted(3, 4, 1))
                      .at("x"),
                  (Pictures{1, 2, 1, {21, 57}}))
            << device->name();
}

TEST(NodesUpsampling, TheGradientOfBilinearFollowsTheWeightsOfItsForwardPass) {
    for (const auto& device : graphDevices()) {
        const auto of = [&](bool align) {
            return gradientsOf(device, [=](const auto& in) { return bilinear(in.at("x"), 2, 1, align); },
                               {{"x", {2, 1, 1, {5, 6}}}}, {4, 1, 1, {6, 12, 18, 24}})
                .at("x");
        };
        EXPECT_EQ(of(false), (Pictures{2, 1, 1, {12, 48}})) << device->name();
        EXPECT_EQ(of(true), (Pictures{2, 1, 1, {20, 40}})) << device->name();
    }
}

TEST(NodesUpsampling, GradientsAreCentralDifferences) {
    const NamedPictures inputs{{"x", waves(3, 4, 2, 2)}};
    expectDerivative([](const auto& in) { return nearest(in.at("x"), 2, 3); }, inputs);
    for (const bool align : {false, true})
        expectDerivative([=](const auto& in) { return bilinear(in.at("x"), 3, 2, align); }, inputs);
    // In a net, with the source used twice.
    expectDerivative(
        [](const auto& in) {
            const auto x = CNNNeuronTanHNode::node(in.at("x"))->resultImage();
            return NNMultiplicationNode::node(nearest(x, 2, 2), bilinear(x, 2, 2, true))->resultImage();
        },
        inputs);
}

TEST(NodesUpsampling, GradientFiltersTakeTheFactorsOver) {
    const auto x = inputNamed("x"), g = inputNamed("g");
    const auto forward = CNNUpsamplingNearestNode::node(x, 3, 2);
    EXPECT_EQ(forward->scaleFactorX(), 3);
    EXPECT_EQ(forward->scaleFactorY(), 2);
    const auto filter =
        std::dynamic_pointer_cast<CNNUpsamplingNearestGradientNode>(forward->gradientFilter(g));
    ASSERT_NE(filter, nullptr);
    EXPECT_EQ(filter->scaleFactorX(), 3);
    EXPECT_EQ(filter->scaleFactorY(), 2);
    EXPECT_EQ(filter->sources(), (NNImageNodes{g, x}));
    EXPECT_EQ(filter->sourceStates(), NNStateNodes{forward->resultState()});
    const auto smooth = CNNUpsamplingBilinearNode::node(x, 4, 5, true);
    EXPECT_TRUE(smooth->alignCorners());
    EXPECT_EQ(smooth->scaleFactorX(), 4);
    EXPECT_EQ(smooth->scaleFactorY(), 5);
    EXPECT_FALSE(CNNUpsamplingBilinearNode::node(x, 4, 5)->alignCorners());
    const auto back = std::dynamic_pointer_cast<CNNUpsamplingBilinearGradientNode>(smooth->gradientFilter(g));
    ASSERT_NE(back, nullptr);
    EXPECT_EQ(back->scaleFactorX(), 4);
    EXPECT_EQ(back->scaleFactorY(), 5);
}

TEST(NodesUpsampling, GradientsMadeByHandEqualThoseOfTheirForwardNode) {
    for (const auto& device : graphDevices()) {
        const auto run = [&](const auto& forward, const auto& gradient) {
            const auto x = inputNamed("x"), g = inputNamed("g");
            return resultOf(device, gradient(forward(x), x, g)->resultImage(),
                            {{"x", source()}, {"g", waves(4, 6, 1, 2)}});
        };
        const auto stateOf = [](const Filter& f) {
            return std::static_pointer_cast<NNGradientStateNode>(f->resultState());
        };
        const auto own = [](const Filter& f, const ImageNode&, const ImageNode& g) {
            return f->gradientFilter(g);
        };
        const auto flat = [](const ImageNode& x) { return CNNUpsamplingNearestNode::node(x, 2, 3); };
        const auto smooth = [](const ImageNode& x) { return CNNUpsamplingBilinearNode::node(x, 2, 3, true); };
        EXPECT_EQ(run(flat, own), run(flat, [&](const Filter& f, const ImageNode& x, const ImageNode& g) {
                      return CNNUpsamplingNearestGradientNode::node(g, x, stateOf(f), 2, 3);
                  }));
        EXPECT_EQ(run(smooth, own), run(smooth, [&](const Filter& f, const ImageNode& x, const ImageNode& g) {
                      return CNNUpsamplingBilinearGradientNode::node(g, x, stateOf(f), 2, 3);
                  }));
        EXPECT_NE(run(flat, own), run(smooth, own));
    }
}

TEST(NodesUpsampling, ImpossibleFactorsAreRefusedByName) {
    const auto x = inputNamed("x");
    EXPECT_THAT(messageOf([&] { CNNUpsamplingNearestNode::node(x, 0, 1); }),
                AllOf(HasSubstr("CNNUpsamplingNearestNode"), HasSubstr("integerScaleFactorX")));
    EXPECT_THAT(messageOf([&] { CNNUpsamplingBilinearNode::node(x, 1, 0); }),
                AllOf(HasSubstr("CNNUpsamplingBilinearNode"), HasSubstr("integerScaleFactorY")));
    EXPECT_THAT(messageOf([&] { CNNUpsamplingNearestNode::node(nullptr, 1, 1); }), HasSubstr("source"));
    const auto state =
        std::static_pointer_cast<NNGradientStateNode>(CNNUpsamplingNearestNode::node(x, 2, 2)->resultState());
    EXPECT_THAT(
        messageOf([&] { CNNUpsamplingNearestGradientNode::node(x, x, state, 2, 1.5); }),
        AllOf(HasSubstr("CNNUpsamplingNearestGradientNode"), HasSubstr("scaleFactorY"), HasSubstr("1.5")));
    EXPECT_THAT(messageOf([&] { CNNUpsamplingBilinearGradientNode::node(x, x, state, 0, 1); }),
                HasSubstr("scaleFactorX"));
    // The factors of another forward filter.
    const auto filter = CNNUpsamplingNearestGradientNode::node(inputNamed("g"), x, state, 1, 2);
    filter->setLabel("up");
    EXPECT_THAT(messageOf([&] {
                    resultOf(MTL::copyDevice("reference"), filter->resultImage(),
                             {{"x", source()}, {"g", waves(4, 4, 1, 2)}});
                }),
                AllOf(HasSubstr("up"), HasSubstr("1 x 2"), HasSubstr("2 x 2")));
}
