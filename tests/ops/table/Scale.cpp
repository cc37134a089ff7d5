// Resampling to the size of the destination, by two windows.

#include <MPS/ImageScale.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <cmath>
#include <optional>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;

template <class Kernel>
OpCase scale(const std::string& name, const Shape& shape, std::size_t width, std::size_t height,
             const std::optional<MPS::ScaleTransform>& transform = std::nullopt) {
    constexpr bool kLanczos = std::is_same_v<Kernel, MPS::ImageLanczosScale>;
    OpCase op;
    op.name = (kLanczos ? "Lanczos, " : "bilinear, ") + name;
    op.operands = {{"source", shape, Domain::Signed, Kind::Image, false}};
    // Taps along both axes; those of Lanczos are spread where the image shrinks, and the sum of their sizes
    // is less than 2 along each.
    const auto taps = [](std::size_t from, std::size_t to) { return 6 * (from / to + 1) + 1; };
    op.sumLength = kLanczos ? static_cast<double>(taps(shape.w, width) + taps(shape.h, height)) : 4;
    if (kLanczos) op.magnitude = 4;
    op.run = [=](const Setting& setting, const std::vector<Array>& operands, const Incoming*) {
        Kernel kernel(setting.device);
        kernel.setScaleTransform(transform);
        const auto sources = imagesOf(setting, operands[0]);
        MPS::ImageBatch results;
        for (std::size_t i = 0; i < sources.size(); ++i)
            results.push_back(std::make_shared<MPS::Image>(
                setting.device, MPS::ImageDescriptor::imageDescriptor(sources[0]->featureChannelFormat(),
                                                                      width, height, shape.c)));
        const auto commandBuffer = setting.device->newCommandQueue()->commandBuffer();
        kernel.encodeBatch(commandBuffer, sources, results);
        finish(commandBuffer);
        Outcome outcome;
        outcome.outputs = {arrayOf(results)};
        outcome.gradients.resize(1);
        return outcome;
    };
    return op;
}

template <class Kernel>
void add(OpRow& row) {
    row.cases.push_back(scale<Kernel>("larger", {2, 3, 4, 3}, 7, 5));
    row.cases.push_back(scale<Kernel>("smaller", {2, 7, 9, 2}, 4, 3));
    row.cases.push_back(scale<Kernel>("wider and lower, 17 channels", {1, 5, 3, 17}, 4, 2));
    row.cases.push_back(scale<Kernel>("to one pixel", {2, 3, 4, 5}, 1, 1));
    row.cases.push_back(scale<Kernel>("from one pixel", {1, 1, 1, 6}, 4, 3));
    row.cases.push_back(
        scale<Kernel>("a part, mirrored", {2, 4, 5, 3}, 6, 4, MPS::ScaleTransform{-2, 1.5, 7, -1}));
    row.large.push_back(scale<Kernel>("224 to 299, 16 channels", {8, 224, 224, 16}, 299, 299));
    row.large.push_back(scale<Kernel>("960 x 540 to 640 x 360, 3 channels", {8, 540, 960, 3}, 640, 360));
}

}  // namespace

OpRow Scale() {
    OpRow row;
    row.family = "scale";
    row.classes = {"MPSImageBilinearScale", "MPSImageLanczosScale"};
    row.pytorch = "F.interpolate(x, size, mode='bilinear'), bilinear only";
    add<MPS::ImageBilinearScale>(row);
    add<MPS::ImageLanczosScale>(row);
    row.errors = {
        {"a scale of 0",
         [](const auto& device) {
             MPS::ImageBilinearScale(device).setScaleTransform(MPS::ScaleTransform{0, 1, 0, 0});
         },
         "scaleTransform: expected scales from 2^-16 to 2^20 in size, found 0"},
        {"a translation without end",
         [](const auto& device) {
             MPS::ImageLanczosScale(device).setScaleTransform(MPS::ScaleTransform{1, 1, 0, HUGE_VAL});
         },
         "scaleTransform: expected finite translations, found inf"}};
    return row;
}

}  // namespace pewter::optable
