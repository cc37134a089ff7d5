#include <MPS/Image.hpp>
#include <limits>

#include "NodesSupport.h"

using namespace pewter::test;
using testing::AllOf;
using testing::HasSubstr;
using Format = MPS::ImageFeatureChannelFormat;

TEST(Nodes, AnImageNodeStartsAsTheDocumentationSays) {
    const auto node = MPS::NNImageNode::node();
    EXPECT_EQ(node->handle(), nullptr);
    EXPECT_EQ(node->format(), Format::None);
    EXPECT_EQ(node->imageAllocator(), MPS::TemporaryImage::defaultAllocator());
    EXPECT_FALSE(node->exportFromGraph());
    EXPECT_FALSE(node->synchronizeResource());
    EXPECT_FALSE(node->stopGradient());
    EXPECT_EQ(node->producer(), nullptr);
    const auto handle = name("x");
    const auto exported = MPS::NNImageNode::exportedNode(handle);
    EXPECT_EQ(exported->handle(), handle);
    EXPECT_TRUE(exported->exportFromGraph());
    EXPECT_EQ(exported->imageAllocator(), MPS::TemporaryImage::defaultAllocator());
}

TEST(Nodes, AFilterHasOneResultImageAndOneStateAlwaysTheSame) {
    const auto filter = convolution(MPS::NNImageNode::node());
    EXPECT_EQ(filter->resultImage(), filter->resultImage());
    EXPECT_EQ(filter->resultImage()->producer(), filter.get());
    ASSERT_EQ(filter->resultStates().size(), 1u);
    EXPECT_EQ(filter->resultStates()[0], filter->resultState());
    EXPECT_EQ(filter->resultState(), filter->convolutionGradientState());
    EXPECT_EQ(filter->resultState()->producer(), filter.get());
}

TEST(Nodes, AResultImageKeepsEverythingThatLeadsToIt) {
    std::weak_ptr<MPS::NNFilterNode> first;
    Image result;
    {
        const auto a = MPS::CNNNeuronReLUNode::node(MPS::NNImageNode::node());
        first = a;
        result = MPS::CNNSoftMaxNode::node(a->resultImage())->resultImage();
    }
    EXPECT_FALSE(first.expired());
    result = nullptr;
    EXPECT_TRUE(first.expired());
}

TEST(Nodes, AStateNodeKeepsItsFilter) {
    std::weak_ptr<MPS::NNFilterNode> filter;
    std::shared_ptr<MPS::NNStateNode> state;
    {
        const auto a = MPS::CNNNeuronReLUNode::node(MPS::NNImageNode::node());
        filter = a;
        state = a->resultState();
    }
    EXPECT_FALSE(filter.expired());
    state = nullptr;
    EXPECT_TRUE(filter.expired());
}

TEST(Nodes, ATrainingGraphMakesNoCycleOfOwners) {
    std::weak_ptr<MPS::NNFilterNode> forward, gradient;
    {
        const auto conv = convolution(MPS::NNImageNode::node());
        const auto end = loss(MPS::CNNSoftMaxNode::node(conv->resultImage())->resultImage());
        const auto termini = end->trainingGraph();
        forward = conv;
        gradient = termini.at(0);
    }
    EXPECT_TRUE(gradient.expired());
    EXPECT_TRUE(forward.expired());
}

TEST(Nodes, ManyThousandFiltersInARowCanBeMadeAndReleased) {
    auto image = MPS::NNImageNode::node();
    for (int i = 0; i < 5000; ++i) image = MPS::CNNNeuronReLUNode::node(image)->resultImage();
    const auto termini = image->producer()->trainingGraph(MPS::NNImageNode::node());
    EXPECT_EQ(termini.size(), 1u);
}

TEST(Nodes, TheResultsFormatIsACopyMadeAtConstruction) {
    const auto source = MPS::NNImageNode::node();
    source->setFormat(Format::Float32);
    const auto filter = MPS::CNNNeuronReLUNode::node(source);
    source->setFormat(Format::Float16);
    EXPECT_EQ(filter->resultImage()->format(), Format::Float32);
}

TEST(Nodes, OfTwoSourcesTheFirstGivesTheFormat) {
    const auto left = MPS::NNImageNode::node(), right = MPS::NNImageNode::node();
    right->setFormat(Format::Float32);
    EXPECT_EQ(MPS::NNAdditionNode::node(left, right)->resultImage()->format(), Format::None);
    EXPECT_EQ(MPS::NNAdditionNode::node(right, left)->resultImage()->format(), Format::Float32);
}

TEST(Nodes, PaddingIsSameSizeExceptForFullyConnected) {
    const auto source = MPS::NNImageNode::node();
    const auto same = MPS::NNPaddingMethodSizeSame, valid = MPS::NNPaddingMethodSizeValidOnly;
    EXPECT_EQ(convolution(source)->paddingPolicy()->paddingMethod(), same);
    EXPECT_EQ(MPS::CNNPoolingMaxNode::node(source, 2)->paddingPolicy()->paddingMethod(), same);
    EXPECT_EQ(MPS::CNNFullyConnectedNode::node(source, std::make_shared<Weights>(3, 4, 4))
                  ->paddingPolicy()
                  ->paddingMethod(),
              valid);
}

TEST(Nodes, APoolingNodesShortFormsSetWindowAndStride) {
    const auto source = MPS::NNImageNode::node();
    const auto square = MPS::CNNPoolingAverageNode::node(source, 3);
    EXPECT_EQ(square->kernelWidth(), 3u);
    EXPECT_EQ(square->strideInPixelsY(), 3u);
    const auto strided = MPS::CNNPoolingMaxNode::node(source, 3, 2);
    EXPECT_EQ(strided->kernelHeight(), 3u);
    EXPECT_EQ(strided->strideInPixelsX(), 2u);
    const auto dilated = MPS::CNNDilatedPoolingMaxNode::node(source, 2);
    EXPECT_EQ(dilated->dilationRateX(), 2u);
    EXPECT_EQ(dilated->strideInPixelsY(), 2u);
}

TEST(Nodes, NeuronNodesHaveTheirTypesDefaults) {
    const auto source = MPS::NNImageNode::node();
    EXPECT_EQ(MPS::CNNNeuronReLUNode::node(source)->a(), 0);
    EXPECT_EQ(MPS::CNNNeuronELUNode::node(source)->a(), 1);
    EXPECT_EQ(MPS::CNNNeuronReLUNNode::node(source)->b(), 6);
    EXPECT_EQ(MPS::CNNNeuronHardSigmoidNode::node(source)->a(), 0.2F);
    EXPECT_EQ(MPS::CNNNeuronHardSigmoidNode::node(source)->b(), 0.5F);
    EXPECT_EQ(MPS::CNNNeuronPowerNode::node(source)->c(), 1);
    EXPECT_EQ(MPS::CNNNeuronExponentialNode::node(source)->c(), -1);
    EXPECT_EQ(MPS::CNNNeuronLogarithmNode::node(source)->c(), -1);
}

TEST(Nodes, ADescriptorMakesTheClassOfItsType) {
    const auto source = MPS::NNImageNode::node();
    const auto tanh = MPS::CNNNeuronNode::node(
        source, MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::TanH, 2, 3));
    EXPECT_NE(std::dynamic_pointer_cast<MPS::CNNNeuronTanHNode>(tanh), nullptr);
    EXPECT_EQ(tanh->a(), 2);
    EXPECT_EQ(tanh->b(), 3);
    for (int type = 0; type < static_cast<int>(MPS::CNNNeuronType::Count); ++type) {
        auto descriptor =
            type == static_cast<int>(MPS::CNNNeuronType::PReLU)
                ? MPS::NNNeuronDescriptor::cnnNeuronPReLUDescriptor({0.1F, 0.2F})
                : MPS::NNNeuronDescriptor::cnnNeuronDescriptor(static_cast<MPS::CNNNeuronType>(type));
        EXPECT_EQ(MPS::CNNNeuronNode::node(source, descriptor)->descriptor(), descriptor) << type;
    }
}

TEST(Nodes, DropoutKeepsHalfUnlessToldOtherwise) {
    const auto dropout = MPS::CNNDropoutNode::node(MPS::NNImageNode::node());
    EXPECT_EQ(dropout->keepProbability(), 0.5F);
    EXPECT_EQ(dropout->seed(), 0u);
    EXPECT_EQ(dropout->maskStrideInPixels().depth, 1u);
}

TEST(Nodes, ArithmeticNodesStartWithoutScaleBiasOrLimits) {
    const auto x = MPS::NNImageNode::node();
    const auto node = MPS::NNSubtractionNode::node({x, x});
    EXPECT_EQ(node->primaryScale(), 1);
    EXPECT_EQ(node->secondaryScale(), 1);
    EXPECT_EQ(node->bias(), 0);
    EXPECT_EQ(node->primaryStrideInFeatureChannels(), 1u);
    EXPECT_EQ(node->minimumValue(), -std::numeric_limits<float>::max());
    EXPECT_EQ(node->maximumValue(), std::numeric_limits<float>::max());
}

TEST(Nodes, AMissingSourceIsNamed) {
    const Image none;
    const auto some = MPS::NNImageNode::node();
    EXPECT_THAT(messageOf([&] { MPS::CNNSoftMaxNode::node(none); }),
                AllOf(HasSubstr("CNNSoftMaxNode"), HasSubstr("source"), HasSubstr("null")));
    EXPECT_THAT(messageOf([&] { MPS::NNAdditionNode::node(some, none); }),
                AllOf(HasSubstr("NNAdditionNode"), HasSubstr("rightSource")));
    EXPECT_THAT(messageOf([&] { MPS::CNNConvolutionNode::node(some, nullptr); }),
                AllOf(HasSubstr("CNNConvolutionNode"), HasSubstr("weights")));
    EXPECT_THAT(messageOf([&] { MPS::CNNBatchNormalizationNode::node(some, nullptr); }),
                HasSubstr("dataSource"));
    EXPECT_THAT(messageOf([&] { MPS::CNNSoftMaxGradientNode::node(some, some, nullptr); }),
                AllOf(HasSubstr("CNNSoftMaxGradientNode"), HasSubstr("gradientState")));
    EXPECT_THAT(messageOf([&] { MPS::CNNConvolutionGradientNode::node(some, some, nullptr); }),
                HasSubstr("convolutionGradientState"));
    EXPECT_THAT(messageOf([&] { MPS::NNAdditionNode::node({some}); }),
                AllOf(HasSubstr("two"), HasSubstr("found 1")));
}

TEST(Nodes, ImpossibleParametersAreRefusedByName) {
    const auto x = MPS::NNImageNode::node();
    EXPECT_THAT(messageOf([&] { MPS::CNNPoolingMaxNode::node(x, 2, 0); }),
                AllOf(HasSubstr("CNNPoolingMaxNode"), HasSubstr("strideInPixelsX")));
    EXPECT_THAT(messageOf([&] { MPS::CNNDropoutNode::node(x, 1.0F); }), HasSubstr("keepProbability"));
    EXPECT_THAT(messageOf([&] {
                    MPS::CNNDropoutNode::node(x, 0.5F, 0, {2, 1, 1});
                }),
                HasSubstr("maskStrideInPixels"));
    EXPECT_THAT(messageOf([&] { convolution(x)->setTrainingStyle(static_cast<MPS::NNTrainingStyle>(3)); }),
                AllOf(HasSubstr("trainingStyle"), HasSubstr("3")));
    EXPECT_THAT(messageOf([&] { convolution(x)->setPaddingPolicy(nullptr); }), HasSubstr("paddingPolicy"));
    EXPECT_THAT(messageOf([&] { MPS::NNAdditionNode::node(x, x)->setSecondaryStrideInPixelsX(2); }),
                HasSubstr("secondaryStrideInPixelsX"));
    EXPECT_THAT(messageOf([&] {
                    MPS::CNNBatchNormalizationNode::node(x, std::make_shared<Normalization>(4))
                        ->setFlags(MPS::CNNBatchNormalizationFlagsCalculateStatisticsMask);
                }),
                HasSubstr("flags"));
    EXPECT_THAT(messageOf([&] { MPS::NNImageNode::node()->setImageAllocator(nullptr); }),
                HasSubstr("imageAllocator"));
}

TEST(Nodes, ErrorsCallANodeByItsLabel) {
    const auto node = MPS::NNDivisionNode::node(MPS::NNImageNode::node(), MPS::NNImageNode::node());
    node->setLabel("ratio");
    EXPECT_THAT(messageOf([&] { node->setPaddingPolicy(nullptr); }), HasSubstr("NNDivisionNode 'ratio'"));
}

TEST(Nodes, ANodeOnTheStackSaysHowToHoldIt) {
    MPS::CNNSoftMaxNode node(MPS::NNImageNode::node());
    EXPECT_THAT(messageOf([&] { node.resultImage(); }), HasSubstr("shared_ptr"));
}
