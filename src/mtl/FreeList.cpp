#include "mtl/FreeList.h"

#include <algorithm>

namespace pewter::mtl {

std::optional<std::size_t> FreeList::take(std::size_t size) {
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it)
        if (it->second >= size && (best == free_.end() || it->second < best->second)) best = it;
    if (best != free_.end()) {
        const auto [offset, room] = *best;
        free_.erase(best);
        if (room > size) free_[offset + size] = room - size;
        used_ += size;
        highest_ = std::max(highest_, offset + size);
        return offset;
    }
    if (!growing_) return std::nullopt;
    // Grow from the last free range when it touches the end, so that no hole stays behind.
    std::size_t offset = capacity_;
    if (!free_.empty()) {
        const auto last = std::prev(free_.end());
        if (last->first + last->second == capacity_) {
            offset = last->first;
            free_.erase(last);
        }
    }
    capacity_ = offset + size;
    used_ += size;
    highest_ = std::max(highest_, capacity_);
    return offset;
}

void FreeList::give(std::size_t offset, std::size_t size) {
    used_ -= size;
    auto next = free_.lower_bound(offset);
    if (next != free_.end() && offset + size == next->first) {
        size += next->second;
        next = free_.erase(next);
    }
    if (next != free_.begin()) {
        const auto before = std::prev(next);
        if (before->first + before->second == offset) {
            before->second += size;
            return;
        }
    }
    free_.emplace_hint(next, offset, size);
}

void FreeList::freeze(std::size_t capacity) {
    growing_ = false;
    if (capacity > capacity_) {
        const std::size_t old = capacity_;
        capacity_ = capacity;
        used_ += capacity - old;
        give(old, capacity - old);
    }
}

std::size_t FreeList::largest() const {
    std::size_t most = 0;
    for (const auto& [offset, size] : free_) most = std::max(most, size);
    return most;
}

}  // namespace pewter::mtl
