#pragma once

#include <MPS/NNArithmeticNode.hpp>
#include <MPS/NNCompare.hpp>
#include <memory>

namespace MPS {

/// MPSNNComparisonNode: NNCompare; 1 where the comparison of the left with the right element holds, else 0.
/// Strides broadcast; scales, bias and limits have no effect. No gradient. Source: MPSNNGraphNodes.h.
class PEWTER_API NNComparisonNode final : public NNBinaryArithmeticNode {
public:
    /// Objective-C: +nodeWithLeftSource:rightSource:
    static std::shared_ptr<NNComparisonNode> node(const std::shared_ptr<NNImageNode>& leftSource,
                                                  const std::shared_ptr<NNImageNode>& rightSource);
    /// Objective-C: +nodeWithSources:
    static std::shared_ptr<NNComparisonNode> node(const NNImageNodes& sources);
    NNComparisonNode(const std::shared_ptr<NNImageNode>& leftSource,
                     const std::shared_ptr<NNImageNode>& rightSource);

    /// Default Equal. The setter throws MPS::Error for a value outside the enumeration.
    NNComparisonType comparisonType() const { return comparisonType_; }
    void setComparisonType(NNComparisonType type);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    NNComparisonType comparisonType_ = NNComparisonType::Equal;
};

}  // namespace MPS
