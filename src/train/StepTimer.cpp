#include "train/StepTimer.h"

#include <MPS/NNGraph.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/Synthetic.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "mtl/CommandBuffer.h"

namespace pewter::train {

namespace {

double secondsNow() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void finish(const std::shared_ptr<MPS::CommandBuffer>& commandBuffer) {
    commandBuffer->waitUntilCompleted();
    if (const auto error = commandBuffer->error()) throw MTL::Error(error->localizedDescription);
}

}  // namespace

double Times::quantile(double q) const {
    if (values_.empty()) return 0;
    auto sorted = values_;
    const auto at = static_cast<std::size_t>(std::lround(q * static_cast<double>(sorted.size() - 1)));
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(at), sorted.end());
    return sorted[at];
}

StepTimer::StepTimer(const NetworkDescription& description, const std::shared_ptr<MTL::Device>& device,
                     const TrainingSettings& settings)
    : network_(description, device, settings),
      queue_(device->newCommandQueue()),
      block_(std::make_shared<SharedBlock>(device)) {
    const auto data = syntheticSplit(description, settings.batchSize, 1, settings.seed).train;
    std::vector<std::uint32_t> all(settings.batchSize);
    std::iota(all.begin(), all.end(), 0u);
    for (int i = 0; i < kBatchesInFlight; ++i) {
        batches_.emplace_back(device, data, settings.batchSize, description.target.channels);
        batches_.back().fill(data, all);
    }
}

std::shared_ptr<MPS::CommandBuffer> StepTimer::begin(std::size_t slot) {
    auto commandBuffer = MPS::CommandBuffer::commandBufferFromCommandQueue(queue_);
    commandBuffer->setHeapProvider(block_);
    network_.trainingGraph().encodeBatch(commandBuffer, {batches_[slot].pictures()}, {batches_[slot].labels()});
    batches_[slot].synchronizeLoss(commandBuffer);
    peakBytes_ = std::max(peakBytes_, commandBuffer->peakTemporaryMemory());
    return commandBuffer;
}

void StepTimer::together(std::size_t count, std::size_t warmUp) {
    std::array<std::shared_ptr<MPS::CommandBuffer>, kBatchesInFlight> flying;
    const std::size_t total = count + warmUp;
    double last = 0, beforeLast = 0;
    for (std::size_t i = 0; i < total + flying.size(); ++i) {
        auto& slot = flying[i % flying.size()];
        if (slot) {
            finish(slot);
            const double now = secondsNow();
            // Step i - 2 is done; it began when the one before it was. The ends of two in flight may lie close together, so
            // that only both steps together tell the time of one.
            if (i - flying.size() >= std::max<std::size_t>(warmUp, 2)) step_.add((now - beforeLast) / 2);
            beforeLast = last;
            last = now;
        }
        slot = nullptr;
        if (i >= total) continue;
        const double start = secondsNow();
        slot = begin(i % flying.size());
        if (i >= warmUp) encode_.add(secondsNow() - start);
        slot->commit();
    }
}

void StepTimer::apart(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const auto commandBuffer = begin(0);
        commandBuffer->commit();
        finish(commandBuffer);
    }
}

std::vector<std::string> StepTimer::describeReplays() {
    // The queue's worker is the only one that may ask its stream.
    std::vector<std::string> lines;
    const auto commandBuffer = queue_->commandBuffer();
    mtl::append(*commandBuffer, "replays", [&](ops::Stream& stream) { lines = stream.describeReplays(); });
    commandBuffer->commit();
    commandBuffer->waitUntilCompleted();
    return lines;
}

}  // namespace pewter::train
