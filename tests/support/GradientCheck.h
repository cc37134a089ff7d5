#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "Compare.h"
#include "OpTensors.h"
#include "RunReference.h"

/// Central differences in double. With step h the difference quotient is off by h^2 f'''/6 from truncation
/// and by about 2^-52 |f| / h from rounding: below 1e-9 each for the sums of a few hundred terms of size 1
/// that the tests use.
namespace pewter::test {

constexpr double kGradientStep = 0x1p-17;
constexpr double kGradientTolerance = 1e-7;
/// Inputs stay this far from kinks, so that both ends of a difference lie on one branch.
constexpr double kKinkMargin = 1e-3;

/// sum of a[i] * b[i]: with b a fixed incoming gradient, the scalar whose derivatives the gradient kernels
/// give.
inline double dot(const OpTensor& a, const OpTensor& b) {
    const std::vector<double> x = a.values(), y = b.values();
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
    return sum;
}

/// Whether `gradient` is the derivative of objective() with respect to every element of input, an OpTensor or
/// OpArray of float64 that objective reads. input is as it was afterwards.
template <class Input>
testing::AssertionResult isGradient(const std::vector<double>& gradient, Input& input,
                                    const std::function<double()>& objective) {
    std::vector<double> numeric;
    const std::vector<double> start = input.values();
    for (std::size_t i = 0; i < start.size(); ++i) {
        const auto at = static_cast<std::int64_t>(i);
        input.set(at, start[i] + kGradientStep);
        const double above = objective();
        input.set(at, start[i] - kGradientStep);
        const double below = objective();
        input.set(at, start[i]);
        numeric.push_back((above - below) / (2 * kGradientStep));
        if (!std::isfinite(numeric.back()) || (i < gradient.size() && !std::isfinite(gradient[i])))
            return testing::AssertionFailure() << "element " << i << " is not finite";
    }
    return allNear(gradient, numeric, kGradientTolerance);
}

}  // namespace pewter::test
