#include "backends/cpu/BlockedLayout.h"

#include "backends/cpu/Parallel.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/BlockedLayout.h"

namespace pewter::cpu {

namespace {

constexpr std::int64_t kBlock = 16;

/// fn(image, from, to) for pieces of at least kElementGrain elements.
template <class Fn>
void forPixels(const BlockedLayout& layout, Fn fn) {
    const std::int64_t pixels = layout.middle;
    const std::int64_t grain = std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(1, layout.inner));
    parallelFor(0, layout.outer * pixels, grain, [&](std::int64_t from, std::int64_t to) {
        while (from < to) {
            const std::int64_t n = from / pixels, first = from % pixels, last = std::min(pixels, first + to - from);
            fn(n, first, last);
            from += last - first;
        }
    });
}

std::int64_t stepOf(const BlockedLayout& layout) { return layout.step ? layout.step : layout.inner; }

}  // namespace

using dnnl::memory;

memory::desc plainLayout(const memory::dims& e, memory::data_type type, std::int64_t step) {
    return {e, type, memory::dims{e[2] * e[3] * step, 1, e[3] * step, step}};
}

std::optional<BlockedLayout> blockedLayout(const memory::desc& plain, const memory::desc& wanted, std::int64_t step) {
    const auto type = memory::data_type::f32;
    if (plain.data_type() != type || wanted.data_type() != type || plain.dims().size() != 4) return std::nullopt;
    const memory::dims e = plain.dims();
    if (step == 0) step = e[1];
    if (e != wanted.dims() || e[1] % kBlock != 0 || step % kBlock != 0 || plain != plainLayout(e, type, step))
        return std::nullopt;
    const std::int64_t middle = e[2] * e[3];
    const bool past = e[0] * e[1] * middle >= kStreamedElements;
    if (wanted == memory::desc(e, type, memory::format_tag::nChw16c))
        return BlockedLayout{true, e[0], middle, e[1], past, step};
    if (e[0] % kBlock == 0 && wanted == memory::desc(e, type, memory::format_tag::OIhw16i16o))
        return BlockedLayout{false, e[0], middle, e[1], past, step};
    return std::nullopt;
}

void toBlocks(const BlockedLayout& layout, const float* plain, float* blocked) {
    const std::int64_t middle = layout.middle, inner = layout.inner, one = middle * inner;
    const std::int64_t step = stepOf(layout), plainOne = middle * step;
    if (layout.isImage)
        return forPixels(layout, [=](std::int64_t n, std::int64_t from, std::int64_t to) {
            PEWTER_VECTOR(imageToBlocks)
            (plain + n * plainOne + from * step, to - from, inner, step, middle * kBlock, blocked + n * one + from * kBlock);
        });
    const bool past = layout.past;
    parallelFor(0, layout.outer / kBlock, 1, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t o = from * kBlock; o < to * kBlock; o += kBlock)
            PEWTER_VECTOR(weightsToBlocks)(plain + o * plainOne, middle, inner, step, past, blocked + o * one);
    });
}

void fromBlocks(const BlockedLayout& layout, const float* blocked, bool add, float* plain) {
    const std::int64_t middle = layout.middle, inner = layout.inner, one = middle * inner;
    const std::int64_t step = stepOf(layout), plainOne = middle * step;
    if (!layout.isImage) {
        parallelFor(0, layout.outer / kBlock, 1, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t o = from * kBlock; o < to * kBlock; o += kBlock)
                PEWTER_VECTOR(weightsFromBlocks)(blocked + o * one, middle, inner, step, add, plain + o * plainOne);
        });
        return;
    }
    const bool past = layout.past;
    forPixels(layout, [=](std::int64_t n, std::int64_t from, std::int64_t to) {
        const float* const source = blocked + n * one + from * kBlock;
        float* const target = plain + n * plainOne + from * step;
        if (add)
            PEWTER_VECTOR(imageAddBlocks)(source, to - from, inner, step, middle * kBlock, target);
        else
            PEWTER_VECTOR(imageFromBlocks)(source, to - from, inner, step, middle * kBlock, past, target);
    });
}

}  // namespace pewter::cpu
