#include <MPS/CNNSoftMax.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace pewter::mps {

void archiveSoftMax(ArchivedClasses& classes) {
    classes.addKernel<MPS::CNNSoftMax>("CNNSoftMax");
    classes.addKernel<MPS::CNNLogSoftMax>("CNNLogSoftMax");
    classes.addKernel<MPS::CNNSoftMaxGradient>("CNNSoftMaxGradient");
    classes.addKernel<MPS::CNNLogSoftMaxGradient>("CNNLogSoftMaxGradient");
}

}  // namespace pewter::mps
