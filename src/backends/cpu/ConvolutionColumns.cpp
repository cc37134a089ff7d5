#include "backends/cpu/ConvolutionColumns.h"

#include "backends/cpu/Parallel.h"

namespace pewter::cpu {

namespace {

constexpr std::int64_t kMostOutputs = 8;
constexpr std::int64_t kMostColumns = 128;

/// visit(wide, narrow): offsets of W[o, r, q, 0] and of the same run of inputs in the narrow weights [(q, o)][r].
template <typename Visitor>
void forEachTap(const Problem& p, Visitor visit) {
    for (std::int64_t o = 0; o < p.outputs; ++o)
        for (std::int64_t r = 0; r < p.y.taps; ++r)
            for (std::int64_t q = 0; q < p.x.taps; ++q)
                visit(((o * p.y.taps + r) * p.x.taps + q) * p.inputs,
                      ((q * p.outputs + o) * p.y.taps + r) * p.inputs);
}

/// Calls row(T's row, dst's row) for every row of the result.
template <typename Element, typename Row>
void forEachRow(const Problem& p, Element* columns, Element* dst, Row row) {
    const std::int64_t wide = p.x.source * p.x.taps * p.outputs, narrow = p.x.outputs * p.outputs;
    parallelFor(0, p.n * p.y.outputs, std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(1, wide)),
                [&](std::int64_t from, std::int64_t to) {
                    for (std::int64_t y = from; y < to; ++y) row(columns + y * wide, dst + y * narrow);
                });
}

/// dst = bias + the columns where they belong.
void addColumns(const Problem& p, float* columns, const float* bias, float* dst) {
    const std::int64_t pixel = p.x.taps * p.outputs;
    forEachRow(p, columns, dst, [&](const float* t, float* row) {
        for (std::int64_t x = 0; x < p.x.outputs; ++x) {
            const std::int64_t left = x - p.x.before;
            const std::int64_t first = std::max<std::int64_t>(0, -left);
            const std::int64_t last = std::min(p.x.taps, p.x.source - left);
            for (std::int64_t o = 0; o < p.outputs; ++o) {
                float sum = bias ? bias[o] : 0;
                const float* const column = t + left * pixel + o;
                for (std::int64_t q = first; q < last; ++q) sum += column[q * (pixel + p.outputs)];
                row[x * p.outputs + o] = sum;
            }
        }
    });
}

/// columns = dst's gradient, in every column that a result was made of.
template <typename Element>
void spreadColumns(const Problem& p, Element* columns, Element* dst) {
    forEachRow(p, columns, dst, [&](Element* t, const Element* row) {
        for (std::int64_t u = 0; u < p.x.source; ++u)
            for (std::int64_t q = 0; q < p.x.taps; ++q, t += p.outputs) {
                const std::int64_t x = u + p.x.before - q;
                const bool inside = x >= 0 && x < p.x.outputs;
                for (std::int64_t o = 0; o < p.outputs; ++o) t[o] = inside ? row[x * p.outputs + o] : Element{0};
            }
    });
}

}  // namespace

bool hasColumns(const ConvolutionTask& task) {
    const Problem& p = task.problem;
    return task.direction != Direction::DataGradient && p.groups == 1 && p.x.stride == 1 && p.x.dilation == 1 &&
           p.x.taps > 1 && p.outputs <= kMostOutputs && p.outputs * p.x.taps <= kMostColumns;
}

ConvolutionTask columnTask(const ConvolutionTask& task) {
    ConvolutionTask narrow{task.direction, task.problem};
    narrow.srcType = task.srcType;
    // Forward they are sums that are still to be added up; back they are copies of what there is.
    if (task.direction == Direction::WeightsGradient) narrow.dstType = task.dstType;
    narrow.bfloat16 = task.bfloat16;
    Problem& p = narrow.problem;
    p.outputs *= p.x.taps;
    p.x = {p.x.source, p.x.source, 1, 1, 1, 0};
    return narrow;
}

void executeColumns(const Prepared& narrow, const ConvolutionTask& task, const ConvolutionOperands& operands,
                    Scratch::Frame& frame) {
    const Problem& p = task.problem;
    const std::int64_t taps = p.outputs * p.y.taps * p.x.taps;
    float* const weights = frame.floats(taps * p.inputs);
    float* const columns = frame.floats(p.n * p.y.outputs * p.x.source * p.x.taps * p.outputs);
    const ConvolutionOperands inner{operands.src, weights, columns, nullptr};
    if (task.direction == Direction::Forward) {
        forEachTap(p, [&](std::int64_t from, std::int64_t to) {
            std::copy_n(operands.weights + from, p.inputs, weights + to);
        });
        execute(narrow, task.direction, inner, frame);
        if (task.dstType == ops::Type::Float32)
            return addColumns(p, columns, operands.bias, static_cast<float*>(operands.dst));
        float* const sums = frame.floats(p.n * p.y.outputs * p.x.outputs * p.outputs);
        addColumns(p, columns, operands.bias, sums);
        return store(sums, ops::Tensor::dense(operands.dst, task.dstType, p.n, p.y.outputs, p.x.outputs, p.outputs));
    }
    if (task.dstType == ops::Type::BFloat16)
        spreadColumns(p, reinterpret_cast<std::uint16_t*>(columns), static_cast<std::uint16_t*>(operands.dst));
    else
        spreadColumns(p, columns, static_cast<float*>(operands.dst));
    execute(narrow, task.direction, inner, frame);
    forEachTap(p, [&](std::int64_t to, std::int64_t from) {
        float* const sums = operands.weights + to;
        for (std::int64_t c = 0; c < p.inputs; ++c) sums[c] = weights[from + c] + (task.accumulate ? sums[c] : 0);
    });
}

}  // namespace pewter::cpu
