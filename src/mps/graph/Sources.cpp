#include "mps/graph/Sources.h"

#include <MPS/CNNLoss.hpp>
#include <MTL/Device.hpp>
#include <unordered_map>

#include "mps/core/ImageAccess.h"
#include "mps/kernels/LossLabelsAccess.h"

namespace pewter::mps {

namespace {

constexpr std::uint64_t kNoImage = ~std::uint64_t{0};

}  // namespace

std::size_t SourceShape::indexOf(const std::shared_ptr<ImageStorage>& storage) {
    // Images of one batch mostly share a storage, or lie on storages that come in turn.
    for (std::size_t i = storages_.size(); i-- > 0;)
        if (storages_[i] == storage) return i;
    storages_.push_back(storage);
    return storages_.size() - 1;
}

void SourceShape::note(const MPS::Image& image) {
    const auto index = indexOf(ImageAccess::storage(image));
    const auto shape = ImageAccess::shape(image, 0, image.numberOfImages());
    key_.insert(key_.end(), {index, ImageAccess::offset(image), static_cast<std::uint64_t>(shape.type),
                             static_cast<std::uint64_t>(shape.n), static_cast<std::uint64_t>(shape.h),
                             static_cast<std::uint64_t>(shape.w), static_cast<std::uint64_t>(shape.c),
                             static_cast<std::uint64_t>(shape.strideN), static_cast<std::uint64_t>(shape.strideH),
                             static_cast<std::uint64_t>(shape.strideW)});
}

SourceShape::SourceShape(const std::vector<MPS::ImageBatch>& images, const std::vector<MPS::StateBatch>& states) {
    constexpr std::size_t kFurther = 8;
    key_.reserve(kFurther + 10 * (images.empty() ? 0 : images.size() * images[0].size()) + 32 * states.size());
    for (const auto& batch : images) {
        key_.push_back(batch.size());
        for (const auto& image : batch) note(*image);
    }
    for (const auto& batch : states) {
        key_.push_back(batch.size());
        for (const auto& state : batch) {
            auto* labels = dynamic_cast<MPS::CNNLossLabels*>(state.get());
            if (!labels || labels->labelsImage()->isTemporary()) {
                canStandIn_ = false;
                return;
            }
            note(*labels->labelsImage());
            note(*labels->lossImage());
            if (LossLabelsAccess::isWeighted(*labels))
                note(*labels->weightsImage());
            else
                key_.push_back(kNoImage);
        }
    }
}

SourceShape::StandIns SourceShape::standIns(const std::vector<MPS::ImageBatch>& images,
                                            const std::vector<MPS::StateBatch>& states) const {
    StandIns in;
    std::unordered_map<const ImageStorage*, std::shared_ptr<ImageStorage>> other;
    for (const auto& storage : storages_) {
        const auto& device = images[0][0]->device();
        in.memory.push_back(std::make_shared<RunMemory>(storage->bytes()));
        other[storage.get()] = std::make_shared<ImageStorage>(std::make_shared<mtl::Buffer>(
            device, in.memory.back(), storage->bytes(),
            static_cast<MTL::ResourceOptions>(storage->storageMode()) << 4));
    }
    // One object given at two places stays one object.
    std::unordered_map<const void*, std::shared_ptr<MPS::Image>> seenImages;
    const auto standIn = [&](const std::shared_ptr<MPS::Image>& image) {
        auto& stands = seenImages[image.get()];
        if (!stands) stands = ImageAccess::standIn(*image, other.at(ImageAccess::storage(*image).get()));
        return stands;
    };
    for (const auto& batch : images) {
        auto& to = in.images.emplace_back();
        for (const auto& image : batch) to.push_back(standIn(image));
    }
    std::unordered_map<const void*, std::shared_ptr<MPS::State>> seenStates;
    for (const auto& batch : states) {
        auto& to = in.states.emplace_back();
        for (const auto& state : batch) {
            auto& stands = seenStates[state.get()];
            if (auto* labels = dynamic_cast<MPS::CNNLossLabels*>(state.get()); labels && canStandIn_ && !stands)
                stands = LossLabelsAccess::around(
                    labels->labelsImage()->device(), standIn(labels->labelsImage()),
                    LossLabelsAccess::isWeighted(*labels) ? standIn(labels->weightsImage()) : nullptr,
                    standIn(labels->lossImage()));
            to.push_back(stands ? stands : state);
        }
    }
    return in;
}

}  // namespace pewter::mps
