#pragma once

#include <optional>

#include "backends/cpu/Engine.h"
#include "ops/Tensor.h"

// Images and weights on their way into oneDNN's blocked layouts and back, for the layouts that Winograd's kernels want:
// a line of the cache at a time, in half the time of the library's own reorder.

namespace pewter::cpu {

/// What is carried: `outer` images of `middle` pixels and `inner` channels, or weights of `outer` outputs, `middle` taps
/// and `inner` inputs.
struct BlockedLayout {
    bool isImage = true;
    std::int64_t outer = 0, middle = 0, inner = 0;
    /// What is written goes past the caches.
    bool past = false;
    /// From pixel to pixel or tap to tap of the plain side, for a slice of more channels or inputs; 0: `inner`.
    std::int64_t step = 0;
    /// The other way round: the image is in blocks, and N,H,W,C is wanted.
    bool turned = false;
};

/// The way between `plain`, the layout of the seam (an image N,H,W,C or in blocks, weights [O][kH][kW][I]), and `wanted`;
/// nothing where it is another one than this file has. step: from pixel to pixel or tap to tap of `plain`, where that is not
/// its channels or inputs. add: what comes back is added.
std::optional<BlockedLayout> blockedLayout(const dnnl::memory::desc& plain, const dnnl::memory::desc& wanted,
                                           std::int64_t step = 0, bool add = false);

/// An image N,H,W,C or weights [O][kH][kW][I], with `step` values from pixel to pixel or tap to tap. Extents in the
/// library's order.
dnnl::memory::desc plainLayout(const dnnl::memory::dims& extents, dnnl::memory::data_type type, std::int64_t step);

/// Of an image of the seam.
dnnl::memory::format_tag tagOf(ops::ImageLayout layout);

/// To what is wanted, which is aligned to a line of the cache.
void toBlocks(const BlockedLayout& layout, const float* plain, float* blocked);
/// Back. add: to what is there.
void fromBlocks(const BlockedLayout& layout, const float* blocked, bool add, float* plain);

}  // namespace pewter::cpu
