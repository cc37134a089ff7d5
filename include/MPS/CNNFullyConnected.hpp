#pragma once

#include <MPS/CNNConvolution.hpp>

namespace MPS {

/// MPSCNNFullyConnected: every output is the inner product of the whole source image with one filter, plus
/// bias:
///
///   y[n, 0, 0, o] = f( b[o] + sum over v, u, c of W[o][v][u][c] x[n, v, u, c] )
///
/// The window is as large as the source, stride, dilation and groups are 1. The result is 1 x 1 at the origin
/// of the clip rectangle; offset and padding policy do not matter (padding(): valid only). Source:
/// MPSCNNConvolution.h.
class PEWTER_API CNNFullyConnected : public CNNConvolution {
public:
    /// Throws MPS::Error as CNNConvolution does, and for a stride, dilation, number of groups or sub-pixel
    /// factor other than 1 and for a depthwise descriptor.   Objective-C: -initWithDevice:weights:
    CNNFullyConnected(std::shared_ptr<MTL::Device> device, std::shared_ptr<CNNConvolutionDataSource> weights);
    /// Deprecated, as of CNNConvolution.
    /// Objective-C: -initWithDevice:convolutionDescriptor:kernelWeights:biasTerms:flags:
    CNNFullyConnected(std::shared_ptr<MTL::Device> device,
                      const CNNConvolutionDescriptor& fullyConnectedDescriptor, const float* kernelWeights,
                      const float* biasTerms, CNNConvolutionFlags flags = CNNConvolutionFlags::None);

    const char* className() const override { return "CNNFullyConnected"; }

protected:
    CNNFullyConnected(const CNNFullyConnected&) = default;
    bool ignoresPadding() const override { return true; }
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                              const Image& destination) const override;
    std::shared_ptr<CNNConvolution> clone() const override;
};

/// MPSCNNFullyConnectedGradient: with the 1 x 1 incoming gradient E[n, o]
///
///   dx[n,v,u,c] = sum over o of W[o][v][u][c] E[n,o],  gradientForWeights[o][v][u][c] = sum over n of E[n,o]
///   x[n,v,u,c], gradientForBiases[o] = sum over n of E[n,o].
///
/// Everything else is inherited; the offsets do not matter.
class PEWTER_API CNNFullyConnectedGradient : public CNNConvolutionGradient {
public:
    /// Objective-C: -initWithDevice:weights:
    CNNFullyConnectedGradient(std::shared_ptr<MTL::Device> device,
                              std::shared_ptr<CNNConvolutionDataSource> weights);

    const char* className() const override { return "CNNFullyConnectedGradient"; }

protected:
    CNNFullyConnectedGradient(const CNNFullyConnectedGradient&) = default;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void recordWeights(pewter::mps::BinaryEncoding& encoding, CNNConvolutionGradientState& state) override;
    void recordData(pewter::mps::BinaryEncoding& encoding) override;
    std::shared_ptr<CNNConvolutionGradient> clone() const override;
};

}  // namespace MPS
