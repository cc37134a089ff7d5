#include <MPS/CNNDropout.hpp>

#include "mps/kernels/ArchiveValues.h"
#include "mps/kernels/DropoutAccess.h"

namespace pewter::mps {

using namespace MPS;

namespace {

template <class K>
void encodeMask(const K& kernel, Coder& coder) {
    coder.encodeDouble(kernel.keepProbability(), "keepProbability");
    coder.encodeUnsigned(kernel.seed(), "seed");
    encodeSize(coder, kernel.maskStrideInPixels(), "maskStrideInPixels");
}

template <class K>
std::shared_ptr<K> makeMask(Coder& coder, const Device& device) {
    return std::make_shared<K>(device, coder.decodeFloat("keepProbability"), coder.decodeUnsigned("seed"),
                               decodeSize(coder, "maskStrideInPixels"));
}

}  // namespace

void archiveDropout(ArchivedClasses& classes) {
    classes.addKernel<CNNDropout>(
        "CNNDropout",
        [](const CNNDropout& kernel, Coder& coder) {
            encodeMask(kernel, coder);
            // Where the sequence of masks stands: the kernel read again goes on with it.
            coder.encodeUnsigned(DropoutAccess::encodes(kernel), "encodes");
        },
        [](Coder& coder, const Device& device) {
            auto kernel = makeMask<CNNDropout>(coder, device);
            DropoutAccess::setEncodes(*kernel, coder.decodeUnsigned("encodes"));
            return kernel;
        });
    classes.addKernel<CNNDropoutGradient>("CNNDropoutGradient", encodeMask<CNNDropoutGradient>,
                                          makeMask<CNNDropoutGradient>);
}

}  // namespace pewter::mps
