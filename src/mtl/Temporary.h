#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "mtl/TemporaryHeap.h"

namespace pewter::mtl {

/// The read count of one temporary image or state: the one place that knows the rules (a count starts at 1, every
/// encode that reads lowers it, at 0 the storage goes back and nothing may be done with it any more).
class Temporary {
public:
    /// kind: "temporary image", "temporary state"; release is called once, when the count reaches 0.
    Temporary(std::shared_ptr<TemporaryHeap> heap, std::string kind);

    std::size_t readCount() const { return readCount_; }
    /// Assigns a count; 0 releases. Throws when the count is 0 already, and after commit for anything but 0.
    void setReadCount(std::size_t count);
    /// One read by `kernel`.
    void consume(const std::string& kernel);

    /// Throws MTL::Error unless the object can be used by `kernel` as `argument` on a command buffer with that heap,
    /// and be read `reads` times (0 for a destination).
    void require(const std::string& kernel, const std::string& argument, const TemporaryHeap& heap,
                 std::size_t reads) const;

    /// Called at commit: from now on only bookkeeping is left. Drops the storage.
    void retire();

    /// Null once retired.
    const std::shared_ptr<TemporaryHeap>& heap() const { return heap_; }
    bool isRetired() const { return retired_; }
    /// "temporary image 'x' (made by conv1)".
    std::string describe() const;

    std::function<void()> release;
    /// The object whose storage this one shows; dead with it.
    std::shared_ptr<Temporary> viewOf;
    std::string label, maker;

private:
    void drop();

    std::shared_ptr<TemporaryHeap> heap_;
    std::string kind_, lastReader_;
    std::size_t readCount_ = 1;
    bool retired_ = false;
};

}  // namespace pewter::mtl
