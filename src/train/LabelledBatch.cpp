#include <fmt/format.h>

#include <MTL/CommandBuffer.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/LabelledBatch.hpp>
#include <algorithm>

#include "train/Pictures.h"

namespace pewter::train {

LabelledBatch::LabelledBatch(const std::shared_ptr<MTL::Device>& device, const Dataset& data, std::size_t count,
                             std::size_t classes)
    : classes_(classes ? classes : data.classCount()),
      pictureBytes_(count * data.imageBytes()),
      labelBytes_(count),
      oneHot_(count * classes_) {
    if (!device) throw MPS::Error("LabelledBatch", "device", "a device", "null");
    if (classes_ < data.classCount())
        throw MPS::Error("LabelledBatch", "classes", fmt::format("at least {}, those of {}", data.classCount(),
                                                                 data.name()),
                         fmt::format("{}", classes_));
    allPictures_ = manyPictures(device, MPS::ImageFeatureChannelFormat::Unorm8, data.width(), data.height(),
                                data.channels(), count);
    allLabels_ = manyPictures(device, MPS::ImageFeatureChannelFormat::Float32, 1, 1, classes_, count);
    pictures_ = allPictures_->batchRepresentation();
    labels_ = MPS::CNNLossLabels::batch(device, {1, 1, 1}, allLabels_->batchRepresentation());
    states_.assign(labels_.begin(), labels_.end());
    // Written once, so that their memory is there before the first step.
    writeAll(*allPictures_, pictureBytes_.data(), 1);
    writeAll(*allLabels_, oneHot_.data(), sizeof(float));
    const float none = 0;
    for (const auto& labels : labels_)
        labels->lossImage()->writeBytes(&none, MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
}

void LabelledBatch::fill(const Dataset& data, std::span<const std::uint32_t> indices) {
    if (indices.size() != count())
        throw MPS::Error("LabelledBatch", "indices", fmt::format("{}, one a picture", count()),
                         fmt::format("{}", indices.size()));
    data.gather(indices, pictureBytes_, labelBytes_);
    writeAll(*allPictures_, pictureBytes_.data(), 1);
    std::fill(oneHot_.begin(), oneHot_.end(), 0.0f);
    for (std::size_t i = 0; i < labelBytes_.size(); ++i) oneHot_[i * classes_ + labelBytes_[i]] = 1;
    writeAll(*allLabels_, oneHot_.data(), sizeof(float));
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
