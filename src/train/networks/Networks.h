#pragma once

#include <Pewter/train/Network.hpp>

/// The networks for classes of digits, whose makers are not public as the others' are, and what networks share.
namespace pewter::train {

NetworkDescription digitsNetwork();
NetworkDescription mnistNetwork();

/// kernel x kernel with one stride.
inline ConvolutionShape square(std::size_t kernel, std::size_t inputs, std::size_t outputs, std::size_t stride, bool bias) {
    return {.kernelWidth = kernel,
            .kernelHeight = kernel,
            .inputs = inputs,
            .outputs = outputs,
            .strideX = stride,
            .strideY = stride,
            .bias = bias};
}

}  // namespace pewter::train
