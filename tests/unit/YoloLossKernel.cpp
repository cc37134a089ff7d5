#include <MPS/CNNYOLOLoss.hpp>

#include "UnaryKernels.h"

using namespace pewter::test;
using MPS::CNNLossLabels;
using MPS::CNNLossType;
using MPS::CNNReductionType;
using MPS::CNNYOLOLossDescriptor;

namespace {

CNNYOLOLossDescriptor descriptorOf(CNNReductionType reduction, std::vector<float> anchors = {1, 1, 2, 2}) {
    const auto count = anchors.size() / 2;
    return CNNYOLOLossDescriptor::cnnLossDescriptor(
        CNNLossType::MeanSquaredError, CNNLossType::MeanAbsoluteError, CNNLossType::MeanSquaredError,
        CNNLossType::MeanSquaredError, reduction, anchors, count);
}

/// One cell, two anchors, two classes: a box of the second one's size, half a cell beside the middle
/// (docs/ops/yolo_loss.md).
const Numbers kBox = {1, 0.5, 2, 2, 1, 1, 0, 1, 0.5, 2, 2, 1, 1, 0};
const Numbers kPredictions = {0, 0, 0, 0, 1, 0, 0, 0, 0, 1, -1, 1, 0, 0};

MPS::CNNLossLabelsBatch labelsOf(const DevicePtr& device, const Extents& e, const Numbers& labels,
                                 const Numbers& weights, bool reduces, Memory memory) {
    const MTL::Size size = reduces ? MTL::Size{1, 1, 1} : MTL::Size{e.w, e.h, e.c};
    return CNNLossLabels::batch(
        device, size, imagesOf(device, e, labels, Format::Float32, memory),
        weights.empty() ? MPS::ImageBatch() : imagesOf(device, e, weights, Format::Float32, memory));
}

struct Result {
    Numbers gradient, loss;
};

Result run(MPS::CNNYOLOLoss& kernel, const Extents& e, const Numbers& x, const Numbers& t,
           const Numbers& w = {}, Memory memory = Memory::Together, bool given = false) {
    const auto device = kernel.device();
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto xs = imagesOf(device, e, x, Format::Float32, memory);
    const auto labels = labelsOf(device, e, t, w, kernel.reductionType() != CNNReductionType::None, memory);
    MPS::ImageBatch gradients;
    if (given) {
        gradients = imagesOf(device, e, x, Format::Float32, memory);
        kernel.encodeBatch(commands, xs, labels, gradients);
    } else {
        gradients = kernel.encodeBatch(commands, xs, labels);
    }
    finish(commands);
    MPS::ImageBatch losses;
    for (const auto& one : labels) losses.push_back(one->lossImage());
    return {read(gradients), read(losses)};
}

}  // namespace

TEST(YoloLossKernel, DefaultsAreThoseOfTheDocumentation) {
    const auto d = descriptorOf(CNNReductionType::Mean);
    EXPECT_TRUE(d.rescore);
    EXPECT_FALSE(d.reduceAcrossBatch);
    const auto device = MTL::copyDevice("reference");
    for (const auto& other : weightedDevices()) {
        const MPS::CNNYOLOLoss original(device, d);
        const auto copy = std::dynamic_pointer_cast<MPS::CNNYOLOLoss>(original.copy(other));
        EXPECT_EQ(copy->device(), other);
        EXPECT_EQ(copy->lossXY()->device(), other);
        EXPECT_EQ(copy->scaleXY(), 10);
        EXPECT_EQ(copy->scaleWH(), 10);
        EXPECT_EQ(copy->scaleNoObject(), 5);
        EXPECT_EQ(copy->scaleObject(), 100);
        EXPECT_EQ(copy->scaleClass(), 2);
        EXPECT_EQ(copy->minIOUForObjectPresence(), 0.7f);
        EXPECT_EQ(copy->maxIOUForObjectAbsence(), 0.3f);
        EXPECT_EQ(copy->reductionType(), CNNReductionType::Mean);
        EXPECT_FALSE(copy->reduceAcrossBatch());
        EXPECT_TRUE(copy->rescore());
        EXPECT_EQ(copy->numberOfAnchorBoxes(), 2u);
        EXPECT_EQ(copy->anchorBoxes(), (std::vector<float>{1, 1, 2, 2}));
        EXPECT_EQ(copy->lossXY()->lossType(), CNNLossType::MeanSquaredError);
        EXPECT_EQ(copy->lossWH()->lossType(), CNNLossType::MeanAbsoluteError);
        EXPECT_EQ(copy->lossConfidence()->reductionType(), CNNReductionType::Mean);
        EXPECT_EQ(copy->lossClasses()->lossType(), CNNLossType::MeanSquaredError);
        EXPECT_EQ(copy->presence(), MPS::CNNYOLOLossPresence::AnchorShape);
        EXPECT_EQ(copy->normalization(), MPS::CNNYOLOLossNormalization::None);
        EXPECT_TRUE(copy->isStateModified());
    }
}

TEST(YoloLossKernel, OneCellByHand) {
    const Extents e{1, 1, 1, 14};
    for (const auto& device : weightedDevices()) {
        auto d = descriptorOf(CNNReductionType::None);
        d.rescore = false;
        MPS::CNNYOLOLoss kernel(device, d);
        const auto r = run(kernel, e, kPredictions, kBox);
        // The size to learn is ln(2/2 + 1e-5).
        EXPECT_TRUE(allNear(r.loss, {0, 0, 0, 0, 5, 0, 0, 2.5, 0, 10 - 1e-4, 10 + 1e-4, 0, 2, 0}, 1e-6));
        EXPECT_EQ(r.gradient, (Numbers{0, 0, 0, 0, 10, 0, 0, -2.5, 0, 10, -10, 0, -4, 0}));
        d.rescore = true;
        d.reductionType = CNNReductionType::Sum;
        MPS::CNNYOLOLoss rescored(device, d);
        Numbers still = kPredictions;
        still[9] = still[10] = still[11] = 0;
        const auto s = run(rescored, e, still, kBox);  // IOU of the boxes: 3/5
        EXPECT_TRUE(allNear(s.loss, {5 + 2.5 + 36 + 2 + 2e-4}, 1e-6));
        EXPECT_TRUE(allNear({s.gradient[11]}, {-120}, 1e-6));
    }
}

TEST(YoloLossKernel, LossAndGradientAgreeWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("yolo_loss"); const auto& c : all.at("cases")) {
            const auto types = c.at("types").get<std::vector<int>>();
            const auto type = [&](std::size_t i) { return static_cast<CNNLossType>(types.at(i)); };
            const auto anchors = c.at("anchors").get<std::vector<float>>();
            auto d = CNNYOLOLossDescriptor::cnnLossDescriptor(
                type(0), type(1), type(2), type(3), CNNReductionType::None, anchors, anchors.size() / 2);
            for (auto* part : {&d.XYLossDescriptor, &d.WHLossDescriptor, &d.confidenceLossDescriptor,
                               &d.classesLossDescriptor}) {
                part->labelSmoothing = c.at("labelSmoothing");
                part->numberOfClasses = c.at("numberOfClasses");
                part->delta = c.at("delta");
            }
            d.rescore = c.at("rescore");
            d.scaleXY = c.at("scaleXY");
            d.scaleWH = c.at("scaleWH");
            d.scaleNoObject = c.at("scaleNoObject");
            d.scaleObject = c.at("scaleObject");
            d.scaleClass = c.at("scaleClass");
            d.minIOUForObjectPresence = c.at("minIOU");
            d.maxIOUForObjectAbsence = c.at("maxIOU");
            if (c.at("predictedBoxes")) d.presence = MPS::CNNYOLOLossPresence::PredictedBox;
            if (c.at("normalized")) d.normalization = MPS::CNNYOLOLossNormalization::PerTerm;

            const bool oracle = device->name() == "reference";
            const auto format = oracle ? Format::Float64 : Format::Float32;
            const auto e = extentsOf(c.at("source"));
            const auto weights = c.at("weights").is_null()
                                     ? MPS::ImageBatch()
                                     : imagesOf(device, e, numbers(c.at("weights")), format);
            MPS::CNNYOLOLoss kernel(device, d);
            kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            const auto labels = CNNLossLabels::batch(
                device, {e.w, e.h, e.c}, imagesOf(device, e, numbers(c.at("labels")), format), weights);
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto gradients =
                kernel.encodeBatch(commands, imagesOf(device, e, numbers(c.at("source")), format), labels);
            finish(commands);
            MPS::ImageBatch losses;
            for (const auto& one : labels) losses.push_back(one->lossImage());
            const auto what = c.at("name").get<std::string>() + " on " + device->name();
            const double allowance = oracle ? 1e-10 : 1e-5;
            EXPECT_TRUE(allNear(read(losses), numbers(c.at("loss")), allowance)) << what;
            EXPECT_TRUE(allNear(read(gradients), numbers(c.at("gradient")), allowance)) << what;
        }
}

TEST(YoloLossKernel, SettingsOfTheFourPartsCount) {
    const Extents e{1, 1, 1, 14};
    for (const auto& device : weightedDevices()) {
        auto d = descriptorOf(CNNReductionType::None);
        d.rescore = false;
        d.XYLossDescriptor.weight = 2;
        d.WHLossDescriptor.lossType = CNNLossType::Huber;
        d.WHLossDescriptor.delta = 0.5f;
        d.classesLossDescriptor = MPS::CNNLossDescriptor::cnnLossDescriptor(CNNLossType::SoftMaxCrossEntropy,
                                                                            CNNReductionType::None);
        d.classesLossDescriptor.labelSmoothing = 0.5f;
        d.classesLossDescriptor.numberOfClasses = 2;
        d.scaleXY = 1, d.scaleWH = 4, d.scaleNoObject = 3, d.scaleObject = 7, d.scaleClass = 8;
        MPS::CNNYOLOLoss kernel(device, d);
        Numbers x = kPredictions;
        x[11] = 2;
        const auto r = run(kernel, e, x, kBox);
        EXPECT_TRUE(allNear(
            r.gradient, {0, 0, 0, 0, 6, 0, 0, -0.5, 0, 2, -2, 14, 8 * (0.5 - 0.75), 8 * (0.5 - 0.25)}, 1e-6));
    }
}

TEST(YoloLossKernel, OpenPointsOfTheDocumentationAreSwitches) {
    const Extents e{1, 1, 1, 14};
    for (const auto& device : weightedDevices()) {
        auto d = descriptorOf(CNNReductionType::None);
        d.presence = MPS::CNNYOLOLossPresence::PredictedBox;
        MPS::CNNYOLOLoss predicted(device, d);
        // The first anchor predicts a box of 2 x 2 on the right place: it has the object, and the second one
        // does not.
        Numbers x(14, 0);
        x[0] = 8, x[2] = x[3] = 0.693147180559945;
        const auto r = run(predicted, e, x, kBox);
        EXPECT_NE(r.loss[4], 0);
        EXPECT_GT(r.loss[0], 0);
        EXPECT_EQ(r.loss[7], 0);
        d = descriptorOf(CNNReductionType::None);
        d.rescore = false;
        d.normalization = MPS::CNNYOLOLossNormalization::PerTerm;
        MPS::CNNYOLOLoss divided(device, d);
        const auto s = run(
            divided, {1, 1, 2, 14},
            [&] {
                Numbers two = kPredictions;
                two.insert(two.end(), 14, 0.0);
                return two;
            }(),
            [&] {
                Numbers two = kBox;
                two.insert(two.end(), 14, 0.0);
                return two;
            }());
        EXPECT_TRUE(allNear({s.gradient[4], s.gradient[7], s.gradient[9], s.gradient[12]},
                            {10 / 2.0, -2.5 / 1.0001, 10 / 2.0, -4 / 1.0001}, 1e-6));
    }
}

TEST(YoloLossKernel, WeightsReductionsAndEveryWayToEncode) {
    Random random(63);
    const Extents e{3, 2, 2, 14};
    Numbers t, w;
    for (std::size_t cell = 0; cell < e.n * e.h * e.w; ++cell)
        for (std::size_t i = 0; i < 14; ++i) {
            t.push_back(cell % 3 == 0 ? kBox[i] : 0);
            w.push_back(static_cast<double>(random.integer(0, 2)));
        }
    const auto x = uniform(random, e.count());
    for (const auto& device : weightedDevices()) {
        MPS::CNNYOLOLoss elements(device, descriptorOf(CNNReductionType::None));
        const auto all = run(elements, e, x, t, w);
        for (const auto reduction :
             {CNNReductionType::Sum, CNNReductionType::Mean, CNNReductionType::SumByNonZeroWeights})
            for (const bool across : {false, true}) {
                auto d = descriptorOf(reduction);
                d.reduceAcrossBatch = across;
                MPS::CNNYOLOLoss kernel(device, d);
                const auto r = run(kernel, e, x, t, w);
                EXPECT_EQ(r.gradient, all.gradient);
                Numbers expected(e.n, 0), counts(e.n, 0);
                const std::size_t size = e.count() / e.n;
                for (std::size_t i = 0; i < e.count(); ++i) {
                    expected[across ? 0 : i / size] += all.loss[i];
                    counts[across ? 0 : i / size] += reduction == CNNReductionType::Sum    ? 0
                                                     : reduction == CNNReductionType::Mean ? 1
                                                                                           : w[i] != 0;
                }
                for (std::size_t n = 0; n < e.n; ++n)
                    if (counts[n] > 0) expected[n] /= counts[n];
                EXPECT_TRUE(allNear(r.loss, expected, 1e-5));
                for (const auto memory : {Memory::Together, Memory::Loose})
                    for (const bool given : {false, true}) {
                        const auto again = run(kernel, e, x, t, w, memory, given);
                        EXPECT_EQ(again.gradient, r.gradient);
                        EXPECT_EQ(again.loss, r.loss);
                    }
            }
    }
}

TEST(YoloLossKernel, OneImageByItself) {
    for (const auto& device : weightedDevices()) {
        auto d = descriptorOf(CNNReductionType::Sum);
        MPS::CNNYOLOLoss kernel(device, d);
        kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto x = imageOf(device, 1, 1, 14, Numbers(14, 1)), given = imageOf(device, 1, 1, 14),
                   t = imageOf(device, 1, 1, 14, Numbers(14, 0));
        const auto labels = std::make_shared<CNNLossLabels>(device, MTL::Size{1, 1, 1}, t, nullptr);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto gradient = kernel.encode(commands, x, labels);
        kernel.encode(commands, x, labels, given);
        finish(commands);
        const Numbers expected = {0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 10, 0, 0};
        EXPECT_EQ(read(*gradient), expected);
        EXPECT_EQ(read(*given), expected);
        EXPECT_EQ(read(*labels->lossImage()), Numbers{10});
    }
}

TEST(YoloLossKernel, RefusalsNameKernelArgumentExpectedAndFound) {
    const auto device = MTL::copyDevice("reference");
    const auto made = [&](const CNNYOLOLossDescriptor& d) {
        return sentenceOf([&] { MPS::CNNYOLOLoss(device, d); });
    };
    auto d = descriptorOf(CNNReductionType::Sum);
    d.numberOfAnchorBoxes = 0;
    EXPECT_THAT(made(d), HasSubstr("CNNYOLOLoss: numberOfAnchorBoxes: expected at least 1, found 0"));
    d.numberOfAnchorBoxes = 3;
    EXPECT_THAT(made(d),
                HasSubstr("anchorBoxes: expected 6 numbers, width and height of 3 anchors, found 4"));
    EXPECT_THAT(made(descriptorOf(CNNReductionType::Sum, {1, 1, 2, 0})),
                HasSubstr("anchorBoxes[3]: expected a width or height above 0, found 0"));
    EXPECT_THAT(made(descriptorOf(CNNReductionType::Count)), HasSubstr("reductionType: expected None, Sum"));
    d = descriptorOf(CNNReductionType::Sum);
    d.classesLossDescriptor.lossType = CNNLossType::CosineDistance;
    EXPECT_THAT(made(d),
                HasSubstr("classesLossDescriptor: expected a loss of single elements, found CosineDistance"));
    d = descriptorOf(CNNReductionType::Sum);
    d.XYLossDescriptor.labelSmoothing = 3;
    EXPECT_THAT(made(d), HasSubstr("labelSmoothing"));

    MPS::CNNYOLOLoss kernel(device, descriptorOf(CNNReductionType::Sum));
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto encode = [&](std::size_t channels, std::size_t labelChannels) {
        return sentenceOf([&] {
            kernel.encode(commands, imageOf(device, 1, 1, channels, Numbers(channels, 0)),
                          std::make_shared<CNNLossLabels>(
                              device, MTL::Size{1, 1, 1},
                              imageOf(device, 1, 1, labelChannels, Numbers(labelChannels, 0)), nullptr));
        });
    };
    EXPECT_THAT(
        encode(13, 13),
        HasSubstr(
            "sourceImage: expected 2 (5 + K) feature channels for 2 anchors and K >= 1 classes, found 13"));
    EXPECT_THAT(encode(10, 10), HasSubstr("found 10"));
    EXPECT_THAT(encode(14, 12), HasSubstr("labels.labelsImage: expected 1 x 1 x 14, the size of the source"));
    EXPECT_EQ(encode(14, 14), "");
    EXPECT_THAT(
        sentenceOf([&] { static_cast<MPS::CNNKernel&>(kernel).encode(commands, imageOf(device, 1, 1, 14)); }),
        HasSubstr("CNNYOLOLoss: labels: expected an encode with labels"));
}
