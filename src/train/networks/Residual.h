#pragma once

#include "train/networks/Networks.h"

namespace pewter::train {

/// Convolution without bias and batch normalisation.
inline NetworkBuilder::Image normalized(NetworkBuilder& b, const NetworkBuilder::Image& source, const std::string& label,
                                        std::size_t kernel, std::size_t inputs, std::size_t outputs, std::size_t stride) {
    const auto x = b.convolution(source, label, square(kernel, inputs, outputs, stride, false), {.weights = Initializer::heNormal()});
    return b.batchNormalization(x, label + " norm", outputs);
}

/// The sum of `x` and the source, which goes by through a convolution of its own where the extents change.
inline NetworkBuilder::Image residual(NetworkBuilder& b, const NetworkBuilder::Image& x, const NetworkBuilder::Image& source,
                                      const std::string& label, std::size_t inputs, std::size_t outputs, std::size_t stride) {
    const auto past = stride == 1 && inputs == outputs
                          ? source
                          : normalized(b, source, label + " shortcut", 1, inputs, outputs, stride);
    return b.addition(x, past, label + " sum");
}

}  // namespace pewter::train
