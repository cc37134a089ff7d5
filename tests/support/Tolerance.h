#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "OpTensors.h"

/// The one place where tolerances between a device and the oracle come from.
namespace pewter::test {

/// What rounding to the type of an image may add to a value: half the distance to the next one.
inline double storageError(ops::Type type, double value) {
    constexpr double kSmallestHalf = 0x1p-24;  // distance between subnormal float16 numbers
    const double size = std::fabs(value);
    switch (type) {
        case ops::Type::Float32:
            return size * std::numeric_limits<float>::epsilon() / 2;
        case ops::Type::Float16:
            return std::max(size * 0x1p-10, kSmallestHalf) / 2;
        case ops::Type::BFloat16:
            return size * 0x1p-7 / 2;
        case ops::Type::Unorm8:
            return 0.5 / 255;
        case ops::Type::Unorm16:
            return 0.5 / 65535;
        case ops::Type::UInt8:
        case ops::Type::UInt32:
            return 0.5;
        case ops::Type::Float64:
            return size * std::numeric_limits<double>::epsilon() / 2;
    }
    return 0;
}

/// The value as the type would hold it if it had all its digits: unorm types saturate.
inline double inRange(ops::Type type, double value) {
    if (type == ops::Type::Unorm8 || type == ops::Type::Unorm16) return std::clamp(value, 0.0, 1.0);
    return value;
}

/// Error bound of a float32 sum of `length` terms in any order (Higham, Accuracy and Stability of Numerical
/// Algorithms, section 4.2): (length - 1) roundings, one more for each product, each relative to the sum of
/// the terms' magnitudes. `steps` counts further roundings of the result.
inline double sumError(std::int64_t length, double magnitude, double steps = 4) {
    return (static_cast<double>(length) + steps) * std::numeric_limits<float>::epsilon() / 2 * magnitude;
}

/// Compares a device's results with the oracle's, and says in the end how much of the allowance was used.
class Agreement {
public:
    explicit Agreement(std::string family) : family_(std::move(family)) {}
    ~Agreement() {
        std::printf("%s: %lld values in %lld comparisons, worst error %.3f of its allowance (%s)\n",
                    family_.c_str(), static_cast<long long>(values_), static_cast<long long>(comparisons_),
                    worst_, where_.c_str());
    }
    Agreement(const Agreement&) = delete;
    Agreement& operator=(const Agreement&) = delete;

    /// |actual - expected| <= sumError(length, magnitude) * slope + storageError. `expected` in double and
    /// not yet rounded to `type`; `magnitudes` are the sums of the terms' magnitudes; `slope` bounds the
    /// derivative of what was applied to the sum.
    void compare(const std::vector<double>& actual, const std::vector<double>& expected,
                 const std::vector<double>& magnitudes, std::int64_t length, ops::Type type,
                 const std::string& what, double slope = 1) {
        ASSERT_EQ(actual.size(), expected.size()) << what;
        ++comparisons_;
        double worst = 0;
        std::size_t at = 0;
        for (std::size_t i = 0; i < actual.size(); ++i) {
            ++values_;
            const double goal = inRange(type, expected[i]);
            if (actual[i] == goal || (std::isnan(actual[i]) && std::isnan(goal))) continue;
            const double sum = sumError(length, magnitudes[i]) * slope;
            const double allowance = sum + storageError(type, std::fabs(goal) + sum);
            double share = std::fabs(actual[i] - goal) / allowance;
            if (std::isnan(share)) share = HUGE_VAL;
            if (share > worst) worst = share, at = i;
        }
        if (worst > worst_) worst_ = worst, where_ = what;
        EXPECT_LE(worst, 1) << family_ << ", " << what << ": element " << at << " of " << actual.size()
                            << " is " << actual[at] << ", expected " << expected[at];
    }

    void compareExactly(const std::vector<double>& actual, const std::vector<double>& expected,
                        const std::string& what) {
        ++comparisons_;
        values_ += static_cast<std::int64_t>(actual.size());
        EXPECT_EQ(actual, expected) << family_ << ", " << what;
    }

private:
    std::string family_, where_ = "none";
    std::int64_t values_ = 0, comparisons_ = 0;
    double worst_ = 0;
};

}  // namespace pewter::test
