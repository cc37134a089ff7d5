#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <Pewter/train/BatchSampler.hpp>
#include <Pewter/train/Dataset.hpp>
#include <Pewter/train/TrainingNetwork.hpp>

namespace pewter::train {

class Progress;

/// What a training run did.
struct TrainingLog {
    std::uint64_t steps = 0;
    double seconds = 0;  ///< of the training steps, without evaluation
    double imagesPerSecond = 0;
    std::vector<double> losses;  ///< mean loss of the batch, one a step
    std::size_t peakTemporaryBytes = 0;
};

/// How the learning rate runs over the steps of one call of Trainer::train.
enum class Schedule {
    Constant,
    /// From the full rate towards 0 in a straight line: what the last steps have learnt is not shaken any more.
    Linear,
};

/// The loop of Apple's sample: two batches in flight, the next encoded while the last runs; losses are read in the completion
/// handler; nothing on the host waits for a result inside an iteration.
class PEWTER_API Trainer {
public:
    /// Both must outlive the trainer. Throws MPS::Error when the data does not fit the network.
    Trainer(TrainingNetwork& network, const Dataset& data, SamplingMode mode = SamplingMode::ShuffledEpochs);
    Trainer(TrainingNetwork& network, Dataset&& data, SamplingMode mode = SamplingMode::ShuffledEpochs) = delete;
    ~Trainer();

    std::size_t stepsPerEpoch() const;
    /// Trains for that many steps and waits for them; adds to the log of earlier calls. The learning rate, that of the
    /// network's settings, is set again before every step. Throws MPS::Error that carries the failure of a command buffer.
    const TrainingLog& train(std::uint64_t steps, Progress* progress = nullptr, Schedule schedule = Schedule::Constant);
    const TrainingLog& log() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Share of pictures whose largest value of the graph's result is at their label. The graph takes pictures and gives a
/// float32 image a picture; it reloads its data sources first.
PEWTER_API double evaluate(MPS::NNGraph& inference, const Dataset& data, std::size_t batchSize = 100);
/// The same with a network's inference graph and, unless told otherwise, its batch size or 100.
PEWTER_API double evaluate(TrainingNetwork& network, const Dataset& data, std::size_t batchSize = 0);
/// Mean of the squared differences between the results of a network and the target images, which are byte / 255. Batches
/// are of the network's size unless told otherwise.
PEWTER_API double meanSquaredError(TrainingNetwork& network, const Dataset& data, std::size_t batchSize = 0);

}  // namespace pewter::train
