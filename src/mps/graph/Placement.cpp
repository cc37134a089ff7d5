#include "mps/graph/Placement.h"

#include <algorithm>
#include <compare>
#include <functional>
#include <numeric>

#include "mtl/FreeList.h"

namespace pewter::mps {

namespace {

/// So many pieces of memory are placed in an instant, however they lie.
constexpr std::size_t kMostToOrder = 20000;

/// Takes and returns by tick; returns before takes of the same one. What no tick separates is left out.
struct Event {
    std::size_t tick;
    bool isTake;
    std::size_t interval;
    auto operator<=>(const Event&) const = default;
};

std::vector<Event> eventsOf(const std::vector<Interval>& intervals) {
    std::vector<Event> events;
    for (std::size_t i = 0; i < intervals.size(); ++i) {
        if (intervals[i].first >= intervals[i].end) continue;
        events.push_back({intervals[i].first, true, i});
        events.push_back({intervals[i].end, false, i});
    }
    std::sort(events.begin(), events.end());
    return events;
}

/// As they come, without looking ahead. The only way whose work does not grow with the square of their number.
Placement placeAsTheyCome(const std::vector<Interval>& intervals) {
    Placement placement;
    placement.offsets.resize(intervals.size());
    mtl::FreeList space;
    for (const auto& event : eventsOf(intervals)) {
        auto& offset = placement.offsets[event.interval];
        const std::size_t bytes = intervals[event.interval].bytes;
        if (bytes == 0) continue;
        if (event.isTake)
            offset = *space.take(bytes);
        else
            space.give(offset, bytes);
    }
    placement.extent = space.highest();
    for (std::size_t i = 0; i < intervals.size(); ++i)
        placement.extent = std::max(placement.extent, placement.offsets[i] + intervals[i].bytes);
    return placement;
}

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
    std::size_t live = 0, most = 0;
    for (const auto& event : eventsOf(intervals)) {
        if (event.isTake)
            most = std::max(most, live += intervals[event.interval].bytes);
        else
            live -= intervals[event.interval].bytes;
    }
    return most;
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
    Placement best = placeAsTheyCome(intervals);
    if (intervals.size() > kMostToOrder) return best;
    for (const auto& rank : ranks) {
        if (best.extent == bound) break;
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(),
                         [&](std::size_t a, std::size_t b) { return rank(a) > rank(b); });
        auto found = placeInOrder(intervals, order);
        if (found.extent < best.extent) best = std::move(found);
    }
    return best;
}

}  // namespace pewter::mps
