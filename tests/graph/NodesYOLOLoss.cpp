#include <MPS/CNNYOLOLossNode.hpp>

#include "NodesRun.h"

using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

CNNYOLOLossDescriptor descriptorOf(CNNReductionType reduction) {
    auto d = CNNYOLOLossDescriptor::cnnLossDescriptor(
        CNNLossType::MeanSquaredError, CNNLossType::MeanAbsoluteError, CNNLossType::MeanSquaredError,
        CNNLossType::MeanSquaredError, reduction, {1, 1, 2, 2}, 2);
    d.rescore = false;
    return d;
}

/// One cell, two anchors, two classes: a box of the second one's size, half a cell beside the middle
/// (docs/ops/yolo_loss.md).
const Numbers kBox{1, 0.5, 2, 2, 1, 1, 0, 1, 0.5, 2, 2, 1, 1, 0};
const Numbers kPredictions{0, 0, 0, 0, 1, 0, 0, 0, 0, 1, -1, 1, 0, 0};

struct Step {
    Pictures gradient, loss;
};

/// One encode with labels for a batch of cells.
Step encode(const std::shared_ptr<MTL::Device>& device, const Filter& last, const Pictures& x,
            const Pictures& boxes, bool reduces, PixelFormat format = PixelFormat::Float32) {
    const auto images = [&](const Pictures& p) {
        return format == PixelFormat::Float64 ? batchAs<double>(device, format, p)
                                              : batchAs<float>(device, format, p);
    };
    const auto pictures = [&](const ImageBatch& batch) {
        return format == PixelFormat::Float64 ? picturesAs<double>(batch) : picturesAs<float>(batch);
    };
    NNGraph graph(device, last->resultImage());
    graph.setFormat(format);
    const auto labels = CNNLossLabels::batch(
        device, reduces ? MTL::Size{1, 1, 1} : MTL::Size{x.width, x.height, x.channels}, images(boxes));
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto result = graph.encodeBatch(commands, {images(x)}, {{labels.begin(), labels.end()}});
    commands->commit();
    commands->waitUntilCompleted();
    if (commands->error()) throw std::runtime_error(commands->error()->localizedDescription);
    ImageBatch losses;
    for (const auto& one : labels) losses.push_back(one->lossImage());
    return {pictures(result), pictures(losses)};
}

}  // namespace

TEST(NodesYOLOLoss, TheResultIsTheGradientAndTheLossGoesToTheLabels) {
    const Pictures x{1, 1, 14, kPredictions}, boxes{1, 1, 14, kBox};
    for (const auto& device : graphDevices()) {
        const auto whole =
            encode(device, CNNYOLOLossNode::node(inputNamed("x"), descriptorOf(CNNReductionType::None)), x,
                   boxes, false);
        EXPECT_EQ(whole.gradient, (Pictures{1, 1, 14, {0, 0, 0, 0, 10, 0, 0, -2.5, 0, 10, -10, 0, -4, 0}}))
            << device->name();
        EXPECT_EQ(whole.loss.values[4], 5);
        EXPECT_EQ(whole.loss.values[7], 2.5);
        const auto sum = encode(
            device, std::make_shared<CNNYOLOLossNode>(inputNamed("x"), descriptorOf(CNNReductionType::Sum)),
            x, boxes, true);
        EXPECT_EQ(sum.gradient, whole.gradient);
        // 5 + 2.5 + 10 + 10 + 2; the size to learn is ln(2/2 + 1e-5).
        EXPECT_NEAR(sum.loss.values[0], 29.5, 1e-5);
    }
}

TEST(NodesYOLOLoss, AGraphBehindItTrains) {
    // Two cells a picture, two pictures, the box of the first anchor's size in one of them.
    Pictures x = waves(2, 1, 14, 2), boxes{2, 1, 14, Numbers(56)};
    std::copy(kBox.begin(), kBox.end(), boxes.values.begin() + 14);
    const auto device = MTL::copyDevice("reference");
    const auto net = [] {
        const auto image = CNNNeuronTanHNode::node(inputNamed("x"), 2, 0.75F)->resultImage();
        return CNNYOLOLossNode::node(image, descriptorOf(CNNReductionType::Sum));
    };
    const auto termini = net()->trainingGraph();
    ASSERT_EQ(termini.size(), 1u) << "the loss is its own gradient filter";
    EXPECT_STREQ(termini[0]->className(), "CNNNeuronGradientNode");
    const auto found = encode(device, termini[0], x, boxes, true, PixelFormat::Float64).gradient;
    const auto objective = [&] {
        const auto losses = encode(device, net(), x, boxes, true, PixelFormat::Float64).loss.values;
        return losses[0] + losses[1];
    };
    constexpr double kStep = 1e-5;
    for (std::size_t i = 0; i < x.values.size(); i += 3) {
        const double start = x.values[i];
        x.values[i] = start + kStep;
        const double above = objective();
        x.values[i] = start - kStep;
        const double expected = (above - objective()) / (2 * kStep);
        x.values[i] = start;
        EXPECT_NEAR(found.values[i], expected, 1e-6 * (1 + std::fabs(expected))) << i;
    }
}

TEST(NodesYOLOLoss, LabelsAreItsOnlyStateAndThereIsNoGradientFilter) {
    const auto x = inputNamed("x"), g = inputNamed("g");
    const auto node = CNNYOLOLossNode::node(x, descriptorOf(CNNReductionType::Sum));
    node->setLabel("boxes");
    EXPECT_THAT(node->sources(), ElementsAre(x));
    EXPECT_THAT(node->sourceStates(), ElementsAre(node->inputLabels()));
    EXPECT_EQ(node->inputLabels(), node->inputLabels());
    EXPECT_EQ(node->resultState(), nullptr);
    EXPECT_EQ(node->lossDescriptor().numberOfAnchorBoxes, 2u);
    node->inputLabels()->setHandle(name("truth"));
    NNGraph graph(MTL::copyDevice("reference"), node->resultImage());
    ASSERT_EQ(graph.sourceStateHandles().size(), 1u);
    EXPECT_EQ(graph.sourceStateHandles()[0]->label(), "truth");
    for (const auto& message :
         {messageOf([&] { node->gradientFilter(g); }), messageOf([&] { node->gradientFilters(g); })})
        EXPECT_THAT(message,
                    AllOf(HasSubstr("CNNYOLOLossNode 'boxes'"), HasSubstr("its own gradient filter")));
    EXPECT_THAT(messageOf([&] { CNNYOLOLossNode::node(nullptr, descriptorOf(CNNReductionType::Sum)); }),
                AllOf(HasSubstr("CNNYOLOLossNode"), HasSubstr("source"), HasSubstr("null")));
    auto wrong = descriptorOf(CNNReductionType::Sum);
    wrong.anchorBoxes.pop_back();
    const auto bad = CNNYOLOLossNode::node(x, wrong);
    bad->setLabel("boxes");
    EXPECT_THAT(messageOf([&] { NNGraph other(MTL::copyDevice("reference"), bad->resultImage()); }),
                AllOf(HasSubstr("CNNYOLOLossNode 'boxes'"), HasSubstr("anchorBoxes"), HasSubstr("found 3")));
    // The kernel that stands has the node's label too.
    EXPECT_THAT(messageOf([&] {
                    encode(MTL::copyDevice("reference"), node, {1, 1, 13, Numbers(13)},
                           {1, 1, 13, Numbers(13)}, true);
                }),
                AllOf(HasSubstr("CNNYOLOLoss 'boxes'"), HasSubstr("2 (5 + K) feature channels")));
}
