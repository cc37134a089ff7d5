#include <stdexcept>

#include "backends/reference/Reference.h"

namespace pewter::reference {

void Reference::run(const ops::Reduction&, ops::Stream&) {
    throw std::runtime_error("Reduction is not there yet");
}

}  // namespace pewter::reference
