#include "backends/cpu/vector/FullyConnectedBFloat16.h"

#include "backends/cpu/vector/BFloat16.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

constexpr std::int64_t kRows = 6;

std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

/// Weights that the next products need come from memory while these are computed. (No fault, whatever the address.)
PEWTER_INLINE void soon(const float* from) { __builtin_prefetch(from, 0, 2); }

}  // namespace

void pairedForward(const FullyConnectedPlan& plan, const float* weights, const std::uint32_t* batch, std::int64_t step,
                   std::int64_t from, std::int64_t to, std::uint16_t* room, float* result) {
    for (std::int64_t o = from; o < to; o += kRows) {
        const std::int64_t rows = least(kRows, to - o);
        for (std::int64_t i = 0; i < rows * plan.inner; i += kLanes) {
            Vector value;
            const float* const from = weights + o * plan.inner + i;
            soon(from + kRows * plan.inner);
            loadFrom(from, value);
            roundTo(room + i, value);
        }
        multiplyPairs({reinterpret_cast<const std::uint32_t*>(room), plan.inner / 2, 1}, {batch, step}, rows, step,
                      plan.inner / 2, false, {result + o * step, step});
    }
}

void pairedDataGradient(const FullyConnectedPlan& plan, const float* weights, const std::uint32_t* diffDst,
                        std::int64_t from, std::int64_t to, std::uint32_t* panel, float* room, std::uint16_t* diffSrc) {
    const std::int64_t pairs = plan.outputs / 2;
    for (std::int64_t first = from; first < to; first += kPairedColumns) {
        const std::int64_t columns = least(kPairedColumns, to - first);
        for (std::int64_t pair = 0; pair < pairs; ++pair) {
            const float* const row = weights + 2 * pair * plan.inner + first;
            for (std::int64_t k = 0; k < columns; k += kLanes) {
                Vector low, high;
                soon(row + k + kPairedColumns);
                soon(row + plan.inner + k + kPairedColumns);
                loadFrom(row + k, low);
                loadFrom(row + plan.inner + k, high);
                Words one, other;
                round(low, one);
                round(high, other);
                pairTo(panel + pair * columns + k, one, other);
            }
        }
        multiplyPairs({diffDst, pairs, 1}, {panel, columns}, plan.n, columns, pairs, false, {room, columns});
        for (std::int64_t i = 0; i < plan.n; ++i)
            for (std::int64_t k = 0; k < columns; k += kLanes) {
                Vector value;
                loadFrom(room + i * columns + k, value);
                roundTo(diffSrc + i * plan.inner + first + k, value);
            }
    }
}

void pairRowsOf(const std::uint16_t* rows, std::int64_t n, std::int64_t length, std::int64_t from, std::int64_t to,
                std::uint32_t* pairs) {
    for (std::int64_t pair = from; pair < to; ++pair)
        for (std::int64_t k = 0; k < length; k += kLanes) {
            Words low, high{};
            std::memcpy(&low, rows + 2 * pair * length + k, sizeof low);
            if (2 * pair + 1 < n) std::memcpy(&high, rows + (2 * pair + 1) * length + k, sizeof high);
            pairTo(pairs + pair * length + k, low, high);
        }
}

void pairedWeightsGradient(const FullyConnectedPlan& plan, const std::uint32_t* src, const std::uint32_t* diffDst,
                           std::int64_t from, std::int64_t to, bool accumulate, float* weights) {
    constexpr std::int64_t kColumns = 256;
    alignas(64) float room[kRows * kColumns];
    const bool stream = !accumulate && reinterpret_cast<std::uintptr_t>(weights) % kRegister == 0;
    for (std::int64_t o = from; o < to; o += kRows) {
        const std::int64_t rows = least(kRows, to - o);
        for (std::int64_t first = 0; first < plan.inner; first += kColumns) {
            const std::int64_t columns = least(kColumns, plan.inner - first);
            float* const sums = weights + o * plan.inner + first;
            const LeftPairs gradients{diffDst + o, 1, plan.outputs};
            const RightPairs images{src + first, plan.inner};
            if (!stream) {
                multiplyPairs(gradients, images, rows, columns, (plan.n + 1) / 2, accumulate, {sums, plan.inner});
                continue;
            }
            // Past the caches: the update reads far more than they hold before it comes to these.
            multiplyPairs(gradients, images, rows, columns, (plan.n + 1) / 2, false, {room, kColumns});
            for (std::int64_t r = 0; r < rows; ++r)
                for (std::int64_t k = 0; k < columns; k += kLanes) {
                    Vector value;
                    loadFrom(room + r * kColumns + k, value);
                    streamTo(sums + r * plan.inner + k, value);
                }
        }
    }
    streamEnd();
}

}  // namespace pewter::cpu::PEWTER_ISA

PEWTER_BFLOAT16_END
