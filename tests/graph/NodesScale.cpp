#include <MPS/ImageScale.hpp>
#include <MPS/NNScaleNode.hpp>

#include "NodesRun.h"

using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::HasSubstr;

namespace {

using Provider = std::shared_ptr<ImageTransformProvider>;

/// Moves each image by the value of its first element.
struct ByFirstElement final : ImageTransformProvider {
    ScaleTransform transform(const std::shared_ptr<MPS::Image>& image,
                             const std::shared_ptr<Handle>& handle) override {
        ++calls;
        seen = handle;
        std::vector<float> values(image->width() * image->height() * image->featureChannels());
        image->readBytes(values.data(), DataLayout::HeightxWidthxFeatureChannels, 0);
        return {scale, 1, values[0], 0};
    }
    int calls = 0;
    double scale = 1;
    std::shared_ptr<Handle> seen;
};

std::vector<std::shared_ptr<NNScaleNode>> nodesOf(const ImageNode& source, const Provider& provider,
                                                  const MTL::Size& size) {
    return {NNBilinearScaleNode::node(source, provider, size),
            NNLanczosScaleNode::node(source, provider, size)};
}

/// What the kernel makes of the first picture.
Numbers byKernel(ImageScale& kernel, const Pictures& p, std::size_t width, std::size_t height) {
    const auto device = kernel.device();
    const auto source = batchAs<float>(device, PixelFormat::Float32, p)[0];
    const auto result = std::make_shared<MPS::Image>(
        device, ImageDescriptor::imageDescriptor(PixelFormat::Float32, width, height, p.channels));
    const auto commands = device->newCommandQueue()->commandBuffer();
    kernel.encode(commands, source, result);
    commands->commit();
    commands->waitUntilCompleted();
    return picturesAs<float>({result}).values;
}

}  // namespace

TEST(NodesScale, WithoutAProviderTheImageIsStretchedAsByTheKernelOnEveryDevice) {
    const auto pictures = waves(5, 3, 3);
    for (const auto& device : graphDevices()) {
        ImageBilinearScale bilinear(device);
        ImageLanczosScale lanczos(device);
        EXPECT_EQ(resultOf(device, NNBilinearScaleNode::node(inputNamed("x"), {7, 2, 1})->resultImage(),
                           {{"x", pictures}}),
                  (Pictures{7, 2, 3, byKernel(bilinear, pictures, 7, 2)}))
            << device->name();
        EXPECT_EQ(resultOf(device, NNLanczosScaleNode::node(inputNamed("x"), {7, 2, 1})->resultImage(),
                           {{"x", pictures}}),
                  (Pictures{7, 2, 3, byKernel(lanczos, pictures, 7, 2)}))
            << device->name();
        EXPECT_EQ(resultOf(device, NNBilinearScaleNode::node(inputNamed("x"), {6, 1, 0})->resultImage(),
                           {{"x", {3, 1, 1, {0, 4, 8}}}}),
                  (Pictures{6, 1, 1, {0, 1, 3, 5, 7, 8}}))
            << device->name();
    }
}

TEST(NodesScale, AProviderIsAskedForEachImageOfEveryEncodeWithTheHandleOfTheSource) {
    // Moved by 1, 2 and 0 pixels; the third picture is the first again.
    const NamedPictures inputs{{"x", {4, 1, 1, {1, 7, 8, 9, /**/ 2, 7, 8, 9, /**/ 0, 7, 8, 9}}}};
    const Pictures expected{3, 1, 1, {1, 1, 7, /**/ 2, 2, 2, /**/ 0, 7, 8}};
    for (const auto& device : graphDevices())
        for (std::size_t kind = 0; kind < 2; ++kind) {
            const auto provider = std::make_shared<ByFirstElement>();
            const auto x = inputNamed("x");
            const auto node = nodesOf(x, provider, {3, 1, 1})[kind];
            EXPECT_EQ(node->transformProvider(), provider);
            NNGraph graph(device, node->resultImage());
            EXPECT_EQ(provider->calls, 0);
            for (int encode = 1; encode <= 3; ++encode) {
                EXPECT_EQ(run(device, graph, inputs).front(), expected) << device->name();
                EXPECT_EQ(provider->calls, 3 * encode);
            }
            EXPECT_EQ(provider->seen, x->handle());
            // What the provider says is not kept.
            provider->scale = 2;
            EXPECT_NE(run(device, graph, inputs).front(), expected) << device->name();
        }
}

TEST(NodesScale, TheResultHasTheChannelsOfTheSourceWhateverDepthIsAllowed) {
    for (const auto& device : graphDevices())
        for (const std::uint64_t depth : {0u, 1u, 3u})
            for (const auto& node : nodesOf(inputNamed("x"), nullptr, {2, 5, depth})) {
                EXPECT_EQ(node->outputSize().height, 5u);
                EXPECT_EQ(node->transformProvider(), nullptr);
                const auto result = resultOf(device, node->resultImage(), {{"x", waves(4, 4, 3, 2)}});
                EXPECT_EQ(result.width, 2u);
                EXPECT_EQ(result.height, 5u);
                EXPECT_EQ(result.channels, 3u);
                EXPECT_EQ(result.count(), 2u);
            }
    for (const auto& node : nodesOf(inputNamed("x"), nullptr, {2, 2, 4})) {
        node->setLabel("preview");
        EXPECT_THAT(messageOf([&] {
                        resultOf(MTL::copyDevice("reference"), node->resultImage(), {{"x", waves(4, 4, 3)}});
                    }),
                    AllOf(HasSubstr("preview"), HasSubstr("outputSize.depth"), HasSubstr("0, 1 or 3"),
                          HasSubstr("4")));
    }
}

TEST(NodesScale, ThePaddingPolicySizesNothing) {
    for (const auto& node : nodesOf(inputNamed("x"), nullptr, {2, 2, 1})) {
        node->setPaddingPolicy(NNDefaultPadding::padding(NNPaddingMethodSizeFull));
        const auto result =
            resultOf(MTL::copyDevice("reference"), node->resultImage(), {{"x", waves(4, 4, 1)}});
        EXPECT_EQ(result.width, 2u);
    }
}

TEST(NodesScale, TheresNeitherGradientNorStateAndTrainingStopsInFrontOfIt) {
    const auto g = inputNamed("gradient");
    for (const auto& node : nodesOf(inputNamed("x"), nullptr, {2, 2, 1})) {
        EXPECT_EQ(node->resultState(), nullptr);
        EXPECT_THAT(messageOf([&] { node->gradientFilter(g); }),
                    AllOf(HasSubstr(node->className()), HasSubstr("stopGradient")));
        const auto next = CNNNeuronReLUNode::node(node->resultImage());
        EXPECT_THAT(messageOf([&] { next->trainingGraph(g); }), HasSubstr("stopGradient"));
        node->resultImage()->setStopGradient(true);
        EXPECT_EQ(next->trainingGraph(g).size(), 1u);
    }
}

TEST(NodesScale, ArgumentsAndTransformsAreRefusedByName) {
    const auto x = inputNamed("x");
    EXPECT_THAT(messageOf([&] {
                    NNBilinearScaleNode::node(x, {0, 2, 1});
                }),
                AllOf(HasSubstr("NNBilinearScaleNode"), HasSubstr("outputSize.width")));
    EXPECT_THAT(messageOf([&] {
                    NNLanczosScaleNode::node(x, {1, 0, 1});
                }),
                AllOf(HasSubstr("NNLanczosScaleNode"), HasSubstr("outputSize.height")));
    EXPECT_THAT(messageOf([&] { NNLanczosScaleNode::node(nullptr, {1, 1, 1}); }), HasSubstr("source"));
    const auto provider = std::make_shared<ByFirstElement>();
    provider->scale = 0;
    for (const auto& node : nodesOf(x, provider, {2, 2, 1})) {
        node->setLabel("preview");
        EXPECT_THAT(messageOf([&] {
                        resultOf(MTL::copyDevice("reference"), node->resultImage(), {{"x", waves(4, 4, 1)}});
                    }),
                    AllOf(HasSubstr("preview"), HasSubstr("transformProvider"), HasSubstr("2^-16")));
    }
}
