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

memory::format_tag tagOf(ops::ImageLayout layout) {
    return layout == ops::ImageLayout::ChannelBlocks ? memory::format_tag::nChw16c : memory::format_tag::nhwc;
}

std::optional<BlockedLayout> blockedLayout(const memory::desc& plain, const memory::desc& wanted, std::int64_t step,
                                           bool add) {
    const auto type = memory::data_type::f32;
    if (plain.data_type() != type || wanted.data_type() != type || plain.dims().size() != 4) return std::nullopt;
    const memory::dims e = plain.dims();
    if (step == 0) step = e[1];
    if (e != wanted.dims() || e[1] % kBlock != 0 || step % kBlock != 0) return std::nullopt;
    const std::int64_t middle = e[2] * e[3];
    const bool past = e[0] * e[1] * middle >= kStreamedElements;
    const memory::desc lines = plainLayout(e, type, step), blocks(e, type, memory::format_tag::nChw16c);
    if (plain == lines && wanted == blocks) return BlockedLayout{true, e[0], middle, e[1], past, step};
    if (plain == blocks && wanted == lines && !add) return BlockedLayout{true, e[0], middle, e[1], past, step, true};
    // Both in blocks: a block is an image of its own.
    if (plain == blocks && wanted == blocks) return BlockedLayout{true, e[0] * e[1] / kBlock, middle, kBlock, past};
    if (plain == lines && e[0] % kBlock == 0 && wanted == memory::desc(e, type, memory::format_tag::OIhw16i16o))
        return BlockedLayout{false, e[0], middle, e[1], past, step};
    return std::nullopt;
}

namespace {

/// Between an image N,H,W,C and one in blocks.
void imageToBlocks(const BlockedLayout& layout, const float* plain, float* blocked) {
    const std::int64_t middle = layout.middle, inner = layout.inner, one = middle * inner;
    const std::int64_t step = stepOf(layout), plainOne = middle * step;
    forPixels(layout, [=](std::int64_t n, std::int64_t from, std::int64_t to) {
        PEWTER_VECTOR(imageToBlocks)
        (plain + n * plainOne + from * step, to - from, inner, step, middle * kBlock, blocked + n * one + from * kBlock);
    });
}
void imageFromBlocks(const BlockedLayout& layout, const float* blocked, bool add, float* plain) {
    const std::int64_t middle = layout.middle, inner = layout.inner, one = middle * inner;
    const std::int64_t step = stepOf(layout), plainOne = middle * step;
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

}  // namespace

void toBlocks(const BlockedLayout& layout, const float* plain, float* blocked) {
    if (layout.turned) return imageFromBlocks(layout, plain, false, blocked);
    if (layout.isImage) return imageToBlocks(layout, plain, blocked);
    const std::int64_t middle = layout.middle, inner = layout.inner, one = middle * inner;
    const std::int64_t step = stepOf(layout), plainOne = middle * step;
    const bool past = layout.past;
    parallelFor(0, layout.outer / kBlock, 1, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t o = from * kBlock; o < to * kBlock; o += kBlock)
            PEWTER_VECTOR(weightsToBlocks)(plain + o * plainOne, middle, inner, step, past, blocked + o * one);
    });
}

void fromBlocks(const BlockedLayout& layout, const float* blocked, bool add, float* plain) {
    if (layout.turned) return imageToBlocks(layout, blocked, plain);
    if (layout.isImage) return imageFromBlocks(layout, blocked, add, plain);
    const std::int64_t middle = layout.middle, inner = layout.inner, one = middle * inner;
    const std::int64_t step = stepOf(layout), plainOne = middle * step;
    parallelFor(0, layout.outer / kBlock, 1, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t o = from * kBlock; o < to * kBlock; o += kBlock)
            PEWTER_VECTOR(weightsFromBlocks)(blocked + o * one, middle, inner, step, add, plain + o * plainOne);
    });
}

}  // namespace pewter::cpu
