#include <MPS/CNNLoss.hpp>

#include "UnaryKernels.h"

using namespace pewter::test;
using MPS::CNNLossDataDescriptor;
using MPS::CNNLossDescriptor;
using MPS::CNNLossLabels;
using MPS::CNNLossType;
using MPS::CNNReductionType;

namespace {

constexpr auto kHWC = MPS::DataLayout::HeightxWidthxFeatureChannels;
constexpr auto kCHW = MPS::DataLayout::FeatureChannelsxHeightxWidth;

std::vector<CNNLossDataDescriptor> dataOf(const Extents& e, const Numbers& values) {
    std::vector<CNNLossDataDescriptor> data;
    const std::size_t one = e.h * e.w * e.c;
    for (std::size_t n = 0; n < e.n; ++n) {
        const std::vector<float> part(values.begin() + static_cast<std::ptrdiff_t>(n * one),
                                      values.begin() + static_cast<std::ptrdiff_t>((n + 1) * one));
        data.push_back(CNNLossDataDescriptor::cnnLossDataDescriptor(part, kHWC, {e.w, e.h, e.c}));
    }
    return data;
}

/// Labels made together, or each by itself.
MPS::CNNLossLabelsBatch labelsOf(const DevicePtr& device, const Extents& e, const Numbers& labels,
                                 const Numbers& weights, bool reduces, Memory memory) {
    const MTL::Size size = reduces ? MTL::Size{1, 1, 1} : MTL::Size{e.w, e.h, e.c};
    const auto data = dataOf(e, labels);
    const auto weightData = weights.empty() ? std::vector<CNNLossDataDescriptor>() : dataOf(e, weights);
    if (memory == Memory::Together) return CNNLossLabels::batch(device, size, data, weightData);
    MPS::CNNLossLabelsBatch batch;
    for (std::size_t n = 0; n < e.n; ++n)
        batch.push_back(std::make_shared<CNNLossLabels>(device, size, data[n],
                                                        weights.empty() ? nullptr : &weightData[n]));
    return batch;
}

struct Result {
    Numbers gradient, loss;
};

Result run(const DevicePtr& device, const CNNLossDescriptor& d, const Extents& e, const Numbers& x,
           const MPS::CNNLossLabelsBatch& labels, Memory memory = Memory::Together, bool given = false,
           Format format = Format::Float32) {
    MPS::CNNLoss kernel(device, d);
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto xs = imagesOf(device, e, x, format, memory);
    MPS::ImageBatch gradients;
    if (given) {
        gradients = imagesOf(device, e, x, format, memory);
        kernel.encodeBatch(commands, xs, labels, gradients);
    } else {
        gradients = kernel.encodeBatch(commands, xs, labels);
    }
    finish(commands);
    MPS::ImageBatch losses;
    for (const auto& one : labels) losses.push_back(one->lossImage());
    return {read(gradients), read(losses)};
}

CNNLossDescriptor descriptorOf(const Json& c, CNNReductionType reduction, bool across) {
    auto d =
        CNNLossDescriptor::cnnLossDescriptor(static_cast<CNNLossType>(c.at("value").get<int>()), reduction);
    d.reduceAcrossBatch = across;
    d.weight = c.at("weight").get<float>();
    d.labelSmoothing = c.at("labelSmoothing").get<float>();
    d.numberOfClasses = c.at("numberOfClasses").get<std::size_t>();
    d.epsilon = c.at("epsilon").get<float>();
    d.delta = c.at("delta").get<float>();
    return d;
}

}  // namespace

TEST(LossKernel, EveryTypeAndReductionAgreesWithPyTorch) {
    const std::vector<std::pair<CNNReductionType, const char*>> reductions = {
        {CNNReductionType::None, "loss"},
        {CNNReductionType::Sum, "sum"},
        {CNNReductionType::Mean, "mean"},
        {CNNReductionType::SumByNonZeroWeights, "sumByNonZeroWeights"}};
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("loss"); const auto& c : all.at("cases")) {
            const auto e = extentsOf(c.at("source"));
            const auto x = numbers(c.at("source")), labels = numbers(c.at("labels"));
            const auto weights = c.at("weights").is_null() ? Numbers() : numbers(c.at("weights"));
            for (const auto& [reduction, key] : reductions)
                for (const bool across : {false, true}) {
                    const bool reduces = reduction != CNNReductionType::None;
                    const auto name = std::string(key) + (across && reduces ? "AcrossBatch" : "");
                    if (!c.contains(name) || c.at(name).is_null()) continue;
                    const auto r = run(device, descriptorOf(c, reduction, across), e, x,
                                       labelsOf(device, e, labels, weights, reduces, Memory::Together));
                    Numbers expected(e.n, 0);
                    if (across && reduces)
                        expected[0] = c.at(name).get<double>();
                    else
                        expected = numbers(c.at(name));
                    EXPECT_TRUE(allNear(r.loss, expected, 2e-5))
                        << c.at("name") << ", " << name << " on " << device->name();
                    EXPECT_TRUE(allNear(r.gradient, numbers(c.at("gradient")), 1e-5))
                        << c.at("name") << ", " << name << " on " << device->name();
                }
        }
}

TEST(LossKernel, TheGradientIsTheDerivativeOfTheSummedLoss) {
    const auto device = MTL::copyDevice("reference");
    Random random(61);
    const Extents e{2, 2, 2, 3};
    for (int type = 0; type < static_cast<int>(CNNLossType::Count); ++type) {
        auto d = CNNLossDescriptor::cnnLossDescriptor(static_cast<CNNLossType>(type), CNNReductionType::Sum);
        d.weight = 1.25f;
        d.delta = 0.5f;
        // Probabilities away from 0 and 1 and from the labels; labels of a pixel add up to 1.
        Numbers x(e.count()), t(e.count());
        for (std::size_t i = 0; i < x.size(); ++i) {
            x[i] = random.uniform(0.3, 0.7);
            t[i] = i % 3 == i / 3 % 3 ? 1 : 0;
        }
        Numbers ones(e.n, 1);
        const auto labels = [&] {
            return CNNLossLabels::batch(device, {1, 1, 1}, imagesOf(device, e, t, Format::Float64));
        };
        const auto r = run(device, d, e, x, labels(), Memory::Together, false, Format::Float64);
        // Log's published gradient is that of the loss to first order in epsilon.
        const double allowance = d.lossType == CNNLossType::Log ? 1e-5 : 1e-7;
        Numbers numeric;
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double step = 0x1p-17, at = x[i];
            x[i] = at + step;
            const double above =
                dot(run(device, d, e, x, labels(), Memory::Together, false, Format::Float64).loss, ones);
            x[i] = at - step;
            const double below =
                dot(run(device, d, e, x, labels(), Memory::Together, false, Format::Float64).loss, ones);
            x[i] = at;
            numeric.push_back((above - below) / (2 * step));
        }
        EXPECT_TRUE(allNear(r.gradient, numeric, allowance)) << "loss type " << type;
    }
}

TEST(LossKernel, EveryWayToEncodeGivesTheSameBits) {
    Random random(62);
    const Extents e{3, 2, 1, 5};
    const auto x = uniform(random, e.count()), t = uniform(random, e.count());
    for (const auto& device : weightedDevices())
        for (const auto reduction : {CNNReductionType::None, CNNReductionType::Mean}) {
            auto d = CNNLossDescriptor::cnnLossDescriptor(CNNLossType::SoftMaxCrossEntropy, reduction);
            d.reduceAcrossBatch = true;
            const bool reduces = reduction != CNNReductionType::None;
            const auto first = run(device, d, e, x, labelsOf(device, e, t, {}, reduces, Memory::Together));
            for (const auto memory : {Memory::Together, Memory::Loose})
                for (const auto labelMemory : {Memory::Together, Memory::Loose})
                    for (const bool given : {false, true}) {
                        const auto again = run(
                            device, d, e, x, labelsOf(device, e, t, {}, reduces, labelMemory), memory, given);
                        EXPECT_EQ(again.gradient, first.gradient) << device->name();
                        EXPECT_EQ(again.loss, first.loss) << device->name();
                    }
        }
}

TEST(LossKernel, OneImageByItself) {
    for (const auto& device : weightedDevices()) {
        MPS::CNNLoss kernel(device, CNNLossDescriptor::cnnLossDescriptor(CNNLossType::MeanSquaredError,
                                                                         CNNReductionType::Sum));
        kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto x = imageOf(device, 2, 1, 1, {3, 5}), given = imageOf(device, 2, 1, 1);
        const auto data = CNNLossDataDescriptor::cnnLossDataDescriptor({1, 1}, kHWC, {2, 1, 1});
        const auto labels = std::make_shared<CNNLossLabels>(device, data),
                   more = std::make_shared<CNNLossLabels>(device, data);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto gradient = kernel.encode(commands, x, labels);
        kernel.encode(commands, x, more, given);
        finish(commands);
        EXPECT_EQ(read(*gradient), (Numbers{4, 8}));
        EXPECT_EQ(read(*given), (Numbers{4, 8}));
        EXPECT_EQ(read(*labels->lossImage()), Numbers{20});
        EXPECT_EQ(read(*more->lossImage()), Numbers{20});
        EXPECT_EQ(read(*labels->weightsImage()), (Numbers{1, 1}));
    }
}

TEST(LossKernel, DataDescriptorsReadBothLayoutsWithStrides) {
    auto data = CNNLossDataDescriptor::cnnLossDataDescriptor({1, 2, 3, 4, 5, 6, 7, 8}, kCHW, {1, 2, 2});
    EXPECT_EQ(data.bytesPerRow(), 4u);
    EXPECT_EQ(data.bytesPerImage(), 8u);
    EXPECT_EQ(data.values(), (std::vector<float>{1, 3, 2, 4}));
    data.setBytesPerRow(8);
    data.setBytesPerImage(16);
    EXPECT_EQ(data.values(), (std::vector<float>{1, 5, 3, 7}));
    data.setBytesPerImage(24);
    EXPECT_THAT(sentenceOf([&] { data.values(); }), HasSubstr("bytesPerRow and bytesPerImage"));
    auto rows = CNNLossDataDescriptor::cnnLossDataDescriptor({1, 2, 0, 3, 4, 0}, kHWC, {1, 2, 2});
    rows.setBytesPerRow(12);
    EXPECT_EQ(rows.values(), (std::vector<float>{1, 2, 3, 4}));
}

TEST(LossKernel, RefusalsNameKernelArgumentExpectedAndFound) {
    const auto device = MTL::copyDevice("reference");
    EXPECT_THAT(
        sentenceOf([&] {
            CNNLossDataDescriptor::cnnLossDataDescriptor({1, 2, 3}, kHWC, {2, 1, 2});
        }),
        HasSubstr("CNNLossDataDescriptor: data: expected 16 bytes for 4 values of float32, found 12"));
    EXPECT_THAT(sentenceOf([&] {
                    CNNLossDataDescriptor::cnnLossDataDescriptor(nullptr, 4, kHWC, {1, 1, 1});
                }),
                HasSubstr("null"));
    EXPECT_THAT(sentenceOf([&] {
                    CNNLossDataDescriptor::cnnLossDataDescriptor({1}, kHWC, {1, 0, 1});
                }),
                HasSubstr("size"));
    const auto make = [&](CNNLossType type, CNNReductionType reduction) {
        return sentenceOf(
            [&] { MPS::CNNLoss(device, CNNLossDescriptor::cnnLossDescriptor(type, reduction)); });
    };
    EXPECT_THAT(make(CNNLossType::Count, CNNReductionType::Sum), HasSubstr("CNNLoss: lossType"));
    EXPECT_THAT(make(CNNLossType::Log, CNNReductionType::Count), HasSubstr("CNNLoss: reductionType"));
    EXPECT_THAT(make(CNNLossType::CosineDistance, CNNReductionType::Mean),
                HasSubstr("reductionType: expected Sum"));
    auto smooth =
        CNNLossDescriptor::cnnLossDescriptor(CNNLossType::SoftMaxCrossEntropy, CNNReductionType::Sum);
    smooth.labelSmoothing = 1.5f;
    EXPECT_THAT(sentenceOf([&] { MPS::CNNLoss(device, smooth); }),
                HasSubstr("labelSmoothing: expected 0 to 1, found 1.5"));

    const auto data = CNNLossDataDescriptor::cnnLossDataDescriptor({1, 1, 1, 1}, kHWC, {2, 1, 2});
    const auto other = CNNLossDataDescriptor::cnnLossDataDescriptor({1, 1}, kHWC, {2, 1, 1});
    EXPECT_THAT(
        sentenceOf([&] {
            CNNLossLabels(device, {1, 1, 1}, data, &other);
        }),
        HasSubstr("CNNLossLabels: weights: expected 2 x 1 x 2, the size of the labels, found 2 x 1 x 1"));
    EXPECT_THAT(sentenceOf([&] { CNNLossLabels(device, {2, 1, 1}, data); }), HasSubstr("lossImageSize"));
    EXPECT_THAT(sentenceOf([&] {
                    CNNLossLabels(device, {1, 1, 1}, nullptr, nullptr);
                }),
                HasSubstr("labelsImage: expected an image"));

    MPS::CNNLoss kernel(
        device, CNNLossDescriptor::cnnLossDescriptor(CNNLossType::MeanSquaredError, CNNReductionType::Sum));
    kernel.setLabel("error");
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto x = imageOf(device, 2, 1, 2, Numbers(4, 1)), y = imageOf(device, 2, 1, 2);
    EXPECT_THAT(sentenceOf([&] { kernel.encode(commands, x, std::shared_ptr<CNNLossLabels>(), y); }),
                HasSubstr("CNNLoss 'error': labels: expected labels, found null"));
    EXPECT_THAT(sentenceOf([&] { static_cast<MPS::CNNKernel&>(kernel).encode(commands, x, y); }),
                HasSubstr("CNNLoss 'error': labels: expected an encode with labels"));
    EXPECT_THAT(sentenceOf([&] { kernel.encodeBatch(commands, {x}, {}, {y}); }),
                HasSubstr("labels: expected 1, one for each image, found 0"));
    EXPECT_THAT(
        sentenceOf([&] { kernel.encode(commands, x, std::make_shared<CNNLossLabels>(device, other), y); }),
        HasSubstr("labels.labelsImage: expected 2 x 1 x 2, the size of the source, found 2 x 1 x 1"));
    EXPECT_THAT(
        sentenceOf([&] {
            kernel.encode(commands, x, std::make_shared<CNNLossLabels>(device, MTL::Size{2, 1, 2}, data), y);
        }),
        HasSubstr("labels.lossImage: expected 1 x 1 x 1 for a loss that reduces"));
    const auto labels = std::make_shared<CNNLossLabels>(device, data);
    EXPECT_THAT(sentenceOf([&] {
                    kernel.encodeBatch(commands, {x, x}, {labels, labels}, {y, imageOf(device, 2, 1, 2)});
                }),
                HasSubstr("labels of its own for every image"));
    kernel.setOffset({1, 0, 0});
    EXPECT_THAT(sentenceOf([&] { kernel.encode(commands, x, labels, y); }),
                HasSubstr("offset: expected (0, 0)"));
    kernel.setOffset({0, 0, 0});
    kernel.encode(commands, x, labels, y);
    finish(commands);
    EXPECT_EQ(read(*y), Numbers(4, 0));
}
