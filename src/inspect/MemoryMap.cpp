#include "inspect/MemoryMap.h"

#include <algorithm>

namespace pewter::inspect {

using MPS::NNGraphReport;

std::vector<MapBlock> mapBlocks(const NNGraphReport& report, const Roles& roles) {
    std::vector<MapBlock> blocks;
    std::vector<std::vector<std::size_t>> startingAt(report.steps.size());
    for (const auto& range : rangesOf(report)) {
        MapBlock block{roles.kindOf(range), range.offset, range.bytes, range.firstStep, range.lastStep,
                       range.image,         range.state};
        block.from = static_cast<double>(range.firstStep);
        block.to = static_cast<double>(range.lastStep) + 1;
        if (range.firstStep < startingAt.size()) startingAt[range.firstStep].push_back(blocks.size());
        blocks.push_back(block);
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        auto& early = blocks[i];
        if (early.lastStep >= startingAt.size()) continue;
        for (const std::size_t j : startingAt[early.lastStep]) {
            auto& late = blocks[j];
            const bool earlier = early.firstStep < late.firstStep || i < j;
            if (i == j || !earlier || early.offset >= late.offset + late.bytes ||
                late.offset >= early.offset + early.bytes)
                continue;
            const double middle = static_cast<double>(early.lastStep) + 0.5;
            if (early.from < middle) early.to = late.from = middle;
        }
    }
    return blocks;
}

std::size_t tickDistance(std::size_t extent, std::size_t most) {
    for (std::size_t power = 1;; power *= 10)
        for (const std::size_t digit : {1u, 2u, 5u})
            if (extent / (digit * power) <= most) return digit * power;
}

std::size_t byteTickDistance(std::size_t extent, std::size_t most) {
    std::size_t unit = 1;
    while (extent / unit >= 1024) unit *= 1024;
    // Fractions of a unit would not be whole bytes: half, quarter and so on are.
    while (unit >= 2 && extent / unit < most / 2 && extent / (unit / 2) <= most) unit /= 2;
    const std::size_t whole = std::max<std::size_t>(extent / unit, 1);
    return unit * tickDistance(whole, most);
}

}  // namespace pewter::inspect
