// Float16 loses gradients below 6e-8: they are scaled on their way from the loss to the weights.

#include <gmock/gmock.h>

#include <Pewter/train/Synthetic.hpp>
#include <cmath>
#include <filesystem>
#include <limits>

#include "DatasetSupport.h"
#include "TrainSupport.h"

namespace pewter::train::tests {
namespace {

using Format = MPS::ImageFeatureChannelFormat;

TrainingSettings scaledSettings(const NetworkDescription& network, Format format, float scale) {
    auto settings = settingsFor(network, 1, 0, format);
    settings.lossScale = scale;
    return settings;
}

/// Two convolutions of which the second has tiny weights, so that gradients beyond it are about 1e-9.
NetworkDescription faint() {
    return {.name = "faint",
            .width = 3,
            .height = 2,
            .channels = 2,
            .target = Target::image(3, 2, 2),
            .batchSize = 4,
            .learningRate = 1e6f,
            .build = [](NetworkBuilder& b, const NetworkBuilder::Image& input) {
                const ConvolutionShape shape{.kernelWidth = 1, .kernelHeight = 1, .inputs = 2, .outputs = 2, .bias = false};
                const auto x = b.convolution(input, "first", shape, {.weights = Initializer::constant(0.5f)});
                return b.convolution(x, "second", shape, {.weights = Initializer::constant(1e-7f)});
            }};
}

/// By how much a step of plain gradient descent moves the first layer's weights.
std::vector<float> moved(const DevicePtr& device, Format format, float scale, bool clipping = false) {
    const auto network = faint();
    auto settings = scaledSettings(network, format, scale);
    settings.optimizer.kind = OptimizerSettings::Kind::StochasticGradientDescent;
    settings.optimizer.descriptor.applyGradientClipping = clipping;
    settings.optimizer.descriptor.gradientClipMin = -1e-9f;
    settings.optimizer.descriptor.gradientClipMax = 1e-9f;
    TrainingNetwork net(network, device, settings);
    const auto data = syntheticSplit(network, 4, 1, 1).train;
    Trainer(net, data).train(1);
    const auto first = sourceNamed<ConvolutionDataSource>(net, "first");
    const auto* weights = static_cast<const float*>(first->weights());
    std::vector<float> by;
    for (std::size_t i = 0; i < 4; ++i) by.push_back(weights[i] - 0.5f);
    return by;
}

TEST(LossScale, GradientsThatFloat16LosesArriveWithIt) {
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        const auto expected = moved(device, Format::Float32, 1), scaled = moved(device, Format::Float16, 65536);
        EXPECT_THAT(moved(device, Format::Float16, 1), testing::Each(0.0f));
        for (std::size_t i = 0; i < 4; ++i) {
            EXPECT_GT(std::fabs(expected[i]), 1e-3);
            // Two roundings of 11 bits, and a sum of 24 such products.
            EXPECT_NEAR(scaled[i], expected[i], 0x1p-8 * std::fabs(expected[i]));
        }
    }
}

TEST(LossScale, APowerOfTwoChangesNoBitOfAFloat32Run) {
    const auto& tiny = tinyNetwork();
    const auto data = noiseFor(tiny, 12);
    const auto run = [&](float scale) {
        TrainingNetwork net(tiny, MTL::copyDevice("reference"), scaledSettings(tiny, Format::Float32, scale));
        Trainer trainer(net, data);
        auto losses = trainer.train(6).losses;
        return std::pair{losses, parametersOf(net)};
    };
    EXPECT_EQ(run(1024), run(1));
}

TEST(LossScale, LimitsOfClippingAreThoseOfTheGradientsWithoutIt) {
    const auto device = MTL::copyDevice("reference");
    const auto expected = moved(device, Format::Float32, 1, true);
    EXPECT_THAT(expected, testing::Contains(testing::FloatNear(1e-3f, 1e-7f)).Times(testing::Gt(0)));
    const auto scaled = moved(device, Format::Float32, 4096, true);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(scaled[i], expected[i], 1e-6 * std::fabs(expected[i]));
}

TEST(LossScale, IsThatOfTheFormatUnlessAskedFor) {
    const auto scaleOf = [](Format format, float scale) {
        return TrainingNetwork(tinyNetwork(), MTL::createSystemDefaultDevice(), scaledSettings(tinyNetwork(), format, scale))
            .lossScale();
    };
    EXPECT_EQ(scaleOf(Format::Float16, 0), kLossScale);
    EXPECT_EQ(scaleOf(Format::BFloat16, 0), 1);
    EXPECT_EQ(scaleOf(Format::Float32, 0), 1);
    EXPECT_EQ(scaleOf(Format::Float16, 8), 8);
    EXPECT_EQ(errorOf([&] { scaleOf(Format::Float16, -2); }),
              "network tiny: lossScale: expected a positive number, or 0 for the default, found -2.");
    EXPECT_EQ(errorOf([&] { scaleOf(Format::Float16, std::numeric_limits<float>::infinity()); }),
              "network tiny: lossScale: expected a positive number, or 0 for the default, found inf.");
}

TEST(LossScale, ReadsDigitsInFloat16AsWellAsInFloat32) {
    const double full = accuracyOnDigits(Format::Float32);
    EXPECT_GT(full, 0.95);
    EXPECT_GT(accuracyOnDigits(Format::Float16), full - 0.005);  // half a point; it may well be better
}

TEST(LossScale, OneTooLargeStopsTheTrainingWithAnErrorThatNamesIt) {
    const auto& tiny = tinyNetwork();
    const auto data = noiseFor(tiny, 12);
    for (const auto& device : MTL::copyAllDevices()) {
        SCOPED_TRACE(device->name());
        TrainingNetwork net(tiny, device, scaledSettings(tiny, Format::Float16, 0x1p30f));
        Trainer trainer(net, data);
        const auto error = errorOf([&] { trainer.train(20); });
        EXPECT_THAT(error, testing::HasSubstr("training of tiny stopped: the loss of step "));
        EXPECT_THAT(error, testing::HasSubstr(" is not finite: at a loss scale of 1073741824 gradients may have left the range of float16"));
    }
}

TEST(LossScale, ComesBackFromAFile) {
    const auto& tiny = tinyNetwork();
    const auto data = noiseFor(tiny, 12);
    const Folder folder;
    const auto path = (folder.path() / "tiny").string();
    const auto device = MTL::createSystemDefaultDevice();
    TrainingNetwork saved(tiny, device, scaledSettings(tiny, Format::Float16, 256)),
        loaded(tiny, device, settingsFor(tiny, 1, 0, Format::Float16));
    Trainer(saved, data).train(3);
    saved.save(path);
    loaded.load(path);
    EXPECT_EQ(loaded.lossScale(), 256);
    EXPECT_EQ(Trainer(loaded, data).train(3).losses, Trainer(saved, data).train(3).losses);
    EXPECT_EQ(parametersOf(loaded), parametersOf(saved));
}

}  // namespace
}  // namespace pewter::train::tests
