// Resampling to a given size, of the whole image and of parts of it.

#include <MPS/NNResize.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <cmath>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;

OpCase resize(const std::string& name, const Shape& shape, std::size_t width, std::size_t height,
              bool align) {
    UnaryPair pair;
    pair.source = {"source", shape};
    pair.forward = [=](const auto& device) {
        return std::make_shared<MPS::NNResizeBilinear>(device, width, height, align);
    };
    auto op = caseOf((align ? "corners aligned, " : "") + name, pair);
    op.sumLength = 4;  // taps whose weights add up to 1
    return op;
}

OpCase crop(const std::string& name, const Shape& shape, std::size_t width, std::size_t height,
            const std::vector<MPS::Region>& regions) {
    OpCase op;
    op.name = "crops, " + name;
    op.operands = {{"source", shape, Domain::Signed, Kind::Image, false}};
    op.sumLength = 4;
    op.run = [=](const Setting& setting, const std::vector<Array>& operands, const Incoming*) {
        MPS::NNCropAndResizeBilinear kernel(setting.device, width, height, regions.size(), regions.data());
        kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commandBuffer = setting.device->newCommandQueue()->commandBuffer();
        const auto results = kernel.encodeBatch(commandBuffer, imagesOf(setting, operands[0]));
        finish(commandBuffer);
        Outcome outcome;
        MPS::ImageBatch pictures;
        for (const auto& result : results)
            for (const auto& picture : result->batchRepresentation()) pictures.push_back(picture);
        outcome.outputs = {arrayOf(pictures)};
        outcome.gradients.resize(1);
        return outcome;
    };
    return op;
}

std::vector<ErrorCase> errors() {
    static const MPS::Region kTwo[] = {{{0, 0, 0}, {1, 1, 1}}, {{0.5, 0, 0}, {0.5, 1, 1}}};
    static const MPS::Region kOdd{{0, NAN, 0}, {1, 1, 1}};
    const auto encodes = [](auto encode) {
        return [=](const std::shared_ptr<MTL::Device>& device) {
            const auto image = [&](std::size_t pictures) {
                auto d =
                    MPS::ImageDescriptor::imageDescriptor(MPS::ImageFeatureChannelFormat::Float32, 2, 2, 4);
                d.numberOfImages = pictures;
                return std::make_shared<MPS::Image>(device, d);
            };
            MPS::NNCropAndResizeBilinear kernel(device, 2, 2, 2, kTwo);
            encode(kernel, device->newCommandQueue()->commandBuffer(), image);
        };
    };
    return {
        {"no width", [](const auto& device) { MPS::NNResizeBilinear(device, 0, 2); },
         "resizeWidth: expected at least 1, found 0"},
        {"no height of a crop",
         [](const auto& device) { MPS::NNCropAndResizeBilinear(device, 2, 0, 2, kTwo); },
         "resizeHeight: expected at least 1, found 0"},
        {"no regions", [](const auto& device) { MPS::NNCropAndResizeBilinear(device, 2, 2, 0, kTwo); },
         "numberOfRegions: expected at least 1, found 0"},
        {"null regions", [](const auto& device) { MPS::NNCropAndResizeBilinear(device, 2, 2, 2, nullptr); },
         "regions: expected 2 regions, found null"},
        {"a region without a place",
         [](const auto& device) { MPS::NNCropAndResizeBilinear(device, 2, 2, 1, &kOdd); },
         "regions[0]: expected finite numbers, found nan"},
        {"no room for all regions", encodes([](auto& kernel, const auto& commands, auto& image) {
             kernel.encode(commands, image(2), image(3));
         }),
         "destinationImage: expected room for 4 pictures, 2 regions of 2"},
        {"no room in a batch", encodes([](auto& kernel, const auto& commands, auto& image) {
             kernel.encodeBatch(commands, {image(1)}, {image(1)});
         }),
         "destinationImage: expected room for 2 regions"},
        {"a batch of images with several pictures",
         encodes([](auto& kernel, const auto& commands, auto& image) {
             kernel.encodeBatch(commands, {image(2)}, {image(4)});
         }),
         "one picture in a batch"},
        {"a batch through the base class",
         encodes([](MPS::CNNKernel& kernel, const auto& commands, auto& image) {
             kernel.encodeBatch(commands, {image(1)}, {image(2)});
         }),
         "one picture in a batch"}};
}

}  // namespace

OpRow Resize() {
    OpRow row;
    row.family = "resize";
    row.classes = {"MPSNNResizeBilinear", "MPSNNCropAndResizeBilinear"};
    row.pytorch = "F.interpolate(x, size, mode='bilinear', align_corners=True)";
    for (const bool align : {false, true}) {
        row.cases.push_back(resize("larger", {2, 3, 4, 3}, 7, 5, align));
        row.cases.push_back(resize("smaller", {2, 7, 9, 2}, 4, 3, align));
        row.cases.push_back(resize("wider and lower, 17 channels", {1, 5, 3, 17}, 4, 2, align));
        row.cases.push_back(resize("to one pixel", {2, 3, 4, 5}, 1, 1, align));
        row.cases.push_back(resize("from one pixel", {1, 1, 1, 6}, 4, 3, align));
    }
    const MPS::Region whole{{0, 0, 0}, {1, 1, 1}}, quarter{{0.25, 0.5, 0}, {0.5, 0.5, 1}},
        outside{{-0.5, 0.25, 0}, {2, 0.5, 1}}, mirrored{{1, 0, 0}, {-1, 1, 1}};
    row.cases.push_back(crop("the whole image", {2, 4, 5, 3}, 6, 3, {whole}));
    row.cases.push_back(crop("four regions", {2, 4, 5, 3}, 4, 4, {whole, quarter, outside, mirrored}));
    row.cases.push_back(crop("to one pixel, 17 channels", {1, 4, 5, 17}, 1, 1, {whole, quarter, outside}));
    std::vector<MPS::Region> many;
    for (int i = 0; i < 64; ++i) many.push_back({{i / 128., i / 200., 0}, {0.5, 0.5, 1}});
    row.large = {resize("224 to 299, 16 channels", {8, 224, 224, 16}, 299, 299, false),
                 resize("960 x 540 to 640 x 360, 3 channels", {8, 540, 960, 3}, 640, 360, true),
                 crop("64 regions to 28 x 28, 64 channels", {4, 64, 64, 64}, 28, 28, many)};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
