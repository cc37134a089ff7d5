#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <MTL/Resource.hpp>
#include <Pewter/check/KernelCases.hpp>

#include "check/HostFormat.h"
#include "mtl/Buffer.h"

namespace pewter::check {

namespace {

std::size_t imageSize(const MPS::Image& image) { return image.width() * image.height() * image.featureChannels(); }

Shape shapeOf(const MPS::ImageBatch& images) {
    const auto& first = *images.at(0);
    return {images.size(), first.height(), first.width(), first.featureChannels()};
}

MPS::ImageBatch incomingImages(const Setting& setting, const MPS::ImageBatch& results, const Incoming& incoming) {
    const Shape shape = shapeOf(results);
    return imagesOf(setting, {shape, incoming(0, shape)});
}

}  // namespace

MPS::ImageBatch imagesOf(const Setting& setting, const Array& array) {
    const Shape& shape = array.shape;
    auto descriptor = MPS::ImageDescriptor::imageDescriptor(setting.format, shape.w, shape.h, shape.c);
    descriptor.numberOfImages = shape.n;
    const auto image = std::make_shared<MPS::Image>(setting.device, descriptor);
    const std::size_t one = imageSize(*image) * hostSize(setting.format);
    const auto bytes = toHost(array.values, setting.format);
    for (std::size_t n = 0; n < shape.n; ++n)
        image->writeBytes(bytes.data() + n * one, MPS::DataLayout::HeightxWidthxFeatureChannels, n);
    return image->batchRepresentation();
}

Array arrayOf(const MPS::ImageBatch& images) {
    Array array{shapeOf(images), {}};
    for (const auto& image : images) {
        const auto format = image->featureChannelFormat();
        std::vector<std::byte> bytes(imageSize(*image) * hostSize(format));
        image->readBytes(bytes.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
        const auto wide = fromHost(bytes, format);
        array.values.insert(array.values.end(), wide.begin(), wide.end());
    }
    return array;
}

Array arrayOf(MTL::Buffer& buffer, std::size_t count, bool wide) {
    const std::size_t bytes = count * (wide ? sizeof(double) : sizeof(float));
    if (buffer.length() < bytes)
        throw MTL::Error("arrayOf", "buffer", std::to_string(bytes) + " bytes", std::to_string(buffer.length()));
    Array array{{1, 1, 1, count}, std::vector<double>(count)};
    if (wide) {
        array.values = mtl::valuesOf<double>(buffer, count);
    } else {
        const auto values = mtl::valuesOf<float>(buffer, count);
        array.values.assign(values.begin(), values.end());
    }
    return array;
}

std::vector<float> floatsOf(const Array& array) { return {array.values.begin(), array.values.end()}; }

void finish(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    commandBuffer->commit();
    commandBuffer->waitUntilCompleted();
    if (const auto error = commandBuffer->error()) throw MTL::Error(error->localizedDescription);
}

OpCase caseOf(std::string name, const UnaryPair& given) {
    UnaryPair pair = given;
    OpCase op;
    op.name = std::move(name);
    pair.source.differentiable = pair.backward != nullptr;
    op.operands = {pair.source};
    op.run = [pair](const Setting& setting, const std::vector<Array>& operands, const Incoming* incoming) {
        const auto forward = pair.forward(setting.device);
        forward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commandBuffer = setting.device->newCommandQueue()->commandBuffer();
        const auto sources = imagesOf(setting, operands[0]);
        const bool backwards = incoming && pair.backward;
        MPS::StateBatch states;
        const auto results = backwards ? forward->encodeBatch(commandBuffer, sources, &states, true)
                                       : forward->encodeBatch(commandBuffer, sources);
        Outcome outcome;
        outcome.gradients.resize(1);
        MPS::ImageBatch gradients;
        if (backwards) {
            const auto backward = pair.backward(setting.device);
            backward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
            gradients = backward->encodeBatch(commandBuffer, incomingImages(setting, results, *incoming),
                                              pair.secondSource == SecondSource::Source ? sources : results, states);
        }
        finish(commandBuffer);
        outcome.outputs = {arrayOf(results)};
        if (backwards) outcome.gradients[0] = arrayOf(gradients);
        return outcome;
    };
    return op;
}

OpCase caseOf(std::string name, const BinaryPair& given) {
    BinaryPair pair = given;
    OpCase op;
    op.name = std::move(name);
    pair.primary.differentiable = pair.backwardPrimary != nullptr;
    pair.secondary.differentiable = pair.backwardSecondary != nullptr;
    op.operands = {pair.primary, pair.secondary};
    op.run = [pair](const Setting& setting, const std::vector<Array>& operands, const Incoming* incoming) {
        const auto forward = pair.forward(setting.device);
        forward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commandBuffer = setting.device->newCommandQueue()->commandBuffer();
        const auto primaries = imagesOf(setting, operands[0]), secondaries = imagesOf(setting, operands[1]);
        const bool backwards = incoming && (pair.backwardPrimary || pair.backwardSecondary);
        MPS::StateBatch states;
        const auto results = backwards ? forward->encodeBatch(commandBuffer, primaries, secondaries, &states, false)
                                       : forward->encodeBatch(commandBuffer, primaries, secondaries);
        MPS::ImageBatch gradients[2];
        for (int side = 0; backwards && side < 2; ++side) {
            const auto& maker = side == 0 ? pair.backwardPrimary : pair.backwardSecondary;
            if (!maker) continue;
            const auto backward = maker(setting.device);
            backward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
            gradients[side] = backward->encodeBatch(commandBuffer, incomingImages(setting, results, *incoming),
                                                    (side == 0) != pair.takesOther ? primaries : secondaries, states);
        }
        finish(commandBuffer);
        Outcome outcome;
        outcome.outputs = {arrayOf(results)};
        outcome.gradients.resize(2);
        for (int side = 0; side < 2; ++side)
            if (!gradients[side].empty()) outcome.gradients[static_cast<std::size_t>(side)] = arrayOf(gradients[side]);
        return outcome;
    };
    return op;
}

}  // namespace pewter::check
