#include <stdexcept>

#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::Compare&, ops::Stream&) {
    throw std::runtime_error("Compare is not there yet");
}

}  // namespace pewter::reference
