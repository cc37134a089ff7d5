#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "ops/Backends.h"
#include "support/OpTensors.h"
#include "support/RunReference.h"
#include "support/Tolerance.h"

/// What the tests of the element-wise families of `cpu` share: drawn shapes, and a comparison with
/// `reference` whose allowance is the rounding of float32 arithmetic, given by each test, plus that of the
/// type a result is stored in.
namespace pewter::test {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();
/// Drawn cases a family.
constexpr int kCases = 240;

/// The cpu device with a stream, or a skipped test where the build has none.
class CpuOps : public ::testing::Test {
protected:
    void SetUp() override {
        if (!backend()) GTEST_SKIP() << "no cpu device: " << entry().reason;
        stream_ = backend()->newStream();
    }
    static const ops::BackendEntry& entry() {
        static const ops::BackendEntry cpu = ops::cpuBackend();
        return cpu;
    }
    static ops::Backend* backend() { return entry().backend.get(); }
    template <class Op>
    void run(const Op& op) {
        backend()->run(op, *stream_);
        stream_->synchronize();
    }

private:
    std::unique_ptr<ops::Stream> stream_;
};

/// Two numbers that are nearly equal may be stored a step of the type apart: both are rounded.
inline double stepOf(ops::Type type, double value) { return 2 * storageError(type, value) + 0x1p-149; }

/// Collects the worst error of a family, as share of its allowance, and prints it at the end.
class Comparison {
public:
    explicit Comparison(std::string family) : family_(std::move(family)) {}
    ~Comparison() {
        std::printf("[ worst    ] %s: %.3f of the allowance (%lld values)\n", family_.c_str(), worst_,
                    static_cast<long long>(values_));
    }

    /// allowed(i) bounds the error of element i before it is stored.
    template <class Allowed>
    void check(const std::vector<double>& actual, const std::vector<double>& expected, ops::Type type,
               const std::string& what, Allowed allowed) {
        ASSERT_EQ(actual.size(), expected.size()) << what;
        for (std::size_t i = 0; i < actual.size(); ++i, ++values_) {
            if (actual[i] == expected[i] || (std::isnan(actual[i]) && std::isnan(expected[i]))) continue;
            const double allowance = allowed(i) + stepOf(type, expected[i]);
            double share = std::fabs(actual[i] - expected[i]) / allowance;
            if (std::isnan(share)) share = HUGE_VAL;
            worst_ = std::max(worst_, share);
            ASSERT_LE(share, 1) << family_ << ", " << what << ": element " << i << " is " << actual[i]
                                << ", expected " << expected[i] << " within " << allowance;
        }
    }
    template <class Allowed>
    void check(const OpTensor& actual, const OpTensor& expected, const std::string& what, Allowed allowed) {
        check(actual.values(), expected.values(), actual.type(), what, allowed);
        ASSERT_TRUE(actual.guardsIntact()) << family_ << ", " << what << ": wrote outside the view";
    }

private:
    std::string family_;
    double worst_ = 0;
    std::int64_t values_ = 0;
};

struct Shape {
    std::int64_t n, h, w, c;
    std::int64_t count() const { return n * h * w * c; }
    std::string text() const {
        return std::string("[").append(std::to_string(n)) + "," + std::to_string(h) + "," + std::to_string(w) + "," +
               std::to_string(c) + "]";
    }
};

/// Mostly small odd sizes; now and then many channels, more pixels than a run holds, enough for several
/// threads.
inline Shape drawShape(Random& random) {
    Shape shape{random.integer(1, 4), random.integer(1, 7), random.integer(1, 9), random.integer(1, 11)};
    switch (random.integer(0, 9)) {
        case 0:
            shape.c = random.integer(12, 300);
            break;
        case 1:
            shape = {random.integer(1, 4), 1, 1, random.integer(1, 40)};
            break;
        case 2:
            shape.w = random.integer(40, 120), shape.c = random.integer(1, 5);
            break;
        case 3:
            shape = {random.integer(1, 2), 1, random.integer(1, 2), random.integer(2040, 2600)};
            break;
        case 4:
            shape = {random.integer(2, 4), 11, random.integer(27, 30), random.integer(22, 27)};
            break;
        default:
            break;
    }
    return shape;
}

/// A type of images: float32 half the time.
inline ops::Type drawType(Random& random) {
    constexpr ops::Type kTypes[] = {ops::Type::Float16, ops::Type::BFloat16, ops::Type::Unorm8};
    return random.coin() ? ops::Type::Float32 : kTypes[random.integer(0, 2)];
}

inline Layout drawLayout(Random& random) {
    switch (random.integer(0, 3)) {
        case 0:
            return Layout::gaps();
        case 1:
            return Layout::scattered();
        default:
            return Layout::dense();
    }
}

inline OpTensor drawTensor(Random& random, const Shape& s) {
    return {drawType(random), s.n, s.h, s.w, s.c, drawLayout(random)};
}

/// A tensor of drawn type and layout with values in [low, high); those of unorm types are cut to what they
/// hold.
inline OpTensor drawTensor(Random& random, const Shape& s, double low, double high) {
    OpTensor out = drawTensor(random, s);
    out.fillUniform(random, low, high);
    return out;
}

inline std::string describe(const OpTensor& t) {
    const ops::Tensor v = t.view();
    return Shape{v.n, v.h, v.w, v.c}.text() + " " + ops::nameOf(v.type) + (v.isDense() ? "" : " strided");
}

}  // namespace pewter::test
