#pragma once

#include <MTL/Export.hpp>

namespace MPS {

/// alpha, beta and delta: what normalisations by a neighbourhood, their gradient kernels and their graph
/// nodes have alike. The defaults are those of the class that has them.
class PEWTER_API CNNNormalizationProperties {
public:
    float alpha() const { return alpha_; }
    /// Throws MPS::Error below 0, except in the kernels of local contrast.
    void setAlpha(float alpha) {
        checkAlpha(alpha);
        alpha_ = alpha;
    }
    float beta() const { return beta_; }
    void setBeta(float beta) { beta_ = beta; }
    float delta() const { return delta_; }
    void setDelta(float delta) { delta_ = delta; }
    /// All three as `other` has them. (Extension.)
    void setNormalizationProperties(const CNNNormalizationProperties& other) { *this = other; }

protected:
    CNNNormalizationProperties(float alpha, float beta, float delta)
        : alpha_(alpha), beta_(beta), delta_(delta) {}
    CNNNormalizationProperties(const CNNNormalizationProperties&) = default;
    CNNNormalizationProperties& operator=(const CNNNormalizationProperties&) = default;
    ~CNNNormalizationProperties() = default;

    virtual void checkAlpha(float) const {}

private:
    float alpha_, beta_, delta_;
};

/// p0, pm and ps: what local contrast has besides.
class PEWTER_API CNNContrastProperties {
public:
    /// Weight of the local mean. Default 1.
    float p0() const { return p0_; }
    void setP0(float p0) { p0_ = p0; }
    /// Mean of the result. Default 0.
    float pm() const { return pm_; }
    void setPm(float pm) { pm_ = pm; }
    /// Scale of the result. Default 1.
    float ps() const { return ps_; }
    void setPs(float ps) { ps_ = ps; }
    /// All three as `other` has them. (Extension.)
    void setContrastProperties(const CNNContrastProperties& other) { *this = other; }

protected:
    CNNContrastProperties() = default;
    CNNContrastProperties(const CNNContrastProperties&) = default;
    CNNContrastProperties& operator=(const CNNContrastProperties&) = default;
    ~CNNContrastProperties() = default;

private:
    float p0_ = 1, pm_ = 0, ps_ = 1;
};

}  // namespace MPS
