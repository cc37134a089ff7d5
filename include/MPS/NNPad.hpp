#pragma once

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <memory>
#include <vector>

namespace pewter::mps {
struct PadAccess;
}

namespace MPS {

/// MPSNNPad: copies an image and goes on around it, in x, y and feature channels. The only kernel, with its
/// gradient, that takes the edge modes Mirror, MirrorWithEdge and Constant.
///
/// For pixel (i, j) of the clip rectangle and written channel q, sx = offset.x + i, sy = offset.y + j,
/// sc = q - paddingSizeBefore().channel counted from sourceFeatureChannelOffset:
///   inside the source       the source element
///   Zero, Constant          0; fillValueArray[q] or else fillValue()
///   Clamp, Mirror, MirrorWithEdge
///                           the element that each axis, continued on its own, comes to: the edge element;
///                           reflected about its centre; reflected about its border. Reflections repeat.
/// Channels continue about the slice that is read, and number before + read + after; the offset of the slice
/// need not be a multiple of 4. In x and y the padding sizes only size the result: encodes that return their
/// image (and destinationImageDescriptor()) make it before + width + after wide, set offset to minus
/// paddingSizeBefore and clipRect to all; with a given destination offset and clipRect say everything.
/// The padding policy has no effect. State: NNGradientState. Source: MPSNNPad.h (MPSCNNKernel family).
class PEWTER_API NNPad final : public CNNKernel {
public:
    /// No padding.   Objective-C: -initWithDevice:
    explicit NNPad(std::shared_ptr<MTL::Device> device);
    /// Objective-C: -initWithDevice:paddingSizeBefore:paddingSizeAfter:
    NNPad(std::shared_ptr<MTL::Device> device, const ImageCoordinate& paddingSizeBefore,
          const ImageCoordinate& paddingSizeAfter);
    /// fillValueArray: for Constant, one value a written channel, the first for the first channel written;
    /// more are ignored, fewer refused when encoding. Empty: fillValue() is used. Objective-C:
    /// -initWithDevice:paddingSizeBefore:paddingSizeAfter:fillValueArray:
    NNPad(std::shared_ptr<MTL::Device> device, const ImageCoordinate& paddingSizeBefore,
          const ImageCoordinate& paddingSizeAfter, const std::vector<float>& fillValueArray);

    /// Left, top, lower channels; default 0.
    const ImageCoordinate& paddingSizeBefore() const { return before_; }
    void setPaddingSizeBefore(const ImageCoordinate& size) { before_ = size; }
    /// Right, bottom, higher channels; default 0.
    const ImageCoordinate& paddingSizeAfter() const { return after_; }
    void setPaddingSizeAfter(const ImageCoordinate& size) { after_ = size; }
    /// For Constant without an array; default 0.
    float fillValue() const { return fillValue_; }
    void setFillValue(float value) { fillValue_ = value; }

    /// 1: any channel may be the first that is read.
    std::size_t sourceChannelAlignment() const override { return 1; }
    const char* className() const override { return "NNPad"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool acceptsAllEdgeModes() const override { return true; }
    bool ignoresPadding() const override { return true; }
    std::size_t resultFeatureChannels(std::size_t sourceChannels) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                              const Image& destination) const override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;

private:
    friend struct pewter::mps::PadAccess;
    ImageCoordinate before_, after_;
    float fillValue_ = 0;
    /// Never changed once made: commands that run later share it.
    std::shared_ptr<const std::vector<float>> fillValues_;
};

/// MPSNNPadGradient: adds every padded gradient to the element that it was copied from; filled elements
/// contribute nothing.
///
/// The result has all channels of the forward source, 0 in those that NNPad did not read. The source image
/// gives nothing but its size. Source: MPSNNPad.h.
class PEWTER_API NNPadGradient final : public CNNGradientKernel {
public:
    /// Objective-C: -initWithDevice:
    explicit NNPadGradient(std::shared_ptr<MTL::Device> device);

    std::size_t sourceChannelAlignment() const override { return 1; }
    void configure(const pewter::mps::ForwardRecord& forward) override;
    const char* className() const override { return "NNPadGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool acceptsAllEdgeModes() const override { return true; }
    std::size_t resultChannelsOf(const pewter::mps::BinaryEncoding& encoding) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;
};

}  // namespace MPS
