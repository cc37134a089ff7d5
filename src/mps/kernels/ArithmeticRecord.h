#pragma once

#include <fmt/format.h>

#include "mps/core/ForwardRecord.h"

namespace pewter::mps {

/// What an arithmetic kernel keeps of one operand besides its geometry (strides of 0 or 1 are in the base).
struct ArithmeticRecord final : ForwardRecord {
    explicit ArithmeticRecord(const ForwardRecord& base) : ForwardRecord(base) {}

    std::size_t strideInFeatureChannels = 1;
    float primaryScale = 1, secondaryScale = 1, minimumValue = 0, maximumValue = 0;

    void describe(std::vector<std::pair<std::string, std::string>>& facts) const override {
        ForwardRecord::describe(facts);
        facts.emplace_back("stride in channels", fmt::format("{}", strideInFeatureChannels));
        facts.emplace_back("scales", fmt::format("{}, {}", primaryScale, secondaryScale));
        facts.emplace_back("limits", fmt::format("{} to {}", minimumValue, maximumValue));
    }
};

}  // namespace pewter::mps
