#include <MPS/CNNPooling.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace pewter::mps {

using namespace MPS;

namespace {

struct Window {
    std::size_t width, height, strideX, strideY, dilationX, dilationY;
};

void encodeWindow(Coder& coder, const Window& w) {
    coder.encodeUnsigned(w.width, "kernelWidth");
    coder.encodeUnsigned(w.height, "kernelHeight");
    coder.encodeUnsigned(w.strideX, "strideInPixelsX");
    coder.encodeUnsigned(w.strideY, "strideInPixelsY");
    coder.encodeUnsigned(w.dilationX, "dilationRateX");
    coder.encodeUnsigned(w.dilationY, "dilationRateY");
}

void encodeForward(const CNNPooling& k, Coder& coder) {
    encodeWindow(coder, {k.kernelWidth(), k.kernelHeight(), k.strideInPixelsX(), k.strideInPixelsY(),
                         k.dilationRateX(), k.dilationRateY()});
}
void encodeGradient(const CNNPoolingGradient& k, Coder& coder) {
    encodeWindow(coder,
                 {k.secondaryKernelWidth(), k.secondaryKernelHeight(), k.secondaryStrideInPixelsX(),
                  k.secondaryStrideInPixelsY(), k.secondaryDilationRateX(), k.secondaryDilationRateY()});
    encodeSize(coder, k.sourceSize(), "sourceSize");
}
template <class K>
void encodeZeroPad(const K& kernel, Coder& coder) {
    coder.encodeUnsigned(kernel.zeroPadSizeX(), "zeroPadSizeX");
    coder.encodeUnsigned(kernel.zeroPadSizeY(), "zeroPadSizeY");
}
template <class K>
void restoreZeroPad(K& kernel, Coder& coder) {
    kernel.setZeroPadSizeX(coder.decodeSize("zeroPadSizeX"));
    kernel.setZeroPadSizeY(coder.decodeSize("zeroPadSizeY"));
}

template <class K>
std::shared_ptr<K> makeForward(Coder& coder, const Device& device) {
    return std::make_shared<K>(device, coder.decodeSize("kernelWidth"), coder.decodeSize("kernelHeight"),
                               coder.decodeSize("strideInPixelsX"), coder.decodeSize("strideInPixelsY"));
}
template <class K>
std::shared_ptr<K> makeDilated(Coder& coder, const Device& device) {
    return std::make_shared<K>(device, coder.decodeSize("kernelWidth"), coder.decodeSize("kernelHeight"),
                               coder.decodeSize("dilationRateX"), coder.decodeSize("dilationRateY"),
                               coder.decodeSize("strideInPixelsX"), coder.decodeSize("strideInPixelsY"));
}
template <class K>
std::shared_ptr<K> withSourceSize(std::shared_ptr<K> kernel, Coder& coder) {
    kernel->setSourceSize(decodeSize(coder, "sourceSize"));
    return kernel;
}

}  // namespace

void archivePooling(ArchivedClasses& classes) {
    classes.addKernel<CNNPoolingMax>("CNNPoolingMax", encodeForward, makeForward<CNNPoolingMax>);
    classes.addKernel<CNNDilatedPoolingMax>("CNNDilatedPoolingMax", encodeForward,
                                            makeDilated<CNNDilatedPoolingMax>);
    classes.addKernel<CNNPoolingAverage>(
        "CNNPoolingAverage",
        [](const CNNPoolingAverage& k, Coder& coder) {
            encodeForward(k, coder);
            encodeZeroPad(k, coder);
        },
        [](Coder& coder, const Device& device) {
            auto kernel = makeForward<CNNPoolingAverage>(coder, device);
            restoreZeroPad(*kernel, coder);
            return kernel;
        });
    classes.addKernel<CNNPoolingL2Norm>("CNNPoolingL2Norm", encodeForward, makeForward<CNNPoolingL2Norm>);
    classes.addKernel<CNNPoolingL2Norm>("CNNPoolingL2Norm", encodeForward, makeForward<CNNPoolingL2Norm>);
    classes.addKernel<CNNPoolingL2NormGradient>(
        "CNNPoolingL2NormGradient", encodeGradient, [](Coder& coder, const Device& device) {
            return withSourceSize(makeForward<CNNPoolingL2NormGradient>(coder, device), coder);
        });
    classes.addKernel<CNNPoolingMaxGradient>(
        "CNNPoolingMaxGradient", encodeGradient, [](Coder& coder, const Device& device) {
            return withSourceSize(makeForward<CNNPoolingMaxGradient>(coder, device), coder);
        });
    classes.addKernel<CNNDilatedPoolingMaxGradient>(
        "CNNDilatedPoolingMaxGradient", encodeGradient, [](Coder& coder, const Device& device) {
            return withSourceSize(makeDilated<CNNDilatedPoolingMaxGradient>(coder, device), coder);
        });
    classes.addKernel<CNNPoolingAverageGradient>(
        "CNNPoolingAverageGradient",
        [](const CNNPoolingAverageGradient& k, Coder& coder) {
            encodeGradient(k, coder);
            encodeZeroPad(k, coder);
        },
        [](Coder& coder, const Device& device) {
            auto kernel = withSourceSize(makeForward<CNNPoolingAverageGradient>(coder, device), coder);
            restoreZeroPad(*kernel, coder);
            return kernel;
        });
    classes.addKernel<CNNPoolingL2NormGradient>(
        "CNNPoolingL2NormGradient", encodeGradient, [](Coder& coder, const Device& device) {
            return withSourceSize(makeForward<CNNPoolingL2NormGradient>(coder, device), coder);
        });
}

}  // namespace pewter::mps
