#pragma once

#include <MPS/CNNArithmetic.hpp>

namespace MPS {

/// MPSNNComparisonType.
enum class NNComparisonType : std::uint64_t {
    Equal = 0,
    NotEqual = 1,
    Less = 2,
    LessOrEqual = 3,
    Greater = 4,
    GreaterOrEqual = 5
};

/// MPSNNCompare: 1 where the comparison of the primary with the secondary element holds, else 0.
///
///   Equal      |x - y| <= threshold          Less     x < y, LessOrEqual    x <= y
///   NotEqual   |x - y| >  threshold          Greater  x > y, GreaterOrEqual x >= y
///
/// Comparisons with NaN give 0, also NotEqual. Operands are broadcast as in CNNArithmetic; scales, bias and
/// limits have no effect. No gradient: encodes return no state and refuse to fill one.
/// Source: MPSNNCompare in MPSCNNMath.h.
class PEWTER_API NNCompare final : public CNNArithmetic {
public:
    /// Objective-C: -initWithDevice:
    explicit NNCompare(std::shared_ptr<MTL::Device> device);

    /// Default Equal. The setter throws MPS::Error for a value outside the enumeration.
    NNComparisonType comparisonType() const { return comparisonType_; }
    void setComparisonType(NNComparisonType type);
    /// Tolerance of Equal and NotEqual; default 0.
    float threshold() const { return threshold_; }
    void setThreshold(float threshold) { threshold_ = threshold; }

    const char* className() const override { return "NNCompare"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& primaryImage,
                                          const std::shared_ptr<Image>& secondaryImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    NNComparisonType comparisonType_ = NNComparisonType::Equal;
    float threshold_ = 0;
};

}  // namespace MPS
