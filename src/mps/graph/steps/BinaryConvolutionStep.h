#pragma once

#include <MPS/CNNBinaryConvolution.hpp>
#include <functional>
#include <memory>

#include "mps/graph/steps/UnaryStep.h"

namespace pewter::mps {

/// A binary convolution or fully connected kernel.
class BinaryConvolutionStep final : public UnaryStep {
public:
    /// renew: makes another kernel from the data source as it is then.
    BinaryConvolutionStep(std::shared_ptr<MPS::CNNBinaryConvolution> kernel,
                          std::function<std::shared_ptr<MPS::CNNBinaryConvolution>()> renew)
        : UnaryStep(kernel), convolution_(std::move(kernel)), renew_(std::move(renew)) {}

    void reloadFromDataSource() override;

private:
    std::shared_ptr<MPS::CNNBinaryConvolution> convolution_;
    std::function<std::shared_ptr<MPS::CNNBinaryConvolution>()> renew_;
};

}  // namespace pewter::mps
