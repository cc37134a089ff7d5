#include <MPS/NNGramMatrix.hpp>
#include <MPS/NNGramMatrixNode.hpp>

#include "NodesRun.h"

using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::HasSubstr;

namespace {

/// 1 / pixels of the source; counts its calls.
struct PerPixel final : NNGramMatrixCallback {
    float alpha(const std::shared_ptr<MPS::Image>& source,
                const std::shared_ptr<MPS::Image>& result) override {
        ++calls;
        EXPECT_EQ(result->width(), source->featureChannels());
        return 1.0F / static_cast<float>(source->width() * source->height());
    }
    int calls = 0;
};

ImageNode gram(const ImageNode& x, float alpha, std::shared_ptr<PerPixel> callBack = nullptr) {
    const auto node = NNGramMatrixCalculationNode::node(x, alpha);
    node->setPropertyCallBack(callBack);
    return node->resultImage();
}

/// Two pictures of 1 x 2 pixels with 2 channels.
NamedPictures inputs() { return {{"x", {1, 2, 2, {1, 2, 3, 4, /**/ 0, 1, 2, 0}}}}; }

}  // namespace

TEST(NodesGramMatrix, HoldsTheInnerProductsOfChannelsOnEveryDevice) {
    for (const auto& device : graphDevices()) {
        EXPECT_EQ(
            resultOf(device, NNGramMatrixCalculationNode::node(inputNamed("x"))->resultImage(), inputs()),
            (Pictures{2, 1, 2, {10, 14, 14, 20, 4, 0, 0, 1}}))
            << device->name();
        EXPECT_EQ(resultOf(device, gram(inputNamed("x"), 2), inputs()),
                  (Pictures{2, 1, 2, {20, 28, 28, 40, 8, 0, 0, 2}}))
            << device->name();
    }
}

TEST(NodesGramMatrix, ACallbackIsAskedOnceAnEncodeOfTheKernelAndItsAlphaHoldsBackwardToo) {
    for (const auto& device : graphDevices()) {
        const auto callBack = std::make_shared<PerPixel>();
        const auto node = NNGramMatrixCalculationNode::node(inputNamed("x"), 7);
        EXPECT_EQ(node->propertyCallBack(), nullptr);
        node->setPropertyCallBack(callBack);
        EXPECT_EQ(node->propertyCallBack(), callBack);
        NNGraph graph(device, node->resultImage());
        EXPECT_EQ(callBack->calls, 0);
        for (int encode = 1; encode <= 3; ++encode) {
            EXPECT_EQ(run(device, graph, inputs()).front(), (Pictures{2, 1, 2, {5, 7, 7, 10, 2, 0, 0, 0.5}}))
                << device->name();
            EXPECT_EQ(callBack->calls, encode);
        }
        const auto back = [&](float alpha, const std::shared_ptr<PerPixel>& asked) {
            return gradientsOf(
                       device, [&](const auto& in) { return gram(in.at("x"), alpha, asked); }, inputs(),
                       counted(2, 1, 2, 2))
                .at("x");
        };
        EXPECT_EQ(back(7, callBack), back(0.5F, nullptr)) << device->name();
        EXPECT_EQ(callBack->calls, 4);
    }
}

TEST(NodesGramMatrix, TheGradientIsExactForSmallIntegers) {
    for (const auto& device : graphDevices())
        EXPECT_EQ(gradientsOf(device, [](const auto& in) { return gram(in.at("x"), 2); },
                              {{"x", {2, 1, 2, {1, 2, 3, 4}}}}, {2, 1, 2, {1, 2, 3, 4}})
                      .at("x"),
                  (Pictures{2, 1, 2, {24, 42, 52, 94}}))
            << device->name();
}

TEST(NodesGramMatrix, TheGradientIsTheCentralDifference) {
    expectDerivative([](const auto& in) { return gram(in.at("x"), 0.25F); }, {{"x", waves(3, 2, 3, 2)}});
    const auto callBack = std::make_shared<PerPixel>();
    expectDerivative([&](const auto& in) { return gram(in.at("x"), 1, callBack); },
                     {{"x", waves(2, 4, 2, 2)}});
}

TEST(NodesGramMatrix, GradientFiltersTakeAlphaOverAndThatOfTheForwardPassHolds) {
    const auto x = inputNamed("x"), g = inputNamed("g");
    const auto forward = NNGramMatrixCalculationNode::node(x, 3);
    EXPECT_EQ(forward->alpha(), 3);
    EXPECT_EQ(NNGramMatrixCalculationNode::node(x)->alpha(), 1);
    const auto state = std::static_pointer_cast<NNGradientStateNode>(forward->resultState());
    const auto own =
        std::dynamic_pointer_cast<NNGramMatrixCalculationGradientNode>(forward->gradientFilter(g));
    ASSERT_NE(own, nullptr);
    EXPECT_EQ(own->alpha(), 3);
    EXPECT_EQ(own->sources(), (NNImageNodes{g, x}));
    EXPECT_EQ(own->sourceStates(), NNStateNodes{state});
    const auto plain = NNGramMatrixCalculationGradientNode::node(g, x, state);
    EXPECT_EQ(plain->alpha(), 1);
    const auto other = NNGramMatrixCalculationGradientNode::node(g, x, state, 5);
    EXPECT_EQ(other->alpha(), 5);
    const NamedPictures given{{"x", waves(2, 3, 2)}, {"g", waves(2, 1, 2)}};
    for (const auto& device : graphDevices()) {
        const auto expected = resultOf(device, own->resultImage(), given);
        EXPECT_EQ(resultOf(device, plain->resultImage(), given), expected);
        EXPECT_EQ(resultOf(device, other->resultImage(), given), expected);
    }
}

TEST(NodesGramMatrix, MissingArgumentsAreNamed) {
    EXPECT_THAT(messageOf([&] { NNGramMatrixCalculationNode::node(nullptr); }),
                AllOf(HasSubstr("NNGramMatrixCalculationNode"), HasSubstr("source")));
    EXPECT_THAT(messageOf([&] {
                    NNGramMatrixCalculationGradientNode::node(inputNamed("g"), inputNamed("x"), nullptr);
                }),
                AllOf(HasSubstr("NNGramMatrixCalculationGradientNode"), HasSubstr("gradientState")));
}
