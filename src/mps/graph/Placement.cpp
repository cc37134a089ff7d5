#include "mps/graph/Placement.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace pewter::mps {

namespace {

/// One after the other, each at the lowest offset that is free for all of its life (best fit among the gaps would leave
/// fewer holes, but the lowest keeps large holes in one piece).
Placement placeInOrder(const std::vector<Interval>& intervals, const std::vector<std::size_t>& order) {
    Placement placement;
    placement.offsets.resize(intervals.size());
    std::vector<std::size_t> byOffset;  // placed so far
    for (const std::size_t i : order) {
        const auto& one = intervals[i];
        std::size_t offset = 0;
        for (const std::size_t j : byOffset) {
            const auto& other = intervals[j];
            if (other.end <= one.first || one.end <= other.first) continue;
            if (placement.offsets[j] >= offset + one.bytes) break;
            offset = std::max(offset, placement.offsets[j] + other.bytes);
        }
        placement.offsets[i] = offset;
        placement.extent = std::max(placement.extent, offset + one.bytes);
        const auto at = std::upper_bound(byOffset.begin(), byOffset.end(), offset,
                                         [&](std::size_t o, std::size_t j) { return o < placement.offsets[j]; });
        byOffset.insert(at, i);
    }
    return placement;
}

}  // namespace

std::size_t lowerBound(const std::vector<Interval>& intervals) {
    std::vector<std::pair<std::size_t, std::ptrdiff_t>> events;
    for (const auto& one : intervals) {
        events.emplace_back(one.first, static_cast<std::ptrdiff_t>(one.bytes));
        events.emplace_back(one.end, -static_cast<std::ptrdiff_t>(one.bytes));
    }
    std::sort(events.begin(), events.end());  // returns before takes of the same tick
    std::ptrdiff_t live = 0, most = 0;
    for (const auto& [tick, change] : events) most = std::max(most, live += change);
    return static_cast<std::size_t>(most);
}

Placement place(const std::vector<Interval>& intervals) {
    const auto life = [&](std::size_t i) { return static_cast<double>(intervals[i].end - intervals[i].first); };
    const auto bytes = [&](std::size_t i) { return static_cast<double>(intervals[i].bytes); };
    const std::vector<std::function<double(std::size_t)>> ranks = {
        bytes,
        [&](std::size_t i) { return bytes(i) * life(i); },
        life,
        [&](std::size_t i) { return -static_cast<double>(intervals[i].first); },
        [&](std::size_t i) { return static_cast<double>(intervals[i].end); },
    };
    const std::size_t bound = lowerBound(intervals);
    std::vector<std::size_t> order(intervals.size());
    Placement best;
    for (const auto& rank : ranks) {
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(),
                         [&](std::size_t a, std::size_t b) { return rank(a) > rank(b); });
        auto found = placeInOrder(intervals, order);
        if (best.offsets.empty() || found.extent < best.extent) best = std::move(found);
        if (best.extent == bound) break;
    }
    return best;
}

}  // namespace pewter::mps
