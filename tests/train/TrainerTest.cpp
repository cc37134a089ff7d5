#include <gmock/gmock.h>

#include <MPS/CommandBuffer.hpp>
#include <MPS/NNGraph.hpp>
#include <Pewter/train/LabelledBatch.hpp>
#include <Pewter/train/Progress.hpp>
#include <atomic>
#include <numeric>
#include <stdexcept>

#include "DatasetSupport.h"
#include "DeviceName.h"
#include "TrainSupport.h"
#include "mtl/Device.h"
#include "ops/Backend.h"

namespace pewter::train::tests {
namespace {

using testing::HasSubstr;
using Format = MPS::ImageFeatureChannelFormat;

struct Trained {
    std::vector<double> losses;
    std::vector<std::uint8_t> parameters;
    friend bool operator==(const Trained&, const Trained&) = default;
};

Trained trained(const NetworkDescription& network, const DevicePtr& device, const Dataset& data,
                std::uint64_t seed, std::size_t steps) {
    TrainingNetwork classifier(network, device, settingsFor(network, seed));
    Trainer trainer(classifier, data);
    trainer.train(steps);
    return {trainer.log().losses, parametersOf(classifier)};
}

class Training : public testing::TestWithParam<DevicePtr> {};
INSTANTIATE_TEST_SUITE_P(EveryDevice, Training, testing::ValuesIn(MTL::copyAllDevices()),
                         [](const auto& info) { return testNameOf(info.param->name()); });

TEST_P(Training, SameSeedGivesTheSameBits) {
    const auto data = noiseFor(tinyNetwork(), 20);
    const auto first = trained(tinyNetwork(), GetParam(), data, 1, 12);
    EXPECT_EQ(first.losses.size(), 12u);
    EXPECT_EQ(first, trained(tinyNetwork(), GetParam(), data, 1, 12));
}

TEST_P(Training, AnotherSeedGivesOtherLosses) {
    const auto data = noiseFor(tinyNetwork(), 20);
    EXPECT_NE(trained(tinyNetwork(), GetParam(), data, 1, 3).losses,
              trained(tinyNetwork(), GetParam(), data, 2, 3).losses);
}

TEST_P(Training, TwoBatchesInFlightGiveWhatOneAtATimeGives) {
    const auto& network = tinyNetwork();
    const auto data = noiseFor(network, 20);
    const auto settings = settingsFor(network);
    TrainingNetwork classifier(network, GetParam(), settings);
    LabelledBatch batch(GetParam(), data, settings.batchSize, network.target.channels);
    BatchSampler sampler(data.count(), settings.batchSize, SamplingMode::ShuffledEpochs, settings.seed);
    const auto queue = GetParam()->newCommandQueue();
    Trained run;
    for (int step = 0; step < 12; ++step) {
        batch.fill(data, sampler.next());
        const auto commandBuffer = queue->commandBuffer();
        classifier.trainingGraph().encodeBatch(commandBuffer, {batch.pictures()}, {batch.labels()});
        batch.synchronizeLoss(commandBuffer);
        commandBuffer->commit();
        commandBuffer->waitUntilCompleted();
        ASSERT_FALSE(commandBuffer->error());
        run.losses.push_back(batch.loss());
    }
    run.parameters = parametersOf(classifier);
    EXPECT_EQ(trained(network, GetParam(), data, 1, 12), run);
}

TEST_P(Training, TakesNoSystemMemoryAfterTheFirstStep) {
    const auto data = noiseFor(tinyNetwork(), 20);
    TrainingNetwork classifier(tinyNetwork(), GetParam(), settingsFor(tinyNetwork()));
    Trainer trainer(classifier, data);
    trainer.train(1);
    const auto taken = GetParam()->systemAllocationCount();
    for (int step = 0; step < 5; ++step) trainer.train(1);
    trainer.train(30);  // two batches in flight
    EXPECT_EQ(GetParam()->systemAllocationCount(), taken);
}

TEST_P(Training, GoesOnWhereItStopped) {
    const auto data = noiseFor(tinyNetwork(), 20);
    TrainingNetwork classifier(tinyNetwork(), GetParam(), settingsFor(tinyNetwork()));
    Trainer trainer(classifier, data);
    EXPECT_EQ(trainer.stepsPerEpoch(), 5u);
    trainer.train(0);
    EXPECT_EQ(trainer.log().steps, 0u);
    trainer.train(5);
    trainer.train(7);
    EXPECT_EQ(trainer.log().steps, 12u);
    EXPECT_GT(trainer.log().seconds, 0);
    EXPECT_NEAR(trainer.log().imagesPerSecond, 12 * 4 / trainer.log().seconds,
                1e-6 * trainer.log().imagesPerSecond);
    const Trained run{trainer.log().losses, parametersOf(classifier)};
    EXPECT_EQ(run, trained(tinyNetwork(), GetParam(), data, 1, 12));
}

TEST_P(Training, IsNotChangedByEvaluations) {
    const auto data = noiseFor(tinyNetwork(), 20);
    TrainingNetwork classifier(tinyNetwork(), GetParam(), settingsFor(tinyNetwork()));
    Trainer trainer(classifier, data);
    for (int i = 0; i < 4; ++i) {
        trainer.train(3);
        const double accuracy = evaluate(classifier, data, 7);
        EXPECT_EQ(accuracy, evaluate(classifier, data, 20));  // not in the batch size either
    }
    const Trained run{trainer.log().losses, parametersOf(classifier)};
    EXPECT_EQ(run, trained(tinyNetwork(), GetParam(), data, 1, 12));
}

TEST_P(Training, LearnsWhatCanBeLearnt) {
    const auto data = noiseFor(tinyNetwork(), 60);
    for (const auto format : {Format::Float32, Format::Float16, Format::BFloat16}) {
        SCOPED_TRACE(static_cast<int>(format));
        TrainingNetwork classifier(tinyNetwork(), GetParam(), settingsFor(tinyNetwork(), 1, 20, format));
        Trainer trainer(classifier, data);
        const auto& losses = trainer.train(80).losses;
        const auto mean = [](auto first, auto last) {
            return std::accumulate(first, last, 0.0) / static_cast<double>(last - first);
        };
        EXPECT_LT(mean(losses.end() - 10, losses.end()), 0.5 * mean(losses.begin(), losses.begin() + 5));
        EXPECT_GT(evaluate(classifier, data), 0.85);
    }
}

TEST(Trainer, LossFallsOnDigits) {
    const auto data = digitsSplit();
    const auto device = MTL::createSystemDefaultDevice();
    TrainingNetwork classifier(network("digits"), device, settingsFor(network("digits")));
    Trainer trainer(classifier, data.train);
    const auto& losses = trainer.train(30).losses;
    const auto mean = [](auto first, auto last) {
        return std::accumulate(first, last, 0.0) / static_cast<double>(last - first);
    };
    EXPECT_LT(mean(losses.end() - 10, losses.end()), 0.5 * mean(losses.begin(), losses.begin() + 5));
    EXPECT_GT(evaluate(classifier, data.test), 0.8);
}

TEST(Trainer, DigitsAndMnistTakeNoSystemMemoryAfterTheFirstStep) {
    const auto device = MTL::createSystemDefaultDevice();
    for (const char* name : {"digits", "mnist"}) {
        SCOPED_TRACE(name);
        const auto& net = network(name);
        const auto data = noiseFor(net, 80);
        TrainingNetwork classifier(net, device, settingsFor(net));
        Trainer trainer(classifier, data);
        trainer.train(1);
        const auto taken = device->systemAllocationCount();
        trainer.train(6);
        EXPECT_EQ(device->systemAllocationCount(), taken);
    }
}

/// What `inspect` predicts and what a training run reserves.
void expectPredictedPeak(const NetworkDescription& net, const DevicePtr& device, std::size_t batch,
                         Format format) {
    SCOPED_TRACE(net.name + " on " + device->name() + ", batch " + std::to_string(batch));
    const auto data = noiseFor(net, 2 * batch);
    TrainingNetwork classifier(net, device, settingsFor(net, 1, batch, format));
    LabelledBatch inputs(device, data, batch, net.target.channels);
    const auto report = classifier.trainingGraph().memoryReport({inputs.pictures()}, {inputs.labels()});
    Trainer trainer(classifier, data);
    trainer.train(2);
    EXPECT_EQ(report.peakBytes, trainer.log().peakTemporaryBytes);
    EXPECT_GT(report.peakBytes, 0u);
    EXPECT_LE(report.lowerBoundBytes, report.peakBytes);
    std::size_t live = 0;
    for (const auto& step : report.steps) live = std::max(live, step.liveBytes);
    EXPECT_GE(report.lowerBoundBytes, live);
}

TEST(Trainer, ThePredictedPeakIsTheOneMeasured) {
    for (const auto& device : MTL::copyAllDevices())
        for (const auto format : {Format::Float32, Format::Float16, Format::BFloat16})
            for (const std::size_t batch : {1, 3, 8})
                expectPredictedPeak(tinyNetwork(), device, batch, format);
    const auto device = MTL::createSystemDefaultDevice();
    for (const auto format : {Format::Float32, Format::Float16, Format::BFloat16}) {
        for (const std::size_t batch : {1, 32}) expectPredictedPeak(network("digits"), device, batch, format);
        expectPredictedPeak(network("mnist"), device, format == Format::Float32 ? 40 : 3, format);
    }
}

TEST(Trainer, RefusesDataThatDoesNotFit) {
    const auto& tiny = tinyNetwork();
    TrainingNetwork classifier(tiny, MTL::createSystemDefaultDevice(), settingsFor(tiny));
    const Dataset wide("wide", 7, 4, 2, 3, std::vector<std::uint8_t>(8 * 56), std::vector<std::uint8_t>(8));
    EXPECT_EQ(errorOf([&] { Trainer(classifier, wide); }),
              "network tiny: data: expected pictures of 6 x 4 x 2 in at most 3 classes, found 7 x 4 x 2 in 3 "
              "classes (wide).");
    const Dataset classes("classes", 6, 4, 2, 5, std::vector<std::uint8_t>(8 * 48),
                          std::vector<std::uint8_t>(8));
    EXPECT_EQ(errorOf([&] { Trainer(classifier, classes); }),
              "network tiny: data: expected pictures of 6 x 4 x 2 in at most 3 classes, found 6 x 4 x 2 in 5 "
              "classes (classes).");
    EXPECT_EQ(errorOf([&] { evaluate(classifier, wide); }),
              "network tiny: data: expected pictures of 6 x 4 x 2 in at most 3 classes, found 7 x 4 x 2 in 3 "
              "classes (wide).");
    const auto few = noiseFor(tiny, 3);  // fewer than a batch
    EXPECT_THAT(errorOf([&] { Trainer(classifier, few); }), HasSubstr("batchSize"));
    const auto fitting = noiseFor(tiny, 8);
    EXPECT_EQ(Trainer(classifier, fitting).train(1).steps, 1u);
}

/// A device whose optimizer breaks at a chosen call.
class BreakingBackend final : public ops::Backend {
public:
    explicit BreakingBackend(int goodUpdates) : updatesLeft_(goodUpdates) {}

    std::string name() const override { return "breaking"; }
    std::string description() const override { return "breaks"; }
    int threads() const override { return 1; }
    void* allocate(std::size_t bytes) override { return inner().allocate(bytes); }
    void deallocate(void* memory, std::size_t bytes) noexcept override { inner().deallocate(memory, bytes); }
    std::unique_ptr<ops::Stream> newStream() override { return inner().newStream(); }
    bool supports(ops::Type type) const override { return inner().supports(type); }
#define PEWTER_DECLARE(Op)                                      \
    void run(const ops::Op& op, ops::Stream& stream) override { \
        check(op);                                              \
        inner().run(op, stream);                                \
    }
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE
    void mend() { updatesLeft_ = 1 << 30; }

private:
    static ops::Backend& inner() {
        for (const auto& entry : ops::backends())
            if (entry.name == "reference") return *entry.backend;
        throw std::logic_error("no reference device");
    }
    template <class Op>
    void check(const Op&) {
        if constexpr (std::is_same_v<Op, ops::OptimizerStep>)
            if (updatesLeft_-- <= 0) throw std::runtime_error("the optimizer broke");
    }
    std::atomic<int> updatesLeft_;
};

TEST(Trainer, CarriesOutTheFailureOfACommandBufferAndTheDeviceGoesOn) {
    const auto backend = std::make_shared<BreakingBackend>(20);
    const auto device = std::make_shared<mtl::Device>(backend, 99);
    const auto& tiny = tinyNetwork();
    const auto data = noiseFor(tiny, 8);
    TrainingNetwork classifier(tiny, device, settingsFor(tiny));
    {
        Trainer trainer(classifier, data);
        const auto message = errorOf([&] { trainer.train(50); });
        EXPECT_THAT(message, HasSubstr("training of tiny stopped: "));
        EXPECT_THAT(message, HasSubstr("the optimizer broke"));
        EXPECT_LT(trainer.log().steps, 50u);
        EXPECT_EQ(trainer.log().losses.size(), trainer.log().steps);
    }
    backend->mend();
    Trainer trainer(classifier, data);
    EXPECT_EQ(trainer.train(3).steps, 3u);
}

TEST(Trainer, TellsTheProgressEveryStep) {
    const auto& tiny = tinyNetwork();
    const auto data = noiseFor(tiny, 8);
    TrainingNetwork classifier(tiny, MTL::createSystemDefaultDevice(), settingsFor(tiny));
    Trainer trainer(classifier, data);
    Progress progress(6, "tiny", Console{});
    trainer.train(6, &progress);
    EXPECT_EQ(progress.steps(), 6u);
    EXPECT_EQ(progress.images(), 24u);
}

TEST(Evaluate, CountsTheLargestProbability) {
    const auto& tiny = tinyNetwork();
    const auto data = noiseFor(tiny, 10);
    const auto device = MTL::createSystemDefaultDevice();
    TrainingNetwork classifier(tiny, device, settingsFor(tiny));
    std::size_t right = 0;
    for (std::uint32_t i = 0; i < data.count(); ++i) {
        LabelledBatch one(device, data, 1, tiny.target.channels);
        one.fill(data, std::vector<std::uint32_t>{i});
        const auto commandBuffer = device->newCommandQueue()->commandBuffer();
        const auto result = classifier.inferenceGraph().encodeBatch(commandBuffer, {one.pictures()});
        MPS::ImageBatchSynchronize(result, commandBuffer);
        commandBuffer->commit();
        commandBuffer->waitUntilCompleted();
        float p[3];
        result[0]->readBytes(p, MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
        EXPECT_NEAR(p[0] + p[1] + p[2], 1, 8 * std::numeric_limits<float>::epsilon());
        const bool best = p[data.label(i)] >= p[0] && p[data.label(i)] >= p[1] && p[data.label(i)] >= p[2];
        right += best;
    }
    EXPECT_DOUBLE_EQ(evaluate(classifier, data), static_cast<double>(right) / 10);
}

}  // namespace
}  // namespace pewter::train::tests
