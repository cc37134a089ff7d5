/// graph_fuzz: random training graphs against the `reference` device and central differences.
///
///     graph_fuzz [--graphs N] [--seed S] [--differences-every K] [--progress SECONDS]
///     graph_fuzz --replay SEED       checks one graph and prints it
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "Check.h"

namespace {

int usage() {
    std::fprintf(stderr,
                 "usage: graph_fuzz [--graphs N] [--seed S] [--differences-every K] [--progress SECONDS] | --replay SEED\n");
    return 2;
}

}  // namespace

int main(int argc, char** argv) try {
    pewter::fuzz::Campaign campaign;
    bool replays = false;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) return usage();
        char* end = nullptr;
        const auto value = std::strtoull(argv[i + 1], &end, 10);
        if (*end != 0 || end == argv[i + 1]) return usage();
        if (!std::strcmp(argv[i], "--graphs"))
            campaign.graphs = value;
        else if (!std::strcmp(argv[i], "--seed"))
            campaign.seed = value;
        else if (!std::strcmp(argv[i], "--differences-every"))
            campaign.differencesEvery = value;
        else if (!std::strcmp(argv[i], "--progress"))
            campaign.progressSeconds = static_cast<double>(value);
        else if (!std::strcmp(argv[i], "--replay"))
            campaign.seed = value, replays = true;
        else
            return usage();
    }
    if (replays) {
        campaign.graphs = 1;
        std::printf("%s\n", pewter::fuzz::drawPlan(campaign.seed).text().c_str());
    }
    return pewter::fuzz::runCampaign(campaign) == 0 ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "graph_fuzz: %s\n", error.what());
    return 2;
}
