#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

/// Plain Metal types that MPS code names. Enumerators carry Apple's integer values (Metal reference pages).
namespace MTL {

/// MTLSize: an extent in pixels and images.
struct Size {
    std::uint64_t width = 0, height = 0, depth = 0;
    friend bool operator==(const Size&, const Size&) = default;
};

/// MTLOrigin.
struct Origin {
    std::uint64_t x = 0, y = 0, z = 0;
    friend bool operator==(const Origin&, const Origin&) = default;
};

/// MTLRegion: clip rectangles and copy regions.
struct Region {
    Origin origin;
    Size size;
    friend bool operator==(const Region&, const Region&) = default;
};

/// MTLStorageMode. On the CPU every mode is plain memory; the rules of each are still checked.
enum class StorageMode : std::uint64_t { Shared = 0, Managed = 1, Private = 2, Memoryless = 3 };

enum class CPUCacheMode : std::uint64_t { DefaultCache = 0, WriteCombined = 1 };

enum class HazardTrackingMode : std::uint64_t { Default = 0, Untracked = 1, Tracked = 2 };

/// MTLResourceOptions: cache mode | storage mode << 4 | hazard tracking << 8.
using ResourceOptions = std::uint64_t;
inline constexpr ResourceOptions ResourceStorageModeShared = 0;
inline constexpr ResourceOptions ResourceStorageModeManaged = 1 << 4;
inline constexpr ResourceOptions ResourceStorageModePrivate = 2 << 4;
inline constexpr ResourceOptions ResourceCPUCacheModeWriteCombined = 1;

constexpr StorageMode storageModeOf(ResourceOptions options) {
    return static_cast<StorageMode>((options >> 4) & 0xF);
}

enum class PurgeableState : std::uint64_t { KeepCurrent = 1, NonVolatile = 2, Volatile = 3, Empty = 4 };

enum class HeapType : std::int64_t { Automatic = 0, Placement = 1, Sparse = 2 };

enum class TextureType : std::uint64_t { Texture2D = 2, Texture2DArray = 3 };

/// MTLTextureUsage, a bit set.
using TextureUsage = std::uint64_t;
inline constexpr TextureUsage TextureUsageUnknown = 0;
inline constexpr TextureUsage TextureUsageShaderRead = 1;
inline constexpr TextureUsage TextureUsageShaderWrite = 2;
inline constexpr TextureUsage TextureUsageRenderTarget = 4;
inline constexpr TextureUsage TextureUsagePixelFormatView = 0x10;

/// MTLPixelFormat: those that feature-channel images use.
enum class PixelFormat : std::uint64_t {
    Invalid = 0,
    R8Unorm = 10,
    R16Unorm = 20,
    R16Float = 25,
    RG8Unorm = 30,
    R32Float = 55,
    RG16Unorm = 60,
    RG16Float = 65,
    RGBA8Unorm = 70,
    RGBA8Unorm_sRGB = 71,
    BGRA8Unorm = 80,
    BGRA8Unorm_sRGB = 81,
    RG32Float = 105,
    RGBA16Unorm = 110,
    RGBA16Float = 115,
    RGBA32Float = 125,
};

/// MTLCommandBufferStatus.
enum class CommandBufferStatus : std::uint64_t {
    NotEnqueued = 0,
    Enqueued = 1,
    Committed = 2,
    Scheduled = 3,
    Completed = 4,
    Error = 5,
};

/// MTLCommandBufferError: codes of a failed command buffer.
enum class CommandBufferError : std::uint64_t {
    None = 0,
    Internal = 1,
    Timeout = 2,
    PageFault = 3,
    AccessRevoked = 4,
    NotPermitted = 7,
    OutOfMemory = 8,
    InvalidResource = 9,
    Memoryless = 10,
    DeviceRemoved = 11,
    StackOverflow = 12,
};

}  // namespace MTL
