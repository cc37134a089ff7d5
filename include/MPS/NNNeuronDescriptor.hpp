#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <MPS/SecureCoding.hpp>
#include <MTL/Export.hpp>

namespace MPS {

/// MPSCNNNeuronType: activation functions, with Apple's values (MPSCNNNeuronType.h).
enum class CNNNeuronType : std::int32_t {
    None = 0,          ///< x
    ReLU = 1,          ///< x >= 0 ? x : a x
    Linear = 2,        ///< a x + b
    Sigmoid = 3,       ///< 1 / (1 + e^-x)
    HardSigmoid = 4,   ///< clamp(a x + b, 0, 1)
    TanH = 5,          ///< a tanh(b x)
    Absolute = 6,      ///< |x|
    SoftPlus = 7,      ///< a ln(1 + e^(b x))
    SoftSign = 8,      ///< x / (1 + |x|)
    ELU = 9,           ///< x >= 0 ? x : a (e^x - 1)
    PReLU = 10,        ///< x >= 0 ? x : a_c x, one slope a channel
    ReLUN = 11,        ///< min(x >= 0 ? x : a x, b)
    Power = 12,        ///< (a x + b)^c
    Exponential = 13,  ///< c^(a x + b); base e when c is -1
    Logarithm = 14,    ///< log_c(a x + b); natural when c is -1
    GeLU = 15,         ///< x (1 + erf(x / sqrt 2)) / 2
    Count = 16,        ///< number of functions; not one itself
};

/// MPSNNNeuronDescriptor: an activation and its parameters. A value: kernels copy what they need when they
/// are made.
///
/// Parameters that a factory leaves out get the defaults of the type: ReLU a=0; Linear a=1; HardSigmoid
/// a=0.2, b=0.5; TanH and SoftPlus a=b=1; ELU a=1; ReLUN a=1, b=6; Power a=1, c=1; Exponential and Logarithm
/// a=1, c=-1; else 0. Source: MPSCNNNeuronType.h.
class PEWTER_API NNNeuronDescriptor : public SecureCoding {
public:
    /// No activation.
    NNNeuronDescriptor() = default;

    /// Throw MPS::Error for Count, and for values outside the enumeration.
    /// Objective-C: +cnnNeuronDescriptorWithType:, …a:, …a:b:, …a:b:c:
    static NNNeuronDescriptor cnnNeuronDescriptor(CNNNeuronType type);
    static NNNeuronDescriptor cnnNeuronDescriptor(CNNNeuronType type, float a);
    static NNNeuronDescriptor cnnNeuronDescriptor(CNNNeuronType type, float a, float b);
    static NNNeuronDescriptor cnnNeuronDescriptor(CNNNeuronType type, float a, float b, float c);
    /// One slope a channel, counted from the first channel processed. Throws MPS::Error for an empty list.
    /// Objective-C: +cnnNeuronPReLUDescriptorWithData:noCopy:
    static NNNeuronDescriptor cnnNeuronPReLUDescriptor(std::vector<float> data);

    CNNNeuronType neuronType() const { return type_; }
    void setNeuronType(CNNNeuronType type) { type_ = type; }
    float a() const { return a_; }
    void setA(float a) { a_ = a; }
    float b() const { return b_; }
    void setB(float b) { b_ = b; }
    float c() const { return c_; }
    void setC(float c) { c_ = c; }
    /// Slopes of PReLU; null for other types. Shared by copies of the descriptor, never changed.
    const std::shared_ptr<const std::vector<float>>& data() const { return data_; }
    void setData(std::vector<float> data) {
        data_ = std::make_shared<const std::vector<float>>(std::move(data));
    }

    const char* className() const override { return "NNNeuronDescriptor"; }
    void encodeWithCoder(Coder& coder) const override;

    friend bool operator==(const NNNeuronDescriptor& x, const NNNeuronDescriptor& y) {
        return x.type_ == y.type_ && x.a_ == y.a_ && x.b_ == y.b_ && x.c_ == y.c_ &&
               (x.data_ == y.data_ || (x.data_ && y.data_ && *x.data_ == *y.data_));
    }

private:
    CNNNeuronType type_ = CNNNeuronType::None;
    float a_ = 0, b_ = 0, c_ = 0;
    std::shared_ptr<const std::vector<float>> data_;
};

}  // namespace MPS
