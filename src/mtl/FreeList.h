#pragma once

#include <cstddef>
#include <limits>
#include <map>
#include <optional>

namespace pewter::mtl {

/// Free ranges of one address space, best fit, neighbours merged. The space either has a fixed capacity or grows at
/// its end: then capacity() is the highest end ever handed out.
class FreeList {
public:
    /// A growing space.
    FreeList() : growing_(true) {}
    /// A fixed one.
    explicit FreeList(std::size_t capacity) : capacity_(capacity) {
        if (capacity) free_[0] = capacity;
    }

    /// Offset of a range of `size` bytes, or nothing when none is free. Among equally good ranges the lowest.
    std::optional<std::size_t> take(std::size_t size);
    /// Returns a range taken before.
    void give(std::size_t offset, std::size_t size);
    /// From now on the space does not grow; it may be made larger once, up to `capacity`.
    void freeze(std::size_t capacity);

    std::size_t capacity() const { return capacity_; }
    std::size_t used() const { return used_; }
    std::size_t largest() const;
    /// The highest end ever handed out.
    std::size_t highest() const { return highest_; }

private:
    std::map<std::size_t, std::size_t> free_;  // offset -> size
    std::size_t capacity_ = 0, used_ = 0, highest_ = 0;
    bool growing_ = false;
};

}  // namespace pewter::mtl
