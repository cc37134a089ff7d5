#include "GraphKernels.h"
#include "GraphObjective.h"

/// Derivatives of the loss through whole graphs, by central differences.
using namespace pewter::test;

TEST(GraphGradients, TheTerminusIsTheDerivativeOfTheLossWithRespectToThePictures) {
    Objective(buildWhole).checkImages();
}

TEST(GraphGradients, EveryParameterGetsTheDerivativeOfTheLossSummedOverTheBatch) {
    Objective(buildWhole).checkParameters();
}

TEST(GraphGradients, AResidualBlockAndAnInputUsedTwiceSumTheirGradients) {
    Objective block([](Net& net) {
        net.width = net.height = 4;
        const auto left = net.layer(net.input, "left", 3, 3, 4)->resultImage();
        const auto inside = net.layer(MPS::CNNNeuronTanHNode::node(left)->resultImage(), "inside", 3, 4, 4);
        const auto sum = MPS::NNAdditionNode::node(left, inside->resultImage())->resultImage();
        const auto right = net.layer(net.input, "right", 1, 3, 4)->resultImage();
        // sum * right - sum, scaled: one image with three readers.
        const auto product = MPS::NNMultiplicationNode::node(sum, right);
        product->setPrimaryScale(0.5f);
        const auto difference = MPS::NNSubtractionNode::node(product->resultImage(), sum);
        difference->setSecondaryScale(2);
        net.logits = net.layer(difference->resultImage(), "dense", 4, 4, net.classes, true)->resultImage();
    });
    block.checkImages();
    block.checkParameters();
}

TEST(GraphGradients, AnImageTimesItselfGetsBothHalves) {
    Objective square([](Net& net) {
        net.width = net.height = 3;
        const auto x = net.layer(net.input, "conv", 2, 3, 4)->resultImage();
        const auto xx = MPS::NNMultiplicationNode::node(x, x)->resultImage();
        net.logits = net.layer(xx, "dense", 3, 4, net.classes, true)->resultImage();
    });
    square.checkImages();
    square.checkParameters();
}

TEST(GraphGradients, SoftmaxAndLogSoftmaxFiltersBeforeALossPassTheirGradientsOn) {
    Objective chain([](Net& net) {
        net.width = net.height = 3;
        const auto x = net.layer(net.input, "conv", 3, 3, 4)->resultImage();
        const auto soft = MPS::CNNSoftMaxNode::node(x)->resultImage();
        const auto y = net.layer(soft, "dense", 3, 4, net.classes, true)->resultImage();
        net.logits = MPS::CNNLogSoftMaxNode::node(y)->resultImage();
    });
    chain.checkImages();
    chain.checkParameters();
}

TEST(GraphGradients, PaddingPoliciesOfOddSizesStridesAndDilationsStayAdjoint) {
    Objective odd([](Net& net) {
        net.width = 7;
        net.height = 5;
        const auto first = net.layer(net.input, "first", 3, 3, 4);
        first->setPaddingPolicy(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeFull));
        const auto valid = net.layer(first->resultImage(), "valid", 2, 4, 4);
        valid->setPaddingPolicy(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeValidOnly));
        const auto x = MPS::CNNNeuronSoftSignNode::node(valid->resultImage())->resultImage();
        const auto pooled = MPS::CNNPoolingMaxNode::node(x, 3, 2, 2, 3);
        pooled->setPaddingPolicy(MPS::NNDefaultPadding::padding(
            MPS::NNPaddingMethodSizeSame | MPS::NNPaddingMethodAddRemainderToBottomRight));
        const auto mean = MPS::CNNPoolingAverageNode::node(pooled->resultImage(), 2, 1);
        mean->setPaddingPolicy(MPS::NNDefaultPadding::paddingForTensorflowAveragePooling());
        const auto last = net.layer(mean->resultImage(), "last", 1, 4, net.classes)->resultImage();
        net.logits = MPS::CNNPoolingMaxNode::node(last, 4, 2, 4, 2)->resultImage();
        net.logits = MPS::CNNPoolingAverageNode::node(net.logits, 8)->resultImage();
    });
    odd.checkImages();
    odd.checkParameters();
}

TEST(GraphGradients, KernelsOfTheApplicationPassTheirGradientsOnWithTheImageOrTheStateTheyKept) {
    Objective chain([](Net& net) {
        net.width = net.height = 3;
        const auto x = net.layer(net.input, "conv", 3, 3, 4)->resultImage();
        const auto gated = gate(halfSquare(x)->resultImage())->resultImage();
        const auto scaled = MPS::CNNNeuronLinearNode::node(gated, 0.0625f, 0)->resultImage();
        net.logits = net.layer(scaled, "dense", 3, 4, net.classes, true)->resultImage();
    });
    chain.checkImages();
    chain.checkParameters();
}
