#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include <MTL/Export.hpp>
#include <MTL/Types.hpp>

/// Value types and enumerations of MPSCore. Enumerators carry Apple's values (MPSCoreTypes.h, MPSImage.h).
namespace MPS {

/// MPSOffset: a signed pixel position; z counts images.
struct Offset {
    std::int64_t x = 0, y = 0, z = 0;
    friend bool operator==(const Offset&, const Offset&) = default;
};

/// MPSOrigin, MPSSize, MPSRegion: positions and extents of image filters, in pixels.
struct Origin {
    double x = 0, y = 0, z = 0;
};
struct Size {
    double width = 0, height = 0, depth = 0;
};
struct Region {
    Origin origin;
    Size size;
};

/// MPSDimensionSlice: part of one dimension.
struct DimensionSlice {
    std::size_t start = 0, length = 0;
};

/// MPSScaleTransform: x' = scaleX * x + translateX, y likewise.
struct ScaleTransform {
    double scaleX = 1, scaleY = 1, translateX = 0, translateY = 0;
};

/// MPSImageCoordinate, MPSImageRegion: an element of an image, and a box of elements.
struct ImageCoordinate {
    std::size_t x = 0, y = 0, channel = 0;
};
struct ImageRegion {
    ImageCoordinate offset, size;
};

/// MPSMatrixOffset.
struct MatrixOffset {
    std::uint32_t rowOffset = 0, columnOffset = 0;
};

/// MPSImageReadWriteParams: the channels of a host copy. The offset is a multiple of 4; the number is positive and,
/// unless the offset is 0, a multiple of 4.
struct ImageReadWriteParams {
    std::size_t featureChannelOffset = 0, numberOfFeatureChannelsToReadWrite = 0;
};

/// MPSStateTextureInfo.
struct StateTextureInfo {
    std::size_t width = 0, height = 0, depth = 0, arrayLength = 0;
    MTL::PixelFormat pixelFormat = MTL::PixelFormat::Invalid;
    MTL::TextureType textureType = MTL::TextureType::Texture2D;
    MTL::TextureUsage usage = 0;
};

/// MPSShape: slowest dimension first.
using Shape = std::vector<std::size_t>;

/// NSRange.
struct Range {
    std::size_t location = 0, length = 0;
};

/// MPSRectNoClip: the whole destination. Sums of origin and size saturate.
inline constexpr MTL::Region RectNoClip{{0, 0, 0},
                                        {std::numeric_limits<std::uint64_t>::max(),
                                         std::numeric_limits<std::uint64_t>::max(),
                                         std::numeric_limits<std::uint64_t>::max()}};

/// MPSKernelOptions, a bit set.
using KernelOptions = std::uint64_t;
inline constexpr KernelOptions KernelOptionsNone = 0;
/// Accepted and without effect: checks are always on.
inline constexpr KernelOptions KernelOptionsSkipAPIValidation = 1 << 0;
/// Products may be of operands rounded to fewer bits (TF32 on GPUs that have it); sums stay float32.
inline constexpr KernelOptions KernelOptionsAllowReducedPrecision = 1 << 1;
inline constexpr KernelOptions KernelOptionsDisableInternalTiling = 1 << 2;
/// Encodes put the kernel's label before the names of their commands.
inline constexpr KernelOptions KernelOptionsInsertDebugGroups = 1 << 3;
inline constexpr KernelOptions KernelOptionsVerbose = 1 << 4;
/// Extension: every result of a convolution is a sum of products of its operands. Without it float32 convolutions may
/// transform their operands first (Winograd), with the error that docs/ops/convolution.md states.
inline constexpr KernelOptions KernelOptionsDirectConvolution = 1 << 16;

/// MPSImageEdgeMode. Mirror, MirrorWithEdge and Constant belong to the padding kernel; others refuse them.
enum class ImageEdgeMode : std::uint64_t { Zero = 0, Clamp = 1, Mirror = 2, MirrorWithEdge = 3, Constant = 4 };

/// MPSImageFeatureChannelFormat. BFloat16 and Float64 are extensions; Float64 is computed only by device `reference`
/// and serves to check gradients.
enum class ImageFeatureChannelFormat : std::uint64_t {
    None = 0,
    Unorm8 = 1,
    Unorm16 = 2,
    Float16 = 3,
    Float32 = 4,
    _reserved0 = 5,
    Count = 6,
    BFloat16 = 0x100,
    Float64 = 0x101,
};

/// MPSDataType: width in the low bits, kind in the high bits.
enum class DataType : std::uint32_t {
    Invalid = 0,
    FloatBit = 0x10000000,
    Float32 = 0x10000020,
    Float16 = 0x10000010,
    ComplexBit = 0x01000000,
    ComplexFloat32 = 0x11000040,
    ComplexFloat16 = 0x11000020,
    SignedBit = 0x20000000,
    Int2 = 0x20000002,
    Int4 = 0x20000004,
    Int8 = 0x20000008,
    Int16 = 0x20000010,
    Int32 = 0x20000020,
    Int64 = 0x20000040,
    UInt2 = 2,
    UInt4 = 4,
    UInt8 = 8,
    UInt16 = 16,
    UInt32 = 32,
    UInt64 = 64,
    NormalizedBit = 0x40000000,
    Unorm1 = 0x40000001,
    Unorm8 = 0x40000008,
    AlternateEncodingBit = 0x80000000,
    Bool = 0x80000008,
    BFloat16 = 0x90000010,
    ComplexBFloat16 = 0x91000020,
};

/// Width in bits.   C: MPSDataTypeBitsCount()
constexpr std::size_t DataTypeBitsCount(DataType type) { return static_cast<std::uint32_t>(type) & 0x3FF; }
/// Width in bytes; types narrower than a byte count as one.   C: MPSSizeofMPSDataType()
constexpr std::size_t SizeofMPSDataType(DataType type) { return (DataTypeBitsCount(type) + 7) / 8; }

/// MPSFloatDataTypeBit and its shifts: custom float layouts.
enum class FloatDataTypeBit : std::uint32_t { Sign = 0x00800000, Exponent = 0x007C0000, Mantissa = 0x0003FC00 };
enum class FloatDataTypeShift : std::uint32_t { Sign = 23, Exponent = 18, Mantissa = 10 };

/// MPSAliasingStrategy, a bit set.
using AliasingStrategy = std::uint64_t;
inline constexpr AliasingStrategy AliasingStrategyDefault = 0;
inline constexpr AliasingStrategy AliasingStrategyDontCare = 0;
inline constexpr AliasingStrategy AliasingStrategyShallAlias = 1;
inline constexpr AliasingStrategy AliasingStrategyShallNotAlias = 2;
inline constexpr AliasingStrategy AliasingStrategyAliasingReserved = 3;
inline constexpr AliasingStrategy AliasingStrategyPreferTemporaryMemory = 4;
inline constexpr AliasingStrategy AliasingStrategyPreferNonTemporaryMemory = 8;

/// MPSPurgeableState.
enum class PurgeableState : std::uint64_t {
    AllocationDeferred = 0,
    KeepCurrent = 1,
    NonVolatile = 2,
    Volatile = 3,
    Empty = 4
};

/// MPSDataLayout: order image, row, column, channel; or image, channel, row, column.
enum class DataLayout : std::uint64_t { HeightxWidthxFeatureChannels = 0, FeatureChannelsxHeightxWidth = 1 };

/// MPSStateResourceType.
enum class StateResourceType : std::uint64_t { None = 0, Buffer = 1, Texture = 2 };

/// MPSDeviceOptions, a bit set.
using DeviceOptions = std::uint64_t;
inline constexpr DeviceOptions DeviceOptionsDefault = 0;
inline constexpr DeviceOptions DeviceOptionsLowPower = 1;
inline constexpr DeviceOptions DeviceOptionsSkipRemovable = 2;

/// MPSDeviceCapsValues, a bit set; informational.
using DeviceCaps = std::uint32_t;
inline constexpr DeviceCaps DeviceCapsNull = 0;
inline constexpr DeviceCaps DeviceCapsSupportsReadableArrayOfTextures = 1 << 0;
inline constexpr DeviceCaps DeviceCapsSupportsWritableArrayOfTextures = 1 << 1;
inline constexpr DeviceCaps DeviceCapsSupportsReadWriteTextures = 1 << 2;
inline constexpr DeviceCaps DeviceCapsSupportsSimdgroupBarrier = 1 << 3;
inline constexpr DeviceCaps DeviceCapsSupportsQuadShuffle = 1 << 4;
inline constexpr DeviceCaps DeviceCapsSupportsSimdShuffle = 1 << 5;
inline constexpr DeviceCaps DeviceCapsSupportsSimdReduction = 1 << 6;
inline constexpr DeviceCaps DeviceCapsSupportsFloat32Filtering = 1 << 7;
inline constexpr DeviceCaps DeviceCapsSupportsNorm16BicubicFiltering = 1 << 8;
inline constexpr DeviceCaps DeviceCapsSupportsFloat16BicubicFiltering = 1 << 9;
inline constexpr DeviceCaps DeviceCapsIsAppleDevice = 1 << 10;
inline constexpr DeviceCaps DeviceCapsSupportsSimdShuffleAndFill = 1 << 11;
inline constexpr DeviceCaps DeviceCapsSupportsBFloat16Arithmetic = 1 << 12;
inline constexpr DeviceCaps DeviceCapsLast = 1 << 13;

/// MPSImageType: texture shape of an image as a shader sees it.
using ImageType = std::uint32_t;
inline constexpr ImageType ImageType2d = 0;
inline constexpr ImageType ImageType2d_array = 1;
inline constexpr ImageType ImageTypeArray2d = 2;
inline constexpr ImageType ImageTypeArray2d_array = 3;
inline constexpr ImageType ImageTypeArrayMask = 1;
inline constexpr ImageType ImageTypeBatchMask = 2;
inline constexpr ImageType ImageTypeTypeMask = 3;
inline constexpr ImageType ImageTypeNoAlpha = 4;
inline constexpr ImageType ImageTypeTexelFormatMask = 0x38;
inline constexpr ImageType ImageTypeTexelFormatStandard = 0;
inline constexpr ImageType ImageTypeTexelFormatUnorm8 = 1 << 3;
inline constexpr ImageType ImageTypeTexelFormatFloat16 = 2 << 3;
inline constexpr ImageType ImageTypeTexelFormatBFloat16 = 3 << 3;
inline constexpr ImageType ImageTypeBitCount = 6;
inline constexpr ImageType ImageTypeMask = 0x3F;

/// MPSCNNConvolutionWeightsLayout: output channel, row, column, input channel.
enum class CNNConvolutionWeightsLayout : std::uint32_t { OHWI = 0 };

/// MPSNNTrainingStyle: who updates the weights of a trainable node.
enum class NNTrainingStyle : std::uint64_t { UpdateDeviceNone = 0, UpdateDeviceCPU = 1, UpdateDeviceGPU = 2 };

}  // namespace MPS
