#include <MPS/NNGramMatrix.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace pewter::mps {

using namespace MPS;

void archiveGramMatrix(ArchivedClasses& classes) {
    classes.addKernel<NNGramMatrixCalculation>(
        "NNGramMatrixCalculation",
        [](const NNGramMatrixCalculation& kernel, Coder& coder) {
            coder.encodeDouble(kernel.alpha(), "alpha");
            coder.encodeObject(securely(kernel.propertyCallBack(), kernel.name(), "propertyCallBack"),
                               "propertyCallBack");
        },
        [](Coder& coder, const Device& device) {
            auto kernel = std::make_shared<NNGramMatrixCalculation>(device, coder.decodeFloat("alpha"));
            kernel->setPropertyCallBack(coder.decodeObjectOfClass<NNGramMatrixCallback>("propertyCallBack"));
            return kernel;
        });
    classes.addKernel<NNGramMatrixCalculationGradient>(
        "NNGramMatrixCalculationGradient",
        [](const NNGramMatrixCalculationGradient& kernel, Coder& coder) {
            coder.encodeDouble(kernel.alpha(), "alpha");
        },
        [](Coder& coder, const Device& device) {
            return std::make_shared<NNGramMatrixCalculationGradient>(device, coder.decodeFloat("alpha"));
        });
}

}  // namespace pewter::mps
