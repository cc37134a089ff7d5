#pragma once

#include <fmt/format.h>

#include "mps/core/ForwardRecord.h"

namespace pewter::mps {

/// What average pooling keeps besides its geometry.
struct PoolingAverageRecord final : ForwardRecord {
    explicit PoolingAverageRecord(const ForwardRecord& base) : ForwardRecord(base) {}

    std::size_t zeroPadSizeX = 0, zeroPadSizeY = 0;

    void describe(std::vector<std::pair<std::string, std::string>>& facts) const override {
        ForwardRecord::describe(facts);
        facts.emplace_back("zero pad", fmt::format("{} x {}", zeroPadSizeX, zeroPadSizeY));
    }
};

}  // namespace pewter::mps
