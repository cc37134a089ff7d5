#include <stdexcept>

#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::SpatialNormalizationForward&, ops::Stream&) {
    throw std::runtime_error("SpatialNormalizationForward is not there yet");
}

void Reference::run(const ops::SpatialNormalizationGradient&, ops::Stream&) {
    throw std::runtime_error("SpatialNormalizationGradient is not there yet");
}

}  // namespace pewter::reference
