#include "NodesSupport.h"

using namespace pewter::test;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Format = MPS::ImageFeatureChannelFormat;

namespace {

Image image() { return MPS::NNImageNode::node(); }
Image relu(const Image& source) { return MPS::CNNNeuronReLUNode::node(source)->resultImage(); }

/// convolution, ReLU, pooling, fully connected, loss.
struct Chain {
    Image input = image();
    std::shared_ptr<MPS::CNNConvolutionNode> conv = convolution(input);
    std::shared_ptr<MPS::CNNNeuronReLUNode> relu = MPS::CNNNeuronReLUNode::node(conv->resultImage());
    std::shared_ptr<MPS::CNNPoolingMaxNode> pool = MPS::CNNPoolingMaxNode::node(relu->resultImage(), 2);
    std::shared_ptr<MPS::CNNFullyConnectedNode> full =
        MPS::CNNFullyConnectedNode::node(pool->resultImage(), std::make_shared<Weights>(2, 4, 10));
    std::shared_ptr<MPS::CNNLossNode> end = loss(full->resultImage());
};

}  // namespace

TEST(TrainingGraph, AChainEndsInOneFilterAndIsMadeFromItsEnd) {
    Chain net;
    std::vector<Call> calls;
    const auto termini = net.end->trainingGraph(nullptr, recorder(calls));
    EXPECT_THAT(classes(calls), ElementsAre("CNNFullyConnectedGradientNode", "CNNPoolingMaxGradientNode",
                                            "CNNNeuronGradientNode", "CNNConvolutionGradientNode"));
    ASSERT_EQ(termini.size(), 1u);
    EXPECT_EQ(termini[0], calls.back().gradient);
    EXPECT_EQ(calls[0].forward, net.full);
    EXPECT_EQ(calls[0].inferenceSource, net.pool->resultImage());
    EXPECT_EQ(calls[0].gradientSource, net.end->resultImage());
    for (std::size_t i = 1; i < calls.size(); ++i)
        EXPECT_EQ(calls[i].gradientSource, calls[i - 1].gradient->resultImage()) << i;
    EXPECT_EQ(calls[3].inferenceSource, net.input);
}

TEST(TrainingGraph, AFormatSetInTheHandlerReachesEveryLaterGradient) {
    Chain net;
    std::vector<Call> calls;
    const auto termini = net.end->trainingGraph(
        nullptr, [first = true](const auto& gradient, const auto&, const auto&, const auto&) mutable {
            if (first) gradient->resultImage()->setFormat(Format::Float32);
            first = false;
        });
    EXPECT_EQ(termini.at(0)->resultImage()->format(), Format::Float32);
    EXPECT_EQ(net.conv->resultImage()->format(), Format::None);
}

TEST(TrainingGraph, WithoutAHandlerGradientsGetTheHandlesOfTheirImages) {
    Chain net;
    const auto handle = name("input");
    net.input->setHandle(handle);
    EXPECT_EQ(net.end->trainingGraph().at(0)->resultImage()->handle(), handle);
    EXPECT_EQ(net.end->trainingGraph(nullptr, [](const auto&...) {}).at(0)->resultImage()->handle(), nullptr);
}

TEST(TrainingGraph, EachGradientFilterGetsTheStateOfTheFilterItMirrors) {
    Chain net;
    std::vector<Call> calls;
    net.end->trainingGraph(nullptr, recorder(calls));
    for (const auto& call : calls) EXPECT_EQ(call.gradient->sourceStates(), call.forward->resultStates());
}

TEST(TrainingGraph, AGivenGradientImageIsTheStart) {
    Chain net;
    const auto start = image();
    std::vector<Call> calls;
    net.end->trainingGraph(start, recorder(calls));
    EXPECT_EQ(calls.at(0).gradientSource, start);
    // Not after a loss, it is the gradient of the filter's result.
    calls.clear();
    net.full->trainingGraph(start, recorder(calls));
    EXPECT_EQ(calls.at(0).forward, net.full);
    EXPECT_EQ(calls[0].gradientSource, start);
}

TEST(TrainingGraph, WithoutALossTheForwardResultIsTheGradient) {
    Chain net;
    std::vector<Call> calls;
    net.full->trainingGraph(nullptr, recorder(calls));
    EXPECT_EQ(calls.at(0).forward, net.full);
    EXPECT_EQ(calls[0].gradientSource, net.full->resultImage());
}

TEST(TrainingGraph, AResidualBlockSumsTheTwoGradientsOfItsSource) {
    const auto input = image();
    const auto first = MPS::CNNNeuronReLUNode::node(input);
    const auto branch = convolution(first->resultImage());
    const auto sum = MPS::NNAdditionNode::node(branch->resultImage(), first->resultImage());
    std::vector<Call> calls;
    const auto termini = loss(sum->resultImage())->trainingGraph(nullptr, recorder(calls));
    EXPECT_THAT(classes(calls),
                ElementsAre("NNAdditionGradientNode", "NNAdditionGradientNode", "CNNConvolutionGradientNode",
                            "NNAdditionNode", "CNNNeuronGradientNode"));
    const auto& inserted = calls[3];
    EXPECT_EQ(inserted.forward, nullptr);
    EXPECT_EQ(inserted.inferenceSource, first->resultImage());
    // In the order in which the two gradients were made: the sum's own, then the branch's.
    EXPECT_EQ(inserted.gradient->sources(),
              (MPS::NNImageNodes{calls[1].gradient->resultImage(), calls[2].gradient->resultImage()}));
    EXPECT_EQ(inserted.gradientSource, calls[1].gradient->resultImage());
    EXPECT_EQ(calls[4].gradientSource, inserted.gradient->resultImage());
    ASSERT_EQ(termini.size(), 1u);
    EXPECT_EQ(termini[0], calls[4].gradient);
}

TEST(TrainingGraph, AnInputUsedTwiceEndsInAnAddition) {
    const auto input = image();
    const auto sum = MPS::NNAdditionNode::node(relu(input), relu(input));
    const auto termini = loss(sum->resultImage())->trainingGraph();
    ASSERT_EQ(termini.size(), 1u);
    EXPECT_STREQ(termini[0]->className(), "NNAdditionNode");
}

TEST(TrainingGraph, OneImageAsBothSourcesCountsTwice) {
    const auto input = image();
    input->setHandle(name("x"));
    const auto twice = MPS::NNAdditionNode::node(input, input);
    const auto termini = loss(twice->resultImage())->trainingGraph();
    ASSERT_EQ(termini.size(), 1u);
    EXPECT_STREQ(termini[0]->className(), "NNAdditionNode");
    EXPECT_EQ(termini[0]->resultImage()->handle(), input->handle());
}

TEST(TrainingGraph, ThreeUsesTakeTwoAdditions) {
    const auto input = image();
    const auto source = relu(input);
    const auto a = MPS::NNAdditionNode::node(source, source);
    const auto b = MPS::NNAdditionNode::node(a->resultImage(), source);
    std::vector<Call> calls;
    loss(b->resultImage())->trainingGraph(nullptr, recorder(calls));
    EXPECT_THAT(classes(calls), ElementsAre("NNAdditionGradientNode", "NNAdditionGradientNode",
                                            "NNAdditionGradientNode", "NNAdditionGradientNode",
                                            "NNAdditionNode", "NNAdditionNode", "CNNNeuronGradientNode"));
}

TEST(TrainingGraph, StopGradientSparesWhatMakesTheImage) {
    const auto input = image();
    const auto preprocessing = MPS::NNDivisionNode::node(input, image());
    const auto conv = convolution(preprocessing->resultImage());
    preprocessing->resultImage()->setStopGradient(true);
    std::vector<Call> calls;
    const auto termini = loss(conv->resultImage())->trainingGraph(nullptr, recorder(calls));
    EXPECT_THAT(classes(calls), ElementsAre("CNNConvolutionGradientNode"));
    EXPECT_EQ(termini.size(), 1u);
}

TEST(TrainingGraph, AHandlerPrunesWithStopGradient) {
    Chain net;
    std::vector<std::string> made;
    const auto termini = net.end->trainingGraph(
        nullptr, [&](const auto& gradient, const auto&, const auto& inferenceSource, const auto&) {
            made.push_back(gradient->className());
            if (inferenceSource == net.pool->resultImage()) inferenceSource->setStopGradient(true);
        });
    EXPECT_THAT(made, ElementsAre("CNNFullyConnectedGradientNode"));
    ASSERT_EQ(termini.size(), 1u);
    EXPECT_STREQ(termini[0]->className(), "CNNFullyConnectedGradientNode");
}

TEST(TrainingGraph, SeveralInputsGiveSeveralTerminiInTheOrderOfCreation) {
    const auto left = image(), right = image();
    const auto product = MPS::NNMultiplicationNode::node(relu(left), right);
    std::vector<Call> calls;
    const auto termini = loss(product->resultImage())->trainingGraph(nullptr, recorder(calls));
    ASSERT_EQ(termini.size(), 2u);
    EXPECT_STREQ(termini[0]->className(), "NNMultiplicationGradientNode");
    EXPECT_EQ(termini[0], calls.at(1).gradient);
    EXPECT_STREQ(termini[1]->className(), "CNNNeuronGradientNode");
}

TEST(TrainingGraph, TheSameNodesGiveTheSameOrderAgain) {
    const auto a = convolution(image()), b = convolution(image());
    const auto sum = MPS::NNAdditionNode::node(a->resultImage(), b->resultImage());
    const auto end = loss(sum->resultImage());
    std::vector<Call> first, second;
    end->trainingGraph(nullptr, recorder(first));
    end->trainingGraph(nullptr, recorder(second));
    ASSERT_EQ(first.size(), second.size());
    for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i].forward, second[i].forward) << i;
}

TEST(TrainingGraph, NothingToTrainGivesNothing) {
    EXPECT_TRUE(loss(image())->trainingGraph().empty());
    const auto stopped = MPS::CNNNeuronReLUNode::node(image());
    stopped->resultImage()->setStopGradient(true);
    EXPECT_TRUE(loss(stopped->resultImage())->trainingGraph().empty());
}

TEST(TrainingGraph, AFilterWithoutAGradientIsNamedWithAWayOut) {
    const auto quotient = MPS::NNDivisionNode::node(image(), image());
    quotient->setLabel("ratio");
    const auto end = loss(quotient->resultImage());
    EXPECT_THAT(messageOf([&] { end->trainingGraph(); }),
                AllOf(HasSubstr("NNDivisionNode 'ratio'"), HasSubstr("stopGradient")));
}

TEST(TrainingGraph, ALossInsideIsRefused) {
    const auto inner = loss(image());
    const auto end = loss(relu(inner->resultImage()));
    EXPECT_THAT(messageOf([&] { end->trainingGraph(); }),
                AllOf(HasSubstr("CNNLossNode"), HasSubstr("at the end")));
}
