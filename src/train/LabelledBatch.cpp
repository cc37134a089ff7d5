#include <fmt/format.h>

#include <MTL/CommandBuffer.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/LabelledBatch.hpp>
#include <algorithm>

#include "train/Pictures.h"

namespace pewter::train {

LabelledBatch::LabelledBatch(const std::shared_ptr<MTL::Device>& device, const Dataset& data, std::size_t count,
                             std::size_t classes)
    : pictureBytes_(count * data.imageBytes()) {
    if (!device) throw MPS::Error("LabelledBatch", "device", "a device", "null");
    if (classes != 0 && classes < data.classCount())
        throw MPS::Error("LabelledBatch", "classes", fmt::format("at least {}, those of {}", data.classCount(),
                                                                 data.name()),
                         fmt::format("{}", classes));
    TargetImages extents{1, 1, classes ? classes : data.classCount(), {}};
    if (data.hasTargets()) extents = {data.targets().width, data.targets().height, data.targets().channels, {}};
    if (data.hasTargets())
        targetBytes_.resize(count * extents.imageBytes());
    else
        classes_.resize(count);
    labelValues_.resize(count * extents.imageBytes());
    allPictures_ = manyPictures(device, MPS::ImageFeatureChannelFormat::Unorm8, data.width(), data.height(),
                                data.channels(), count);
    allLabels_ = manyPictures(device, MPS::ImageFeatureChannelFormat::Float32, extents.width, extents.height,
                              extents.channels, count);
    pictures_ = allPictures_->batchRepresentation();
    labels_ = MPS::CNNLossLabels::batch(device, {1, 1, 1}, allLabels_->batchRepresentation());
    states_.assign(labels_.begin(), labels_.end());
    // Written once, so that their memory is there before the first step.
    writeAll(*allPictures_, pictureBytes_.data(), 1);
    writeAll(*allLabels_, labelValues_.data(), sizeof(float));
    const float none = 0;
    for (const auto& labels : labels_)
        labels->lossImage()->writeBytes(&none, MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
}

void LabelledBatch::fill(const Dataset& data, std::span<const std::uint32_t> indices) {
    if (indices.size() != count())
        throw MPS::Error("LabelledBatch", "indices", fmt::format("{}, one a picture", count()),
                         fmt::format("{}", indices.size()));
    if (data.hasTargets()) {
        data.gather(indices, pictureBytes_, {});
        data.gatherTargets(indices, targetBytes_);
        std::transform(targetBytes_.begin(), targetBytes_.end(), labelValues_.begin(),
                       [](std::uint8_t byte) { return static_cast<float>(byte) / 255; });
    } else {
        data.gather(indices, pictureBytes_, classes_);
        const std::size_t classes = labelValues_.size() / count();
        std::fill(labelValues_.begin(), labelValues_.end(), 0.0f);
        for (std::size_t i = 0; i < count(); ++i) labelValues_[i * classes + classes_[i]] = 1;
    }
    writeAll(*allPictures_, pictureBytes_.data(), 1);
    writeAll(*allLabels_, labelValues_.data(), sizeof(float));
}

double LabelledBatch::loss() const {
    double sum = 0;
    for (const auto& labels : labels_) {
        float value = 0;
        labels->lossImage()->readBytes(&value, MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
        sum += value;
    }
    return sum;
}

void LabelledBatch::synchronizeLoss(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) const {
    for (const auto& labels : labels_) labels->lossImage()->synchronize(commandBuffer);
}

}  // namespace pewter::train
