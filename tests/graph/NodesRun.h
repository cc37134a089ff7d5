#pragma once

#include <gtest/gtest.h>

#include <MPS/NNGraph.hpp>
#include <MTL/MTL.hpp>
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "NodesSupport.h"

/// Nodes run through graphs on every device, and their gradients against central differences.
namespace pewter::test {

using PixelFormat = MPS::ImageFeatureChannelFormat;
using Numbers = std::vector<double>;

/// The pictures of a batch, one after the other; pixels by rows, channels innermost.
struct Pictures {
    std::size_t width = 1, height = 1, channels = 1;
    Numbers values;

    std::size_t size() const { return width * height * channels; }
    std::size_t count() const { return values.size() / size(); }
    bool operator==(const Pictures&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Pictures& p) {
    out << p.count() << " of " << p.width << " x " << p.height << " x " << p.channels << ":";
    for (const double v : p.values) out << ' ' << v;
    return out;
}

using ImageNode = std::shared_ptr<MPS::NNImageNode>;
using NamedPictures = std::map<std::string, Pictures>;

inline Image inputNamed(const std::string& text) { return MPS::NNImageNode::node(name(text)); }

/// "reference", and "cpu" where it is built.
inline std::vector<std::shared_ptr<MTL::Device>> graphDevices() {
    std::vector<std::shared_ptr<MTL::Device>> found;
    for (const auto& device : MTL::copyAllDevices())
        if (device->name() == "reference" || device->name() == "cpu") found.push_back(device);
    return found;
}

template <class Element>
MPS::ImageBatch batchAs(const std::shared_ptr<MTL::Device>& device, PixelFormat format,
                        const Pictures& pictures) {
    MPS::ImageBatch batch;
    for (std::size_t i = 0; i < pictures.count(); ++i) {
        const auto first = pictures.values.begin() + static_cast<std::ptrdiff_t>(i * pictures.size());
        const std::vector<Element> values(first, first + static_cast<std::ptrdiff_t>(pictures.size()));
        batch.push_back(std::make_shared<MPS::Image>(
            device, MPS::ImageDescriptor::imageDescriptor(format, pictures.width, pictures.height,
                                                          pictures.channels)));
        batch[i]->writeBytes(values.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
    }
    return batch;
}

template <class Element>
Pictures picturesAs(const MPS::ImageBatch& batch) {
    Pictures pictures{batch[0]->width(), batch[0]->height(), batch[0]->featureChannels(), {}};
    for (const auto& image : batch) {
        std::vector<Element> values(pictures.size());
        image->readBytes(values.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
        pictures.values.insert(pictures.values.end(), values.begin(), values.end());
    }
    return pictures;
}

/// One encode of a batch; format Float32 or Float64.
inline std::vector<Pictures> run(const std::shared_ptr<MTL::Device>& device, MPS::NNGraph& graph,
                                 const NamedPictures& inputs, PixelFormat format = PixelFormat::Float32) {
    const bool isDouble = format == PixelFormat::Float64;
    graph.setFormat(format);
    std::vector<MPS::ImageBatch> sources;
    for (const auto& handle : graph.sourceImageHandles()) {
        const auto& pictures = inputs.at(handle->label());
        sources.push_back(isDouble ? batchAs<double>(device, format, pictures)
                                   : batchAs<float>(device, format, pictures));
    }
    const auto commands = device->newCommandQueue()->commandBuffer();
    std::vector<MPS::ImageBatch> further;
    const auto first = graph.encodeBatch(commands, sources, {}, &further, nullptr);
    commands->commit();
    commands->waitUntilCompleted();
    if (commands->error()) throw std::runtime_error(commands->error()->localizedDescription);
    further.insert(further.begin(), first);
    std::vector<Pictures> all;
    for (const auto& batch : further)
        all.push_back(isDouble ? picturesAs<double>(batch) : picturesAs<float>(batch));
    return all;
}

/// The images of a new graph with these results.
inline std::vector<Pictures> resultsOf(const std::shared_ptr<MTL::Device>& device,
                                       const std::vector<Image>& results, const NamedPictures& inputs,
                                       PixelFormat format = PixelFormat::Float32) {
    // Results after the first are temporaries unless the node says otherwise.
    for (const auto& result : results) result->setImageAllocator(MPS::Image::defaultAllocator());
    MPS::NNGraph graph(device, results);
    return run(device, graph, inputs, format);
}

inline Pictures resultOf(const std::shared_ptr<MTL::Device>& device, const Image& result,
                         const NamedPictures& inputs, PixelFormat format = PixelFormat::Float32) {
    return resultsOf(device, {result}, inputs, format).front();
}

/// 1, 2, 3, ... of one picture or more.
inline Pictures counted(std::size_t width, std::size_t height, std::size_t channels, std::size_t count = 1) {
    Pictures pictures{width, height, channels, Numbers(width * height * channels * count)};
    for (std::size_t i = 0; i < pictures.values.size(); ++i) pictures.values[i] = static_cast<double>(i + 1);
    return pictures;
}

/// Numbers of order 1 without a pattern.
inline Pictures waves(std::size_t width, std::size_t height, std::size_t channels, std::size_t count = 1,
                      double phase = 0.5) {
    auto pictures = counted(width, height, channels, count);
    for (auto& value : pictures.values) value = std::sin(1.7 * value * value + phase);
    return pictures;
}

/// A net from named inputs to an image.
using BuildNet = std::function<Image(const std::map<std::string, Image>&)>;

/// Gradients of all inputs of a net, whose trainingGraph() starts from the picture "gradient".
inline std::map<std::string, Pictures> gradientsOf(const std::shared_ptr<MTL::Device>& device,
                                                   const BuildNet& build, const NamedPictures& inputs,
                                                   const Pictures& gradient,
                                                   PixelFormat format = PixelFormat::Float32) {
    std::map<std::string, Image> nodes;
    for (const auto& [text, pictures] : inputs) nodes[text] = inputNamed(text);
    const auto result = build(nodes);
    const auto termini = result->producer()->trainingGraph(inputNamed("gradient"));
    std::vector<Image> results;
    for (const auto& [text, node] : nodes) {
        const auto found = std::find_if(termini.begin(), termini.end(), [&, &leaf = node](const auto& f) {
            return f->resultImage()->handle() == leaf->handle();
        });
        if (found == termini.end()) throw std::runtime_error("no terminus for " + text);
        results.push_back((*found)->resultImage());
    }
    auto given = inputs;
    given["gradient"] = gradient;
    const auto pictures = resultsOf(device, results, given, format);
    std::map<std::string, Pictures> gradients;
    std::size_t i = 0;
    for (const auto& [text, node] : nodes) gradients[text] = pictures[i++];
    return gradients;
}

/// The gradient images of a net on `reference`, in double, are the central differences of its forward graph.
inline void expectDerivative(const BuildNet& build, const NamedPictures& inputs, std::size_t every = 1) {
    constexpr double kStep = 1e-5;
    // Rounding of two results of order 10 in double, divided by the step, and the step's square.
    constexpr double kTolerance = 1e-7;
    const auto device = MTL::copyDevice("reference");
    const auto forward = [&](const NamedPictures& given) {
        std::map<std::string, Image> nodes;
        for (const auto& [text, pictures] : given) nodes[text] = inputNamed(text);
        return resultOf(device, build(nodes), given, PixelFormat::Float64);
    };
    auto gradient = forward(inputs);
    for (std::size_t i = 0; i < gradient.values.size(); ++i)
        gradient.values[i] = std::cos(0.7 * static_cast<double>(i));
    const auto loss = [&](const NamedPictures& given) {
        const auto result = forward(given);
        double sum = 0;
        for (std::size_t i = 0; i < result.values.size(); ++i) sum += result.values[i] * gradient.values[i];
        return sum;
    };
    for (const auto& [text, found] : gradientsOf(device, build, inputs, gradient, PixelFormat::Float64)) {
        const auto& input = inputs.at(text);
        ASSERT_EQ(found.width, input.width);
        ASSERT_EQ(found.height, input.height);
        ASSERT_EQ(found.channels, input.channels);
        for (std::size_t i = 0; i < input.values.size(); i += every) {
            auto moved = inputs;
            moved[text].values[i] = input.values[i] + kStep;
            const double above = loss(moved);
            moved[text].values[i] = input.values[i] - kStep;
            const double expected = (above - loss(moved)) / (2 * kStep);
            EXPECT_NEAR(found.values[i], expected, kTolerance * (1 + std::fabs(expected)))
                << "input " << text << ", element " << i;
        }
    }
}

}  // namespace pewter::test
