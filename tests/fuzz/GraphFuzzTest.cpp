#include <gtest/gtest.h>

#include <MPS/CNNDropoutNode.hpp>
#include <MPS/CNNNeuronNode.hpp>
#include <MTL/Device.hpp>

#include "Check.h"

/// The fuzzer itself: that it repeats itself, reaches everything, and finds what is wrong. Its long run is graph_fuzz.
using namespace pewter::fuzz;

namespace {

/// One input and a filter on it, with ones as gradient.
Plan planOf(PlanNode node) {
    Plan plan;
    plan.inputs = {{3, 2, 2}};
    plan.inputValues.emplace_back();
    for (int i = 0; i < 12; ++i) plan.inputValues[0].push_back(0.25 * i - 1.4);
    node.sources = {0};
    node.size = plan.inputs[0];
    plan.nodes.push_back(std::move(node));
    plan.images.resize(2);
    Terminal terminal;
    terminal.kind = Terminal::Kind::Ones;
    terminal.image = 1;
    plan.terminals.push_back(terminal);
    return plan;
}

}  // namespace

TEST(GraphFuzz, ASeedDrawsTheSameGraphEveryTime) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        const auto a = drawPlan(seed), b = drawPlan(seed);
        EXPECT_EQ(a.text(), b.text());
        EXPECT_EQ(a.inputValues, b.inputValues);
    }
    EXPECT_NE(drawPlan(1).text(), drawPlan(2).text());
}

TEST(GraphFuzz, EveryFamilyOfFiltersComesUp) {
    std::string all;
    for (std::uint64_t seed = 1; seed <= 2000; ++seed) all += drawPlan(seed).text();
    for (const char* what : familyTexts()) EXPECT_NE(all.find(what), std::string::npos) << what;
    for (const char* what : {"loss node", "initial gradient", "incoming gradient", "itself as gradient", "gradient 2 from",
                             "node handler", "some images float16", "some termini", "temporary sources", "temporary states", " stop",
                             "exported temporary", "state exported", "style CPU", "style none"})
        EXPECT_NE(all.find(what), std::string::npos) << what;
}

TEST(GraphFuzz, FourHundredGraphsPass) {
    Checker checker;
    for (std::uint64_t seed = 1; seed <= 400; ++seed) EXPECT_EQ(checker.check(seed), "") << drawPlan(seed).text();
    EXPECT_GT(checker.tally.differences, 400u);
}

TEST(GraphFuzz, ADerivativeOfAnotherFunctionIsFound) {
    PlanNode node;
    node.text = "tanh for training, sigmoid for the differences";
    node.isExact = false;
    node.build = [](const std::vector<ImageNode>& x, const Building& building) -> FilterNode {
        if (building.forwardOnly) return MPS::CNNNeuronSigmoidNode::node(x[0]);
        return MPS::CNNNeuronTanHNode::node(x[0]);
    };
    const auto message = Checker().check(planOf(node));
    EXPECT_NE(message.find("by central differences"), std::string::npos) << message;
    EXPECT_NE(message.find("#0["), std::string::npos) << message;
}

TEST(GraphFuzz, ResultsThatChangeFromEncodeToEncodeAreFound) {
    if (MTL::copyAllDevices().size() < 2) GTEST_SKIP() << "reference is the only device";
    PlanNode node;
    node.text = "a dropout that does not say so";
    node.build = [](const std::vector<ImageNode>& x, const Building&) { return MPS::CNNDropoutNode::node(x[0], 0.5F, 3); };
    const auto message = Checker().check(planOf(node));
    EXPECT_NE(message.find("when encoded again"), std::string::npos) << message;
}

TEST(GraphFuzz, ALeftoverTemporaryIsFound) {
    auto plan = planOf([] {
        PlanNode node;
        node.text = "tanh";
        node.build = [](const std::vector<ImageNode>& x, const Building&) { return MPS::CNNNeuronTanHNode::node(x[0]); };
        return node;
    }());
    EXPECT_EQ(Checker().check(plan), "");
    // An export that the fuzzer does not count on.
    plan.nodes[0].build = [](const std::vector<ImageNode>& x, const Building&) -> FilterNode {
        const auto inner = MPS::CNNNeuronTanHNode::node(x[0]);
        inner->resultImage()->setExportFromGraph(true);
        inner->resultImage()->setHandle(std::make_shared<Name>("inner"));
        return MPS::CNNNeuronSigmoidNode::node(inner->resultImage());
    };
    EXPECT_NE(Checker().check(plan), "");
}
