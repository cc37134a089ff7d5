#include <MPS/CNNUpsampling.hpp>
#include <MPS/ImageScale.hpp>
#include <MPS/NNGridSample.hpp>
#include <MPS/NNResize.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace pewter::mps {

using namespace MPS;

namespace {

template <class K>
void encodeFactors(const K& k, Coder& coder) {
    coder.encodeUnsigned(static_cast<std::uint64_t>(k.scaleFactorX()), "scaleFactorX");
    coder.encodeUnsigned(static_cast<std::uint64_t>(k.scaleFactorY()), "scaleFactorY");
}
template <class K>
std::shared_ptr<K> makeOfFactors(Coder& coder, const Device& device) {
    return std::make_shared<K>(device, coder.decodeSize("scaleFactorX"), coder.decodeSize("scaleFactorY"));
}
template <class K>
void encodeResult(const K& k, Coder& coder) {
    coder.encodeUnsigned(k.resizeWidth(), "resizeWidth");
    coder.encodeUnsigned(k.resizeHeight(), "resizeHeight");
}

/// Numbers of a region: origin, then size.
constexpr std::size_t kNumbers = 6;

std::vector<double> numbersOf(const NNCropAndResizeBilinear& kernel) {
    std::vector<double> numbers;
    for (std::size_t i = 0; i < kernel.numberOfRegions(); ++i) {
        const auto& [origin, size] = kernel.regions()[i];
        numbers.insert(numbers.end(), {origin.x, origin.y, origin.z, size.width, size.height, size.depth});
    }
    return numbers;
}

std::vector<Region> regionsOf(Coder& coder) {
    const auto numbers = coder.decodeDoubles("regions");
    if (numbers.empty() || numbers.size() % kNumbers != 0)
        coder.refuse("regions", "six numbers a region", std::to_string(numbers.size()));
    std::vector<Region> regions;
    for (std::size_t i = 0; i < numbers.size(); i += kNumbers)
        regions.push_back(
            {{numbers[i], numbers[i + 1], numbers[i + 2]}, {numbers[i + 3], numbers[i + 4], numbers[i + 5]}});
    return regions;
}

/// Four numbers of a transform, or none.
template <class K>
void addScale(ArchivedClasses& classes, const char* name) {
    classes.addKernel<K>(
        name,
        [](const K& k, Coder& coder) {
            std::vector<double> numbers;
            if (const auto& t = k.scaleTransform())
                numbers = {t->scaleX, t->scaleY, t->translateX, t->translateY};
            coder.encodeDoubles(numbers, "scaleTransform");
        },
        [](Coder& coder, const Device& device) {
            const auto kernel = std::make_shared<K>(device);
            const auto numbers = coder.decodeDoubles("scaleTransform");
            if (!numbers.empty() && numbers.size() != 4)
                coder.refuse("scaleTransform", "four numbers or none", std::to_string(numbers.size()));
            if (!numbers.empty())
                kernel->setScaleTransform(ScaleTransform{numbers[0], numbers[1], numbers[2], numbers[3]});
            return kernel;
        });
}

}  // namespace

void archiveResampling(ArchivedClasses& classes) {
    classes.addKernel<CNNUpsamplingNearest>("CNNUpsamplingNearest", encodeFactors<CNNUpsamplingNearest>,
                                            makeOfFactors<CNNUpsamplingNearest>);
    classes.addKernel<CNNUpsamplingBilinear>(
        "CNNUpsamplingBilinear",
        [](const CNNUpsamplingBilinear& k, Coder& coder) {
            encodeFactors(k, coder);
            coder.encodeBool(k.alignCorners(), "alignCorners");
        },
        [](Coder& coder, const Device& device) {
            return std::make_shared<CNNUpsamplingBilinear>(device, coder.decodeSize("scaleFactorX"),
                                                           coder.decodeSize("scaleFactorY"),
                                                           coder.decodeBool("alignCorners"));
        });
    classes.addKernel<CNNUpsamplingNearestGradient>("CNNUpsamplingNearestGradient",
                                                    encodeFactors<CNNUpsamplingNearestGradient>,
                                                    makeOfFactors<CNNUpsamplingNearestGradient>);
    classes.addKernel<CNNUpsamplingBilinearGradient>("CNNUpsamplingBilinearGradient",
                                                     encodeFactors<CNNUpsamplingBilinearGradient>,
                                                     makeOfFactors<CNNUpsamplingBilinearGradient>);
    classes.addKernel<NNResizeBilinear>(
        "NNResizeBilinear",
        [](const NNResizeBilinear& k, Coder& coder) {
            encodeResult(k, coder);
            coder.encodeBool(k.alignCorners(), "alignCorners");
        },
        [](Coder& coder, const Device& device) {
            return std::make_shared<NNResizeBilinear>(device, coder.decodeSize("resizeWidth"),
                                                      coder.decodeSize("resizeHeight"),
                                                      coder.decodeBool("alignCorners"));
        });
    classes.addKernel<NNCropAndResizeBilinear>(
        "NNCropAndResizeBilinear",
        [](const NNCropAndResizeBilinear& k, Coder& coder) {
            encodeResult(k, coder);
            coder.encodeDoubles(numbersOf(k), "regions");
        },
        [](Coder& coder, const Device& device) {
            const auto regions = regionsOf(coder);
            return std::make_shared<NNCropAndResizeBilinear>(device, coder.decodeSize("resizeWidth"),
                                                             coder.decodeSize("resizeHeight"), regions.size(),
                                                             regions.data());
        });
    addScale<ImageBilinearScale>(classes, "ImageBilinearScale");
    addScale<ImageLanczosScale>(classes, "ImageLanczosScale");
    classes.addKernel<NNGridSample>(
        "NNGridSample",
        [](const NNGridSample& k, Coder& coder) {
            coder.encodeBool(k.useGridValueAsInputCoordinate(), "useGridValueAsInputCoordinate");
        },
        [](Coder& coder, const Device& device) {
            const auto kernel = std::make_shared<NNGridSample>(device);
            kernel->setUseGridValueAsInputCoordinate(coder.decodeBool("useGridValueAsInputCoordinate"));
            return kernel;
        });
}

}  // namespace pewter::mps
