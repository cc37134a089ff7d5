#pragma once

#include <MTL/Error.hpp>
#include <MTL/Export.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace pewter::train {

struct TrainTest;

/// The images that a network shall make of those of a dataset, one each: bytes in the order N, H, W, C that stand for 0 to 1.
struct TargetImages {
    std::size_t width = 0, height = 0, channels = 0;
    std::vector<std::uint8_t> bytes;

    std::size_t imageBytes() const noexcept { return width * height * channels; }
};

/// Images of one size, each with the number of its class or with a target image: what a network learns from and is tested on.
///
/// A plain value: copying copies the images. Immutable once made, so several threads may read one.
/// Bytes lie in the order N, H, W, C, one byte a channel, 0 to 255 (an image of type unorm8 reads them as 0
/// to 1).
class PEWTER_API Dataset {
public:
    /// Takes over `bytes` (labels.size() x height x width x channels of them) and `labels` (one an image).
    /// Throws MPS::Error, naming `name`, when there is no image, an extent is 0, the sizes do not agree,
    /// classCount is not 1 to 65536, there are more than 2^32 - 1 images, or a label is not below classCount.
    Dataset(std::string name, std::size_t width, std::size_t height, std::size_t channels,
            std::size_t classCount, std::vector<std::uint8_t> bytes, std::vector<std::uint16_t> labels);
    /// The same for labels that are bytes, as files of digits have them.
    Dataset(std::string name, std::size_t width, std::size_t height, std::size_t channels,
            std::size_t classCount, std::vector<std::uint8_t> bytes, const std::vector<std::uint8_t>& labels);
    /// The same with a target image for each instead of a label.
    Dataset(std::string name, std::size_t width, std::size_t height, std::size_t channels,
            std::vector<std::uint8_t> bytes, TargetImages targets);

    /// What the data is called in messages: "digits", "fashion-mnist test".
    const std::string& name() const noexcept { return name_; }
    /// Number of images, at least 1.
    std::size_t count() const noexcept { return count_; }
    /// Columns of an image.
    std::size_t width() const noexcept { return width_; }
    /// Rows of an image.
    std::size_t height() const noexcept { return height_; }
    /// Feature channels of an image.
    std::size_t channels() const noexcept { return channels_; }
    /// Labels are 0 to classCount() - 1; not every class need occur. 0: there are target images.
    std::size_t classCount() const noexcept { return classCount_; }
    /// Bytes of one image: height x width x channels.
    std::size_t imageBytes() const noexcept { return width_ * height_ * channels_; }

    /// All images, N, H, W, C. Valid as long as the dataset lives and is not assigned to; so are the spans
    /// below.
    std::span<const std::uint8_t> bytes() const noexcept { return bytes_; }
    /// Empty extents and bytes where there are labels.
    const TargetImages& targets() const noexcept { return targets_; }
    bool hasTargets() const noexcept { return classCount_ == 0; }

    /// All labels, one an image; none where there are target images.
    std::span<const std::uint16_t> labels() const noexcept { return labels_; }
    /// The bytes of one image, H, W, C. Throws MPS::Error when `index` is not below count().
    std::span<const std::uint8_t> image(std::size_t index) const;
    /// The class of one image. Throws MPS::Error when `index` is not below count(), or there are target images.
    std::uint16_t label(std::size_t index) const;

    /// Copies the images and labels at `indices`, in that order, into memory of the caller: a batch, without
    /// allocating. `images` takes indices.size() x imageBytes() bytes, `labels` indices.size() values; either may be
    /// empty, then it is left out. Throws MPS::Error when a size or an index is wrong; nothing is copied
    /// then.
    void gather(std::span<const std::uint32_t> indices, std::span<std::uint8_t> images,
                std::span<std::uint16_t> labels) const;
    /// The same for target images: `targets` takes indices.size() x targets().imageBytes() bytes.
    void gatherTargets(std::span<const std::uint32_t> indices, std::span<std::uint8_t> targets) const;

    /// A dataset of the images at `indices`, in that order, repeats allowed.
    /// Throws MPS::Error when there is none or one is not below count().
    Dataset subset(std::span<const std::uint32_t> indices, std::string name) const;

    /// Holds part of the images out for testing. The rule: the numbers 0 to count() - 1 are shuffled by
    /// Random(seed).shuffle; the first round(count() x heldOut) of them are the test images, the rest are for
    /// training; both parts are then put back into ascending order. The seed of the training run has no part
    /// in it, so every run is judged on the same images. The parts are called "<name> train" and "<name>
    /// test". Throws MPS::Error when `heldOut` is not between 0 and 1 or leaves either part empty.
    TrainTest split(double heldOut, std::uint64_t seed) const;

private:
    void checkIndices(std::span<const std::uint32_t> indices) const;

    std::string name_;
    std::size_t width_, height_, channels_, classCount_, count_ = 0;
    std::vector<std::uint8_t> bytes_;
    std::vector<std::uint16_t> labels_;
    TargetImages targets_;
};

/// What a network learns from, and what it is tested on.
struct TrainTest {
    Dataset train;
    Dataset test;
};

}  // namespace pewter::train
