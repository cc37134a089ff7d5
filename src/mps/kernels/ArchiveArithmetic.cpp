#include <MPS/CNNArithmetic.hpp>
#include <MPS/NNCompare.hpp>

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

void encodeForward(const CNNArithmetic& kernel, Coder& coder) {
    encodeScales(kernel, coder);
    coder.encodeUnsigned(kernel.primaryStrideInFeatureChannels(), "primaryStrideInFeatureChannels");
}
template <class K>
std::shared_ptr<K> makeForward(Coder& coder, const Device& device) {
    auto kernel = std::make_shared<K>(device);
    restoreScales(*kernel, coder);
    kernel->setPrimaryStrideInFeatureChannels(coder.decodeSize("primaryStrideInFeatureChannels"));
    return kernel;
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
    classes.addKernel<CNNAdd>("CNNAdd", encodeForward, makeForward<CNNAdd>);
    classes.addKernel<CNNSubtract>("CNNSubtract", encodeForward, makeForward<CNNSubtract>);
    classes.addKernel<CNNMultiply>("CNNMultiply", encodeForward, makeForward<CNNMultiply>);
    classes.addKernel<CNNDivide>("CNNDivide", encodeForward, makeForward<CNNDivide>);
    classes.addKernel<NNCompare>(
        "NNCompare",
        [](const NNCompare& kernel, Coder& coder) {
            encodeForward(kernel, coder);
            coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.comparisonType()), "comparisonType");
            coder.encodeDouble(kernel.threshold(), "threshold");
        },
        [](Coder& coder, const Device& device) {
            auto kernel = makeForward<NNCompare>(coder, device);
            kernel->setComparisonType(coder.decodeEnum("comparisonType", NNComparisonType::GreaterOrEqual));
            kernel->setThreshold(coder.decodeFloat("threshold"));
            return kernel;
        });
    addGradient<CNNAddGradient>(classes, "CNNAddGradient");
    addGradient<CNNSubtractGradient>(classes, "CNNSubtractGradient");
    addGradient<CNNMultiplyGradient>(classes, "CNNMultiplyGradient");
}

}  // namespace pewter::mps
