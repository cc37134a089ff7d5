#include "mps/graph/BinaryLabels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "support/OpTensors.h"

/// Labels of least cost against all that there are.
namespace pewter::test {
namespace {

using mps::BinaryLabels;

/// Whole numbers, so that sums are exact.
struct Problem {
    struct Pair {
        std::size_t first, second;
        BinaryLabels::Pair cost;
    };
    std::vector<std::array<double, 2>> alone;
    std::vector<Pair> pairs;
    std::vector<std::pair<std::size_t, std::size_t>> ties;

    static Problem draw(Random& random) {
        Problem problem;
        const auto number = [&](std::int64_t high) { return static_cast<double>(random.integer(0, high)); };
        const auto things = static_cast<std::size_t>(random.integer(1, 10));
        for (std::size_t i = 0; i < things; ++i) problem.alone.push_back({number(9), number(9)});
        const auto any = [&] { return static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(things) - 1)); };
        for (std::size_t i = 0; i < 2 * things && things > 1; ++i) {
            const std::size_t first = any(), second = (first + 1 + any() % (things - 1)) % things;
            if (random.integer(0, 5) == 0) {
                problem.ties.emplace_back(first, second);
                continue;
            }
            BinaryLabels::Pair cost{{{number(9), number(9)}, {number(9), number(9)}}};
            cost[0][1] += std::max(0.0, cost[0][0] + cost[1][1] - cost[0][1] - cost[1][0]);
            problem.pairs.push_back({first, second, cost});
        }
        return problem;
    }

    double cost(const std::vector<bool>& labels) const {
        double sum = 0;
        for (const auto& [one, other] : ties)
            if (labels[one] != labels[other]) return std::numeric_limits<double>::infinity();
        for (std::size_t i = 0; i < alone.size(); ++i) sum += alone[i][labels[i]];
        for (const auto& pair : pairs) sum += pair.cost[labels[pair.first]][labels[pair.second]];
        return sum;
    }

    std::vector<bool> solved() const {
        BinaryLabels labels(alone.size());
        for (std::size_t i = 0; i < alone.size(); ++i) labels.add(i, alone[i][0], alone[i][1]);
        for (const auto& pair : pairs) labels.add(pair.first, pair.second, pair.cost);
        for (const auto& [one, other] : ties) labels.tie(one, other);
        return labels.solve();
    }
};

TEST(BinaryLabels, CostTheLeastOfAllThatThereAreAndAreFewest) {
    Random random(61);
    int mixed = 0;
    for (int i = 0; i < 400; ++i) {
        const Problem problem = Problem::draw(random);
        const std::size_t things = problem.alone.size();
        double least = std::numeric_limits<double>::infinity();
        std::size_t fewest = 0;
        for (std::size_t bits = 0; bits < std::size_t{1} << things; ++bits) {
            std::vector<bool> labels;
            for (std::size_t k = 0; k < things; ++k) labels.push_back(bits >> k & 1);
            const auto count = static_cast<std::size_t>(std::count(labels.begin(), labels.end(), true));
            const double cost = problem.cost(labels);
            if (cost < least || (cost == least && count < fewest)) fewest = count;
            least = std::min(least, cost);
        }
        const auto found = problem.solved();
        ASSERT_EQ(problem.cost(found), least) << "problem " << i;
        const auto count = static_cast<std::size_t>(std::count(found.begin(), found.end(), true));
        ASSERT_EQ(count, fewest) << "problem " << i;
        mixed += count > 0 && count < things;
    }
    EXPECT_GT(mixed, 100);
}

TEST(BinaryLabels, PairsThatAreDearerAlikeThanApartCountAsIfTheyWereNot) {
    BinaryLabels labels(2);
    labels.add(0, 1, {{{5, 0}, {0, 5}}});
    labels.add(0, 1, 0);
    const auto found = labels.solve();
    EXPECT_EQ(found.size(), 2U);
}

TEST(BinaryLabels, OfAChainOneEndLabelsAllUntilALinkIsCheaperToCut) {
    BinaryLabels labels(6);
    labels.add(0, 10, 0);
    labels.add(5, 0, 10);
    for (std::size_t i = 0; i + 1 < 6; ++i) {
        const double link = i == 3 ? 1 : 2;
        labels.add(i, i + 1, {{{0, link}, {link, 0}}});
    }
    EXPECT_EQ(labels.solve(), (std::vector<bool>{true, true, true, true, false, false}));
}

}  // namespace
}  // namespace pewter::test
