#include "backends/cpu/Staging.h"

#include <algorithm>

#include "backends/cpu/AlignedMemory.h"
#include "backends/cpu/Parallel.h"
#include "backends/cpu/vector/Convert.h"

namespace pewter::cpu {

namespace {

constexpr std::size_t kSmallestBlock = std::size_t{1} << 20;

}  // namespace

std::size_t Scratch::roomFor(std::size_t bytes) {
    return (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
}

void Scratch::Free::operator()(void* memory) const noexcept { freeAligned(memory, size); }

void Scratch::grow(std::size_t bytes) {
    // The first block serves all operations so far; further ones live as long as the operation that outgrows it.
    const std::size_t size = std::max({bytes, kSmallestBlock, blocks_.empty() ? most_ : 0});
    blocks_.push_back(Block(static_cast<std::byte*>(allocateAligned(size)), Free{size}));
}

void Scratch::expect(std::size_t bytes) {
    most_ = std::max(most_, taken_ + bytes);
    if (taken_ == 0 && !blocks_.empty() && sizeOf(blocks_[0]) < bytes) blocks_.clear();
}

void* Scratch::take(std::size_t bytes) {
    const std::size_t size = roomFor(bytes);
    if (taken_ == 0) expect(size);
    taken_ += size;
    most_ = std::max(most_, taken_);
    while (block_ < blocks_.size() && used_ + size > sizeOf(blocks_[block_])) {
        ++block_;
        used_ = 0;
    }
    if (block_ == blocks_.size()) grow(size);
    void* memory = blocks_[block_].get() + used_;
    used_ += size;
    return memory;
}

std::size_t Scratch::capacity() const {
    std::size_t sum = 0;
    for (const Block& block : blocks_) sum += sizeOf(block);
    return sum;
}

void loadRun(const void* src, ops::Type type, std::int64_t stride, std::int64_t count, float* dst) {
    PEWTER_VECTOR(loadRun)(src, type, stride, count, dst);
}

void storeRun(const float* src, void* dst, ops::Type type, std::int64_t stride, std::int64_t count) {
    PEWTER_VECTOR(storeRun)(src, dst, type, stride, count);
}

namespace {

/// Calls fn(view address of a run, first dense index, stride, length) over the longest runs of one stride.
template <typename Fn>
void forEachRun(const ops::Tensor& t, Fn&& fn) {
    if (t.isDense()) {
        parallelFor(0, t.count(), kElementGrain, [&](std::int64_t from, std::int64_t to) {
            fn(static_cast<std::byte*>(t.data) + from * static_cast<std::int64_t>(ops::sizeOf(t.type)), from,
               1, to - from);
        });
        return;
    }
    // Whole rows where pixels lie back to back (or a pixel is one channel), else pixel by pixel.
    const bool wholeRows = t.c == 1 || (t.strideC == 1 && t.strideW == t.c);
    const std::int64_t rowGrain =
        std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(1, t.w * t.c));
    parallelFor(0, t.n * t.h, rowGrain, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t row = from; row < to; ++row) {
            const std::int64_t n = row / t.h, y = row % t.h;
            if (wholeRows)
                fn(at(t, n, y, 0), row * t.w * t.c, t.c == 1 ? t.strideW : 1, t.w * t.c);
            else
                for (std::int64_t x = 0; x < t.w; ++x)
                    fn(at(t, n, y, x), (row * t.w + x) * t.c, t.strideC, t.c);
        }
    });
}

}  // namespace

void load(const ops::Tensor& src, float* dst) {
    forEachRun(src, [&](const void* run, std::int64_t index, std::int64_t stride, std::int64_t count) {
        loadRun(run, src.type, stride, count, dst + index);
    });
}

void store(const float* src, const ops::Tensor& dst) {
    forEachRun(dst, [&](void* run, std::int64_t index, std::int64_t stride, std::int64_t count) {
        storeRun(src + index, run, dst.type, stride, count);
    });
}

ops::Tensor staged(const ops::Tensor& t, Scratch::Frame& frame) {
    if (isPlain(t)) return t;
    float* copy = frame.floats(t.count());
    load(t, copy);
    return ops::Tensor::dense(copy, ops::Type::Float32, t.n, t.h, t.w, t.c);
}

StagedOutput::StagedOutput(const ops::Tensor& t, Scratch::Frame& frame, bool bfloat16) : target_(t), view_(t) {
    if (!isPlain(t) && !(bfloat16 && isPlainOrBFloat16(t)))
        view_ = ops::Tensor::dense(frame.floats(t.count()), ops::Type::Float32, t.n, t.h, t.w, t.c);
}

void StagedOutput::finish() const {
    if (view_.data != target_.data) store(data(), target_);
}

const float* staged(const ops::Array& a, Scratch::Frame& frame) {
    if (a.isNull() || a.type == ops::Type::Float32) return static_cast<const float*>(a.data);
    float* copy = frame.floats(a.size);
    loadRun(a.data, a.type, 1, a.size, copy);
    return copy;
}

void storeSums(const float* sums, const ops::Array& dst, bool accumulate, Scratch::Frame& frame) {
    if (!accumulate) return storeRun(sums, dst.data, dst.type, 1, dst.size);
    float* total = frame.floats(dst.size);
    loadRun(dst.data, dst.type, 1, dst.size, total);
    for (std::int64_t i = 0; i < dst.size; ++i) total[i] += sums[i];
    storeRun(total, dst.data, dst.type, 1, dst.size);
}

}  // namespace pewter::cpu
