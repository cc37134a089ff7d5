#include <MPS/CNNUpsamplingNode.hpp>
#include <MPS/NNComparisonNode.hpp>
#include <MPS/NNConcatenationNode.hpp>
#include <MPS/NNGramMatrixNode.hpp>
#include <MPS/NNPadNode.hpp>
#include <MPS/NNReductionNode.hpp>
#include <MPS/NNReshapeNode.hpp>
#include <MPS/NNScaleNode.hpp>

#include "NodesRun.h"

/// Graphs over images that hold several pictures each give what batches of single pictures give.
using namespace pewter::test;
using namespace MPS;

namespace {

struct Case {
    const char* name;
    BuildNet build;
    bool differentiable = true;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

ImageNode spatialMean(const ImageNode& x) {
    const auto node = NNReductionSpatialMeanNode::node(x);
    node->setClipRectSource({{1, 0, 0}, {2, 3, 5}});
    return node->resultImage();
}

std::vector<Case> cases() {
    return {
        {"spatialMean", [](const auto& in) { return spatialMean(in.at("x")); }},
        {"rowMaximum", [](const auto& in) { return NNReductionRowMaxNode::node(in.at("x"))->resultImage(); },
         false},
        {"nearest",
         [](const auto& in) { return CNNUpsamplingNearestNode::node(in.at("x"), 2, 3)->resultImage(); }},
        {"bilinear",
         [](const auto& in) {
             return CNNUpsamplingBilinearNode::node(in.at("x"), 2, 3, true)->resultImage();
         }},
        {"reshape", [](const auto& in) { return NNReshapeNode::node(in.at("x"), 6, 2, 5)->resultImage(); }},
        {"pad",
         [](const auto& in) {
             return NNPadNode::node(in.at("x"), {1, 0, 1}, {2, 1, 0}, ImageEdgeMode::Mirror)->resultImage();
         }},
        {"gramMatrix",
         [](const auto& in) { return NNGramMatrixCalculationNode::node(in.at("x"), 0.5F)->resultImage(); }},
        {"concatenation",
         [](const auto& in) {
             const auto tanh = CNNNeuronTanHNode::node(in.at("x"))->resultImage();
             return NNConcatenationNode::node({in.at("x"), tanh, in.at("x")})->resultImage();
         }},
        {"comparison",
         [](const auto& in) {
             const auto node = NNComparisonNode::node(in.at("x"), spatialMean(in.at("x")));
             node->setSecondaryStrideInPixelsX(0);
             node->setSecondaryStrideInPixelsY(0);
             node->setComparisonType(NNComparisonType::Greater);
             return node->resultImage();
         },
         false},
        {"lanczos",
         [](const auto& in) {
             return NNLanczosScaleNode::node(in.at("x"), {3, 7, 1})->resultImage();
         },
         false},
    };
}

/// All pictures in one image.
std::shared_ptr<MPS::Image> together(const std::shared_ptr<MTL::Device>& device, const Pictures& p) {
    auto descriptor = ImageDescriptor::imageDescriptor(PixelFormat::Float32, p.width, p.height, p.channels);
    descriptor.numberOfImages = p.count();
    const auto image = std::make_shared<MPS::Image>(device, descriptor);
    const std::vector<float> values(p.values.begin(), p.values.end());
    for (std::size_t i = 0; i < p.count(); ++i)
        image->writeBytes(values.data() + i * p.size(), DataLayout::HeightxWidthxFeatureChannels, i);
    return image;
}

Pictures picturesOf(MPS::Image& image) {
    Pictures p{image.width(), image.height(), image.featureChannels(), {}};
    for (std::size_t i = 0; i < image.numberOfImages(); ++i) {
        std::vector<float> values(p.size());
        image.readBytes(values.data(), DataLayout::HeightxWidthxFeatureChannels, i);
        p.values.insert(p.values.end(), values.begin(), values.end());
    }
    return p;
}

Pictures runTogether(const std::shared_ptr<MTL::Device>& device, const ImageNode& result,
                     const NamedPictures& inputs) {
    NNGraph graph(device, result);
    graph.setFormat(PixelFormat::Float32);
    std::vector<std::shared_ptr<MPS::Image>> sources;
    for (const auto& handle : graph.sourceImageHandles())
        sources.push_back(together(device, inputs.at(handle->label())));
    // Twice: the second encode runs what the first has recorded.
    Pictures last;
    for (int i = 0; i < 2; ++i) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto image = graph.encode(commands, sources);
        commands->commit();
        commands->waitUntilCompleted();
        if (commands->error()) throw std::runtime_error(commands->error()->localizedDescription);
        const auto pictures = picturesOf(*image);
        if (i == 1) {
            EXPECT_EQ(pictures, last);
        }
        last = pictures;
    }
    return last;
}

class NodesSeveralPictures : public testing::TestWithParam<Case> {};

}  // namespace

TEST_P(NodesSeveralPictures, InOneImageGiveWhatABatchGivesForwardAndBackward) {
    const Case& c = GetParam();
    for (const auto& device : graphDevices()) {
        NamedPictures inputs{{"x", waves(4, 3, 5, 3)}};
        const auto x = inputNamed("x");
        const auto forward = resultOf(device, c.build({{"x", x}}), inputs);
        EXPECT_EQ(runTogether(device, c.build({{"x", x}}), inputs), forward) << device->name();
        EXPECT_EQ(forward.count(), 3u);
        if (!c.differentiable) continue;
        inputs["gradient"] = waves(forward.width, forward.height, forward.channels, 3, 0.2);
        const auto result = c.build({{"x", x}});
        const auto termini = result->producer()->trainingGraph(inputNamed("gradient"));
        ASSERT_EQ(termini.size(), 1u);
        EXPECT_EQ(runTogether(device, termini[0]->resultImage(), inputs),
                  gradientsOf(device, c.build, {{"x", inputs["x"]}}, inputs["gradient"]).at("x"))
            << device->name();
    }
}

INSTANTIATE_TEST_SUITE_P(All, NodesSeveralPictures, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });
