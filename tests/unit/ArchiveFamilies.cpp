#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/CNNBinaryConvolution.hpp>
#include <MPS/CNNPooling.hpp>
#include <MPS/CNNYOLOLoss.hpp>
#include <MPS/NNCompare.hpp>
#include <MPS/NNGramMatrix.hpp>
#include <MPS/NNLoss.hpp>
#include <MPS/NNPad.hpp>
#include <MPS/NNReduce.hpp>
#include <MPS/NNReshape.hpp>
#include <MPS/NNSlice.hpp>

#include "ArchiveRoundTrip.h"
#include "BinaryWeights.h"

using namespace pewter::test;
using namespace MPS;

namespace {

class ArchiveFamilies : public testing::TestWithParam<std::size_t> {
protected:
    /// Round trip, and the bits of an encode that returns its image.
    template <class K>
    std::shared_ptr<K> sameResult(const std::shared_ptr<K>& kernel) {
        kernel->setLabel("same");
        kernel->setDestinationImageAllocator(Image::defaultAllocator());
        const auto again = roundTrip(kernel);
        EXPECT_EQ(again->name(), kernel->name());
        const auto run = [&](CNNKernel& k) {
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto y = k.encode(commands, source);
            finish(commands);
            auto values = read(*y);
            values.push_back(static_cast<double>(y->width()));
            return values;
        };
        EXPECT_EQ(run(*again), run(*kernel)) << kernel->className() << " on " << device->name();
        return again;
    }

    DevicePtr device = weightedDevices()[GetParam()];
    ImagePtr source = anyImage(device, 5, 4, 8);
};

/// Callbacks that archives can hold.
class GramCallback final : public NNGramMatrixCallback, public SecureCoding {
public:
    GramCallback() = default;
    explicit GramCallback(Coder&) {}
    float alpha(const ImagePtr&, const ImagePtr&) override { return 0.75f; }
    const char* className() const override { return "ArchiveFamilies.GramCallback"; }
    void encodeWithCoder(Coder&) const override {}
};

class PlainLossCallback final : public NNLossCallback {
public:
    float scalarWeight(const ImagePtr&, const ImagePtr&) override { return 0.5f; }
};

class BitSource final : public ListSource {
public:
    BitSource(std::shared_ptr<CNNConvolutionDescriptor> d, const Numbers& bits, const Numbers& b)
        : ListSource(std::move(d), {}, b), words(packedBits(bits, shape->inputFeatureChannels())) {
        type = DataType::UInt32;
    }
    const void* weights() const override { return words.data(); }
    std::vector<std::uint32_t> words;
};

}  // namespace

TEST_P(ArchiveFamilies, PoolingByTheNorm) {
    sameForward(std::make_shared<CNNPoolingL2Norm>(device, 3, 2, 1, 2), source);
    sameGradient(std::make_shared<CNNPoolingL2Norm>(device, 3, 2, 1, 2),
                 std::make_shared<CNNPoolingL2NormGradient>(device, 3, 2, 1, 2), source);
}

TEST_P(ArchiveFamilies, Reductions) {
    const auto check = [&](const auto& kernel) {
        kernel->setClipRectSource({{1, 0, 0}, {3, 4, 1}});
        const auto again = sameResult(kernel);
        EXPECT_EQ(again->clipRectSource().origin.x, 1u);
        EXPECT_EQ(again->clipRectSource().size.width, 3u);
        return again;
    };
    check(std::make_shared<NNReduceRowMin>(device));
    check(std::make_shared<NNReduceRowMax>(device));
    check(std::make_shared<NNReduceRowMean>(device));
    check(std::make_shared<NNReduceRowSum>(device));
    check(std::make_shared<NNReduceColumnMin>(device));
    check(std::make_shared<NNReduceColumnMax>(device));
    check(std::make_shared<NNReduceColumnMean>(device));
    check(std::make_shared<NNReduceColumnSum>(device));
    check(std::make_shared<NNReduceFeatureChannelsMin>(device));
    check(std::make_shared<NNReduceFeatureChannelsMax>(device));
    check(std::make_shared<NNReduceFeatureChannelsMean>(device));
    check(std::make_shared<NNReduceFeatureChannelsArgumentMin>(device));
    check(std::make_shared<NNReduceFeatureChannelsArgumentMax>(device));
    const auto sum = std::make_shared<NNReduceFeatureChannelsSum>(device);
    sum->setWeight(0.25f);
    EXPECT_EQ(check(sum)->weight(), 0.25f);
    const auto mean = std::make_shared<NNReduceFeatureChannelsAndWeightsMean>(device);
    mean->setSecondarySourceClipRect({{0, 1, 0}, {2, 3, 1}});
    EXPECT_EQ(roundTrip(mean)->secondarySourceClipRect().size.height, 3u);
    for (const bool nonZero : {false, true})
        EXPECT_EQ(roundTrip(std::make_shared<NNReduceFeatureChannelsAndWeightsSum>(device, nonZero))
                      ->doWeightedSumByNonZeroWeights(),
                  nonZero);
}

TEST_P(ArchiveFamilies, PaddingReshapesAndSlices) {
    const auto pad = std::make_shared<NNPad>(device, ImageCoordinate{1, 0, 4}, ImageCoordinate{0, 2, 4});
    pad->setFillValue(3);
    pad->setEdgeMode(ImageEdgeMode::Constant);
    const auto again = sameResult(pad);
    EXPECT_EQ(again->fillValue(), 3);
    EXPECT_EQ(again->paddingSizeBefore().channel, 4u);
    EXPECT_EQ(again->paddingSizeAfter().y, 2u);
    std::vector<float> fill(16);
    for (std::size_t i = 0; i < fill.size(); ++i) fill[i] = static_cast<float>(i);
    const auto filled =
        std::make_shared<NNPad>(device, ImageCoordinate{1, 0, 4}, ImageCoordinate{0, 2, 4}, fill);
    filled->setEdgeMode(ImageEdgeMode::Constant);
    sameResult(filled);
    roundTrip(std::make_shared<NNPadGradient>(device));

    const auto reshape = std::make_shared<NNReshape>(device);
    const auto reshaped = roundTrip(reshape);
    const auto run = [&](NNReshape& k) {
        k.setDestinationImageAllocator(Image::defaultAllocator());
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = k.encode(commands, source, 4, 5, 8);
        finish(commands);
        return read(*y);
    };
    EXPECT_EQ(run(*reshaped), run(*reshape));
    roundTrip(std::make_shared<NNReshapeGradient>(device));

    const auto slice = std::make_shared<NNSlice>(device);
    slice->setSourceFeatureChannelOffset(4);
    EXPECT_EQ(sameResult(slice)->sourceFeatureChannelOffset(), 4u);
}

TEST_P(ArchiveFamilies, Comparison) {
    const auto kernel = std::make_shared<NNCompare>(device);
    kernel->setComparisonType(NNComparisonType::GreaterOrEqual);
    kernel->setThreshold(0.25f);
    kernel->setPrimaryScale(2);
    kernel->setDestinationImageAllocator(Image::defaultAllocator());
    const auto again = roundTrip(kernel);
    EXPECT_EQ(again->comparisonType(), NNComparisonType::GreaterOrEqual);
    EXPECT_EQ(again->threshold(), 0.25f);
    const auto run = [&](NNCompare& k) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = k.encode(commands, source, anyImage(device, 5, 4, 8, 2));
        finish(commands);
        return read(*y);
    };
    EXPECT_EQ(run(*again), run(*kernel));
}

TEST_P(ArchiveFamilies, GramMatricesAndTheirCallbacks) {
    RegisterArchivedClass<GramCallback>("ArchiveFamilies.GramCallback");
    const auto kernel = std::make_shared<NNGramMatrixCalculation>(device, 0.5f);
    EXPECT_EQ(sameResult(kernel)->alpha(), 0.5f);
    kernel->setPropertyCallBack(std::make_shared<GramCallback>());
    EXPECT_EQ(roundTrip(kernel)->propertyCallBack()->alpha(nullptr, nullptr), 0.75f);
    sameGradient(std::make_shared<NNGramMatrixCalculation>(device, 0.5f),
                 std::make_shared<NNGramMatrixCalculationGradient>(device, 0.25f), source);
}

TEST_P(ArchiveFamilies, LossesWithTheirGradientsApart) {
    auto d = CNNLossDescriptor::cnnLossDescriptor(CNNLossType::SigmoidCrossEntropy, CNNReductionType::Mean);
    d.reduceAcrossBatch = true;
    d.weight = 0.5f;
    d.labelSmoothing = 0.25f;
    d.numberOfClasses = 4;
    const auto forward = roundTrip(std::make_shared<NNForwardLoss>(device, d));
    EXPECT_EQ(forward->lossType(), d.lossType);
    EXPECT_TRUE(forward->reduceAcrossBatch());
    EXPECT_EQ(forward->labelSmoothing(), 0.25f);
    EXPECT_EQ(forward->propertyCallBack(), nullptr);
    const auto gradient = std::make_shared<NNLossGradient>(device, d);
    gradient->setComputeLabelGradients(true);
    gradient->setDelta(3);
    const auto again = roundTrip(gradient);
    EXPECT_TRUE(again->computeLabelGradients());
    EXPECT_EQ(again->delta(), 3);
    EXPECT_EQ(again->numberOfClasses(), 4u);
    gradient->setPropertyCallBack(std::make_shared<PlainLossCallback>());
    EXPECT_THAT(
        sentenceOf([&] { KeyedArchiver::archivedData(gradient); }),
        testing::HasSubstr("NNLossGradient: propertyCallBack: expected an object with secure coding"));
}

TEST_P(ArchiveFamilies, TheDetectorsLoss) {
    auto d = CNNYOLOLossDescriptor::cnnLossDescriptor(
        CNNLossType::SigmoidCrossEntropy, CNNLossType::Huber, CNNLossType::SigmoidCrossEntropy,
        CNNLossType::SoftMaxCrossEntropy, CNNReductionType::Sum, {1, 2, 3, 4}, 2);
    d.rescore = false;
    d.scaleXY = 3;
    d.minIOUForObjectPresence = 0.5f;
    d.presence = CNNYOLOLossPresence::PredictedBox;
    d.normalization = CNNYOLOLossNormalization::PerTerm;
    const auto again = roundTrip(std::make_shared<CNNYOLOLoss>(device, d));
    EXPECT_FALSE(again->rescore());
    EXPECT_EQ(again->scaleXY(), 3);
    EXPECT_EQ(again->minIOUForObjectPresence(), 0.5f);
    EXPECT_EQ(again->anchorBoxes(), d.anchorBoxes);
    EXPECT_EQ(again->numberOfAnchorBoxes(), 2u);
    EXPECT_EQ(again->presence(), d.presence);
    EXPECT_EQ(again->normalization(), d.normalization);
    EXPECT_EQ(again->lossWH()->lossType(), CNNLossType::Huber);
    EXPECT_EQ(again->lossClasses()->lossType(), CNNLossType::SoftMaxCrossEntropy);
}

TEST_P(ArchiveFamilies, BinaryConvolutions) {
    const auto d = CNNConvolutionDescriptor::cnnConvolutionDescriptor(3, 2, 8, 4);
    d->setBatchNormalizationParametersForInference({1, 2, 3, 4}, {1, 2, 3, 4}, {1, 1, 2, 2}, {0, 1, 0, 1},
                                                   0.5f);
    Random random(3);
    const auto bits =
        std::make_shared<BitSource>(d, integers(random, 3 * 2 * 8 * 4, 0, 1), Numbers{1, 2, 3, 4});
    for (const auto type : {CNNBinaryConvolutionType::BinaryWeights, CNNBinaryConvolutionType::XNOR,
                            CNNBinaryConvolutionType::AND}) {
        const auto again = sameResult(std::make_shared<CNNBinaryConvolution>(
            device, bits, 0.5f, type, CNNBinaryConvolutionFlags::None));
        EXPECT_EQ(again->type(), type);
    }
    const float outputs[] = {1, 2, 3, 4}, inputs[] = {1, 2, 3, 4, -5, -6, -7, 0.5f};
    const auto again = sameResult(std::make_shared<CNNBinaryConvolution>(
        device, bits, outputs, outputs, inputs, inputs, CNNBinaryConvolutionType::XNOR,
        CNNBinaryConvolutionFlags::UseBetaScaling));
    EXPECT_EQ(again->flags(), CNNBinaryConvolutionFlags::UseBetaScaling);
    // Written again without a normalisation folded in twice.
    EXPECT_EQ(KeyedArchiver::archivedData(roundTrip(again)), KeyedArchiver::archivedData(again));
    const auto whole = CNNConvolutionDescriptor::cnnConvolutionDescriptor(5, 4, 8, 3);
    const auto wholeBits =
        std::make_shared<BitSource>(whole, integers(random, 5 * 4 * 8 * 3, 0, 1), Numbers{1, 2, 3});
    sameResult(std::make_shared<CNNBinaryFullyConnected>(
        device, wholeBits, 2.f, CNNBinaryConvolutionType::XNOR, CNNBinaryConvolutionFlags::None));
}

INSTANTIATE_TEST_SUITE_P(Devices, ArchiveFamilies, testing::Range<std::size_t>(0, weightedDevices().size()));
