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
#include <mutex>
#include <optional>
#include <semaphore>
#include <vector>

#include "train/Pictures.h"

namespace pewter::train {

namespace {

void checkData(const NetworkDescription& network, const Dataset& data) {
    if (data.width() != network.width || data.height() != network.height || data.channels() != network.channels ||
        data.classCount() > network.classes)
        throw MPS::Error("network " + network.name, "data",
                         fmt::format("pictures of {} x {} x {} in at most {} classes", network.width, network.height,
                                     network.channels, network.classes),
                         fmt::format("{} x {} x {} in {} classes ({})", data.width(), data.height(), data.channels(),
                                     data.classCount(), data.name()));
    if (data.count() == 0) throw MPS::Error("network " + network.name, "data", "at least one picture", "none");
}

double secondsNow() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr int kBatchesInFlight = 2;

/// The temporary memory of the batches in flight, all of it taken with the first: otherwise the block of the second would
/// be taken when two first overlap, which may be late in a run.
class BlocksInFlight final : public MPS::HeapProvider {
public:
    explicit BlocksInFlight(std::shared_ptr<MTL::Device> device) : device_(std::move(device)) {}

    std::shared_ptr<MTL::Heap> newHeap(const MTL::HeapDescriptor& descriptor) override {
        std::lock_guard lock(mutex_);
        if (descriptor.size > size_) {
            size_ = descriptor.size;
            idle_.clear();
            for (int i = 0; i < kBatchesInFlight; ++i) idle_.push_back(device_->newHeap(descriptor));
        }
        if (idle_.empty()) return nullptr;
        auto heap = std::move(idle_.back());
        idle_.pop_back();
        return heap;
    }

    void retireHeap(const std::shared_ptr<MTL::Heap>& heap, double) override {
        std::lock_guard lock(mutex_);
        if (heap->size() >= size_) idle_.push_back(heap);
    }

private:
    std::shared_ptr<MTL::Device> device_;
    std::mutex mutex_;
    std::size_t size_ = 0;
    std::vector<std::shared_ptr<MTL::Heap>> idle_;
};

}  // namespace

struct Trainer::State {
    Classifier& classifier;
    const Dataset& data;
    BatchSampler sampler;
    std::shared_ptr<MTL::CommandQueue> queue;
    /// What the batches in flight own; reused when their command buffer is done.
    std::vector<LabelledBatch> slots;
    std::shared_ptr<BlocksInFlight> blocks;
    std::counting_semaphore<kBatchesInFlight> free{kBatchesInFlight};
    TrainingLog log;

    std::mutex mutex;  // the completion handlers write below
    std::optional<std::string> failure;

    State(Classifier& c, const Dataset& d, SamplingMode mode)
        : classifier(c),
          data(d),
          sampler(d.count(), c.settings().batchSize, mode, c.settings().seed),
          queue(c.device()->newCommandQueue()),
          blocks(std::make_shared<BlocksInFlight>(c.device())) {
        for (int i = 0; i < kBatchesInFlight; ++i)
            slots.emplace_back(c.device(), d, c.settings().batchSize, c.description().classes);
    }

    void step(std::uint64_t index, Progress* progress) {
        LabelledBatch& slot = slots[index % kBatchesInFlight];
        slot.fill(data, sampler.next());
        const auto commandBuffer = MPS::CommandBuffer::commandBufferFromCommandQueue(queue);
        commandBuffer->setHeapProvider(blocks);
        classifier.trainingGraph().encodeBatch(commandBuffer, {slot.pictures()}, {slot.labels()});
        slot.synchronizeLoss(commandBuffer);
        commandBuffer->addCompletedHandler([this, &slot, index, progress](const auto& done) {
            if (const auto error = done->error()) {
                std::lock_guard lock(mutex);
                if (!failure) failure = error->localizedDescription;
            } else {
                const double loss = slot.loss();
                std::lock_guard lock(mutex);
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

Trainer::Trainer(Classifier& classifier, const Dataset& data, SamplingMode mode) {
    checkData(classifier.description(), data);
    state_ = std::make_unique<State>(classifier, data, mode);
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
    const float rate = s.classifier.settings().optimizer.descriptor.learningRate;
    const double start = secondsNow();
    std::uint64_t done = 0;
    try {
        for (; done < steps && !s.hasFailed(); ++done) {
            const double left = 1 - static_cast<double>(done) / static_cast<double>(steps);
            s.classifier.setLearningRate(schedule == Schedule::Linear ? static_cast<float>(rate * left) : rate);
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
        static_cast<double>(s.log.steps * s.classifier.settings().batchSize) / std::max(s.log.seconds, 1e-9);
    s.log.losses.resize(s.log.steps);
    if (s.failure) throw MPS::Error("training of " + s.classifier.description().name + " stopped: " + *s.failure);
    return s.log;
}

double evaluate(MPS::NNGraph& graph, const Dataset& data, std::size_t batchSize) {
    if (data.count() == 0 || batchSize == 0)
        throw MPS::Error(graph.name(), "evaluate", "at least one picture and a batch of at least one",
                         fmt::format("{} pictures, batch {}", data.count(), batchSize));
    graph.reloadFromDataSources();
    const auto device = graph.device();
    const auto queue = device->newCommandQueue();
    std::shared_ptr<MPS::Image> pictures;
    std::vector<float> scores;
    std::size_t right = 0;
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
            scores.resize(result.width() * result.height() * result.featureChannels());
            results[i]->readBytes(scores.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
            const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
            right += static_cast<std::size_t>(best) == data.label(first + i);
        }
    }
    return static_cast<double>(right) / static_cast<double>(data.count());
}

double evaluate(Classifier& classifier, const Dataset& data, std::size_t batchSize) {
    checkData(classifier.description(), data);
    return evaluate(classifier.inferenceGraph(), data,
                    batchSize ? batchSize : std::max<std::size_t>(classifier.settings().batchSize, 100));
}

}  // namespace pewter::train
