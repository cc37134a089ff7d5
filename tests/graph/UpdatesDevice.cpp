#include <gmock/gmock.h>

#include "GraphNets.h"

/// Training style GPU and None: data sources update their layers with commands, in the order of the encode.
using namespace pewter::test;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

/// Which layers are asked, without the loads of construction.
CallLog updatesOf(const CallLog& log) {
    CallLog updates;
    for (const auto& call : log)
        if (call.find("update") != std::string::npos) updates.push_back(call);
    return updates;
}

/// Losses of a few steps, each with other pictures.
std::vector<double> losses(Net& net, int steps = 4) {
    std::vector<double> values;
    for (int i = 0; i < steps; ++i) values.push_back(net.step(3, static_cast<std::uint64_t>(i)));
    return values;
}

std::vector<double> lossesWith(Answer answer, int steps = 4) {
    Net net;
    buildWhole(net);
    for (const auto& layer : net.layers) layer->answer = answer;
    if (answer == Answer::Nothing) net.norms[0]->answer = answer;
    net.train();
    return losses(net, steps);
}

}  // namespace

TEST(UpdatesDevice, LoadAndPurgeArePairedAtConstructionAndEachLayerIsUpdatedOnceLastLayerFirst) {
    Net net;
    buildWhole(net);
    net.train();
    for (std::size_t i = 0; i < net.log->size(); i += 2) {
        const auto& load = (*net.log)[i];
        ASSERT_EQ(load.substr(0, 5), "load ");
        EXPECT_EQ((*net.log)[i + 1], "purge " + load.substr(5));
    }
    net.log->clear();
    net.step(3);
    EXPECT_EQ(*net.log, (CallLog{"update dense", "update gate", "update inside", "update gamma and beta norm",
                                 "update mean and variance norm", "update first"}));
}

TEST(UpdatesDevice, AStateOfItsOwnATemporaryOneAndTheSourceOverwrittenTeachTheSame) {
    const auto own = lossesWith(Answer::Own);
    EXPECT_LT(own[3], own[0] * 10);
    EXPECT_EQ(lossesWith(Answer::Temporary), own);
    EXPECT_EQ(lossesWith(Answer::InPlace), own);
}

TEST(UpdatesDevice, NothingReturnedLeavesTheWeightsAsTheyWere) {
    Net net;
    buildChain(net);
    for (const auto& layer : net.layers) layer->answer = Answer::Nothing;
    net.train();
    const double first = net.step(3);
    EXPECT_EQ(net.step(3), first);
    EXPECT_EQ(net.layers[0]->updates, 2u);
    net.layers[0]->answer = Answer::Own;
    EXPECT_EQ(net.step(3), first);
    EXPECT_NE(net.step(3), first);
}

TEST(UpdatesDevice, AMissingMethodIsReportedOnceAndTheOthersTrain) {
    Diagnostics diagnostics;
    Net net;
    buildChain(net);
    net.layers[0]->answer = Answer::Missing;
    net.train();
    const double first = net.step(3);
    net.step(3);
    EXPECT_LT(net.step(3), first);
    ASSERT_EQ(diagnostics.messages.size(), 1u);
    EXPECT_THAT(diagnostics.messages[0], HasSubstr("conv"));
    EXPECT_THAT(diagnostics.messages[0], HasSubstr("update"));
}

TEST(UpdatesDevice, FrozenLayersAreNotAskedAndTheOthersTrainAsIfTheyWereConstant) {
    Net net;
    buildChain(net);
    net.train([](const auto& gradient, const auto&, const auto&, const auto&) {
        if (auto* layer = dynamic_cast<MPS::CNNFullyConnectedGradientNode*>(gradient.get()))
            layer->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
    });
    const double first = net.step(3);
    EXPECT_LT(net.step(3), first);
    EXPECT_EQ(updatesOf(*net.log), (CallLog{"update conv", "update conv"}));
}

TEST(UpdatesDevice, AForwardNodesStyleIsTheGradientNodesToBeginWithAndTheGradientNodesCounts) {
    Net net;
    const auto conv = net.layer(net.input, "conv", 3, 3, 4);
    const auto dense = net.layer(conv->resultImage(), "dense", 6, 4, net.classes, true);
    net.logits = dense->resultImage();
    conv->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
    net.train();
    dense->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);  // too late
    net.step(2);
    EXPECT_EQ(updatesOf(*net.log), CallLog{"update dense"});
}

TEST(UpdatesDevice, ADataGradientIsThatOfTheWeightsBeforeTheirUpdate) {
    // Two layers in a row: whatever the second one learns in this step must not reach the first one's
    // gradient.
    std::vector<float> trained[2];
    for (const bool second : {false, true}) {
        Net net;
        buildChain(net);
        net.layers[1]->answer = second ? Answer::InPlace : Answer::Nothing;
        net.train();
        net.step(3);
        trained[second] = net.layers[0]->trained();
    }
    EXPECT_EQ(trained[0], trained[1]);
}

TEST(UpdatesDevice, AMethodThatKeepsTheReadsItWasGivenIsNamedAndTheEncodeUndone) {
    Net net;
    buildChain(net);
    net.train();
    net.layers[1]->answer = Answer::Forgetful;
    Diagnostics diagnostics;
    const auto commands = net.queue->commandBuffer();
    const auto sentence =
        errorOf([&] { net.graph->encodeBatch(commands, {net.images(2)}, {net.labels(2)}); });
    EXPECT_THAT(sentence, HasSubstr("dense"));
    EXPECT_THAT(sentence, HasSubstr("State"));
    EXPECT_THAT(sentence, HasSubstr("read count"));
    EXPECT_EQ(Recorded(commands).commands, 0u);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    net.layers[1]->answer = Answer::Own;
    const auto labels = net.labels(2);
    net.graph->encodeBatch(commands, {net.images(2)}, {labels});
    run(commands);
    EXPECT_THAT(diagnostics.messages, IsEmpty());
    Net other;
    buildChain(other);
    other.train();
    EXPECT_EQ(lossOf(labels), other.step(2));
    for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(net.layers[i]->trained(), other.layers[i]->trained());
}

TEST(UpdatesDevice, AnEncodeThatIsNeverCommittedLeavesTheWeightsAlone) {
    Net net, other;
    for (Net* one : {&net, &other}) {
        buildChain(*one);
        one->train();
    }
    net.graph->encodeBatch(net.queue->commandBuffer(), {net.images(3)}, {net.labels(3)});
    EXPECT_EQ(net.step(3), other.step(3));
    EXPECT_EQ(net.step(3), other.step(3));
}

TEST(UpdatesDevice, OneDataSourceUnderTwoLayersIsUpdatedByEachAndBothLoadTheLast) {
    // Weight sharing: both layers start each step with the same weights, whichever was updated last.
    Net net;
    const auto shared = std::make_shared<LayerSource>(net.device, "shared", 3, 4, 4, 1, net.log);
    const auto first = net.layer(net.input, "first", 1, 3, 4)->resultImage();
    const auto x = MPS::CNNConvolutionNode::node(first, shared)->resultImage();
    const auto y = MPS::CNNConvolutionNode::node(Net::relu(x), shared)->resultImage();
    net.logits = net.layer(y, "dense", 6, 4, net.classes, true)->resultImage();
    y->setExportFromGraph(true);
    y->setImageAllocator(MPS::Image::defaultAllocator());
    net.train();
    net.log->clear();
    net.step(2);
    EXPECT_EQ(updatesOf(*net.log),
              (CallLog{"update dense", "update shared", "update shared", "update first"}));
    // An inference graph made from the values that the data source ended up with computes what the net now
    // does.
    for (const auto& layer : {shared, net.layers[0], net.layers[1]}) {
        layer->values = floatsOf(layer->state->weights());
        layer->biases = floatsOf(layer->state->biases());
    }
    MPS::NNGraph fresh(net.device, net.logits);
    fresh.setFormat(Format::Float32);
    const auto commands = net.queue->commandBuffer();
    std::vector<MPS::ImageBatch> trained, expected;
    net.graph->encodeBatch(commands, {net.images(2)}, {net.labels(2)}, &trained, nullptr);
    fresh.encodeBatch(commands, {net.images(2)}, {}, &expected, nullptr);
    run(commands);
    for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(valuesOf(*trained[0][i]), valuesOf(*expected[0][i]));
}

TEST(UpdatesDevice, AnotherDataSourceOnTheGradientNodeGetsTheCallsAndBothKernelsTheResult) {
    Net net;
    const auto conv = net.layer(net.input, "conv", 6, 3, net.classes, true);
    net.logits = conv->resultImage();
    const auto other = std::make_shared<LayerSource>(net.device, "other", 6, 3, net.classes, 100, net.log);
    ASSERT_EQ(other->values, net.layers[0]->values);
    const auto loss = MPS::CNNLossNode::node(
        net.logits, MPS::CNNLossDescriptor::cnnLossDescriptor(MPS::CNNLossType::SoftMaxCrossEntropy,
                                                              MPS::CNNReductionType::Sum));
    const auto gradient = MPS::CNNFullyConnectedGradientNode::node(loss->resultImage(), net.input,
                                                                   conv->convolutionGradientState(), other);
    net.graph = MPS::NNGraph::graph(net.device, gradient->resultImage());
    net.graph->setFormat(Format::Float32);
    net.log->clear();
    const double first = net.step(3);
    const auto before = valuesOf(*net.result[0]);
    EXPECT_LT(net.step(3), first);
    EXPECT_NE(valuesOf(*net.result[0]), before);
    EXPECT_EQ(updatesOf(*net.log), (CallLog{"update other", "update other"}));
}
