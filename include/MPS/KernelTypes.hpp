#pragma once

#include <cstddef>
#include <cstdint>

#include <MTL/Export.hpp>

/// Support types for user-written kernels (MPSKernelTypes.h): plain data that describes one dispatch.
namespace MPS {

/// Argument positions of a custom kernel.
enum class CustomKernelIndex : std::uint32_t {
    DestIndex = 0,
    Src0Index = 0,
    Src1Index = 1,
    Src2Index = 2,
    Src3Index = 3,
    Src4Index = 4,
    UserDataIndex = 30,
};

struct Short2 {
    std::int16_t x = 0, y = 0;
};
struct UShort2 {
    std::uint16_t x = 0, y = 0;
};
struct UShort4 {
    std::uint16_t x = 0, y = 0, z = 0, w = 0;
};

/// MPSCustomKernelSourceInfo: how a kernel reads one source. The window of grid position g starts at
/// kernelOrigin + stride * g.
struct CustomKernelSourceInfo {
    Short2 kernelOrigin;   ///< top left of the window; may be negative
    UShort2 kernelPhase;   ///< of strided gradient filters: which taps meet real data
    UShort2 kernelSize;
    Short2 offset;
    UShort2 stride;
    UShort2 dilationRate;
    std::uint16_t featureChannelOffset = 0, featureChannels = 0;
    std::uint16_t imageArrayOffset = 0, imageArraySize = 0;
};

/// MPSIntegerDivisionParams: n / divisor = (n * recip + addend) >> shift for every 16-bit n.
struct IntegerDivisionParams {
    std::uint16_t divisor = 1, recip = 1, addend = 0, shift = 0;

    constexpr std::uint16_t divide(std::uint16_t n) const {
        return static_cast<std::uint16_t>((static_cast<std::uint64_t>(n) * recip + addend) >> shift);
    }
};

/// MPSCustomKernelInfo: one dispatch. Clip: x, y, slices, batch.
struct CustomKernelInfo {
    UShort4 clipOrigin, clipSize;
    std::uint16_t destinationFeatureChannels = 0, destImageArraySize = 0;
    std::uint16_t sourceImageCount = 0, threadgroupSize = 0;
    std::uint16_t subbatchIndex = 0, subbatchStride = 0;
    IntegerDivisionParams idiv;
};

/// MPSCustomKernelArgumentCount. destinationTextureCount must be 1.
struct CustomKernelArgumentCount {
    std::uint64_t destinationTextureCount = 1, sourceTextureCount = 1, broadcastTextureCount = 0;
};

/// Indices of function constants; those from kUserAvailableFunctionConstantStartIndex on are the user's.
inline constexpr std::uint32_t kDeviceCapsIndex = 127;
inline constexpr std::uint32_t kFunctionConstantIndex = 126;
inline constexpr std::uint32_t kBatchSizeIndex = 125;
inline constexpr std::uint32_t kUserConstantIndex = 124;
inline constexpr std::uint32_t kNDArrayConstantIndex = 123;
inline constexpr std::uint32_t kUserAvailableFunctionConstantStartIndex = 115;

/// Multiplier and shift for a divisor, exact for every 16-bit dividend. A divisor below 2 gives the identity.
/// C: MPSFindIntegerDivisionParams()
PEWTER_API IntegerDivisionParams FindIntegerDivisionParams(std::uint16_t divisor);

/// (maxTextures - broadcast) / (1 + sources). Throws MPS::Error unless there is one destination and room for one image.
/// C: MPSGetCustomKernelMaxBatchSize()
PEWTER_API std::uint64_t GetCustomKernelMaxBatchSize(const CustomKernelArgumentCount& count, std::uint64_t maxTextures);
/// C: MPSGetCustomKernelBatchedDestinationIndex()
PEWTER_API std::uint64_t GetCustomKernelBatchedDestinationIndex(const CustomKernelArgumentCount& count);
/// C: MPSGetCustomKernelBatchedSourceIndex()
PEWTER_API std::uint64_t GetCustomKernelBatchedSourceIndex(const CustomKernelArgumentCount& count,
                                                           std::uint64_t sourceIndex, std::uint64_t maxTextures);
/// C: MPSGetCustomKernelBroadcastSourceIndex()
PEWTER_API std::uint64_t GetCustomKernelBroadcastSourceIndex(const CustomKernelArgumentCount& count,
                                                             std::uint64_t sourceIndex, std::uint64_t maxTextures);

}  // namespace MPS
