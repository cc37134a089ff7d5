#pragma once

#include <MPS/CNNKernel.hpp>
#include <MPS/Handle.hpp>
#include <memory>
#include <optional>
#include <vector>

namespace pewter::mps {
struct ImageScaleAccess;
}

namespace MPS {

/// MPSImageTransformProvider: chooses which part of an image a scale filter of a graph shows. Called while
/// encoding, on the encoding thread.
class PEWTER_API ImageTransformProvider {
public:
    virtual ~ImageTransformProvider();
    /// Asked once for each source image of an encode; handle is that of the source node, may be null.
    /// Objective-C: -transformForSourceImage:handle:
    virtual ScaleTransform transform(const std::shared_ptr<Image>& sourceImage,
                                     const std::shared_ptr<Handle>& handle) = 0;
};

/// MPSImageScale: base of the kernels that resample an image to the size of the destination, channel by
/// channel.
///
/// Without a transform the whole source is stretched over the whole destination; with one,
///   destination = source * scale + translation
/// in continuous coordinates, in which pixel i reaches from i to i + 1, counted from the origin of the clip
/// rectangle. The centre of pixel i of an axis of n pixels made N then lies at (i + 1/2) n / N - 1/2, or at
/// (i + 1/2 - translation) / scale - 1/2 of the source, in pixels whose centres are the integers. Positions
/// outside the source see its edge pixels, whatever edgeMode() says. offset (but for its z) and padding have
/// no effect; encodes that return their image keep the size of the source. No gradient, no state. (Of the
/// original the base is MPSUnaryImageKernel.) Source: MPSImageResampling.h.
class PEWTER_API ImageScale : public CNNKernel {
public:
    /// Default none. The setter throws MPS::Error for a scale beyond 2^-16 to 2^20 in size, and for numbers
    /// that are not finite; negative scales mirror.
    const std::optional<ScaleTransform>& scaleTransform() const { return transform_; }
    void setScaleTransform(const std::optional<ScaleTransform>& transform);

    const char* className() const override { return "ImageScale"; }

protected:
    explicit ImageScale(std::shared_ptr<MTL::Device> device);
    bool ignoresPadding() const override { return true; }
    void record(pewter::mps::UnaryEncoding& encoding) override;
    virtual bool isLanczos() const = 0;

private:
    friend struct pewter::mps::ImageScaleAccess;
    void check(const char* argument, const ScaleTransform& transform) const;

    std::optional<ScaleTransform> transform_;
    /// One for each source of an encode, before transform_; else empty.
    std::vector<ScaleTransform> each_;
};

/// MPSImageBilinearScale: the mean of the four pixels around the position, by their nearness. Nothing is
/// smoothed when the image shrinks.
class PEWTER_API ImageBilinearScale final : public ImageScale {
public:
    /// Objective-C: -initWithDevice:
    explicit ImageBilinearScale(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "ImageBilinearScale"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool isLanczos() const override { return false; }
};

/// MPSImageLanczosScale: a window of three lobes along each axis. With p the position and s the distance of
/// neighbouring positions, at least 1, pixel j weighs L((j - p) / s) divided by the sum of these weights,
/// where L(t) = sinc(t) sinc(t / 3) for |t| < 3, else 0, and sinc(t) = sin(pi t) / (pi t). Wider than a
/// pixel, the window smooths what shrinks; results may go beyond the range of the source.
class PEWTER_API ImageLanczosScale final : public ImageScale {
public:
    /// Objective-C: -initWithDevice:
    explicit ImageLanczosScale(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "ImageLanczosScale"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool isLanczos() const override { return true; }
};

}  // namespace MPS
