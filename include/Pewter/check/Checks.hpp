#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <Pewter/check/OpTable.hpp>

namespace pewter::check {

/// Central differences in float64 on a device that computes with it (`reference`). For images the step is 2^-17: the
/// quotient is off by h^2 f'''/6 from truncation and about 2^-52 |f| / h from rounding, below 1e-9 each for sums of a
/// few hundred terms of size 1. Parameters are float32, and every operation is linear in its parameters, so that a step of 1 is
/// exact but for rounding.
constexpr double kImageStep = 0x1p-17;
constexpr double kParameterStep = 1;
/// |gradient - quotient| <= kGradientTolerance * max(1, |quotient|). Gradients of a device without float64 may besides be off
/// by eps32 * ((gradientLength + 4) * gradientMagnitude + |quotient|), as in compareDevices().
constexpr double kGradientTolerance = 1e-7;

struct GradientReport {
    std::size_t values = 0;  ///< derivatives compared
    double worst = 0;        ///< largest difference as a share of the tolerance
    std::string where;       ///< operand and element of the worst
    bool passed = false;
    std::string problem;     ///< why not, in a sentence
};

/// Compares the gradient of every differentiable operand with central differences of the outputs' product with a fixed
/// incoming gradient. On a device without float64 its own gradients in float32 are compared with differences that
/// `reference` computes. Reports, and does not throw, when the case itself throws.
PEWTER_API GradientReport checkGradient(const OpCase& op, const std::shared_ptr<MTL::Device>& device,
                                        std::uint64_t seed = 1);

struct CompareReport {
    std::size_t values = 0;
    double worst = 0;  ///< largest difference as a share of its allowance
    std::string where;
    bool passed = false;
    std::string problem;
};

/// Runs forward and backward on both devices, in that format, on the same numbers. The allowance of a value v:
/// (sumLength + 4) * eps32 / 2 * magnitude, twice, plus one unit in the last place of the format at v.
PEWTER_API CompareReport compareDevices(const OpCase& op, const std::shared_ptr<MTL::Device>& device,
                                        const std::shared_ptr<MTL::Device>& oracle,
                                        MPS::ImageFeatureChannelFormat format, std::uint64_t seed = 1);

/// Integer operands in float32: the outputs equal the closed form, if there is one, and the oracle's, in every bit.
PEWTER_API CompareReport compareExactly(const OpCase& op, const std::shared_ptr<MTL::Device>& device,
                                        const std::shared_ptr<MTL::Device>& oracle, std::uint64_t seed = 1);

/// Which rows checkGradients() runs, and what it says.
struct GradientCheckOptions {
    std::string family;  ///< empty: all
    bool quiet = false;  ///< only failures and the last line
};

struct GradientCheckSummary {
    std::size_t passed = 0, failed = 0;
};

/// The gradient check of every case of the table that has a gradient, one line a case to `out`, closing with
/// "N passed, N failed". Throws MPS::Error for an unknown family.
PEWTER_API GradientCheckSummary checkGradients(const OpTable& table, const std::shared_ptr<MTL::Device>& device,
                                               const GradientCheckOptions& options,
                                               const std::function<void(const std::string&)>& out);

}  // namespace pewter::check
