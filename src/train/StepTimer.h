#pragma once

#include <MTL/Device.hpp>
#include <Pewter/train/LabelledBatch.hpp>
#include <Pewter/train/TrainingNetwork.hpp>
#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "train/SharedBlock.h"

namespace pewter::train {

/// Milliseconds of repeated measurements.
class Times {
public:
    void add(double seconds) { values_.push_back(seconds * 1e3); }
    /// The value that the share `q` of all values does not exceed; 0 without values.
    double quantile(double q) const;
    double median() const { return quantile(0.5); }
    double least() const { return quantile(0); }
    double most() const { return quantile(1); }
    std::size_t count() const { return values_.size(); }

private:
    std::vector<double> values_;
};

/// Whole training steps of a network (forward, backward, weight updates) on synthetic batches that lie in memory.
class StepTimer {
public:
    StepTimer(const NetworkDescription& description, const std::shared_ptr<MTL::Device>& device,
              const TrainingSettings& settings);

    /// `count` steps with two command buffers in flight as the trainer has them, after `warmUp` others.
    void together(std::size_t count, std::size_t warmUp);
    /// `count` steps, each begun when the one before is done.
    void apart(std::size_t count);

    /// Of `together`: from completion to completion, and the host's part, which runs beside the step before.
    const Times& step() const { return step_; }
    const Times& encode() const { return encode_; }
    std::size_t peakTemporaryBytes() const { return peakBytes_; }
    /// How the queue's stream keeps the steps that were repeated, a line each; empty where a device keeps none.
    std::vector<std::string> describeReplays();

private:
    std::shared_ptr<MPS::CommandBuffer> begin(std::size_t slot);

    TrainingNetwork network_;
    std::shared_ptr<MTL::CommandQueue> queue_;
    std::shared_ptr<SharedBlock> block_;
    std::vector<LabelledBatch> batches_;
    Times step_, encode_;
    std::size_t peakBytes_ = 0;
};

}  // namespace pewter::train
