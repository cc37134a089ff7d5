#include <fmt/format.h>

#include <MPS/CNNLoss.hpp>
#include <MPS/CommandBuffer.hpp>
#include <MPS/Image.hpp>
#include <MPS/NNGraph.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/Progress.hpp>
#include <Pewter/train/Trainer.hpp>
#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <semaphore>

namespace pewter::train {

namespace {

/// Pictures of one batch that lie back to back, so that one copy fills them.
struct PictureBatch {
    std::shared_ptr<MPS::Image> all;
    MPS::ImageBatch each;

    PictureBatch(const std::shared_ptr<MTL::Device>& device, MPS::ImageFeatureChannelFormat format, std::size_t width,
                 std::size_t height, std::size_t channels, std::size_t count) {
        auto descriptor = MPS::ImageDescriptor::imageDescriptor(format, width, height, channels);
        descriptor.numberOfImages = count;
        all = std::make_shared<MPS::Image>(device, descriptor);
        each = all->batchRepresentation();
    }

    void write(const void* bytes, std::size_t elementSize) {
        const std::size_t row = all->width() * all->featureChannels() * elementSize;
        all->writeBytes(bytes, MPS::DataLayout::HeightxWidthxFeatureChannels, row, row * all->height(),
                        {{0, 0, 0}, {all->width(), all->height(), all->numberOfImages()}},
                        {0, all->featureChannels()}, 0);
    }
};

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

/// What one of the batches in flight owns; reused when its command buffer is done.
struct Slot {
    PictureBatch pictures;
    PictureBatch oneHot;
    MPS::StateBatch labels;
    MPS::CNNLossLabelsBatch losses;

    Slot(const std::shared_ptr<MTL::Device>& device, const NetworkDescription& network, std::size_t batch)
        : pictures(device, MPS::ImageFeatureChannelFormat::Unorm8, network.width, network.height, network.channels,
                   batch),
          oneHot(device, MPS::ImageFeatureChannelFormat::Float32, 1, 1, network.classes, batch),
          losses(MPS::CNNLossLabels::batch(device, {1, 1, 1}, oneHot.each)) {
        labels.assign(losses.begin(), losses.end());
    }

    /// Sum of the loss images: the weight 1/batch makes it the mean.
    double loss() const {
        double sum = 0;
        for (const auto& labels : losses) {
            float value = 0;
            labels->lossImage()->readBytes(&value, MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
            sum += value;
        }
        return sum;
    }
};

}  // namespace

struct Trainer::State {
    Classifier& classifier;
    const Dataset& data;
    BatchSampler sampler;
    std::shared_ptr<MTL::CommandQueue> queue;
    std::vector<std::unique_ptr<Slot>> slots;
    std::counting_semaphore<kBatchesInFlight> free{kBatchesInFlight};
    std::vector<std::uint8_t> pictureBytes, labelBytes;
    std::vector<float> oneHot;
    TrainingLog log;

    std::mutex mutex;  // the completion handlers write below
    std::optional<std::string> failure;

    State(Classifier& c, const Dataset& d, SamplingMode mode)
        : classifier(c),
          data(d),
          sampler(d.count(), c.settings().batchSize, mode, c.settings().seed),
          queue(c.device()->newCommandQueue()),
          pictureBytes(c.settings().batchSize * d.imageBytes()),
          labelBytes(c.settings().batchSize),
          oneHot(c.settings().batchSize * c.description().classes) {
        for (int i = 0; i < kBatchesInFlight; ++i)
            slots.push_back(std::make_unique<Slot>(c.device(), c.description(), c.settings().batchSize));
    }

    void fill(Slot& slot) {
        data.gather(sampler.next(), pictureBytes, labelBytes);
        slot.pictures.write(pictureBytes.data(), 1);
        std::fill(oneHot.begin(), oneHot.end(), 0.0f);
        for (std::size_t i = 0; i < labelBytes.size(); ++i)
            oneHot[i * classifier.description().classes + labelBytes[i]] = 1;
        slot.oneHot.write(oneHot.data(), sizeof(float));
    }

    void step(std::uint64_t index, Progress* progress) {
        Slot& slot = *slots[index % kBatchesInFlight];
        fill(slot);
        const auto commandBuffer = MPS::CommandBuffer::commandBufferFromCommandQueue(queue);
        classifier.trainingGraph().encodeBatch(commandBuffer, {slot.pictures.each}, {slot.labels});
        for (const auto& labels : slot.losses) labels->lossImage()->synchronize(commandBuffer);
        commandBuffer->addCompletedHandler([this, &slot, index, progress](const auto& done) {
            if (const auto error = done->error()) {
                std::lock_guard lock(mutex);
                if (!failure) failure = error->localizedDescription;
            } else {
                const double loss = slot.loss();
                std::lock_guard lock(mutex);
                log.losses[index] = loss;
                if (progress) progress->advance(slot.labels.size(), loss);
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

const TrainingLog& Trainer::train(std::uint64_t steps, Progress* progress) {
    auto& s = *state_;
    const std::uint64_t first = s.log.steps;
    s.log.losses.resize(first + steps);
    const double start = secondsNow();
    std::uint64_t done = 0;
    try {
        for (; done < steps && !s.hasFailed(); ++done) {
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

double evaluate(Classifier& classifier, const Dataset& data, std::size_t batchSize) {
    checkData(classifier.description(), data);
    if (batchSize == 0) batchSize = std::max<std::size_t>(classifier.settings().batchSize, 100);
    auto& graph = classifier.inferenceGraph();
    graph.reloadFromDataSources();
    const auto queue = classifier.device()->newCommandQueue();
    const std::size_t classes = classifier.description().classes;
    std::optional<PictureBatch> pictures;
    std::vector<float> scores(classes);
    std::size_t right = 0;
    for (std::size_t first = 0; first < data.count(); first += batchSize) {
        const std::size_t count = std::min(batchSize, data.count() - first);
        if (!pictures || pictures->each.size() != count)
            pictures.emplace(classifier.device(), MPS::ImageFeatureChannelFormat::Unorm8, data.width(), data.height(),
                             data.channels(), count);
        pictures->write(data.bytes().data() + first * data.imageBytes(), 1);
        const auto commandBuffer = queue->commandBuffer();
        const auto results = graph.encodeBatch(commandBuffer, {pictures->each});
        MPS::ImageBatchSynchronize(results, commandBuffer);
        commandBuffer->commit();
        commandBuffer->waitUntilCompleted();
        if (const auto error = commandBuffer->error())
            throw MPS::Error("evaluation of " + classifier.description().name + " stopped: " +
                             error->localizedDescription);
        for (std::size_t i = 0; i < count; ++i) {
            results[i]->readBytes(scores.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
            const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
            right += static_cast<std::size_t>(best) == data.label(first + i);
        }
    }
    return static_cast<double>(right) / static_cast<double>(data.count());
}

}  // namespace pewter::train
