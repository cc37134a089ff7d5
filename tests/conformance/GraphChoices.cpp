#include <gmock/gmock.h>

#include <MPS/NNPadding.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "EveryDevice.h"
#include "GraphNets.h"

/// What the documentation leaves open and this library decides: the choices that no other test shows. The
/// numbers are those of the table in docs/graph.md.
using namespace pewter::test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

Node abs(const Node& source) { return MPS::CNNNeuronAbsoluteNode::node(source)->resultImage(); }

std::vector<std::string> namesOf(const std::vector<std::shared_ptr<MPS::Handle>>& handles) {
    std::vector<std::string> names;
    for (const auto& handle : handles) names.push_back(handle ? handle->label() : "-");
    return names;
}

/// |a| b + (c - |d|), with names on all images.
struct Four {
    Node a = input("a"), b = input("b"), c = input("c"), d = input("d");
    Node left = exported("left", abs(a));
    Node product = exported("product", MPS::NNMultiplicationNode::node(left, b)->resultImage());
    Node right = abs(d);
    Node difference = MPS::NNSubtractionNode::node(c, right)->resultImage();
    Node sum = exported("sum", MPS::NNAdditionNode::node(product, difference)->resultImage());

    static Node input(const std::string& name) { return MPS::NNImageNode::node(tag(name)); }
    static Node exported(const std::string& name, const Node& node) {
        node->setHandle(tag(name));
        node->setExportFromGraph(true);
        return node;
    }
};

std::vector<std::string> stepsOf(MPS::NNGraph& graph) {
    std::vector<MPS::ImageBatch> sources(graph.sourceImageHandles().size(),
                                         drawImages(graph.device(), 1, 2, 2, 1, 1));
    std::vector<std::string> classes;
    for (const auto& step : graph.memoryReport(sources).steps) classes.push_back(step.className);
    return classes;
}

}  // namespace

TEST(GraphChoices, U02_AStyleThatIsNoneOfTheThreeIsRefusedOnEveryTrainableNode) {
    Net net;
    const auto conv = net.layer(net.input, "conv", 3, 3, 4);
    net.norm(conv->resultImage(), "norm", 4);
    const auto norm = MPS::CNNBatchNormalizationNode::node(net.input, net.norms[0]);
    const auto gradient = conv->gradientFilter(MPS::NNImageNode::node());
    for (MPS::NNTrainableNode* node :
         {static_cast<MPS::NNTrainableNode*>(conv.get()), static_cast<MPS::NNTrainableNode*>(norm.get()),
          dynamic_cast<MPS::NNTrainableNode*>(gradient.get())}) {
        ASSERT_NE(node, nullptr);
        EXPECT_THAT(errorOf([&] { node->setTrainingStyle(static_cast<MPS::NNTrainingStyle>(3)); }),
                    HasSubstr("trainingStyle"));
        EXPECT_EQ(node->trainingStyle(), MPS::NNTrainingStyle::UpdateDeviceGPU);
    }
}

TEST(GraphChoices, U23_AGradientFilterHasTheInverseOfItsForwardPolicyAndTheSizeOfItsSourceAllTheSame) {
    struct Without final : MPS::NNPadding {
        MPS::NNPaddingMethod paddingMethod() const override { return MPS::NNPaddingMethodSizeValidOnly; }
    };
    const auto valid = MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeValidOnly),
               full = MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeFull),
               same = MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeSame);
    const auto tensorflow = MPS::NNDefaultPadding::paddingForTensorflowAveragePooling();
    const auto none = std::make_shared<Without>();
    const std::vector<std::pair<std::shared_ptr<MPS::NNPadding>, std::shared_ptr<MPS::NNPadding>>> pairs = {
        {valid, full}, {full, valid}, {same, same}, {tensorflow, tensorflow}, {none, same}};
    for (const auto& [policy, inverse] : pairs) {
        const auto pool = MPS::CNNPoolingMaxNode::node(MPS::NNImageNode::node(), 3, 2);
        pool->setPaddingPolicy(policy);
        const auto gradient = pool->gradientFilter(pool->resultImage());
        EXPECT_EQ(gradient->paddingPolicy()->paddingMethod(), inverse->paddingMethod());
        MPS::NNGraph graph(testDevice(), gradient->resultImage());
        const auto commands = testQueue()->commandBuffer();
        const auto result = graph.encode(commands, {drawImages(testDevice(), 1, 7, 8, 2, 1)[0]});
        EXPECT_EQ(result->width(), 7u);
        EXPECT_EQ(result->height(), 8u);
        run(commands);
    }
}

TEST(GraphChoices, U25_GradientsAreSummedInTheOrderInWhichTheyWereMadeFromTheLeft) {
    const auto input = MPS::NNImageNode::node(tag("input"));
    const auto a = MPS::NNAdditionNode::node(input, input);
    const auto b = MPS::NNAdditionNode::node(a->resultImage(), input);
    struct Made {
        std::shared_ptr<MPS::NNFilterNode> filter;
        Node gradient;
    };
    std::vector<Node> gradients;
    std::vector<Made> additions;
    const auto termini =
        b->trainingGraph(MPS::NNImageNode::node(),
                         [&](const auto& filter, const auto& forward, const auto& source, const auto& given) {
                             if (!forward)
                                 additions.push_back({filter, given});
                             else if (source == input)
                                 gradients.push_back(filter->resultImage());
                         });
    ASSERT_EQ(gradients.size(), 3u);
    ASSERT_EQ(additions.size(), 2u);
    EXPECT_EQ(additions[0].filter->sources(), (MPS::NNImageNodes{gradients[0], gradients[1]}));
    EXPECT_EQ(additions[1].filter->sources(),
              (MPS::NNImageNodes{additions[0].filter->resultImage(), gradients[2]}));
    // U27: the handler is given the left operand.
    EXPECT_EQ(additions[0].gradient, gradients[0]);
    EXPECT_EQ(additions[1].gradient, additions[0].filter->resultImage());
    EXPECT_EQ(termini, MPS::NNFilterNodes{additions[1].filter});
}

TEST(GraphChoices, U29_WithoutAHandlerAnInsertedAdditionGetsTheHandleOfTheForwardImage) {
    const auto input = MPS::NNImageNode::node(tag("input"));
    const auto x = abs(input);
    x->setHandle(tag("x"));
    const auto sum = MPS::NNAdditionNode::node(x, abs(x));
    const auto termini = sum->trainingGraph(MPS::NNImageNode::node());
    ASSERT_EQ(termini.size(), 1u);
    EXPECT_EQ(termini[0]->resultImage()->handle(), input->handle());
    const auto* addition = termini[0]->sources()[0]->producer();
    ASSERT_STREQ(addition->className(), "NNAdditionNode");
    EXPECT_EQ(termini[0]->sources()[0]->handle(), x->handle());
}

TEST(GraphChoices, U30_WithoutFlagsEveryResultIsNeeded) {
    Four net;
    MPS::NNGraph graph(testDevice(), {net.product, net.difference});
    EXPECT_TRUE(graph.resultImageIsNeeded());
    const auto commands = testQueue()->commandBuffer();
    std::vector<ImagePtr> sources, out;
    for (std::size_t i = 0; i < 4; ++i) sources.push_back(drawImages(testDevice(), 1, 2, 2, 1, i)[0]);
    EXPECT_NE(graph.encode(commands, sources, {}, &out), nullptr);
    EXPECT_EQ(out.size(), 3u);  // product and left exported, then result 1
    for (const auto& image : out)
        if (image->isTemporary()) temporary(image).setReadCount(0);
    run(commands);
}

TEST_ON_EVERY_DEVICE(GraphChoices, U32_ALossWhoseResultNobodyNeedsIsComputedAllTheSame) {
    double losses[2];
    for (const bool needed : {false, true}) {
        Net net(device);
        buildChain(net);
        const auto loss = MPS::CNNLossNode::node(
            net.logits, MPS::CNNLossDescriptor::cnnLossDescriptor(MPS::CNNLossType::SoftMaxCrossEntropy,
                                                                  MPS::CNNReductionType::Sum));
        MPS::NNGraph graph(device, loss->resultImage(), needed);
        graph.setFormat(Format::Float32);
        const auto labels = net.labels(2);
        const auto commands = net.queue->commandBuffer();
        EXPECT_EQ(graph.encodeBatch(commands, {net.images(2)}, {labels}).size(), needed ? 2u : 0u);
        run(commands);
        losses[needed] = lossOf(labels);
    }
    EXPECT_EQ(losses[0], losses[1]);
    EXPECT_GT(losses[0], 0);
}

TEST(GraphChoices, U33_FiltersRunDepthFirstFromTheResultsSourcesInArgumentOrder) {
    Four net;
    MPS::NNGraph one(testDevice(), net.sum);
    EXPECT_THAT(stepsOf(one), ElementsAre("CNNNeuron", "CNNMultiply", "CNNNeuron", "CNNSubtract", "CNNAdd"));
    MPS::NNGraph two(testDevice(), {net.difference, net.product});
    EXPECT_THAT(stepsOf(two), ElementsAre("CNNNeuron", "CNNSubtract", "CNNNeuron", "CNNMultiply"));
}

TEST(GraphChoices, U34_OfSeveralResultsTheFlagOfTheFirstIsTheGraphs) {
    Four net;
    EXPECT_FALSE(
        MPS::NNGraph(testDevice(), {net.product, net.difference}, {false, true}).resultImageIsNeeded());
    EXPECT_TRUE(
        MPS::NNGraph(testDevice(), {net.product, net.difference}, {true, false}).resultImageIsNeeded());
}

TEST(GraphChoices, U35_HandlesComeInTheOrderOfTheirDiscovery) {
    Four net;
    MPS::NNGraph one(testDevice(), net.sum);
    EXPECT_THAT(namesOf(one.sourceImageHandles()), ElementsAre("a", "b", "c", "d"));
    // A filter's own result before those of its sources.
    EXPECT_THAT(namesOf(one.intermediateImageHandles()), ElementsAre("sum", "product", "left"));
    MPS::NNGraph two(testDevice(), {net.difference, net.product});
    EXPECT_THAT(namesOf(two.sourceImageHandles()), ElementsAre("c", "d", "a", "b"));
    EXPECT_THAT(namesOf(two.intermediateImageHandles()), ElementsAre("product", "left"));
}

TEST(GraphChoices, U35b_OfAGradientFilterTheGradientIsFirstAndStatesComeAfterImages) {
    Net net;
    const auto other = MPS::NNImageNode::node(tag("other"));
    const auto conv = net.layer(net.input, "conv", 3, 3, 4);
    const auto second = net.layer(other, "second", 3, 3, 4);
    const auto sum = MPS::NNAdditionNode::node(conv->resultImage(), second->resultImage())->resultImage();
    net.logits = net.layer(sum, "dense", 6, 4, net.classes, true)->resultImage();
    net.train();
    net.loss->inputLabels()->setHandle(tag("labels"));
    for (const auto& terminus : net.termini) {
        const bool first = terminus->resultImage()->handle() == net.input->handle();
        MPS::NNGraph graph(net.device, terminus->resultImage());
        // Incoming gradient (down to the loss and through it to the inputs), then the source image.
        EXPECT_THAT(namesOf(graph.sourceImageHandles()), ElementsAre("input", "other")) << first;
        EXPECT_THAT(namesOf(graph.sourceStateHandles()), ElementsAre("labels"));
        EXPECT_EQ(graph.resultHandle(), terminus->resultImage()->handle());
    }
}

TEST(GraphChoices, U44_AnUpdateThatIsRefusedOnTheHostIsReportedByItsKernelAndChangesNothing) {
    Net net;
    buildChain(net);
    net.train([](const auto& gradient, const auto&, const auto&, const auto&) {
        if (auto* trainable = dynamic_cast<MPS::NNTrainableNode*>(gradient.get()))
            trainable->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceCPU);
    });
    for (const auto& layer : net.layers) layer->accepts = false;
    Diagnostics diagnostics;
    const double before = net.step(2);
    EXPECT_THAT(diagnostics.messages,
                ElementsAre(testing::AllOf(HasSubstr("'dense'"), HasSubstr("refused the update")),
                            testing::AllOf(HasSubstr("'conv'"), HasSubstr("stay as they are"))));
    EXPECT_EQ(net.step(2), before);
}

TEST(GraphChoices, ThePageHasAllFortySevenAndEachNamesTestsThatExist) {
    const auto read = [](const std::filesystem::path& path) {
        std::ifstream in(path);
        std::ostringstream text;
        text << in.rdbuf();
        return text.str();
    };
    std::string sources;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(std::filesystem::path(PEWTER_FIXTURES).parent_path()))
        if (entry.path().extension() == ".cpp") sources += read(entry.path());
    std::istringstream page(read(std::filesystem::path(PEWTER_DOCS) / "graph.md"));
    const std::regex row("\\| ([0-9]+) \\|.*"), name("`[A-Za-z0-9]+\\.([A-Za-z0-9_]+)`");
    std::size_t rows = 0;
    for (std::string line; std::getline(page, line);) {
        std::smatch match;
        if (!std::regex_match(line, match, row)) continue;
        EXPECT_EQ(match[1], std::to_string(++rows));
        std::size_t tests = 0;
        for (std::sregex_iterator at(line.begin(), line.end(), name), end; at != end; ++at, ++tests)
            EXPECT_NE(sources.find((*at)[1].str()), std::string::npos) << (*at)[1];
        EXPECT_GT(tests, 0u) << line;
    }
    EXPECT_EQ(rows, 47u);
}
