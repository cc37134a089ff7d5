#pragma once

#include <MPS/CNNConvolutionDataSource.hpp>
#include <memory>
#include <string>

#include "mps/core/Encoder.h"
#include "mps/core/TensorRef.h"

namespace pewter::mps {

/// A data source between load() and purge().
class LoadedSource {
public:
    /// Throws for null, and when the source refuses to load. kernelLabel: how errors call a kernel that stands
    /// already; a new one goes by the label of the source.
    LoadedSource(MPS::CNNConvolutionDataSource* source, const std::string& className,
                 const std::string& kernelLabel = {});
    ~LoadedSource();
    LoadedSource(const LoadedSource&) = delete;
    LoadedSource& operator=(const LoadedSource&) = delete;

    /// A copy of the source's descriptor; throws when it is null or makes no sense.
    std::shared_ptr<const MPS::CNNConvolutionDescriptor> descriptor() const;
    /// Throws when the source knows that it holds fewer than `weights` elements or, if there are any, fewer
    /// than `biases` biases.
    void requireLengths(std::size_t weights, std::size_t biases) const;
    /// How errors call it: class and label of the kernel that is being made.
    const std::string& who() const { return who_; }
    MPS::CNNConvolutionDataSource& operator*() const { return *source_; }
    MPS::CNNConvolutionDataSource* operator->() const { return source_; }

private:
    MPS::CNNConvolutionDataSource* source_;
    std::string who_;
};

/// Weights and biases of one kernel, or of a forward and a gradient kernel that share them; float32.
class ConvolutionParameters {
public:
    /// Reads a source. Its geometry must be `descriptor`'s. Those of a transposed convolution also hold the
    /// turned weights.
    ConvolutionParameters(const std::shared_ptr<MTL::Device>& device, const LoadedSource& source,
                          const MPS::CNNConvolutionDescriptor& descriptor, bool transposed = false);
    /// A copy for another kernel, as the host sees the values now.
    ConvolutionParameters(const ConvolutionParameters& other, const std::shared_ptr<MTL::Device>& device);

    /// Takes over another's memory; what is encoded already keeps the old.
    void replace(const ConvolutionParameters& other) { *this = other; }

    /// What to compute with: dense [O][kH][kW][Ni/G], and O biases; with the batch normalisation folded in.
    const TensorRef& weights() const { return fold_ ? foldedWeights_ : weights_; }
    const ArrayRef& biases() const { return fold_ ? foldedBiases_ : biases_; }
    /// weights() as TurnedWeights.h has them; null unless transposed.
    const TensorRef& turnedWeights() const { return turned_; }
    /// As the data source gave them.
    ArrayRef rawWeights() const;
    const ArrayRef& rawBiases() const { return biases_; }
    bool isFolded() const { return fold_ != nullptr; }

    /// Folds a normalisation into the values at hand, now. Commands encoded before keep what they had.
    void refold(const std::shared_ptr<MTL::Device>& device,
                std::shared_ptr<const MPS::CNNConvolutionDescriptor::BatchNormalization> normalization);
    /// Appends the copy of new values; null biases stay as they are.
    void encodeReload(Encoder& encoder, const ArrayRef& weights, const ArrayRef& biases);

private:
    ConvolutionParameters(const ConvolutionParameters&) = default;
    ConvolutionParameters& operator=(const ConvolutionParameters&) = default;
    void foldInto(const std::shared_ptr<MTL::Device>& device);

    void turn(const std::shared_ptr<MTL::Device>& device);

    TensorRef weights_, foldedWeights_, turned_;
    std::int64_t groups_ = 1;
    ArrayRef biases_, foldedBiases_;
    std::shared_ptr<const MPS::CNNConvolutionDescriptor::BatchNormalization> fold_;
};

/// Throws unless the descriptor can be computed.
void checkDescriptor(const MPS::CNNConvolutionDescriptor& descriptor, const std::string& who);
/// Throws unless the descriptor has gradients: no activation, no folded normalisation, no rearrangement, one
/// output a channel when depthwise.
void checkTrainable(const MPS::CNNConvolutionDescriptor& descriptor, const std::string& who);
/// A data source over copies of a caller's arrays; biases may be null. Throws for null weights.
std::shared_ptr<MPS::CNNConvolutionDataSource> arraySource(const MPS::CNNConvolutionDescriptor& descriptor,
                                                           const float* weights, const float* biases,
                                                           const std::string& who);
/// "3 x 3 taps, stride 1 x 1, dilation 1 x 1, 3 to 8 channels in 1 group".
std::string geometryOf(const MPS::CNNConvolutionDescriptor& descriptor);

}  // namespace pewter::mps
