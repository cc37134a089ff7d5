#include <fmt/format.h>

#include <MPS/CNNLoss.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <cstring>

#include "mps/core/ImageAccess.h"

namespace MPS {

using pewter::mps::ImageAccess;

namespace {

constexpr const char* kData = "CNNLossDataDescriptor";
constexpr const char* kLabels = "CNNLossLabels";

std::string textOf(const MTL::Size& size) {
    return fmt::format("{} x {} x {}", size.width, size.height, size.depth);
}

MTL::Size sizeOf(const Image& image) { return {image.width(), image.height(), image.featureChannels()}; }

ImageDescriptor descriptorOf(ImageFeatureChannelFormat format, const MTL::Size& size) {
    return ImageDescriptor::imageDescriptor(format, size.width, size.height, size.depth);
}

void checkDevice(const std::shared_ptr<MTL::Device>& device) {
    if (!device) throw Error(kLabels, "device", "a device", "null");
}

void write(Image& image, const CNNLossDataDescriptor& data) {
    const auto values = data.values();
    image.writeBytes(values.data(), DataLayout::HeightxWidthxFeatureChannels, 0);
}

/// Losses of Float64 labels are Float64: gradient checks need it.
ImageFeatureChannelFormat lossFormat(const Image& labels) {
    return labels.featureChannelFormat() == ImageFeatureChannelFormat::Float64
               ? ImageFeatureChannelFormat::Float64
               : ImageFeatureChannelFormat::Float32;
}

}  // namespace

CNNLossDataDescriptor CNNLossDataDescriptor::cnnLossDataDescriptor(const void* data, std::size_t bytes,
                                                                   DataLayout layout, const MTL::Size& size) {
    if (!data) throw Error(kData, "data", "float32 values", "null");
    if (size.width == 0 || size.height == 0 || size.depth == 0)
        throw Error(kData, "size", "at least 1 in each dimension", textOf(size));
    if (layout != DataLayout::HeightxWidthxFeatureChannels &&
        layout != DataLayout::FeatureChannelsxHeightxWidth)
        throw Error(kData, "layout", "HeightxWidthxFeatureChannels or FeatureChannelsxHeightxWidth",
                    fmt::format("{}", static_cast<std::uint64_t>(layout)));
    const std::size_t needed = size.width * size.height * size.depth * sizeof(float);
    if (bytes < needed)
        throw Error(kData, "data",
                    fmt::format("{} bytes for {} values of float32", needed, needed / sizeof(float)),
                    fmt::format("{}", bytes));
    CNNLossDataDescriptor descriptor;
    const auto* from = static_cast<const std::uint8_t*>(data);
    descriptor.data_.assign(from, from + bytes);
    descriptor.layout_ = layout;
    descriptor.size_ = size;
    descriptor.bytesPerRow_ =
        size.width * sizeof(float) * (layout == DataLayout::HeightxWidthxFeatureChannels ? size.depth : 1);
    descriptor.bytesPerImage_ = size.height * descriptor.bytesPerRow_;
    return descriptor;
}

CNNLossDataDescriptor CNNLossDataDescriptor::cnnLossDataDescriptor(const std::vector<float>& data,
                                                                   DataLayout layout, const MTL::Size& size) {
    return cnnLossDataDescriptor(data.data(), data.size() * sizeof(float), layout, size);
}

std::vector<float> CNNLossDataDescriptor::values() const {
    const bool channelsLast = layout_ == DataLayout::HeightxWidthxFeatureChannels;
    const std::size_t run = size_.width * sizeof(float) * (channelsLast ? size_.depth : 1);
    const std::size_t last =
        (size_.height - 1) * bytesPerRow_ + run + (channelsLast ? 0 : (size_.depth - 1) * bytesPerImage_);
    if (bytesPerRow_ < run || last > data_.size())
        throw Error(kData, "bytesPerRow and bytesPerImage",
                    fmt::format("rows of at least {} bytes inside {} bytes of data", run, data_.size()),
                    fmt::format("{} and {}", bytesPerRow_, bytesPerImage_));
    std::vector<float> values(size_.width * size_.height * size_.depth);
    if (channelsLast) {
        for (std::size_t y = 0; y < size_.height; ++y)
            std::memcpy(&values[y * size_.width * size_.depth], &data_[y * bytesPerRow_], run);
        return values;
    }
    for (std::size_t c = 0; c < size_.depth; ++c)
        for (std::size_t y = 0; y < size_.height; ++y)
            for (std::size_t x = 0; x < size_.width; ++x)
                std::memcpy(&values[(y * size_.width + x) * size_.depth + c],
                            &data_[c * bytesPerImage_ + y * bytesPerRow_ + x * sizeof(float)], sizeof(float));
    return values;
}

CNNLossLabels::CNNLossLabels(std::shared_ptr<MTL::Device> device,
                             const CNNLossDataDescriptor& labelsDescriptor)
    : CNNLossLabels(std::move(device), {1, 1, 1}, labelsDescriptor, nullptr) {}

CNNLossLabels::CNNLossLabels(std::shared_ptr<MTL::Device> device, const MTL::Size& lossImageSize,
                             const CNNLossDataDescriptor& labelsDescriptor,
                             const CNNLossDataDescriptor* weightsDescriptor)
    : State(device, StateResourceList()) {
    labelsImage_ = std::make_shared<Image>(
        device, descriptorOf(ImageFeatureChannelFormat::Float32, labelsDescriptor.size()));
    if (weightsDescriptor)
        weightsImage_ = std::make_shared<Image>(
            device, descriptorOf(ImageFeatureChannelFormat::Float32, weightsDescriptor->size()));
    weighted_ = weightsDescriptor != nullptr;
    check(lossImageSize);
    write(*labelsImage_, labelsDescriptor);
    if (weightsDescriptor) write(*weightsImage_, *weightsDescriptor);
    lossImage_ = std::make_shared<Image>(device, descriptorOf(lossFormat(*labelsImage_), lossImageSize));
}

CNNLossLabels::CNNLossLabels(std::shared_ptr<MTL::Device> device, const MTL::Size& lossImageSize,
                             std::shared_ptr<Image> labelsImage, std::shared_ptr<Image> weightsImage)
    : State(device, StateResourceList()),
      labelsImage_(std::move(labelsImage)),
      weightsImage_(std::move(weightsImage)),
      weighted_(weightsImage_ != nullptr) {
    check(lossImageSize);
    lossImage_ = std::make_shared<Image>(device, descriptorOf(lossFormat(*labelsImage_), lossImageSize));
}

CNNLossLabels::CNNLossLabels(std::shared_ptr<MTL::Device> device, std::shared_ptr<Image> labelsImage,
                             std::shared_ptr<Image> weightsImage, std::shared_ptr<Image> lossImage)
    : State(device, StateResourceList()),
      labelsImage_(std::move(labelsImage)),
      weightsImage_(std::move(weightsImage)),
      lossImage_(std::move(lossImage)),
      weighted_(weightsImage_ != nullptr) {
    check(sizeOf(*lossImage_));
}

CNNLossLabels::~CNNLossLabels() = default;

void CNNLossLabels::check(const MTL::Size& lossImageSize) const {
    for (const auto& [argument, image] :
         {std::pair{"labelsImage", labelsImage_}, {"weightsImage", weightsImage_}}) {
        if (!image) {
            if (image == weightsImage_ && !weighted_ && labelsImage_) continue;
            throw Error(kLabels, argument, "an image", "null");
        }
        if (image->device() != device())
            throw Error(kLabels, argument, "an image of device " + device()->name(),
                        "one of device " + image->device()->name());
        if (image->isTemporary())
            throw Error(kLabels, argument, "an image that outlives the command buffer", image->description());
        if (image->numberOfImages() != 1)
            throw Error(kLabels, argument, "an image that holds one picture",
                        fmt::format("one that holds {}", image->numberOfImages()));
    }
    const auto labels = sizeOf(*labelsImage_);
    if (weightsImage_ && sizeOf(*weightsImage_) != labels)
        throw Error(kLabels, "weights", textOf(labels) + ", the size of the labels",
                    textOf(sizeOf(*weightsImage_)));
    if (lossImageSize != MTL::Size{1, 1, 1} && lossImageSize != labels)
        throw Error(kLabels, "lossImageSize", "1 x 1 x 1 or the size of the labels, " + textOf(labels),
                    textOf(lossImageSize));
}

CNNLossLabelsBatch CNNLossLabels::batch(const std::shared_ptr<MTL::Device>& device,
                                        const MTL::Size& lossImageSize,
                                        const std::vector<CNNLossDataDescriptor>& labels,
                                        const std::vector<CNNLossDataDescriptor>& weights) {
    checkDevice(device);
    if (labels.empty()) return {};
    const auto imagesOf = [&](const char* argument, const std::vector<CNNLossDataDescriptor>& data) {
        for (const auto& one : data)
            if (one.size() != labels[0].size())
                throw Error(kLabels, argument, textOf(labels[0].size()) + ", as the first labels",
                            textOf(one.size()));
        auto images = ImageAccess::makeBatch(
            device, descriptorOf(ImageFeatureChannelFormat::Float32, labels[0].size()), data.size());
        for (std::size_t i = 0; i < data.size(); ++i) write(*images[i], data[i]);
        return images;
    };
    const auto labelsImages = imagesOf("labelsDescriptors", labels);
    return batch(device, lossImageSize, labelsImages,
                 weights.empty() ? ImageBatch() : imagesOf("weightsDescriptors", weights));
}

CNNLossLabelsBatch CNNLossLabels::batch(const std::shared_ptr<MTL::Device>& device,
                                        const MTL::Size& lossImageSize,
                                        const std::vector<std::shared_ptr<Image>>& labelsImages,
                                        const std::vector<std::shared_ptr<Image>>& weightsImages) {
    checkDevice(device);
    if (labelsImages.empty()) return {};
    if (!weightsImages.empty() && weightsImages.size() != labelsImages.size())
        throw Error(kLabels, "weights", fmt::format("none or {}, as many as labels", labelsImages.size()),
                    fmt::format("{}", weightsImages.size()));
    if (!labelsImages[0]) throw Error(kLabels, "labelsImages[0]", "an image", "null");
    const auto losses = ImageAccess::makeBatch(
        device, descriptorOf(lossFormat(*labelsImages[0]), lossImageSize), labelsImages.size());
    CNNLossLabelsBatch batch;
    for (std::size_t i = 0; i < labelsImages.size(); ++i)
        batch.push_back(std::shared_ptr<CNNLossLabels>(new CNNLossLabels(
            device, labelsImages[i], weightsImages.empty() ? nullptr : weightsImages[i], losses[i])));
    return batch;
}

const std::shared_ptr<Image>& CNNLossLabels::weightsImage() {
    if (!weightsImage_) {
        weightsImage_ = std::make_shared<Image>(
            device(), descriptorOf(ImageFeatureChannelFormat::Float32, sizeOf(*labelsImage_)));
        const std::vector<float> ones(
            labelsImage_->width() * labelsImage_->height() * labelsImage_->featureChannels(), 1.0f);
        weightsImage_->writeBytes(ones.data(), DataLayout::HeightxWidthxFeatureChannels, 0);
    }
    return weightsImage_;
}

void CNNLossLabels::describe(Facts& facts) const {
    facts.emplace_back("labels", textOf(sizeOf(*labelsImage_)));
    facts.emplace_back("weights", weighted_ ? "given" : "none");
    facts.emplace_back("loss image", textOf(sizeOf(*lossImage_)));
}

}  // namespace MPS
