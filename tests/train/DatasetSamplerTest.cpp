#include <gmock/gmock.h>

#include <Pewter/train/BatchSampler.hpp>
#include <Pewter/train/Random.hpp>
#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>

#include "DatasetSupport.h"

namespace pewter::train::tests {
namespace {

using testing::ElementsAre;
using Words = std::vector<std::uint64_t>;
using Indices = std::vector<std::uint32_t>;

Indices batchOf(BatchSampler& sampler) {
    const auto batch = sampler.next();
    return Indices(batch.begin(), batch.end());
}

TEST(DatasetRandom, SplitMixGivesThePublishedSequence) {
    std::uint64_t state = 1234567;
    for (const std::uint64_t expected :
         Words{6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u,
               16408922859458223821u}) {
        EXPECT_EQ(splitMix64(state), expected);
    }
}

TEST(DatasetRandom, XoshiroGivesThePublishedSequence) {
    Random random(std::array<std::uint64_t, 4>{1, 2, 3, 4});
    for (const std::uint64_t expected :
         Words{11520u, 0u, 1509978240u, 1215971899390074240u, 1216172134540287360u, 607988272756665600u}) {
        EXPECT_EQ(random.next(), expected);
    }
}

TEST(DatasetRandom, BelowStaysBelowItsBoundAndReachesEveryValue) {
    Random random(3);
    std::map<std::uint64_t, int> seen;
    for (int i = 0; i < 7000; ++i) ++seen[random.below(7)];
    ASSERT_EQ(seen.size(), 7u);
    EXPECT_EQ(seen.rbegin()->first, 6u);
    // Six standard deviations of 7000 draws with probability 1/7: 6 x sqrt(7000 x 6/49) = 176.
    for (const auto& [value, times] : seen) EXPECT_NEAR(times, 1000, 176) << value;
}

TEST(DatasetRandom, BelowIsUnbiasedForABoundThatDoesNotDivideTheRange) {
    // Plain "next() % bound" gives the lower half of this range two times in three.
    const std::uint64_t bound = (std::uint64_t{1} << 63) + (std::uint64_t{1} << 62);
    Random random(5);
    int lower = 0;
    for (int i = 0; i < 3000; ++i) lower += random.below(bound) < std::uint64_t{1} << 62;
    // A third expected, half if biased; six standard deviations: 6 x sqrt(3000 x 2/9) = 155.
    EXPECT_NEAR(lower, 1000, 155);
}

TEST(DatasetRandom, UniformLiesInTheHalfOpenUnitInterval) {
    Random random(11);
    double sum = 0;
    for (int i = 0; i < 1000; ++i) {
        const double value = random.uniform();
        ASSERT_GE(value, 0);
        ASSERT_LT(value, 1);
        sum += value;
    }
    EXPECT_NEAR(sum, 500, 55);  // six standard deviations: 6 x sqrt(1000 / 12)
}

TEST(DatasetRandom, StreamsUnderOneSeedDiffer) {
    std::set<std::uint64_t> first;
    for (std::uint64_t stream = 0; stream < 100; ++stream) first.insert(Random(9, stream).next());
    EXPECT_EQ(first.size(), 100u);
}

TEST(DatasetRandom, ShuffleGivesEveryOrderEquallyOften) {
    std::map<std::array<int, 3>, int> seen;
    Random random(2);
    for (int i = 0; i < 6000; ++i) {
        std::array<int, 3> values{1, 2, 3};
        random.shuffle(std::span<int>(values));
        ++seen[values];
    }
    ASSERT_EQ(seen.size(), 6u);
    for (const auto& [order, times] : seen) EXPECT_NEAR(times, 1000, 174);  // 6 x sqrt(6000 x 5/36)
}

TEST(DatasetSampler, DrawsTheSameBatchesOnEveryMachine) {
    // Worked out by a separate Python program from the description of the generators.
    BatchSampler drawn(10, 4, SamplingMode::RandomWithReplacement, 1);
    EXPECT_THAT(drawn.next(), ElementsAre(7, 2, 0, 3));
    EXPECT_THAT(drawn.next(), ElementsAre(2, 4, 8, 7));
    BatchSampler shuffled(10, 4, SamplingMode::ShuffledEpochs, 1);
    EXPECT_THAT(shuffled.next(), ElementsAre(3, 8, 0, 9));
    EXPECT_THAT(shuffled.next(), ElementsAre(2, 5, 6, 4));
    EXPECT_THAT(shuffled.next(), ElementsAre(3, 0, 1, 6));  // of the second epoch
}

TEST(DatasetSampler, RepeatsARunForTheSameSeedAndNotForAnother) {
    for (const SamplingMode mode : {SamplingMode::RandomWithReplacement, SamplingMode::ShuffledEpochs}) {
        BatchSampler one(1000, 40, mode, 1), same(1000, 40, mode, 1), other(1000, 40, mode, 2);
        bool differs = false;
        for (int step = 0; step < 60; ++step) {
            const Indices batch = batchOf(one);
            ASSERT_EQ(batch, batchOf(same));
            differs = differs || batch != batchOf(other);
        }
        EXPECT_TRUE(differs);
    }
}

TEST(DatasetSampler, VisitsEveryImageOnceInAShuffledEpoch) {
    BatchSampler sampler(60, 12, SamplingMode::ShuffledEpochs, 4);
    ASSERT_EQ(sampler.stepsPerEpoch(), 5u);
    Indices firstEpoch, natural(60);
    std::iota(natural.begin(), natural.end(), 0u);
    for (int epoch = 0; epoch < 3; ++epoch) {
        Indices visited;
        for (int step = 0; step < 5; ++step) {
            const Indices batch = batchOf(sampler);
            visited.insert(visited.end(), batch.begin(), batch.end());
        }
        EXPECT_NE(visited, natural);
        EXPECT_NE(visited, firstEpoch);
        if (epoch == 0) firstEpoch = visited;
        std::sort(visited.begin(), visited.end());
        EXPECT_EQ(visited, natural);
    }
}

TEST(DatasetSampler, LeavesOutOnlyTheRemainderOfAnEpochAndOthersEachTime) {
    BatchSampler sampler(11, 4, SamplingMode::ShuffledEpochs, 4);
    EXPECT_EQ(sampler.stepsPerEpoch(), 2u);
    std::set<std::uint32_t> everVisited;
    for (int epoch = 0; epoch < 20; ++epoch) {
        std::set<std::uint32_t> visited;
        for (int step = 0; step < 2; ++step) {
            for (const std::uint32_t index : sampler.next()) visited.insert(index);
        }
        EXPECT_EQ(visited.size(), 8u);
        everVisited.insert(visited.begin(), visited.end());
    }
    EXPECT_EQ(everVisited.size(), 11u);
}

TEST(DatasetSampler, RepeatsImagesWhenItDrawsWithReplacement) {
    BatchSampler sampler(3, 8, SamplingMode::RandomWithReplacement, 1);
    const Indices batch = batchOf(sampler);
    EXPECT_EQ(batch.size(), 8u);
    EXPECT_THAT(batch, testing::Each(testing::Lt(3u)));
}

TEST(DatasetSampler, SeekResumesARunAtAnyStep) {
    for (const SamplingMode mode : {SamplingMode::RandomWithReplacement, SamplingMode::ShuffledEpochs}) {
        BatchSampler whole(50, 8, mode, 3);
        std::vector<Indices> batches;
        for (int step = 0; step < 20; ++step) batches.push_back(batchOf(whole));
        BatchSampler resumed(50, 8, mode, 3);
        for (const std::size_t step : {13u, 14u, 2u, 19u, 0u}) {
            resumed.seek(step);
            EXPECT_EQ(batchOf(resumed), batches[step]);
            EXPECT_EQ(resumed.step(), step + 1);
        }
    }
}

TEST(DatasetSampler, CountsEpochsByTheirFullBatches) {
    BatchSampler sampler(11, 4, SamplingMode::ShuffledEpochs, 4);
    std::vector<std::uint64_t> epochs;
    for (int step = 0; step < 5; ++step) {
        epochs.push_back(sampler.epoch());
        sampler.next();
    }
    EXPECT_THAT(epochs, ElementsAre(0, 0, 1, 1, 2));
}

TEST(DatasetSampler, RefusesAnEmptySet) {
    EXPECT_EQ(errorOf([] { BatchSampler(0, 1, SamplingMode::ShuffledEpochs, 1); }),
              "BatchSampler: count: expected 1 to 4294967295 images, found 0.");
}

TEST(DatasetSampler, RefusesAnEmptyBatch) {
    EXPECT_EQ(errorOf([] { BatchSampler(5, 0, SamplingMode::RandomWithReplacement, 1); }),
              "BatchSampler: batchSize: expected at least 1, found 0.");
}

TEST(DatasetSampler, RefusesABatchThatAnEpochCannotFill) {
    EXPECT_EQ(errorOf([] { BatchSampler(5, 6, SamplingMode::ShuffledEpochs, 1); }),
              "BatchSampler: batchSize: expected at most the 5 images of the set, found 6.");
}

}  // namespace
}  // namespace pewter::train::tests
