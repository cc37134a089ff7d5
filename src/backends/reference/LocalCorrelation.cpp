#include <stdexcept>

#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::LocalCorrelation&, ops::Stream&) {
    throw std::runtime_error("LocalCorrelation is not there yet");
}

}  // namespace pewter::reference
