#include <fmt/format.h>

#include <MPS/CommandBuffer.hpp>
#include <MPS/Image.hpp>
#include <MPS/NNGraph.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/LabelledBatch.hpp>
#include <Pewter/train/Progress.hpp>
#include <Pewter/train/Trainer.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>
#include <optional>
#include <semaphore>
#include <vector>

#include "train/SharedBlock.h"
#include "train/Pictures.h"

namespace pewter::train {

namespace {

void checkData(const NetworkDescription& network, const Dataset& data) {
    const auto& target = network.target;
    const auto& targets = data.targets();
    const auto fail = [&](const std::string& wanted, const std::string& found) {
        throw MPS::Error("network " + network.name, "data",
                         fmt::format("pictures of {} x {} x {} {}", network.width, network.height, network.channels,
                                     wanted),
                         fmt::format("{} x {} x {} {} ({})", data.width(), data.height(), data.channels(), found,
                                     data.name()));
    };
    const auto found = data.hasTargets()
                           ? fmt::format("with targets of {} x {} x {}", targets.width, targets.height, targets.channels)
                           : fmt::format("in {} classes", data.classCount());
    const bool pictures =
        data.width() == network.width && data.height() == network.height && data.channels() == network.channels;
    if (target.isClasses()) {
        if (!pictures || data.hasTargets() || data.classCount() > target.channels)
            fail(fmt::format("in at most {} classes", target.channels), found);
    } else if (!pictures || targets.width != target.width || targets.height != target.height ||
               targets.channels != target.channels) {
        fail(fmt::format("with targets of {} x {} x {}", target.width, target.height, target.channels), found);
    }
}

double secondsNow() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

struct Trainer::State {
    TrainingNetwork& network;
    const Dataset& data;
    BatchSampler sampler;
    std::shared_ptr<MTL::CommandQueue> queue;
    /// What the batches in flight own; reused when their command buffer is done.
    std::vector<LabelledBatch> slots;
    std::shared_ptr<SharedBlock> block;
    std::counting_semaphore<kBatchesInFlight> free{kBatchesInFlight};
    TrainingLog log;

    std::mutex mutex;  // the completion handlers write below
    std::optional<std::string> failure;

    State(TrainingNetwork& c, const Dataset& d, SamplingMode mode)
        : network(c),
          data(d),
          sampler(d.count(), c.settings().batchSize, mode, c.settings().seed),
          queue(c.device()->newCommandQueue()),
          block(std::make_shared<SharedBlock>(c.device())) {
        for (int i = 0; i < kBatchesInFlight; ++i)
            slots.emplace_back(c.device(), d, c.settings().batchSize, c.description().target.channels);
    }

    void step(std::uint64_t index, Progress* progress) {
        LabelledBatch& slot = slots[index % kBatchesInFlight];
        slot.fill(data, sampler.next());
        const auto commandBuffer = MPS::CommandBuffer::commandBufferFromCommandQueue(queue);
        commandBuffer->setHeapProvider(block);
        network.trainingGraph().encodeBatch(commandBuffer, {slot.pictures()}, {slot.labels()});
        slot.synchronizeLoss(commandBuffer);
        commandBuffer->addCompletedHandler([this, &slot, index, progress](const auto& done) {
            if (const auto error = done->error()) {
                std::lock_guard lock(mutex);
                if (!failure) failure = error->localizedDescription;
            } else {
                const double scale = network.lossScale(), loss = slot.loss() / scale;
                std::lock_guard lock(mutex);
                if (scale != 1 && !std::isfinite(loss) && !failure)
                    failure = fmt::format("the loss of step {} is not finite: at a loss scale of {} gradients may have left the "
                                          "range of float16; a smaller one or another format may help",
                                          index + 1, scale);
                log.losses[index] = loss;
                if (progress) progress->advance(slot.count(), loss);
            }
            free.release();
        });
        log.peakTemporaryBytes = std::max(log.peakTemporaryBytes, commandBuffer->peakTemporaryMemory());
        commandBuffer->commit();
    }

    void waitForAll() {
        for (int i = 0; i < kBatchesInFlight; ++i) free.acquire();
        free.release(kBatchesInFlight);
    }

    bool hasFailed() {
        std::lock_guard lock(mutex);
        return failure.has_value();
    }
};

Trainer::Trainer(TrainingNetwork& network, const Dataset& data, SamplingMode mode) {
    checkData(network.description(), data);
    state_ = std::make_unique<State>(network, data, mode);
}

Trainer::~Trainer() {
    if (state_) state_->waitForAll();
}

std::size_t Trainer::stepsPerEpoch() const { return state_->sampler.stepsPerEpoch(); }
const TrainingLog& Trainer::log() const { return state_->log; }

const TrainingLog& Trainer::train(std::uint64_t steps, Progress* progress, Schedule schedule) {
    auto& s = *state_;
    const std::uint64_t first = s.log.steps;
    s.log.losses.resize(first + steps);
    const float rate = s.network.settings().optimizer.descriptor.learningRate;
    const double start = secondsNow();
    std::uint64_t done = 0;
    try {
        for (; done < steps && !s.hasFailed(); ++done) {
            const double left = 1 - static_cast<double>(done) / static_cast<double>(steps);
            s.network.setLearningRate(schedule == Schedule::Linear ? static_cast<float>(rate * left) : rate);
            s.free.acquire();
            try {
                s.step(first + done, progress);
            } catch (...) {
                s.free.release();
                throw;
            }
        }
    } catch (...) {
        s.waitForAll();
        throw;
    }
    s.waitForAll();
    s.log.steps = first + done;
    s.log.seconds += secondsNow() - start;
    s.log.imagesPerSecond =
        static_cast<double>(s.log.steps * s.network.settings().batchSize) / std::max(s.log.seconds, 1e-9);
    s.log.losses.resize(s.log.steps);
    if (s.failure) throw MPS::Error("training of " + s.network.description().name + " stopped: " + *s.failure);
    return s.log;
}

namespace {

/// Calls judge(index, values of the result) for every picture.
template <class Judge>
void forEachResult(MPS::NNGraph& graph, const Dataset& data, std::size_t batchSize, Judge judge) {
    if (data.count() == 0 || batchSize == 0)
        throw MPS::Error(graph.name(), "evaluate", "at least one picture and a batch of at least one",
                         fmt::format("{} pictures, batch {}", data.count(), batchSize));
    graph.reloadFromDataSources();
    const auto device = graph.device();
    const auto queue = device->newCommandQueue();
    std::shared_ptr<MPS::Image> pictures;
    std::vector<float> values;
    for (std::size_t first = 0; first < data.count(); first += batchSize) {
        const std::size_t count = std::min(batchSize, data.count() - first);
        if (!pictures || pictures->numberOfImages() != count)
            pictures = manyPictures(device, MPS::ImageFeatureChannelFormat::Unorm8, data.width(), data.height(),
                                    data.channels(), count);
        writeAll(*pictures, data.bytes().data() + first * data.imageBytes(), 1);
        const auto commandBuffer = queue->commandBuffer();
        const auto results = graph.encodeBatch(commandBuffer, {pictures->batchRepresentation()});
        MPS::ImageBatchSynchronize(results, commandBuffer);
        commandBuffer->commit();
        commandBuffer->waitUntilCompleted();
        if (const auto error = commandBuffer->error())
            throw MPS::Error("evaluation by " + graph.name() + " stopped: " + error->localizedDescription);
        for (std::size_t i = 0; i < count; ++i) {
            const auto& result = *results[i];
            if (result.featureChannelFormat() != MPS::ImageFeatureChannelFormat::Float32)
                throw MPS::Error(graph.name(), "evaluate", "a float32 result image", result.description());
            values.resize(result.width() * result.height() * result.featureChannels());
            results[i]->readBytes(values.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
            judge(first + i, values);
        }
    }
}

std::size_t evaluationBatch(const TrainingNetwork& network, std::size_t batchSize) {
    if (batchSize) return batchSize;
    const std::size_t own = network.settings().batchSize;
    return network.description().target.isClasses() ? std::max<std::size_t>(own, 100) : own;
}

}  // namespace

double evaluate(MPS::NNGraph& graph, const Dataset& data, std::size_t batchSize) {
    if (data.hasTargets()) throw MPS::Error(graph.name(), "evaluate", "data with labels", data.name() + " with targets");
    std::size_t right = 0;
    forEachResult(graph, data, batchSize, [&](std::size_t index, const std::vector<float>& scores) {
        const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
        right += static_cast<std::size_t>(best) == data.label(index);
    });
    return static_cast<double>(right) / static_cast<double>(data.count());
}

double evaluate(TrainingNetwork& network, const Dataset& data, std::size_t batchSize) {
    checkData(network.description(), data);
    return evaluate(network.inferenceGraph(), data, evaluationBatch(network, batchSize));
}

double meanSquaredError(TrainingNetwork& network, const Dataset& data, std::size_t batchSize) {
    if (!data.hasTargets())
        throw MPS::Error("network " + network.description().name, "data", "one with target images",
                         data.name() + " with labels");
    checkData(network.description(), data);
    double sum = 0;
    const std::size_t elements = data.targets().imageBytes();
    forEachResult(network.inferenceGraph(), data, evaluationBatch(network, batchSize),
                  [&](std::size_t index, const std::vector<float>& values) {
                      const auto* target = data.targets().bytes.data() + index * elements;
                      for (std::size_t i = 0; i < elements; ++i) {
                          const double difference = static_cast<double>(values[i]) - target[i] / 255.0;
                          sum += difference * difference;
                      }
                  });
    return sum / static_cast<double>(data.count() * elements);
}

}  // namespace pewter::train
