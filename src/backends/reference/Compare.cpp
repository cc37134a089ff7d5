#include <cmath>

#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

bool holds(const ops::Compare& op, double x, double y) {
    switch (op.type) {
        case ops::ComparisonType::Equal:
            return std::fabs(x - y) <= op.threshold;
        case ops::ComparisonType::NotEqual:
            return std::fabs(x - y) > op.threshold;
        case ops::ComparisonType::Less:
            return x < y;
        case ops::ComparisonType::LessOrEqual:
            return x <= y;
        case ops::ComparisonType::Greater:
            return x > y;
        case ops::ComparisonType::GreaterOrEqual:
            return x >= y;
    }
    return false;
}

}  // namespace

void Reference::run(const ops::Compare& op, ops::Stream&) {
    const Values primary(op.primary), secondary(op.secondary);
    Values dst = Values::zerosLike(op.dst);
    for (std::int64_t i = 0; i < dst.count(); ++i) dst[i] = holds(op, primary[i], secondary[i]) ? 1 : 0;
    dst.writeTo(op.dst);
}

}  // namespace pewter::reference
