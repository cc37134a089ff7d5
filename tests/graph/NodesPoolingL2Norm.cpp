#include <MPS/CNNPooling.hpp>

#include "NodesRun.h"

using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

Pictures row(const Numbers& values) { return {values.size(), 1, 1, values}; }

}  // namespace

TEST(NodesPoolingL2Norm, EveryFormComputesRootsOfSumsOfSquares) {
    const auto x = [] { return inputNamed("x"); };
    for (const auto& device : graphDevices()) {
        const auto pooled = [&](const Filter& node, const Pictures& given) {
            return resultOf(device, node->resultImage(), {{"x", given}});
        };
        EXPECT_EQ(pooled(CNNPoolingL2NormNode::node(x(), 2), {2, 2, 1, {1, 3, 3, 9}}),
                  (Pictures{1, 1, 1, {10}}))
            << device->name();
        // Window 2 reaches one pixel to the left and to the top, where the edge is repeated.
        EXPECT_EQ(pooled(CNNPoolingL2NormNode::node(x(), 2, 1), {2, 2, 1, {3, 3, 3, 3}}),
                  (Pictures{2, 2, 1, {6, 6, 6, 6}}));
        EXPECT_EQ(pooled(CNNPoolingL2NormNode::node(x(), 3, 1, 2, 1), row({0, 3, 4, 0, 0})), row({3, 5, 0}));
        EXPECT_EQ(pooled(std::make_shared<CNNPoolingL2NormNode>(x(), 1, 1, 1, 1), row({3, -4, 0})),
                  row({3, 4, 0}));
    }
    const auto node = CNNPoolingL2NormNode::node(x(), 3, 2);
    EXPECT_EQ(node->kernelWidth(), 3u);
    EXPECT_EQ(node->kernelHeight(), 3u);
    EXPECT_EQ(node->strideInPixelsX(), 2u);
    EXPECT_EQ(node->strideInPixelsY(), 2u);
    EXPECT_EQ(node->paddingPolicy()->paddingMethod(), NNPaddingMethodSizeSame);
}

TEST(NodesPoolingL2Norm, ItIsTheKernelWithTheEdgeModeOfPoolingNodes) {
    for (const auto& device : graphDevices()) {
        const auto x = waves(7, 5, 6, 2);
        CNNPoolingL2Norm kernel(device, 3, 2, 2, 1);
        kernel.setEdgeMode(ImageEdgeMode::Clamp);
        kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto expected = kernel.encodeBatch(commands, batchAs<float>(device, PixelFormat::Float32, x));
        commands->commit();
        commands->waitUntilCompleted();
        EXPECT_EQ(resultOf(device, CNNPoolingL2NormNode::node(inputNamed("x"), 3, 2, 2, 1)->resultImage(),
                           {{"x", x}}),
                  picturesAs<float>(expected))
            << device->name();
    }
}

TEST(NodesPoolingL2Norm, TheGradientSharesOutByValueOverNorm) {
    for (const auto& device : graphDevices())
        EXPECT_EQ(gradientsOf(
                      device,
                      [](const auto& in) {
                          return CNNPoolingL2NormNode::node(in.at("x"), 2, 1, 2, 1)->resultImage();
                      },
                      {{"x", row({3, 4, 0, -12})}}, row({10, 20}))
                      .at("x"),
                  row({6, 8, 0, -20}))
            << device->name();
}

TEST(NodesPoolingL2Norm, GradientsAreCentralDifferences) {
    for (const auto method : {NNPaddingMethodSizeSame, NNPaddingMethodSizeValidOnly, NNPaddingMethodSizeFull})
        expectDerivative(
            [&](const auto& in) {
                const auto node = CNNPoolingL2NormNode::node(in.at("x"), 3, 2, 2, 1);
                node->setPaddingPolicy(NNDefaultPadding::padding(method));
                return node->resultImage();
            },
            {{"x", waves(5, 4, 3, 2)}});
}

TEST(NodesPoolingL2Norm, GradientFiltersCopyTheWindowAndMayBeMadeByHand) {
    const auto x = inputNamed("x"), g = inputNamed("gradient");
    const auto node = CNNPoolingL2NormNode::node(x, 3, 2, 2, 1);
    node->setLabel("norm");
    const auto generated = std::dynamic_pointer_cast<CNNPoolingL2NormGradientNode>(node->gradientFilter(g));
    ASSERT_NE(generated, nullptr);
    EXPECT_EQ(generated->kernelWidth(), 3u);
    EXPECT_EQ(generated->kernelHeight(), 2u);
    EXPECT_EQ(generated->strideInPixelsX(), 2u);
    EXPECT_EQ(generated->strideInPixelsY(), 1u);
    EXPECT_EQ(generated->label(), "norm");
    EXPECT_THAT(generated->sources(), ElementsAre(g, x));
    EXPECT_THAT(generated->sourceStates(), ElementsAre(node->resultState()));
    const auto state = std::dynamic_pointer_cast<NNGradientStateNode>(node->resultState());
    const NamedPictures inputs{{"x", waves(5, 4, 3)}, {"gradient", waves(3, 4, 3, 1, 2)}};
    for (const auto& device : graphDevices()) {
        const auto expected = resultOf(device, generated->resultImage(), inputs);
        EXPECT_EQ(resultOf(device, CNNPoolingL2NormGradientNode::node(g, x, state, 3, 2, 2, 1)->resultImage(),
                           inputs),
                  expected);
        // The geometry is the state's, whatever policy the gradient filter has.
        EXPECT_EQ(resultOf(device,
                           CNNPoolingL2NormGradientNode::node(
                               g, x, state, 3, 2, 2, 1, NNDefaultPadding::padding(NNPaddingMethodSizeFull))
                               ->resultImage(),
                           inputs),
                  expected);
    }
    EXPECT_THAT(messageOf([&] { CNNPoolingL2NormNode::node(x, 0, 1); }),
                AllOf(HasSubstr("CNNPoolingL2NormNode"), HasSubstr("kernelWidth"), HasSubstr("found 0")));
    EXPECT_THAT(
        messageOf([&] { CNNPoolingL2NormGradientNode::node(g, x, nullptr, 3, 2, 2, 1); }),
        AllOf(HasSubstr("CNNPoolingL2NormGradientNode"), HasSubstr("gradientState"), HasSubstr("null")));
}
