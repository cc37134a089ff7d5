#include <MPS/CNNConvolutionTransposeNode.hpp>

#include "NodesRun.h"

using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::HasSubstr;

namespace {

using Encoder = std::shared_ptr<CNNConvolutionNode>;
using Decoder = std::shared_ptr<CNNConvolutionTransposeNode>;

std::shared_ptr<Weights> weights(std::size_t taps, std::size_t inputs, std::size_t outputs,
                                 std::size_t stride = 1) {
    auto source = std::make_shared<Weights>(taps, inputs, outputs);
    source->descriptor()->setStrideInPixelsX(stride);
    source->descriptor()->setStrideInPixelsY(stride);
    for (std::size_t i = 0; i < source->values.size(); ++i)
        source->values[i] = std::sin(1.7F * static_cast<float>(i) + 0.5F);
    for (std::size_t i = 0; i < source->biases.size(); ++i) source->biases[i] = 0.1F * static_cast<float>(i);
    return source;
}

Decoder alone(const ImageNode& source, const std::shared_ptr<Weights>& w,
              NNPaddingMethod method = NNPaddingMethodSizeSame) {
    auto node = CNNConvolutionTransposeNode::node(source, nullptr, w);
    node->setPaddingPolicy(NNDefaultPadding::padding(method));
    return node;
}

/// A convolution and the transposed one that undoes it.
Decoder linked(const ImageNode& x, const std::shared_ptr<Weights>& down, const std::shared_ptr<Weights>& up) {
    const auto encoder = CNNConvolutionNode::node(x, down);
    return CNNConvolutionTransposeNode::node(encoder->resultImage(), encoder->convolutionGradientState(), up);
}

/// 1 to 9 in a window of 3 x 3.
std::shared_ptr<Weights> nine(std::size_t stride) {
    auto source = weights(3, 1, 1, stride);
    for (std::size_t i = 0; i < 9; ++i) source->values[i] = static_cast<float>(i + 1);
    return source;
}

}  // namespace

TEST(NodesConvolutionTranspose, WithoutAStateThePaddingPolicySizesTheResult) {
    for (const auto& device : graphDevices()) {
        const auto sizeOf = [&](NNPaddingMethod method) {
            return resultOf(device, alone(inputNamed("x"), nine(2), method)->resultImage(),
                            {{"x", counted(4, 4, 1)}})
                .width;
        };
        EXPECT_EQ(sizeOf(NNPaddingMethodSizeFull), 9u) << device->name();
        EXPECT_EQ(sizeOf(NNPaddingMethodSizeSame), 7u);
        EXPECT_EQ(sizeOf(NNPaddingMethodSizeValidOnly), 5u);
        const auto plain = CNNConvolutionTransposeNode::node(inputNamed("x"), nullptr, nine(2));
        EXPECT_EQ(resultOf(device, plain->resultImage(), {{"x", counted(4, 4, 1)}}).width, 7u)
            << "the default is the same size";
    }
}

TEST(NodesConvolutionTranspose, EveryPixelIsAWindowOfWeightsAtItsPlace) {
    for (const auto& device : graphDevices()) {
        // Weights are used without rotation: the pixel to the right of a source pixel sees it with the tap to
        // the left.
        const auto full = [&](const Pictures& x) {
            return resultOf(device, alone(inputNamed("x"), nine(2), NNPaddingMethodSizeFull)->resultImage(),
                            {{"x", x}});
        };
        EXPECT_EQ(full({1, 1, 1, {1}}), (Pictures{3, 3, 1, {9, 8, 7, 6, 5, 4, 3, 2, 1}})) << device->name();
        EXPECT_EQ(full({2, 1, 1, {1, 10}}),
                  (Pictures{5, 3, 1, {9, 8, 97, 80, 70, 6, 5, 64, 50, 40, 3, 2, 31, 20, 10}}));
        // Same: the window's centre on each pixel.
        EXPECT_EQ(
            resultOf(device, alone(inputNamed("x"), nine(2))->resultImage(), {{"x", {2, 1, 1, {1, 10}}}}),
            (Pictures{3, 1, 1, {5, 64, 50}}));
    }
}

TEST(NodesConvolutionTranspose, ItIsTheKernelBiasesAndAllChannelsIncluded) {
    for (const auto& device : graphDevices()) {
        const auto x = waves(4, 3, 2, 2);
        for (const auto method : {NNPaddingMethodSizeFull, NNPaddingMethodSizeSame,
                                  NNPaddingMethodSizeValidOnly | NNPaddingMethodAddRemainderToBottomRight}) {
            const auto source = weights(3, 2, 4, 2);
            CNNConvolutionTranspose kernel(device, source);
            kernel.setPadding(NNDefaultPadding::padding(method));
            kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto expected =
                kernel.encodeBatch(commands, batchAs<float>(device, PixelFormat::Float32, x));
            commands->commit();
            commands->waitUntilCompleted();
            EXPECT_EQ(resultOf(device, alone(inputNamed("x"), source, method)->resultImage(), {{"x", x}}),
                      picturesAs<float>(expected))
                << device->name();
        }
    }
}

TEST(NodesConvolutionTranspose, GradientsAreCentralDifferences) {
    for (const auto method : {NNPaddingMethodSizeFull, NNPaddingMethodSizeSame, NNPaddingMethodSizeValidOnly})
        for (const std::size_t taps : {2u, 3u})
            expectDerivative(
                [&](const auto& in) {
                    return alone(in.at("x"), weights(taps, 3, 2, 2), method)->resultImage();
                },
                {{"x", waves(4, 3, 3, 2)}}, 3);
}

TEST(NodesConvolutionTranspose, GradientsThroughALinkedConvolutionAreCentralDifferences) {
    for (const std::size_t stride : {1u, 2u, 3u})
        for (const std::size_t taps : {2u, 3u})
            expectDerivative(
                [&](const auto& in) {
                    return linked(in.at("x"), weights(taps, 2, 3, stride), weights(taps, 3, 2, stride))
                        ->resultImage();
                },
                {{"x", waves(5, 6, 2, 2)}}, 5);
}

TEST(NodesConvolutionTranspose, DevicesAgreeOnTheGradientsOfAnAutoencoder) {
    const auto build = [](const auto& in) {
        return linked(in.at("x"), weights(3, 4, 8, 2), weights(3, 8, 4, 2))->resultImage();
    };
    const auto x = waves(7, 6, 4, 3), g = waves(7, 6, 4, 3, 2);
    const auto expected = gradientsOf(MTL::copyDevice("reference"), build, {{"x", x}}, g).at("x");
    for (const auto& device : graphDevices()) {
        const auto found = gradientsOf(device, build, {{"x", x}}, g).at("x");
        ASSERT_EQ(found.values.size(), expected.values.size());
        // Two sums of 9 x 8 products of order 1 after another.
        for (std::size_t i = 0; i < found.values.size(); ++i)
            EXPECT_NEAR(found.values[i], expected.values[i], 72 * 72 * 0x1p-24) << device->name();
    }
}

TEST(NodesConvolutionTranspose, WeightGradientsInTheExportedStateAreCentralDifferences) {
    const auto device = MTL::copyDevice("reference");
    for (const bool isLinked : {false, true}) {
        const auto down = weights(3, 2, 3, 2), up = weights(3, 3, 2, 2);
        const NamedPictures inputs{{"x", waves(5, 4, 2, 2)}};
        const auto build = [&](const ImageNode& x) {
            if (isLinked) return linked(x, down, up);
            const auto hidden = CNNConvolutionNode::node(x, down)->resultImage();
            return alone(hidden, up, NNPaddingMethodSizeFull);
        };
        const auto forward = [&] {
            return resultOf(device, build(inputNamed("x"))->resultImage(), inputs, PixelFormat::Float64);
        };
        auto g = forward();
        for (std::size_t i = 0; i < g.values.size(); ++i)
            g.values[i] = std::cos(0.7 * static_cast<double>(i));
        const auto objective = [&] {
            const auto y = forward();
            double sum = 0;
            for (std::size_t i = 0; i < y.values.size(); ++i) sum += y.values[i] * g.values[i];
            return sum;
        };

        const auto last = build(inputNamed("x"));
        const auto termini = last->trainingGraph(
            inputNamed("gradient"), [](const auto& gradient, const auto&, const auto&, const auto&) {
                for (const auto& state : gradient->sourceStates()) state->setExportFromGraph(true);
            });
        NNGraph graph(device, termini.at(0)->resultImage());
        graph.setFormat(PixelFormat::Float64);
        std::vector<ImageBatch> sources;
        for (const auto& handle : graph.sourceImageHandles())
            sources.push_back(
                batchAs<double>(device, PixelFormat::Float64, handle->label() == "x" ? inputs.at("x") : g));
        const auto commands = device->newCommandQueue()->commandBuffer();
        std::vector<StateBatch> states;
        graph.encodeBatch(commands, sources, {}, nullptr, &states);
        commands->commit();
        commands->waitUntilCompleted();
        ASSERT_EQ(states.size(), 2u);
        for (const auto& batch : states) {
            const auto state = std::dynamic_pointer_cast<CNNConvolutionGradientState>(batch.at(0));
            ASSERT_NE(state, nullptr);
            const auto transpose =
                std::dynamic_pointer_cast<CNNConvolutionTransposeGradientState>(batch.at(0));
            const auto& source = transpose ? up : down;
            if (transpose) {
                EXPECT_EQ(transpose->convolutionGradientState() != nullptr, isLinked);
                EXPECT_EQ(transpose->convolutionTranspose()->dataSource(), up);
            }
            // Linear in every weight: the difference is exact but for the rounding of two sums, and the
            // buffers are float32.
            const auto check = [&](std::vector<float>& values, MTL::Buffer& gradients) {
                const auto* found = static_cast<const float*>(gradients.contents());
                for (std::size_t i = 0; i < values.size(); ++i) {
                    const float start = values[i];
                    values[i] = start + 0.25F;
                    const double above = objective(), stepUp = values[i];
                    values[i] = start - 0.25F;
                    const double expected = (above - objective()) / (stepUp - values[i]);
                    values[i] = start;
                    EXPECT_NEAR(found[i], expected, 0x1p-22 * (1 + std::fabs(expected))) << i;
                }
            };
            check(source->values, *state->gradientForWeights());
            check(source->biases, *state->gradientForBiases());
        }
    }
}

TEST(NodesConvolutionTranspose, TheImageFormMayHoldSeveralPictures) {
    for (const auto& device : graphDevices()) {
        const auto x = waves(5, 4, 2, 3), g = waves(5, 4, 2, 3, 2);
        const auto build = [&](const auto& in) {
            return linked(in.at("x"), weights(3, 2, 3, 2), weights(3, 3, 2, 2))->resultImage();
        };
        const auto expected = gradientsOf(device, build, {{"x", x}}, g).at("x");
        const auto termini = build(std::map<std::string, ImageNode>{{"x", inputNamed("x")}})
                                 ->producer()
                                 ->trainingGraph(inputNamed("g"));
        NNGraph graph(device, termini.at(0)->resultImage());
        graph.setFormat(PixelFormat::Float32);
        std::vector<std::shared_ptr<MPS::Image>> sources;
        for (const auto& handle : graph.sourceImageHandles()) {
            auto descriptor = ImageDescriptor::imageDescriptor(PixelFormat::Float32, 5, 4, 2);
            descriptor.numberOfImages = 3;
            sources.push_back(std::make_shared<MPS::Image>(device, descriptor));
            const auto& from = handle->label() == "x" ? x : g;
            for (std::size_t n = 0; n < 3; ++n) {
                const std::vector<float> one(from.values.begin() + static_cast<std::ptrdiff_t>(n * 40),
                                             from.values.begin() + static_cast<std::ptrdiff_t>((n + 1) * 40));
                sources.back()->writeBytes(one.data(), DataLayout::HeightxWidthxFeatureChannels, n);
            }
        }
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = graph.encode(commands, sources);
        commands->commit();
        commands->waitUntilCompleted();
        ASSERT_EQ(result->numberOfImages(), 3u);
        EXPECT_EQ(picturesAs<float>(result->batchRepresentation()), expected) << device->name();
    }
}

namespace {

/// Moves the window of a transposed convolution one pixel, and notes what it was.
class Shift final : public NNPadding {
public:
    NNPaddingMethod paddingMethod() const override { return NNPaddingMethodCustom | NNPaddingMethodSizeSame; }
    ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<MPS::Image>>&,
                                               const StateBatch& states, Kernel& kernel,
                                               const ImageDescriptor& suggested) override {
        auto& transpose = dynamic_cast<CNNConvolutionTranspose&>(kernel);
        seen.push_back(transpose.kernelOffsetX());
        statesSeen = states.size();
        transpose.setKernelOffsetX(transpose.kernelOffsetX() + 1);
        auto result = suggested;
        result.width -= 1;
        return result;
    }
    std::vector<std::int64_t> seen;
    std::size_t statesSeen = 0;
};

}  // namespace

TEST(NodesConvolutionTranspose, ACustomPolicyHasTheLastWordAfterTheState) {
    for (const auto& device : graphDevices()) {
        const auto down = nine(1), up = nine(1);
        down->values = {0, 0, 0, 0, 1, 0, 0, 0, 0};
        const auto policy = std::make_shared<Shift>();
        const auto node = linked(inputNamed("x"), down, up);
        node->setPaddingPolicy(policy);
        NNGraph graph(device, node->resultImage());
        const Pictures x{3, 1, 1, {1, 10, 100}};
        // 5 at the pixel itself, 4 and 6 beside it, and all that one pixel to the left.
        const Pictures expected{2, 1, 1, {654, 540}};
        EXPECT_EQ(run(device, graph, {{"x", x}}).front(), expected) << device->name();
        EXPECT_EQ(run(device, graph, {{"x", x}}).front(), expected);
        EXPECT_EQ(policy->seen, (std::vector<std::int64_t>{0, 0}));
        EXPECT_EQ(policy->statesSeen, 1u);
    }
}

TEST(NodesConvolutionTranspose, TheStateMayBeAnInputOfTheGraph) {
    for (const auto& device : graphDevices()) {
        const auto down = weights(3, 2, 3, 2), up = weights(3, 3, 2, 2);
        const auto x = waves(5, 4, 2, 2);
        const auto expected = resultOf(device, linked(inputNamed("x"), down, up)->resultImage(), {{"x", x}});

        const auto encoder = CNNConvolutionNode::node(inputNamed("x"), down);
        encoder->convolutionGradientState()->setExportFromGraph(true);
        const auto state = std::make_shared<CNNConvolutionGradientStateNode>(nullptr);
        const auto decoder = CNNConvolutionTransposeNode::node(inputNamed("hidden"), state, up);
        NNGraph first(device, encoder->resultImage()), second(device, decoder->resultImage());
        first.setFormat(PixelFormat::Float32);
        second.setFormat(PixelFormat::Float32);
        const auto commands = device->newCommandQueue()->commandBuffer();
        std::vector<StateBatch> states;
        const auto hidden = first.encodeBatch(commands, {batchAs<float>(device, PixelFormat::Float32, x)}, {},
                                              nullptr, &states);
        const auto result = second.encodeBatch(commands, {hidden}, states);
        commands->commit();
        commands->waitUntilCompleted();
        EXPECT_EQ(picturesAs<float>(result), expected) << device->name();
    }
}

TEST(NodesConvolutionTranspose, InInferenceNoStateIsMadeAndTheConvolutionsOneIsSpent) {
    const auto device = MTL::copyDevice("reference");
    const auto node = linked(inputNamed("x"), weights(3, 2, 3, 2), weights(3, 3, 2, 2));
    const auto ownState = node->resultState();
    NNGraph graph(device, node->resultImage());
    const auto report = graph.memoryReport({batchAs<float>(device, PixelFormat::Float32, waves(5, 4, 2, 1))}, {});
    ASSERT_EQ(report.states.size(), 1u);
    EXPECT_EQ(report.states[0].className, "CNNConvolutionGradientState");
    EXPECT_EQ(report.states[0].readCount, 1u);
    EXPECT_TRUE(graph.resultStateHandles().empty());
}

TEST(NodesConvolutionTranspose, GradientFiltersMadeByHandEqualTheGeneratedOne) {
    for (const auto& device : graphDevices()) {
        const NamedPictures inputs{{"x", waves(4, 3, 2)}, {"gradient", waves(7, 5, 3, 1, 2)}};
        const auto of = [&](const std::function<Filter(const Decoder&, const ImageNode&)>& make) {
            const auto node = alone(inputNamed("x"), weights(3, 2, 3, 2));
            return resultOf(device, make(node, inputNamed("gradient"))->resultImage(), inputs);
        };
        const auto expected = of([](const auto& node, const auto& g) { return node->gradientFilter(g); });
        const auto stateOf = [](const Decoder& node) {
            return std::dynamic_pointer_cast<CNNConvolutionTransposeGradientStateNode>(node->resultState());
        };
        EXPECT_EQ(expected.width, 4u);
        EXPECT_EQ(of([&](const auto& node, const auto& g) {
                      return CNNConvolutionTransposeGradientNode::node(g, node->sources()[0], stateOf(node),
                                                                       node->weights());
                  }),
                  expected);
        EXPECT_EQ(of([&](const auto& node, const auto& g) {
                      return CNNConvolutionTransposeGradientNode::node(g, node->sources()[0], stateOf(node));
                  }),
                  expected)
            << "no data source: that of the forward filter";
        EXPECT_EQ(
            of([](const auto& node, const auto& g) { return node->gradientFilters(NNImageNodes{g})[0]; }),
            expected);
    }
}

TEST(NodesConvolutionTranspose, GradientFiltersTakeOverStyleLabelAndSources) {
    const auto x = inputNamed("x"), g = inputNamed("gradient");
    const auto node = CNNConvolutionTransposeNode::node(x, nullptr, weights(3, 2, 3));
    EXPECT_EQ(node->trainingStyle(), NNTrainingStyle::UpdateDeviceGPU);
    EXPECT_EQ(node->accumulatorPrecision(), NNConvolutionAccumulatorPrecisionOption::Float);
    EXPECT_EQ(node->paddingPolicy()->paddingMethod(), NNPaddingMethodSizeSame);
    EXPECT_TRUE(node->sourceStates().empty());
    node->setTrainingStyle(NNTrainingStyle::UpdateDeviceCPU);
    node->setLabel("up");
    node->setPaddingPolicy(NNDefaultPadding::padding(NNPaddingMethodSizeFull));
    const auto gradient =
        std::dynamic_pointer_cast<CNNConvolutionTransposeGradientNode>(node->gradientFilter(g));
    ASSERT_NE(gradient, nullptr);
    EXPECT_EQ(gradient->trainingStyle(), NNTrainingStyle::UpdateDeviceCPU);
    EXPECT_EQ(gradient->label(), "up");
    EXPECT_EQ(gradient->weights(), node->weights());
    EXPECT_EQ(gradient->paddingPolicy()->paddingMethod(), NNPaddingMethodSizeValidOnly);
    EXPECT_THAT(gradient->sources(), testing::ElementsAre(g, x));
    EXPECT_THAT(gradient->sourceStates(), testing::ElementsAre(node->resultState()));
    EXPECT_STREQ(node->resultState()->className(), "CNNConvolutionTransposeGradientStateNode");
    EXPECT_EQ(node->resultStates().size(), 1u);
    EXPECT_EQ(node->resultState(), node->resultStates()[0]);
}

TEST(NodesConvolutionTranspose, WhatItCannotTakeIsNamed) {
    const auto x = inputNamed("x");
    const auto w = weights(3, 2, 2);
    EXPECT_THAT(messageOf([&] { CNNConvolutionTransposeNode::node(nullptr, nullptr, w); }),
                AllOf(HasSubstr("CNNConvolutionTransposeNode"), HasSubstr("source"), HasSubstr("null")));
    EXPECT_THAT(messageOf([&] { CNNConvolutionTransposeNode::node(x, nullptr, nullptr); }),
                AllOf(HasSubstr("CNNConvolutionTransposeNode"), HasSubstr("weights"), HasSubstr("null")));
    const auto node = CNNConvolutionTransposeNode::node(x, nullptr, w);
    node->setLabel("up");
    const auto state =
        std::dynamic_pointer_cast<CNNConvolutionTransposeGradientStateNode>(node->resultState());
    EXPECT_THAT(messageOf([&] { CNNConvolutionTransposeNode::node(x, state, w); }),
                AllOf(HasSubstr("convolutionGradientState"), HasSubstr("the state of a convolution"),
                      HasSubstr("that of a transposed one")));
    EXPECT_THAT(messageOf([&] { node->convolutionGradientState(); }),
                AllOf(HasSubstr("CNNConvolutionTransposeNode 'up'"), HasSubstr("convolutionGradientState"),
                      HasSubstr("resultState")));
    EXPECT_THAT(messageOf([&] { CNNConvolutionTransposeGradientNode::node(x, x, nullptr); }),
                AllOf(HasSubstr("CNNConvolutionTransposeGradientNode"),
                      HasSubstr("convolutionTransposeGradientState"), HasSubstr("null")));
    const auto loose = std::make_shared<CNNConvolutionTransposeGradientStateNode>(nullptr);
    EXPECT_THAT(messageOf([&] { CNNConvolutionTransposeGradientNode::node(x, x, loose); }),
                AllOf(HasSubstr("weights"), HasSubstr("a data source")));
    const auto device = MTL::copyDevice("reference");
    const auto graphOf = [&](const Filter& filter) {
        return messageOf([&] { NNGraph graph(device, filter->resultImage()); });
    };
    EXPECT_THAT(graphOf(CNNConvolutionTransposeGradientNode::node(x, x, loose, w)),
                AllOf(HasSubstr("CNNConvolutionTransposeGradientNode"),
                      HasSubstr("convolutionTransposeGradientState"), HasSubstr("of this graph")));
    // The state of a transposed convolution is a convolution's by class, but no convolution made it.
    EXPECT_THAT(graphOf(CNNConvolutionGradientNode::node(x, x, state)),
                AllOf(HasSubstr("CNNConvolutionGradientNode"), HasSubstr("convolutionGradientState")));
    w->descriptor()->setFusedNeuronDescriptor(NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::ReLU));
    EXPECT_EQ(graphOf(node), "no error") << "inference may fuse a neuron";
    EXPECT_THAT(graphOf(node->gradientFilter(x)), AllOf(HasSubstr("CNNConvolutionTransposeGradientNode 'up'"),
                                                        HasSubstr("fusedNeuronDescriptor")));
}
