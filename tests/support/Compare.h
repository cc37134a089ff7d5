#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace pewter::test {

/// |actual - expected| <= relative * (|expected| + scale) for every element; NaN equals NaN only. The message
/// names the worst element and the share of its allowance that it used.
inline testing::AssertionResult allNear(const std::vector<double>& actual,
                                        const std::vector<double>& expected, double relative,
                                        double scale = 1) {
    if (actual.size() != expected.size())
        return testing::AssertionFailure() << actual.size() << " values, expected " << expected.size();
    double worst = 0;
    std::size_t where = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        double share = std::fabs(actual[i] - expected[i]) / (relative * (std::fabs(expected[i]) + scale));
        if (actual[i] == expected[i] || (std::isnan(actual[i]) && std::isnan(expected[i]))) share = 0;
        if (std::isnan(share)) share = HUGE_VAL;
        if (share > worst) {
            worst = share;
            where = i;
        }
    }
    if (worst <= 1) return testing::AssertionSuccess();
    return testing::AssertionFailure()
           << "element " << where << " of " << actual.size() << " is " << actual[where] << ", expected "
           << expected[where] << ", " << worst << " times the allowance";
}

}  // namespace pewter::test
