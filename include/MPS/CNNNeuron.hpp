#pragma once

#include <memory>
#include <vector>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <MPS/NNNeuronDescriptor.hpp>

namespace MPS {

/// MPSCNNNeuron: an activation function, element by element; reads outside the source follow edgeMode()
/// before the function is applied. Shapes: [N,H,W,C] to the same. The functions stand at CNNNeuronType.
/// State: NNGradientState, one an image. Source: MPSCNNNeuron.h.
class PEWTER_API CNNNeuron : public CNNKernel {
public:
    /// Objective-C: -initWithDevice:neuronDescriptor:
    CNNNeuron(std::shared_ptr<MTL::Device> device, const NNNeuronDescriptor& neuronDescriptor);

    CNNNeuronType neuronType() const { return descriptor_.neuronType(); }
    float a() const { return descriptor_.a(); }
    float b() const { return descriptor_.b(); }
    float c() const { return descriptor_.c(); }
    /// Slopes of PReLU, one a channel; null for other types.
    const std::shared_ptr<const std::vector<float>>& data() const { return descriptor_.data(); }
    const NNNeuronDescriptor& neuronDescriptor() const { return descriptor_; }

    const char* className() const override { return "CNNNeuron"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;

private:
    NNNeuronDescriptor descriptor_;
};

/// MPSCNNNeuronGradient: dx = g f'(x). The source image is the forward *input*. There is no gradient for the
/// parameters.
class PEWTER_API CNNNeuronGradient final : public CNNGradientKernel {
public:
    /// The descriptor is the forward kernel's.   Objective-C: -initWithDevice:neuronDescriptor:
    CNNNeuronGradient(std::shared_ptr<MTL::Device> device, const NNNeuronDescriptor& neuronDescriptor);

    CNNNeuronType neuronType() const { return descriptor_.neuronType(); }
    float a() const { return descriptor_.a(); }
    float b() const { return descriptor_.b(); }
    float c() const { return descriptor_.c(); }
    const std::shared_ptr<const std::vector<float>>& data() const { return descriptor_.data(); }
    const NNNeuronDescriptor& neuronDescriptor() const { return descriptor_; }

    void configure(const pewter::mps::ForwardRecord& forward) override;
    const char* className() const override { return "CNNNeuronGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool accepts(const State& state) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    NNNeuronDescriptor descriptor_;
};

// The deprecated classes of one fixed type each; new programs name the type in a descriptor.

/// MPSCNNNeuronLinear: a x + b.   Objective-C: -initWithDevice:a:b:
class PEWTER_API CNNNeuronLinear final : public CNNNeuron {
public:
    CNNNeuronLinear(std::shared_ptr<MTL::Device> device, float a, float b);
    const char* className() const override { return "CNNNeuronLinear"; }
};

/// MPSCNNNeuronReLU: x, or a x below 0.   Objective-C: -initWithDevice:a:
class PEWTER_API CNNNeuronReLU final : public CNNNeuron {
public:
    CNNNeuronReLU(std::shared_ptr<MTL::Device> device, float a);
    const char* className() const override { return "CNNNeuronReLU"; }
};

/// MPSCNNNeuronPReLU: x, or a[channel] x below 0. Copies `count` slopes.   Objective-C:
/// -initWithDevice:a:count:
class PEWTER_API CNNNeuronPReLU final : public CNNNeuron {
public:
    CNNNeuronPReLU(std::shared_ptr<MTL::Device> device, const float* a, std::size_t count);
    const char* className() const override { return "CNNNeuronPReLU"; }
};

/// MPSCNNNeuronSigmoid.   Objective-C: -initWithDevice:
class PEWTER_API CNNNeuronSigmoid final : public CNNNeuron {
public:
    explicit CNNNeuronSigmoid(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "CNNNeuronSigmoid"; }
};

/// MPSCNNNeuronHardSigmoid: a x + b cut to [0, 1].   Objective-C: -initWithDevice:a:b:
class PEWTER_API CNNNeuronHardSigmoid final : public CNNNeuron {
public:
    CNNNeuronHardSigmoid(std::shared_ptr<MTL::Device> device, float a, float b);
    const char* className() const override { return "CNNNeuronHardSigmoid"; }
};

/// MPSCNNNeuronTanH: a tanh(b x).   Objective-C: -initWithDevice:a:b:
class PEWTER_API CNNNeuronTanH final : public CNNNeuron {
public:
    CNNNeuronTanH(std::shared_ptr<MTL::Device> device, float a, float b);
    const char* className() const override { return "CNNNeuronTanH"; }
};

/// MPSCNNNeuronAbsolute.   Objective-C: -initWithDevice:
class PEWTER_API CNNNeuronAbsolute final : public CNNNeuron {
public:
    explicit CNNNeuronAbsolute(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "CNNNeuronAbsolute"; }
};

/// MPSCNNNeuronSoftPlus: a ln(1 + e^(b x)).   Objective-C: -initWithDevice:a:b:
class PEWTER_API CNNNeuronSoftPlus final : public CNNNeuron {
public:
    CNNNeuronSoftPlus(std::shared_ptr<MTL::Device> device, float a, float b);
    const char* className() const override { return "CNNNeuronSoftPlus"; }
};

/// MPSCNNNeuronSoftSign.   Objective-C: -initWithDevice:
class PEWTER_API CNNNeuronSoftSign final : public CNNNeuron {
public:
    explicit CNNNeuronSoftSign(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "CNNNeuronSoftSign"; }
};

/// MPSCNNNeuronELU: x, or a (e^x - 1) below 0.   Objective-C: -initWithDevice:a:
class PEWTER_API CNNNeuronELU final : public CNNNeuron {
public:
    CNNNeuronELU(std::shared_ptr<MTL::Device> device, float a);
    const char* className() const override { return "CNNNeuronELU"; }
};

/// MPSCNNNeuronReLUN: ReLU cut at b.   Objective-C: -initWithDevice:a:b:
class PEWTER_API CNNNeuronReLUN final : public CNNNeuron {
public:
    CNNNeuronReLUN(std::shared_ptr<MTL::Device> device, float a, float b);
    const char* className() const override { return "CNNNeuronReLUN"; }
};

/// MPSCNNNeuronPower: (a x + b)^c.   Objective-C: -initWithDevice:a:b:c:
class PEWTER_API CNNNeuronPower final : public CNNNeuron {
public:
    CNNNeuronPower(std::shared_ptr<MTL::Device> device, float a, float b, float c);
    const char* className() const override { return "CNNNeuronPower"; }
};

/// MPSCNNNeuronExponential: c^(a x + b), base e for c = -1.   Objective-C: -initWithDevice:a:b:c:
class PEWTER_API CNNNeuronExponential final : public CNNNeuron {
public:
    CNNNeuronExponential(std::shared_ptr<MTL::Device> device, float a, float b, float c);
    const char* className() const override { return "CNNNeuronExponential"; }
};

/// MPSCNNNeuronLogarithm: log_c(a x + b), natural for c = -1.   Objective-C: -initWithDevice:a:b:c:
class PEWTER_API CNNNeuronLogarithm final : public CNNNeuron {
public:
    CNNNeuronLogarithm(std::shared_ptr<MTL::Device> device, float a, float b, float c);
    const char* className() const override { return "CNNNeuronLogarithm"; }
};

}  // namespace MPS
