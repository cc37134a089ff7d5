#include <MPS/CNNPooling.hpp>

#include "mps/core/ArchiveClasses.h"

namespace pewter::mps {

void archivePooling(ArchivedClasses& classes) {
    (void)classes;
}

}  // namespace pewter::mps
