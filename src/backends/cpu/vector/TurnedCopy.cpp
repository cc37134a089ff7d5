#include "backends/cpu/vector/TurnedCopy.h"

#include "backends/cpu/vector/TurnedSquare.h"

namespace pewter::cpu::PEWTER_ISA {

void turnStrip(const TurnedStrip& strip, const TurnedStrip& next) {
    const auto [in, out, inStep, outStep, rows, columns, past] = strip;
    const std::int64_t wide = rows == kTurnedRows ? columns / kTurnedRows * kTurnedRows : 0;
    for (std::int64_t k = 0; k < wide; k += kTurnedRows) {
        // Lines far apart, which processors do not foresee.
        for (std::int64_t i = 0; i < kTurnedRows; ++i) {
            __builtin_prefetch(next.in + (k + i) * inStep);
            if (!past) __builtin_prefetch(next.out + i * outStep + k, 1);
        }
        for (std::int64_t r = 0; r < kTurnedRows; r += kLanes)
            for (std::int64_t q = k; q < k + kTurnedRows; q += kLanes) {
                const std::uint32_t* const from = in + q * inStep + r;
                std::uint32_t* const to = out + r * outStep + q;
                if (past)
                    turnSquare<Number>(from, inStep, to, outStep, [](std::uint32_t* row, const Number& numbers) PEWTER_LAMBDA {
                        streamTo(reinterpret_cast<float*>(row), reinterpret_cast<const Vector&>(numbers));
                    });
                else
                    turnSquare<Number>(from, inStep, to, outStep);
            }
    }
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t k = wide; k < columns; ++k) out[r * outStep + k] = in[k * inStep + r];
}

}  // namespace pewter::cpu::PEWTER_ISA
