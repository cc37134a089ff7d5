#pragma once

#include <type_traits>

#include "backends/cuda/Launch.cuh"
#include "backends/cuda/NeuronFunction.cuh"

#if defined(__CUDACC__)
#define PEWTER_UNROLL _Pragma("unroll")
/// For loops whose body is large.
#define PEWTER_KEEP_LOOP _Pragma("unroll 1")
#else
#define PEWTER_UNROLL
#define PEWTER_KEEP_LOOP
#endif

// Products of matrices that need not lie in memory as such: operands say where element (row, k) is, and the result what
// to do with a sum. Tiles of 64 x 64 in float32 through shared memory; a product with few tiles is cut along k into parts
// that a second kernel adds.
namespace pewter::PEWTER_CUDA_NAMESPACE {

/// Memory whose type is known only at run time.
struct Any {};

template <class T>
PEWTER_DEVICE float readAs(const char* data, ops::Type type, std::int64_t i) {
    if constexpr (std::is_same_v<T, Any>)
        return loadAs(type, data, i);
    else
        return toFloat(reinterpret_cast<const T*>(data)[i]);
}

/// f(T{}) with the storage type of two tensors, or Any.
template <class F>
void withType(ops::Type a, ops::Type b, F f) {
    if (a == b && a == ops::Type::Float32) return f(float{});
    if (a == b && a == ops::Type::Float16) return f(Half{});
    if (a == b && a == ops::Type::BFloat16) return f(Brain{});
    return f(Any{});
}

/// i as (outer, middle, inner).
struct Split {
    std::int64_t outer;
    int middle, inner;
};
PEWTER_DEVICE Split splitBy(std::int64_t i, int middle, int inner) {
    if (i < (std::int64_t{1} << 31)) {  // 64-bit division is slow
        const auto k = static_cast<std::uint32_t>(i);
        const std::uint32_t rest = k / static_cast<std::uint32_t>(inner);
        const std::uint32_t outer = rest / static_cast<std::uint32_t>(middle);
        return {outer, static_cast<int>(rest - outer * static_cast<std::uint32_t>(middle)),
                static_cast<int>(k - rest * static_cast<std::uint32_t>(inner))};
    }
    const std::int64_t rest = i / inner;
    return {rest / middle, static_cast<int>(rest % middle), static_cast<int>(i % inner)};
}

/// The steps in memory of an index that counts up to three axes.
struct Axis {
    std::int64_t outerStride = 0;
    int middle = 1, inner = 1;
    std::int64_t middleStride = 0, innerStride = 0;

    PEWTER_DEVICE std::int64_t offset(std::int64_t i) const {
        if (middle == 1 && inner == 1) return i * outerStride;
        const Split s = splitBy(i, middle, inner);
        return s.outer * outerStride + s.middle * middleStride + s.inner * innerStride;
    }
};

inline Axis imagesOf(const View& t) { return {t.strideN, 1, 1, 0, 0}; }
inline Axis channelsOf(const View& t) { return {t.strideC, 1, 1, 0, 0}; }
/// Counts (n, h, w); with n = 1 the pixels of an image.
inline Axis pixelsOf(const View& t) { return {t.strideN, t.h, t.w, t.strideH, t.strideW}; }
/// Counts (h, w, c).
inline Axis elementsOf(const View& t) { return {t.strideH, t.w, t.c, t.strideW, t.strideC}; }

/// An operand that lies in memory. kAlong: whether neighbours along k are closer than neighbouring rows.
template <class T, bool kAlongK>
struct Matrix {
    static constexpr bool kAlong = kAlongK;
    using Row = std::int64_t;
    using Column = std::int64_t;
    const char* data;
    ops::Type type;
    Axis rows, columns;
    std::int64_t batchStride;

    PEWTER_DEVICE Row row(std::int64_t batch, std::int64_t i) const { return batch * batchStride + rows.offset(i); }
    PEWTER_DEVICE Column column(std::int64_t k) const { return columns.offset(k); }
    PEWTER_DEVICE float load(const Row& r, const Column& k) const { return readAs<T>(data, type, r + k); }
};

/// result(row, column) = neuron(alpha * sum + bias) or += alpha * sum; channels are columns, batch after batch.
struct ProductResult {
    char* data;
    ops::Type type;
    Axis rows, columns;
    std::int64_t batchStride = 0;
    float alpha = 1;
    bool accumulate = false;
    Run bias{};
    ops::Neuron neuron{};

    PEWTER_DEVICE void finish(std::int64_t batch, std::int64_t m, std::int64_t n, std::int64_t columnCount,
                              float sum) const {
        const std::int64_t place = batch * batchStride + rows.offset(m) + columns.offset(n);
        const std::int64_t channel = batch * columnCount + n;
        sum *= alpha;
        if (!bias.isNull()) sum += load(bias, channel);
        if (accumulate) sum += loadAs(type, data, place);
        if (neuron.type != ops::NeuronType::None)
            sum = PEWTER_CUDA_NAMESPACE::neuron(neuron, sum, static_cast<int>(channel));
        storeAs(type, data, place, sum);
    }
};

struct ProductShape {
    std::int64_t batches, rows, columns, length;
    // Filled in by tileProduct().
    std::int64_t tilesDown = 0, tilesAcross = 0, parts = 1, partLength = 0;
};

inline constexpr int kTile = 64, kTileDepth = 16, kTilePitch = kTile + 4;
#if defined(__CUDACC__)
inline constexpr int kOwn = 4;  // a thread's part of the tile: 4 x 4
#else
inline constexpr int kOwn = kTile;
#endif
inline constexpr int kTileSide = kTile / kOwn, kTileThreads = kTileSide * kTileSide;
inline constexpr int kTileLoads = kTile * kTileDepth / kTileThreads;

struct alignas(16) FourFloats {
    float v[4];
};

/// This thread's share of a tile's operand: element e = threadIdx.x + load * kTileThreads.
template <class Operand>
PEWTER_DEVICE void fetchTile(const Operand& x, const typename Operand::Row* rows, const typename Operand::Column* columns,
                             int rowCount, int depth, float (&values)[kTileLoads]) {
    PEWTER_UNROLL
    for (int l = 0; l < kTileLoads; ++l) {
        const int e = static_cast<int>(threadIdx.x) + l * kTileThreads;
        const int i = Operand::kAlong ? e / kTileDepth : e % kTile, k = Operand::kAlong ? e % kTileDepth : e / kTile;
        values[l] = i < rowCount && k < depth ? x.load(rows[i], columns[k]) : 0;
    }
}
template <class Operand>
PEWTER_DEVICE void placeTile(const float (&values)[kTileLoads], float* tile) {
    PEWTER_UNROLL
    for (int l = 0; l < kTileLoads; ++l) {
        const int e = static_cast<int>(threadIdx.x) + l * kTileThreads;
        const int i = Operand::kAlong ? e / kTileDepth : e % kTile, k = Operand::kAlong ? e % kTileDepth : e / kTile;
        tile[k * kTilePitch + i] = values[l];
    }
}

PEWTER_DEVICE int atMost(std::int64_t value, int limit) { return value < limit ? static_cast<int>(value) : limit; }

/// One tile of one part of one batch a block; exactly kTileThreads threads.
template <class A, class B>
__global__ void __launch_bounds__(kTileThreads, 2) tileProductKernel(ProductShape shape, A a, B b, ProductResult result,
                                                                  float* partials) {
    __shared__ FourFloats shared[kTile * (kTile + 1) / 4];
    float* memory = shared->v;
    __shared__ typename A::Row rowsA[kTile];
    __shared__ typename B::Row rowsB[kTile];
    __shared__ typename A::Column columnsA[kTileDepth];
    __shared__ typename B::Column columnsB[kTileDepth];
    float *tileA = memory, *tileB = memory + kTileDepth * kTilePitch;

    std::int64_t rest = blockIdx.x;
    const std::int64_t firstColumn = rest % shape.tilesAcross * kTile;
    rest /= shape.tilesAcross;
    const std::int64_t firstRow = rest % shape.tilesDown * kTile;
    rest /= shape.tilesDown;
    const std::int64_t batch = rest % shape.batches, part = rest / shape.batches;
    const std::int64_t begin = part * shape.partLength;
    const std::int64_t end = begin + shape.partLength < shape.length ? begin + shape.partLength : shape.length;
    const int rowCount = atMost(shape.rows - firstRow, kTile), columnCount = atMost(shape.columns - firstColumn, kTile);

    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    for (int i = thread; i < 2 * kTile; i += threads) {
        if (i < rowCount) rowsA[i] = a.row(batch, firstRow + i);
        if (i >= kTile && i - kTile < columnCount) rowsB[i - kTile] = b.row(batch, firstColumn + i - kTile);
    }
    for (int k = thread; k < atMost(end - begin, kTileDepth); k += threads) {
        columnsA[k] = a.column(begin + k);
        columnsB[k] = b.column(begin + k);
    }
    __syncthreads();

    float sum[kOwn][kOwn] = {}, nextA[kTileLoads], nextB[kTileLoads];
    fetchTile(a, rowsA, columnsA, rowCount, atMost(end - begin, kTileDepth), nextA);
    fetchTile(b, rowsB, columnsB, columnCount, atMost(end - begin, kTileDepth), nextB);
    const int down = thread / kTileSide * kOwn, across = thread % kTileSide * kOwn;
    for (std::int64_t first = begin; first < end; first += kTileDepth) {
        __syncthreads();  // the tile before has been read
        placeTile<A>(nextA, tileA);
        placeTile<B>(nextB, tileB);
        const std::int64_t next = first + kTileDepth;
        const int depth = atMost(end - next, kTileDepth);
        for (int k = thread; k < depth; k += threads) {
            columnsA[k] = a.column(next + k);
            columnsB[k] = b.column(next + k);
        }
        __syncthreads();
        if (depth > 0) {  // on its way while this one is multiplied
            fetchTile(a, rowsA, columnsA, rowCount, depth, nextA);
            fetchTile(b, rowsB, columnsB, columnCount, depth, nextB);
        }
        PEWTER_UNROLL
        for (int k = 0; k < kTileDepth; ++k) {
            FourFloats left[kOwn / 4], right[kOwn / 4];
            for (int i = 0; i < kOwn / 4; ++i) {
                left[i] = reinterpret_cast<const FourFloats*>(tileA + k * kTilePitch + down)[i];
                right[i] = reinterpret_cast<const FourFloats*>(tileB + k * kTilePitch + across)[i];
            }
            for (int i = 0; i < kOwn; ++i)
                for (int j = 0; j < kOwn; ++j) sum[i][j] += left[i / 4].v[i % 4] * right[j / 4].v[j % 4];
        }
    }

    // Through shared memory: neighbouring threads write neighbouring columns.
    __syncthreads();
    PEWTER_UNROLL
    for (int i = 0; i < kOwn; ++i) {
        PEWTER_UNROLL
        for (int j = 0; j < kOwn; ++j) memory[(down + i) * (kTile + 1) + across + j] = sum[i][j];
    }
    __syncthreads();
    PEWTER_KEEP_LOOP
    for (int e = thread; e < kTile * kTile; e += threads) {
        const int i = e / kTile, j = e % kTile;
        if (i >= rowCount || j >= columnCount) continue;
        const float value = memory[i * (kTile + 1) + j];
        const std::int64_t row = firstRow + i, column = firstColumn + j;
        if (partials != nullptr)
            partials[((part * shape.batches + batch) * shape.rows + row) * shape.columns + column] = value;
        else
            result.finish(batch, row, column, shape.columns, value);
    }
}

inline void addParts(CudaStream& stream, const ProductShape& shape, const float* partials, const ProductResult& result) {
    const std::int64_t count = shape.batches * shape.rows * shape.columns;
    forEach(stream, count, PEWTER_KERNEL_LAMBDA(std::int64_t i) {
        float sum = partials[i];
        for (std::int64_t part = 1; part < shape.parts; ++part) sum += partials[part * count + i];
        const std::int64_t row = i / shape.columns;
        result.finish(row / shape.rows, row % shape.rows, i % shape.columns, shape.columns, sum);
    });
}

/// result(row, column) = sum over k of a(row, k) b(column, k), for every batch.
template <class A, class B>
void tileProduct(CudaStream& stream, ProductShape shape, const A& a, const B& b, const ProductResult& result) {
    constexpr std::int64_t kEnoughTiles = 2 * 132, kShortestPart = 8 * kTileDepth;
    shape.tilesDown = (shape.rows + kTile - 1) / kTile;
    shape.tilesAcross = (shape.columns + kTile - 1) / kTile;
    const std::int64_t tiles = shape.batches * shape.tilesDown * shape.tilesAcross;
    if (tiles == 0) return;
    shape.parts = std::max<std::int64_t>(1, std::min(kEnoughTiles / tiles, shape.length / kShortestPart));
    shape.partLength = (shape.length + shape.parts - 1) / shape.parts;
    shape.partLength = (shape.partLength + kTileDepth - 1) / kTileDepth * kTileDepth;
    if (shape.partLength > 0) shape.parts = (shape.length + shape.partLength - 1) / shape.partLength;
    float* partials = nullptr;
    if (shape.parts > 1) {
        const std::int64_t count = shape.parts * shape.batches * shape.rows * shape.columns;
        partials = static_cast<float*>(resolve(stream.scratch(static_cast<std::size_t>(count) * sizeof(float))));
    }
    launch(stream, tileProductKernel<A, B>, tiles * shape.parts, kTileThreads, shape, a, b, result, partials);
    if (partials != nullptr) addParts(stream, shape, partials, result);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
