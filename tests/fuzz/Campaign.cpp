#include <chrono>
#include <cstdio>
#include <ctime>

#include "Check.h"

namespace pewter::fuzz {

std::size_t runCampaign(const Campaign& campaign) {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    Checker checker(campaign.differencesEvery);
    const auto& tally = checker.tally;
    double next = campaign.progressSeconds;
    for (std::size_t i = 0; i < campaign.graphs && tally.failures < campaign.mostFailures; ++i) {
        const std::uint64_t seed = campaign.seed + i;
        if (const auto message = checker.check(seed); !message.empty())
            std::printf("FAILED seed %llu: %s\n%s\n", static_cast<unsigned long long>(seed), message.c_str(),
                        drawPlan(seed).text().c_str());
        if (campaign.progressSeconds > 0 && seconds() > next) {
            next += campaign.progressSeconds;
            std::printf("%zu graphs, %zu failures, %.0f s\n", tally.graphs, tally.failures, seconds());
            std::fflush(stdout);
        }
    }
    std::printf("%zu graphs (%zu exact, %zu with several losses), %zu filters, %zu failures, %.1f s, %.1f s of processors\n",
                tally.graphs, tally.exact, tally.withSeveralLosses, tally.filters, tally.failures, seconds(),
                static_cast<double>(std::clock()) / CLOCKS_PER_SEC);
    std::printf("devices: worst share of the allowance %.3f (seed %llu), kinks %zu\n", tally.worstShare,
                static_cast<unsigned long long>(tally.worstShareSeed), tally.kinksOfDevices);
    std::printf("mistakes refused: %zu; computed again within a budget: %zu, not possible: %zu\n", tally.mistakes,
                tally.recomputed, tally.notRecomputed);
    std::printf("central differences: %zu directions, worst share %.3f (seed %llu), kinks %zu\n", tally.differences,
                tally.worstDifference, static_cast<unsigned long long>(tally.worstDifferenceSeed),
                tally.kinksOfDifferences);
    if (tally.sumOfBounds > 0)
        std::printf("memory: planned peak over lower bound %.3f in the mean, %.3f at worst\n",
                    tally.sumOfPeaks / tally.sumOfBounds, tally.worstPeak);
    return tally.failures;
}

}  // namespace pewter::fuzz
