#include <MPS/CNNNormalization.hpp>
#include <MPS/NNGramMatrix.hpp>
#include <MPS/NNLocalCorrelation.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace pewter::mps {

using namespace MPS;

namespace {

void encodeBase(const CNNNormalizationProperties& k, Coder& coder) {
    coder.encodeDouble(k.alpha(), "alpha");
    coder.encodeDouble(k.beta(), "beta");
    coder.encodeDouble(k.delta(), "delta");
}
template <class K>
std::shared_ptr<K> withBase(std::shared_ptr<K> kernel, Coder& coder) {
    kernel->setAlpha(coder.decodeFloat("alpha"));
    kernel->setBeta(coder.decodeFloat("beta"));
    kernel->setDelta(coder.decodeFloat("delta"));
    return kernel;
}

template <class K>
void encodeContrast(const K& k, Coder& coder) {
    encodeBase(k, coder);
    coder.encodeDouble(k.p0(), "p0");
    coder.encodeDouble(k.pm(), "pm");
    coder.encodeDouble(k.ps(), "ps");
}
template <class K>
std::shared_ptr<K> withContrast(std::shared_ptr<K> kernel, Coder& coder) {
    withBase(kernel, coder);
    kernel->setP0(coder.decodeFloat("p0"));
    kernel->setPm(coder.decodeFloat("pm"));
    kernel->setPs(coder.decodeFloat("ps"));
    return kernel;
}

void encodeWindow(const CNNKernel& k, Coder& coder) {
    coder.encodeUnsigned(k.kernelWidth(), "kernelWidth");
    coder.encodeUnsigned(k.kernelHeight(), "kernelHeight");
}
void encodeWindow(const CNNGradientKernel& k, Coder& coder) {
    coder.encodeUnsigned(k.secondaryKernelWidth(), "kernelWidth");
    coder.encodeUnsigned(k.secondaryKernelHeight(), "kernelHeight");
}
template <class K>
std::shared_ptr<K> makeWindow(Coder& coder, const Device& device) {
    return std::make_shared<K>(device, coder.decodeSize("kernelWidth"), coder.decodeSize("kernelHeight"));
}

template <class K>
void addSpatial(ArchivedClasses& classes, const char* name) {
    classes.addKernel<K>(
        name,
        [](const K& k, Coder& coder) {
            encodeWindow(k, coder);
            encodeBase(k, coder);
        },
        [](Coder& coder, const Device& device) { return withBase(makeWindow<K>(coder, device), coder); });
}

template <class K>
void addContrast(ArchivedClasses& classes, const char* name) {
    classes.addKernel<K>(
        name,
        [](const K& k, Coder& coder) {
            encodeWindow(k, coder);
            encodeContrast(k, coder);
        },
        [](Coder& coder, const Device& device) { return withContrast(makeWindow<K>(coder, device), coder); });
}

template <class K>
void addCrossChannel(ArchivedClasses& classes, const char* name) {
    classes.addKernel<K>(
        name,
        [](const K& k, Coder& coder) {
            coder.encodeUnsigned(k.kernelSize(), "kernelSize");
            encodeBase(k, coder);
        },
        [](Coder& coder, const Device& device) {
            return withBase(std::make_shared<K>(device, coder.decodeSize("kernelSize")), coder);
        });
}

}  // namespace

void archiveLocalNormalization(ArchivedClasses& classes) {
    addSpatial<CNNSpatialNormalization>(classes, "CNNSpatialNormalization");
    addSpatial<CNNSpatialNormalizationGradient>(classes, "CNNSpatialNormalizationGradient");
    addContrast<CNNLocalContrastNormalization>(classes, "CNNLocalContrastNormalization");
    addContrast<CNNLocalContrastNormalizationGradient>(classes, "CNNLocalContrastNormalizationGradient");
    addCrossChannel<CNNCrossChannelNormalization>(classes, "CNNCrossChannelNormalization");
    addCrossChannel<CNNCrossChannelNormalizationGradient>(classes, "CNNCrossChannelNormalizationGradient");
}

}  // namespace pewter::mps
