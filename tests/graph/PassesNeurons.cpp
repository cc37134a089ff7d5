#include <limits>

#include "PassesRun.h"

/// Neurons that become part of the convolution before them.
using namespace pewter::test;

namespace {

constexpr auto kFuse = &Options::fuseNeurons;

const NamedPictures& given() {
    static const NamedPictures pictures{{"x", integers(7, 5, 2, 3)}};
    return pictures;
}

/// Results of the graph that `build` makes, and the number of its steps.
struct Outcome {
    std::vector<Pictures> results;
    std::size_t steps = 0;
};

Outcome outcome(const std::shared_ptr<MTL::Device>& device, const std::function<std::vector<Image>(const Image&)>& build,
                const Options& options) {
    const auto results = build(inputNamed("x"));
    for (std::size_t i = 1; i < results.size(); ++i) results[i]->setImageAllocator(MPS::Image::defaultAllocator());
    const auto graph = compile(device, results, options);
    return {run(device, *graph, given()), stepsOf(*graph)};
}

/// With the rewrite alone and with all of them the graph has as many steps as without, and gives the same bit for bit.
void expectKept(const std::function<std::vector<Image>(const Image&)>& build) {
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        const auto without = outcome(device, build, Options::none());
        for (const auto& options : {only(kFuse), Options{}}) {
            const auto with = outcome(device, build, options);
            EXPECT_EQ(with.steps, without.steps);
            EXPECT_EQ(with.results, without.results);
        }
    }
}

Image convolved(const Image& x, std::size_t outputs = 3) {
    return MPS::CNNConvolutionNode::node(x, integerWeights(3, 2, outputs))->resultImage();
}

using Neuron = std::function<std::shared_ptr<MPS::CNNNeuronNode>(const Image&)>;

}  // namespace

TEST(PassNeurons, ExactNeuronsGiveTheSameNumbersInOneStepInsteadOfTwo) {
    const std::vector<std::pair<const char*, Neuron>> neurons{
        {"relu", [](const Image& x) { return MPS::CNNNeuronReLUNode::node(x); }},
        {"leaky", [](const Image& x) { return MPS::CNNNeuronReLUNode::node(x, 0.25F); }},
        {"relu n", [](const Image& x) { return MPS::CNNNeuronReLUNNode::node(x, 0.5F, 6); }},
        {"absolute", [](const Image& x) { return MPS::CNNNeuronAbsoluteNode::node(x); }},
        {"linear", [](const Image& x) { return MPS::CNNNeuronLinearNode::node(x, -2, 3); }},
        {"hard sigmoid", [](const Image& x) { return MPS::CNNNeuronHardSigmoidNode::node(x, 0.25F, 0.5F); }},
        {"prelu", [](const Image& x) { return MPS::CNNNeuronPReLUNode::node(x, {0.5F, 2, -1}); }},
    };
    for (const auto& device : graphDevices())
        for (const auto& [text, neuron] : neurons) {
            SCOPED_TRACE(device->name() + ", " + text);
            const auto build = [&, &neuron = neuron](const Image& x) {
                return std::vector<Image>{neuron(convolved(x))->resultImage()};
            };
            const auto without = outcome(device, build, Options::none());
            const auto with = outcome(device, build, only(kFuse));
            EXPECT_EQ(without.steps, 2u);
            EXPECT_EQ(with.steps, 1u);
            EXPECT_EQ(with.results, without.results);
            EXPECT_EQ(outcome(device, build, Options{}).results, without.results);
        }
}

TEST(PassNeurons, OtherNeuronsDifferByTheirOwnRounding) {
    const std::vector<std::pair<const char*, Neuron>> neurons{
        {"sigmoid", [](const Image& x) { return MPS::CNNNeuronSigmoidNode::node(x); }},
        {"tanh", [](const Image& x) { return MPS::CNNNeuronTanHNode::node(x, 1.5F, 0.125F); }},
        {"elu", [](const Image& x) { return MPS::CNNNeuronELUNode::node(x, 0.75F); }},
        {"soft plus", [](const Image& x) { return MPS::CNNNeuronSoftPlusNode::node(x, 1, 0.25F); }},
        {"soft sign", [](const Image& x) { return MPS::CNNNeuronSoftSignNode::node(x); }},
        {"power", [](const Image& x) { return MPS::CNNNeuronPowerNode::node(x, 0.125F, 4, 2); }},
        {"exponential", [](const Image& x) { return MPS::CNNNeuronExponentialNode::node(x, 0.125F, 0, -1); }},
        {"gelu", [](const Image& x) { return MPS::CNNNeuronGeLUNode::node(x); }},
    };
    // Both evaluate one function on one number, each within a few units in the last place.
    constexpr double kAllowed = 16 * std::numeric_limits<float>::epsilon();
    for (const auto& device : graphDevices())
        for (const auto& [text, neuron] : neurons) {
            SCOPED_TRACE(device->name() + ", " + text);
            const auto build = [&, &neuron = neuron](const Image& x) {
                return std::vector<Image>{neuron(convolved(x))->resultImage()};
            };
            const auto without = outcome(device, build, Options::none());
            const auto with = outcome(device, build, only(kFuse));
            EXPECT_EQ(with.steps, 1u);
            EXPECT_LE(farthest(with.results[0], without.results[0]), kAllowed);
        }
}

TEST(PassNeurons, TheFirstOfAChainIsTakenInAndTheDescriptionNamesIt) {
    const auto build = [](const Image& x) {
        const auto relu = MPS::CNNNeuronReLUNode::node(convolved(x));
        relu->setLabel("first");
        return std::vector<Image>{MPS::CNNNeuronLinearNode::node(relu->resultImage(), 2, 1)->resultImage()};
    };
    for (const auto& device : graphDevices()) {
        const auto without = outcome(device, build, Options::none()), with = outcome(device, build, only(kFuse));
        EXPECT_EQ(without.steps, 3u);
        EXPECT_EQ(with.steps, 2u);
        EXPECT_EQ(with.results, without.results);
        const auto text = compile(device, build(inputNamed("x")), only(kFuse))->debugDescription();
        EXPECT_NE(text.find("with CNNNeuron 'first'"), std::string::npos) << text;
    }
}

TEST(PassNeurons, AFullyConnectedKernelTakesItsNeuronInAndAnotherUserOfTheWeightsDoesNot) {
    const auto build = [](const Image& x) {
        const auto weights = integerWeights(3, 2, 2);
        const auto a = MPS::CNNNeuronReLUNode::node(MPS::CNNConvolutionNode::node(x, weights)->resultImage());
        // The same data source without a neuron: the other kernel must not have one.
        const auto b = MPS::CNNConvolutionNode::node(a->resultImage(), weights)->resultImage();
        const auto c = MPS::CNNPoolingMaxNode::node(b, 7, 5, 7, 5)->resultImage();
        const auto full = integerWeights(1, 2, 4);
        const auto d = MPS::CNNNeuronAbsoluteNode::node(MPS::CNNFullyConnectedNode::node(c, full)->resultImage());
        return std::vector<Image>{d->resultImage(), b};
    };
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        const auto without = outcome(device, build, Options::none()), with = outcome(device, build, only(kFuse));
        EXPECT_EQ(without.steps, 6u);
        EXPECT_EQ(with.steps, 4u);
        EXPECT_EQ(with.results, without.results);
    }
}

TEST(PassNeurons, TheSingleFormGivesTheSame) {
    for (const auto& device : graphDevices()) {
        std::vector<Pictures> found;
        for (const auto& options : {Options::none(), only(kFuse)}) {
            const auto graph = compile(
                device, {MPS::CNNNeuronReLUNode::node(convolved(inputNamed("x")))->resultImage()}, options);
            graph->setFormat(PixelFormat::Float32);
            for (int twice = 0; twice < 2; ++twice) {
                const auto commands = device->newCommandQueue()->commandBuffer();
                const auto image = graph->encode(commands, {batchAs<float>(device, PixelFormat::Float32, integers(7, 5, 2))[0]});
                commands->commit();
                commands->waitUntilCompleted();
                found.push_back(picturesAs<float>({image}));
            }
        }
        for (const auto& pictures : found) EXPECT_EQ(pictures, found[0]);
    }
}

TEST(PassNeurons, AConvolutionWhoseImageLeavesTheGraphStaysAlone) {
    expectKept([](const Image& x) {
        const auto image = convolved(x);
        image->setExportFromGraph(true);
        image->setImageAllocator(MPS::Image::defaultAllocator());
        return std::vector<Image>{MPS::CNNNeuronReLUNode::node(image)->resultImage()};
    });
    expectKept([](const Image& x) {
        const auto image = convolved(x);
        return std::vector<Image>{MPS::CNNNeuronReLUNode::node(image)->resultImage(), image};
    });
}

TEST(PassNeurons, AConvolutionWithASecondReaderStaysAlone) {
    expectKept([](const Image& x) {
        const auto image = convolved(x);
        return std::vector<Image>{MPS::CNNNeuronReLUNode::node(image)->resultImage(),
                                  MPS::CNNNeuronAbsoluteNode::node(image)->resultImage()};
    });
    expectKept([](const Image& x) {
        const auto image = convolved(x);
        return std::vector<Image>{MPS::NNAdditionNode::node(image, MPS::CNNNeuronReLUNode::node(image)->resultImage())->resultImage()};
    });
}

TEST(PassNeurons, ANeuronWithAPolicyOfTheUserIsAskedForItsSize) {
    struct Policy final : MPS::NNPadding {
        MPS::NNPaddingMethod paddingMethod() const override { return MPS::NNPaddingMethodCustom; }
        MPS::ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<MPS::Image>>&,
                                                        const MPS::StateBatch&, MPS::Kernel&,
                                                        const MPS::ImageDescriptor& suggested) override {
            auto descriptor = suggested;
            descriptor.width -= 2;
            return descriptor;
        }
    };
    expectKept([](const Image& x) {
        const auto neuron = MPS::CNNNeuronReLUNode::node(convolved(x));
        neuron->setPaddingPolicy(std::make_shared<Policy>());
        return std::vector<Image>{neuron->resultImage()};
    });
}

TEST(PassNeurons, AnAllocatorOfTheUserSeesItsImage) {
    struct Allocator final : MPS::ImageAllocator {
        std::shared_ptr<MPS::Image> image(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                          const MPS::ImageDescriptor& descriptor, const MPS::Kernel*) override {
            ++calls;
            return std::make_shared<MPS::Image>(commandBuffer->device(), descriptor);
        }
        int calls = 0;
    };
    const auto allocator = std::make_shared<Allocator>();
    expectKept([&](const Image& x) {
        const auto image = convolved(x);
        image->setImageAllocator(allocator);
        return std::vector<Image>{MPS::CNNNeuronReLUNode::node(image)->resultImage()};
    });
    // Three graphs a device, three pictures each.
    EXPECT_EQ(allocator->calls, 9 * static_cast<int>(graphDevices().size()));
}

TEST(PassNeurons, AnImageInAFormatThatClampsIsMade) {
    for (const auto format : {PixelFormat::Unorm8, PixelFormat::Unorm16})
        expectKept([&](const Image& x) {
            const auto image = convolved(x);
            image->setFormat(format);
            return std::vector<Image>{MPS::CNNNeuronLinearNode::node(image, 0.5F, 0)->resultImage()};
        });
}

TEST(PassNeurons, AConvolutionThatHasANeuronKeepsIt) {
    expectKept([](const Image& x) {
        const auto weights = integerWeights(3, 2, 3);
        weights->descriptor()->setFusedNeuronDescriptor(
            MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::Linear, 2, 1));
        return std::vector<Image>{
            MPS::CNNNeuronReLUNode::node(MPS::CNNConvolutionNode::node(x, weights)->resultImage())->resultImage()};
    });
}

TEST(PassNeurons, InATrainingGraphNothingIsTakenIn) {
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        std::vector<std::vector<Pictures>> results;
        std::vector<std::size_t> steps;
        for (const auto& options : {Options::none(), only(kFuse)}) {
            const auto x = inputNamed("x");
            const auto neuron = MPS::CNNNeuronReLUNode::node(convolved(x));
            const auto terminus = neuron->trainingGraph(inputNamed("gradient")).front();
            const auto graph = compile(device, {terminus->resultImage()}, options);
            results.push_back(run(device, *graph, {{"x", integers(7, 5, 2, 3)}, {"gradient", integers(7, 5, 3, 3)}}));
            steps.push_back(stepsOf(*graph));
        }
        EXPECT_EQ(steps[0], steps[1]);
        EXPECT_EQ(results[0], results[1]);
    }
}

TEST(PassNeurons, APReLUWithAnotherNumberOfSlopesIsRefusedAlike) {
    for (const auto& device : graphDevices()) {
        std::vector<std::string> messages;
        for (const auto& options : {Options::none(), only(kFuse)})
            messages.push_back(messageOf([&] {
                const auto neuron = MPS::CNNNeuronPReLUNode::node(convolved(inputNamed("x")), {1, 2});
                neuron->setLabel("slopes");
                const auto graph = compile(device, {neuron->resultImage()}, options);
                run(device, *graph, given());
            }));
        EXPECT_EQ(messages[0], messages[1]);
        EXPECT_NE(messages[0].find("slopes"), std::string::npos) << messages[0];
    }
}

TEST(PassNeurons, ReloadedWeightsAreFollowedByTheNeuron) {
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        std::vector<std::vector<Pictures>> results[2];
        for (const bool fused : {false, true}) {
            const auto weights = integerWeights(3, 2, 3);
            const auto graph = compile(
                device,
                {MPS::CNNNeuronReLUNode::node(MPS::CNNConvolutionNode::node(inputNamed("x"), weights)->resultImage())->resultImage()},
                fused ? only(kFuse) : Options::none());
            for (int round = 0; round < 3; ++round) {
                results[fused].push_back(run(device, *graph, given()));
                for (auto& value : weights->values) value = 1 - value;
                weights->biases[0] += 5;
                graph->reloadFromDataSources();
            }
        }
        EXPECT_EQ(results[0], results[1]);
        EXPECT_NE(results[0][0], results[0][1]);
    }
}
