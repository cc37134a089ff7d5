#include <fmt/format.h>

#include <MPS/CNNUpsampling.hpp>
#include <MPS/NNGridSample.hpp>
#include <MPS/NNResize.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace pewter::mps {

using namespace MPS;

namespace {

template <class K>
void encodeFactors(const K& kernel, Coder& coder) {
    coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.scaleFactorX()), "integerScaleFactorX");
    coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.scaleFactorY()), "integerScaleFactorY");
}
template <class K>
std::shared_ptr<K> makeUpsampling(Coder& coder, const Device& device) {
    return std::make_shared<K>(device, coder.decodeSize("integerScaleFactorX"),
                               coder.decodeSize("integerScaleFactorY"));
}

void encodeCrop(const NNCropAndResizeBilinear& kernel, Coder& coder) {
    coder.encodeUnsigned(kernel.resizeWidth(), "resizeWidth");
    coder.encodeUnsigned(kernel.resizeHeight(), "resizeHeight");
    // Origin and size of each region, six numbers.
    std::vector<double> numbers;
    for (std::size_t i = 0; i < kernel.numberOfRegions(); ++i) {
        const auto& r = kernel.regions()[i];
        for (const double v : {r.origin.x, r.origin.y, r.origin.z, r.size.width, r.size.height, r.size.depth})
            numbers.push_back(v);
    }
    coder.encodeDoubles(numbers, "regions");
}

std::shared_ptr<NNCropAndResizeBilinear> makeCrop(Coder& coder, const Device& device) {
    const auto numbers = coder.decodeDoubles("regions");
    if (numbers.size() % 6 != 0)
        coder.refuse("regions", "6 numbers for each region", fmt::format("{}", numbers.size()));
    std::vector<Region> regions(numbers.size() / 6);
    for (std::size_t i = 0; i < regions.size(); ++i) {
        const double* v = &numbers[6 * i];
        regions[i] = {{v[0], v[1], v[2]}, {v[3], v[4], v[5]}};
    }
    return std::make_shared<NNCropAndResizeBilinear>(device, coder.decodeSize("resizeWidth"),
                                                     coder.decodeSize("resizeHeight"), regions.size(),
                                                     regions.data());
}

}  // namespace

void archiveResample(ArchivedClasses& classes) {
    classes.addKernel<CNNUpsamplingNearest>("CNNUpsamplingNearest", encodeFactors<CNNUpsamplingNearest>,
                                            makeUpsampling<CNNUpsamplingNearest>);
    classes.addKernel<CNNUpsamplingNearestGradient>("CNNUpsamplingNearestGradient",
                                                    encodeFactors<CNNUpsamplingNearestGradient>,
                                                    makeUpsampling<CNNUpsamplingNearestGradient>);
    classes.addKernel<CNNUpsamplingBilinear>(
        "CNNUpsamplingBilinear",
        [](const CNNUpsamplingBilinear& kernel, Coder& coder) {
            encodeFactors(kernel, coder);
            coder.encodeBool(kernel.alignCorners(), "alignCorners");
        },
        [](Coder& coder, const Device& device) {
            return std::make_shared<CNNUpsamplingBilinear>(device, coder.decodeSize("integerScaleFactorX"),
                                                           coder.decodeSize("integerScaleFactorY"),
                                                           coder.decodeBool("alignCorners"));
        });
    classes.addKernel<CNNUpsamplingBilinearGradient>("CNNUpsamplingBilinearGradient",
                                                     encodeFactors<CNNUpsamplingBilinearGradient>,
                                                     makeUpsampling<CNNUpsamplingBilinearGradient>);
    classes.addKernel<NNResizeBilinear>(
        "NNResizeBilinear",
        [](const NNResizeBilinear& kernel, Coder& coder) {
            coder.encodeUnsigned(kernel.resizeWidth(), "resizeWidth");
            coder.encodeUnsigned(kernel.resizeHeight(), "resizeHeight");
            coder.encodeBool(kernel.alignCorners(), "alignCorners");
        },
        [](Coder& coder, const Device& device) {
            return std::make_shared<NNResizeBilinear>(device, coder.decodeSize("resizeWidth"),
                                                      coder.decodeSize("resizeHeight"),
                                                      coder.decodeBool("alignCorners"));
        });
    classes.addKernel<NNCropAndResizeBilinear>("NNCropAndResizeBilinear", encodeCrop, makeCrop);
    classes.addKernel<NNGridSample>(
        "NNGridSample",
        [](const NNGridSample& kernel, Coder& coder) {
            coder.encodeBool(kernel.useGridValueAsInputCoordinate(), "useGridValueAsInputCoordinate");
        },
        [](Coder& coder, const Device& device) {
            auto kernel = std::make_shared<NNGridSample>(device);
            kernel->setUseGridValueAsInputCoordinate(coder.decodeBool("useGridValueAsInputCoordinate"));
            return kernel;
        });
}

}  // namespace pewter::mps
