#pragma once

#include <MPS/CNNKernel.hpp>

namespace MPS {

/// MPSNNSlice: copies a box of pixels and channels.
///
///   destination(clip.x + i, clip.y + j, destinationFeatureChannelOffset + c)
///       = source(offset.x + i, offset.y + j, sourceFeatureChannelOffset + c)
///
/// The box has the size of the clip rectangle and as many channels as both sides have from their offsets on
/// (at most sourceFeatureChannelMaxCount). Pixels outside the source follow edgeMode. Encodes that return
/// their image let the padding policy choose width, height and offset like any kernel's, and copy all
/// channels of the source's window. Types convert. No gradient class: the gradient of a slice is the incoming
/// gradient put back at the same box, with 0 elsewhere. Source: MPSNNSlice.h.
class PEWTER_API NNSlice final : public CNNKernel {
public:
    /// Objective-C: -initWithDevice:
    explicit NNSlice(std::shared_ptr<MTL::Device> device);

    const char* className() const override { return "NNSlice"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    void fitToDestination(pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
};

}  // namespace MPS
