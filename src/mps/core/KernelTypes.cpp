#include <fmt/format.h>

#include <MPS/KernelTypes.hpp>
#include <MTL/Error.hpp>
#include <bit>

namespace MPS {

IntegerDivisionParams FindIntegerDivisionParams(std::uint16_t divisor) {
    if (divisor < 2) return {1, 1, 0, 0};
    const std::uint32_t d = divisor;
    const std::uint32_t r = (1u << 31) / d;
    const int z = std::countl_zero(r);
    std::uint32_t recip = r >> (16 - z);
    const auto shift = static_cast<std::uint16_t>(15 + z);
    // What the truncated reciprocal misses, spread over the dividend.
    std::uint32_t addend = (0u - 65536u * recip * d) / d;
    if (addend > recip) {
        addend -= recip;
        ++recip;
    }
    return {divisor, static_cast<std::uint16_t>(recip), static_cast<std::uint16_t>(addend), shift};
}

std::uint64_t GetCustomKernelMaxBatchSize(const CustomKernelArgumentCount& count, std::uint64_t maxTextures) {
    if (count.destinationTextureCount != 1)
        throw MTL::Error("GetCustomKernelMaxBatchSize", "destinationTextureCount", "1",
                         fmt::format("{}", count.destinationTextureCount));
    const std::uint64_t each = 1 + count.sourceTextureCount;
    if (maxTextures < count.broadcastTextureCount + each)
        throw MTL::Error("GetCustomKernelMaxBatchSize", "maxTextures",
                         fmt::format("at least {}", count.broadcastTextureCount + each),
                         fmt::format("{}", maxTextures));
    return (maxTextures - count.broadcastTextureCount) / each;
}

std::uint64_t GetCustomKernelBatchedDestinationIndex(const CustomKernelArgumentCount&) { return 0; }

std::uint64_t GetCustomKernelBatchedSourceIndex(const CustomKernelArgumentCount& count, std::uint64_t sourceIndex,
                                                std::uint64_t maxTextures) {
    if (sourceIndex >= count.sourceTextureCount)
        throw MTL::Error("GetCustomKernelBatchedSourceIndex", "sourceIndex",
                         fmt::format("less than {}", count.sourceTextureCount), fmt::format("{}", sourceIndex));
    return (sourceIndex + 1) * GetCustomKernelMaxBatchSize(count, maxTextures);
}

std::uint64_t GetCustomKernelBroadcastSourceIndex(const CustomKernelArgumentCount& count, std::uint64_t sourceIndex,
                                                  std::uint64_t maxTextures) {
    if (sourceIndex >= count.broadcastTextureCount)
        throw MTL::Error("GetCustomKernelBroadcastSourceIndex", "sourceIndex",
                         fmt::format("less than {}", count.broadcastTextureCount), fmt::format("{}", sourceIndex));
    return (count.sourceTextureCount + 1) * GetCustomKernelMaxBatchSize(count, maxTextures) + sourceIndex;
}

}  // namespace MPS
