#include <gtest/gtest.h>

#include <MPS/NNGraph.hpp>
#include <MPS/NNRecomputePolicy.hpp>
#include <Pewter/train/LabelledBatch.hpp>
#include <Pewter/train/Synthetic.hpp>
#include <Pewter/train/Trainer.hpp>
#include <numeric>

#include "TrainSupport.h"

namespace pewter::train {
namespace {

MPS::NNGraphReport reportOf(TrainingNetwork& net, const Dataset& data) {
    LabelledBatch batch(net.device(), data, net.settings().batchSize,
                        net.description().target.isClasses() ? net.description().target.channels : 0);
    return net.trainingGraph().memoryReport({batch.pictures()}, {batch.labels()});
}

struct Run {
    std::vector<double> losses;
    std::size_t peak = 0;
};

Run train(const NetworkDescription& description, std::size_t batch, std::size_t budget) {
    const auto data = syntheticSplit(description, 4 * batch, 1, 1).train;
    TrainingSettings settings;
    settings.batchSize = batch;
    TrainingNetwork net(description, MTL::createSystemDefaultDevice(), settings);
    if (budget) net.trainingGraph().setRecomputePolicy(MPS::NNRecomputePolicy::budget(budget));
    Trainer trainer(net, data);
    const auto& log = trainer.train(4);
    return {log.losses, log.peakTemporaryBytes};
}

TEST(Recomputation, ABudgetGivesTheSameLossesBitForBitAndIsKept) {
    for (const auto& [description, percent] : {std::pair{resnet18Network(16), 60}, {network("digits"), 70}}) {
        SCOPED_TRACE(description.name);
        const auto kept = train(description, 8, 0);
        const std::size_t budget = kept.peak * static_cast<std::size_t>(percent) / 100;
        const auto again = train(description, 8, budget);
        EXPECT_EQ(again.losses, kept.losses);
        EXPECT_LE(again.peak, budget);
    }
}

TEST(Recomputation, TheReportSaysWhatItSavesAndWhatItRepeats) {
    const auto description = resnet18Network(16);
    const auto data = syntheticSplit(description, 8, 1, 1).train;
    TrainingSettings settings;
    settings.batchSize = 8;
    TrainingNetwork net(description, MTL::createSystemDefaultDevice(), settings);
    const auto kept = reportOf(net, data);
    EXPECT_EQ(kept.recomputedSteps, 0u);
    EXPECT_EQ(kept.peakWithoutRecomputation, kept.peakBytes);
    net.trainingGraph().setRecomputePolicy(MPS::NNRecomputePolicy::budget(kept.peakBytes * 7 / 10));
    const auto again = reportOf(net, data);
    EXPECT_LE(again.peakBytes, kept.peakBytes * 7 / 10);
    EXPECT_EQ(again.peakWithoutRecomputation, kept.peakBytes);
    EXPECT_GT(again.recomputedSteps, 0u);
    EXPECT_EQ(again.steps.size(), kept.steps.size() + again.recomputedSteps);
    std::size_t bytes = 0;
    for (const auto& step : again.steps)
        if (step.recomputes != MPS::NNGraphReport::npos) {
            EXPECT_EQ(step.label, again.steps[step.recomputes].label);
            bytes += again.images[step.resultImage].bytes;
        }
    EXPECT_EQ(bytes, again.recomputedBytes);
}

TEST(Recomputation, ABudgetThatCannotBeKeptIsRefusedWithTheLeastThatWasFound) {
    const auto description = resnet18Network(8);
    const auto data = syntheticSplit(description, 4, 1, 1).train;
    TrainingSettings settings;
    settings.batchSize = 4;
    TrainingNetwork net(description, MTL::createSystemDefaultDevice(), settings);
    net.trainingGraph().setRecomputePolicy(MPS::NNRecomputePolicy::budget(1000));
    try {
        reportOf(net, data);
        FAIL() << "nothing was thrown";
    } catch (const MPS::Error& error) {
        EXPECT_NE(std::string(error.what()).find("resnet18 training"), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find("recomputePolicy: expected a budget of at least "), std::string::npos)
            << error.what();
    }
    net.trainingGraph().setRecomputePolicy(MPS::NNRecomputePolicy::none());
    EXPECT_GT(reportOf(net, data).peakBytes, 1000u);
}

}  // namespace
}  // namespace pewter::train
