#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>

namespace pewter {

/// Numbers of a batch in the order image, row, column, channel.
struct HostTensor {
    std::size_t n = 0, h = 0, w = 0, c = 0;
    std::vector<double> values;

    double& at(std::size_t image, std::size_t y, std::size_t x, std::size_t channel) {
        return values[((image * h + y) * w + x) * c + channel];
    }
    double at(std::size_t image, std::size_t y, std::size_t x, std::size_t channel) const {
        return values[((image * h + y) * w + x) * c + channel];
    }
};

/// Where the pixels of an encode lie: pixel (x, y) of the destination's clip rectangle belongs to pixel
/// (x + clip.origin.x) * strideInPixelsX + offset.x of the source, and likewise for y.
struct HostGeometry {
    MPS::Offset offset;
    MTL::Region clip;
    MPS::ImageEdgeMode edgeMode = MPS::ImageEdgeMode::Zero;
};

/// A kernel written by a user in plain C++ (extension: MPS has Metal functions for this). It is a CNNKernel in every
/// other way: all encode forms, batches, channel ranges, clip rectangle, padding policy, temporary images, graphs. The
/// numbers pass through host memory as doubles, so it is for what no kernel offers, and for trying things out.
///
/// Results keep the size that the padding policy gives for a window of 1 x 1; override adjustDescriptor() and
/// resultFeatureChannels() for others, newResultState() for a state of one's own.
class PEWTER_API HostKernel : public MPS::CNNKernel {
public:
    /// Fills the clip rectangle `destination`, whose values are 0 before, from the whole `source`. Runs on the queue's
    /// worker; an exception ends the command buffer with status Error.
    using Computation =
        std::function<void(const HostTensor& source, const HostGeometry& geometry, HostTensor& destination)>;

    /// Throws MPS::Error for a null device.
    explicit HostKernel(std::shared_ptr<MTL::Device> device) : CNNKernel(std::move(device)) {}
    const char* className() const override { return "HostKernel"; }

protected:
    /// The kernel's function as it is now; asked at every encode. It must own what it needs (capture by value): the kernel
    /// may be changed or gone when it runs.
    virtual Computation computation() const = 0;
    /// A plain NNGradientState: the record of the encode.
    std::shared_ptr<MPS::State> newResultState(const MPS::StateOwner& owner,
                                               const std::shared_ptr<MPS::Image>& sourceImage,
                                               const MPS::StateBatch& sourceStates,
                                               const std::shared_ptr<MPS::Image>& destinationImage) override;
    void record(mps::UnaryEncoding& encoding) override;
};

/// The gradient of a HostKernel. `source` is the image the forward kernel read, or what the encode was given for it.
class PEWTER_API HostGradientKernel : public MPS::CNNGradientKernel {
public:
    /// Fills `destination`, as large as the source image, from the incoming gradient.
    using Computation = std::function<void(const HostTensor& gradient, const HostTensor& source,
                                           const HostGeometry& forward, HostTensor& destination)>;

    explicit HostGradientKernel(std::shared_ptr<MTL::Device> device) : CNNGradientKernel(std::move(device)) {}
    const char* className() const override { return "HostGradientKernel"; }

protected:
    virtual Computation computation() const = 0;
    void record(mps::BinaryEncoding& encoding) override;
};

/// What a HostStateKernel keeps of an encode for its gradient kernel or for its own next encode: a run of numbers for each
/// image, as doubles.
class PEWTER_API HostState final : public MPS::NNGradientState {
public:
    /// For kernels that make one.
    HostState(const MPS::StateOwner& owner, std::size_t images, std::size_t size);
    /// A plain state that holds these numbers for one image: what a loop starts from. Throws MPS::Error when there are none.
    HostState(const std::shared_ptr<MTL::Device>& device, const std::vector<double>& values);

    std::size_t images() const { return images_; }
    /// Numbers an image.
    std::size_t size() const { return size_; }
    /// All of them; valid once the command buffer that computes them has completed. Throws MPS::Error for a temporary.
    std::vector<double> values();
    const char* className() const override { return "HostState"; }

protected:
    void describe(Facts& facts) const override;

private:
    std::size_t images_, size_;
};

/// A HostKernel with a state of its own: it fills a HostState for its gradient kernel, and may read the one of an earlier
/// encode.
class PEWTER_API HostStateKernel : public MPS::CNNKernel {
public:
    /// Fills `destination` and `state`, both 0 before. `state` and `before` have the images of the source and stateSize()
    /// channels of 1 x 1; `before` is empty (n == 0) when the encode has no source state. `state` is dropped when nobody
    /// wants it.
    using Computation = std::function<void(const HostTensor& source, const HostTensor& before, const HostGeometry& geometry,
                                           HostTensor& destination, HostTensor& state)>;

    explicit HostStateKernel(std::shared_ptr<MTL::Device> device) : CNNKernel(std::move(device)) {}
    const char* className() const override { return "HostStateKernel"; }

    using CNNKernel::encode;
    using CNNKernel::encodeBatch;
    /// With states to read, HostStates of stateSize() numbers an image; each loses one read. Null and empty states: none.
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::shared_ptr<MPS::Image>& sourceImage,
                const std::shared_ptr<MPS::State>& sourceState, const std::shared_ptr<MPS::State>& destinationState,
                const std::shared_ptr<MPS::Image>& destinationImage);
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const MPS::ImageBatch& sourceImages,
                     const MPS::StateBatch& sourceStates, const MPS::StateBatch& destinationStates,
                     const MPS::ImageBatch& destinationImages);

protected:
    /// Numbers that the state holds for one image; at least 1.
    virtual std::size_t stateSize(const MPS::Image& source, const MPS::Image& destination) const = 0;
    /// As HostKernel::computation().
    virtual Computation computation() const = 0;
    std::shared_ptr<MPS::State> newResultState(const MPS::StateOwner& owner,
                                               const std::shared_ptr<MPS::Image>& sourceImage,
                                               const MPS::StateBatch& sourceStates,
                                               const std::shared_ptr<MPS::Image>& destinationImage) override;
    void validate(const mps::UnaryEncoding& encoding) const override;
    void record(mps::UnaryEncoding& encoding) override;
};

/// The gradient of a HostStateKernel: it is also given what that kernel kept.
class PEWTER_API HostStateGradientKernel : public MPS::CNNGradientKernel {
public:
    using Computation = std::function<void(const HostTensor& gradient, const HostTensor& source, const HostTensor& state,
                                           const HostGeometry& forward, HostTensor& destination)>;

    explicit HostStateGradientKernel(std::shared_ptr<MTL::Device> device) : CNNGradientKernel(std::move(device)) {}
    const char* className() const override { return "HostStateGradientKernel"; }

protected:
    virtual Computation computation() const = 0;
    const char* acceptedState() const override { return "HostState"; }
    bool accepts(const MPS::State& state) const override;
    void record(mps::BinaryEncoding& encoding) override;
};

}  // namespace pewter
