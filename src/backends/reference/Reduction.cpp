#include <cmath>

#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

/// What the elements read so far make.
struct Partial {
    double sum = 0, extremum = 0;
    std::int64_t count = 0, nonZeroWeights = 0, argument = 0;

    void add(double value, double weight) {
        sum += value * weight;
        nonZeroWeights += weight != 0 ? 1 : 0;
    }
    void meet(double value, std::int64_t channel, bool max) {
        const bool better = max ? value > extremum : value < extremum;
        if (count == 0 || better || (std::isnan(value) && !std::isnan(extremum)))
            extremum = value, argument = channel;
    }
    double result(const ops::Reduction& op) const {
        const double scaled = op.scale * sum;
        switch (op.operation) {
            case ops::ReductionOperation::Sum:
            case ops::ReductionOperation::Mean:
                if (op.byNonZeroWeights)
                    return nonZeroWeights == 0 ? 0 : scaled / static_cast<double>(nonZeroWeights);
                return op.operation == ops::ReductionOperation::Mean ? scaled / static_cast<double>(count)
                                                                     : scaled;
            case ops::ReductionOperation::Min:
            case ops::ReductionOperation::Max:
                return extremum;
            case ops::ReductionOperation::ArgumentMin:
            case ops::ReductionOperation::ArgumentMax:
                return static_cast<double>(argument);
        }
        return 0;
    }
};

}  // namespace

void Reference::run(const ops::Reduction& op, ops::Stream&) {
    const Values src(op.src), weights(op.weights);
    Values dst = Values::zerosLike(op.dst);
    const bool max =
        op.operation == ops::ReductionOperation::Max || op.operation == ops::ReductionOperation::ArgumentMax;
    const auto place = [](std::int64_t i, std::int64_t extent) { return extent == 1 ? 0 : i; };
    std::vector<Partial> partials(static_cast<std::size_t>(dst.count()));
    std::int64_t i = 0;
    for (std::int64_t n = 0; n < src.n; ++n)
        for (std::int64_t y = 0; y < src.h; ++y)
            for (std::int64_t x = 0; x < src.w; ++x)
                for (std::int64_t c = 0; c < src.c; ++c, ++i) {
                    Partial& partial = partials[static_cast<std::size_t>(
                        ((n * dst.h + place(y, dst.h)) * dst.w + place(x, dst.w)) * dst.c + place(c, dst.c))];
                    partial.add(src[i], weights.isEmpty() ? 1 : weights[i]);
                    partial.meet(src[i], c, max);
                    ++partial.count;
                }
    for (std::int64_t k = 0; k < dst.count(); ++k) dst[k] = partials[static_cast<std::size_t>(k)].result(op);
    dst.writeTo(op.dst);
}

}  // namespace pewter::reference
