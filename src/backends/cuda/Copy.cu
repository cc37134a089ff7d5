#include <bit>

#include "backends/cuda/Cuda.h"
#include "backends/cuda/ParameterChanges.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

struct alignas(16) Sixteen {
    std::uint32_t part[4];
};

// --- dense runs ---

/// `words` words, then the bytes up to `bytes`.
template <class Word>
__global__ void copyRunKernel(std::int64_t words, std::int64_t bytes, const char* from, char* to) {
    const std::int64_t step = std::int64_t{1} * gridDim.x * blockDim.x;
    const std::int64_t first = std::int64_t{1} * blockIdx.x * blockDim.x + threadIdx.x;
    for (std::int64_t i = first; i < words; i += step)
        reinterpret_cast<Word*>(to)[i] = reinterpret_cast<const Word*>(from)[i];
    for (std::int64_t i = words * static_cast<std::int64_t>(sizeof(Word)) + first; i < bytes; i += step) to[i] = from[i];
}

template <class Word>
void copyRunAs(CudaStream& stream, std::int64_t bytes, const void* from, void* to) {
    const std::int64_t words = bytes / static_cast<std::int64_t>(sizeof(Word));
    launch(stream, copyRunKernel<Word>, blocksFor(words + 1), kThreads, words, bytes,
           static_cast<const char*>(resolve(from)), static_cast<char*>(resolve(to)));
}

void copyRun(CudaStream& stream, std::int64_t bytes, const void* from, void* to) {
    if (bytes == 0) return;
    const auto bits = reinterpret_cast<std::uintptr_t>(from) | reinterpret_cast<std::uintptr_t>(to);
    if (bits % 16 == 0) return copyRunAs<Sixteen>(stream, bytes, from, to);
    if (bits % 4 == 0) return copyRunAs<std::uint32_t>(stream, bytes, from, to);
    copyRunAs<char>(stream, bytes, from, to);
}

inline constexpr int kConverted = 8;

template <class T>
struct alignas(16) Lanes {
    T lane[kConverted];
};

/// Eight elements at a time.
template <class From, class To>
__global__ void convertKernel(std::int64_t count, const From* from, To* to) {
    const std::int64_t vectors = (count + kConverted - 1) / kConverted, step = std::int64_t{1} * gridDim.x * blockDim.x;
    for (std::int64_t v = std::int64_t{1} * blockIdx.x * blockDim.x + threadIdx.x; v < vectors; v += step) {
        const std::int64_t first = v * kConverted;
        if (first + kConverted > count) {
            for (std::int64_t i = first; i < count; ++i) fromFloat(to[i], toFloat(from[i]));
            continue;
        }
        const Lanes<From> in = reinterpret_cast<const Lanes<From>*>(from)[v];
        Lanes<To> out;
        for (int l = 0; l < kConverted; ++l) fromFloat(out.lane[l], toFloat(in.lane[l]));
        reinterpret_cast<Lanes<To>*>(to)[v] = out;
    }
}

template <class From, class To>
bool convertTo(CudaStream& stream, std::int64_t count, const void* from, void* to) {
    launch(stream, convertKernel<From, To>, blocksFor((count + kConverted - 1) / kConverted), kThreads, count,
           static_cast<const From*>(resolve(from)), static_cast<To*>(resolve(to)));
    return true;
}

template <class From>
bool convertFrom(CudaStream& stream, std::int64_t count, const void* from, ops::Type type, void* to) {
    switch (type) {
        case ops::Type::Float32: return convertTo<From, float>(stream, count, from, to);
        case ops::Type::Float16: return convertTo<From, Half>(stream, count, from, to);
        case ops::Type::BFloat16: return convertTo<From, Brain>(stream, count, from, to);
        default: return false;
    }
}

/// Whether it was one of the conversions between types of floating point, at aligned addresses.
bool convertRun(CudaStream& stream, std::int64_t count, ops::Type fromType, const void* from, ops::Type type, void* to) {
    if ((reinterpret_cast<std::uintptr_t>(from) | reinterpret_cast<std::uintptr_t>(to)) % 16) return false;
    switch (fromType) {
        case ops::Type::Float32: return convertFrom<float>(stream, count, from, type, to);
        case ops::Type::Float16: return convertFrom<Half>(stream, count, from, type, to);
        case ops::Type::BFloat16: return convertFrom<Brain>(stream, count, from, type, to);
        default: return false;
    }
}

// --- views ---

/// What both directions of a copy say about positions.
struct Shift {
    std::int64_t y, x;
    ops::Edge edge;
};

/// Farther outside than that changes nothing, and would leave the range of integers.
Shift shiftOf(const ops::Tensor& src, const ops::Tensor& dst, std::int64_t y, std::int64_t x, ops::Edge edge) {
    return {std::clamp(y, -dst.h, src.h), std::clamp(x, -dst.w, src.w), edge};
}

/// Bytes of the largest word that the runs of channels of t consist of, each at a multiple of its size.
std::size_t wordOf(const ops::Tensor& t) {
    const auto size = ops::sizeOf(t.type);
    if (t.c != 1 && t.strideC != 1) return size;
    std::uint64_t bits = 16 | reinterpret_cast<std::uintptr_t>(t.data) | static_cast<std::uint64_t>(t.c) * size;
    const auto add = [&](std::int64_t extent, std::int64_t stride) {
        if (extent > 1) bits |= static_cast<std::uint64_t>(stride) * size;
    };
    add(t.n, t.strideN);
    add(t.h, t.strideH);
    add(t.w, t.strideW);
    return std::size_t{1} << std::countr_zero(bits);
}

/// The view counted in words of `size` bytes.
View inWords(const ops::Tensor& t, std::size_t size) {
    View v = viewOf(t);
    const auto ratio = static_cast<std::int64_t>(size / ops::sizeOf(t.type));
    if (ratio == 1) return v;
    v.c = static_cast<int>(v.c / ratio);
    v.strideN /= ratio;
    v.strideH /= ratio;
    v.strideW /= ratio;
    v.strideC = 1;
    return v;
}

template <class Word>
void copyWords(CudaStream& stream, const View& src, const View& dst, const Shift& shift) {
    forEachElement(stream, dst, PEWTER_KERNEL_LAMBDA(const Position& p) {
        const int v = edgeIndex(p.h + shift.y, src.h, shift.edge), u = edgeIndex(p.w + shift.x, src.w, shift.edge);
        Word word{};
        if (v >= 0 && u >= 0) word = reinterpret_cast<const Word*>(src.data)[src.offset(p.n, v, u, p.c)];
        reinterpret_cast<Word*>(dst.data)[dst.offset(p.n, p.h, p.w, p.c)] = word;
    });
}

/// Between views of one type, bit by bit.
void copyView(CudaStream& stream, ops::Tensor src, ops::Tensor dst, const Shift& shift) {
    // Rows of single channels are runs too.
    const auto turn = [](ops::Tensor& t) {
        t.c = t.w;
        t.strideC = t.strideW;
        t.w = 1;
    };
    if (dst.c == 1 && shift.x == 0 && src.w == dst.w) turn(src), turn(dst);
    const auto size = std::min(wordOf(src), wordOf(dst));
    const View from = inWords(src, size), to = inWords(dst, size);
    switch (size) {
        case 16: return copyWords<Sixteen>(stream, from, to, shift);
        case 8: return copyWords<std::uint64_t>(stream, from, to, shift);
        case 4: return copyWords<std::uint32_t>(stream, from, to, shift);
        case 2: return copyWords<std::uint16_t>(stream, from, to, shift);
        default: return copyWords<std::uint8_t>(stream, from, to, shift);
    }
}

void convertView(CudaStream& stream, const View& src, const View& dst, const Shift& shift) {
    forEachElement(stream, dst, PEWTER_KERNEL_LAMBDA(const Position& p) {
        const int v = edgeIndex(p.h + shift.y, src.h, shift.edge), u = edgeIndex(p.w + shift.x, src.w, shift.edge);
        store(dst, p, v >= 0 && u >= 0 ? load(src, p.n, v, u, p.c) : 0.0f);
    });
}

void convertArray(CudaStream& stream, const Run& src, const Run& dst) {
    forEach(stream, dst.size, PEWTER_KERNEL_LAMBDA(std::int64_t i) {
        const bool isWord = src.type == ops::Type::UInt32;  // not every one has a float32
        storeDouble(dst, i, isWord ? reinterpret_cast<const std::uint32_t*>(src.data)[i] : loadDouble(src, i));
    });
}

/// Positions of an axis of the smaller image, [from, to), that read position `at` of the larger one.
struct Readers {
    std::int64_t from, to;
    PEWTER_HD Readers(std::int64_t at, std::int64_t extent, std::int64_t readers, std::int64_t offset)
        : from(at == 0 ? 0 : at - offset), to(at == extent - 1 ? readers : at - offset + 1) {
        if (from < 0) from = 0;
        if (to > readers) to = readers;
    }
};

void gatherReaders(CudaStream& stream, const View& src, const View& dst, const Shift& shift) {
    forEachElement(stream, dst, PEWTER_KERNEL_LAMBDA(const Position& p) {
        const Readers rows(p.h, dst.h, src.h, shift.y), columns(p.w, dst.w, src.w, shift.x);
        double sum = 0;
        for (std::int64_t y = rows.from; y < rows.to; ++y)
            for (std::int64_t x = columns.from; x < columns.to; ++x)
                sum += load(src, p.n, static_cast<int>(y), static_cast<int>(x), p.c);
        store(dst, p, static_cast<float>(sum));
    });
}

/// A run of equal words.
__global__ void fillRunKernel(std::int64_t words, std::int64_t count, ops::Type type, int size, float value, char* to) {
    Sixteen word;
    const int lanes = 16 / size;
    for (int l = 0; l < lanes; ++l) storeAs(type, reinterpret_cast<char*>(&word), l, value);
    const std::int64_t step = std::int64_t{1} * gridDim.x * blockDim.x;
    const std::int64_t first = std::int64_t{1} * blockIdx.x * blockDim.x + threadIdx.x;
    for (std::int64_t i = first; i < words; i += step) reinterpret_cast<Sixteen*>(to)[i] = word;
    for (std::int64_t i = words * lanes + first; i < count; i += step) storeAs(type, to, i, value);
}

void fillView(CudaStream& stream, const View& dst, float value) {
    forEachElement(stream, dst, PEWTER_KERNEL_LAMBDA(const Position& p) { store(dst, p, value); });
}

std::int64_t bytesOf(ops::Type type, std::int64_t count) { return count * static_cast<std::int64_t>(ops::sizeOf(type)); }

}  // namespace

void Cuda::run(const ops::Copy& op, ops::Stream& stream) {
    CudaStream& s = streamOf(stream);
    const ops::Tensor &src = op.src, &dst = op.dst;
    if (dst.count() == 0) return;
    const bool plain = src.type == dst.type;
    const Shift shift = shiftOf(src, dst, op.offsetY, op.offsetX, op.edge);
    if (src.sameExtents(dst) && shift.x == 0 && shift.y == 0 && src.isDense() && dst.isDense()) {
        if (plain) return copyRun(s, bytesOf(dst.type, dst.count()), src.data, dst.data);
        if (convertRun(s, dst.count(), src.type, src.data, dst.type, dst.data)) return;
    }
    if (plain) return copyView(s, src, dst, shift);
    convertView(s, viewOf(src), viewOf(dst), shift);
}

void Cuda::run(const ops::CopyGradient& op, ops::Stream& stream) {
    // Zeros outside: every element is read at most once, and what comes back is a copy with the offset turned around.
    const Shift shift = shiftOf(op.dst, op.src, op.offsetY, op.offsetX, op.edge);
    if (op.edge == ops::Edge::Zero) return run(ops::Copy{op.src, op.dst, -shift.x, -shift.y, op.edge}, stream);
    gatherReaders(streamOf(stream), viewOf(op.src), viewOf(op.dst), shift);
}

void Cuda::run(const ops::Fill& op, ops::Stream& stream) {
    const ops::Tensor& dst = op.dst;
    if (!dst.isDense() || reinterpret_cast<std::uintptr_t>(dst.data) % 16)
        return fillView(streamOf(stream), viewOf(dst), op.value);
    const std::int64_t count = dst.count(), words = bytesOf(dst.type, count) / 16;
    if (count == 0) return;
    launch(streamOf(stream), fillRunKernel, blocksFor(words + 1), kThreads, words, count, dst.type,
           static_cast<int>(ops::sizeOf(dst.type)), op.value, viewOf(dst).data);
}

namespace {

bool isInWords(const void* address) { return reinterpret_cast<std::uintptr_t>(address) % 4 == 0; }

}  // namespace

void Cuda::run(const ops::ArrayCopy& op, ops::Stream& stream) {
    const ops::Array &src = op.src, &dst = op.dst;
    const std::int64_t bytes = bytesOf(dst.type, dst.size);
    if (src.type == dst.type && bytes <= ParameterChanges::kMostCopied && bytes % 4 == 0 && isInWords(src.data) && isInWords(dst.data))
        return putOff(static_cast<CudaStream&>(stream),
                      ParameterChanges::Copy{static_cast<const char*>(resolve(src.data)), static_cast<char*>(resolve(dst.data)), bytes});
    CudaStream& s = streamOf(stream);
    s.noteWritten(resolve(dst.data));
    if (src.type == dst.type) return copyRun(s, bytesOf(dst.type, dst.size), src.data, dst.data);
    if (convertRun(s, dst.size, src.type, src.data, dst.type, dst.data)) return;
    convertArray(s, runOf(src), runOf(dst));
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
