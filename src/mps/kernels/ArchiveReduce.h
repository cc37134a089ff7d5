#pragma once

#include <MPS/NNReduce.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace pewter::mps {

/// What NNReduceBinary has.
inline void encodeReduceBinary(const MPS::NNReduceBinary& kernel, MPS::Coder& coder) {
    encodeRegion(coder, kernel.primarySourceClipRect(), "primarySourceClipRect");
    encodeRegion(coder, kernel.secondarySourceClipRect(), "secondarySourceClipRect");
}
template <class K>
std::shared_ptr<K> withSourceClipRects(std::shared_ptr<K> kernel, MPS::Coder& coder) {
    kernel->setPrimarySourceClipRect(decodeRegion(coder, "primarySourceClipRect"));
    kernel->setSecondarySourceClipRect(decodeRegion(coder, "secondarySourceClipRect"));
    return kernel;
}

}  // namespace pewter::mps
