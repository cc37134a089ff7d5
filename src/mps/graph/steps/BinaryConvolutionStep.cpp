#include "mps/graph/steps/BinaryConvolutionStep.h"

#include <MTL/Error.hpp>

#include "mps/kernels/BinaryConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"

namespace pewter::mps {

void BinaryConvolutionStep::reloadFromDataSource() {
    // These kernels have no reload of their own: the parameters of a new one take the place of the old. Work
    // that is encoded already keeps those.
    const auto renewed = renew_();
    const auto now = geometryOf(renewed->descriptor()), before = geometryOf(convolution_->descriptor());
    if (now != before)
        throw MPS::Error(convolution_->name(), "descriptor", "the geometry of the kernel, " + before, now);
    BinaryConvolutionAccess::setParameters(*convolution_, BinaryConvolutionAccess::parameters(*renewed));
}

}  // namespace pewter::mps
