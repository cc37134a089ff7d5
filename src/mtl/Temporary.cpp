#include "mtl/Temporary.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <utility>

namespace pewter::mtl {

Temporary::Temporary(std::shared_ptr<TemporaryHeap> heap, std::string kind)
    : heap_(std::move(heap)), kind_(std::move(kind)) {}

std::string Temporary::describe() const {
    std::string text = kind_;
    if (!label.empty()) text += fmt::format(" '{}'", label);
    if (!maker.empty()) text += fmt::format(" made by {}", maker);
    return text;
}

void Temporary::setReadCount(std::size_t count) {
    if (retired_ && count != 0)
        throw MTL::Error(describe(), "readCount", "0 once its command buffer is committed", fmt::format("{}", count));
    if (readCount_ == 0) {
        if (retired_) return;
        throw MTL::Error(describe(), "readCount", "an object that is still alive",
                         fmt::format("{} on one whose count is 0 (last read by {})", count,
                                     lastReader_.empty() ? "nobody" : lastReader_));
    }
    readCount_ = count;
    if (count == 0) {
        lastReader_ = "its owner, who set the count to 0";
        drop();
    }
}

void Temporary::consume(const std::string& kernel) {
    if (readCount_ == 0) return;  // require() has checked
    lastReader_ = kernel;
    if (--readCount_ == 0) drop();
}

void Temporary::require(const std::string& kernel, const std::string& argument, const TemporaryHeap& heap,
                        std::size_t reads) const {
    if (retired_)
        throw MTL::Error(kernel, argument, "a temporary object of this command buffer",
                         describe() + " of one that is committed");
    if (heap_.get() != &heap)
        throw MTL::Error(kernel, argument, "a temporary object of this command buffer",
                         describe() + " of another command buffer");
    if (viewOf) viewOf->require(kernel, argument, heap, 0);
    if (readCount_ == 0)
        throw MTL::Error(kernel, argument, "a read count of at least 1",
                         fmt::format("{} with read count 0 (last read by {})", describe(),
                                     lastReader_.empty() ? "nobody" : lastReader_));
    if (readCount_ < reads)
        throw MTL::Error(kernel, argument, fmt::format("a read count of at least {}, one for each argument", reads),
                         fmt::format("{} with read count {}", describe(), readCount_));
}

void Temporary::retire() {
    retired_ = true;
    drop();
    heap_.reset();  // a handle that the user keeps must not keep the memory
}

void Temporary::drop() {
    if (auto call = std::exchange(release, nullptr)) call();
}

}  // namespace pewter::mtl
