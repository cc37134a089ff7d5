#include "mps/kernels/ArchiveValues.h"
#include "mps/kernels/Concatenation.h"

namespace pewter::mps {

void archiveConcatenation(ArchivedClasses& classes) {
    classes.addKernel<Concatenation>("NNConcatenation");
    classes.addKernel<ConcatenationGradient>("NNConcatenationGradient");
}

}  // namespace pewter::mps
