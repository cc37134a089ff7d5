#include "backends/cuda/FewChannelsTiles.cuh"

#include <limits>

namespace pewter::PEWTER_CUDA_NAMESPACE::few {

namespace {

constexpr std::int64_t kMostChannels = 4, kMostWindow = 16;

}  // namespace

double cutTiles(Few& f, const Bounds& bounds) {
    double least = std::numeric_limits<double>::infinity();
    const auto reach = [](int results, std::int64_t stride, std::int64_t taps) {
        return (results - 1) * stride + taps;
    };
    for (int across = 1, wide = 0; across <= f.dst.w; ++across) {
        if (ceiling(f.dst.w, across) == wide) continue;
        wide = ceiling(f.dst.w, across);
        if (wide < 8 && across > 1 && least < std::numeric_limits<double>::infinity()) break;
        for (int high = 1; high <= f.dst.h && high * wide <= bounds.pixels; ++high) {
            if (ceiling(f.dst.h, ceiling(f.dst.h, high)) != high) continue;
            const std::int64_t rows = reach(high, f.window.strideY, f.window.height);
            const std::int64_t rowFloats = reach(wide, f.window.strideX, f.window.width) * f.src.c;
            if (rows * rowFloats + std::int64_t{1} * high * wide * bounds.floatsOfPixel > bounds.room) break;
            const Tile tile{high,
                            wide,
                            static_cast<int>(rows),
                            static_cast<int>(rowFloats),
                            ceiling(f.dst.h, high),
                            ceiling(f.dst.w, wide)};
            const std::int64_t blocks = std::int64_t{1} * f.dst.n * tile.down * tile.across * f.slices;
            // One more than there are: a processor with one block waits for its reads.
            const double time = (1 + ceiling(blocks, kProcessors)) *
                                (bounds.cyclesOfBlock + bounds.cyclesOfPixel * high * wide +
                                 bounds.kCyclesOfNumber * static_cast<double>(rows * rowFloats));
            if (blocks > std::int64_t{1} << 30 || time >= least) continue;
            least = time;
            f.tile = tile;
        }
    }
    return least;
}

bool fits(const ops::Tensor& src, const ops::Tensor& weights, const ops::Tensor& dst,
          const ops::Window& window, std::int64_t groups) {
    const bool isPlain = groups == 1 && window.dilationX == 1 && window.dilationY == 1 &&
                         window.width <= kMostWindow && window.height <= kMostWindow &&
                         window.strideX <= kMostWindow && window.strideY <= kMostWindow;
    return isPlain && src.c <= kMostChannels && weights.c == src.c && weights.isDense() && src.count() > 0 &&
           dst.count() > 0 && weights.count() > 0 && src.type != ops::Type::Float64;
}

Few problemOf(const ops::Tensor& src, const ops::Tensor& dst, const ops::Window& window) {
    Few f{viewOf(src), viewOf(dst), window, static_cast<int>(window.width * src.c), 0, 1, 1, 1, {}, false};
    f.taps = f.rowTaps * static_cast<int>(window.height);
    const bool isFloating =
        dst.type == ops::Type::Float32 || dst.type == ops::Type::Float16 || dst.type == ops::Type::BFloat16;
    f.vectors = isFloating && hasLanes(dst) && dst.c % kLanes == 0;
    return f;
}

void setGroups(Few& f, int groups) {
    const int all = ceiling(f.dst.c, kLanes);
    f.slices = ceiling(all, groups);
    f.groups = ceiling(all, f.slices);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE::few
