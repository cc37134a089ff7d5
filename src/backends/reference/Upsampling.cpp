#include <stdexcept>

#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::ResampleForward&, ops::Stream&) {
    throw std::runtime_error("ResampleForward is not there yet");
}

void Reference::run(const ops::ResampleGradient&, ops::Stream&) {
    throw std::runtime_error("ResampleGradient is not there yet");
}

}  // namespace pewter::reference
