#pragma once

#include <MPS/CNNConvolutionTranspose.hpp>
#include <memory>

#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"

namespace pewter::mps {

class LoadedSource;

/// What a transposed convolution's gradient state keeps besides the geometry of every filter.
struct ConvolutionTransposeRecord final : ForwardRecord {
    ConvolutionTransposeRecord(const ForwardRecord& base,
                               std::shared_ptr<const MPS::CNNConvolutionDescriptor> d, std::int64_t x,
                               std::int64_t y)
        : ForwardRecord(base), descriptor(std::move(d)), totalX(x), totalY(y) {}
    void describe(std::vector<std::pair<std::string, std::string>>& facts) const override;

    std::shared_ptr<const MPS::CNNConvolutionDescriptor> descriptor;
    /// Offset in the source with zeros between its pixels.
    std::int64_t totalX, totalY;
};

/// A source's descriptor and its parameters' type; throws for what a transposed convolution does not compute.
std::shared_ptr<const MPS::CNNConvolutionDescriptor> transposedDescriptor(const LoadedSource& source);

/// 1 for even windows: how far the centre tap of a window moves when the window is rotated.
inline std::int64_t evenWindow(std::size_t taps, std::size_t rate) {
    return (taps - 1) * rate % 2 == 1 ? 1 : 0;
}

/// Window of the convolution from the large image to the small one whose adjoint this is, with the tap (0, 0)
/// of the first small pixel `padLeft`, `padTop` outside, from the offset of the transposed convolution.
ops::Window adjointWindow(const MPS::CNNConvolutionDescriptor& descriptor, std::int64_t totalX,
                          std::int64_t totalY);

}  // namespace pewter::mps
