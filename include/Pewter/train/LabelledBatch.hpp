#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <MPS/CNNLoss.hpp>
#include <MPS/Image.hpp>
#include <Pewter/train/Dataset.hpp>

namespace pewter::train {

/// The inputs of one training step, made once and filled again for every batch: unorm8 pictures and float32 labels, each
/// back to back in memory. Labels are one-hot where the data has classes, and the target images (byte / 255) where it has
/// those. Fill it only when the command buffer that used it last has completed.
class PEWTER_API LabelledBatch {
public:
    /// For `count` pictures like those of `data`; one-hot labels get `classes` channels, by default as many as
    /// the data has classes.
    LabelledBatch(const std::shared_ptr<MTL::Device>& device, const Dataset& data, std::size_t count,
                  std::size_t classes = 0);

    /// Copies the pictures and labels at `indices`, which are as many as the batch holds.
    void fill(const Dataset& data, std::span<const std::uint32_t> indices);

    const MPS::ImageBatch& pictures() const { return pictures_; }
    /// CNNLossLabels, as source states of a graph.
    const MPS::StateBatch& labels() const { return states_; }
    std::size_t count() const { return pictures_.size(); }
    /// Sum of the loss images: the mean loss when the loss has the weight of Target::lossWeight, and
    /// TrainingNetwork::lossScale() times that in the graph of such a network. Valid once the command
    /// buffer has completed.
    double loss() const;
    /// Announces that the host will read the loss images.
    void synchronizeLoss(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) const;

private:
    std::shared_ptr<MPS::Image> allPictures_, allLabels_;
    MPS::ImageBatch pictures_;
    MPS::CNNLossLabelsBatch labels_;
    MPS::StateBatch states_;
    std::vector<std::uint8_t> pictureBytes_, targetBytes_;
    std::vector<std::uint16_t> classes_;
    std::vector<float> labelValues_;
};

}  // namespace pewter::train
