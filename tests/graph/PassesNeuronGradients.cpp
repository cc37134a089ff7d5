#include <MPS/CNNConvolutionTransposeNode.hpp>
#include <limits>

#include "PassesTraining.h"

/// Neurons of training graphs that become part of the layers before them, forward and backward.
using namespace pewter::test;

namespace {

constexpr auto kFuse = &Options::fuseNeuronGradients;

using Neuron = std::function<Image(const Image&)>;
using NamedNeurons = std::vector<std::pair<const char*, Neuron>>;

Image of(const std::shared_ptr<MPS::CNNNeuronNode>& node) { return node->resultImage(); }

/// Neurons whose derivative can be told from their result.
const NamedNeurons& told() {
    static const NamedNeurons neurons{
        {"leaky", [](const Image& x) { return of(MPS::CNNNeuronReLUNode::node(x, 0.25F)); }},
        {"steep", [](const Image& x) { return of(MPS::CNNNeuronReLUNode::node(x, 2)); }},
        {"relu n", [](const Image& x) { return of(MPS::CNNNeuronReLUNNode::node(x, 0.5F, 6)); }},
        {"linear", [](const Image& x) { return of(MPS::CNNNeuronLinearNode::node(x, -2, 3)); }},
        {"prelu", [](const Image& x) { return of(MPS::CNNNeuronPReLUNode::node(x, {0.5F, 2, 0.25F})); }},
    };
    return neurons;
}

/// Neurons whose derivative needs their input.
const NamedNeurons& hidden() {
    static const NamedNeurons neurons{
        {"relu", [](const Image& x) { return of(MPS::CNNNeuronReLUNode::node(x)); }},
        {"falling", [](const Image& x) { return of(MPS::CNNNeuronReLUNode::node(x, -0.5F)); }},
        {"relu 6", [](const Image& x) { return of(MPS::CNNNeuronReLUNNode::node(x, 0, 6)); }},
        {"relu of a limit that rounds", [](const Image& x) { return of(MPS::CNNNeuronReLUNNode::node(x, 0.5F, 0.1F)); }},
        {"prelu with a 0", [](const Image& x) { return of(MPS::CNNNeuronPReLUNode::node(x, {0.5F, 0, 1})); }},
        {"absolute", [](const Image& x) { return of(MPS::CNNNeuronAbsoluteNode::node(x)); }},
        {"hard sigmoid", [](const Image& x) { return of(MPS::CNNNeuronHardSigmoidNode::node(x, 0.25F, 0.5F)); }},
        {"sigmoid", [](const Image& x) { return of(MPS::CNNNeuronSigmoidNode::node(x)); }},
        {"tanh", [](const Image& x) { return of(MPS::CNNNeuronTanHNode::node(x, 1.5F, 0.125F)); }},
        {"elu", [](const Image& x) { return of(MPS::CNNNeuronELUNode::node(x, 0.75F)); }},
        {"gelu", [](const Image& x) { return of(MPS::CNNNeuronGeLUNode::node(x)); }},
    };
    return neurons;
}

/// Convolution, neuron, convolution: the gradient comes to the neuron from inside the graph.
BuildTrained between(const Neuron& neuron) {
    return [neuron](TrainedNet& net) { return net.convolved(neuron(net.convolved(net.x, 3, 3, 3)), 3, 3, 3); };
}

/// A batch normalisation in place of the first convolution's neighbour.
BuildTrained normalised(const Neuron& neuron) {
    return [neuron](TrainedNet& net) {
        const auto norm = MPS::CNNBatchNormalizationNode::node(net.convolved(net.x, 3, 3, 3),
                                                               std::make_shared<Normalization>(3));
        return net.convolved(neuron(norm->resultImage()), 3, 3, 3);
    };
}

constexpr std::size_t kImage = 8 * 4 * 3 * sizeof(float);

/// Compiled with the rewrite, `less` steps are missing; the numbers are the same.
void expectFused(const BuildTrained& build, std::size_t less, const TrainedShape& shape = {}) {
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        const auto without = train(device, build, Options::none(), shape), with = train(device, build, only(kFuse), shape);
        EXPECT_EQ(with.steps + less, without.steps);
        expectSame(with, without);
        EXPECT_LE(with.peak, without.peak);
    }
}

Image relu(const Image& x) { return of(MPS::CNNNeuronReLUNode::node(x, 0.5F)); }

}  // namespace

TEST(PassNeuronGradients, WhereTheResultTellsTheDerivativeTheNeuronLeavesNoImageBehind) {
    for (const auto& device : graphDevices())
        for (const auto& [text, neuron] : told()) {
            SCOPED_TRACE(device->name() + ", " + text);
            auto apart = Options::none();
            apart.inPlace = true;
            auto fused = apart;
            fused.fuseNeuronGradients = true;
            const auto without = train(device, between(neuron), apart), with = train(device, between(neuron), fused);
            expectSame(with, without);
            EXPECT_EQ(with.steps + 2, without.steps);
            EXPECT_EQ(with.peak + kImage, without.peak);
            EXPECT_EQ(with.report.images.size() + 2, without.report.images.size());
            EXPECT_EQ(with.report.states.size() + 1, without.report.states.size());
        }
}

TEST(PassNeuronGradients, OtherNeuronsKeepTheirInputAndTheirGradientGoesIntoTheConvolutions) {
    for (const auto& [text, neuron] : hidden()) {
        SCOPED_TRACE(text);
        expectFused(between(neuron), 1);
    }
}

TEST(PassNeuronGradients, TheDerivativeAtTheKinkIsTheRightOne) {
    // The convolution passes its source on: -2 .. 2 go into the neuron, and a gradient of 1 comes back.
    for (const auto& device : graphDevices())
        for (const float slope : {0.5F, 0.0F}) {
            SCOPED_TRACE(device->name());
            const auto x = inputNamed("x");
            const auto one = std::make_shared<Weights>(1, 1, 1);
            one->values = {1};
            const auto conv = MPS::CNNConvolutionNode::node(x, one);
            const auto neuron = MPS::CNNNeuronReLUNode::node(conv->resultImage(), slope);
            const auto last = MPS::CNNConvolutionNode::node(neuron->resultImage(), one);
            const auto terminus = last->trainingGraph(inputNamed("gradient")).front();
            const auto graph = compile(device, {terminus->resultImage()}, only(kFuse));
            // Without a slope 0 may have been anything below: the neuron stays forward.
            EXPECT_EQ(stepsOf(*graph), slope > 0 ? 4u : 5u);
            const NamedPictures given{{"x", {5, 1, 1, {-2, -1, 0, 1, 2}}}, {"gradient", {5, 1, 1, {1, 1, 1, 1, 1}}}};
            EXPECT_EQ(run(device, *graph, given)[0].values, (Numbers{slope, slope, 1, 1, 1}));
        }
}

TEST(PassNeuronGradients, ANormalisationTakesItsNeuronInBothWays) {
    NamedNeurons all = told();
    all.insert(all.end(), hidden().begin(), hidden().end());
    for (const auto& device : graphDevices())
        for (const auto& [text, neuron] : all) {
            SCOPED_TRACE(device->name() + ", " + text);
            const auto build = normalised(neuron);
            auto apart = Options::none();
            apart.inPlace = true;
            auto fused = apart;
            fused.fuseNeuronGradients = true;
            const auto without = train(device, build, apart), with = train(device, build, fused);
            EXPECT_EQ(with.steps + 2, without.steps);
            EXPECT_LT(with.peak, without.peak);
            EXPECT_EQ(with.report.images.size() + 2, without.report.images.size());
            ASSERT_EQ(with.gradients.size(), without.gradients.size());
            // The value between is not rounded to float32: one unit in the last place at each of two layers of 27 products.
            const double allowed = 2 * 27 * 8 * std::numeric_limits<float>::epsilon();
            for (std::size_t i = 0; i < with.gradients.size(); ++i) {
                double scale = 1;
                for (const double value : without.gradients[i].values) scale = std::max(scale, std::fabs(value));
                for (std::size_t k = 0; k < with.gradients[i].values.size(); ++k)
                    EXPECT_NEAR(with.gradients[i].values[k], without.gradients[i].values[k], allowed * scale);
            }
        }
}

TEST(PassNeuronGradients, AFullyConnectedAndATransposedConvolutionTakeTheGradientIn) {
    TrainedShape one{.width = 6, .outputWidth = 1, .outputHeight = 1};
    expectFused(
        [](TrainedNet& net) {
            const auto pooled = MPS::CNNPoolingAverageNode::node(net.x, 6, 4, 6, 4)->resultImage();
            const auto full = MPS::CNNFullyConnectedNode::node(pooled, net.weights(1, 3, 3));
            return net.convolved(relu(full->resultImage()), 1, 3, 3);
        },
        2, one);
    expectFused(
        [](TrainedNet& net) {
            const auto state = std::shared_ptr<MPS::CNNConvolutionGradientStateNode>();
            const auto up = MPS::CNNConvolutionTransposeNode::node(net.x, state, net.weights(1, 3, 3));
            return net.convolved(relu(up->resultImage()), 1, 3, 3);
        },
        1);
}

TEST(PassNeuronGradients, ABatchAndTheSingleFormGiveTheSame) {
    expectFused(between(relu), 2, {.count = 3});
    for (const auto& device : graphDevices()) {
        std::vector<Pictures> found;
        for (const auto& options : {Options::none(), only(kFuse), Options{}})
            for (auto& pictures : singleForm(device, between(relu), options, 2)) found.push_back(std::move(pictures));
        for (const auto& pictures : found) EXPECT_EQ(pictures, found[0]);
    }
}

TEST(PassNeuronGradients, AGradientThatIsReadAgainIsNotOverwritten) {
    // The gradient of the sum goes to both operands.
    expectFused(
        [](TrainedNet& net) {
            const auto a = relu(net.convolved(net.x, 3, 3, 3)), b = relu(net.convolved(net.x, 1, 3, 3));
            return net.convolved(MPS::NNAdditionNode::node(a, b)->resultImage(), 1, 3, 3);
        },
        4);
}

TEST(PassNeuronGradients, ImagesOfFewerBitsHoldTheSameIntegers) {
    const auto halves = [](Image image) {
        image->setFormat(PixelFormat::Float16);
        return image;
    };
    TrainedShape shape;
    shape.handler = [&](const auto& filter, const auto& forward, const auto&, const auto&) {
        if (forward && std::string(forward->className()) != "CNNConvolutionNode") halves(filter->resultImage());
    };
    expectFused(
        [&](TrainedNet& net) {
            const auto pooled = MPS::CNNPoolingMaxNode::node(halves(relu(halves(net.convolved(net.x, 3, 3, 3)))), 3, 1);
            return net.convolved(halves(pooled->resultImage()), 1, 3, 3);
        },
        2, shape);
}

TEST(PassNeuronGradients, WhatSomebodyElseSeesStaysApart) {
    struct Policy final : MPS::NNPadding {
        MPS::NNPaddingMethod paddingMethod() const override { return MPS::NNPaddingMethodCustom; }
        MPS::ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<MPS::Image>>&,
                                                        const MPS::StateBatch&, MPS::Kernel&,
                                                        const MPS::ImageDescriptor& suggested) override {
            return suggested;
        }
    };
    struct Allocator final : MPS::ImageAllocator {
        std::shared_ptr<MPS::Image> image(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                          const MPS::ImageDescriptor& descriptor, const MPS::Kernel*) override {
            return std::make_shared<MPS::Image>(commandBuffer->device(), descriptor);
        }
    };
    using Change = std::function<void(const Image&)>;
    const std::vector<std::pair<const char*, Change>> changes{
        {"exported", [](const Image& image) { image->setExportFromGraph(true); }},
        {"an allocator", [](const Image& image) { image->setImageAllocator(std::make_shared<Allocator>()); }},
        {"a policy", [](const Image& image) { image->producer()->setPaddingPolicy(std::make_shared<Policy>()); }},
        {"a format that clamps", [](const Image& image) { image->setFormat(PixelFormat::Unorm8); }},
    };
    // Steps of a training graph of conv, norm, neuron, conv, with the image of one of them changed.
    const auto steps = [](const std::shared_ptr<MTL::Device>& device, bool forward, bool norm, const Change& change,
                          const Options& options) {
        TrainedNet net;
        Image input, last;
        input = net.convolved(net.x, 3, 3, 3);
        if (norm)
            input = MPS::CNNBatchNormalizationNode::node(input, std::make_shared<Normalization>(3))->resultImage();
        const auto neuron = MPS::CNNNeuronReLUNode::node(input, 0.5F);
        last = net.convolved(neuron->resultImage(), 3, 3, 3);
        if (forward && change) change(input);
        const auto termini = last->producer()->trainingGraph(
            inputNamed("gradient"), [&](const auto& filter, const auto& of, const auto&, const auto&) {
                if (!forward && of == neuron && change) change(filter->resultImage());
            });
        return stepsOf(*compile(device, {termini.front()->resultImage()}, options));
    };
    for (const auto& device : graphDevices())
        for (const bool norm : {false, true}) {
            const std::size_t all = steps(device, true, norm, nullptr, Options::none());
            EXPECT_EQ(steps(device, true, norm, nullptr, only(kFuse)), all - 2);
            for (const auto& [text, change] : changes) {
                SCOPED_TRACE(device->name() + ", " + text);
                // Between the layer and the neuron: a convolution still takes the gradient in.
                if (std::string(text) != "a policy") {
                    EXPECT_EQ(steps(device, true, norm, change, only(kFuse)), norm ? all : all - 1);
                }
                // The gradient between the two gradient kernels.
                EXPECT_EQ(steps(device, false, norm, change, only(kFuse)), all);
            }
        }
}
