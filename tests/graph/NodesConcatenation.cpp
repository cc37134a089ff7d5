#include <MPS/NNConcatenationNode.hpp>

#include "NodesRun.h"

using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::HasSubstr;

namespace {

ImageNode joined(const NNImageNodes& sources) { return NNConcatenationNode::node(sources)->resultImage(); }

/// Says that the result has one more column, and remembers what it was asked.
struct Wider final : NNPadding {
    NNPaddingMethod paddingMethod() const override { return NNPaddingMethodCustom; }
    ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                               const StateBatch&, Kernel&,
                                               const ImageDescriptor& suggested) override {
        ++calls;
        sources = images.size();
        auto wider = suggested;
        ++wider.width;
        return wider;
    }
    std::size_t calls = 0, sources = 0;
};

}  // namespace

TEST(NodesConcatenation, EverySourceBeginsAtAMultipleOfFourOnEveryDevice) {
    const NamedPictures inputs{
        {"a", {1, 2, 1, {1, 2}}}, {"b", counted(1, 2, 4)}, {"c", {1, 2, 2, {9, 8, 7, 6}}}};
    for (const auto& device : graphDevices()) {
        const auto a = inputNamed("a"), b = inputNamed("b"), c = inputNamed("c");
        EXPECT_EQ(
            resultOf(device, joined({a, b, c}), inputs),
            (Pictures{1, 2, 12, {1, 0, 0, 0, 1, 2, 3, 4, 9, 8, 0, 0, 2, 0, 0, 0, 5, 6, 7, 8, 7, 6, 0, 0}}))
            << device->name();
        EXPECT_EQ(resultOf(device, joined({b}), inputs), counted(1, 2, 4)) << device->name();
        EXPECT_EQ(resultOf(device, joined({c}), inputs), (Pictures{1, 2, 4, {9, 8, 0, 0, 7, 6, 0, 0}}));
        EXPECT_EQ(resultOf(device, joined({a, a}), inputs),
                  (Pictures{1, 2, 8, {1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0}}))
            << device->name();
    }
}

TEST(NodesConcatenation, SourcesMayBeResultsOfFiltersAndTheResultFeedsOthers) {
    for (const auto& device : graphDevices()) {
        const auto x = inputNamed("x");
        const auto twice = CNNNeuronLinearNode::node(x, 2, 0)->resultImage();
        const auto plus = CNNNeuronLinearNode::node(x, 1, 10)->resultImage();
        const auto sum = CNNNeuronLinearNode::node(joined({twice, x, plus}), 1, 1)->resultImage();
        EXPECT_EQ(resultOf(device, sum, {{"x", {1, 1, 3, {1, 2, 3}}}}),
                  (Pictures{1, 1, 12, {3, 5, 7, 1, 2, 3, 4, 1, 12, 13, 14, 1}}))
            << device->name();
    }
}

TEST(NodesConcatenation, AnImageThatHoldsSeveralPicturesGivesOneThatHoldsThem) {
    for (const auto& device : graphDevices()) {
        const auto of = [&](std::size_t channels, float first) {
            auto descriptor = ImageDescriptor::imageDescriptor(PixelFormat::Float32, 1, 1, channels);
            descriptor.numberOfImages = 2;
            const auto image = std::make_shared<MPS::Image>(device, descriptor);
            for (std::size_t i = 0; i < 2; ++i) {
                std::vector<float> values(channels, first + static_cast<float>(i));
                image->writeBytes(values.data(), DataLayout::HeightxWidthxFeatureChannels, i);
            }
            return image;
        };
        NNGraph graph(device, joined({inputNamed("a"), inputNamed("b")}));
        graph.setFormat(PixelFormat::Float32);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = graph.encode(commands, {of(1, 3), of(2, 7)});
        commands->commit();
        commands->waitUntilCompleted();
        ASSERT_FALSE(commands->error());
        ASSERT_EQ(result->numberOfImages(), 2u);
        for (std::size_t i = 0; i < 2; ++i) {
            std::vector<float> values(8);
            result->readBytes(values.data(), DataLayout::HeightxWidthxFeatureChannels, i);
            const auto f = static_cast<float>(i);
            EXPECT_EQ(values, (std::vector<float>{3 + f, 0, 0, 0, 7 + f, 7 + f, 0, 0})) << device->name();
        }
    }
}

TEST(NodesConcatenation, EachSourceHasAStateAndAGradientFilterOfItsOwn) {
    const auto a = inputNamed("a"), b = inputNamed("b"), g = inputNamed("g");
    const auto node = NNConcatenationNode::node({a, b, a});
    ASSERT_EQ(node->resultStates().size(), 3u);
    const auto filters = node->gradientFilters(g);
    ASSERT_EQ(filters.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_NE(std::dynamic_pointer_cast<NNConcatenationGradientNode>(filters[i]), nullptr);
        EXPECT_EQ(filters[i]->sources(), (NNImageNodes{g, node->sources()[i]}));
        EXPECT_EQ(filters[i]->sourceStates(), NNStateNodes{node->resultStates()[i]});
    }
    EXPECT_NE(node->resultStates()[0], node->resultStates()[2]);
}

TEST(NodesConcatenation, GradientsAreCentralDifferences) {
    const NamedPictures inputs{{"a", waves(2, 3, 3, 2)}, {"b", waves(2, 3, 5, 2, 0.1)}};
    expectDerivative([](const auto& in) { return joined({in.at("a"), in.at("b")}); }, inputs);
    // In a net, with one source several times.
    expectDerivative(
        [](const auto& in) {
            const auto a = CNNNeuronTanHNode::node(in.at("a"))->resultImage();
            const auto b = CNNNeuronSigmoidNode::node(in.at("b"))->resultImage();
            const auto both = joined({a, b, a});
            return NNMultiplicationNode::node(both, both)->resultImage();
        },
        inputs);
}

TEST(NodesConcatenation, AGradientOfOneSourceAloneNeedsNoStateOfTheOthers) {
    const NamedPictures inputs{{"a", counted(1, 1, 3)}, {"b", counted(1, 1, 2)}, {"g", counted(1, 1, 8)}};
    for (const auto& device : graphDevices())
        for (std::size_t i = 0; i < 2; ++i) {
            const auto filters = NNConcatenationNode::node({inputNamed("a"), inputNamed("b")})
                                     ->gradientFilters(inputNamed("g"));
            EXPECT_EQ(resultOf(device, filters[i]->resultImage(), inputs),
                      i == 0 ? (Pictures{1, 1, 3, {1, 2, 3}}) : (Pictures{1, 1, 2, {5, 6}}))
                << device->name();
        }
}

TEST(NodesConcatenation, AGradientMadeByHandEqualsThatOfItsForwardNode) {
    const NamedPictures inputs{{"a", counted(2, 1, 3)}, {"b", counted(2, 1, 2)}, {"g", counted(2, 1, 8)}};
    for (const auto& device : graphDevices()) {
        const auto b = inputNamed("b");
        const auto forward = NNConcatenationNode::node({inputNamed("a"), b});
        const auto filter = NNConcatenationGradientNode::node(
            inputNamed("g"), b, std::static_pointer_cast<NNGradientStateNode>(forward->resultStates()[1]));
        EXPECT_EQ(resultOf(device, filter->resultImage(), inputs), (Pictures{2, 1, 2, {5, 6, 13, 14}}))
            << device->name();
    }
}

TEST(NodesConcatenation, TheFirstSourceGivesTheFormatAndTheOthersAreConverted) {
    for (const auto& device : graphDevices()) {
        const auto a = inputNamed("a"), b = inputNamed("b");
        const auto half = CNNNeuronLinearNode::node(b, 1, 0);
        half->resultImage()->setFormat(PixelFormat::Float16);
        EXPECT_EQ(NNConcatenationNode::node({half->resultImage(), a})->resultImage()->format(),
                  PixelFormat::Float16);
        // 2049 has no float16.
        EXPECT_EQ(resultOf(device, joined({a, half->resultImage()}),
                           {{"a", {1, 1, 1, {2049}}}, {"b", {1, 1, 1, {2049}}}}),
                  (Pictures{1, 1, 8, {2049, 0, 0, 0, 2048, 0, 0, 0}}))
            << device->name();
    }
}

TEST(NodesConcatenation, ATemporarySourceLosesItsOneReadHoweverOftenItIsJoined) {
    for (const auto& device : graphDevices()) {
        NNGraph graph(device, [] {
            const auto x = inputNamed("x");
            return joined({x, x});
        }());
        graph.setFormat(PixelFormat::Float32);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto source = TemporaryImage::temporaryImage(
            commands, ImageDescriptor::imageDescriptor(PixelFormat::Float32, 1, 1, 2));
        ASSERT_EQ(source->readCount(), 1u);
        graph.encodeBatch(commands, {{source}}, {});
        EXPECT_EQ(source->readCount(), 0u) << device->name();
        commands->commit();
        commands->waitUntilCompleted();
        EXPECT_FALSE(commands->error());
    }
}

TEST(NodesConcatenation, ACustomPolicyIsAskedOnceWithAllSourcesAndHasTheLastWord) {
    for (const auto& device : graphDevices()) {
        const auto policy = std::make_shared<Wider>();
        const auto node = NNConcatenationNode::node({inputNamed("a"), inputNamed("b")});
        node->setPaddingPolicy(policy);
        EXPECT_EQ(resultOf(device, node->resultImage(), {{"a", {1, 1, 1, {5}}}, {"b", {1, 1, 1, {6}}}}),
                  (Pictures{2, 1, 8, {5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}))
            << device->name();
        EXPECT_EQ(policy->calls, 1u);
        EXPECT_EQ(policy->sources, 2u);
    }
}

TEST(NodesConcatenation, SourcesThatDoNotFitAreRefusedByName) {
    const auto a = inputNamed("a"), b = inputNamed("b");
    const auto node = NNConcatenationNode::node({a, b});
    node->setLabel("skip");
    EXPECT_THAT(messageOf([&] {
                    resultOf(MTL::copyDevice("reference"), node->resultImage(),
                             {{"a", waves(2, 3, 1)}, {"b", waves(3, 3, 1)}});
                }),
                AllOf(HasSubstr("skip"), HasSubstr("sources[1]"), HasSubstr("2 x 3"), HasSubstr("3 x 3")));
    EXPECT_THAT(messageOf([&] { NNConcatenationNode::node({}); }),
                AllOf(HasSubstr("NNConcatenationNode"), HasSubstr("sources"), HasSubstr("none")));
    EXPECT_THAT(messageOf([&] {
                    NNConcatenationNode::node({a, nullptr});
                }),
                AllOf(HasSubstr("NNConcatenationNode"), HasSubstr("sources"), HasSubstr("null")));
    EXPECT_THAT(messageOf([&] { node->gradientFilter(a); }),
                AllOf(HasSubstr("NNConcatenationNode 'skip'"), HasSubstr("gradientFilters")));
    EXPECT_THAT(messageOf([&] { NNConcatenationNode::node({a})->gradientFilter(b); }),
                HasSubstr("gradientFilters"));
    EXPECT_THAT(messageOf([&] { NNConcatenationGradientNode::node(a, b, nullptr); }),
                AllOf(HasSubstr("NNConcatenationGradientNode"), HasSubstr("gradientState")));
}
