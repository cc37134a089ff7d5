#include <limits>

#include "PassesRun.h"

/// Batch normalisations with stored statistics that become part of the convolution before them, and dead code.
using namespace pewter::test;

namespace {

constexpr auto kFold = &Options::foldBatchNormalization;

/// Factors 2 / 2, 4 / 2, -2 / 2 ...: exact on integers.
class Statistics : public MPS::CNNBatchNormalizationDataSource {
public:
    explicit Statistics(std::size_t channels) {
        for (std::size_t i = 0; i < channels; ++i) {
            gammas.push_back(i % 3 == 2 ? -2.0F : static_cast<float>(2 + 2 * (i % 3)));
            betas.push_back(static_cast<float>(i) - 1);
            means.push_back(static_cast<float>(3 * i) - 2);
            variances.push_back(3.75F);
        }
    }
    std::size_t numberOfFeatureChannels() const override { return gammas.size(); }
    const float* gamma() override { return gammas.data(); }
    const float* beta() override { return betas.data(); }
    const float* mean() override { return means.data(); }
    const float* variance() override { return variances.data(); }
    float epsilon() const override { return 0.25F; }
    bool load() override { return true; }
    void purge() override {}
    std::string label() const override { return "statistics"; }
    using CNNBatchNormalizationDataSource::updateGammaAndBeta;
    using CNNBatchNormalizationDataSource::updateMeanAndVariance;

    std::vector<float> gammas, betas, means, variances;
};

const NamedPictures& given() {
    static const NamedPictures pictures{{"x", integers(7, 5, 2, 3)}};
    return pictures;
}

std::shared_ptr<MPS::CNNBatchNormalizationNode> normalized(const Image& x, std::size_t channels = 3) {
    return MPS::CNNBatchNormalizationNode::node(x, std::make_shared<Statistics>(channels));
}

Image convolved(const Image& x) { return MPS::CNNConvolutionNode::node(x, integerWeights(3, 2, 3))->resultImage(); }

struct Outcome {
    std::vector<Pictures> results;
    std::size_t steps = 0;
};
using Build = std::function<std::vector<Image>(const Image&)>;

Outcome outcome(const std::shared_ptr<MTL::Device>& device, const Build& build, const Options& options) {
    const auto results = build(inputNamed("x"));
    for (std::size_t i = 1; i < results.size(); ++i) results[i]->setImageAllocator(MPS::Image::defaultAllocator());
    const auto graph = compile(device, results, options);
    return {run(device, *graph, given()), stepsOf(*graph)};
}

void expectSteps(std::size_t without, std::size_t with, const Build& build, Options options = only(kFold)) {
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        const auto plain = outcome(device, build, Options::none()), folded = outcome(device, build, options);
        EXPECT_EQ(plain.steps, without);
        EXPECT_EQ(folded.steps, with);
        EXPECT_EQ(folded.results, plain.results);
    }
}

}  // namespace

TEST(PassNormalization, FoldedIntoItsConvolutionItGivesTheSameNumbersInOneStepInsteadOfTwo) {
    const Build build = [](const Image& x) { return std::vector<Image>{normalized(convolved(x))->resultImage()}; };
    expectSteps(2, 1, build);
    expectSteps(2, 1, build, Options{});
}

TEST(PassNormalization, NumbersThatRoundStayWithinTheLengthOfTheSum) {
    const Build build = [](const Image& x) {
        const auto weights = integerWeights(3, 2, 3);
        for (auto& value : weights->values) value = std::sin(value * 1.7F);
        const auto statistics = std::make_shared<Statistics>(3);
        statistics->variances = {0.3F, 1.7F, 0.9F};
        statistics->means = {0.1F, -0.7F, 0.2F};
        return std::vector<Image>{
            MPS::CNNBatchNormalizationNode::node(MPS::CNNConvolutionNode::node(x, weights)->resultImage(), statistics)
                ->resultImage()};
    };
    for (const auto& device : graphDevices()) {
        const auto plain = outcome(device, build, Options::none()), folded = outcome(device, build, only(kFold));
        EXPECT_EQ(folded.steps, 1u);
        // 18 products and a bias, each at most 3 gamma / sqrt(0.55) and so under 17, rounded once more in their weights.
        constexpr double kAllowed = 19 * 17 * std::numeric_limits<float>::epsilon();
        EXPECT_LE(farthest(folded.results[0], plain.results[0]), kAllowed);
    }
}

TEST(PassNormalization, WithItsNeuronAllThreeAreOneStep) {
    const Build build = [](const Image& x) {
        const auto relu = MPS::CNNNeuronReLUNode::node(normalized(convolved(x))->resultImage(), 0.5F);
        return std::vector<Image>{relu->resultImage()};
    };
    expectSteps(3, 2, build);
    expectSteps(3, 3, build, only(&Options::fuseNeurons));
    expectSteps(3, 1, build, Options{});
}

TEST(PassNormalization, TwoInARowAndTwoConvolutionsOfOneDataSource) {
    expectSteps(3, 2, [](const Image& x) {
        return std::vector<Image>{normalized(normalized(convolved(x))->resultImage())->resultImage()};
    });
    expectSteps(4, 2, [](const Image& x) {
        const auto weights = integerWeights(3, 2, 2);
        const auto a = MPS::CNNConvolutionNode::node(x, weights)->resultImage();
        const auto b = MPS::CNNConvolutionNode::node(normalized(a, 2)->resultImage(), weights)->resultImage();
        const auto other = std::make_shared<Statistics>(2);
        other->gammas = {8, -4};
        return std::vector<Image>{MPS::CNNBatchNormalizationNode::node(b, other)->resultImage()};
    });
    expectSteps(3, 2, [](const Image& x) {
        const auto weights = integerWeights(3, 2, 2);
        const auto a = MPS::CNNConvolutionNode::node(x, weights)->resultImage();
        return std::vector<Image>{MPS::CNNConvolutionNode::node(normalized(a, 2)->resultImage(), weights)->resultImage()};
    });
}

TEST(PassNormalization, WithoutBiasesTheConvolutionGetsThem) {
    struct Unbiased final : Weights {
        Unbiased() : Weights(3, 2, 3) { values = integerWeights(3, 2, 3)->values; }
        const float* biasTerms() const override { return nullptr; }
    };
    expectSteps(2, 1, [](const Image& x) {
        const auto image = MPS::CNNConvolutionNode::node(x, std::make_shared<Unbiased>())->resultImage();
        return std::vector<Image>{normalized(image)->resultImage()};
    });
}

TEST(PassNormalization, ReloadsOfEitherDataSourceReachTheFoldedWeights) {
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        std::vector<std::vector<Pictures>> results[2];
        for (const bool folded : {false, true}) {
            const auto weights = integerWeights(3, 2, 3);
            const auto statistics = std::make_shared<Statistics>(3);
            const auto node = MPS::CNNBatchNormalizationNode::node(
                MPS::CNNConvolutionNode::node(inputNamed("x"), weights)->resultImage(), statistics);
            const auto graph = compile(device, {node->resultImage()}, folded ? only(kFold) : Options::none());
            const auto add = [&] { results[folded].push_back(run(device, *graph, given())); };
            add();
            graph->reloadFromDataSources();
            add();
            for (auto& value : weights->values) value = 1 - value;
            graph->reloadFromDataSources();
            add();
            statistics->gammas[1] = -6;
            statistics->means[0] += 4;
            statistics->betas[2] = 7;
            statistics->variances[2] = 0.75F;
            graph->reloadFromDataSources();
            add();
            add();
        }
        EXPECT_EQ(results[0], results[1]);
        EXPECT_EQ(results[1][0], results[1][1]);
        EXPECT_NE(results[1][1], results[1][2]);
        EXPECT_NE(results[1][2], results[1][3]);
    }
}

TEST(PassNormalization, TheSingleFormGivesTheSame) {
    for (const auto& device : graphDevices()) {
        std::vector<Pictures> found;
        for (const auto& options : {Options::none(), only(kFold)}) {
            const auto graph = compile(device, {normalized(convolved(inputNamed("x")))->resultImage()}, options);
            graph->setFormat(PixelFormat::Float32);
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto image = graph->encode(commands, {batchAs<float>(device, PixelFormat::Float32, integers(7, 5, 2))[0]});
            commands->commit();
            commands->waitUntilCompleted();
            found.push_back(picturesAs<float>({image}));
        }
        EXPECT_EQ(found[0], found[1]);
    }
}

TEST(PassNormalization, AnImageThatOthersSeeOrStatisticsOfTheBatchKeepItApart) {
    expectSteps(2, 2, [](const Image& x) {
        const auto image = convolved(x);
        image->setExportFromGraph(true);
        image->setImageAllocator(MPS::Image::defaultAllocator());
        return std::vector<Image>{normalized(image)->resultImage()};
    });
    expectSteps(3, 3, [](const Image& x) {
        const auto image = convolved(x);
        return std::vector<Image>{MPS::NNAdditionNode::node(image, normalized(image)->resultImage())->resultImage()};
    });
    expectSteps(3, 3, [](const Image& x) {
        const auto relu = MPS::CNNNeuronReLUNode::node(convolved(x))->resultImage();
        return std::vector<Image>{normalized(relu)->resultImage()};
    });
    expectSteps(2, 2, [](const Image& x) {
        const auto node = normalized(convolved(x));
        node->setFlags(MPS::CNNBatchNormalizationFlagsCalculateStatisticsAlways);
        return std::vector<Image>{node->resultImage()};
    });
    expectSteps(2, 2, [](const Image& x) {
        const auto weights = integerWeights(3, 2, 3);
        weights->descriptor()->setFusedNeuronDescriptor(
            MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU, 0));
        return std::vector<Image>{normalized(MPS::CNNConvolutionNode::node(x, weights)->resultImage())->resultImage()};
    });
}

TEST(PassNormalization, TrainingGraphsKeepItWhateverTheStyles) {
    for (const auto& device : graphDevices())
        for (const auto style : {MPS::NNTrainingStyle::UpdateDeviceGPU, MPS::NNTrainingStyle::UpdateDeviceNone}) {
            SCOPED_TRACE(device->name());
            std::vector<std::vector<Pictures>> results;
            std::vector<std::size_t> steps;
            for (const auto& options : {Options::none(), only(kFold)}) {
                const auto convolution = MPS::CNNConvolutionNode::node(inputNamed("x"), integerWeights(3, 2, 3));
                convolution->setTrainingStyle(style);
                const auto node = normalized(convolution->resultImage());
                node->setFlags(MPS::CNNBatchNormalizationFlagsCalculateStatisticsNever);
                node->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
                const auto terminus = node->trainingGraph(inputNamed("gradient")).front();
                const auto graph = compile(device, {terminus->resultImage()}, options);
                results.push_back(run(device, *graph, {{"x", integers(7, 5, 2, 3)}, {"gradient", integers(7, 5, 3, 3)}}));
                steps.push_back(stepsOf(*graph));
            }
            EXPECT_EQ(steps[0], steps[1]);
            EXPECT_EQ(results[0], results[1]);
        }
}

TEST(PassDeadCode, WhatNothingNeededReachesIsLeftOut) {
    for (const auto& device : graphDevices()) {
        SCOPED_TRACE(device->name());
        std::vector<Pictures> results[2];
        std::size_t steps[2];
        for (const bool drops : {false, true}) {
            const auto x = inputNamed("x");
            const auto wanted = MPS::CNNNeuronReLUNode::node(x)->resultImage();
            const auto unwanted = MPS::CNNNeuronAbsoluteNode::node(convolved(x))->resultImage();
            const auto graph =
                MPS::NNGraph::graph(device, {wanted, unwanted}, {true, false}, drops ? only(&Options::deadCode) : Options::none());
            results[drops] = run(device, *graph, given());
            steps[drops] = stepsOf(*graph);
        }
        EXPECT_EQ(results[0], results[1]);
        EXPECT_EQ(steps[0], 3u);
        EXPECT_EQ(steps[1], 1u);
    }
}
