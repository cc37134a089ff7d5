#include <fmt/format.h>

#include <MPS/CNNLoss.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <unordered_set>

#include "mps/core/Encoder.h"
#include "mps/core/ImageAccess.h"
#include "mps/core/ResultStates.h"
#include "mps/kernels/LossFunctions.h"
#include "mps/kernels/LossLabelsAccess.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

CNNLossKernel::CNNLossKernel(std::shared_ptr<MTL::Device> device) : CNNKernel(std::move(device)) {}

namespace {

StateBatch statesOf(const CNNLossLabelsBatch& labels) { return {labels.begin(), labels.end()}; }

}  // namespace

void CNNLossKernel::requireLabels(const CNNLossLabelsBatch& labels, std::size_t images) const {
    if (labels.size() != images)
        throw Error(name(), "labels", fmt::format("{}, one for each image", images),
                    fmt::format("{}", labels.size()));
    for (std::size_t i = 0; i < images; ++i)
        if (!labels[i])
            throw Error(name(), images > 1 ? fmt::format("labels[{}]", i) : "labels", "labels", "null");
}

void CNNLossKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const std::shared_ptr<Image>& sourceImage,
                           const std::shared_ptr<CNNLossLabels>& labels,
                           const std::shared_ptr<Image>& destinationImage) {
    requireLabels({labels}, 1);
    encodeImages(commandBuffer, {sourceImage}, {labels}, {}, {destinationImage}, false);
}

std::shared_ptr<Image> CNNLossKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                             const std::shared_ptr<Image>& sourceImage,
                                             const std::shared_ptr<CNNLossLabels>& labels) {
    requireLabels({labels}, 1);
    const auto destinations = makeDestinations(commandBuffer, {sourceImage}, {labels});
    undoOnFailure(destinations, {},
                  [&] { encodeImages(commandBuffer, {sourceImage}, {labels}, {}, destinations, false); });
    return destinations[0];
}

void CNNLossKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const ImageBatch& sourceImages, const CNNLossLabelsBatch& labels,
                                const ImageBatch& destinationImages) {
    requireLabels(labels, sourceImages.size());
    if (destinationImages.size() != sourceImages.size())
        throw Error(name(), "destinationImages",
                    fmt::format("{} images, as many as sources", sourceImages.size()),
                    fmt::format("{}", destinationImages.size()));
    encodeImages(commandBuffer, sourceImages, statesOf(labels), {}, destinationImages, true);
}

ImageBatch CNNLossKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                      const ImageBatch& sourceImages, const CNNLossLabelsBatch& labels) {
    requireLabels(labels, sourceImages.size());
    const auto destinations = makeDestinations(commandBuffer, sourceImages, statesOf(labels));
    undoOnFailure(destinations, {}, [&] {
        encodeImages(commandBuffer, sourceImages, statesOf(labels), {}, destinations, true);
    });
    return destinations;
}

void CNNLossKernel::validate(const UnaryEncoding& encoding) const {
    if (encoding.sourceStates.empty())
        throw Error(name(), "labels", "an encode with labels", "one of the inherited forms without any");
    if (encoding.images != encoding.sourceStates.size())
        throw Error(name(), "sourceImage", "an image that holds one picture",
                    fmt::format("one that holds {}", encoding.images));
    if (offset().x != 0 || offset().y != 0)
        throw Error(name(), "offset", "(0, 0): labels belong to the whole source",
                    fmt::format("({}, {})", offset().x, offset().y));
    const auto width = encoding.sourceWidth, height = encoding.sourceHeight,
               channels = encoding.sourceChannels.count;
    const bool reduces = reductionType() != CNNReductionType::None;
    std::unordered_set<const CNNLossLabels*> seen;
    for (std::size_t i = 0; i < encoding.sourceStates.size(); ++i) {
        const auto where = [&](const char* what) {
            return encoding.sourceStates.size() > 1 ? fmt::format("labels[{}].{}", i, what)
                                                    : fmt::format("labels.{}", what);
        };
        const auto* labels = dynamic_cast<const CNNLossLabels*>(encoding.sourceStates[i].get());
        if (!labels)
            throw Error(name(), "labels", "CNNLossLabels",
                        fmt::format("a {}", encoding.sourceStates[i]->className()));
        checkImages(*this, "labels.labelsImage", {labels->labelsImage()}, false);
        const auto& image = *labels->labelsImage();
        if (image.width() != width || image.height() != height || image.featureChannels() != channels)
            throw Error(name(), where("labelsImage"),
                        fmt::format("{} x {} x {}, the size of the source", width, height, channels),
                        fmt::format("{} x {} x {}", image.width(), image.height(), image.featureChannels()));
        const auto& loss = *labels->lossImage();
        const auto w = reduces ? 1 : width, h = reduces ? 1 : height, c = reduces ? 1 : channels;
        if (loss.width() != w || loss.height() != h || loss.featureChannels() != c)
            throw Error(name(), where("lossImage"),
                        fmt::format("{} x {} x {} for a loss that {}", w, h, c,
                                    reduces ? "reduces" : "does not reduce"),
                        fmt::format("{} x {} x {}", loss.width(), loss.height(), loss.featureChannels()));
        if (!seen.insert(labels).second)
            throw Error(name(), where("lossImage"), "labels of its own for every image",
                        "the same labels twice");
    }
}

void CNNLossKernel::record(UnaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    ImageBatch labelsImages, weightsImages, lossImages;
    bool weighted = false;
    for (const auto& state : encoding.sourceStates) {
        auto& labels = static_cast<CNNLossLabels&>(*state);
        labelsImages.push_back(labels.labelsImage());
        lossImages.push_back(labels.lossImage());
        weighted |= LossLabelsAccess::isWeighted(labels);
    }
    if (weighted)
        for (const auto& state : encoding.sourceStates)
            weightsImages.push_back(static_cast<CNNLossLabels&>(*state).weightsImage());

    const auto& lossImage = *lossImages[0];
    const Clip all{0, 0, static_cast<std::int64_t>(lossImage.width()),
                   static_cast<std::int64_t>(lossImage.height())};
    LossOperands operands;
    operands.source = encoding.source;
    operands.labels = encoder.source(labelsImages, 0, 1);
    if (weighted) operands.weights = encoder.source(weightsImages, 0, 1);
    operands.gradient = encoder.wholeGradient(encoding.destination, encoding.clip, encoding.source.shape.w,
                                              encoding.source.shape.h);
    operands.loss = encoder.destination(lossImages, 0, 1, all, 0, lossImage.featureChannels());
    recordLoss(encoder, operands);
}

}  // namespace MPS
