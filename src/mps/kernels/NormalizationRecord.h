#pragma once

#include <fmt/format.h>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <MPS/CNNNormalizationProperties.hpp>
#include <MTL/Error.hpp>
#include <utility>
#include <vector>

#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"
#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/Pointwise.h"

namespace pewter::mps {

// What the three normalisations by a neighbourhood share.

/// Names and values of a kernel's parameters, in the order of the header.
using NormalizationParameters = std::vector<std::pair<const char*, double>>;

/// What a local normalisation keeps besides its geometry.
struct NormalizationRecord final : ForwardRecord {
    NormalizationRecord(const ForwardRecord& base, NormalizationParameters values)
        : ForwardRecord(base), parameters(std::move(values)) {}

    NormalizationParameters parameters;

    void describe(std::vector<std::pair<std::string, std::string>>& facts) const override {
        ForwardRecord::describe(facts);
        for (const auto& [argument, value] : parameters)
            facts.emplace_back(argument, fmt::format("{}", value));
    }
};

inline void requirePositive(const MPS::Kernel& kernel, const char* argument, std::size_t value) {
    if (value == 0) throw MTL::Error(kernel.name(), argument, "at least 1", "0");
}

inline void requireAlpha(const MPS::Kernel& kernel, float alpha) {
    if (!(alpha >= 0)) throw MTL::Error(kernel.name(), "alpha", "at least 0", fmt::format("{}", alpha));
}

/// The record of the states of a gradient kernel, which must be of `forwardClass`, of the same parameters and
/// of the same window of pixels.
inline const ForwardRecord& requireWindow(const MPS::CNNGradientKernel& kernel, const MPS::StateBatch& states,
                                          const char* forwardClass,
                                          const NormalizationParameters& parameters) {
    const auto& record = requireRecord(kernel, states, {forwardClass});
    const auto& forward = static_cast<const NormalizationRecord&>(record).parameters;
    for (std::size_t i = 0; i < parameters.size(); ++i)
        if (parameters[i].second != forward[i].second)
            throw MTL::Error(kernel.name(), parameters[i].first,
                             fmt::format("{}, as {} had", forward[i].second, record.kernel),
                             fmt::format("{}", parameters[i].second));
    if (kernel.kernelOffsetX() != 0 || kernel.kernelOffsetY() != 0)
        throw MTL::Error(kernel.name(), "kernelOffset", "(0, 0), as for every normalization gradient",
                         fmt::format("({}, {})", kernel.kernelOffsetX(), kernel.kernelOffsetY()));
    if (record.kernelWidth != kernel.secondaryKernelWidth() ||
        record.kernelHeight != kernel.secondaryKernelHeight())
        throw MTL::Error(
            kernel.name(), "gradientState",
            fmt::format("a forward window of {} x {}", kernel.secondaryKernelWidth(),
                        kernel.secondaryKernelHeight()),
            fmt::format("{} x {} of {}", record.kernelWidth, record.kernelHeight, record.kernel));
    return record;
}

/// The window whose pad places window 0 with its centre at the offset.
inline ops::Window windowAt(std::size_t width, std::size_t height, const MPS::Offset& offset,
                            MPS::ImageEdgeMode edge) {
    ops::Window window;
    window.width = static_cast<std::int64_t>(width);
    window.height = static_cast<std::int64_t>(height);
    window.padLeft = window.width / 2 - offset.x;
    window.padTop = window.height / 2 - offset.y;
    window.edge = edgeOf(edge);
    return window;
}

inline ops::Window windowOf(const MPS::CNNKernel& kernel) {
    return windowAt(kernel.kernelWidth(), kernel.kernelHeight(), kernel.offset(), kernel.edgeMode());
}

inline ops::Window windowOf(const MPS::CNNGradientKernel& kernel) {
    return windowAt(kernel.secondaryKernelWidth(), kernel.secondaryKernelHeight(), kernel.secondaryOffset(),
                    kernel.secondaryEdgeMode());
}

/// An operation with the parameters that all three have.
template <class Op>
Op operationWith(const MPS::CNNNormalizationProperties& properties) {
    Op op;
    op.alpha = properties.alpha();
    op.beta = properties.beta();
    op.delta = properties.delta();
    return op;
}

/// Records an operation with a window of pixels; settings: all but the tensors.
template <class Op>
void recordWindow(UnaryEncoding& encoding, const Op& settings) {
    encoding.encoder->run([source = encoding.source, destination = encoding.destination, settings] {
        auto op = settings;
        op.src = source.tensor();
        op.dst = destination.tensor();
        return op;
    });
}

template <class Op>
void recordWindowGradient(BinaryEncoding& encoding, const MPS::CNNGradientKernel& kernel,
                          const Op& settings) {
    const auto area =
        areaOf(kernel, *static_cast<const MPS::NNGradientState&>(*encoding.sourceStates[0]).record());
    encoding.encoder->run(
        [source = encoding.secondary, gradient = gradientOf(encoding, kernel, area),
         target = encoding.encoder->wholeGradient(encoding.destination, encoding.clip,
                                                  encoding.secondary.shape.w, encoding.secondary.shape.h),
         settings] {
            auto op = settings;
            op.src = source.tensor();
            op.diffDst = gradient.tensor();
            op.diffSrc = target.tensor();
            return op;
        });
}

}  // namespace pewter::mps
