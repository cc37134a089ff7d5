#include <fmt/format.h>

#include <MPS/State.hpp>
#include <MTL/Error.hpp>
#include <unordered_set>

namespace MPS {

namespace {

/// Distinct states in the order of their first appearance.
std::vector<std::shared_ptr<State>> distinctStates(const StateBatch& batch, const char* function) {
    std::vector<std::shared_ptr<State>> distinct;
    std::unordered_set<const State*> seen;
    for (std::size_t i = 0; i < batch.size(); ++i) {
        if (!batch[i]) throw Error(function, "batch", "states", fmt::format("null at index {}", i));
        if (seen.insert(batch[i].get()).second) distinct.push_back(batch[i]);
    }
    return distinct;
}

}  // namespace

std::size_t StateBatchIncrementReadCount(const StateBatch& batch, std::int64_t amount) {
    const auto distinct = distinctStates(batch, "StateBatchIncrementReadCount");
    for (const auto& state : distinct) {
        const auto count = static_cast<std::int64_t>(state->readCount());
        if (count > 0 && count + amount < 0)
            throw Error("StateBatchIncrementReadCount", "amount",
                        fmt::format("at least -{}, the read count of {}", count, state->description()),
                        fmt::format("{}", amount));
    }
    for (const auto& state : distinct)
        if (const auto count = static_cast<std::int64_t>(state->readCount()); count > 0)
            state->setReadCount(static_cast<std::size_t>(count + amount));
    return distinct.size();
}

void StateBatchSynchronize(const StateBatch& batch, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    for (const auto& state : distinctStates(batch, "StateBatchSynchronize")) state->synchronize(commandBuffer);
}

std::size_t StateBatchResourceSize(const StateBatch& batch) {
    std::size_t sum = 0;
    for (const auto& state : distinctStates(batch, "StateBatchResourceSize")) sum += state->resourceSize();
    return sum;
}

}  // namespace MPS
