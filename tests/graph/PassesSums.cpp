#include <gmock/gmock.h>

#include <limits>

#include "PassesTraining.h"

/// Sums behind batch normalisations, with the neuron behind them, that become part of the normalisation.
using namespace pewter::test;
using testing::HasSubstr;

namespace {

constexpr auto kFuse = &Options::fuseSums;

using Neuron = std::function<Image(const Image&)>;
using NamedNeurons = std::vector<std::pair<const char*, Neuron>>;

Image of(const std::shared_ptr<MPS::CNNNeuronNode>& node) { return node->resultImage(); }
Image relu(const Image& x) { return of(MPS::CNNNeuronReLUNode::node(x)); }

const NamedNeurons& neurons() {
    static const NamedNeurons all{
        {"relu", relu},
        {"leaky", [](const Image& x) { return of(MPS::CNNNeuronReLUNode::node(x, 0.25F)); }},
        {"prelu", [](const Image& x) { return of(MPS::CNNNeuronPReLUNode::node(x, {0.5F, 0, 2})); }},
        {"sigmoid", [](const Image& x) { return of(MPS::CNNNeuronSigmoidNode::node(x)); }},
        {"gelu", [](const Image& x) { return of(MPS::CNNNeuronGeLUNode::node(x)); }},
    };
    return all;
}

Image normalised(const Image& x) {
    return MPS::CNNBatchNormalizationNode::node(x, std::make_shared<Normalization>(3))->resultImage();
}
Image sum(const Image& a, const Image& b) { return MPS::NNAdditionNode::node(a, b)->resultImage(); }

/// What a residual network repeats: the input goes past a convolution with its normalisation.
Image block(TrainedNet& net, const Image& x, const Neuron& neuron, bool swapped = false) {
    const auto y = normalised(net.convolved(x, 3, 3, 3));
    return neuron(swapped ? sum(x, y) : sum(y, x));
}

/// Blocks between two convolutions.
BuildTrained residual(const Neuron& neuron, std::size_t blocks = 1, bool swapped = false) {
    return [=](TrainedNet& net) {
        auto x = net.convolved(net.x, 3, 3, 3);
        for (std::size_t i = 0; i < blocks; ++i) x = block(net, x, neuron, swapped);
        return net.convolved(x, 3, 3, 3);
    };
}

/// Both operands come from normalisations: the last of them takes the sum.
Image projected(TrainedNet& net) {
    const auto x = net.convolved(net.x, 3, 3, 3);
    const auto left = normalised(net.convolved(x, 3, 3, 3)), right = normalised(net.convolved(x, 1, 3, 3));
    return net.convolved(relu(sum(left, right)), 3, 3, 3);
}

Options inPlace(bool fuse, bool accumulate = false) {
    auto options = Options::none();
    options.inPlace = true;
    options.fuseSums = fuse;
    options.accumulateGradients = accumulate;
    return options;
}

/// Equal up to the rounding of values between, at each of `layers` layers of 27 products.
void expectClose(const Training& found, const Training& expected, std::size_t layers) {
    const double allowed = static_cast<double>(layers) * 27 * 8 * std::numeric_limits<float>::epsilon();
    const auto compare = [&](const auto& some, const auto& others) {
        ASSERT_EQ(some.size(), others.size());
        double scale = 1;
        for (const auto value : others) scale = std::max(scale, std::fabs(static_cast<double>(value)));
        for (std::size_t i = 0; i < some.size(); ++i) EXPECT_NEAR(some[i], others[i], allowed * scale);
    };
    ASSERT_EQ(found.gradients.size(), expected.gradients.size());
    for (std::size_t i = 0; i < found.gradients.size(); ++i)
        compare(found.gradients[i].values, expected.gradients[i].values);
    ASSERT_EQ(found.ofWeights.size(), expected.ofWeights.size());
    for (std::size_t i = 0; i < found.ofWeights.size(); ++i) compare(found.ofWeights[i], expected.ofWeights[i]);
}

/// Compiled with the rewrite, `less` steps are missing; the numbers are nearly the same.
void expectFused(const BuildTrained& build, std::size_t less, std::size_t layers, const TrainedShape& shape = {}) {
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        const auto without = train(device, build, inPlace(false), shape), with = train(device, build, inPlace(true), shape);
        EXPECT_EQ(with.steps + less, without.steps);
        EXPECT_LE(with.peak, without.peak);
        expectClose(with, without, layers);
    }
}

}  // namespace

TEST(PassSums, TheNormalisationTakesSumAndNeuronInBothWays) {
    for (const auto& [text, neuron] : neurons())
        for (const bool swapped : {false, true}) {
            SCOPED_TRACE(std::string(text) + (swapped ? ", swapped" : ""));
            for (const auto& device : graphDevices()) {
                SCOPED_TRACE(device->name());
                const auto build = residual(neuron, 1, swapped);
                const auto without = train(device, build, inPlace(false)), with = train(device, build, inPlace(true));
                expectClose(with, without, 3);
                // Sum, neuron, and the sum's two gradients.
                EXPECT_EQ(with.steps + 4, without.steps);
                // The normalised image, the sum, and the gradients of its operands are not made.
                EXPECT_EQ(with.report.images.size() + 4, without.report.images.size());
                EXPECT_EQ(with.report.states.size() + 2, without.report.states.size());
                EXPECT_LE(with.peak, without.peak);
            }
        }
}

TEST(PassSums, OfTwoNormalisationsTheLastTakesTheSum) { expectFused(projected, 4, 3); }

TEST(PassSums, BlocksOneBehindTheOtherAndBatchesGiveTheSame) {
    expectFused(residual(relu, 3), 12, 5);
    expectFused(residual(relu, 2), 8, 4, {.count = 3});
}

TEST(PassSums, AConvolutionAddsToTheGradientOfTheSumWhereItLies) {
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        const auto build = residual(relu, 2);
        const auto apart = train(device, build, inPlace(true, false)), there = train(device, build, inPlace(true, true));
        EXPECT_EQ(there.steps + 2, apart.steps);
        expectClose(there, apart, 4);
        EXPECT_LE(there.peak, apart.peak);
    }
}

TEST(PassSums, WithoutTrainingTheForwardKernelsAreOne) {
    for (const auto& device : graphDevices())
        for (const bool statistics : {false, true}) {
            SCOPED_TRACE(device->name());
            const auto graph = [&](const Options& options) {
                const auto x = inputNamed("x"), y = inputNamed("y");
                const auto node = MPS::CNNBatchNormalizationNode::node(x, std::make_shared<Normalization>(3));
                if (statistics) node->setFlags(MPS::CNNBatchNormalizationFlagsCalculateStatisticsAlways);
                return compile(device, {relu(sum(y, node->resultImage()))}, options);
            };
            const NamedPictures given{{"x", integers(8, 4, 3, 2)}, {"y", integers(8, 4, 3, 2)}};
            const auto apart = graph(Options::none()), fused = graph(only(kFuse));
            EXPECT_EQ(stepsOf(*fused) + 2, stepsOf(*apart));
            const auto expected = run(device, *apart, given), found = run(device, *fused, given);
            ASSERT_EQ(found.size(), expected.size());
            EXPECT_LE(farthest(found[0], expected[0]), 4 * std::numeric_limits<float>::epsilon());
            EXPECT_NE(expected[0].values, Numbers(expected[0].values.size()));
        }
}

TEST(PassSums, TheSingleFormGivesTheSame) {
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        const auto apart = singleForm(device, residual(relu), Options::none(), 1);
        for (const auto& fused : singleForm(device, residual(relu), only(kFuse), 2))
            EXPECT_LE(farthest(fused, apart[0]), 3 * 27 * 8 * std::numeric_limits<float>::epsilon());
    }
}

TEST(PassSums, ImagesOfDifferentSizesAreNamed) {
    for (const auto& device : graphDevices()) {
        const auto x = inputNamed("x"), y = inputNamed("y");
        const auto norm = MPS::CNNBatchNormalizationNode::node(x, std::make_shared<Normalization>(3));
        norm->setLabel("norm");
        const auto graph = compile(device, {relu(sum(norm->resultImage(), y))}, only(kFuse));
        try {
            run(device, *graph, {{"x", integers(8, 4, 3)}, {"y", integers(8, 2, 3)}});
            FAIL() << "no error";
        } catch (const MPS::Error& error) {
            EXPECT_THAT(error.what(), HasSubstr("'norm': image added: expected"));
            EXPECT_THAT(error.what(), HasSubstr("NNGraphOptions::fuseSums"));
            EXPECT_THAT(error.what(), HasSubstr("8 x 2 x 3"));
        }
        // The graph is as it was.
        EXPECT_EQ(run(device, *graph, {{"x", integers(8, 4, 3)}, {"y", integers(8, 4, 3)}}).size(), 1u);
    }
}

TEST(PassSums, WhatSomebodyElseSeesStaysApart) {
    using Change = std::function<void(const Image& normalised, const Image& sum)>;
    const std::vector<std::pair<const char*, Change>> changes{
        {"an exported operand", [](const Image& one, const Image&) { one->setExportFromGraph(true); }},
        {"an exported sum", [](const Image&, const Image& two) { two->setExportFromGraph(true); }},
        {"a format that clamps", [](const Image&, const Image& two) { two->setFormat(PixelFormat::Unorm8); }},
        {"another scale",
         [](const Image&, const Image& two) {
             dynamic_cast<MPS::NNAdditionNode&>(*two->producer()).setSecondaryScale(2);
         }},
    };
    for (const auto& device : graphDevices()) {
        const auto steps = [&](const Change& change, const Options& options) {
            TrainedNet net;
            const auto x = net.convolved(net.x, 3, 3, 3);
            const auto one = normalised(net.convolved(x, 3, 3, 3)), two = sum(one, x);
            if (change) change(one, two);
            const auto last = net.convolved(relu(two), 3, 3, 3);
            return stepsOf(*compile(device, {last->producer()->trainingGraph(inputNamed("gradient")).front()->resultImage()},
                                    options));
        };
        const std::size_t all = steps(nullptr, Options::none());
        EXPECT_EQ(steps(nullptr, only(kFuse)), all - 4);
        for (const auto& [text, change] : changes) {
            SCOPED_TRACE(device->name() + ", " + text);
            EXPECT_EQ(steps(change, only(kFuse)), all);
        }
    }
}
