#pragma once

#include <fmt/format.h>

#include "mps/core/ForwardRecord.h"

namespace pewter::mps {

/// What upsampling keeps besides its geometry.
struct UpsamplingRecord final : ForwardRecord {
    explicit UpsamplingRecord(const ForwardRecord& base) : ForwardRecord(base) {}

    std::size_t scaleX = 1, scaleY = 1;
    bool alignCorners = false;

    void describe(std::vector<std::pair<std::string, std::string>>& facts) const override {
        ForwardRecord::describe(facts);
        facts.emplace_back("scale factors", fmt::format("{} x {}", scaleX, scaleY));
        facts.emplace_back("align corners", alignCorners ? "yes" : "no");
    }
};

}  // namespace pewter::mps
