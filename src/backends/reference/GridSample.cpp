#include <stdexcept>

#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::GridSample&, ops::Stream&) {
    throw std::runtime_error("GridSample is not there yet");
}

}  // namespace pewter::reference
