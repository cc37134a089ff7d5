#include <MPS/NNForwardLossNode.hpp>
#include <MPS/NNInitialGradientNode.hpp>

#include "NodesRun.h"

using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

CNNLossDescriptor lossOf(CNNLossType type, CNNReductionType reduction, float weight = 1) {
    auto descriptor = CNNLossDescriptor::cnnLossDescriptor(type, reduction);
    descriptor.weight = weight;
    return descriptor;
}

/// Every value another than the default.
CNNLossDescriptor unusual() {
    auto d = lossOf(CNNLossType::Huber, CNNReductionType::Sum, 3);
    d.reduceAcrossBatch = true;
    d.labelSmoothing = 0.25F;
    d.numberOfClasses = 7;
    d.epsilon = 0.5F;
    d.delta = 2;
    return d;
}

/// Squared error: weight (y - t)^2.
CNNLossDescriptor squares(CNNReductionType reduction = CNNReductionType::Sum, float weight = 1) {
    return lossOf(CNNLossType::MeanSquaredError, reduction, weight);
}

/// Two pictures of two pixels: differences from the labels 1, 2 and 3, 0.
const Pictures kY{2, 1, 1, {2, 4, /**/ 6, 5}}, kT{2, 1, 1, {1, 2, /**/ 3, 5}},
    kW{2, 1, 1, {1, 10, /**/ 2, 3}};

std::shared_ptr<NNForwardLossNode> node(const CNNLossDescriptor& descriptor) {
    return NNForwardLossNode::node(inputNamed("y"), inputNamed("t"), descriptor);
}

NamedPictures inputs(double g = 1) { return {{"y", kY}, {"t", kT}, {"w", kW}, {"g", {1, 1, 1, {g, g}}}}; }

/// Answers 1, 2, 3, ... and notes the images it is asked for.
class Counter final : public NNLossCallback {
public:
    float scalarWeight(const std::shared_ptr<MPS::Image>& source,
                       const std::shared_ptr<MPS::Image>& destination) override {
        sizes.push_back({source->width(), destination->width()});
        return static_cast<float>(sizes.size());
    }
    std::vector<std::pair<std::size_t, std::size_t>> sizes;
};

/// Gradients of predictions and labels, from a state or without one.
std::vector<Pictures> gradientsBy(const std::shared_ptr<MTL::Device>& device, const CNNLossDescriptor& d,
                                  bool weighted, double g = 1) {
    const auto y = inputNamed("y"), t = inputNamed("t"), w = weighted ? inputNamed("w") : nullptr;
    const auto filters = NNForwardLossNode::node(y, t, w, d)->gradientFilters(inputNamed("g"));
    return resultsOf(device, {filters[0]->resultImage(), filters[1]->resultImage()}, inputs(g));
}

}  // namespace

TEST(NodesForwardLoss, EachPictureHasItsLossAndTheFirstThatOfTheBatch) {
    for (const auto& device : graphDevices()) {
        const auto of = [&](const CNNLossDescriptor& d) {
            return resultOf(device, node(d)->resultImage(), inputs());
        };
        EXPECT_EQ(of(squares()), (Pictures{1, 1, 1, {5, 9}})) << device->name();
        EXPECT_EQ(of(squares(CNNReductionType::Sum, 2)), (Pictures{1, 1, 1, {10, 18}}));
        EXPECT_EQ(of(squares(CNNReductionType::Mean)), (Pictures{1, 1, 1, {2.5, 4.5}}));
        EXPECT_EQ(of(squares(CNNReductionType::None)), (Pictures{2, 1, 1, {1, 4, 9, 0}}));
        auto across = squares();
        across.reduceAcrossBatch = true;
        EXPECT_EQ(of(across), (Pictures{1, 1, 1, {14, 0}}));
    }
}

TEST(NodesForwardLoss, WeightsMultiplyAndEveryFormTakesThem) {
    for (const auto& device : graphDevices()) {
        const auto y = inputNamed("y"), t = inputNamed("t"), w = inputNamed("w");
        const Pictures weighted{1, 1, 1, {41, 18}}, plain{1, 1, 1, {5, 9}};
        const auto of = [&](const std::shared_ptr<NNForwardLossNode>& n) {
            return resultOf(device, n->resultImage(), inputs());
        };
        EXPECT_EQ(of(NNForwardLossNode::node(y, t, w, squares())), weighted) << device->name();
        EXPECT_EQ(of(NNForwardLossNode::node({y, t, w}, squares())), weighted);
        EXPECT_EQ(of(std::make_shared<NNForwardLossNode>(NNImageNodes{y, t, w}, squares())), weighted);
        EXPECT_EQ(of(NNForwardLossNode::node(y, t, nullptr, squares())), plain);
        EXPECT_EQ(of(NNForwardLossNode::node(y, t, squares())), plain);
        EXPECT_EQ(of(NNForwardLossNode::node({y, t}, squares())), plain);
    }
}

TEST(NodesForwardLoss, GradientsOfPredictionsAndLabelsAreExact) {
    for (const auto& device : graphDevices()) {
        // 2 (y - t), and its negative; times the incoming 3.
        auto found = gradientsBy(device, squares(), false, 3);
        EXPECT_EQ(found[0], (Pictures{2, 1, 1, {6, 12, 18, 0}})) << device->name();
        EXPECT_EQ(found[1], (Pictures{2, 1, 1, {-6, -12, -18, 0}}));
        found = gradientsBy(device, squares(CNNReductionType::Sum, 2), true);
        EXPECT_EQ(found[0], (Pictures{2, 1, 1, {4, 80, 24, 0}}));
        EXPECT_EQ(found[1], (Pictures{2, 1, 1, {-4, -80, -24, 0}}));
        found = gradientsBy(device, squares(CNNReductionType::Mean), false);
        EXPECT_EQ(found[0], (Pictures{2, 1, 1, {1, 2, 3, 0}}));
    }
}

TEST(NodesForwardLoss, GradientsAreCentralDifferencesTowardsPredictionsAndLabels) {
    struct Case {
        CNNLossType type;
        CNNReductionType reduction;
    };
    for (const auto& [type, reduction] : {Case{CNNLossType::MeanSquaredError, CNNReductionType::Mean},
                                          {CNNLossType::SoftMaxCrossEntropy, CNNReductionType::Sum},
                                          {CNNLossType::SigmoidCrossEntropy, CNNReductionType::None},
                                          {CNNLossType::Huber, CNNReductionType::Sum},
                                          {CNNLossType::CosineDistance, CNNReductionType::Sum}})
        for (const bool across : {false, true}) {
            auto d = lossOf(type, reduction, 0.5F);
            d.reduceAcrossBatch = across && reduction != CNNReductionType::None;
            d.numberOfClasses = 3;
            SCOPED_TRACE(static_cast<int>(type));
            // Both come out of filters, so that the walk goes on behind predictions and labels.
            expectDerivative(
                [&](const auto& in) {
                    const auto y = CNNNeuronTanHNode::node(in.at("y"))->resultImage();
                    // softmax - label is the derivative where the labels of a pixel sum to 1.
                    const bool sums = type == CNNLossType::SoftMaxCrossEntropy;
                    const auto t = sums ? CNNSoftMaxNode::node(in.at("t"))->resultImage()
                                        : CNNNeuronSigmoidNode::node(in.at("t"))->resultImage();
                    return NNForwardLossNode::node(y, t, d)->resultImage();
                },
                {{"y", waves(2, 2, 3, 2)}, {"t", waves(2, 2, 3, 2, 4)}});
        }
}

TEST(NodesForwardLoss, TheSingularFormMakesTheFilterOfThePredictionsThePluralFormBoth) {
    const auto y = inputNamed("y"), t = inputNamed("t"), w = inputNamed("w"), g = inputNamed("g");
    const auto forward = NNForwardLossNode::node(y, t, w, unusual());
    forward->setLabel("loss");
    const auto of = [](const Filter& filter) {
        return std::dynamic_pointer_cast<NNLossGradientNode>(filter);
    };
    for (const auto& single :
         {of(forward->gradientFilter(g)), of(forward->gradientFilter(NNImageNodes{g}))}) {
        ASSERT_NE(single, nullptr);
        EXPECT_FALSE(single->isLabelsGradientFilter());
    }
    for (const auto& both : {forward->gradientFilters(g), forward->gradientFilters(NNImageNodes{g})}) {
        ASSERT_EQ(both.size(), 2u);
        for (const bool labels : {false, true}) {
            const auto one = of(both[labels]);
            ASSERT_NE(one, nullptr);
            EXPECT_EQ(one->isLabelsGradientFilter(), labels);
            EXPECT_EQ(one->label(), "loss");
            EXPECT_THAT(one->sources(), ElementsAre(g, y, t, w));
            EXPECT_THAT(one->sourceStates(), ElementsAre(forward->resultState())) << "one state for both";
        }
    }
    EXPECT_STREQ(forward->resultState()->className(), "NNGradientStateNode");
    const auto without = NNForwardLossNode::node(y, t, unusual())->gradientFilter(g);
    EXPECT_THAT(without->sources(), ElementsAre(g, y, t));
}

TEST(NodesForwardLoss, PropertiesAreThoseOfTheDescriptorAlsoInGradientFilters) {
    const auto check = [](const NNLossNodeProperties& n, const CNNLossDescriptor& d) {
        EXPECT_EQ(n.lossType(), d.lossType);
        EXPECT_EQ(n.reductionType(), d.reductionType);
        EXPECT_EQ(n.numberOfClasses(), d.numberOfClasses);
        EXPECT_EQ(n.reduceAcrossBatch(), d.reduceAcrossBatch);
        EXPECT_EQ(n.weight(), d.weight);
        EXPECT_EQ(n.labelSmoothing(), d.labelSmoothing);
        EXPECT_EQ(n.epsilon(), d.epsilon);
        EXPECT_EQ(n.delta(), d.delta);
    };
    for (const auto& d : {unusual(), squares()}) {
        const auto forward = node(d);
        check(*forward, d);
        EXPECT_EQ(forward->propertyCallBack(), nullptr);
        const auto callback = std::make_shared<Counter>();
        forward->setPropertyCallBack(callback);
        EXPECT_EQ(forward->propertyCallBack(), callback);
        for (const auto& filter : forward->gradientFilters(inputNamed("g"))) {
            const auto gradient = std::dynamic_pointer_cast<NNLossGradientNode>(filter);
            check(*gradient, d);
            EXPECT_EQ(gradient->propertyCallBack(), callback);
        }
    }
}

TEST(NodesForwardLoss, GradientFiltersMadeByHandEqualTheGeneratedOnes) {
    for (const auto& device : graphDevices())
        for (const bool weighted : {false, true})
            for (const bool labels : {false, true}) {
                const auto d = squares(CNNReductionType::Sum, 3);
                const auto expected = gradientsBy(device, d, weighted, 2)[labels];
                const auto y = inputNamed("y"), t = inputNamed("t"), g = inputNamed("g"),
                           w = weighted ? inputNamed("w") : nullptr;
                const auto forward = NNForwardLossNode::node(y, t, w, d);
                const auto state = std::dynamic_pointer_cast<NNGradientStateNode>(forward->resultState());
                NNImageNodes all{g, y, t};
                if (weighted) all.push_back(w);
                std::vector<std::shared_ptr<NNLossGradientNode>> filters;
                for (const auto& s : {state, std::shared_ptr<NNGradientStateNode>()}) {
                    filters.push_back(NNLossGradientNode::node(g, y, t, w, s, d, labels));
                    if (!weighted) filters.push_back(NNLossGradientNode::node(g, y, t, s, d, labels));
                    filters.push_back(NNLossGradientNode::node(all, s, d, labels));
                    filters.push_back(std::make_shared<NNLossGradientNode>(all, s, d, labels));
                }
                for (const auto& filter : filters)
                    EXPECT_EQ(resultOf(device, filter->resultImage(), inputs(2)), expected)
                        << device->name() << weighted << labels << filter->sourceStates().size();
            }
}

TEST(NodesForwardLoss, TheValuesOfAStateWinOverTheNodes) {
    const auto device = MTL::copyDevice("reference");
    const auto y = inputNamed("y"), t = inputNamed("t"), g = inputNamed("g");
    const auto forward = NNForwardLossNode::node(y, t, squares(CNNReductionType::Sum, 5));
    const auto state = std::dynamic_pointer_cast<NNGradientStateNode>(forward->resultState());
    const auto of = [&](const std::shared_ptr<NNGradientStateNode>& s) {
        return resultOf(device, NNLossGradientNode::node(g, y, t, s, squares(), false)->resultImage(),
                        inputs());
    };
    EXPECT_EQ(of(state), (Pictures{2, 1, 1, {10, 20, 30, 0}}));
    EXPECT_EQ(of(nullptr), (Pictures{2, 1, 1, {2, 4, 6, 0}}));
}

TEST(NodesForwardLoss, TheCallbackIsAskedOnceForEveryEncodeOfAKernel) {
    for (const auto& device : graphDevices()) {
        const auto callback = std::make_shared<Counter>();
        const auto forward = node(squares());
        forward->setPropertyCallBack(callback);
        NNGraph graph(device, forward->resultImage());
        EXPECT_EQ(run(device, graph, inputs())[0], (Pictures{1, 1, 1, {5, 9}})) << "weight 1";
        EXPECT_EQ(run(device, graph, inputs())[0], (Pictures{1, 1, 1, {10, 18}})) << "weight 2";
        EXPECT_EQ(callback->sizes, (std::vector<std::pair<std::size_t, std::size_t>>{{2, 1}, {2, 1}}))
            << "a batch of two, asked with one picture";
        EXPECT_EQ(forward->weight(), 1) << "the node keeps its own";

        // The gradient kernel asks too; the weight that counts is that of the forward encode.
        callback->sizes.clear();
        const auto gradient = forward->gradientFilter(inputNamed("g"));
        NNGraph training(device, gradient->resultImage());
        EXPECT_EQ(run(device, training, inputs())[0], (Pictures{2, 1, 1, {2, 4, 6, 0}}));
        EXPECT_EQ(callback->sizes, (std::vector<std::pair<std::size_t, std::size_t>>{{2, 1}, {2, 2}}));
        EXPECT_EQ(run(device, training, inputs())[0], (Pictures{2, 1, 1, {6, 12, 18, 0}}));

        // Without a state its own answer counts.
        callback->sizes.clear();
        const auto alone = NNLossGradientNode::node(inputNamed("g"), inputNamed("y"), inputNamed("t"),
                                                    nullptr, squares(), false);
        alone->setPropertyCallBack(callback);
        NNGraph second(device, alone->resultImage());
        EXPECT_EQ(run(device, second, inputs())[0], (Pictures{2, 1, 1, {2, 4, 6, 0}}));
        EXPECT_EQ(run(device, second, inputs())[0], (Pictures{2, 1, 1, {4, 8, 12, 0}}));
        EXPECT_EQ(callback->sizes.size(), 2u);
    }
}

TEST(NodesForwardLoss, StopGradientOnTheLabelsLeavesTheirBranchAlone) {
    const auto y = inputNamed("y"), t = inputNamed("t");
    const auto labels = CNNNeuronSigmoidNode::node(t)->resultImage();
    const auto loss = NNForwardLossNode::node(CNNNeuronTanHNode::node(y)->resultImage(), labels, squares());
    std::vector<Call> calls;
    EXPECT_EQ(loss->trainingGraph(inputNamed("g"), recorder(calls)).size(), 2u);
    EXPECT_THAT(classes(calls), ElementsAre("NNLossGradientNode", "NNLossGradientNode",
                                            "CNNNeuronGradientNode", "CNNNeuronGradientNode"));
    EXPECT_EQ(calls[0].inferenceSource, loss->sources()[0]);
    EXPECT_EQ(calls[1].inferenceSource, labels);
    labels->setStopGradient(true);
    calls.clear();
    const auto termini = loss->trainingGraph(inputNamed("g"), recorder(calls));
    EXPECT_THAT(classes(calls),
                ElementsAre("NNLossGradientNode", "NNLossGradientNode", "CNNNeuronGradientNode"));
    EXPECT_EQ(termini.size(), 2u) << "the gradient of the labels itself, and that of y";
}

TEST(NodesForwardLoss, AnImageThatHoldsSeveralPicturesHasALossForEach) {
    for (const auto& device : graphDevices()) {
        const auto y = inputNamed("y"), t = inputNamed("t"), w = inputNamed("w"), g = inputNamed("g");
        const auto forward = NNForwardLossNode::node(y, t, w, squares());
        const auto single = [&](const ImageNode& result) {
            NNGraph graph(device, result);
            graph.setFormat(PixelFormat::Float32);
            std::vector<std::shared_ptr<MPS::Image>> sources;
            for (const auto& handle : graph.sourceImageHandles()) {
                const auto from = inputs(2).at(handle->label());
                auto descriptor = ImageDescriptor::imageDescriptor(PixelFormat::Float32, from.width, 1, 1);
                descriptor.numberOfImages = 2;
                sources.push_back(std::make_shared<MPS::Image>(device, descriptor));
                const std::vector<float> values(from.values.begin(), from.values.end());
                for (std::size_t n = 0; n < 2; ++n)
                    sources.back()->writeBytes(values.data() + n * from.size(),
                                               DataLayout::HeightxWidthxFeatureChannels, n);
            }
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto image = graph.encode(commands, sources);
            commands->commit();
            commands->waitUntilCompleted();
            EXPECT_FALSE(commands->error());
            EXPECT_EQ(image->numberOfImages(), 2u);
            return picturesAs<float>(image->batchRepresentation());
        };
        EXPECT_EQ(single(forward->resultImage()), (Pictures{1, 1, 1, {41, 18}})) << device->name();
        EXPECT_EQ(single(forward->gradientFilter(g)->resultImage()), (Pictures{2, 1, 1, {4, 80, 24, 0}}));
        // The loss feeds another filter: its image is a temporary.
        EXPECT_EQ(single(CNNNeuronLinearNode::node(forward->resultImage(), 2, 1)->resultImage()),
                  (Pictures{1, 1, 1, {83, 37}}));
    }
}

TEST(NodesForwardLoss, WhatItCannotTakeIsNamed) {
    const auto y = inputNamed("y"), g = inputNamed("g");
    EXPECT_THAT(messageOf([&] { NNForwardLossNode::node(y, nullptr, squares()); }),
                AllOf(HasSubstr("NNForwardLossNode"), HasSubstr("labels"), HasSubstr("found null")));
    EXPECT_THAT(messageOf([&] { NNForwardLossNode::node(nullptr, y, y, squares()); }),
                AllOf(HasSubstr("NNForwardLossNode"), HasSubstr("source:"), HasSubstr("found null")));
    EXPECT_THAT(messageOf([&] { NNForwardLossNode::node({y}, squares()); }),
                AllOf(HasSubstr("NNForwardLossNode"), HasSubstr("sources"), HasSubstr("labels"),
                      HasSubstr("found 1 images")));
    EXPECT_THAT(messageOf([&] {
                    NNForwardLossNode::node({y, y, y, y}, squares());
                }),
                HasSubstr("found 4 images"));
    EXPECT_THAT(messageOf([&] {
                    NNForwardLossNode::node({y, y, nullptr}, squares());
                }),
                AllOf(HasSubstr("sources[2]"), HasSubstr("found null")));
    EXPECT_THAT(messageOf([&] { NNLossGradientNode::node(nullptr, y, y, nullptr, squares(), false); }),
                AllOf(HasSubstr("NNLossGradientNode"), HasSubstr("sourceGradient"), HasSubstr("found null")));
    EXPECT_THAT(messageOf([&] {
                    NNLossGradientNode::node({y, y}, nullptr, squares(), false);
                }),
                AllOf(HasSubstr("NNLossGradientNode"), HasSubstr("gradient, predictions, labels"),
                      HasSubstr("found 2 images")));
    EXPECT_THAT(messageOf([&] { node(squares())->gradientFilter(g)->gradientFilter(g); }),
                AllOf(HasSubstr("NNLossGradientNode"), HasSubstr("no gradients of gradients")));
    auto wrong = squares();
    wrong.labelSmoothing = 2;
    const auto bad = node(wrong);
    bad->setLabel("cost");
    EXPECT_THAT(messageOf([&] { NNGraph graph(MTL::copyDevice("reference"), bad->resultImage()); }),
                AllOf(HasSubstr("NNForwardLossNode 'cost'"), HasSubstr("labelSmoothing"), HasSubstr("2")));
    // Labels of another size: the kernel says so, under the label of the node.
    const auto good = node(squares());
    good->setLabel("cost");
    auto given = inputs();
    given["t"] = {1, 1, 1, {1, 2}};
    EXPECT_THAT(messageOf([&] { resultOf(MTL::copyDevice("reference"), good->resultImage(), given); }),
                AllOf(HasSubstr("NNForwardLoss 'cost'"), HasSubstr("labels"), HasSubstr("2 x 1 x 1"),
                      HasSubstr("1 x 1 x 1")));
}
