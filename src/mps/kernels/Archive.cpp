#include "mps/core/ArchiveClasses.h"

/// Every family that archives can hold: one function each, in Archive<Family>.cpp.
#define PEWTER_ARCHIVED_FAMILIES(X) \
    X(Arithmetic)                   \
    X(BinaryConvolution)            \
    X(Concatenation)                \
    X(Convolution)                  \
    X(Dropout)                      \
    X(GramMatrix)                   \
    X(LocalCorrelation)             \
    X(LocalNormalization)           \
    X(Loss)                         \
    X(Neuron)                       \
    X(Normalization)                \
    X(Optimizer)                    \
    X(Pooling)                      \
    X(Reduce)                       \
    X(Resampling)                   \
    X(Shape)                        \
    X(SoftMax)

namespace pewter::mps {

#define PEWTER_DECLARE(family) void archive##family(ArchivedClasses& classes);
PEWTER_ARCHIVED_FAMILIES(PEWTER_DECLARE)
#undef PEWTER_DECLARE

void archiveKernels(ArchivedClasses& classes) {
#define PEWTER_CALL(family) archive##family(classes);
    PEWTER_ARCHIVED_FAMILIES(PEWTER_CALL)
#undef PEWTER_CALL
}

}  // namespace pewter::mps
