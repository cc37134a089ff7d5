#pragma once

#include <optional>

#include "Machine.h"

namespace pewter::fuzz {

/// What the checks met on their way.
struct Tally {
    std::size_t graphs = 0, failures = 0;
    std::size_t filters = 0, exact = 0, withSeveralLosses = 0;
    /// Graphs encoded within four fifths of their memory by computing images again, and those that cannot be.
    std::size_t recomputed = 0, notRecomputed = 0;
    std::size_t mistakes = 0;  ///< bad encodes that were refused
    std::size_t differences = 0;  ///< directions along which derivatives were compared
    /// Comparisons that needed more than rounding: a value so near a kink, or a sum so badly conditioned, that a change of
    /// the inputs by 2^-14 of their size moves the result as far.
    std::size_t kinksOfDevices = 0, kinksOfDifferences = 0;
    double worstShare = 0, worstDifference = 0;  ///< of the allowances
    std::uint64_t worstShareSeed = 0, worstDifferenceSeed = 0;
    /// Graphs that temporaries left, and whose report named other bytes than the encode took.
    double sumOfPeaks = 0, sumOfBounds = 0, worstPeak = 0;  ///< planned memory over its lower bound
};

/// Checks random graphs on the devices of this machine.
class Checker {
public:
    /// differencesEvery: one graph in so many is compared with central differences.
    explicit Checker(std::size_t differencesEvery = 1);
    ~Checker();

    /// Empty when the graph of the seed passes; else what is wrong.
    std::string check(std::uint64_t seed);
    std::string check(const Plan& plan);

    Tally tally;

private:
    void checkOrThrow(const Plan& plan);
    void checkUpdates(const Plan& plan, const TrainingNodes& nodes, const Outcome& outcome) const;
    void compareDevices(const Plan& plan, const TrainingNodes& nodes, const Outcome& base, const Outcome& rounded,
                        const Outcome& device);
    void checkRecomputation(const Plan& plan, const TrainingNodes& nodes, const Outcome& first);
    void compareDifferences(const Plan& plan, const TrainingNodes& nodes, const Outcome& base);
    void checkDiagnostics();

    Machine reference_;
    std::optional<Machine> device_;
    std::size_t differencesEvery_;
    std::vector<std::string> diagnostics_;
};

/// What a run of many graphs does, and prints.
struct Campaign {
    std::uint64_t seed = 1;
    std::size_t graphs = 10000;
    std::size_t differencesEvery = 1;
    std::size_t mostFailures = 10;
    double progressSeconds = 0;  ///< 0: none
};
/// Returns the number of failures.
std::size_t runCampaign(const Campaign& campaign);

}  // namespace pewter::fuzz
