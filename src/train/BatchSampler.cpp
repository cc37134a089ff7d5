#include <fmt/format.h>

#include <Pewter/train/BatchSampler.hpp>
#include <Pewter/train/Random.hpp>
#include <algorithm>
#include <limits>
#include <numeric>

namespace pewter::train {

BatchSampler::BatchSampler(std::size_t count, std::size_t batchSize, SamplingMode mode, std::uint64_t seed)
    : count_(count), batchSize_(batchSize), stepsPerEpoch_(1), mode_(mode), seed_(seed) {
    const std::string subject = "BatchSampler";
    if (count == 0 || count > std::numeric_limits<std::uint32_t>::max()) {
        throw MPS::Error(subject, "count", "1 to 4294967295 images", fmt::format("{}", count));
    }
    if (batchSize == 0) throw MPS::Error(subject, "batchSize", "at least 1", "0");
    if (mode == SamplingMode::ShuffledEpochs && batchSize > count) {
        throw MPS::Error(subject, "batchSize", fmt::format("at most the {} images of the set", count),
                         fmt::format("{}", batchSize));
    }
    stepsPerEpoch_ = std::max<std::size_t>(1, count / batchSize);
    if (mode == SamplingMode::ShuffledEpochs) {
        indices_.resize(count);
        shuffleEpoch(0);
    } else {
        indices_.resize(batchSize);
    }
}

void BatchSampler::shuffleEpoch(std::uint64_t epoch) {
    // From the natural order each time, so that an epoch does not depend on those before it.
    std::iota(indices_.begin(), indices_.end(), 0u);
    Random(seed_, epoch).shuffle(std::span(indices_));
    shuffledEpoch_ = epoch;
}

std::span<const std::uint32_t> BatchSampler::next() {
    if (mode_ == SamplingMode::RandomWithReplacement) {
        Random random(seed_, step_);
        for (std::uint32_t& index : indices_) index = static_cast<std::uint32_t>(random.below(count_));
        ++step_;
        return indices_;
    }
    if (epoch() != shuffledEpoch_) shuffleEpoch(epoch());
    const std::size_t first = static_cast<std::size_t>(step_ % stepsPerEpoch_) * batchSize_;
    ++step_;
    return std::span<const std::uint32_t>(indices_).subspan(first, batchSize_);
}

void BatchSampler::seek(std::uint64_t step) { step_ = step; }

}  // namespace pewter::train
