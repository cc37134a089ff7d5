#pragma once

#include <memory>
#include <vector>

#include <MPS/CNNArithmeticProperties.hpp>
#include <MPS/CNNBinaryKernel.hpp>
#include <MPS/CNNGradientKernel.hpp>

namespace MPS {

/// MPSCNNArithmeticGradientState: strides, scales and limits of an arithmetic kernel and, unless the limits
/// are the defaults, which results lay strictly between them. One an image.
class PEWTER_API CNNArithmeticGradientState final : public NNBinaryGradientState {
public:
    /// For a gradient kernel: geometry of the operand it differentiates and of its source image; the result
    /// has the size and channels of the operand.
    ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                               const StateBatch& sourceStates, Kernel& kernel,
                                               const ImageDescriptor& suggestedDescriptor) override;
    const char* className() const override { return "CNNArithmeticGradientState"; }

    /// Channels that the forward kernel wrote.
    std::size_t resultFeatureChannels() const { return resultFeatureChannels_; }

    /// For CNNArithmetic: maskBytes 0 for no mask.
    CNNArithmeticGradientState(const StateOwner& owner, std::size_t maskBytes,
                               std::size_t resultFeatureChannels);

private:
    std::size_t resultFeatureChannels_;
};

/// MPSCNNArithmeticGradientStateBatch.
using CNNArithmeticGradientStateBatch = std::vector<std::shared_ptr<CNNArithmeticGradientState>>;

/// MPSCNNArithmetic: base of Add, Subtract, Multiply and Divide. With p, s the scales, x, y the operands:
///   r = (p x) op (s y) + bias, result = min(max(r, minimumValue), maximumValue), NaN kept
///
/// A stride of 0 in pixels or feature channels broadcasts that operand along that axis; strides are 0 or 1.
/// The result has the channels of the operand whose channel stride is 1; two such operands must have equally
/// many. State: CNNArithmeticGradientState, one an image. Source: MPSCNNMath.h.
class PEWTER_API CNNArithmetic : public CNNBinaryKernel, public CNNArithmeticProperties {
public:
    /// 0 or 1; default 1. For those in pixels see CNNBinaryKernel.
    std::size_t primaryStrideInFeatureChannels() const { return primaryStrideInFeatureChannels_; }
    void setPrimaryStrideInFeatureChannels(std::size_t stride) { primaryStrideInFeatureChannels_ = stride; }
    std::size_t secondaryStrideInFeatureChannels() const { return secondaryStrideInFeatureChannels_; }
    void setSecondaryStrideInFeatureChannels(std::size_t stride) {
        secondaryStrideInFeatureChannels_ = stride;
    }

    using CNNBinaryKernel::encode;
    using CNNBinaryKernel::encodeBatch;
    /// Fills the state for the gradient kernels.
    /// Objective-C: -encodeToCommandBuffer:primaryImage:secondaryImage:destinationState:destinationImage:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Image>& primaryImage, const std::shared_ptr<Image>& secondaryImage,
                const std::shared_ptr<CNNArithmeticGradientState>& destinationState,
                const std::shared_ptr<Image>& destinationImage);
    /// Objective-C:
    /// -encodeBatchToCommandBuffer:primaryImages:secondaryImages:destinationStates:destinationImages:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                     const ImageBatch& primaryImages, const ImageBatch& secondaryImages,
                     const StateBatch& destinationStates, const ImageBatch& destinationImages);

    const char* className() const override { return "CNNArithmetic"; }

protected:
    /// operation: a value of pewter::ops::ArithmeticType; of no use to a class with a record() of its own.
    explicit CNNArithmetic(std::shared_ptr<MTL::Device> device, int operation = 0);

    std::size_t resultFeatureChannels(std::size_t primaryChannels,
                                      std::size_t secondaryChannels) const override;
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& primaryImage,
                                          const std::shared_ptr<Image>& secondaryImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source, bool secondary,
                                                              const Image& destination) const override;

private:
    int operation_;
    std::size_t primaryStrideInFeatureChannels_ = 1, secondaryStrideInFeatureChannels_ = 1;
};

/// MPSCNNAdd: p x + s y + bias.
class PEWTER_API CNNAdd final : public CNNArithmetic {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNAdd(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "CNNAdd"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSCNNSubtract: p x - s y + bias.
class PEWTER_API CNNSubtract final : public CNNArithmetic {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNSubtract(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "CNNSubtract"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSCNNMultiply: (p x) (s y) + bias.
class PEWTER_API CNNMultiply final : public CNNArithmetic {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNMultiply(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "CNNMultiply"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSCNNDivide: (p x) / (s y) + bias. It has no gradient class.
class PEWTER_API CNNDivide final : public CNNArithmetic {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNDivide(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "CNNDivide"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSCNNArithmeticGradient: the gradient for one operand of an arithmetic kernel, chosen at construction.
///
/// The state's mask, if it has one, multiplies the incoming gradient g first; then e = primaryScale g (Add,
/// Subtract) or e = primaryScale g secondaryScale z (Multiply); then e is summed over every axis along which
/// the forward pass broadcast the operand. The kernel sets no scale and no sign by itself: for the operand
/// with forward scale p, the other with s, primaryScale is p (Add, Subtract), -p (the secondary of Subtract),
/// and p s (Multiply). bias and the limits are not used. The source image is the operand that is
/// differentiated (only its size matters), for Multiply the *other* operand. Source: MPSCNNMath.h.
class PEWTER_API CNNArithmeticGradient : public CNNGradientKernel, public CNNArithmeticProperties {
public:
    /// Broadcast stride of the source image, like secondaryStrideInPixelsX/Y. Default 1.
    std::size_t secondaryStrideInFeatureChannels() const { return secondaryStrideInFeatureChannels_; }
    void setSecondaryStrideInFeatureChannels(std::size_t stride) {
        secondaryStrideInFeatureChannels_ = stride;
    }
    /// False: the gradient for the forward primary; true: for the forward secondary.
    bool isSecondarySourceFilter() const { return isSecondarySourceFilter_; }

    const char* className() const override { return "CNNArithmeticGradient"; }

protected:
    /// operation: a value of pewter::ops::ArithmeticType.
    CNNArithmeticGradient(std::shared_ptr<MTL::Device> device, int operation, bool isSecondarySourceFilter);

    const char* acceptedState() const override { return "CNNArithmeticGradientState"; }
    bool accepts(const State& state) const override;
    std::size_t resultChannelsOf(const pewter::mps::BinaryEncoding& encoding) const override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    friend class CNNArithmeticGradientState;
    /// Takes the forward geometry of both operands.
    void configure(const pewter::mps::ForwardRecord& own, const pewter::mps::ForwardRecord& other);
    using CNNGradientKernel::configure;

    /// Whether the source image is the operand that is not differentiated.
    bool readsOther() const;

    int operation_;
    std::size_t secondaryStrideInFeatureChannels_ = 1;
    bool isSecondarySourceFilter_;
};

/// MPSCNNAddGradient.
class PEWTER_API CNNAddGradient final : public CNNArithmeticGradient {
public:
    /// Objective-C: -initWithDevice:isSecondarySourceFilter:
    CNNAddGradient(std::shared_ptr<MTL::Device> device, bool isSecondarySourceFilter);
    const char* className() const override { return "CNNAddGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSCNNSubtractGradient: for the secondary operand the caller sets primaryScale to minus the forward scale.
class PEWTER_API CNNSubtractGradient final : public CNNArithmeticGradient {
public:
    /// Objective-C: -initWithDevice:isSecondarySourceFilter:
    CNNSubtractGradient(std::shared_ptr<MTL::Device> device, bool isSecondarySourceFilter);
    const char* className() const override { return "CNNSubtractGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSCNNMultiplyGradient: the source image is the other operand.
class PEWTER_API CNNMultiplyGradient final : public CNNArithmeticGradient {
public:
    /// Objective-C: -initWithDevice:isSecondarySourceFilter:
    CNNMultiplyGradient(std::shared_ptr<MTL::Device> device, bool isSecondarySourceFilter);
    const char* className() const override { return "CNNMultiplyGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

}  // namespace MPS
