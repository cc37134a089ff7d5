#pragma once

#include <string>
#include <vector>

#include "CpuDraw.h"
#include "RunCpu.h"
#include "RunReference.h"
#include "Tolerance.h"

/// What the drawn cases of all operations with weights share.
namespace pewter::test {

/// Every third case holds small integers in float32, where nothing rounds and the comparison is exact.
struct WeightedCase {
    explicit WeightedCase(int index) : exact(index % 3 == 0) {}

    template <class Operand>
    void fill(Operand& operand, Random& random) const {
        if (exact)
            operand.fillIntegers(random, -3, 3);
        else
            operand.fillUniform(random, -1, 1);
    }
    /// An image of a drawn type and layout; `signedOnly` for gradients.
    OpTensor image(Random& random, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c,
                   bool signedOnly = false) const {
        const ops::Type type = exact        ? ops::Type::Float32
                               : signedOnly ? drawSignedType(random)
                                            : drawImageType(random);
        OpTensor t(type, n, h, w, c, drawLayout(random));
        fill(t, random);
        return t;
    }
    /// Weights as data sources have them, or their gradients in float32.
    OpTensor weightsOf(Random& random, ops::Type type, std::int64_t o, std::int64_t h, std::int64_t w,
                       std::int64_t i) const {
        OpTensor t(type, o, h, w, i);
        fill(t, random);
        return t;
    }
    ops::Type drawWeightType(Random& random) const {
        return exact || random.coin() ? ops::Type::Float32 : ops::Type::Float16;
    }
    OpArray arrayOf(Random& random, std::int64_t size) const {
        OpArray array(ops::Type::Float32, size);
        fill(array, random);
        return array;
    }

    bool exact;
    std::string name;
};

inline void check(Agreement& agreement, const WeightedCase& c, const std::vector<double>& actual,
                  const std::vector<double>& expected, const std::vector<double>& bounds, std::int64_t length,
                  ops::Type type, double slope = 1) {
    if (c.exact)
        agreement.compareExactly(actual, expected, c.name);
    else
        agreement.compare(actual, expected, bounds, length, type, c.name, slope);
}

}  // namespace pewter::test
