#include <gmock/gmock.h>

#include "GraphNets.h"

/// What is legal but seldom meant is said when a graph is made.
using namespace pewter::test;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

std::vector<std::string> warningsOf(const DevicePtr& device, const std::vector<Node>& results) {
    std::vector<std::string> warnings;
    MPS::NNGraphOptions options;
    options.warningHandler = [&](const std::string& text) { warnings.push_back(text); };
    MPS::NNGraph::graph(device, results, {}, options);
    return warnings;
}

/// Two branches with a layer each, added up behind a loss; the results are the gradients of these branches alone.
struct Branches : Net {
    Branches() {
        left = layer(input, "left", 3, 3, 4);
        right = layer(other, "right", 3, 3, 4);
        right->setLabel("right branch");
        const auto sum = MPS::NNAdditionNode::node(left->resultImage(), right->resultImage())->resultImage();
        logits = layer(sum, "dense", 6, 4, classes, true)->resultImage();
    }
    /// The ends of the backward pass: one a branch.
    std::vector<Node> ends() {
        train();
        std::vector<Node> images;
        for (const auto& terminus : termini) images.push_back(terminus->resultImage());
        return images;
    }
    Node other = MPS::NNImageNode::node(tag("other"));
    std::shared_ptr<MPS::CNNConvolutionNode> left, right;
};

}  // namespace

TEST(GraphWarnings, ATrainableNodeThatNoGradientReachesIsNamed) {
    Diagnostics diagnostics;
    Branches net;
    const auto ends = net.ends();
    ASSERT_EQ(ends.size(), 2u);
    diagnostics.messages.clear();
    EXPECT_THAT(warningsOf(net.device, ends), IsEmpty());
    const auto of = [&](const char* handle) {
        for (const auto& end : ends)
            if (end->handle()->label() == handle) return end;
        return ends[0];
    };
    EXPECT_THAT(warningsOf(net.device, {of("input")}),
                ElementsAre(AllOf(HasSubstr("right branch"), HasSubstr("is trainable but no result"), HasSubstr("trainingGraph()"))));
    EXPECT_THAT(warningsOf(net.device, {of("other")}), ElementsAre(HasSubstr("'left' is trainable")));
    // A handler was set: nothing went elsewhere.
    EXPECT_THAT(diagnostics.messages, IsEmpty());
}

TEST(GraphWarnings, AFrozenNodeOneBehindAStoppedGradientAndAnInferenceGraphAreMeantSo) {
    Diagnostics diagnostics;
    {
        Branches net;
        net.right->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
        const auto ends = net.ends();
        for (const auto& end : ends)
            if (end->handle()->label() == "input") {
                EXPECT_THAT(warningsOf(net.device, {end}), IsEmpty());
            }
    }
    {
        Branches net;
        net.right->resultImage()->setStopGradient(true);
        EXPECT_THAT(warningsOf(net.device, net.ends()), IsEmpty());
    }
    {
        Branches net;
        EXPECT_THAT(warningsOf(net.device, {net.logits}), IsEmpty());
    }
}

TEST(GraphWarnings, WithoutAHandlerTheyGoToTheDiagnosticsOfTheLibrary) {
    Diagnostics diagnostics;
    Branches net;
    const auto ends = net.ends();
    diagnostics.messages.clear();
    for (const auto& end : ends)
        if (end->handle()->label() == "input") MPS::NNGraph::graph(net.device, {end});
    EXPECT_THAT(diagnostics.messages, ElementsAre(AllOf(HasSubstr("graph: "), HasSubstr("right branch"))));
    diagnostics.messages.clear();
}

TEST(GraphWarnings, TwoInputsWithOneHandleAreNamedByTheirPlaces) {
    const auto handle = tag("picture");
    const auto a = MPS::NNImageNode::node(handle), b = MPS::NNImageNode::node(handle), c = MPS::NNImageNode::node(tag("picture"));
    const auto sum = MPS::NNAdditionNode::node(a, b)->resultImage();
    EXPECT_THAT(warningsOf(testDevice(), {sum}),
                ElementsAre(AllOf(HasSubstr("inputs 0 and 1"), HasSubstr("'picture'"), HasSubstr("read count of 2"))));
    // Two handles that look alike are two handles; inputs without one are nobody's.
    EXPECT_THAT(warningsOf(testDevice(), {MPS::NNAdditionNode::node(a, c)->resultImage()}), IsEmpty());
    const auto none = MPS::NNAdditionNode::node(MPS::NNImageNode::node(nullptr), MPS::NNImageNode::node(nullptr));
    EXPECT_THAT(warningsOf(testDevice(), {none->resultImage()}), IsEmpty());
}

TEST(GraphWarnings, ADataSourceOfTwoFiltersIsNamedByBoth) {
    Net net;
    const auto shared = std::make_shared<LayerSource>(net.device, "shared", 3, 3, 3, 1);
    const auto one = MPS::CNNConvolutionNode::node(net.input, shared);
    one->setLabel("one");
    const auto two = MPS::CNNConvolutionNode::node(one->resultImage(), shared);
    two->setLabel("two");
    const auto norm = std::make_shared<NormSource>(net.device, "norm", 3, 2);
    const auto x = MPS::CNNBatchNormalizationNode::node(two->resultImage(), norm)->resultImage();
    EXPECT_THAT(warningsOf(net.device, {x}),
                ElementsAre(AllOf(HasSubstr("'one' and "),
                                  HasSubstr("'two' share a data source: each has a copy of its weights"))));
    EXPECT_THAT(warningsOf(net.device, {one->resultImage()}), IsEmpty());
    const auto again = MPS::CNNBatchNormalizationNode::node(x, norm)->resultImage();
    EXPECT_EQ(warningsOf(net.device, {again}).size(), 2u);
}

TEST(GraphWarnings, OfASharedDataSourceTheySayHowOftenItIsAskedForAnUpdate) {
    for (const std::size_t trained : {0, 1, 2}) {
        Net net;
        const auto shared = std::make_shared<LayerSource>(net.device, "shared", 3, 3, 3, 1);
        const auto one = MPS::CNNConvolutionNode::node(net.input, shared);
        const auto two = MPS::CNNConvolutionNode::node(one->resultImage(), shared);
        if (trained < 2) one->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
        if (trained < 1) two->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
        const auto end = two->trainingGraph(MPS::NNImageNode::node(tag("gradient"))).front()->resultImage();
        EXPECT_THAT(warningsOf(net.device, {end}),
                    ElementsAre(HasSubstr(trained == 0   ? "each has a copy of its weights"
                                          : trained == 1 ? "only one of them is trained, and its update reaches all"
                                                         : "it is asked for an update once for each")))
            << trained;
    }
}

TEST(GraphWarnings, TheGradientFilterOfANodeIsNoSecondUserOfItsDataSource) {
    Net net;
    Diagnostics diagnostics;
    buildChain(net);
    net.train();
    EXPECT_THAT(diagnostics.messages, IsEmpty());
}
