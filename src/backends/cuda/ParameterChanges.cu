#include "backends/cuda/ParameterChanges.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

void ByteRanges::add(const char* begin, std::int64_t bytes) {
    if (bytes == 0) return;
    const char* end = begin + bytes;
    // What it meets, and what lies right before it or behind, becomes one with it.
    auto at = ends_.upper_bound(begin);
    if (at != ends_.begin() && std::prev(at)->second >= begin) --at;
    while (at != ends_.end() && at->first <= end) {
        begin = std::min(begin, at->first);
        end = std::max(end, at->second);
        at = ends_.erase(at);
    }
    ends_.emplace(begin, end);
}

bool ByteRanges::meets(const char* begin, std::int64_t bytes) const {
    const auto at = ends_.lower_bound(begin + bytes);
    return at != ends_.begin() && std::prev(at)->second > begin;
}

namespace {

/// use(address, bytes, whether it is written) for every operand of an update.
template <class Use>
void forOperands(const Update& u, const Use& use) {
    const auto array = [&](const char* address, ops::Type type, bool isWritten) {
        if (address) use(address, u.count * static_cast<std::int64_t>(ops::sizeOf(type)), isWritten);
    };
    array(u.gradient, u.gradientType, false);
    array(u.values, u.valuesType, false);
    array(u.result, u.resultType, true);
    array(u.first, u.firstType, true);
    array(u.second, u.secondType, true);
    array(u.third, u.thirdType, true);
}

/// Runs of words to copy in one launch.
struct CopyTable {
    static constexpr int kMost = 64;
    const char* from[kMost];
    char* to[kMost];
    std::uint32_t words[kMost];
};

__global__ void copyTableKernel(CopyTable table) {
    const auto* from = reinterpret_cast<const std::uint32_t*>(table.from[blockIdx.x]);
    auto* to = reinterpret_cast<std::uint32_t*>(table.to[blockIdx.x]);
    for (std::uint32_t i = threadIdx.x; i < table.words[blockIdx.x]; i += blockDim.x) to[i] = from[i];
}

}  // namespace

bool ParameterChanges::mayJoin(const Update& update) const {
    bool isApart = true;
    forOperands(update, [&](const char* address, std::int64_t bytes, bool isWritten) {
        isApart &= !written_.meets(address, bytes) && !(isWritten && read_.meets(address, bytes));
    });
    return isApart;
}

bool ParameterChanges::mayJoin(const Copy& copy) const {
    return !copiedTo_.meets(copy.from, copy.bytes) && !copiedTo_.meets(copy.to, copy.bytes) &&
           !copiedFrom_.meets(copy.to, copy.bytes);
}

void ParameterChanges::add(const Update& update) {
    forOperands(update, [&](const char* address, std::int64_t bytes, bool isWritten) {
        (isWritten ? written_ : read_).add(address, bytes);
    });
    updates_.push_back(update);
}

void ParameterChanges::add(const Copy& copy) {
    for (ByteRanges* read : {&read_, &copiedFrom_}) read->add(copy.from, copy.bytes);
    for (ByteRanges* written : {&written_, &copiedTo_}) written->add(copy.to, copy.bytes);
    copies_.push_back(copy);
}

void ParameterChanges::run(CudaStream& stream) {
    renew(stream);
    for (std::size_t start = 0; start < copies_.size(); start += CopyTable::kMost) {
        CopyTable table{};
        const std::size_t count = std::min<std::size_t>(copies_.size() - start, CopyTable::kMost);
        for (std::size_t k = 0; k < count; ++k) {
            const Copy& copy = copies_[start + k];
            table.from[k] = copy.from;
            table.to[k] = copy.to;
            table.words[k] = static_cast<std::uint32_t>(copy.bytes / 4);
        }
        launch(stream, copyTableKernel, static_cast<std::int64_t>(count), kThreads, table);
    }
    for (const Update& u : updates_) stream.noteWritten(u.result, u.result == u.values);
    for (const Copy& copy : copies_) stream.noteWritten(copy.to);
}

void ParameterChanges::renew(CudaStream& stream) {
    runUpdates(stream, updates_.data(), static_cast<std::int64_t>(updates_.size()));
}

void ParameterChanges::describe(std::vector<const void*>& to) const {
    const auto number = [&](std::uintptr_t value) { to.push_back(reinterpret_cast<const void*>(value)); };
    for (const Update& u : updates_) {
        for (const char* operand : {u.gradient, u.values, u.result, u.first, u.second, u.third}) to.push_back(operand);
        number(static_cast<std::uintptr_t>(u.count));
        std::uintptr_t rest = static_cast<std::uintptr_t>(u.type) * 16 + u.fours;
        for (const ops::Type type : {u.gradientType, u.valuesType, u.resultType, u.firstType, u.secondType, u.thirdType})
            rest = rest * 64 + static_cast<std::uintptr_t>(type);
        number(rest);
    }
    for (const Copy& copy : copies_) {
        to.push_back(copy.from);
        to.push_back(copy.to);
        number(static_cast<std::uintptr_t>(copy.bytes));
    }
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
