#pragma once

#include <MPS/ImageScale.hpp>
#include <vector>

namespace pewter::mps {

/// What graphs see of a scale kernel beyond its public face.
struct ImageScaleAccess {
    /// One transform for each source image of the encodes that follow; none: the kernel's own.
    static void setTransforms(MPS::ImageScale& kernel, const std::vector<MPS::ScaleTransform>& each) {
        for (const auto& transform : each) kernel.check("transformProvider", transform);
        kernel.each_ = each;
    }
};

}  // namespace pewter::mps
