#pragma once

#include <map>
#include <vector>

#include "backends/cuda/Optimizer.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// Bytes of memory.
class ByteRanges {
public:
    void add(const char* begin, std::int64_t bytes);
    bool meets(const char* begin, std::int64_t bytes) const;

private:
    std::map<const char*, const char*> ends_;  ///< by begin; none meets another
};

/// Updates of parameters and copies of small arrays that follow one another, in a launch for all updates and one for all
/// copies: whatever the order in which they come, none may see what another one leaves but a copy the result of an update.
class ParameterChanges final : public CudaStream::Later {
public:
    struct Copy {
        const char* from;
        char* to;
        std::int64_t bytes;  ///< a multiple of 4, as both addresses are
    };
    static constexpr std::int64_t kMostCopied = 16384;

    bool mayJoin(const Update& update) const;
    bool mayJoin(const Copy& copy) const;
    void add(const Update& update);
    void add(const Copy& copy);

    void run(CudaStream& stream) override;
    /// All but the updates' numbers: rates, and the corrections of the step.
    void describe(std::vector<const void*>& to) const override;
    void renew(CudaStream& stream) override;

private:
    std::vector<Update> updates_;
    std::vector<Copy> copies_;
    ByteRanges read_, written_, copiedFrom_, copiedTo_;
};

/// Puts it off, behind whatever came before that it must not run beside.
template <class Change>
void putOff(CudaStream& stream, const Change& change) {
    if (!stream.later<ParameterChanges>().mayJoin(change)) stream.settleLater();
    stream.later<ParameterChanges>().add(change);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
