/// The networks beyond classes of digits: what they are made of, their data, their training.
#include <gmock/gmock.h>

#include <MPS/Image.hpp>
#include <Pewter/train/LabelledBatch.hpp>
#include <Pewter/train/Synthetic.hpp>
#include <numeric>

#include "DatasetSupport.h"
#include "TrainSupport.h"

namespace pewter::train::tests {
namespace {

using testing::HasSubstr;

struct Expected {
    const char* name;
    std::size_t width, batch, parameters, convolutions;
};

/// Parameters as PyTorch counts those of the same networks.
constexpr Expected kExpected[] = {{"resnet18", 32, 64, 11'173'962, 21},
                                  {"resnet50", 224, 128, 25'557'032, 54},
                                  {"style", 256, 2, 1'679'235, 16},
                                  {"yolo", 416, 8, 15'825'898, 9}};

TEST(ReferenceNetworks, HaveTheParametersOfTheirModels) {
    for (const auto& expected : kExpected) {
        SCOPED_TRACE(expected.name);
        const auto& description = network(expected.name);
        EXPECT_EQ(description.width, expected.width);
        EXPECT_EQ(description.height, expected.width);
        EXPECT_EQ(description.channels, 3u);
        EXPECT_EQ(description.batchSize, expected.batch);
        TrainingNetwork net(description, MTL::createSystemDefaultDevice(), settingsFor(description));
        EXPECT_EQ(net.parameterCount(), expected.parameters);
        std::size_t convolutions = 0;
        for (const auto& source : net.dataSources())
            convolutions += std::dynamic_pointer_cast<ConvolutionDataSource>(source) != nullptr;
        EXPECT_EQ(convolutions, expected.convolutions);
    }
    EXPECT_EQ(network("yolo").target.width, 13u);
    EXPECT_EQ(network("yolo").target.channels, 90u);
    EXPECT_TRUE(network("resnet18").target.isClasses());
    EXPECT_EQ(network("resnet50").target.channels, 1000u);
    EXPECT_FALSE(network("style").target.isClasses());
}

TEST(ReferenceNetworks, LearnFromSyntheticPictures) {
    for (const auto& description : {resnet18Network(8), styleNetwork(16), yoloNetwork(32)}) {
        SCOPED_TRACE(description.name);
        const auto data = syntheticSplit(description, 16, 4, 1);
        TrainingNetwork net(description, MTL::createSystemDefaultDevice(), settingsFor(description, 1, 4));
        Trainer trainer(net, data.train);
        const auto& losses = trainer.train(12).losses;
        const auto mean = [](auto first, auto last) { return std::accumulate(first, last, 0.0) / 4; };
        EXPECT_LT(mean(losses.end() - 4, losses.end()), 0.8 * mean(losses.begin(), losses.begin() + 4));
    }
}

/// Two channels become three by one convolution without bias.
NetworkDescription colours() {
    return {.name = "colours",
            .width = 3,
            .height = 2,
            .channels = 2,
            .target = Target::image(3, 2, 3),
            .batchSize = 4,
            .learningRate = 0.05f,
            .build = [](NetworkBuilder& b, const NetworkBuilder::Image& input) {
                return b.convolution(input, "mix", {.kernelWidth = 1, .kernelHeight = 1, .inputs = 2, .outputs = 3, .bias = false},
                                     {});
            }};
}

TEST(Regression, LossIsTheMeanOfAllSquaredDifferences) {
    const auto description = colours();
    const auto data = syntheticSplit(description, 4, 4, 3).train;
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        auto settings = settingsFor(description);
        settings.optimizer.descriptor.learningRate = 0;
        TrainingNetwork net(description, device, settings);
        Trainer trainer(net, data);
        const double expected = meanSquaredError(net, data);
        EXPECT_GT(expected, 0);
        EXPECT_NEAR(trainer.train(1).losses[0], expected, 1e-5 * expected);
        const auto& mix = *sourceNamed<ConvolutionDataSource>(net, "mix");
        EXPECT_EQ(mix.biasTerms(), nullptr);
        EXPECT_EQ(net.parameterCount(), 6u);
    }
}

TEST(Regression, ATrainedNetworkComesNearItsTargets) {
    const auto description = colours();
    const auto data = syntheticSplit(description, 40, 8, 3);
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        TrainingNetwork net(description, device, settingsFor(description));
        const double before = meanSquaredError(net, data.test);
        Trainer trainer(net, data.train);
        trainer.train(100);
        EXPECT_LT(meanSquaredError(net, data.test), 0.5 * before);
    }
}

TEST(Regression, RefusesDataOfAnotherKind) {
    const auto description = colours();
    const auto device = MTL::createSystemDefaultDevice();
    TrainingNetwork net(description, device, settingsFor(description)), tiny(tinyNetwork(), device, settingsFor(tinyNetwork()));
    const auto labelled = noiseFor(tinyNetwork(), 8);
    const auto images = syntheticSplit(description, 8, 1, 1).train;
    EXPECT_EQ(errorOf([&] { Trainer(net, labelled); }),
              "network colours: data: expected pictures of 3 x 2 x 2 with targets of 3 x 2 x 3, found 6 x 4 x 2 in 3 classes "
              "(noise).");
    EXPECT_EQ(errorOf([&] { Trainer(tiny, images); }),
              "network tiny: data: expected pictures of 6 x 4 x 2 in at most 3 classes, found 3 x 2 x 2 with targets of 3 x 2 x 3 "
              "(synthetic colours train).");
    EXPECT_THAT(errorOf([&] { evaluate(net.inferenceGraph(), images); }), HasSubstr("data with labels"));
    EXPECT_THAT(errorOf([&] { meanSquaredError(tiny, labelled); }), HasSubstr("target images"));
}

TEST(Synthetic, FollowsFromTheSeedAlone) {
    const auto description = yoloNetwork(32);
    const auto first = syntheticSplit(description, 3, 2, 5), again = syntheticSplit(description, 3, 2, 5),
               other = syntheticSplit(description, 3, 2, 6);
    const auto same = [](const Dataset& a, const Dataset& b) {
        return std::ranges::equal(a.bytes(), b.bytes()) && a.targets().bytes == b.targets().bytes;
    };
    EXPECT_TRUE(same(first.train, again.train) && same(first.test, again.test));
    EXPECT_FALSE(same(first.train, other.train));
    EXPECT_FALSE(std::ranges::equal(first.train.image(0), first.test.image(0)));
    EXPECT_EQ(first.train.name(), "synthetic yolo train");
    EXPECT_EQ(first.train.targets().channels, 90u);
}

TEST(Synthetic, DrawsFromEveryClassOfManyAndLabelsAreOneHot) {
    auto description = colours();
    description.target = Target::classes(1000);
    const auto data = syntheticSplit(description, 300, 1, 1).train;
    std::vector<std::uint32_t> order(300);
    std::iota(order.begin(), order.end(), 0u);
    EXPECT_GT(std::ranges::count_if(data.labels(), [](auto label) { return label > 255; }), 150);
    LabelledBatch batch(MTL::createSystemDefaultDevice(), data, 300);
    batch.fill(data, order);
    for (std::size_t i = 0; i < 300; ++i) {
        std::vector<float> values(1000), expected(1000);
        const auto labels = std::dynamic_pointer_cast<MPS::CNNLossLabels>(batch.labels()[i]);
        labels->labelsImage()->readBytes(values.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
        expected[data.label(i)] = 1;
        EXPECT_EQ(values, expected) << i;
    }
}

TEST(Synthetic, PicturesOfAClassShareTheirColours) {
    const auto data = syntheticSplit(resnet18Network(8), 60, 60, 1);
    // The nearest mean picture of the training part tells the class of most test pictures.
    std::vector<std::vector<double>> means(10, std::vector<double>(data.train.imageBytes()));
    std::vector<double> counts(10, 0);
    for (std::size_t i = 0; i < 60; ++i) {
        ++counts[data.train.label(i)];
        for (std::size_t j = 0; j < data.train.imageBytes(); ++j) means[data.train.label(i)][j] += data.train.image(i)[j];
    }
    std::size_t right = 0;
    for (std::size_t i = 0; i < 60; ++i) {
        double best = 1e300;
        std::size_t found = 0;
        for (std::size_t k = 0; k < 10; ++k) {
            double distance = 0;
            for (std::size_t j = 0; j < data.test.imageBytes(); ++j) {
                const double d = means[k][j] / std::max(counts[k], 1.0) - data.test.image(i)[j];
                distance += d * d;
            }
            if (distance < best) best = distance, found = k;
        }
        right += found == data.test.label(i);
    }
    EXPECT_GT(right, 50u);
}

}  // namespace
}  // namespace pewter::train::tests
