#include <algorithm>
#include <cstring>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/TurnedCopy.h"
#include "backends/cpu/vector/Convert.h"
#include "backends/cpu/vector/CopyRuns.h"
#include "backends/cpu/vector/Register.h"

namespace pewter::cpu {

namespace {

/// Where an axis of `extent` destinations, shifted by `offset`, meets a source of `sourceExtent`:
/// destinations before `from` lie left of the source, those from `to` on right of it.
struct Overlap {
    Overlap(std::int64_t extent, std::int64_t sourceExtent, std::int64_t offset)
        : from(std::clamp<std::int64_t>(-offset, 0, extent)),
          to(std::clamp<std::int64_t>(sourceExtent - offset, from, extent)) {}
    std::int64_t from, to;
};

bool channelsAdjacent(const ops::Tensor& t) { return t.c == 1 || t.strideC == 1; }

/// Whether pixels go past the caches, in whole lines: parts of the pixels of a large result, however short each is. (Where
/// results lie back to back, plain stores were as fast or faster.)
bool goesPast(const ops::Tensor& src, const ops::Tensor& dst) {
    const auto size = static_cast<std::int64_t>(ops::sizeOf(dst.type));
    const auto isWhole = [size](std::int64_t elements) { return elements * size % kLineBytes == 0; };
    return dst.count() * size >= kStreamedElements * static_cast<std::int64_t>(sizeof(float)) &&
           channelsAdjacent(src) && channelsAdjacent(dst) && dst.strideW != dst.c && isWhole(dst.c) && isWhole(dst.strideW) &&
           isWhole(dst.strideH) && isWhole(dst.strideN) &&
           reinterpret_cast<std::uintptr_t>(dst.data) % kLineBytes == 0;
}

/// Copies `pixels` neighbouring pixels bit by bit between views of equal type.
void copyPixels(const ops::Tensor& src, const std::byte* from, const ops::Tensor& dst, std::byte* to,
                std::int64_t pixels) {
    const auto size = static_cast<std::int64_t>(ops::sizeOf(dst.type));
    const auto bytes = static_cast<std::size_t>(dst.c * size);
    const bool adjacent = channelsAdjacent(src) && channelsAdjacent(dst);
    if (adjacent && src.strideW == dst.c && dst.strideW == dst.c) {
        std::memmove(to, from, static_cast<std::size_t>(pixels) * bytes);
        return;
    }
    for (std::int64_t x = 0; x < pixels; ++x, from += src.strideW * size, to += dst.strideW * size) {
        if (adjacent) {
            std::memcpy(to, from, bytes);
            continue;
        }
        for (std::int64_t c = 0; c < dst.c; ++c)
            std::memcpy(to + c * dst.strideC * size, from + c * src.strideC * size,
                        static_cast<std::size_t>(size));
    }
}

/// One row of one image through float32: pixels [from, to) of dst from those of src that lie `shift` further
/// on.
void convertPixels(const ops::Tensor& src, const std::byte* srcRow, const ops::Tensor& dst, std::byte* dstRow,
                   std::int64_t from, std::int64_t to, std::int64_t shift) {
    const auto load = PEWTER_VECTOR(loadRun);
    const auto store = PEWTER_VECTOR(storeRun);
    const auto srcSize = static_cast<std::int64_t>(ops::sizeOf(src.type));
    const auto dstSize = static_cast<std::int64_t>(ops::sizeOf(dst.type));
    alignas(64) float buffer[kRun];
    const auto uniform = [](const ops::Tensor& t) { return t.c == 1 || t.strideW == t.c * t.strideC; };
    // Rows whose elements are evenly spaced go as one stretch, others pixel by pixel.
    const bool whole = uniform(src) && uniform(dst);
    const std::int64_t stretch = whole ? (to - from) * dst.c : dst.c;
    const std::int64_t srcStride = src.c == 1 ? src.strideW : src.strideC;
    const std::int64_t dstStride = dst.c == 1 ? dst.strideW : dst.strideC;
    for (std::int64_t x = from; x < (whole ? from + 1 : to); ++x) {
        const std::byte* s = srcRow + (x + shift) * src.strideW * srcSize;
        std::byte* d = dstRow + x * dst.strideW * dstSize;
        for (std::int64_t i = 0; i < stretch; i += kRun) {
            const std::int64_t count = std::min(kRun, stretch - i);
            load(s + i * srcStride * srcSize, src.type, srcStride, count, buffer);
            store(buffer, d + i * dstStride * dstSize, dst.type, dstStride, count);
        }
    }
}

}  // namespace

void Cpu::run(const ops::Copy& op, ops::Stream&) {
    const ops::Tensor &src = op.src, &dst = op.dst;
    const auto size = ops::sizeOf(dst.type);
    const bool plain = src.type == dst.type;
    if (plain && src.sameExtents(dst) && op.offsetX == 0 && op.offsetY == 0 && src.isDense() &&
        dst.isDense()) {
        parallelFor(0, dst.count(), kElementGrain, [&](std::int64_t from, std::int64_t to) {
            std::memmove(static_cast<std::byte*>(dst.data) + from * static_cast<std::int64_t>(size),
                         static_cast<const std::byte*>(src.data) + from * static_cast<std::int64_t>(size),
                         static_cast<std::size_t>(to - from) * size);
        });
        return;
    }
    if (plain && src.sameExtents(dst) && op.offsetX == 0 && op.offsetY == 0 && copyTurned(src, dst)) return;
    // Farther outside than that changes nothing, and would leave the range of integers.
    const std::int64_t offsetX = std::clamp(op.offsetX, -dst.w, src.w), offsetY = std::clamp(op.offsetY, -dst.h, src.h);
    const Overlap columns(dst.w, src.w, offsetX);
    // Zero bits are zero in every type.
    const bool past = plain && goesPast(src, dst);
    const auto copyRow = [&](const std::byte* from, std::byte* to, std::int64_t x0, std::int64_t x1,
                             std::int64_t shift) {
        if (!plain) return convertPixels(src, from, dst, to, x0, x1, shift);
        const auto fromStep = src.strideW * static_cast<std::int64_t>(size);
        const auto toStep = dst.strideW * static_cast<std::int64_t>(size);
        from += (x0 + shift) * fromStep;
        to += x0 * toStep;
        if (past)
            PEWTER_VECTOR(streamRuns)
            ({from, to, fromStep, toStep, dst.c * static_cast<std::int64_t>(size), x1 - x0});
        else
            copyPixels(src, from, dst, to, x1 - x0);
    };
    const auto clearRow = [&](std::byte* to, std::int64_t x0, std::int64_t x1) {
        for (std::int64_t x = x0; x < x1; ++x) {
            std::byte* pixel = to + x * dst.strideW * static_cast<std::int64_t>(size);
            if (channelsAdjacent(dst))
                std::memset(pixel, 0, static_cast<std::size_t>(dst.c) * size);
            else
                for (std::int64_t c = 0; c < dst.c; ++c)
                    std::memset(pixel + c * dst.strideC * static_cast<std::int64_t>(size), 0, size);
        }
    };
    const std::int64_t grain =
        std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(1, dst.w * dst.c));
    parallelFor(0, dst.n * dst.h, grain, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t row = from; row < to; ++row) {
            const std::int64_t n = row / dst.h, y = row % dst.h, v = y + offsetY;
            auto* out = static_cast<std::byte*>(at(dst, n, y, 0));
            const bool outside = v < 0 || v >= src.h || src.w == 0;
            if ((outside && op.edge == ops::Edge::Zero) || src.h == 0 || src.w == 0) {
                clearRow(out, 0, dst.w);
                continue;
            }
            const auto* in =
                static_cast<const std::byte*>(at(src, n, std::clamp<std::int64_t>(v, 0, src.h - 1), 0));
            copyRow(in, out, columns.from, columns.to, offsetX);
            if (op.edge == ops::Edge::Zero) {
                clearRow(out, 0, columns.from);
                clearRow(out, columns.to, dst.w);
                continue;
            }
            for (std::int64_t x = 0; x < columns.from; ++x) copyRow(in, out, x, x + 1, -x);
            for (std::int64_t x = columns.to; x < dst.w; ++x) copyRow(in, out, x, x + 1, src.w - 1 - x);
        }
        if (past) baseline::streamEnd();
    });
}

void Cpu::run(const ops::CopyGradient& op, ops::Stream& stream) {
    const ops::Tensor &src = op.src, &dst = op.dst;
    const std::int64_t length = dst.w * dst.c;
    if (length == 0) return;
    // Every element is read at most once: what comes back is a copy with the offset turned around.
    if (op.edge == ops::Edge::Zero)
        return run(ops::Copy{src, dst, -op.offsetX, -op.offsetY, op.edge}, stream);
    Scratch::Frame frame(scratchOf(stream));
    const std::int64_t parts = partsOf(dst.count());
    double* const sums =
        static_cast<double*>(frame.bytes(static_cast<std::size_t>(parts * length) * sizeof(double)));
    float* const rows = frame.floats(parts * (length + kRun));
    const Source source(src);
    const Sink sink(dst);
    forParts(parts, dst.n * dst.h, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        double* const sum = sums + part * length;
        float* const out = rows + part * (length + kRun);
        float* const in = out + length;
        for (std::int64_t row = from; row < to; ++row) {
            const std::int64_t n = row / dst.h, v = row % dst.h;
            // The rows of src that read row v: one, or all beyond an edge.
            std::int64_t y0 = v - op.offsetY, y1 = y0 + 1;
            if (v == 0) y0 = 0;
            if (v == dst.h - 1) y1 = src.h;
            y0 = std::max<std::int64_t>(y0, 0);
            y1 = std::min(y1, src.h);
            std::fill_n(sum, length, 0.0);
            for (std::int64_t y = y0; y < y1; ++y) {
                const std::int64_t start = (n * src.h + y) * src.w * src.c;
                for (std::int64_t i = 0; i < src.w * src.c; i += kRun) {
                    const std::int64_t count = std::min(kRun, src.w * src.c - i);
                    const float* values = source.read(start + i, count, in);
                    for (std::int64_t k = 0; k < count;) {
                        const std::int64_t x = (i + k) / src.c, c = (i + k) % src.c;
                        const std::int64_t u = x + op.offsetX;
                        // A stretch that lands side by side, or the channels of a pixel beyond an edge.
                        const bool inside = u >= 0 && u < dst.w;
                        const std::int64_t stretch = inside ? (dst.w - u) * dst.c - c : dst.c - c;
                        const std::int64_t many = std::min(stretch, count - k);
                        double* const into = sum + std::clamp<std::int64_t>(u, 0, dst.w - 1) * dst.c + c;
                        for (std::int64_t j = 0; j < many; ++j) into[j] += static_cast<double>(values[k + j]);
                        k += many;
                    }
                }
            }
            float* const room = sink.room(row * length, length, out);
            for (std::int64_t i = 0; i < length; ++i) room[i] = static_cast<float>(sum[i]);
            sink.write(row * length, length, room);
        }
    });
}

void Cpu::run(const ops::Fill& op, ops::Stream&) {
    const Sink dst(op.dst);
    forRuns(op.dst.count(), [&](std::int64_t first, std::int64_t count) {
        alignas(64) float buffer[kRun];
        float* const to = dst.room(first, count, buffer);
        std::fill_n(to, count, op.value);
        dst.write(first, count, to);
    });
}

void Cpu::run(const ops::ArrayCopy& op, ops::Stream& stream) {
    const auto view = [](const ops::Array& a) { return ops::Tensor::dense(a.data, a.type, 1, 1, 1, a.size); };
    // A single row would go to a single thread.
    if (op.src.type == op.dst.type) return run(ops::Copy{view(op.src), view(op.dst)}, stream);
    const Source src(view(op.src));
    const Sink dst(view(op.dst));
    forRuns(op.dst.size, [&](std::int64_t first, std::int64_t count) {
        alignas(64) float in[kRun];
        const float* values = src.read(first, count, in);
        if (op.dst.type == ops::Type::Float32)
            std::copy_n(values, count, static_cast<float*>(op.dst.data) + first);
        else
            dst.write(first, count, values);
    });
}

}  // namespace pewter::cpu
