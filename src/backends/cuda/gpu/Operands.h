#pragma once

#include "backends/cuda/Stream.h"
#include "ops/Convolution.h"

namespace pewter::cuda {

/// Bytes rounded up so that what follows them is aligned.
constexpr std::size_t aligned(std::size_t bytes) { return (bytes + 255) / 256 * 256; }
constexpr std::int64_t roundedUp(std::int64_t count, std::int64_t unit) { return (count + unit - 1) / unit * unit; }
inline bool isAligned(const void* address) { return reinterpret_cast<std::uintptr_t>(address) % 16 == 0; }

enum class Direction : std::int64_t { Forward, DataGradient, WeightsGradient };

/// The operands of a layer with weights: x is its source or the gradient there, y its result or the gradient there, w the
/// weights or their gradient.
struct Operands {
    ops::Tensor x, w, y;

    /// The one that is written.
    ops::Tensor& result(Direction direction) {
        return direction == Direction::Forward ? y : direction == Direction::DataGradient ? x : w;
    }
    const ops::Tensor& result(Direction direction) const { return const_cast<Operands*>(this)->result(direction); }
    /// Whether they exist, have elements, and are of types that a library's can be made of.
    bool areUsable() const;
};

/// The type that the products are taken in, of the images' types: the 16-bit one they share, or the result's beside bytes
/// that are read, when operands may be rounded to it; else float32, which takes in any other without a loss.
ops::Type productType(const Operands& operands, Direction direction, ops::Exactness exactness);

/// Bytes of scratch memory of an operand: none where it has its own.
std::size_t roomOf(const ops::Tensor& t);

/// What a library is given in place of operands: `used` are these operands themselves, or without memory, of other types and
/// counts. Those get scratch memory here, and what is read is packed into it. Gives the memory of `extra` bytes after them.
/// For a measurement (bothWays) the one that is written is packed too: that takes as long as the way back.
char* lend(CudaStream& stream, const Operands& operands, Operands& used, Direction direction, std::size_t extra,
           bool bothWays = false);

}  // namespace pewter::cuda
