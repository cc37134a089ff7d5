#pragma once

#include "backends/cuda/FewChannels.cuh"
#include "backends/cuda/Lanes.cuh"
#include "backends/cuda/TileProduct.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE::few {

// A block takes a tile of one image's result and some of its channels; what the tile reads of the source lies
// in shared memory as float32. A thread has kLanes channels of several pixels (forward) or of several taps
// (weights gradient) in registers, so that one read of shared memory serves many products.

inline constexpr int kLanes = 8, kBlock = 128, kMostGroups = 8;
/// Shared memory: floats, and pixels of a gradient's tile. Together 48 KB.
inline constexpr int kRoom = 11776, kMostPixels = 512;
inline constexpr int kProcessors = 132;

struct alignas(16) Room {
    float numbers[kRoom];
};

/// The pixels of a block, and what they read: `rows` rows of `rowFloats` numbers.
struct Tile {
    int high = 0, wide = 0, rows = 0, rowFloats = 0;
    int down = 0, across = 0;  // tiles of an image
};

struct Few {
    View src, dst;  // dst, or the gradient there
    ops::Window window;
    int rowTaps, taps;  // in a row of the window, and in all of it
    int groups;         // of kLanes channels, in a block
    int slices;         // blocks that share a tile, each with its channels
    int ways;           // threads that share the pixels of a tile
    Tile tile;
    bool vectors;  // dst takes 16 bytes at a time
};

struct Corner {
    std::int64_t n;
    int y, x;
};
PEWTER_DEVICE Corner cornerOf(const Tile& tile, int index) {
    const Split s = splitBy(index, tile.down, tile.across);
    return {s.outer, s.middle * tile.high, s.inner * tile.wide};
}

struct Byte {
    std::uint8_t bits;
};
PEWTER_DEVICE float toFloat(Byte v) { return v.bits / 255.0f; }

template <class T>
PEWTER_DEVICE void stageAs(const Few& f, const Corner& at, float* to) {
    const View& src = f.src;
    const std::int64_t top = at.y * f.window.strideY - f.window.padTop,
                       left = at.x * f.window.strideX - f.window.padLeft;
    const int count = f.tile.rows * f.tile.rowFloats, step = static_cast<int>(blockDim.x);
    for (int i = static_cast<int>(threadIdx.x); i < count; i += step) {
        const Split s = splitBy(i, f.tile.rowFloats / src.c, src.c);
        const int v = edgeIndex(top + s.outer, src.h, f.window.edge),
                  u = edgeIndex(left + s.middle, src.w, f.window.edge);
        to[i] = v < 0 || u < 0 ? 0 : readAs<T>(src.data, src.type, src.offset(at.n, v, u, s.inner));
    }
}

/// What a tile reads of the source, as float32.
PEWTER_DEVICE void stageSource(const Few& f, const Corner& at, float* to) {
    switch (f.src.type) {
        case ops::Type::Float32:
            return stageAs<float>(f, at, to);
        case ops::Type::Float16:
            return stageAs<Half>(f, at, to);
        case ops::Type::BFloat16:
            return stageAs<Brain>(f, at, to);
        case ops::Type::Unorm8:
            return stageAs<Byte>(f, at, to);
        default:
            return stageAs<Any>(f, at, to);
    }
}

// --- how a problem is cut ---

inline constexpr int ceiling(std::int64_t count, std::int64_t unit) {
    return static_cast<int>((count + unit - 1) / unit);
}

/// What tiles may take, and about how many cycles of a processor: of each block, each of its pixels, and each
/// number of the source that it stages.
struct Bounds {
    int pixels, room, floatsOfPixel;
    double cyclesOfBlock, cyclesOfPixel;
    static constexpr double kCyclesOfNumber = 0.25;
};

/// Gives f the tile that takes least, and how long that is; infinite when there is none.
double cutTiles(Few& f, const Bounds& bounds);
/// Whether kernels for few channels are for it at all.
bool fits(const ops::Tensor& src, const ops::Tensor& weights, const ops::Tensor& dst,
          const ops::Window& window, std::int64_t groups);
Few problemOf(const ops::Tensor& src, const ops::Tensor& dst, const ops::Window& window);
/// So many groups of channels a block, or as many as make blocks even.
void setGroups(Few& f, int groups);

}  // namespace pewter::PEWTER_CUDA_NAMESPACE::few
