#include <gmock/gmock.h>

#include <MPS/CNNNeuron.hpp>

#include "GraphKernels.h"

/// Filter nodes around kernels of the application.
using namespace pewter::test;
using testing::AllOf;
using testing::HasSubstr;

namespace {

ImagePtr imageOf(const DevicePtr& device, std::size_t width, std::size_t height, std::size_t channels,
                 const std::vector<double>& values, std::size_t count = 1) {
    const auto image = std::make_shared<MPS::Image>(device, describe(width, height, channels, count));
    fillImage(*image, values);
    return image;
}

std::vector<double> encoded(MPS::NNGraph& graph, const DevicePtr& device,
                            const std::vector<ImagePtr>& sources) {
    graph.setFormat(Format::Float32);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto result = graph.encode(commands, sources);
    run(commands);
    return valuesOf(*result);
}

}  // namespace

TEST(KernelNodes, AGraphRunsTheKernelAndItsGradientOnEveryDevice) {
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        const auto input = MPS::NNImageNode::node();
        const auto filter = halfSquare(input);
        MPS::NNGraph forward(device, filter->resultImage());
        const auto x = imageOf(device, 3, 1, 1, {2, -4, 6});
        EXPECT_EQ(encoded(forward, device, {x}), (std::vector<double>{2, 8, 18}));

        const auto termini = filter->trainingGraph(MPS::NNImageNode::node(tag("gradient")));
        ASSERT_EQ(termini.size(), 1u);
        EXPECT_STREQ(termini[0]->className(), "KernelGradientNode");
        MPS::NNGraph backward(device, termini[0]->resultImage());
        const auto g = imageOf(device, 3, 1, 1, {1, 2, 3});
        // Discovery order: the incoming gradient is met first.
        EXPECT_EQ(encoded(backward, device, {g, x}), (std::vector<double>{2, -8, 18}));
    }
}

TEST(KernelNodes, TheStateOfTheForwardKernelReachesItsGradientKernel) {
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        const auto filter = gate(MPS::NNImageNode::node());
        const auto termini = filter->trainingGraph(MPS::NNImageNode::node());
        filter->resultState()->setExportFromGraph(true);
        MPS::NNGraph graph(device, termini.at(0)->resultImage());
        graph.setFormat(Format::Float32);
        // Two images, one channel, two pixels: sums 3 and 7.
        const auto x = imageOf(device, 2, 1, 1, {1, 2}), y = imageOf(device, 2, 1, 1, {3, 4});
        const auto g = imageOf(device, 2, 1, 1, {1, 0});
        const auto commands = device->newCommandQueue()->commandBuffer();
        std::vector<MPS::StateBatch> states;
        const auto results = graph.encodeBatch(commands, {{g, g}, {x, y}}, {}, nullptr, &states);
        run(commands);
        EXPECT_EQ(valuesOf(*results[0]), (std::vector<double>{1 * 3 + 1, 0 * 3 + 1}));
        EXPECT_EQ(valuesOf(*results[1]), (std::vector<double>{1 * 7 + 3, 0 * 7 + 3}));
        ASSERT_EQ(states.size(), 1u);
        ASSERT_EQ(states[0].size(), 2u);
        for (std::size_t i = 0; i < 2; ++i) {
            auto& state = dynamic_cast<pewter::HostState&>(*states[0][i]);
            EXPECT_EQ(state.values(), std::vector<double>{i == 0 ? 3.0 : 7.0});
            EXPECT_THAT(state.description(), HasSubstr("1 x 1"));
        }
    }
}

TEST(KernelNodes, OneImageThatHoldsSeveralPicturesHasOneStateForAllOfThem) {
    const auto device = testDevice();
    const auto filter = gate(MPS::NNImageNode::node());
    MPS::NNGraph graph(device, filter->trainingGraph(MPS::NNImageNode::node()).at(0)->resultImage());
    const auto x = imageOf(device, 2, 1, 1, {1, 2, 3, 4}, 2), g = imageOf(device, 2, 1, 1, {1, 0, 1, 0}, 2);
    EXPECT_EQ(encoded(graph, device, {g, x}), (std::vector<double>{4, 1, 10, 3}));
}

TEST(KernelNodes, EveryGraphHasAKernelOfItsOwnWithTheNodesLabelAndPaddingPolicy) {
    std::vector<std::shared_ptr<HalfSquare>> made;
    const auto filter = pewter::KernelNode::node(MPS::NNImageNode::node(), [&](const DevicePtr& device) {
        return made.emplace_back(std::make_shared<HalfSquare>(device));
    });
    filter->setLabel("half");
    const auto policy = MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeValidOnly);
    filter->setPaddingPolicy(policy);
    for (const auto& device : MTL::copyAllDevices()) {
        MPS::NNGraph graph(device, filter->resultImage());
        ASSERT_FALSE(made.empty());
        EXPECT_EQ(made.back()->device(), device);
        EXPECT_EQ(made.back()->label(), "half");
        EXPECT_EQ(made.back()->padding(), policy);
        EXPECT_EQ(encoded(graph, device, {imageOf(device, 1, 1, 2, {4, 6})}), (std::vector<double>{8, 18}));
    }
    EXPECT_EQ(made.size(), MTL::copyAllDevices().size());
}

TEST(KernelNodes, AKernelOfTheLibraryMayStandBehindSuchANodeToo) {
    const auto neuron = [](const DevicePtr& device) {
        return std::make_shared<MPS::CNNNeuron>(
            device, MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU, 0.5f));
    };
    const auto gradient = [](const DevicePtr& device) {
        return std::make_shared<MPS::CNNNeuronGradient>(
            device, MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU, 0.5f));
    };
    const auto device = testDevice();
    const auto filter = pewter::KernelNode::node(MPS::NNImageNode::node(), neuron, gradient);
    MPS::NNGraph graph(device, filter->trainingGraph(MPS::NNImageNode::node()).at(0)->resultImage());
    EXPECT_EQ(encoded(graph, device, {imageOf(device, 2, 1, 1, {4, 4}), imageOf(device, 2, 1, 1, {2, -2})}),
              (std::vector<double>{4, 2}));
}

TEST(KernelNodes, MistakesAreNamedByTheNodesLabel) {
    const auto device = testDevice();
    const auto input = MPS::NNImageNode::node();
    EXPECT_THAT(errorOf([&] { pewter::KernelNode::node(nullptr, factory<HalfSquare>()); }),
                AllOf(HasSubstr("KernelNode"), HasSubstr("source")));
    EXPECT_THAT(errorOf([&] { pewter::KernelNode::node(input, nullptr); }),
                AllOf(HasSubstr("KernelNode"), HasSubstr("kernel"), HasSubstr("found none")));
    EXPECT_THAT(
        errorOf([&] { pewter::KernelGradientNode::node(input, input, stateInput("state"), nullptr); }),
        AllOf(HasSubstr("KernelGradientNode"), HasSubstr("gradientKernel")));
    const auto none = pewter::KernelNode::node(input, [](const DevicePtr&) { return nullptr; });
    none->setLabel("none");
    EXPECT_THAT(errorOf([&] { MPS::NNGraph(device, none->resultImage()); }),
                AllOf(HasSubstr("KernelNode 'none'"), HasSubstr("kernel"), HasSubstr("null")));
    const auto untrained = pewter::KernelNode::node(input, factory<HalfSquare>());
    untrained->setLabel("plain");
    EXPECT_THAT(errorOf([&] { untrained->trainingGraph(MPS::NNImageNode::node()); }),
                AllOf(HasSubstr("KernelNode 'plain'"), HasSubstr("stopGradient")));
    const auto stateless = pewter::KernelNode::node(input, stateInput("state"), factory<HalfSquare>());
    stateless->setLabel("deaf");
    EXPECT_THAT(errorOf([&] { MPS::NNGraph(device, stateless->resultImage()); }),
                AllOf(HasSubstr("KernelNode 'deaf'"), HasSubstr("sourceState"), HasSubstr("HalfSquare")));
#ifdef PEWTER_HAVE_CPU
    const auto foreign = pewter::KernelNode::node(
        input, [](const DevicePtr&) { return std::make_shared<HalfSquare>(MTL::copyDevice("cpu")); });
    foreign->setLabel("foreign");
    EXPECT_THAT(errorOf([&] { MPS::NNGraph(device, foreign->resultImage()); }),
                AllOf(HasSubstr("KernelNode 'foreign'"), HasSubstr("reference"), HasSubstr("cpu")));
#endif
}

TEST(KernelNodes, AStateOfAnotherSizeOrClassIsRefusedAndNothingIsEncoded) {
    const auto device = testDevice();
    const auto filter =
        pewter::KernelNode::node(MPS::NNImageNode::node(), stateInput("before"), factory<Gate>());
    filter->setLabel("gate");
    MPS::NNGraph graph(device, filter->resultImage());
    graph.setFormat(Format::Float32);
    const auto x = imageOf(device, 2, 1, 1, {1, 2});
    const auto commands = device->newCommandQueue()->commandBuffer();
    const Recorded before(commands);
    const auto wide = std::make_shared<pewter::HostState>(device, std::vector<double>{1, 2});
    EXPECT_THAT(errorOf([&] { graph.encode(commands, {x}, {wide}); }),
                AllOf(HasSubstr("Gate 'gate'"), HasSubstr("sourceStates"), HasSubstr("1 numbers"),
                      HasSubstr("1 x 2")));
    const auto plain = std::make_shared<MPS::State>(device, 8);
    EXPECT_THAT(errorOf([&] { graph.encode(commands, {x}, {plain}); }),
                AllOf(HasSubstr("Gate 'gate'"), HasSubstr("HostState")));
    EXPECT_EQ(Recorded(commands), before);
    const auto one = std::make_shared<pewter::HostState>(device, std::vector<double>{7});
    const auto result = graph.encode(commands, {x}, {one});
    run(commands);
    EXPECT_EQ(valuesOf(*result), (std::vector<double>{10, 20}));
}

TEST(KernelNodes, AComputationThatChangesTheExtentsOrThrowsEndsTheCommandBufferWithItsKernelsName) {
    class Wide final : public pewter::HostStateKernel {
    public:
        using HostStateKernel::HostStateKernel;
        const char* className() const override { return "Wide"; }

    protected:
        std::size_t stateSize(const MPS::Image&, const MPS::Image&) const override { return 2; }
        Computation computation() const override {
            return [](const auto&, const auto&, const auto&, auto&, pewter::HostTensor& s) {
                s.values.resize(9);
            };
        }
    };
    const auto device = testDevice();
    MPS::NNGraph graph(device,
                       pewter::KernelNode::node(MPS::NNImageNode::node(), factory<Wide>())->resultImage());
    const auto commands = device->newCommandQueue()->commandBuffer();
    graph.encode(commands, {imageOf(device, 1, 1, 1, {1})});
    commands->commit();
    commands->waitUntilCompleted();
    ASSERT_EQ(commands->status(), MTL::CommandBufferStatus::Error);
    EXPECT_THAT(commands->error()->localizedDescription,
                AllOf(HasSubstr("Wide"), HasSubstr("2 values in state")));
}
