#include "mps/graph/steps/BinaryConvolutionStep.h"

#include <MTL/Error.hpp>

#include "mps/kernels/BinaryConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"

namespace pewter::mps {

template <class Kernel>
std::shared_ptr<MPS::CNNBinaryConvolution> BinaryConvolutionStep::renewed() const {
    const auto& k = *convolution_;
    if (terms_.hasScaleValue)
        return std::make_shared<Kernel>(k.device(), k.dataSource(), terms_.scaleValue, k.type(), k.flags());
    const auto given = [](const std::vector<float>& terms) { return terms.empty() ? nullptr : terms.data(); };
    return std::make_shared<Kernel>(k.device(), k.dataSource(), given(terms_.outputBias), given(terms_.outputScale),
                                    given(terms_.inputBias), given(terms_.inputScale), k.type(), k.flags());
}

void BinaryConvolutionStep::reloadFromDataSource() {
    // These kernels have no reload of their own: the parameters of a new one take the place of the old. Work
    // that is encoded already keeps those.
    const auto made = dynamic_cast<const MPS::CNNBinaryFullyConnected*>(convolution_.get())
                          ? renewed<MPS::CNNBinaryFullyConnected>()
                          : renewed<MPS::CNNBinaryConvolution>();
    const auto now = geometryOf(made->descriptor()), before = geometryOf(convolution_->descriptor());
    if (now != before)
        throw MPS::Error(convolution_->name(), "descriptor", "the geometry of the kernel, " + before, now);
    BinaryConvolutionAccess::setParameters(*convolution_, BinaryConvolutionAccess::parameters(*made));
}

}  // namespace pewter::mps
