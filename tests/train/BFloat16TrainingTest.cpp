// Training in bfloat16: images and products in it, weights and their updates in float32.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "TrainSupport.h"

namespace pewter::train::tests {
namespace {

using Format = MPS::ImageFeatureChannelFormat;

std::vector<float> floatsOf(const TrainingNetwork& network) {
    const auto bytes = parametersOf(network);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

TEST(BFloat16Training, ReadsDigitsAsWellAsFloat32) {
    const double full = accuracyOnDigits(Format::Float32);
    EXPECT_GT(full, 0.95);
    EXPECT_NEAR(accuracyOnDigits(Format::BFloat16), full, 0.005);
}

TEST(BFloat16Training, KeepsUpdatesThatBFloat16WouldLose) {
    const auto& tiny = tinyNetwork();
    const auto data = noiseFor(tiny, 20);
    for (const auto& device : MTL::copyAllDevices()) {
        auto settings = settingsFor(tiny, 1, 4, Format::BFloat16);
        settings.optimizer.descriptor.learningRate = 1e-6f;
        TrainingNetwork classifier(tiny, device, settings);
        const auto before = floatsOf(classifier);
        Trainer(classifier, data).train(10);
        const auto after = floatsOf(classifier);
        std::size_t changed = 0, large = 0;
        for (std::size_t i = 0; i < before.size(); ++i) {
            // Ten steps move a weight by 1e-5 at most: less than half the distance of its neighbours in bfloat16.
            if (std::fabs(before[i]) < 0x1p-7f) continue;
            ++large;
            EXPECT_LT(std::fabs(after[i] - before[i]), std::fabs(before[i]) * 0x1p-9f);
            changed += after[i] != before[i] ? 1 : 0;
        }
        EXPECT_GT(large, before.size() / 2) << device->name();
        EXPECT_GT(changed, large / 2) << device->name();
    }
}

// Every image between two operations is rounded to 8 bits, on every device; what differs are weights that some round too.
TEST(BFloat16Training, LossesOfTheFirstStepAreThoseOfTheReference) {
    const auto& tiny = tinyNetwork();
    const auto data = noiseFor(tiny, 4);
    const auto lossOn = [&](const DevicePtr& device, Format format) {
        TrainingNetwork classifier(tiny, device, settingsFor(tiny, 1, 4, format));
        Trainer trainer(classifier, data);
        return trainer.train(1).losses.front();
    };
    const auto reference = MTL::copyDevice("reference");
    const double expected = lossOn(reference, Format::BFloat16);
    // The distance of two roundings in each of the six layers.
    const double allowed = 6 * 0x1p-8 * std::max(1.0, std::fabs(expected));
    EXPECT_NEAR(expected, lossOn(reference, Format::Float32), allowed);
    for (const auto& device : MTL::copyAllDevices())
        EXPECT_NEAR(lossOn(device, Format::BFloat16), expected, allowed) << device->name();
}

}  // namespace
}  // namespace pewter::train::tests
