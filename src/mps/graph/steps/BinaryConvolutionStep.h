#pragma once

#include <MPS/CNNBinaryConvolution.hpp>
#include <memory>
#include <vector>

#include "mps/graph/steps/UnaryStep.h"

namespace pewter::mps {

/// What a binary kernel is made of besides its data source and properties. The kernel has its copies of the arrays on the
/// device; a reload needs them on the host.
struct BinaryTerms {
    bool hasScaleValue = false;
    float scaleValue = 1;
    std::vector<float> outputBias, outputScale, inputBias, inputScale;  ///< empty: not given
};

/// A binary convolution or fully connected kernel.
class BinaryConvolutionStep final : public UnaryStep {
public:
    BinaryConvolutionStep(std::shared_ptr<MPS::CNNBinaryConvolution> kernel, BinaryTerms terms)
        : UnaryStep(kernel), convolution_(std::move(kernel)), terms_(std::move(terms)) {}

    void reloadFromDataSource() override;
    StepParts parts() override;

private:
    /// Another kernel, from the data source as it is now.
    template <class Kernel>
    std::shared_ptr<MPS::CNNBinaryConvolution> renewed() const;

    std::shared_ptr<MPS::CNNBinaryConvolution> convolution_;
    BinaryTerms terms_;
};

}  // namespace pewter::mps
