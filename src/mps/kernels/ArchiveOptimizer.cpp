#include <MPS/NNOptimizer.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace pewter::mps {

using namespace MPS;

namespace {

void encodeCommon(const NNOptimizer& kernel, Coder& coder) {
    coder.encodeDouble(kernel.learningRate(), "learningRate");
    coder.encodeDouble(kernel.gradientRescale(), "gradientRescale");
    coder.encodeBool(kernel.applyGradientClipping(), "applyGradientClipping");
    coder.encodeDouble(kernel.gradientClipMax(), "gradientClipMax");
    coder.encodeDouble(kernel.gradientClipMin(), "gradientClipMin");
    coder.encodeDouble(kernel.regularizationScale(), "regularizationScale");
    coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.regularizationType()), "regularizationType");
}

NNOptimizerDescriptor decodeCommon(Coder& coder) {
    NNOptimizerDescriptor d;
    d.learningRate = coder.decodeFloat("learningRate");
    d.gradientRescale = coder.decodeFloat("gradientRescale");
    d.applyGradientClipping = coder.decodeBool("applyGradientClipping");
    d.gradientClipMax = coder.decodeFloat("gradientClipMax");
    d.gradientClipMin = coder.decodeFloat("gradientClipMin");
    d.regularizationScale = coder.decodeFloat("regularizationScale");
    d.regularizationType = coder.decodeEnum("regularizationType", NNRegularizationType::L2);
    return d;
}

}  // namespace

/// The settings and the time step; momentum, velocity and sums of squares are vectors of the application.
void archiveOptimizer(ArchivedClasses& classes) {
    using Sgd = NNOptimizerStochasticGradientDescent;
    classes.addKernel<Sgd>(
        "NNOptimizerStochasticGradientDescent",
        [](const Sgd& kernel, Coder& coder) {
            encodeCommon(kernel, coder);
            coder.encodeDouble(kernel.momentumScale(), "momentumScale");
            coder.encodeBool(kernel.useNesterovMomentum(), "useNesterovMomentum");
        },
        [](Coder& coder, const Device& device) {
            return std::make_shared<Sgd>(device, coder.decodeFloat("momentumScale"),
                                         coder.decodeBool("useNesterovMomentum"), decodeCommon(coder));
        });
    classes.addKernel<NNOptimizerRMSProp>(
        "NNOptimizerRMSProp",
        [](const NNOptimizerRMSProp& kernel, Coder& coder) {
            encodeCommon(kernel, coder);
            coder.encodeDouble(kernel.decay(), "decay");
            coder.encodeDouble(kernel.epsilon(), "epsilon");
        },
        [](Coder& coder, const Device& device) {
            return std::make_shared<NNOptimizerRMSProp>(device, coder.decodeDouble("decay"),
                                                        coder.decodeFloat("epsilon"), decodeCommon(coder));
        });
    classes.addKernel<NNOptimizerAdam>(
        "NNOptimizerAdam",
        [](const NNOptimizerAdam& kernel, Coder& coder) {
            encodeCommon(kernel, coder);
            coder.encodeDouble(kernel.beta1(), "beta1");
            coder.encodeDouble(kernel.beta2(), "beta2");
            coder.encodeDouble(kernel.epsilon(), "epsilon");
            coder.encodeUnsigned(kernel.timeStep(), "timeStep");
        },
        [](Coder& coder, const Device& device) {
            return std::make_shared<NNOptimizerAdam>(
                device, coder.decodeDouble("beta1"), coder.decodeDouble("beta2"),
                coder.decodeFloat("epsilon"), coder.decodeSize("timeStep"), decodeCommon(coder));
        });
}

}  // namespace pewter::mps
