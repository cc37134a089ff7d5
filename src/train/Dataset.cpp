#include <fmt/format.h>

#include <Pewter/train/Dataset.hpp>
#include <Pewter/train/Random.hpp>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace pewter::train {
namespace {

constexpr std::size_t kMostClasses = 65536;  // of labels of 16 bits

/// width x height x channels x count, or nothing when it does not fit.
bool productFits(std::size_t& product, std::initializer_list<std::size_t> factors) {
    product = 1;
    for (const std::size_t factor : factors) {
        if (factor != 0 && product > std::numeric_limits<std::size_t>::max() / factor) return false;
        product *= factor;
    }
    return true;
}

void checkExtents(const std::string& name, const char* argument, std::size_t width, std::size_t height,
                  std::size_t channels) {
    if (width == 0 || height == 0 || channels == 0)
        throw MPS::Error(name, argument, "width, height and channels of at least 1",
                         fmt::format("{} x {} x {}", width, height, channels));
}

void checkCount(const std::string& name, const char* argument, std::size_t count) {
    if (count == 0 || count > std::numeric_limits<std::uint32_t>::max())
        throw MPS::Error(name, argument, "1 to 4294967295 images", fmt::format("{}", count));
}

void checkBytes(const std::string& name, const char* argument, std::size_t bytes, std::size_t count,
                std::size_t width, std::size_t height, std::size_t channels) {
    std::size_t total = 0;
    if (!productFits(total, {count, height, width, channels}) || total != bytes)
        throw MPS::Error(name, argument, fmt::format("{} images x {} x {} x {} bytes", count, height, width, channels),
                         fmt::format("{} bytes", bytes));
}

/// Copies the images of `extent` bytes at `indices`.
void gatherImages(const std::vector<std::uint8_t>& from, std::size_t extent, std::span<const std::uint32_t> indices,
                  std::span<std::uint8_t> to) {
    for (std::size_t i = 0; i < indices.size(); ++i)
        std::copy_n(from.data() + indices[i] * extent, extent, to.data() + i * extent);
}

/// Divides, so that a huge number of indices cannot overflow the product.
bool holds(std::span<const std::uint8_t> room, std::size_t images, std::size_t extent) {
    return room.size() % extent == 0 && room.size() / extent == images;
}

}  // namespace

Dataset::Dataset(std::string name, std::size_t width, std::size_t height, std::size_t channels,
                 std::size_t classCount, std::vector<std::uint8_t> bytes, std::vector<std::uint16_t> labels)
    : name_(std::move(name)),
      width_(width),
      height_(height),
      channels_(channels),
      classCount_(classCount),
      count_(labels.size()),
      bytes_(std::move(bytes)),
      labels_(std::move(labels)) {
    checkExtents(name_, "image size", width_, height_, channels_);
    if (classCount_ == 0 || classCount_ > kMostClasses) {
        throw MPS::Error(name_, "classCount", fmt::format("1 to {}", kMostClasses), fmt::format("{}", classCount_));
    }
    checkCount(name_, "labels", count_);
    checkBytes(name_, "bytes", bytes_.size(), count_, width_, height_, channels_);
    const auto wrong = std::find_if(labels_.begin(), labels_.end(),
                                    [&](std::uint16_t label) { return label >= classCount_; });
    if (wrong != labels_.end()) {
        throw MPS::Error(name_, fmt::format("label of image {}", wrong - labels_.begin()),
                         fmt::format("0 to {}", classCount_ - 1), fmt::format("{}", *wrong));
    }
}

Dataset::Dataset(std::string name, std::size_t width, std::size_t height, std::size_t channels, std::size_t classCount,
                 std::vector<std::uint8_t> bytes, const std::vector<std::uint8_t>& labels)
    : Dataset(std::move(name), width, height, channels, classCount, std::move(bytes),
              std::vector<std::uint16_t>(labels.begin(), labels.end())) {}

Dataset::Dataset(std::string name, std::size_t width, std::size_t height, std::size_t channels,
                 std::vector<std::uint8_t> bytes, TargetImages targets)
    : name_(std::move(name)),
      width_(width),
      height_(height),
      channels_(channels),
      classCount_(0),
      bytes_(std::move(bytes)),
      targets_(std::move(targets)) {
    checkExtents(name_, "image size", width_, height_, channels_);
    checkExtents(name_, "target size", targets_.width, targets_.height, targets_.channels);
    count_ = bytes_.size() / imageBytes();
    checkCount(name_, "bytes", count_);
    checkBytes(name_, "bytes", bytes_.size(), count_, width_, height_, channels_);
    checkBytes(name_, "targets", targets_.bytes.size(), count_, targets_.width, targets_.height, targets_.channels);
}

std::span<const std::uint8_t> Dataset::image(std::size_t index) const {
    if (index >= count()) {
        throw MPS::Error(name_, "image index", fmt::format("0 to {}", count() - 1), fmt::format("{}", index));
    }
    return std::span(bytes_).subspan(index * imageBytes(), imageBytes());
}

std::uint16_t Dataset::label(std::size_t index) const {
    if (index >= count()) {
        throw MPS::Error(name_, "label index", fmt::format("0 to {}", count() - 1), fmt::format("{}", index));
    }
    if (hasTargets()) throw MPS::Error(name_, "label", "a dataset with labels", "one with target images");
    return labels_[index];
}

void Dataset::checkIndices(std::span<const std::uint32_t> indices) const {
    for (std::size_t i = 0; i < indices.size(); ++i) {
        if (indices[i] >= count()) {
            throw MPS::Error(name_, fmt::format("indices[{}]", i), fmt::format("0 to {}", count() - 1),
                             fmt::format("{}", indices[i]));
        }
    }
}

void Dataset::gather(std::span<const std::uint32_t> indices, std::span<std::uint8_t> images,
                     std::span<std::uint16_t> labels) const {
    if (!images.empty() && !holds(images, indices.size(), imageBytes())) {
        throw MPS::Error(name_, "images",
                         fmt::format("room for {} images of {} bytes", indices.size(), imageBytes()),
                         fmt::format("{} bytes", images.size()));
    }
    if (!labels.empty() && hasTargets())
        throw MPS::Error(name_, "labels", "none for a dataset with target images", fmt::format("{}", labels.size()));
    if (!labels.empty() && labels.size() != indices.size()) {
        throw MPS::Error(name_, "labels", fmt::format("room for {} labels", indices.size()),
                         fmt::format("{}", labels.size()));
    }
    checkIndices(indices);
    if (!images.empty()) gatherImages(bytes_, imageBytes(), indices, images);
    if (!labels.empty())
        for (std::size_t i = 0; i < indices.size(); ++i) labels[i] = labels_[indices[i]];
}

void Dataset::gatherTargets(std::span<const std::uint32_t> indices, std::span<std::uint8_t> targets) const {
    if (!hasTargets()) throw MPS::Error(name_, "targets", "a dataset with target images", "one with labels");
    if (!holds(targets, indices.size(), targets_.imageBytes()))
        throw MPS::Error(name_, "targets",
                         fmt::format("room for {} images of {} bytes", indices.size(), targets_.imageBytes()),
                         fmt::format("{} bytes", targets.size()));
    checkIndices(indices);
    gatherImages(targets_.bytes, targets_.imageBytes(), indices, targets);
}

Dataset Dataset::subset(std::span<const std::uint32_t> indices, std::string name) const {
    if (indices.empty()) throw MPS::Error(name_, "indices", "at least one image", "none");
    checkIndices(indices);
    std::vector<std::uint8_t> bytes(indices.size() * imageBytes());
    std::vector<std::uint16_t> labels(hasTargets() ? 0 : indices.size());
    gather(indices, bytes, labels);
    if (hasTargets()) {
        TargetImages targets{targets_.width, targets_.height, targets_.channels, {}};
        targets.bytes.resize(indices.size() * targets.imageBytes());
        gatherTargets(indices, targets.bytes);
        return Dataset(std::move(name), width_, height_, channels_, std::move(bytes), std::move(targets));
    }
    return Dataset(std::move(name), width_, height_, channels_, classCount_, std::move(bytes),
                   std::move(labels));
}

TrainTest Dataset::split(double heldOut, std::uint64_t seed) const {
    if (!(heldOut > 0 && heldOut < 1)) {
        throw MPS::Error(name_, "heldOut", "more than 0 and less than 1", fmt::format("{}", heldOut));
    }
    const auto testCount = static_cast<std::size_t>(std::llround(static_cast<double>(count()) * heldOut));
    if (testCount == 0 || testCount == count()) {
        throw MPS::Error(name_, "heldOut",
                         fmt::format("a part that leaves both sides images, of {}", count()),
                         fmt::format("{}, which holds out {}", heldOut, testCount));
    }
    std::vector<std::uint32_t> order(count());
    std::iota(order.begin(), order.end(), 0u);
    Random(seed).shuffle(std::span(order));
    const auto border = order.begin() + static_cast<std::ptrdiff_t>(testCount);
    std::sort(order.begin(), border);
    std::sort(border, order.end());
    const std::span<const std::uint32_t> all(order);
    return {subset(all.subspan(testCount), name_ + " train"), subset(all.first(testCount), name_ + " test")};
}

}  // namespace pewter::train
