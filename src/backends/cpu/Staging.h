#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ops/Tensor.h"

namespace pewter::cpu {

/// A stack of memory for the length of one operation. It stays for the next operation, so that a repeated step takes
/// nothing from the system: one block of exactly what the operation that needed most had taken.
class Scratch {
public:
    /// 64-byte aligned; lives until the enclosing Frame ends. Throws std::bad_alloc.
    void* take(std::size_t bytes);
    /// So many bytes, each piece as roomFor() has it, will be taken before the enclosing Frame ends. An operation that says
    /// so before it takes anything does not hold what it outgrows beside what it grows to.
    void expect(std::size_t bytes);
    /// What a piece takes of a block.
    static std::size_t roomFor(std::size_t bytes);

    /// Bytes held, used or not.
    std::size_t capacity() const;

    /// Everything taken during its life is given back when it ends. Frames nest.
    class Frame {
    public:
        explicit Frame(Scratch& scratch)
            : scratch_(scratch), block_(scratch.block_), used_(scratch.used_), taken_(scratch.taken_) {}
        ~Frame() {
            scratch_.block_ = block_;
            scratch_.used_ = used_;
            scratch_.taken_ = taken_;
            // Blocks that an operation grew by go, for one that would have held them all.
            if (taken_ == 0 && scratch_.blocks_.size() > 1) scratch_.blocks_.clear();
        }
        Frame(const Frame&) = delete;
        Frame& operator=(const Frame&) = delete;

        /// For a frame within this one.
        Scratch& scratch() const { return scratch_; }
        void* bytes(std::size_t count) { return scratch_.take(count); }
        float* floats(std::int64_t count) {
            return static_cast<float*>(scratch_.take(static_cast<std::size_t>(count) * sizeof(float)));
        }

    private:
        Scratch& scratch_;
        std::size_t block_, used_, taken_;
    };

private:
    struct Free {
        std::size_t size = 0;
        void operator()(void* memory) const noexcept;
    };
    using Block = std::unique_ptr<std::byte, Free>;
    void grow(std::size_t bytes);
    static std::size_t sizeOf(const Block& block) { return block.get_deleter().size; }

    std::vector<Block> blocks_;
    std::size_t block_ = 0, used_ = 0;  ///< The block in use, and of it.
    std::size_t taken_ = 0, most_ = 0;  ///< Of all blocks: now, and at the most.
};

/// dst[i] = src[i] as float32, for `count` elements `stride` apart, any type but float64; runs on the calling
/// thread.
void loadRun(const void* src, ops::Type type, std::int64_t stride, std::int64_t count, float* dst);
/// dst[i] = src[i] rounded to nearest even (unorm types: saturated to [0,1], scaled, rounded to nearest).
void storeRun(const float* src, void* dst, ops::Type type, std::int64_t stride, std::int64_t count);

/// Whole views, on all threads. The dense side is in N,H,W,C order.
void load(const ops::Tensor& src, float* dst);
void store(const float* src, const ops::Tensor& dst);

/// Address of element (n, h, w, 0).
inline void* at(const ops::Tensor& t, std::int64_t n, std::int64_t h, std::int64_t w) {
    return static_cast<std::byte*>(t.data) +
           (n * t.strideN + h * t.strideH + w * t.strideW) * static_cast<std::int64_t>(ops::sizeOf(t.type));
}

/// Whether the view can be used as it lies by code that wants dense float32.
inline bool isPlain(const ops::Tensor& t) { return t.type == ops::Type::Float32 && t.isDense(); }

/// A dense float32 view of `t`: `t` itself where it is one, else a converted copy in the frame.
ops::Tensor staged(const ops::Tensor& t, Scratch::Frame& frame);

/// Whether the view can be used as it lies by code that takes either type.
inline bool isPlainOrBFloat16(const ops::Tensor& t) {
    return isPlain(t) || (t.type == ops::Type::BFloat16 && t.isDense());
}
/// The same for code that takes dense bfloat16 too: what is neither is converted to float32.
inline ops::Tensor stagedOrBFloat16(const ops::Tensor& t, Scratch::Frame& frame) {
    return isPlainOrBFloat16(t) ? t : staged(t, frame);
}

/// A dense float32 view to write into in place of `t`: `t` itself where it is one, else room in the frame.
/// finish() converts what was written back to `t`.
class StagedOutput {
public:
    /// With `bfloat16`, dense bfloat16 is used as it lies too.
    StagedOutput(const ops::Tensor& t, Scratch::Frame& frame, bool bfloat16 = false);
    const ops::Tensor& view() const { return view_; }
    float* data() const { return static_cast<float*>(view_.data); }
    void finish() const;

private:
    ops::Tensor target_, view_;
};

/// Elements of an Array as float32: its own memory when it is float32, else a converted copy in the frame.
/// Null stays null.
const float* staged(const ops::Array& a, Scratch::Frame& frame);

/// dst = sums, or dst += sums; as many as dst holds.
void storeSums(const float* sums, const ops::Array& dst, bool accumulate, Scratch::Frame& frame);

}  // namespace pewter::cpu
