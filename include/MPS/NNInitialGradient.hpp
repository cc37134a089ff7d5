#pragma once

#include <memory>

#include <MPS/CNNKernel.hpp>

namespace MPS {

/// MPSNNInitialGradient: 1 at every element: the gradient of an image with respect to itself, from which a
/// backward pass starts. Shapes: [N,H,W,C] to the same. No value of the source is read, but the encode counts
/// as a read. No state. Source: MPSCNNLoss.h.
class PEWTER_API NNInitialGradient final : public CNNKernel {
public:
    /// Objective-C: -initWithDevice:
    explicit NNInitialGradient(std::shared_ptr<MTL::Device> device);

    const char* className() const override { return "NNInitialGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    void record(pewter::mps::UnaryEncoding& encoding) override;
};

}  // namespace MPS
