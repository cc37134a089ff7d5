#include <MPS/NNLocalCorrelation.hpp>

#include "mps/kernels/ArchiveReduce.h"

namespace pewter::mps {

using namespace MPS;

void archiveLocalCorrelation(ArchivedClasses& classes) {
    classes.addKernel<NNLocalCorrelation>(
        "NNLocalCorrelation",
        [](const NNLocalCorrelation& kernel, Coder& coder) {
            coder.encodeUnsigned(kernel.windowInX(), "windowInX");
            coder.encodeUnsigned(kernel.windowInY(), "windowInY");
            coder.encodeUnsigned(kernel.strideInX(), "strideInX");
            coder.encodeUnsigned(kernel.strideInY(), "strideInY");
            encodeReduceBinary(kernel, coder);
        },
        [](Coder& coder, const Device& device) {
            return withSourceClipRects(
                std::make_shared<NNLocalCorrelation>(
                    device, coder.decodeSize("windowInX"), coder.decodeSize("windowInY"),
                    coder.decodeSize("strideInX"), coder.decodeSize("strideInY")),
                coder);
        });
}

}  // namespace pewter::mps
