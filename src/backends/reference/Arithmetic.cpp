#include <algorithm>

#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::Arithmetic& op, ops::Stream&) {
    const Values primary(op.primary), secondary(op.secondary);
    Values dst = Values::zerosLike(op.dst), mask = Values::zerosLike(op.dst);
    const double minimum = op.minimum, maximum = op.maximum;
    for (std::int64_t i = 0; i < dst.count(); ++i) {
        const double x = op.primaryScale * primary[i];
        const double y = op.secondaryScale * secondary[i];
        double r = 0;
        switch (op.type) {
            case ops::ArithmeticType::Add:
                r = x + y;
                break;
            case ops::ArithmeticType::Subtract:
                r = x - y;
                break;
            case ops::ArithmeticType::Multiply:
                r = x * y;
                break;
            case ops::ArithmeticType::Divide:
                r = x / y;
                break;
        }
        r += op.bias;
        mask[i] = minimum < r && r < maximum ? 1 : 0;
        // In this order of arguments a NaN stays.
        dst[i] = std::min(std::max(r, minimum), maximum);
    }
    dst.writeTo(op.dst);
    if (!op.mask.isNull()) mask.writeTo(op.mask);
}

void Reference::run(const ops::ArithmeticGradient& op, ops::Stream&) {
    const Values diffDst(op.diffDst), other(op.other), mask(op.mask);
    Values diffSrc = Values::zerosLike(op.diffSrc);
    const bool product = op.type == ops::ArithmeticType::Multiply || op.type == ops::ArithmeticType::Divide;
    // An axis of extent 1 takes the sum over the whole axis of diffDst.
    auto position = [](std::int64_t i, std::int64_t extent) { return extent == 1 ? 0 : i; };
    std::int64_t i = 0;
    for (std::int64_t n = 0; n < diffDst.n; ++n)
        for (std::int64_t y = 0; y < diffDst.h; ++y)
            for (std::int64_t x = 0; x < diffDst.w; ++x)
                for (std::int64_t c = 0; c < diffDst.c; ++c, ++i) {
                    double e = op.primaryScale * diffDst[i];
                    if (product && !other.isEmpty()) e *= op.secondaryScale * other[i];
                    if (!mask.isEmpty()) e *= mask[i];
                    diffSrc.at(position(n, diffSrc.n), position(y, diffSrc.h), position(x, diffSrc.w),
                               position(c, diffSrc.c)) += e;
                }
    diffSrc.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
