#pragma once

#include <fmt/format.h>

#include "mps/core/ForwardRecord.h"

namespace pewter::mps {

/// What a forward loss keeps besides its geometry.
struct LossRecord final : ForwardRecord {
    explicit LossRecord(const ForwardRecord& base) : ForwardRecord(base) {}

    float weight = 1, labelSmoothing = 0, epsilon = 0, delta = 0;

    void describe(std::vector<std::pair<std::string, std::string>>& facts) const override {
        ForwardRecord::describe(facts);
        facts.emplace_back("weight", fmt::format("{}", weight));
        facts.emplace_back("label smoothing", fmt::format("{}", labelSmoothing));
        facts.emplace_back("epsilon", fmt::format("{}", epsilon));
        facts.emplace_back("delta", fmt::format("{}", delta));
    }
};

}  // namespace pewter::mps
