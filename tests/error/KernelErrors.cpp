#include <gmock/gmock.h>

#include <MPS/CNNArithmetic.hpp>
#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNConvolution.hpp>
#include <MPS/CNNDropout.hpp>
#include <MPS/CNNFullyConnected.hpp>
#include <MPS/CNNLoss.hpp>
#include <MPS/CNNNeuron.hpp>
#include <MPS/CNNPooling.hpp>
#include <MPS/CNNSoftMax.hpp>

#include <limits>

#include "GraphNets.h"

/// Mistakes with the kernels of the library: label, argument, expected and found in one sentence; nothing
/// encoded; and a valid encode on the same command buffer afterwards gives the right values.
using namespace pewter::test;
using testing::AllOf;
using testing::HasSubstr;

namespace {

using StatePtr = std::shared_ptr<MPS::State>;

struct KernelErrors : testing::Test {
    DevicePtr device = testDevice();
    BufferPtr commands = testQueue()->commandBuffer();

    ImagePtr image(std::size_t width, std::size_t height, std::size_t channels,
                   std::uint64_t seed = 1) const {
        return drawImages(device, 1, width, height, channels, seed)[0];
    }
    std::shared_ptr<MPS::CNNConvolution> convolution(std::size_t kernel, std::size_t inputs,
                                                     std::size_t outputs, const std::string& label) {
        const auto made = std::make_shared<MPS::CNNConvolution>(
            device, std::make_shared<LayerSource>(device, label, kernel, inputs, outputs, 7));
        made->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        return made;
    }
    /// Forward image, result and state of a kernel.
    struct Pass {
        ImagePtr source, result;
        StatePtr state;
    };
    Pass forward(MPS::CNNKernel& kernel, const ImagePtr& source) {
        kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        Pass pass{source, nullptr, nullptr};
        pass.result = kernel.encode(commands, source, &pass.state, false);
        return pass;
    }

    /// The sentence; then the buffer must be as before, and `valid` gives a result that the same encode on a
    /// fresh buffer gives as well.
    std::string refused(const std::function<void()>& mistake,
                        const std::function<ImagePtr(const BufferPtr&)>& valid) {
        const Recorded before(commands);
        const auto sentence = errorOf(mistake);
        EXPECT_EQ(Recorded(commands), before) << sentence;
        const auto after = valid(commands);
        run(commands);
        commands = testQueue()->commandBuffer();
        const auto fresh = valid(commands);
        run(commands);
        EXPECT_EQ(valuesOf(*after), valuesOf(*fresh)) << sentence;
        EXPECT_NE(valuesOf(*after), std::vector<double>(valuesOf(*after).size())) << sentence;
        commands = testQueue()->commandBuffer();
        return sentence;
    }
};

}  // namespace

TEST_F(KernelErrors, AConvolutionCountsTheChannelsOfItsSource) {
    const auto kernel = convolution(3, 3, 4, "c");
    const auto good = image(5, 4, 3), to = image(5, 4, 4), small = image(5, 4, 3, 9);
    const auto valid = [&](const BufferPtr& on) { return kernel->encode(on, good); };
    EXPECT_THAT(
        refused([&] { kernel->encode(commands, image(5, 4, 2)); }, valid),
        AllOf(HasSubstr("CNNConvolution 'c'"), HasSubstr("sourceImage"), HasSubstr("3"), HasSubstr("2")));
    EXPECT_THAT(refused([&] { kernel->encode(commands, image(5, 4, 5), to); }, valid),
                AllOf(HasSubstr("CNNConvolution 'c'"), HasSubstr("sourceImage"), HasSubstr("5")));
    EXPECT_THAT(refused([&] { kernel->encode(commands, good, small); }, valid),
                AllOf(HasSubstr("CNNConvolution 'c'"), HasSubstr("destinationImage"), HasSubstr("at least 4"),
                      HasSubstr("5 x 4 x 3")));
    EXPECT_THAT(refused([&] { kernel->encode(commands, nullptr); }, valid),
                AllOf(HasSubstr("CNNConvolution 'c'"), HasSubstr("sourceImage"), HasSubstr("null")));
    EXPECT_THAT(refused([&] { kernel->encode(nullptr, good); }, valid),
                AllOf(HasSubstr("CNNConvolution 'c'"), HasSubstr("commandBuffer"), HasSubstr("null")));
    EXPECT_THAT(refused(
                    [&] {
                        kernel->encodeBatch(commands, {good, image(4, 5, 3)});
                    },
                    valid),
                AllOf(HasSubstr("CNNConvolution 'c'"), HasSubstr("sourceImage[1]"), HasSubstr("4 x 5 x 3")));
}

TEST_F(KernelErrors, OffsetsThatIntegersCannotBeAddedToAreRefusedByTheirNames) {
    constexpr std::int64_t kFarthest = std::int64_t{1} << 40;
    const auto good = image(5, 4, 3), to = image(5, 4, 4), sum = image(5, 4, 3, 9);
    const auto one = convolution(3, 3, 4, "c");
    const auto valid = [&](const BufferPtr& on) { return one->encode(on, good); };
    const auto refusedAt = [&](MPS::Offset offset) {
        return refused(
            [&] {
                one->setOffset(offset);
                one->encode(commands, good, to);
            },
            valid);
    };
    EXPECT_THAT(refusedAt({kFarthest + 1, 0, 0}),
                AllOf(HasSubstr("CNNConvolution 'c'"), HasSubstr("offset"),
                      HasSubstr("at most 1099511627776 pixels either way"), HasSubstr("1099511627777")));
    EXPECT_THAT(refusedAt({0, -kFarthest - 1, 0}), HasSubstr("-1099511627777"));
    MPS::CNNAdd add(device);
    const auto refusedBy = [&](const char* argument, const std::function<void()>& mistake) {
        const auto sentence = errorOf([&] {
            mistake();
            add.encode(commands, good, good, sum);
        });
        EXPECT_THAT(sentence, AllOf(HasSubstr("CNNAdd"), HasSubstr(argument), HasSubstr("-9223372036854775808")));
    };
    constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
    refusedBy("secondaryOffset", [&] { add.setSecondaryOffset({kLeast, 0, 0}); });
    refusedBy("primaryOffset", [&] { add.setPrimaryOffset({0, kLeast, 0}); });
    EXPECT_EQ(errorOf([&] {
                  one->setOffset({kFarthest, -kFarthest, 0});
                  one->encode(commands, good, to);
              }),
              "");
}

TEST_F(KernelErrors, AFullyConnectedKernelTakesOnlyItsOwnSize) {
    MPS::CNNFullyConnected kernel(device, std::make_shared<LayerSource>(device, "f", 3, 4, 5, 7));
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto good = image(3, 3, 4);
    EXPECT_THAT(refused([&] { kernel.encode(commands, image(4, 3, 4)); },
                        [&](const BufferPtr& on) { return kernel.encode(on, good); }),
                AllOf(HasSubstr("CNNFullyConnected 'f'"), HasSubstr("sourceImage"), HasSubstr("3 x 3"),
                      HasSubstr("4 x 3")));
}

TEST_F(KernelErrors, AConvolutionGradientTakesTheStateOfItsOwnConvolutionOnly) {
    const auto mine = convolution(3, 3, 4, "mine"), other = convolution(5, 3, 4, "other");
    const auto wider = convolution(3, 3, 8, "wider");
    MPS::CNNConvolutionGradient gradient(device, mine->dataSource());
    gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto x = image(6, 5, 3), g = image(6, 5, 4, 3);
    const auto valid = [&](const BufferPtr& on) {
        StatePtr state;
        mine->encode(on, x, &state, false);
        return gradient.encode(on, g, x, state);
    };
    const auto foreign = forward(*other, x), wide = forward(*wider, x);
    MPS::CNNNeuron neuron(device, MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::TanH));
    const auto wrongClass = forward(neuron, x);
    const auto part = HasSubstr("CNNConvolutionGradient 'mine'");
    EXPECT_THAT(refused([&] { gradient.encode(commands, g, x, foreign.state); }, valid),
                AllOf(part, HasSubstr("gradientState"), HasSubstr("3 x 3"), HasSubstr("5 x 5")));
    EXPECT_THAT(refused([&] { gradient.encode(commands, image(6, 5, 8), x, wide.state); }, valid),
                AllOf(part, HasSubstr("4"), HasSubstr("8")));
    EXPECT_THAT(refused([&] { gradient.encode(commands, g, x, wrongClass.state); }, valid),
                AllOf(part, HasSubstr("gradientState"), HasSubstr("CNNConvolutionGradientState"),
                      HasSubstr("NNGradientState")));
    EXPECT_THAT(refused([&] { gradient.encode(commands, g, x, StatePtr{}); }, valid),
                AllOf(part, HasSubstr("gradientState"), HasSubstr("null")));
    EXPECT_THAT(refused(
                    [&] {
                        gradient.encodeBatch(commands, {g, g}, {x, x}, MPS::StateBatch{});
                    },
                    valid),
                AllOf(part, HasSubstr("gradientState")));
    const auto own = forward(*mine, x);
    EXPECT_THAT(refused([&] { gradient.encode(commands, image(6, 5, 3), x, own.state); }, valid),
                AllOf(part, HasSubstr("sourceGradient"), HasSubstr("4"), HasSubstr("3")));
    EXPECT_THAT(refused([&] { gradient.encode(commands, image(5, 5, 4), x, own.state); }, valid),
                AllOf(part, HasSubstr("sourceGradient"), HasSubstr("5 x 5")));
}

TEST_F(KernelErrors, PoolingGradientsTakeTheStateOfTheirOwnPoolingOnly) {
    MPS::CNNPoolingMax max(device, 2, 2, 2, 2), wide(device, 3, 3, 2, 2);
    MPS::CNNPoolingAverage average(device, 2, 2, 2, 2);
    wide.setLabel("wide");
    MPS::CNNPoolingMaxGradient gradient(device, 2, 2, 2, 2);
    gradient.setLabel("g");
    gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto x = image(6, 4, 4);
    const auto m = forward(max, x), w = forward(wide, x), a = forward(average, x);
    const auto dy = image(3, 2, 4, 5);
    const auto valid = [&](const BufferPtr& on) { return gradient.encode(on, dy, x, m.state); };
    EXPECT_THAT(refused([&] { gradient.encode(commands, dy, x, w.state); }, valid),
                AllOf(HasSubstr("CNNPoolingMaxGradient 'g'"), HasSubstr("2 x 2"), HasSubstr("3 x 3")));
    EXPECT_THAT(refused([&] { gradient.encode(commands, dy, x, a.state); }, valid),
                AllOf(HasSubstr("CNNPoolingMaxGradient 'g'"), HasSubstr("gradientState"),
                      HasSubstr("CNNPoolingAverage")));
    MPS::CNNPoolingMaxGradient whole(device, 2, 2, 2, 2);
    whole.setLabel("whole");
    EXPECT_THAT(refused([&] { whole.encode(commands, image(4, 2, 4), x, m.state, image(6, 4, 4)); }, valid),
                AllOf(HasSubstr("CNNPoolingMaxGradient 'whole'"), HasSubstr("sourceGradient"),
                      HasSubstr("at most 3 x 2"), HasSubstr("found 4 x 2")));
    EXPECT_THAT(refused([&] { gradient.encode(commands, image(3, 2, 3), x, m.state); }, valid),
                AllOf(HasSubstr("CNNPoolingMaxGradient 'g'"), HasSubstr("3")));
}

TEST_F(KernelErrors, NeuronSoftmaxAndDropoutGradientsRefuseStatesOfOtherClassesAndKernels) {
    const auto descriptor = MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::TanH, 1, 1);
    MPS::CNNNeuron neuron(device, descriptor);
    MPS::CNNDropout dropout(device, 0.5f, 3);
    MPS::CNNSoftMax softmax(device);
    MPS::CNNNeuronGradient neuronGradient(device, descriptor);
    MPS::CNNDropoutGradient dropoutGradient(device, 0.5f, 3), otherDropout(device, 0.25f, 3);
    MPS::CNNSoftMaxGradient softmaxGradient(device);
    otherDropout.setLabel("other");
    for (MPS::CNNGradientKernel* kernel : {static_cast<MPS::CNNGradientKernel*>(&neuronGradient),
                                           static_cast<MPS::CNNGradientKernel*>(&dropoutGradient),
                                           static_cast<MPS::CNNGradientKernel*>(&otherDropout),
                                           static_cast<MPS::CNNGradientKernel*>(&softmaxGradient)})
        kernel->setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto x = image(4, 3, 4), g = image(4, 3, 4, 8);
    const auto n = forward(neuron, x), d = forward(dropout, x), s = forward(softmax, x);
    EXPECT_THAT(refused([&] { dropoutGradient.encode(commands, g, x, n.state); },
                        [&](const BufferPtr& on) { return dropoutGradient.encode(on, g, x, d.state); }),
                AllOf(HasSubstr("CNNDropoutGradient"), HasSubstr("gradientState"),
                      HasSubstr("CNNDropoutGradientState"), HasSubstr("NNGradientState")));
    EXPECT_THAT(refused([&] { otherDropout.encode(commands, g, x, d.state); },
                        [&](const BufferPtr& on) { return dropoutGradient.encode(on, g, x, d.state); }),
                AllOf(HasSubstr("CNNDropoutGradient 'other'"), HasSubstr("0.25"), HasSubstr("0.5")));
    EXPECT_THAT(refused([&] { neuronGradient.encode(commands, g, x, s.state); },
                        [&](const BufferPtr& on) { return neuronGradient.encode(on, g, x, n.state); }),
                AllOf(HasSubstr("CNNNeuronGradient"), HasSubstr("gradientState"), HasSubstr("CNNSoftMax")));
    EXPECT_THAT(
        refused([&] { softmaxGradient.encode(commands, g, s.result, d.state); },
                [&](const BufferPtr& on) { return softmaxGradient.encode(on, g, s.result, s.state); }),
        AllOf(HasSubstr("CNNSoftMaxGradient"), HasSubstr("gradientState")));
    EXPECT_THAT(refused([&] { neuronGradient.encode(commands, image(3, 3, 4), x, n.state); },
                        [&](const BufferPtr& on) { return neuronGradient.encode(on, g, x, n.state); }),
                AllOf(HasSubstr("CNNNeuronGradient"), HasSubstr("sourceGradient")));
}

TEST_F(KernelErrors, BatchNormalisationCountsChannelsAndWantsItsOwnState) {
    const auto source = std::make_shared<NormSource>(device, "bn", 4, 2);
    const auto kernel = std::make_shared<MPS::CNNBatchNormalization>(device, source);
    const auto other = std::make_shared<MPS::CNNBatchNormalization>(
        device, std::make_shared<NormSource>(device, "eight", 8, 2));
    kernel->setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto good = image(3, 3, 4);
    const auto valid = [&](const BufferPtr& on) { return kernel->encode(on, good); };
    EXPECT_THAT(refused([&] { kernel->encode(commands, image(3, 3, 3)); }, valid),
                AllOf(HasSubstr("CNNBatchNormalization 'bn'"), HasSubstr("sourceImage"), HasSubstr("4"),
                      HasSubstr("3")));
    const auto foreign = std::dynamic_pointer_cast<MPS::CNNBatchNormalizationState>(
        other->resultState(image(3, 3, 8), {}, image(3, 3, 8)));
    ASSERT_NE(foreign, nullptr);
    EXPECT_THAT(refused([&] { kernel->encode(commands, good, foreign, image(3, 3, 4)); }, valid),
                AllOf(HasSubstr("CNNBatchNormalization 'bn'"), HasSubstr("batchNormalizationState")));
    EXPECT_THAT(refused(
                    [&] {
                        kernel->encode(commands, good, std::shared_ptr<MPS::CNNBatchNormalizationState>(),
                                       image(3, 3, 4));
                    },
                    valid),
                AllOf(HasSubstr("CNNBatchNormalization 'bn'"), HasSubstr("batchNormalizationState"),
                      HasSubstr("null")));
    MPS::CNNBatchNormalizationStatistics statistics(device);
    statistics.setLabel("stat");
    EXPECT_THAT(refused([&] { statistics.encodeBatch(commands, {good}, foreign); }, valid),
                AllOf(HasSubstr("CNNBatchNormalizationStatistics 'stat'"), HasSubstr("4"), HasSubstr("8")));
    MPS::CNNBatchNormalizationGradient gradient(device);
    gradient.setLabel("grad");
    MPS::CNNPoolingMax max(device, 2, 2);
    const auto wrong = forward(max, good);
    EXPECT_THAT(
        refused([&] { gradient.encode(commands, good, good, wrong.state); }, valid),
        AllOf(HasSubstr("CNNBatchNormalizationGradient 'grad'"), HasSubstr("CNNBatchNormalizationState")));
}

TEST_F(KernelErrors, ArithmeticRefusesUnequalSourcesAndForeignStates) {
    MPS::CNNAdd add(device);
    add.setLabel("sum");
    add.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto a = image(4, 3, 4), b = image(4, 3, 4, 2);
    const auto valid = [&](const BufferPtr& on) { return add.encode(on, a, b); };
    EXPECT_THAT(refused([&] { add.encode(commands, a, image(4, 3, 5)); }, valid),
                AllOf(HasSubstr("CNNAdd 'sum'"), HasSubstr("4"), HasSubstr("5")));
    EXPECT_THAT(refused([&] { add.encode(commands, a, ImagePtr{}); }, valid),
                AllOf(HasSubstr("CNNAdd 'sum'"), HasSubstr("secondaryImage"), HasSubstr("null")));
    EXPECT_THAT(refused(
                    [&] {
                        add.encodeBatch(commands, {a, a}, {b});
                    },
                    valid),
                AllOf(HasSubstr("CNNAdd 'sum'"), HasSubstr("2"), HasSubstr("1")));
    MPS::CNNAddGradient gradient(device, false);
    gradient.setLabel("back");
    MPS::CNNPoolingMax max(device, 2, 2);
    const auto wrong = forward(max, a);
    EXPECT_THAT(refused([&] { gradient.encode(commands, a, a, wrong.state); }, valid),
                AllOf(HasSubstr("CNNAddGradient 'back'"), HasSubstr("CNNArithmeticGradientState")));
    // One temporary in both slots is read twice.
    CopyKernel copy;
    const auto t = copy.encode(commands, a);
    EXPECT_THAT(errorOf([&] { add.encode(commands, t, t); }),
                AllOf(HasSubstr("CNNAdd 'sum'"), HasSubstr("primaryImage and secondaryImage"),
                      HasSubstr("at least 2"), HasSubstr("read count 1")));
    temporary(t).setReadCount(2);
    const auto doubled = add.encode(commands, t, t);
    run(commands);
    for (std::size_t i = 0; i < valuesOf(*a).size(); ++i)
        EXPECT_EQ(valuesOf(*doubled)[i], 2 * valuesOf(*a)[i]);
}

TEST_F(KernelErrors, ALossWantsLabelsOfItsSourcesSize) {
    MPS::CNNLoss loss(device, MPS::CNNLossDescriptor::cnnLossDescriptor(MPS::CNNLossType::MeanSquaredError,
                                                                        MPS::CNNReductionType::Sum));
    loss.setLabel("L");
    loss.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto x = image(1, 1, 4, 3);
    const auto labels = [&](std::size_t channels) {
        return std::dynamic_pointer_cast<MPS::CNNLossLabels>(drawLabels(device, 1, channels, 2)[0]);
    };
    const auto valid = [&](const BufferPtr& on) { return loss.encode(on, x, labels(4)); };
    EXPECT_THAT(
        refused([&] { loss.encode(commands, x, labels(3)); }, valid),
        AllOf(HasSubstr("CNNLoss 'L'"), HasSubstr("labels"), HasSubstr("1 x 1 x 4"), HasSubstr("1 x 1 x 3")));
    EXPECT_THAT(refused([&] { loss.encode(commands, x, std::shared_ptr<MPS::CNNLossLabels>()); }, valid),
                AllOf(HasSubstr("CNNLoss 'L'"), HasSubstr("labels"), HasSubstr("null")));
    EXPECT_THAT(refused([&] { static_cast<MPS::CNNKernel&>(loss).encode(commands, x); }, valid),
                AllOf(HasSubstr("CNNLoss 'L'"), HasSubstr("labels")));
    EXPECT_THAT(refused(
                    [&] {
                        loss.encodeBatch(commands, {x, x}, {labels(4)});
                    },
                    valid),
                AllOf(HasSubstr("CNNLoss 'L'"), HasSubstr("labels"), HasSubstr("2"), HasSubstr("1")));
}

TEST_F(KernelErrors, WeightStatesOfAnotherLayerAreRefusedByReloadAndOptimizer) {
    const auto kernel = convolution(3, 3, 4, "c"), other = convolution(1, 3, 4, "d");
    const auto x = image(5, 4, 3), g = image(5, 4, 4, 6);
    const auto valid = [&](const BufferPtr& on) { return kernel->encode(on, x); };
    EXPECT_THAT(refused(
                    [&] {
                        kernel->reloadWeightsAndBiases(
                            commands, std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(
                                          device, *other->dataSource()->descriptor()));
                    },
                    valid),
                AllOf(HasSubstr("CNNConvolution 'c'"), HasSubstr("108"), HasSubstr("12")));
    EXPECT_THAT(refused([&] { kernel->reloadWeightsAndBiases(commands, nullptr); }, valid),
                AllOf(HasSubstr("CNNConvolution 'c'"), HasSubstr("state"), HasSubstr("null")));
    MPS::NNOptimizerStochasticGradientDescent optimizer(device, 0.1f);
    optimizer.setLabel("sgd");
    MPS::CNNConvolutionGradient gradient(device, kernel->dataSource());
    gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto pass = forward(*kernel, x);
    const auto state = std::dynamic_pointer_cast<MPS::CNNConvolutionGradientState>(pass.state);
    gradient.encode(commands, g, x, state);
    const auto from = kernel->exportWeightsAndBiases(commands, false),
               wrong = other->exportWeightsAndBiases(commands, false);
    EXPECT_THAT(
        refused([&] { optimizer.encode(commands, state, from, {}, wrong); }, valid),
        AllOf(HasSubstr("NNOptimizerStochasticGradientDescent 'sgd'"), HasSubstr("108"), HasSubstr("12")));
    EXPECT_THAT(refused([&] { optimizer.encode(commands, state, nullptr, {}, from); }, valid),
                AllOf(HasSubstr("'sgd'"), HasSubstr("convolutionSourceState"), HasSubstr("null")));
}
