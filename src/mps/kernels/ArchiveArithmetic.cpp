#include <MPS/CNNArithmetic.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace pewter::mps {

using namespace MPS;

namespace {

/// What CNNArithmetic and CNNArithmeticGradient have in common.
template <class K>
void encodeScales(const K& kernel, Coder& coder) {
    coder.encodeDouble(kernel.primaryScale(), "primaryScale");
    coder.encodeDouble(kernel.secondaryScale(), "secondaryScale");
    coder.encodeDouble(kernel.bias(), "bias");
    coder.encodeDouble(kernel.minimumValue(), "minimumValue");
    coder.encodeDouble(kernel.maximumValue(), "maximumValue");
    coder.encodeUnsigned(kernel.secondaryStrideInFeatureChannels(), "secondaryStrideInFeatureChannels");
}
template <class K>
void restoreScales(K& kernel, Coder& coder) {
    kernel.setPrimaryScale(coder.decodeFloat("primaryScale"));
    kernel.setSecondaryScale(coder.decodeFloat("secondaryScale"));
    kernel.setBias(coder.decodeFloat("bias"));
    kernel.setMinimumValue(coder.decodeFloat("minimumValue"));
    kernel.setMaximumValue(coder.decodeFloat("maximumValue"));
    kernel.setSecondaryStrideInFeatureChannels(coder.decodeSize("secondaryStrideInFeatureChannels"));
}

template <class K>
void addForward(ArchivedClasses& classes, const char* name) {
    classes.addKernel<K>(
        name,
        [](const K& kernel, Coder& coder) {
            encodeScales(kernel, coder);
            coder.encodeUnsigned(kernel.primaryStrideInFeatureChannels(), "primaryStrideInFeatureChannels");
        },
        [](Coder& coder, const Device& device) {
            auto kernel = std::make_shared<K>(device);
            restoreScales(*kernel, coder);
            kernel->setPrimaryStrideInFeatureChannels(coder.decodeSize("primaryStrideInFeatureChannels"));
            return kernel;
        });
}

template <class K>
void addGradient(ArchivedClasses& classes, const char* name) {
    classes.addKernel<K>(
        name,
        [](const K& kernel, Coder& coder) {
            encodeScales(kernel, coder);
            coder.encodeBool(kernel.isSecondarySourceFilter(), "isSecondarySourceFilter");
        },
        [](Coder& coder, const Device& device) {
            auto kernel = std::make_shared<K>(device, coder.decodeBool("isSecondarySourceFilter"));
            restoreScales(*kernel, coder);
            return kernel;
        });
}

}  // namespace

void archiveArithmetic(ArchivedClasses& classes) {
    addForward<CNNAdd>(classes, "CNNAdd");
    addForward<CNNSubtract>(classes, "CNNSubtract");
    addForward<CNNMultiply>(classes, "CNNMultiply");
    addForward<CNNDivide>(classes, "CNNDivide");
    addGradient<CNNAddGradient>(classes, "CNNAddGradient");
    addGradient<CNNSubtractGradient>(classes, "CNNSubtractGradient");
    addGradient<CNNMultiplyGradient>(classes, "CNNMultiplyGradient");
}

}  // namespace pewter::mps
