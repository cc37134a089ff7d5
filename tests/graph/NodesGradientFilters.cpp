#include "NodesSupport.h"

using namespace pewter::test;
using testing::AllOf;
using testing::HasSubstr;

namespace {

Image image() { return MPS::NNImageNode::node(); }

template <class Node>
std::shared_ptr<Node> as(const std::shared_ptr<MPS::NNFilterNode>& node) {
    return std::dynamic_pointer_cast<Node>(node);
}

}  // namespace

TEST(NodesGradientFilters, TakeGradientForwardSourceAndStateInThisOrder) {
    const auto source = image(), gradient = image();
    const auto forward = MPS::CNNPoolingMaxNode::node(source, 3, 3, 2, 1);
    const auto filter = as<MPS::CNNPoolingMaxGradientNode>(forward->gradientFilter(gradient));
    ASSERT_NE(filter, nullptr);
    EXPECT_EQ(filter->sources(), (MPS::NNImageNodes{gradient, source}));
    EXPECT_EQ(filter->sourceStates(), MPS::NNStateNodes{forward->resultState()});
    EXPECT_EQ(filter->kernelWidth(), 3u);
    EXPECT_EQ(filter->strideInPixelsX(), 2u);
    EXPECT_EQ(filter->strideInPixelsY(), 1u);
}

TEST(NodesGradientFilters, EveryCallMakesNewOnesOnTheSameState) {
    const auto forward = MPS::CNNNeuronReLUNode::node(image());
    const auto a = forward->gradientFilter(image()), b = forward->gradientFilters(image()).at(0);
    EXPECT_NE(a, b);
    EXPECT_EQ(a->sourceStates(), b->sourceStates());
}

TEST(NodesGradientFilters, CopyWhatTheForwardFilterIsMadeOf) {
    const auto weights = std::make_shared<Weights>(3, 4, 4);
    const auto conv = MPS::CNNConvolutionNode::node(image(), weights);
    conv->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceCPU);
    conv->setLabel("first");
    conv->setPaddingPolicy(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeValidOnly));
    const auto gradient = as<MPS::CNNConvolutionGradientNode>(conv->gradientFilter(image()));
    ASSERT_NE(gradient, nullptr);
    EXPECT_EQ(gradient->weights(), weights);
    EXPECT_EQ(gradient->trainingStyle(), MPS::NNTrainingStyle::UpdateDeviceCPU);
    EXPECT_EQ(gradient->label(), "first");
    EXPECT_EQ(gradient->paddingPolicy()->paddingMethod(), MPS::NNPaddingMethodSizeFull);

    const auto dropout = MPS::CNNDropoutNode::node(image(), 0.25F, 7, {1, 0, 1});
    const auto mask = as<MPS::CNNDropoutGradientNode>(dropout->gradientFilter(image()));
    ASSERT_NE(mask, nullptr);
    EXPECT_EQ(mask->keepProbability(), 0.25F);
    EXPECT_EQ(mask->seed(), 7u);
    EXPECT_EQ(mask->maskStrideInPixels().height, 0u);

    const auto neuron = MPS::CNNNeuronTanHNode::node(image(), 2, 3);
    EXPECT_EQ(as<MPS::CNNNeuronGradientNode>(neuron->gradientFilter(image()))->descriptor(),
              neuron->descriptor());

    const auto dilated = MPS::CNNDilatedPoolingMaxNode::node(image(), 3, 1, 2);
    EXPECT_EQ(as<MPS::CNNDilatedPoolingMaxGradientNode>(dilated->gradientFilter(image()))->dilationRateY(),
              2u);
}

TEST(NodesGradientFilters, AFullyConnectedLayerHasItsOwnClass) {
    const auto node = MPS::CNNFullyConnectedNode::node(image(), std::make_shared<Weights>(3, 4, 4));
    EXPECT_NE(as<MPS::CNNFullyConnectedGradientNode>(node->gradientFilter(image())), nullptr);
}

TEST(NodesGradientFilters, WithoutWeightsAConvolutionGradientTakesThoseOfTheForwardFilter) {
    const auto weights = std::make_shared<Weights>(3, 4, 4);
    const auto conv = MPS::CNNConvolutionNode::node(image(), weights);
    const auto gradient =
        MPS::CNNConvolutionGradientNode::node(image(), image(), conv->convolutionGradientState(), nullptr);
    EXPECT_EQ(gradient->weights(), weights);
}

TEST(NodesGradientFilters, SoftMaxReadsItsForwardResult) {
    const auto source = image();
    const auto forward = MPS::CNNSoftMaxNode::node(source);
    EXPECT_EQ(forward->gradientFilter(image())->sources()[1], forward->resultImage());
    const auto state = std::static_pointer_cast<MPS::NNGradientStateNode>(forward->resultState());
    // By hand, with the forward source as in the signature, and with the result itself.
    EXPECT_EQ(MPS::CNNSoftMaxGradientNode::node(image(), source, state)->sources()[1],
              forward->resultImage());
    EXPECT_EQ(MPS::CNNSoftMaxGradientNode::node(image(), forward->resultImage(), state)->sources()[1],
              forward->resultImage());
    const auto logarithm = MPS::CNNLogSoftMaxNode::node(source);
    EXPECT_EQ(logarithm->gradientFilter(image())->sources()[1], logarithm->resultImage());
}

TEST(NodesGradientFilters, SumsPassTheirScalesOn) {
    const auto x = image(), y = image(), g = image();
    const auto sum = MPS::NNAdditionNode::node(x, y);
    sum->setPrimaryScale(2);
    sum->setSecondaryScale(3);
    sum->setSecondaryStrideInPixelsX(0);
    const auto gradients = sum->gradientFilters(g);
    ASSERT_EQ(gradients.size(), 2u);
    const auto a = as<MPS::NNAdditionGradientNode>(gradients[0]),
               b = as<MPS::NNAdditionGradientNode>(gradients[1]);
    EXPECT_EQ(a->primaryScale(), 2);
    EXPECT_EQ(b->primaryScale(), 3);
    EXPECT_FALSE(a->isSecondarySourceFilter());
    EXPECT_TRUE(b->isSecondarySourceFilter());
    EXPECT_EQ(a->sources()[1], x);
    EXPECT_EQ(b->sources()[1], y);
    EXPECT_EQ(a->secondaryStrideInPixelsX(), 1u);
    EXPECT_EQ(b->secondaryStrideInPixelsX(), 0u);
    EXPECT_EQ(a->sourceStates(), b->sourceStates());
}

TEST(NodesGradientFilters, TheSubtrahendsScaleIsNegative) {
    const auto difference = MPS::NNSubtractionNode::node(image(), image());
    difference->setSecondaryScale(3);
    const auto gradients = difference->gradientFilters(image());
    EXPECT_EQ(as<MPS::NNSubtractionGradientNode>(gradients.at(0))->primaryScale(), 1);
    EXPECT_EQ(as<MPS::NNSubtractionGradientNode>(gradients.at(1))->primaryScale(), -3);
}

TEST(NodesGradientFilters, AProductsGradientReadsTheOtherFactor) {
    const auto x = image(), y = image();
    const auto product = MPS::NNMultiplicationNode::node(x, y);
    product->setPrimaryScale(2);
    product->setSecondaryScale(3);
    product->setPrimaryStrideInFeatureChannels(0);
    const auto gradients = product->gradientFilters(image());
    const auto a = as<MPS::NNMultiplicationGradientNode>(gradients.at(0)),
               b = as<MPS::NNMultiplicationGradientNode>(gradients.at(1));
    EXPECT_EQ(a->sources()[1], y);
    EXPECT_EQ(b->sources()[1], x);
    EXPECT_EQ(a->primaryScale() * a->secondaryScale(), 6);
    EXPECT_EQ(b->primaryScale() * b->secondaryScale(), 6);
    EXPECT_EQ(a->secondaryStrideInFeatureChannels(), 1u);
    EXPECT_EQ(b->secondaryStrideInFeatureChannels(), 0u);
}

TEST(NodesGradientFilters, OfTwoSourcesTheSingularFormIsUnavailable) {
    const auto sum = MPS::NNAdditionNode::node(image(), image());
    EXPECT_THAT(messageOf([&] { sum->gradientFilter(image()); }),
                AllOf(HasSubstr("NNAdditionNode"), HasSubstr("gradientFilters"), HasSubstr("2 sources")));
}

TEST(NodesGradientFilters, DivisionAndLossesAndGradientsHaveNone) {
    const auto quotient = MPS::NNDivisionNode::node(image(), image());
    quotient->setLabel("ratio");
    EXPECT_THAT(messageOf([&] { quotient->gradientFilters(image()); }),
                AllOf(HasSubstr("NNDivisionNode 'ratio'"), HasSubstr("stopGradient")));
    EXPECT_THAT(messageOf([&] { loss(image())->gradientFilter(image()); }),
                AllOf(HasSubstr("CNNLossNode"), HasSubstr("its own gradient")));
    const auto gradient = MPS::CNNNeuronReLUNode::node(image())->gradientFilter(image());
    EXPECT_THAT(messageOf([&] { gradient->gradientFilters(image()); }),
                HasSubstr("no gradients of gradients"));
    EXPECT_THAT(messageOf([&] { gradient->trainingGraph(image()); }), HasSubstr("no gradients of gradients"));
}

TEST(NodesGradientFilters, TakeExactlyOneIncomingGradient) {
    const auto neuron = MPS::CNNNeuronReLUNode::node(image());
    EXPECT_THAT(messageOf([&] {
                    neuron->gradientFilter(MPS::NNImageNodes{image(), image()});
                }),
                HasSubstr("found 2"));
    EXPECT_THAT(messageOf([&] { neuron->gradientFilter(Image()); }), HasSubstr("null"));
}
