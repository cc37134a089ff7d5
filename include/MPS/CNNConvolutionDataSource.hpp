#pragma once

#include <memory>
#include <optional>
#include <string>

#include <MPS/CNNConvolutionDescriptor.hpp>
#include <MPS/Types.hpp>

namespace MTL {
class CommandBuffer;
class Device;
}  // namespace MTL

namespace MPS {

class CNNConvolutionGradientState;
class CNNConvolutionWeightsAndBiasesState;

/// MPSCNNWeightsQuantizationType: how 8-bit weights become numbers.
enum class CNNWeightsQuantizationType : std::uint32_t {
    None = 0,
    Linear = 1,       ///< w = u / 255 (max - min) + min, with rangesForUInt8Kernel()
    LookupTable = 2,  ///< w = table[u], with lookupTableForUInt8Kernel()
};

/// MPSCNNConvolutionDataSource: hands a convolution its descriptor and parameters, and is told to update
/// them.
///
/// Derive from it. A kernel calls load(), reads, copies everything, and calls purge(): pointers need to live
/// only in between. Methods may be called on any thread. Source: MPSCNNConvolution.h.
class PEWTER_API CNNConvolutionDataSource {
public:
    virtual ~CNNConvolutionDataSource();

    // --- required ---

    /// Makes the parameters available. false makes the kernel that asks fail; purge() is not called then.
    virtual bool load() = 0;
    /// Balances every successful load().
    virtual void purge() = 0;
    /// Never null.
    virtual std::shared_ptr<CNNConvolutionDescriptor> descriptor() const = 0;
    /// Type of weights(): Float32, Float16 or UInt8; Float32 for transposed convolutions, UInt32 for binary
    /// ones.
    virtual DataType dataType() const = 0;
    /// descriptor()->weightCount() elements ordered output channel, row, column, input channel within its
    /// group:
    /// ((o kH + r) kW + q) Ni/G + c. Depthwise: (o kH + r) kW + q. Binary: a bit each, in 32-bit words of 32
    /// input channels: word ((o kH + r) kW + q) ceil(Ni/32) + floor(c/32), bit c mod 32, bit 0 the least
    /// significant.
    virtual const void* weights() const = 0;
    /// outputFeatureChannels() floats, or null for zeros.
    virtual const float* biasTerms() const = 0;
    /// Becomes the label of the kernel; may be empty.
    virtual std::string label() const = 0;

    // --- optional ---

    /// How many elements weights() and biasTerms() point to, for sources that know: a kernel refuses a source
    /// with fewer than its descriptor asks for before it reads any. Default: not known. (Extension.)
    virtual std::optional<std::size_t> weightsLength() const { return std::nullopt; }
    virtual std::optional<std::size_t> biasTermsLength() const { return std::nullopt; }

    /// For UInt8 weights. Default: Linear if there are ranges, LookupTable if there is a table, else None.
    virtual CNNWeightsQuantizationType weightsQuantizationType() const;
    /// outputFeatureChannels() pairs (min, max), or null (default).
    virtual const float* rangesForUInt8Kernel() const { return nullptr; }
    /// 256 floats, or null (default).
    virtual const float* lookupTableForUInt8Kernel() const { return nullptr; }
    /// OHWI is the only layout.
    virtual CNNConvolutionWeightsLayout weightsLayout() const { return CNNConvolutionWeightsLayout::OHWI; }
    /// Precision the kernel should keep weights in, Float32 (default for Float32 weights) or Float16 (for
    /// others). Kernels keep Float32 for both, so that exported weights are the ones computed with. Binary
    /// kernels do not ask.
    virtual DataType kernelWeightsDataType() const;

    /// An independent source for a kernel copied to `device`, or null (default): the copy shares this object.
    /// Objective-C: -copyWithZone:device:
    virtual std::shared_ptr<CNNConvolutionDataSource> copy(const std::shared_ptr<MTL::Device>& device) const;

    /// Training style UpdateDeviceGPU: encodes the update of `sourceState` (the weights in use) by
    /// `gradientState` and returns a state with the new weights, from which the kernels are then reloaded;
    /// null: no update. Must lower the read count of both states by one, which an optimizer's encode does; a
    /// source state that is returned itself needs its count raised first. Default: lowers both counts,
    /// reports once for each data source that the method is missing, and returns null. Objective-C:
    /// -updateWithCommandBuffer:gradientState:sourceState:
    virtual std::shared_ptr<CNNConvolutionWeightsAndBiasesState> update(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const std::shared_ptr<CNNConvolutionGradientState>& gradientState,
        const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& sourceState);
    /// Training style UpdateDeviceCPU: called when the command buffer has completed, with states the host can
    /// read. Stores new parameters in this object and returns true, after which the kernels reload from it;
    /// false (default) keeps the old ones.   Objective-C: -updateWithGradientState:sourceState:
    virtual bool update(const std::shared_ptr<CNNConvolutionGradientState>& gradientState,
                        const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& sourceState);

private:
    bool reportedMissingUpdate_ = false;
};

}  // namespace MPS
