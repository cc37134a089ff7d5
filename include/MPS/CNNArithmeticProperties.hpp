#pragma once

#include <limits>

#include <MTL/Export.hpp>

namespace MPS {

/// Scales, bias and limits: what arithmetic kernels, their gradient kernels and their graph nodes have alike.
class PEWTER_API CNNArithmeticProperties {
public:
    /// Factors of the operands; default 1.
    float primaryScale() const { return primaryScale_; }
    void setPrimaryScale(float scale) { primaryScale_ = scale; }
    float secondaryScale() const { return secondaryScale_; }
    void setSecondaryScale(float scale) { secondaryScale_ = scale; }
    /// Added to the result; default 0. Without effect on a gradient.
    float bias() const { return bias_; }
    void setBias(float bias) { bias_ = bias; }
    /// The result is clamped to these; default -FLT_MAX and FLT_MAX. Without effect on a gradient.
    float minimumValue() const { return minimumValue_; }
    void setMinimumValue(float value) { minimumValue_ = value; }
    float maximumValue() const { return maximumValue_; }
    void setMaximumValue(float value) { maximumValue_ = value; }
    /// All five as `other` has them.
    void setArithmeticProperties(const CNNArithmeticProperties& other) { *this = other; }

protected:
    CNNArithmeticProperties() = default;
    CNNArithmeticProperties(const CNNArithmeticProperties&) = default;
    CNNArithmeticProperties& operator=(const CNNArithmeticProperties&) = default;
    ~CNNArithmeticProperties() = default;

    bool isClamping() const {
        return minimumValue_ != -std::numeric_limits<float>::max() ||
               maximumValue_ != std::numeric_limits<float>::max();
    }

private:
    float primaryScale_ = 1, secondaryScale_ = 1, bias_ = 0;
    float minimumValue_ = -std::numeric_limits<float>::max(),
          maximumValue_ = std::numeric_limits<float>::max();
};

}  // namespace MPS
