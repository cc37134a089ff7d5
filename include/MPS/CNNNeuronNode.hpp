#pragma once

#include <memory>
#include <vector>

#include <MPS/NNFilterNode.hpp>
#include <MPS/NNNeuronDescriptor.hpp>

namespace MPS {

/// MPSCNNNeuronNode: CNNNeuron, one function applied to every element. Source: MPSNNGraphNodes.h.
class PEWTER_API CNNNeuronNode : public NNFilterNode {
public:
    /// A node of the class that belongs to the descriptor's type. Throws MPS::Error for a type that is none.
    /// Objective-C: +nodeWithSource:descriptor:
    static std::shared_ptr<CNNNeuronNode> node(const std::shared_ptr<NNImageNode>& source,
                                               const NNNeuronDescriptor& descriptor);

    float a() const { return descriptor_.a(); }
    float b() const { return descriptor_.b(); }
    float c() const { return descriptor_.c(); }
    /// (Extension.)
    const NNNeuronDescriptor& descriptor() const { return descriptor_; }

protected:
    CNNNeuronNode(const char* className, const std::shared_ptr<NNImageNode>& source,
                  const NNNeuronDescriptor& descriptor);

    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    NNNeuronDescriptor descriptor_;
};

/// MPSCNNNeuronAbsoluteNode: |x|.
class PEWTER_API CNNNeuronAbsoluteNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:
    static std::shared_ptr<CNNNeuronAbsoluteNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit CNNNeuronAbsoluteNode(const std::shared_ptr<NNImageNode>& source);
};

/// MPSCNNNeuronELUNode: x where x >= 0, else a (e^x - 1).
class PEWTER_API CNNNeuronELUNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:, …a:
    static std::shared_ptr<CNNNeuronELUNode> node(const std::shared_ptr<NNImageNode>& source, float a = 1);
    explicit CNNNeuronELUNode(const std::shared_ptr<NNImageNode>& source, float a = 1);
};

/// MPSCNNNeuronReLUNNode: min(x where x >= 0, else a x; b).
class PEWTER_API CNNNeuronReLUNNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:, …a:b:
    static std::shared_ptr<CNNNeuronReLUNNode> node(const std::shared_ptr<NNImageNode>& source, float a = 1,
                                                    float b = 6);
    explicit CNNNeuronReLUNNode(const std::shared_ptr<NNImageNode>& source, float a = 1, float b = 6);
};

/// MPSCNNNeuronLinearNode: a x + b.
class PEWTER_API CNNNeuronLinearNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:, …a:b:
    static std::shared_ptr<CNNNeuronLinearNode> node(const std::shared_ptr<NNImageNode>& source, float a = 1,
                                                     float b = 0);
    explicit CNNNeuronLinearNode(const std::shared_ptr<NNImageNode>& source, float a = 1, float b = 0);
};

/// MPSCNNNeuronReLUNode: x where x >= 0, else a x.
class PEWTER_API CNNNeuronReLUNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:, …a:
    static std::shared_ptr<CNNNeuronReLUNode> node(const std::shared_ptr<NNImageNode>& source, float a = 0);
    explicit CNNNeuronReLUNode(const std::shared_ptr<NNImageNode>& source, float a = 0);
};

/// MPSCNNNeuronSigmoidNode: 1 / (1 + e^-x).
class PEWTER_API CNNNeuronSigmoidNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:
    static std::shared_ptr<CNNNeuronSigmoidNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit CNNNeuronSigmoidNode(const std::shared_ptr<NNImageNode>& source);
};

/// MPSCNNNeuronHardSigmoidNode: a x + b, clamped to [0, 1].
class PEWTER_API CNNNeuronHardSigmoidNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:, …a:b:
    static std::shared_ptr<CNNNeuronHardSigmoidNode> node(const std::shared_ptr<NNImageNode>& source,
                                                          float a = 0.2F, float b = 0.5F);
    explicit CNNNeuronHardSigmoidNode(const std::shared_ptr<NNImageNode>& source, float a = 0.2F,
                                      float b = 0.5F);
};

/// MPSCNNNeuronSoftPlusNode: a ln(1 + e^(b x)).
class PEWTER_API CNNNeuronSoftPlusNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:, …a:b:
    static std::shared_ptr<CNNNeuronSoftPlusNode> node(const std::shared_ptr<NNImageNode>& source,
                                                       float a = 1, float b = 1);
    explicit CNNNeuronSoftPlusNode(const std::shared_ptr<NNImageNode>& source, float a = 1, float b = 1);
};

/// MPSCNNNeuronSoftSignNode: x / (1 + |x|).
class PEWTER_API CNNNeuronSoftSignNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:
    static std::shared_ptr<CNNNeuronSoftSignNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit CNNNeuronSoftSignNode(const std::shared_ptr<NNImageNode>& source);
};

/// MPSCNNNeuronTanHNode: a tanh(b x).
class PEWTER_API CNNNeuronTanHNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:, …a:b:
    static std::shared_ptr<CNNNeuronTanHNode> node(const std::shared_ptr<NNImageNode>& source, float a = 1,
                                                   float b = 1);
    explicit CNNNeuronTanHNode(const std::shared_ptr<NNImageNode>& source, float a = 1, float b = 1);
};

/// MPSCNNNeuronPowerNode: (a x + b)^c.
class PEWTER_API CNNNeuronPowerNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:, …a:b:c:
    static std::shared_ptr<CNNNeuronPowerNode> node(const std::shared_ptr<NNImageNode>& source, float a = 1,
                                                    float b = 0, float c = 1);
    explicit CNNNeuronPowerNode(const std::shared_ptr<NNImageNode>& source, float a = 1, float b = 0,
                                float c = 1);
};

/// MPSCNNNeuronExponentialNode: c^(a x + b); c = -1 stands for e.
class PEWTER_API CNNNeuronExponentialNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:, …a:b:c:
    static std::shared_ptr<CNNNeuronExponentialNode> node(const std::shared_ptr<NNImageNode>& source,
                                                          float a = 1, float b = 0, float c = -1);
    explicit CNNNeuronExponentialNode(const std::shared_ptr<NNImageNode>& source, float a = 1, float b = 0,
                                      float c = -1);
};

/// MPSCNNNeuronLogarithmNode: log_c(a x + b); c = -1 stands for the natural logarithm.
class PEWTER_API CNNNeuronLogarithmNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:, …a:b:c:
    static std::shared_ptr<CNNNeuronLogarithmNode> node(const std::shared_ptr<NNImageNode>& source,
                                                        float a = 1, float b = 0, float c = -1);
    explicit CNNNeuronLogarithmNode(const std::shared_ptr<NNImageNode>& source, float a = 1, float b = 0,
                                    float c = -1);
};

/// MPSCNNNeuronGeLUNode: x (1 + erf(x / sqrt 2)) / 2.
class PEWTER_API CNNNeuronGeLUNode final : public CNNNeuronNode {
public:
    /// Objective-C: +nodeWithSource:
    static std::shared_ptr<CNNNeuronGeLUNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit CNNNeuronGeLUNode(const std::shared_ptr<NNImageNode>& source);
};

/// MPSCNNNeuronPReLUNode: x where x >= 0, else a[channel] x. The slopes are not trained.
class PEWTER_API CNNNeuronPReLUNode final : public CNNNeuronNode {
public:
    /// aData: one slope a channel.   Objective-C: +nodeWithSource:aData:
    static std::shared_ptr<CNNNeuronPReLUNode> node(const std::shared_ptr<NNImageNode>& source,
                                                    const std::vector<float>& aData);
    CNNNeuronPReLUNode(const std::shared_ptr<NNImageNode>& source, const std::vector<float>& aData);
};

/// MPSCNNNeuronGradientNode: CNNNeuronGradient for every type. sourceImage is what the neuron read.
class PEWTER_API CNNNeuronGradientNode final : public NNGradientFilterNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:descriptor:
    static std::shared_ptr<CNNNeuronGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState, const NNNeuronDescriptor& descriptor);
    CNNNeuronGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                          const std::shared_ptr<NNImageNode>& sourceImage,
                          const std::shared_ptr<NNGradientStateNode>& gradientState,
                          const NNNeuronDescriptor& descriptor);

    const NNNeuronDescriptor& descriptor() const { return descriptor_; }

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    NNNeuronDescriptor descriptor_;
};

}  // namespace MPS
