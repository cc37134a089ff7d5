#include <stdexcept>

#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::GramMatrixForward&, ops::Stream&) {
    throw std::runtime_error("GramMatrixForward is not there yet");
}

void Reference::run(const ops::GramMatrixGradient&, ops::Stream&) {
    throw std::runtime_error("GramMatrixGradient is not there yet");
}

}  // namespace pewter::reference
