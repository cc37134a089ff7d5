#include <MPS/CNNGroupNormalizationNode.hpp>
#include <MPS/CNNInstanceNormalizationNode.hpp>
#include <MPS/NNGraph.hpp>
#include <MTL/MTL.hpp>

#include "NodesSampleNormalization.h"

/// Instance and group normalisation as nodes: what they compute, and when they are asked to change.
using namespace pewter::test;
using namespace pewter::test::sample;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

template <class Case>
class NodesSampleNormalization : public testing::Test {};
TYPED_TEST_SUITE(NodesSampleNormalization, SampleNormalizations, CaseNames);

}  // namespace

TYPED_TEST(NodesSampleNormalization, AGraphComputesWhatTheKernelComputes) {
    Random random(31);
    const Extents extents{3, 4, 5, 6};
    const auto values = uniform(random, extents.count());
    for (const auto& device : MTL::copyAllDevices()) {
        const auto source = std::make_shared<Descent<TypeParam>>(device, Numbers{1, 2, 3, 4, 5, 6},
                                                                 Numbers{6, 5, 4, 3, 2, 1}, 3);
        typename TypeParam::Kind::Kernel kernel(device, source);
        kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        MPS::NNGraph graph(device, TypeParam::Node::node(MPS::NNImageNode::node(), source)->resultImage());
        graph.setFormat(Format::Float32);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto expected = kernel.encodeBatch(commands, imagesOf(device, extents, values));
        const auto batch = graph.encodeBatch(commands, {imagesOf(device, extents, values)});
        const auto one =
            graph.encode(commands, {imageOf(device, 5, 4, 6, values, Format::Float32, extents.n)});
        finish(commands);
        EXPECT_EQ(read(batch), read(expected)) << device->name();
        EXPECT_EQ(read(*one), read(expected)) << device->name();
    }
}

TYPED_TEST(NodesSampleNormalization, GradientImagesAreCentralDifferences) {
    Random random(32);
    const auto device = MTL::copyDevice("reference");
    const auto source =
        std::make_shared<Descent<TypeParam>>(device, Numbers{0.5, -2, 3, 1.25}, Numbers{1, 2, -3, 0.5}, 2);
    source->eps = 0.125f;
    const Extents extents{2, 3, 2, 4};
    const auto x = distinct(random, extents.count()), g = uniform(random, extents.count());
    const auto input = MPS::NNImageNode::node(label("x")), start = MPS::NNImageNode::node(label("g"));
    const auto node = TypeParam::Node::node(input, source);
    node->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
    MPS::NNGraph forward(device, node->resultImage()),
        backward(device, node->trainingGraph(start).at(0)->resultImage());
    const auto run = [&](MPS::NNGraph& graph, const Numbers& values) {
        graph.setFormat(Format::Float64);
        std::vector<MPS::ImageBatch> sources;
        for (const auto& handle : graph.sourceImageHandles())
            sources.push_back(
                imagesOf(device, extents, handle->label() == "x" ? values : g, Format::Float64));
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = graph.encodeBatch(commands, sources);
        finish(commands);
        return read(result);
    };
    EXPECT_TRUE(
        isDerivative(run(backward, x), x, [&](const Numbers& moved) { return dot(run(forward, moved), g); }));
}

TYPED_TEST(NodesSampleNormalization, EachSampleHasAStateWithItsOwnGradientsForGammaAndBeta) {
    for (const auto& device : MTL::copyAllDevices()) {
        Net<TypeParam> net(device, {Descent<TypeParam>::one(device)}, kCPU);
        net.step();
        const auto& asked = net.sources[0]->asked;
        ASSERT_EQ(asked.size(), 2u);
        EXPECT_NE(asked[0], asked[1]);
        EXPECT_EQ(contentsOf(*asked[0]->gradientForGamma(), 1), Numbers{-1}) << device->name();
        EXPECT_EQ(contentsOf(*asked[0]->gradientForBeta(), 1), Numbers{1});
        EXPECT_EQ(contentsOf(*asked[1]->gradientForGamma(), 1), Numbers{3});
        EXPECT_EQ(contentsOf(*asked[1]->gradientForBeta(), 1), Numbers{3});
    }
}

TYPED_TEST(NodesSampleNormalization, AnInputGradientThatNobodyReadsIsNotComputed) {
    for (const auto& device : MTL::copyAllDevices())
        for (const bool needed : {true, false}) {
            Net<TypeParam> net(device, {Descent<TypeParam>::one(device)}, kCPU);
            MPS::NNGraph graph(device, {net.terminus->resultImage()}, {needed});
            graph.setFormat(Format::Float32);
            const auto inputs = net.inputs(kExtents, kX, kG);
            const auto commands = device->newCommandQueue()->commandBuffer();
            graph.encodeBatch(commands, inputs);
            finish(commands);
            const auto& asked = net.sources[0]->asked;
            ASSERT_EQ(asked.size(), 2u) << device->name();
            EXPECT_EQ(contentsOf(*asked[0]->gradientForGamma(), 1), Numbers{-1});
            EXPECT_EQ(contentsOf(*asked[1]->gradientForGamma(), 1), Numbers{3});
            EXPECT_EQ(contentsOf(*asked[1]->gradientForBeta(), 1), Numbers{3});
            const auto report = graph.memoryReport(inputs);
            const auto result = report.steps.back().resultImage;
            EXPECT_EQ(result != report.npos && report.images[result].bytes > 0, needed);
        }
}

TYPED_TEST(NodesSampleNormalization, GradientsForGammaAndBetaAreCentralDifferences) {
    Random random(33);
    const auto device = MTL::copyDevice("reference");
    const Extents extents{3, 2, 3, 4};
    const auto x = distinct(random, extents.count()), g = uniform(random, extents.count());
    const Numbers gamma{0.5, -2, 3, 1.25}, beta{1, 2, -3, 0.5};
    const auto make = [&](const Numbers& scale, const Numbers& shift) {
        auto source = std::make_shared<Descent<TypeParam>>(device, scale, shift, 2);
        source->eps = 0.125f;
        return source;
    };
    const auto source = make(gamma, beta);
    source->accepts = false;
    Net<TypeParam> net(device, {source}, kCPU, Format::Float64);
    net.step(extents, x, g);
    Numbers byGamma(4), byBeta(4);
    for (const auto& state : source->asked)
        for (std::size_t c = 0; c < 4; ++c) {
            byGamma[c] += contentsOf(*state->gradientForGamma(), 4)[c];
            byBeta[c] += contentsOf(*state->gradientForBeta(), 4)[c];
        }
    const auto objective = [&](const Numbers& scale, const Numbers& shift) {
        Net<TypeParam> moved(device, {make(scale, shift)}, kNone, Format::Float64);
        moved.step(extents, x, g);
        return dot(moved.results[0], g);
    };
    // Linear in both: any step that float32 holds is as good as any other.
    constexpr double kStep = 0x1p-6;
    for (std::size_t c = 0; c < 4; ++c)
        for (const bool ofGamma : {true, false}) {
            auto scaleAbove = gamma, scaleBelow = gamma, shiftAbove = beta, shiftBelow = beta;
            (ofGamma ? scaleAbove : shiftAbove)[c] += kStep;
            (ofGamma ? scaleBelow : shiftBelow)[c] -= kStep;
            const double slope =
                (objective(scaleAbove, shiftAbove) - objective(scaleBelow, shiftBelow)) / (2 * kStep);
            EXPECT_NEAR((ofGamma ? byGamma : byBeta)[c], slope, 1e-11 * (1 + std::fabs(slope)));
        }
}

TYPED_TEST(NodesSampleNormalization, OnTheDeviceTheNextEncodeUsesWhatTheUpdateReturns) {
    for (const auto& device : MTL::copyAllDevices())
        for (const auto answer : {Answer::Own, Answer::Temporary}) {
            Net<TypeParam> net(device, {Descent<TypeParam>::one(device)}, kGPU);
            net.sources[0]->answer = answer;
            EXPECT_EQ(net.step(), slopes(2)) << device->name();
            EXPECT_EQ(net.results[0], scaled(2, 5));
            EXPECT_EQ(net.sources[0]->asked.size(), 2u) << "one state a sample";
            EXPECT_THAT(net.sources[0]->calls, ElementsAre("update"))
                << "once an encode, nothing is read again";
            // 2 - 2 / 2 and 5 - 4 / 2
            EXPECT_EQ(net.step(), slopes(1)) << device->name();
            EXPECT_EQ(net.results[0], scaled(1, 3));
        }
}

TYPED_TEST(NodesSampleNormalization, TheSingleImageFormTrainsOnAllPicturesOfItsImage) {
    for (const auto& device : MTL::copyAllDevices())
        for (const auto style : {kGPU, kCPU}) {
            Net<TypeParam> net(device, {Descent<TypeParam>::one(device)}, style);
            EXPECT_EQ(net.stepAsOneImage(), slopes(2)) << device->name();
            EXPECT_EQ(net.results[0], scaled(2, 5));
            EXPECT_EQ(net.sources[0]->asked.size(), 1u) << "one state an image";
            EXPECT_EQ(net.stepAsOneImage(), slopes(1)) << device->name();
            EXPECT_EQ(net.step(), slopes(0)) << "and goes on with a batch";
            EXPECT_EQ(net.results[0], scaled(0, 1));
        }
}

TYPED_TEST(NodesSampleNormalization, NothingReturnedLeavesGammaAndBetaAsTheyWere) {
    Net<TypeParam> net(testDevice(), {Descent<TypeParam>::one(testDevice())}, kGPU);
    net.sources[0]->answer = Answer::Nothing;
    net.step();
    EXPECT_EQ(net.step(), slopes(2));
    EXPECT_EQ(net.results[0], scaled(2, 5));
}

TYPED_TEST(NodesSampleNormalization, AMissingUpdateIsReportedOnceAndChangesNothing) {
    Diagnostics diagnostics;
    Net<TypeParam> net(testDevice(), {Descent<TypeParam>::one(testDevice())}, kGPU);
    net.sources[0]->answer = Answer::Missing;
    net.step();
    EXPECT_EQ(net.step(), slopes(2));
    EXPECT_THAT(diagnostics.messages,
                ElementsAre(std::string(TypeParam::kProtocol) +
                            " 'norm': no update on the device is implemented, gamma and beta stay as they "
                            "are."));
}

TYPED_TEST(NodesSampleNormalization, AnUpdateThatForgetsTheReadCountsIsNamedAndTheEncodeUndone) {
    Net<TypeParam> net(testDevice(), {Descent<TypeParam>::one(testDevice())}, kGPU);
    net.sources[0]->answer = Answer::Forgetful;
    const auto commands = testDevice()->newCommandQueue()->commandBuffer();
    EXPECT_EQ(errorOf([&] { net.encode(commands); }),
              std::string(TypeParam::kGradientKernel) + " 'norm': " + TypeParam::kStates +
                  ": expected a read count of 0 after the data source's updateGammaAndBeta, one less than "
                  "before, found 1.");
    EXPECT_EQ(Recorded(commands), (Recorded{testDevice()->newCommandQueue()->commandBuffer()}));
    net.sources[0]->answer = Answer::Own;
    EXPECT_EQ(net.step(), slopes(2));
    EXPECT_EQ(net.step(), slopes(1));
}

TYPED_TEST(NodesSampleNormalization, EveryTemporaryIsSpentAfterEachEncode) {
    Diagnostics diagnostics;
    for (const auto style : {kGPU, kCPU, kNone}) {
        Net<TypeParam> net(testDevice(), {Descent<TypeParam>::one(testDevice())}, style);
        net.step();
        net.stepAsOneImage();
    }
    EXPECT_THAT(diagnostics.messages, IsEmpty());
}

TYPED_TEST(NodesSampleNormalization, OnTheHostTheUpdateComesAfterCompletionAndIsFollowedByAReload) {
    for (const auto& device : MTL::copyAllDevices()) {
        Net<TypeParam> net(device, {Descent<TypeParam>::one(device)}, kCPU);
        const auto commands = device->newCommandQueue()->commandBuffer();
        net.encode(commands);
        EXPECT_THAT(net.sources[0]->calls, IsEmpty());
        finish(commands);
        std::vector<std::string> expected{"host update"};
        for (const auto* call : TypeParam::kReload) expected.push_back(call);
        EXPECT_EQ(net.sources[0]->calls, expected);
        EXPECT_EQ(net.step(), slopes(1)) << device->name();
        EXPECT_EQ(net.results[0], scaled(1, 3));
    }
}

TYPED_TEST(NodesSampleNormalization, AHostUpdateThatDoesNothingIsNotFollowedByAReload) {
    Net<TypeParam> net(testDevice(), {Descent<TypeParam>::one(testDevice())}, kCPU);
    net.sources[0]->accepts = false;
    net.step();
    EXPECT_EQ(net.step(), slopes(2));
    EXPECT_THAT(net.sources[0]->calls, ElementsAre("host update", "host update"));
}

TYPED_TEST(NodesSampleNormalization, WithoutAHostMethodNothingChanges) {
    Net<TypeParam> net(testDevice(), {Descent<TypeParam>::one(testDevice())}, kCPU);
    net.sources[0]->answer = Answer::Missing;
    net.step();
    EXPECT_EQ(net.step(), slopes(2));
}

TYPED_TEST(NodesSampleNormalization, TheHostLearnsWhatTheDeviceLearns) {
    const Extents extents{5, 3, 4, 6};
    for (const auto& device : MTL::copyAllDevices()) {
        Numbers trained[2];
        for (const bool host : {false, true}) {
            Random random(34);
            const auto source = std::make_shared<Descent<TypeParam>>(device, Numbers{1, 2, 3, 4, 5, 6},
                                                                     Numbers{6, 5, 4, 3, 2, 1}, 3);
            Net<TypeParam> net(device, {source}, host ? kCPU : kGPU);
            for (int i = 0; i < 3; ++i)
                net.step(extents, uniform(random, extents.count()), uniform(random, extents.count()));
            trained[host] = net.results[0];
        }
        // One rounding of gamma and beta to float32 a step, each of order 10.
        EXPECT_TRUE(allNear(trained[1], trained[0], 3 * 6e-8, 10)) << device->name();
    }
}

TYPED_TEST(NodesSampleNormalization, FrozenParametersAreNeverAskedFor) {
    for (const bool byGradientNode : {false, true}) {
        Net<TypeParam> net(testDevice(), {Descent<TypeParam>::one(testDevice())},
                           byGradientNode ? kGPU : kNone);
        // The gradient node's word counts.
        const auto gradient = std::dynamic_pointer_cast<typename TypeParam::GradientNode>(net.terminus);
        gradient->setTrainingStyle(kNone);
        net.graph();
        EXPECT_EQ(net.step(), slopes(2));
        EXPECT_EQ(net.step(), slopes(2));
        EXPECT_THAT(net.sources[0]->calls, IsEmpty());
    }
}

TYPED_TEST(NodesSampleNormalization, NodesThatShareADataSourceChangeTogetherAfterTheLastOfThem) {
    for (const auto& device : MTL::copyAllDevices())
        for (const auto answer : {Answer::Own, Answer::Temporary}) {
            const auto source = Descent<TypeParam>::one(device);
            source->answer = answer;
            Net<TypeParam> net(device, {source, source}, kGPU);
            // The first node's gradient still passes gamma 2; what reaches it has no part that its own gamma
            // and beta see.
            EXPECT_EQ(net.step(), slopes(2)) << device->name();
            EXPECT_THAT(source->calls, ElementsAre("update", "update"));
            EXPECT_EQ(net.step(), slopes(1)) << device->name();
            for (const auto& result : net.results) EXPECT_EQ(result, scaled(1, 3));
        }
}

TYPED_TEST(NodesSampleNormalization, ASecondGraphSeesTrainedValuesAfterReloadFromDataSourcesAndNotBefore) {
    for (const auto& device : MTL::copyAllDevices()) {
        Net<TypeParam> net(device, {Descent<TypeParam>::one(device)}, kCPU);
        MPS::NNGraph inference(device, net.nodes[0]->resultImage());
        inference.setFormat(Format::Float32);
        const auto run = [&] {
            const auto commands = device->newCommandQueue()->commandBuffer();
            std::vector<MPS::ImageBatch> exported;
            const auto result =
                inference.encodeBatch(commands, {imagesOf(device, kExtents, kX)}, {}, &exported, nullptr);
            finish(commands);
            return read(result);
        };
        net.step();
        EXPECT_EQ(run(), scaled(2, 5));
        inference.reloadFromDataSources();
        EXPECT_EQ(run(), scaled(1, 3)) << device->name();
    }
}

TYPED_TEST(NodesSampleNormalization, AStateIsMadeOnlyForSomebody) {
    Net<TypeParam> net(testDevice(), {Descent<TypeParam>::one(testDevice())}, kGPU);
    MPS::NNGraph inference(testDevice(), net.nodes[0]->resultImage());
    EXPECT_THAT(inference.memoryReport({imagesOf(testDevice(), kExtents, kX)}).states, IsEmpty());
    const auto report = net.graph().memoryReport(net.inputs(kExtents, kX, kG));
    ASSERT_EQ(report.states.size(), 1u);
    EXPECT_EQ(report.states[0].count, 2u);
    EXPECT_EQ(report.states[0].readCount, 2u) << "the gradient kernel and the update";
    EXPECT_EQ(report.states[0].className, std::string(TypeParam::kGradientKernel) + "State");
    net.nodes[0]->resultState()->setExportFromGraph(true);
    MPS::NNGraph exporting(testDevice(), net.nodes[0]->resultImage());
    exporting.setFormat(Format::Float32);
    const auto commands = testDevice()->newCommandQueue()->commandBuffer();
    std::vector<MPS::StateBatch> states;
    exporting.encodeBatch(commands, {imagesOf(testDevice(), kExtents, kX)}, {}, nullptr, &states);
    finish(commands);
    ASSERT_EQ(states.size(), 1u);
    EXPECT_EQ(statesOf<typename TypeParam::Kind>(states[0]).size(), 2u);
}
