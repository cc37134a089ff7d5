#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <MPS/CNNBinaryKernel.hpp>
#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <MPS/Image.hpp>
#include <MTL/CommandBuffer.hpp>
#include <Pewter/check/OpCase.hpp>

/// Cases made from kernels, and what cases written by hand are made of.
namespace MTL {
class Buffer;
}

namespace pewter::check {

template <class Kernel>
using Maker = std::function<std::shared_ptr<Kernel>(const std::shared_ptr<MTL::Device>&)>;

/// Images of the setting's format with these numbers, back to back in memory.
PEWTER_API MPS::ImageBatch imagesOf(const Setting& setting, const Array& array);
/// The numbers of a batch that the host may read.
PEWTER_API Array arrayOf(const MPS::ImageBatch& images);
/// The first `count` numbers of a buffer: float64 when `wide`, else float32. States made for Float64 images keep their
/// gradients in float64.
PEWTER_API Array arrayOf(MTL::Buffer& buffer, std::size_t count, bool wide = false);
/// float32 numbers, for data sources and buffers.
PEWTER_API std::vector<float> floatsOf(const Array& array);
/// Commits and waits; throws MPS::Error when the command buffer ends with an error.
PEWTER_API void finish(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);

/// What the gradient kernel takes as its source image.
enum class SecondSource { Source, Result };

/// A CNNKernel and its gradient kernel: one operand, the source.
struct UnaryPair {
    Operand source{"source", {}};
    Maker<MPS::CNNKernel> forward;
    /// May be empty: then the source is not differentiable.
    Maker<MPS::CNNGradientKernel> backward = {};
    SecondSource secondSource = SecondSource::Source;
};
PEWTER_API OpCase caseOf(std::string name, const UnaryPair& pair);

/// A CNNBinaryKernel and the gradient kernels for its two sources: operands primary and secondary.
struct BinaryPair {
    Operand primary{"primary", {}}, secondary{"secondary", {}};
    Maker<MPS::CNNBinaryKernel> forward;
    /// Either may be empty: then that source is not differentiable.
    Maker<MPS::CNNGradientKernel> backwardPrimary = {}, backwardSecondary = {};
    /// Each gradient kernel takes as its source image the other operand (a product), not its own.
    bool takesOther = false;
};
PEWTER_API OpCase caseOf(std::string name, const BinaryPair& pair);

}  // namespace pewter::check
