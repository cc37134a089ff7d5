#pragma once

#include "mps/core/Encoder.h"

namespace pewter::mps {

/// visit(state) for every run of images that name the same gradient state one after another; encoding.primary
/// and encoding.secondary show the images of the run meanwhile.
template <class Visit>
void forEachStateRun(BinaryEncoding& encoding, Visit visit) {
    const auto& states = encoding.sourceStates;
    const TensorRef primary = encoding.primary, secondary = encoding.secondary;
    for (std::size_t first = 0; first < states.size();) {
        std::size_t end = first + 1;
        while (end < states.size() && states[end] == states[first]) ++end;
        if (states.size() > 1) {
            const auto from = static_cast<std::int64_t>(first),
                       count = static_cast<std::int64_t>(end - first);
            encoding.primary = primary.images(from, count);
            encoding.secondary = secondary.images(from, count);
        }
        visit(*states[first]);
        first = end;
    }
    encoding.primary = primary;
    encoding.secondary = secondary;
}

}  // namespace pewter::mps
