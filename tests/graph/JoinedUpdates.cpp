#include <gmock/gmock.h>

#include <MPS/NNRecomputePolicy.hpp>
#include <mutex>

#include "GraphRuns.h"
#include "PassesPlans.h"
#include "mtl/Device.h"
#include "profile/ForwardingBackend.h"

/// Updates that wait for one another, on a device where the start of an operation is dear.
using namespace pewter::test;
namespace ops = pewter::ops;

namespace {

using testing::ElementsAre;

/// Device reference as such a device. Notes what it runs: g for gradients of weights, u for updates.
class Dear final : public pewter::profile::ForwardingBackend {
public:
    explicit Dear(const DevicePtr& device)
        : ForwardingBackend(std::shared_ptr<ops::Backend>(&pewter::mtl::deviceOf(*device).backend(), [](auto*) {})) {}

    bool joinsUpdates() const override { return true; }
#define PEWTER_DECLARE(Op)                                      \
    void run(const ops::Op& op, ops::Stream& stream) override { \
        note(op);                                               \
        inner().run(op, stream);                                \
    }
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE

    std::string take() {
        std::lock_guard lock(mutex_);
        return std::exchange(run_, {});
    }

private:
    void note(const auto&) {}
    void note(const ops::ConvolutionWeightsGradient&) { add('g'); }
    void note(const ops::FullyConnectedWeightsGradient&) { add('g'); }
    void note(const ops::BatchNormalizationStatisticsGradient&) { add('g'); }
    void note(const ops::OptimizerStep&) { add('u'); }
    void add(char what) {
        std::lock_guard lock(mutex_);
        run_ += what;
    }

    std::mutex mutex_;
    std::string run_;
};

struct Trained {
    std::vector<double> losses;
    std::vector<float> weights;
    std::string order;  ///< of the last step
    CallLog calls;      ///< the last step's
    MPS::NNGraphReport report;
};

/// Three steps of a net.
Trained train(const std::function<void(Net&)>& build, bool join, const MPS::NNRecomputePolicy& policy = MPS::NNRecomputePolicy::none()) {
    const auto backend = std::make_shared<Dear>(MTL::copyDevice("reference"));
    Net net(std::make_shared<pewter::mtl::Device>(backend, 1003));
    build(net);
    net.train();
    MPS::NNGraphOptions options;
    options.joinUpdates = join;
    net.graph = MPS::NNGraph::graph(net.device, {net.termini.front()->resultImage()}, {false}, options);
    net.graph->setFormat(Format::Float32);
    net.graph->setRecomputePolicy(policy);
    Trained trained;
    trained.report = net.graph->memoryReport({net.images(2)}, {net.labels(2)});
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
        net.log->clear();
        backend->take();
        trained.losses.push_back(net.step(2, seed));
        EXPECT_EQ(net.peak, trained.report.peakBytes);
    }
    trained.order = backend->take();
    trained.calls = *net.log;
    for (const auto& layer : net.layers)
        for (const float value : layer->trained()) trained.weights.push_back(value);
    for (const auto& norm : net.norms)
        for (const auto& buffer : {norm->state->gamma(), norm->state->beta()})
            for (const float value : floatsOf(buffer)) trained.weights.push_back(value);
    return trained;
}

void expectSame(const Trained& one, const Trained& other) {
    EXPECT_EQ(one.losses, other.losses);
    EXPECT_EQ(one.weights, other.weights);
    EXPECT_EQ(one.calls, other.calls);
}

}  // namespace

TEST(JoinedUpdates, ThoseOfSmallGradientsComeBehindTheLastGradientInItsOrderWithTheSameBits) {
    const auto joined = train(buildWhole, true), apart = train(buildWhole, false);
    EXPECT_EQ(apart.order, "guu" "guu" "guu" "guu" "guu");
    EXPECT_EQ(joined.order, "ggggg" "uuuuuuuuuu");
    EXPECT_THAT(joined.calls, ElementsAre("update dense", "update gate", "update inside", "update gamma and beta norm",
                                          "update mean and variance norm", "update first"));
    expectSame(joined, apart);
    expectApart(joined.report);
}

TEST(JoinedUpdates, OneOfLargeGradientsFollowsThemAndHoldsNoMemoryLonger) {
    // 6 x 6 x 64 x 120 floats are 1.05 MiB.
    const auto build = [](Net& net) {
        net.classes = 120;
        const Node first = Net::relu(net.layer(net.input, "first", 3, net.channels, 64)->resultImage());
        const Node second = Net::relu(net.layer(first, "second", 1, 64, 64)->resultImage());
        net.logits = net.layer(second, "dense", 6, 64, net.classes, true)->resultImage();
    };
    const auto joined = train(build, true), apart = train(build, false);
    EXPECT_EQ(joined.order, "guu" "gg" "uuuu");
    EXPECT_EQ(joined.report.peakBytes, apart.report.peakBytes);
    expectSame(joined, apart);
}

TEST(JoinedUpdates, LayersOfOneDataSourceEndTheWaitAndComputeWithTheWeightsThatTheyHadBefore) {
    const auto build = [](Net& net) {
        const Node first = Net::relu(net.layer(net.input, "first", 3, net.channels, 4)->resultImage());
        const Node once = net.layer(first, "shared", 3, 4, 4)->resultImage();
        const Node twice = MPS::CNNConvolutionNode::node(Net::relu(once), net.layers.back())->resultImage();
        net.logits = net.layer(Net::relu(twice), "dense", 6, 4, net.classes, true)->resultImage();
    };
    const auto joined = train(build, true), apart = train(build, false);
    EXPECT_EQ(apart.order, "guu" "guu" "guu" "guu");
    EXPECT_EQ(joined.order, "gg" "uuuu" "gg" "uuuu");
    expectSame(joined, apart);
}

TEST(JoinedUpdates, ForwardKernelsThatRunAgainComeBeforeTheirUpdate) {
    const auto budget = train(buildWhole, true).report.peakBytes * 9 / 10;
    const auto policy = MPS::NNRecomputePolicy::budget(budget);
    const auto joined = train(buildWhole, true, policy);
    EXPECT_GT(joined.report.recomputedSteps, 0U);
    expectSame(joined, train(buildWhole, false));
}

TEST(JoinedUpdates, AnArchiveSaysWhetherAGraphJoinsThem) {
    Net net(MTL::copyDevice("reference"));
    net.input = MPS::NNImageNode::node(codedTag("input"));
    buildChain(net);
    std::vector<MPS::ArchiveData> archives;
    for (const bool join : {true, false}) {
        MPS::NNGraphOptions options;
        options.joinUpdates = join;
        const auto graph = MPS::NNGraph::graph(net.device, {net.logits}, {}, options);
        archives.push_back(MPS::KeyedArchiver::archivedData(graph));
        archivedAndRead(graph);  // writes the same bytes again
    }
    EXPECT_NE(archives[0], archives[1]);
}
