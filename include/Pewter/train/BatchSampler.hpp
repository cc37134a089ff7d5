#pragma once

#include <MTL/Error.hpp>
#include <MTL/Export.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pewter::train {

/// How a BatchSampler picks images.
enum class SamplingMode {
    /// Every image of every batch is drawn from the whole set, so images may repeat, as in Apple's MNIST
    /// sample.
    RandomWithReplacement,
    /// Every epoch visits the images in a new random order, none twice. All batches are full: what is left
    /// over at the
    /// end (count modulo batchSize images, others each time) is not visited in that epoch.
    ShuffledEpochs,
};

/// Says which images make up each batch of a training run.
///
/// Batch k depends on the constructor's arguments and on k alone, on every machine: the same seed gives the
/// same run, and seek() resumes one.
class PEWTER_API BatchSampler {
public:
    /// For `count` images in batches of `batchSize`.
    /// Throws MPS::Error when either is 0, count exceeds 2^32 - 1, or ShuffledEpochs is asked for a batch
    /// larger than the set.
    BatchSampler(std::size_t count, std::size_t batchSize, SamplingMode mode, std::uint64_t seed);

    /// The image numbers of the next batch; batchSize() of them, valid until next() or seek() is called
    /// again. Allocates nothing.
    std::span<const std::uint32_t> next();

    /// Makes next() return batch `step` (0 is the first of the run).
    void seek(std::uint64_t step);

    /// How many batches next() has gone past: the number of the batch it returns next.
    std::uint64_t step() const noexcept { return step_; }
    /// Full batches in one epoch: count / batchSize rounded down, at least 1. In the mode with replacement an
    /// epoch is a manner of speaking: as many images as the set has.
    std::size_t stepsPerEpoch() const noexcept { return stepsPerEpoch_; }
    /// The epoch, from 0, of the batch that next() returns next.
    std::uint64_t epoch() const noexcept { return step_ / stepsPerEpoch_; }

    std::size_t count() const noexcept { return count_; }
    std::size_t batchSize() const noexcept { return batchSize_; }
    SamplingMode mode() const noexcept { return mode_; }
    std::uint64_t seed() const noexcept { return seed_; }

private:
    void shuffleEpoch(std::uint64_t epoch);

    std::size_t count_, batchSize_, stepsPerEpoch_;
    SamplingMode mode_;
    std::uint64_t seed_;
    std::uint64_t step_ = 0;
    std::uint64_t shuffledEpoch_ = 0;
    std::vector<std::uint32_t> indices_;  // the batch, or the order of the whole epoch
};

}  // namespace pewter::train
