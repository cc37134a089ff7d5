#include <stdexcept>

#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::CrossChannelNormalizationForward&, ops::Stream&) {
    throw std::runtime_error("CrossChannelNormalizationForward is not there yet");
}

void Reference::run(const ops::CrossChannelNormalizationGradient&, ops::Stream&) {
    throw std::runtime_error("CrossChannelNormalizationGradient is not there yet");
}

}  // namespace pewter::reference
