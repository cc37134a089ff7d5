#include <fmt/format.h>

#include <Pewter/train/Dataset.hpp>
#include <Pewter/train/Random.hpp>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace pewter::train {
namespace {

constexpr std::size_t kMostClasses = 256;  // labels are bytes

/// width x height x channels x count, or nothing when it does not fit.
bool productFits(std::size_t& product, std::initializer_list<std::size_t> factors) {
    product = 1;
    for (const std::size_t factor : factors) {
        if (factor != 0 && product > std::numeric_limits<std::size_t>::max() / factor) return false;
        product *= factor;
    }
    return true;
}

}  // namespace

Dataset::Dataset(std::string name, std::size_t width, std::size_t height, std::size_t channels,
                 std::size_t classCount, std::vector<std::uint8_t> bytes, std::vector<std::uint8_t> labels)
    : name_(std::move(name)),
      width_(width),
      height_(height),
      channels_(channels),
      classCount_(classCount),
      bytes_(std::move(bytes)),
      labels_(std::move(labels)) {
    if (width_ == 0 || height_ == 0 || channels_ == 0) {
        throw MPS::Error(name_, "image size", "width, height and channels of at least 1",
                         fmt::format("{} x {} x {}", width_, height_, channels_));
    }
    if (classCount_ == 0 || classCount_ > kMostClasses) {
        throw MPS::Error(name_, "classCount", "1 to 256", fmt::format("{}", classCount_));
    }
    if (labels_.empty() || labels_.size() > std::numeric_limits<std::uint32_t>::max()) {
        throw MPS::Error(name_, "labels", "1 to 4294967295 images", fmt::format("{}", labels_.size()));
    }
    std::size_t total = 0;
    if (!productFits(total, {labels_.size(), height_, width_, channels_}) || total != bytes_.size()) {
        throw MPS::Error(
            name_, "bytes",
            fmt::format("{} images x {} x {} x {} bytes", labels_.size(), height_, width_, channels_),
            fmt::format("{} bytes", bytes_.size()));
    }
    const auto wrong = std::find_if(labels_.begin(), labels_.end(),
                                    [&](std::uint8_t label) { return label >= classCount_; });
    if (wrong != labels_.end()) {
        throw MPS::Error(name_, fmt::format("label of image {}", wrong - labels_.begin()),
                         fmt::format("0 to {}", classCount_ - 1), fmt::format("{}", *wrong));
    }
}

std::span<const std::uint8_t> Dataset::image(std::size_t index) const {
    if (index >= count()) {
        throw MPS::Error(name_, "image index", fmt::format("0 to {}", count() - 1), fmt::format("{}", index));
    }
    return std::span(bytes_).subspan(index * imageBytes(), imageBytes());
}

std::uint8_t Dataset::label(std::size_t index) const {
    if (index >= count()) {
        throw MPS::Error(name_, "label index", fmt::format("0 to {}", count() - 1), fmt::format("{}", index));
    }
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
                     std::span<std::uint8_t> labels) const {
    // Division, so that a huge number of indices cannot overflow the product.
    if (!images.empty() &&
        (images.size() % imageBytes() != 0 || images.size() / imageBytes() != indices.size())) {
        throw MPS::Error(name_, "images",
                         fmt::format("room for {} images of {} bytes", indices.size(), imageBytes()),
                         fmt::format("{} bytes", images.size()));
    }
    if (!labels.empty() && labels.size() != indices.size()) {
        throw MPS::Error(name_, "labels", fmt::format("room for {} labels", indices.size()),
                         fmt::format("{} bytes", labels.size()));
    }
    checkIndices(indices);
    for (std::size_t i = 0; i < indices.size(); ++i) {
        if (!images.empty()) {
            std::copy_n(bytes_.data() + indices[i] * imageBytes(), imageBytes(),
                        images.data() + i * imageBytes());
        }
        if (!labels.empty()) labels[i] = labels_[indices[i]];
    }
}

Dataset Dataset::subset(std::span<const std::uint32_t> indices, std::string name) const {
    if (indices.empty()) throw MPS::Error(name_, "indices", "at least one image", "none");
    checkIndices(indices);
    std::vector<std::uint8_t> bytes(indices.size() * imageBytes()), labels(indices.size());
    gather(indices, bytes, labels);
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
