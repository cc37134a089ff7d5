#include <stdexcept>

#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::LocalContrastNormalizationForward&, ops::Stream&) {
    throw std::runtime_error("LocalContrastNormalizationForward is not there yet");
}

void Reference::run(const ops::LocalContrastNormalizationGradient&, ops::Stream&) {
    throw std::runtime_error("LocalContrastNormalizationGradient is not there yet");
}

}  // namespace pewter::reference
