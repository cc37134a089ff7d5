#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "TestKernel.h"
#include "WeightedKernels.h"
#include "mps/kernels/ConvolutionAccess.h"

using namespace pewter::test;
using pewter::mps::ConvolutionAccess;
using testing::HasSubstr;

namespace {

std::shared_ptr<MPS::CNNConvolutionDescriptor> plain(std::size_t taps, std::size_t in, std::size_t out) {
    return MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(taps, taps, in, out);
}

/// A 1x1 convolution of one channel: y = w x + b.
struct Line {
    DevicePtr device = testDevice();
    std::shared_ptr<ListSource> source = listSource(plain(1, 1, 1), {2}, {1});
    std::shared_ptr<MPS::CNNConvolution> forward = std::make_shared<MPS::CNNConvolution>(device, source);
    std::shared_ptr<MPS::CNNConvolutionGradient> gradient =
        std::make_shared<MPS::CNNConvolutionGradient>(device, source);
    ImagePtr x = imageOf(device, 2, 1, 1, {1, 3}), y = imageOf(device, 2, 1, 1);

    BufferPtr commands() const { return testQueue()->commandBuffer(); }
    double apply() {
        const auto c = commands();
        forward->encode(c, x, y);
        finish(c);
        return read(*y)[0];
    }
    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> parameters(double w, double b) const {
        return std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(bufferOf(device, {w}),
                                                                          bufferOf(device, {b}));
    }
    std::shared_ptr<MPS::CNNConvolutionGradientState> state(const BufferPtr& c,
                                                            bool temporary = false) const {
        return std::dynamic_pointer_cast<MPS::CNNConvolutionGradientState>(
            temporary ? forward->temporaryResultState(c, x, {}, y) : forward->resultState(x, {}, y));
    }
};

}  // namespace

TEST(ConvolutionState, KnowsItsConvolutionAndTheSizeOfItsSource) {
    Line line;
    const auto state = line.state(nullptr);
    EXPECT_EQ(state->convolution(), line.forward);
    EXPECT_EQ(state->sourceWidth(), 2u);
    EXPECT_EQ(state->sourceHeight(), 1u);
    EXPECT_EQ(state->gradientForWeightsLayout(), MPS::CNNConvolutionWeightsLayout::OHWI);
    EXPECT_THAT(state->description(), HasSubstr("CNNConvolution 'layer'"));
}

TEST(ConvolutionState, TakesMemoryWithFirstUseAndIsZeroBeforeAnyGradient) {
    Line line;
    const auto state = line.state(nullptr);
    EXPECT_EQ(state->resource(0, false), nullptr);
    EXPECT_EQ(floatsOf(*state->gradientForWeights()), Numbers{0});
    EXPECT_EQ(floatsOf(*state->gradientForBiases()), Numbers{0});
}

TEST(ConvolutionState, OneObjectServesTheWholeBatch) {
    Line line;
    const MPS::ImageBatch batch = {line.x, imageOf(line.device, 2, 1, 1)};
    const MPS::ImageBatch results = {line.y, imageOf(line.device, 2, 1, 1)};
    EXPECT_TRUE(line.forward->isResultStateReusedAcrossBatch());
    const auto states = line.forward->resultStateBatch(batch, {}, results);
    ASSERT_EQ(states.size(), 2u);
    EXPECT_EQ(states[0], states[1]);
}

TEST(ConvolutionState, AnEncodeKeepsTheKernelAsItWas) {  // core.md EX-1
    Line line;
    const auto c = line.commands();
    const auto state = line.state(c);
    line.forward->encode(c, line.x, state, line.y);
    line.forward->setOffset({1, 0, 0});
    line.forward->setClipRect({{0, 0, 0}, {1, 1, 1}});
    line.source->floats = {10};
    line.forward->reloadWeightsAndBiasesFromDataSource();
    const auto dx = imageOf(line.device, 2, 1, 1);
    line.gradient->destinationImageDescriptor({line.y, line.x}, {state});
    EXPECT_EQ(line.gradient->kernelOffsetX(), 0);
    line.gradient->encode(c, imageOf(line.device, 2, 1, 1, {1, 2}), line.x, state, dx);
    line.forward = nullptr;
    finish(c);
    EXPECT_EQ(read(*line.y), (Numbers{3, 7}));
    EXPECT_EQ(floatsOf(*state->gradientForWeights()), Numbers{7});
}

TEST(ConvolutionState, TwoSubBatchesOnOneStateAreOneBatch) {
    Random random(2);
    for (const auto& device : weightedDevices()) {
        const auto source = listSource(plain(3, 2, 3), integers(random, 54), integers(random, 3));
        const auto forward = std::make_shared<MPS::CNNConvolution>(device, source);
        MPS::CNNConvolutionGradient gradient(device, source);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto x = batchOf(device, 5, 4, 3, 2, integers(random, 5 * 24));
        const auto y = batchOf(device, 5, 4, 3, 3), e = batchOf(device, 5, 4, 3, 3, integers(random, 5 * 36));
        const auto part = [](const MPS::ImageBatch& all, std::ptrdiff_t from, std::ptrdiff_t to) {
            return MPS::ImageBatch(all.begin() + from, all.begin() + to);
        };
        const auto c = device->newCommandQueue()->commandBuffer();
        const auto whole = forward->resultStateBatch(x, {}, y),
                   first = forward->resultStateBatch(part(x, 0, 2), {}, part(y, 0, 2));
        const MPS::StateBatch second(3, first[0]);
        forward->encodeBatch(c, x, whole, y);
        gradient.encodeBatch(c, e, x, whole);
        forward->encodeBatch(c, part(x, 0, 2), first, part(y, 0, 2));
        gradient.encodeBatch(c, part(e, 0, 2), part(x, 0, 2), first);
        forward->encodeBatch(c, part(x, 2, 5), second, part(y, 2, 5));
        gradient.encodeBatch(c, part(e, 2, 5), part(x, 2, 5), second);
        finish(c);
        auto& a = dynamic_cast<MPS::CNNConvolutionGradientState&>(*whole[0]);
        auto& b = dynamic_cast<MPS::CNNConvolutionGradientState&>(*first[0]);
        EXPECT_EQ(floatsOf(*a.gradientForWeights()), floatsOf(*b.gradientForWeights())) << device->name();
        EXPECT_EQ(floatsOf(*a.gradientForBiases()), floatsOf(*b.gradientForBiases())) << device->name();
        EXPECT_NE(floatsOf(*a.gradientForBiases()), Numbers(3)) << device->name();
    }
}

TEST(ConvolutionState, AStateOfItsOwnForEveryImageGetsItsOwnSum) {
    Line line;
    const MPS::ImageBatch x = {line.x, imageOf(line.device, 2, 1, 1, {5, 7})};
    const MPS::ImageBatch y = {line.y, imageOf(line.device, 2, 1, 1)};
    const MPS::ImageBatch e = {imageOf(line.device, 2, 1, 1, {1, 1}), imageOf(line.device, 2, 1, 1, {1, 1})};
    const auto c = line.commands();
    const MPS::StateBatch states = {line.state(c), line.state(c)};
    line.forward->encodeBatch(c, x, states, y);
    line.gradient->encodeWeightGradients(c, e, x, states);
    finish(c);
    EXPECT_EQ(floatsOf(*ConvolutionAccess::gradientForWeights(
                            dynamic_cast<MPS::CNNConvolutionGradientState&>(*states[0]))
                            .buffer),
              Numbers{4});
    EXPECT_EQ(floatsOf(*ConvolutionAccess::gradientForWeights(
                            dynamic_cast<MPS::CNNConvolutionGradientState&>(*states[1]))
                            .buffer),
              Numbers{12});
}

TEST(ConvolutionState, ReadCountsFollowTheWorkedExample) {  // core.md 1.13
    Line line;
    const auto c = line.commands();
    std::shared_ptr<MPS::State> s;
    const auto y = line.forward->encode(c, line.x, &s, true);
    EXPECT_EQ(temporary(y).readCount(), 1u);
    EXPECT_EQ(s->readCount(), 1u);
    s->setReadCount(2);
    const auto gx = line.gradient->encode(c, y, line.x, s);
    EXPECT_EQ(temporary(y).readCount(), 0u);
    EXPECT_EQ(s->readCount(), 1u);
    EXPECT_EQ(temporary(gx).readCount(), 1u);
    const auto sourceState = line.forward->exportWeightsAndBiases(c, true);
    EXPECT_EQ(sourceState->readCount(), 1u);
    const auto state = std::dynamic_pointer_cast<MPS::CNNConvolutionGradientState>(s);
    Diagnostics said;
    EXPECT_EQ(line.source->update(c, state, sourceState), nullptr);
    EXPECT_EQ(s->readCount(), 0u);
    EXPECT_EQ(sourceState->readCount(), 0u);
    temporary(gx).setReadCount(0);
    EXPECT_EQ(Recorded(c).liveBytes, 0u);
    run(c);
    EXPECT_THAT(said.messages, testing::ElementsAre(HasSubstr("CNNConvolutionDataSource 'layer'")));
}

TEST(ConvolutionState, AMissingUpdateIsReportedOnceForEachDataSource) {
    Line line;
    Diagnostics said;
    const auto c = line.commands();
    for (int i = 0; i < 3; ++i)
        line.source->update(c, line.state(c, true), line.forward->exportWeightsAndBiases(c, true));
    EXPECT_EQ(said.messages.size(), 1u);
    EXPECT_FALSE(line.source->update(line.state(c), line.forward->exportWeightsAndBiases(c, false)));
    run(c);
}

TEST(ConvolutionState, WeightGradientsAloneNeedNoResultImageAndReadEverythingOnce) {
    Line line;
    const auto c = line.commands();
    const auto state = line.state(c, true);
    state->setReadCount(2);
    line.forward->encode(c, line.x, state, line.y);
    const auto e = makeTemporary(c, 2, 1, 1);
    CopyKernel().encode(c, imageOf(line.device, 2, 1, 1, {1, 2}), e);
    line.gradient->encodeWeightGradients(c, {e}, {line.x}, {state});
    EXPECT_EQ(e->readCount(), 0u);
    EXPECT_EQ(state->readCount(), 1u);
    EXPECT_TRUE(state->hasGradients());
    state->setReadCount(0);
    run(c);
}

TEST(ConvolutionState, GradientOptionsLeaveTheOtherHalfAlone) {
    Line line;
    const auto encode = [&](MPS::CNNConvolutionGradientOption option, const ImagePtr& dx) {
        line.gradient->setGradientOption(option);
        const auto c = line.commands();
        const auto state = line.state(c);
        line.forward->encode(c, line.x, state, line.y);
        line.gradient->encode(c, imageOf(line.device, 2, 1, 1, {1, 2}), line.x, state, dx);
        finish(c);
        return state;
    };
    const auto dx = imageOf(line.device, 2, 1, 1, {9, 9});
    auto state = encode(MPS::CNNConvolutionGradientOptionGradientWithWeightsAndBias, dx);
    EXPECT_EQ(read(*dx), (Numbers{9, 9}));
    EXPECT_EQ(floatsOf(*state->gradientForWeights()), Numbers{7});
    state = encode(MPS::CNNConvolutionGradientOptionGradientWithData, dx);
    EXPECT_EQ(read(*dx), (Numbers{2, 4}));
    EXPECT_EQ(floatsOf(*state->gradientForWeights()), Numbers{0});
    EXPECT_FALSE(state->hasGradients());
}

TEST(ConvolutionState, AGradientOfTheWiderImageIsSlicedWhereTheForwardPassWrote) {  // core.md GRD-10
    Line line;
    line.forward->setDestinationFeatureChannelOffset(4);
    const auto wide = imageOf(line.device, 2, 1, 8);
    const auto c = line.commands();
    const auto state = line.forward->resultState(line.x, {}, wide);
    line.forward->encode(c, line.x, state, wide);
    Numbers e(16, 100);
    e[4] = 1;
    e[12] = 2;
    line.gradient->setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto dx = line.gradient->encode(c, imageOf(line.device, 2, 1, 8, e), line.x, state);
    finish(c);
    EXPECT_EQ(read(*dx), (Numbers{2, 4}));
}

// --- parameters ---

TEST(ConvolutionParameters, AHostReloadLeavesQueuedWorkOnTheOldWeights) {
    Line line;
    const auto c = line.commands();
    line.forward->encode(c, line.x, line.y);
    line.source->floats = {100};
    line.forward->reloadWeightsAndBiasesFromDataSource();
    finish(c);
    EXPECT_EQ(read(*line.y), (Numbers{3, 7}));
    EXPECT_EQ(line.apply(), 101);
    EXPECT_EQ(line.source->loads, line.source->purges);
}

TEST(ConvolutionParameters, ADeviceReloadHappensInCommandOrder) {
    Line line;
    const auto late = imageOf(line.device, 2, 1, 1);
    const auto c = line.commands();
    line.forward->encode(c, line.x, line.y);
    line.forward->reloadWeightsAndBiases(c, line.parameters(10, 5));
    line.forward->encode(c, line.x, late);
    finish(c);
    EXPECT_EQ(read(*line.y), (Numbers{3, 7}));
    EXPECT_EQ(read(*late), (Numbers{15, 35}));
}

TEST(ConvolutionParameters, ADroppedCommandBufferReloadsNothing) {
    Line line;
    line.forward->reloadWeightsAndBiases(line.commands(), line.parameters(10, 5));
    EXPECT_EQ(line.apply(), 3);
}

TEST(ConvolutionParameters, AStateWithoutBiasesLeavesThemAndATemporaryOneIsReadOnce) {
    Line line;
    const auto c = line.commands();
    line.forward->reloadWeightsAndBiases(
        c, std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(bufferOf(line.device, {10}), nullptr));
    const auto state = line.forward->exportWeightsAndBiases(c, true);
    state->setReadCount(2);
    line.forward->reloadWeightsAndBiases(c, state);
    EXPECT_EQ(state->readCount(), 1u);
    line.gradient->reloadWeightsAndBiases(c, state);
    EXPECT_EQ(state->readCount(), 0u);
    run(c);
    EXPECT_EQ(line.apply(), 11);
}

TEST(ConvolutionParameters, AnExportIsACopyOfTheMomentItIsEncoded) {
    Line line;
    const auto c = line.commands();
    const auto before = line.forward->exportWeightsAndBiases(c, false);
    line.forward->reloadWeightsAndBiases(c, line.parameters(10, 5));
    const auto after = line.forward->exportWeightsAndBiases(c, false);
    finish(c);
    EXPECT_FALSE(before->isTemporary());
    EXPECT_EQ(floatsOf(*before->weights()), Numbers{2});
    EXPECT_EQ(floatsOf(*before->biases()), Numbers{1});
    EXPECT_EQ(floatsOf(*after->weights()), Numbers{10});
    writeFloats(*after->weights(), {77});
    EXPECT_EQ(line.apply(), 15);
}

TEST(ConvolutionParameters, OffsetsOfAStateSelectItsRanges) {
    Line line;
    const auto buffer = bufferOf(line.device, {0, 8, 0, 4});
    const auto c = line.commands();
    line.forward->reloadWeightsAndBiases(c, std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(
                                                buffer, 4, buffer, 12, *line.source->shape));
    finish(c);
    EXPECT_EQ(line.apply(), 12);
    EXPECT_EQ(floatsOf(*buffer), (Numbers{0, 8, 0, 4}));
}

TEST(ConvolutionParameters, TheGradientKernelKeepsItsOwnCopyUntilItIsReloaded) {
    Line line;
    const auto dx = [&] {
        const auto c = line.commands();
        const auto state = line.state(c), unused = line.state(c);
        const auto result = imageOf(line.device, 2, 1, 1);
        line.forward->encode(c, line.x, state, line.y);
        line.gradient->encode(c, imageOf(line.device, 2, 1, 1, {1, 1}), line.x, state, result);
        finish(c);
        return read(*result)[0];
    };
    EXPECT_EQ(line.source->loads, 2);  // the second one only looked at the descriptor
    EXPECT_EQ(dx(), 2);
    EXPECT_EQ(line.source->loads, 3);
    line.source->floats = {6};
    line.forward->reloadWeightsAndBiasesFromDataSource();
    EXPECT_EQ(line.apply(), 7);
    EXPECT_EQ(dx(), 2);
    line.gradient->reloadWeightsAndBiasesFromDataSource();
    EXPECT_EQ(dx(), 6);
    EXPECT_EQ(line.source->loads, line.source->purges);
}

TEST(ConvolutionParameters, SharedOnesFollowTheForwardKernelAndAnUpdateInPlaceCopiesNothing) {
    Line line;
    ConvolutionAccess::shareParameters(*line.gradient, *line.forward);
    const auto c = line.commands();
    const auto view = ConvolutionAccess::exportForUpdate(*line.forward, c);
    EXPECT_TRUE(view->isTemporary());
    EXPECT_EQ(view->readCount(), 1u);
    EXPECT_EQ(Recorded(c).liveBytes, 0u);
    writeFloats(*view->weights(), {30});
    const Recorded before(c);
    line.forward->reloadWeightsAndBiases(c, view);
    EXPECT_EQ(Recorded(c), before);
    EXPECT_EQ(view->readCount(), 0u);
    EXPECT_THAT(errorOf([&] { view->weights(); }), HasSubstr("readCount"));
    const auto state = line.state(c);
    const auto dx = imageOf(line.device, 2, 1, 1);
    line.forward->encode(c, line.x, state, line.y);
    line.gradient->encode(c, imageOf(line.device, 2, 1, 1, {1, 1}), line.x, state, dx);
    finish(c);
    EXPECT_EQ(read(*line.y), (Numbers{31, 91}));
    EXPECT_EQ(read(*dx), (Numbers{30, 30}));
}

TEST(ConvolutionParameters, ACopiedKernelHasWeightsOfItsOwn) {
    Line line;
    const auto copy = std::dynamic_pointer_cast<MPS::CNNConvolution>(line.forward->copy());
    copy->setOffset({1, 0, 0});
    const auto c = line.commands();
    line.forward->reloadWeightsAndBiases(c, line.parameters(10, 5));
    copy->encode(c, line.x, line.y);
    finish(c);
    EXPECT_EQ(copy->label(), "layer");
    EXPECT_EQ(read(*line.y), (Numbers{7, 1}));
    EXPECT_EQ(line.forward->offset().x, 0);
}
