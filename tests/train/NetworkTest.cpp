#include <gmock/gmock.h>

#include <MPS/CNNLoss.hpp>
#include <MPS/Image.hpp>
#include <MPS/NNGraph.hpp>
#include <Pewter/train/LabelledBatch.hpp>

#include "DatasetSupport.h"
#include "TrainSupport.h"
#include "mtl/Device.h"

namespace pewter::train::tests {
namespace {

using testing::HasSubstr;
using testing::Not;

std::shared_ptr<MTL::Device> device() { return MTL::createSystemDefaultDevice(); }

TEST(Networks, AreFoundByName) {
    for (const auto& description : networks()) EXPECT_EQ(network(description.name).name, description.name);
    EXPECT_EQ(network("digits").width, 8u);
    EXPECT_EQ(network("mnist").width, 28u);
    EXPECT_EQ(network("mnist").batchSize, 40u);
}

TEST(Networks, AnUnknownNameIsAnErrorThatListsTheNames) {
    EXPECT_EQ(errorOf([] { network("resnet"); }),
              "network: name: expected one of digits, mnist, resnet18, resnet50, style, yolo, found \"resnet\".");
    EXPECT_EQ(errorOf([] { network(""); }), "network: name: expected one of digits, mnist, resnet18, resnet50, style, yolo, found \"\".");
}

TEST(Networks, MnistHasTheParametersOfApplesSample) {
    TrainingNetwork mnist(network("mnist"), device(), settingsFor(network("mnist")));
    // 5*5*1*32 + 32, 5*5*32*64 + 64, 7*7*64*1024 + 1024, 1024*10 + 10
    EXPECT_EQ(mnist.parameterCount(), 3'274'634u);
    EXPECT_EQ(mnist.dataSources().size(), 4u);
}

TEST(Networks, DigitsHasBatchNormalisation) {
    TrainingNetwork digits(network("digits"), device(), settingsFor(network("digits")));
    std::size_t sum = 0;
    for (const auto& source : digits.dataSources()) sum += source->parameterCount();
    EXPECT_EQ(digits.parameterCount(), sum);
    EXPECT_EQ(digits.dataSources().size(), 6u);
    ASSERT_TRUE(sourceNamed<BatchNormalizationDataSource>(digits, "norm1"));
    EXPECT_EQ(sourceNamed<BatchNormalizationDataSource>(digits, "norm1")->numberOfFeatureChannels(), 32u);
}

TEST(TrainingNetwork, DropoutIsInTheTrainingGraphAlone) {
    TrainingNetwork digits(network("digits"), device(), settingsFor(network("digits")));
    EXPECT_THAT(digits.trainingGraph().debugDescription(), HasSubstr("CNNDropout 'dropout'"));
    EXPECT_THAT(digits.inferenceGraph().debugDescription(), Not(HasSubstr("CNNDropout")));
    EXPECT_THAT(digits.trainingGraph().debugDescription(), HasSubstr("'conv1 gradient'"));
    EXPECT_THAT(digits.inferenceGraph().debugDescription(), Not(HasSubstr("gradient")));
}

TEST(TrainingNetwork, HoldsASecondCopyOfWeightsOnlyWhereItIsAskedForResults) {
    // A device of its own, whose memory nobody else takes.
    const auto system = device();
    const auto own = std::make_shared<mtl::Device>(
        std::shared_ptr<ops::Backend>(&mtl::deviceOf(*system).backend(), [](auto*) {}), system->registryID());
    TrainingNetwork mnist(network("mnist"), own, settingsFor(network("mnist")));
    const std::size_t copy = mnist.parameterCount() * sizeof(float), trains = own->currentAllocatedSize();
    // Data sources and training kernels, two moments; sizes are rounded by an eighth at the most.
    EXPECT_LE(trains, 4 * copy / 8 * 9 + (1 << 20));
    mnist.inferenceGraph();
    EXPECT_GE(own->currentAllocatedSize(), trains + copy);
    const auto& graph = mnist.inferenceGraph();
    EXPECT_EQ(&mnist.inferenceGraph(), &graph);
}

TEST(TrainingNetwork, SeedDecidesTheWeightsItStartsWith) {
    const auto start = [](std::uint64_t seed) {
        return parametersOf(TrainingNetwork(tinyNetwork(), device(), settingsFor(tinyNetwork(), seed)));
    };
    EXPECT_EQ(start(5), start(5));
    EXPECT_NE(start(5), start(6));
}

TEST(TrainingNetwork, LayersOfOneShapeStartDifferently) {
    const NetworkDescription twins = {.name = "twins",
                                      .width = 2,
                                      .height = 2,
                                      .channels = 4,
                                      .target = Target::classes(4),
                                      .batchSize = 2,
                                      .build = [](NetworkBuilder& b, const NetworkBuilder::Image& input) {
                                          auto x = b.convolution(b.convolution(input, "first", 3, 4, 4, {}),
                                                                 "second", 3, 4, 4, {});
                                          return b.fullyConnected(x, "fc", 2, 2, 4, 4, {});
                                      }};
    TrainingNetwork classifier(twins, device(), settingsFor(twins));
    const auto first = sourceNamed<ConvolutionDataSource>(classifier, "first");
    const auto second = sourceNamed<ConvolutionDataSource>(classifier, "second");
    ASSERT_TRUE(first && second);
    EXPECT_NE(0, std::memcmp(first->weights(), second->weights(),
                             first->descriptor()->weightCount() * sizeof(float)));
}

TEST(TrainingNetwork, RefusesAMissingDeviceAndAnEmptyBatch) {
    EXPECT_EQ(errorOf([] { TrainingNetwork(network("digits"), nullptr, settingsFor(network("digits"))); }),
              "network digits: device: expected a device, found null.");
    EXPECT_EQ(errorOf([] {
                  auto settings = settingsFor(network("digits"));
                  settings.batchSize = 0;
                  TrainingNetwork(network("digits"), device(), settings);
              }),
              "network digits: batchSize: expected at least 1, found 0.");
}

TEST(TrainingNetwork, GradientsHaveTheFormatOfTheOtherImages) {
    const auto& tiny = tinyNetwork();
    const auto data = noiseFor(tiny, 4);
    for (const auto format :
         {MPS::ImageFeatureChannelFormat::Float16, MPS::ImageFeatureChannelFormat::BFloat16}) {
        const bool halves = format == MPS::ImageFeatureChannelFormat::Float16;
        const std::string expected = halves ? "float16" : "bfloat16";
        TrainingNetwork classifier(tiny, device(), settingsFor(tiny, 1, 4, format));
        LabelledBatch batch(device(), data, 4, tiny.target.channels);
        const auto report = classifier.trainingGraph().memoryReport({batch.pictures()}, {batch.labels()});
        std::size_t gradients = 0;
        for (const auto& step : report.steps) {
            if (step.resultImage == MPS::NNGraphReport::npos) continue;
            const bool loss = step.className == "CNNLoss";
            EXPECT_EQ(report.images[step.resultImage].format, loss ? "float32" : expected) << step.label;
            gradients += step.className.find("Gradient") != std::string::npos;
        }
        EXPECT_GT(gradients, 3u);
    }
}

TEST(TrainingNetwork, AReportChangesNothing) {
    const auto& tiny = tinyNetwork();
    const auto data = noiseFor(tiny, 12);
    const auto lossesWithReports = [&](bool reports) {
        TrainingNetwork classifier(tiny, device(), settingsFor(tiny));
        Trainer trainer(classifier, data);
        LabelledBatch batch(device(), data, 4, tiny.target.channels);
        for (int step = 0; step < 6; ++step) {
            trainer.train(1);
            if (reports) classifier.trainingGraph().memoryReport({batch.pictures()}, {batch.labels()});
        }
        return trainer.log().losses;
    };
    EXPECT_EQ(lossesWithReports(true), lossesWithReports(false));
}

}  // namespace
}  // namespace pewter::train::tests
