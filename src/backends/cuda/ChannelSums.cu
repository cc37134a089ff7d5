#include "backends/cuda/ChannelSums.cuh"

#include "backends/cuda/TileProduct.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

// Dense memory is a matrix whose rows hold the channels of as many pixels as make whole 16-byte vectors. A block adds the
// rows of its share of up to kAcross vectors; the blocks' sums are added the same way by a second launch.

constexpr int kAcross = 32;

/// How many of a block's threads lie side by side.
PEWTER_HD int widthOf(int vectors, int threads) {
    const int most = threads < kAcross ? threads : kAcross;
    return vectors < most ? vectors : most;
}

/// Where sums go: to the channels, or row after row to scratch.
struct Sums {
    Run channels;
    bool accumulate;
    float* partials;  // null: to the channels
};

/// `rows` rows of `columns` elements, a multiple of the lanes.
template <class T, int kLanes>
__global__ void __launch_bounds__(kThreads, 2) columnSumsKernel(const T* data, std::int64_t rows, int columns,
                                                             int rowBlocks, Sums sums) {
    struct alignas(kLanes * sizeof(T)) Vector {
        T lane[kLanes];
    };
    __shared__ float shared[kThreads * kLanes];
    const int vectors = columns / kLanes, thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const int wide = widthOf(vectors, threads), deep = threads / wide;
    const int slices = (vectors + kAcross - 1) / kAcross;
    const int slice = static_cast<int>(blockIdx.x) % slices, rowBlock = static_cast<int>(blockIdx.x) / slices;
    const std::int64_t step = std::int64_t{1} * deep * rowBlocks;
    for (int first = slice * kAcross; first < (slice + 1) * kAcross && first < vectors; first += wide) {
        const int across = thread % wide, depth = thread / wide, vector = first + across;
        float sum[kLanes] = {};
        if (vector < vectors && depth < deep) {
            const Vector* from = reinterpret_cast<const Vector*>(data) + vector;
            std::int64_t row = std::int64_t{1} * rowBlock * deep + depth;
            for (; row + 3 * step < rows; row += 4 * step) {  // four reads on their way
                Vector in[4];
                PEWTER_UNROLL
                for (int k = 0; k < 4; ++k) in[k] = from[(row + k * step) * vectors];
                PEWTER_UNROLL
                for (int l = 0; l < kLanes; ++l)
                    sum[l] += (toFloat(in[0].lane[l]) + toFloat(in[1].lane[l])) +
                              (toFloat(in[2].lane[l]) + toFloat(in[3].lane[l]));
            }
            for (; row < rows; row += step) {
                const Vector in = from[row * vectors];
                PEWTER_UNROLL
                for (int l = 0; l < kLanes; ++l) sum[l] += toFloat(in.lane[l]);
            }
        }
        __syncthreads();
        PEWTER_UNROLL
        for (int l = 0; l < kLanes && depth < deep; ++l) shared[(l * deep + depth) * wide + across] = sum[l];
        __syncthreads();
        for (int k = thread; k < wide * kLanes; k += threads) {
            const int lane = k / wide, at = k % wide, column = (first + at) * kLanes + lane;
            if (first + at >= vectors) continue;
            float total = 0;
            for (int i = 0; i < deep; ++i) total += shared[(lane * deep + i) * wide + at];
            if (sums.partials != nullptr)
                sums.partials[std::int64_t{1} * rowBlock * columns + column] = total;
            else
                storeDouble(sums.channels, column, (sums.accumulate ? loadDouble(sums.channels, column) : 0) + total);
        }
    }
}

/// channels = the sums of partials[rows][columns], columns being a multiple of the channels, and of the tail's elements.
template <class T>
void finishSums(CudaStream& stream, const float* partials, std::int64_t rows, int columns, int channels, const T* tail,
                int tailPixels, Run to, bool accumulate) {
    const int repeats = columns / channels;
    const std::int64_t length = rows * repeats;
    reduceRows(
        stream, channels, length + tailPixels, 0.0f,
        PEWTER_KERNEL_LAMBDA(std::int64_t c, std::int64_t i) {
            return i < length ? partials[i * channels + c] : toFloat(tail[(i - length) * channels + c]);
        },
        PEWTER_KERNEL_LAMBDA(float a, float b) { return a + b; },
        PEWTER_KERNEL_LAMBDA(std::int64_t c, float sum) {
            storeDouble(to, c, (accumulate ? loadDouble(to, c) : 0) + sum);
        });
}

template <class T>
void denseSums(CudaStream& stream, const ops::Tensor& t, const ops::Array& sums, bool accumulate) {
    constexpr int kLanes = 16 / sizeof(T);
    int pixelsOfRow = 1;
    while (pixelsOfRow * t.c % kLanes != 0) pixelsOfRow *= 2;
    const std::int64_t pixels = t.n * t.h * t.w, rows = pixels / pixelsOfRow;
    const int channels = static_cast<int>(t.c), columns = pixelsOfRow * channels;
    const int slices = (columns / kLanes + kAcross - 1) / kAcross, tail = static_cast<int>(pixels - rows * pixelsOfRow);
    const auto* data = static_cast<const T*>(resolve(t.data));
    const int deep = kThreads / widthOf(columns / kLanes, kThreads);
    // 8 rows a thread at least; one block a slice suffices for what is small.
    const std::int64_t blocks = std::max<std::int64_t>(
        1, std::min<std::int64_t>((rows + 8 * deep - 1) / (8 * deep), std::max<std::int64_t>(1, 4 * 132 / slices)));
    Sums to{runOf(sums), accumulate, nullptr};
    if (blocks > 1 || pixelsOfRow > 1) {
        const std::size_t bytes = static_cast<std::size_t>(blocks * columns) * sizeof(float);
        to.partials = static_cast<float*>(resolve(stream.scratch(bytes)));
    }
    launch(stream, columnSumsKernel<T, kLanes>, blocks * slices, kThreads, data, rows, columns,
           static_cast<int>(blocks), to);
    if (to.partials != nullptr)
        finishSums(stream, to.partials, blocks, columns, channels, data + rows * columns, tail, to.channels, accumulate);
}

/// Any strides and types: a block a channel.
void stridedSums(CudaStream& stream, const View& t, Run to, bool accumulate) {
    const Axis pixels = pixelsOf(t);
    reduceRows(
        stream, t.c, std::int64_t{1} * t.n * t.h * t.w, 0.0f,
        PEWTER_KERNEL_LAMBDA(std::int64_t c, std::int64_t i) {
            return loadAs(t.type, t.data, c * t.strideC + pixels.offset(i));
        },
        PEWTER_KERNEL_LAMBDA(float a, float b) { return a + b; },
        PEWTER_KERNEL_LAMBDA(std::int64_t c, float sum) {
            storeDouble(to, c, (accumulate ? loadDouble(to, c) : 0) + sum);
        });
}

}  // namespace

void channelSums(CudaStream& stream, const ops::Tensor& t, const ops::Array& sums, bool accumulate) {
    if (sums.isNull()) return;
    if (t.isDense() && reinterpret_cast<std::uintptr_t>(t.data) % 16 == 0) {
        if (t.type == ops::Type::Float32) return denseSums<float>(stream, t, sums, accumulate);
        if (t.type == ops::Type::Float16) return denseSums<Half>(stream, t, sums, accumulate);
        if (t.type == ops::Type::BFloat16) return denseSums<Brain>(stream, t, sums, accumulate);
    }
    stridedSums(stream, viewOf(t), runOf(sums), accumulate);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
