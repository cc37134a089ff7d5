#pragma once

#include <MPS/NNReduce.hpp>

namespace MPS {

/// MPSNNLocalCorrelation: compares each pixel of the primary image with the pixels of the secondary image
/// around the same place.
///
///   y[v][u][f] = sum over the channels z of a[v][u][z] * b[v + dy][u + dx][z],   f = n (2 windowInX + 1) +
///   m, dx = (m - windowInX) strideInX, m = 0 ... 2 windowInX;   dy = (n - windowInY) strideInY, n = 0 ... 2
///   windowInY
///
/// so that shifts along x run fastest (Apple's text; its printed formula takes windowInY for the length of
/// that run). The pixel (0, 0) of both is the origin of its source clip rectangle; the two must be of one
/// size. Shifts may leave the secondary's rectangle; outside the secondary image they read what
/// secondaryEdgeMode() says, default Zero. Shapes: two [N,H,W,C] to [N,H,W,(2 windowInX + 1)(2 windowInY +
/// 1)]. No gradient class, no state. Source: MPSNNLocalCorrelation.h.
class PEWTER_API NNLocalCorrelation final : public NNReduceBinary {
public:
    /// Windows 0, strides 1.   Objective-C: -initWithDevice:
    explicit NNLocalCorrelation(std::shared_ptr<MTL::Device> device);
    /// Throws MPS::Error for a stride of 0.
    /// Objective-C: -initWithDevice:windowInX:windowInY:strideInX:strideInY:
    NNLocalCorrelation(std::shared_ptr<MTL::Device> device, std::size_t windowInX, std::size_t windowInY,
                       std::size_t strideInX, std::size_t strideInY);

    /// Shifts to either side. Default 0.
    std::size_t windowInX() const { return windowInX_; }
    void setWindowInX(std::size_t shifts) { windowInX_ = shifts; }
    std::size_t windowInY() const { return windowInY_; }
    void setWindowInY(std::size_t shifts) { windowInY_ = shifts; }
    /// Pixels from one shift to the next. Default 1. Throws MPS::Error for 0.
    std::size_t strideInX() const { return strideInX_; }
    void setStrideInX(std::size_t pixels);
    std::size_t strideInY() const { return strideInY_; }
    void setStrideInY(std::size_t pixels);

    const char* className() const override { return "NNLocalCorrelation"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::size_t resultFeatureChannels(std::size_t primaryChannels,
                                      std::size_t secondaryChannels) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    std::size_t windowInX_ = 0, windowInY_ = 0, strideInX_ = 1, strideInY_ = 1;
};

}  // namespace MPS
