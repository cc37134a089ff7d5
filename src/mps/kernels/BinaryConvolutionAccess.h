#pragma once

#include <MPS/CNNBinaryConvolution.hpp>
#include <memory>

#include "mps/core/TensorRef.h"

namespace pewter::mps {

/// What a binary convolution computes with; null arrays where nothing was given. A batch normalisation of the
/// descriptor is in the output terms.
struct BinaryParameters {
    ArrayRef weights, outputBias, outputScale, inputBias, inputScale;
};

struct BinaryConvolutionAccess {
    static const BinaryParameters& parameters(const MPS::CNNBinaryConvolution& kernel) {
        return *kernel.parameters_;
    }
    static void setParameters(MPS::CNNBinaryConvolution& kernel, BinaryParameters parameters) {
        kernel.parameters_ = std::make_shared<const BinaryParameters>(std::move(parameters));
    }
};

}  // namespace pewter::mps
