#include <MPS/CNNNeuron.hpp>
#include <MPS/CNNSoftMax.hpp>

#include "UnaryKernels.h"

using namespace pewter::test;
using MPS::CNNNeuronType;
using MPS::NNNeuronDescriptor;

namespace {

NNNeuronDescriptor descriptorOf(const Json& c) {
    const auto type = static_cast<CNNNeuronType>(c.at("value").get<int>());
    if (type == CNNNeuronType::PReLU)
        return NNNeuronDescriptor::cnnNeuronPReLUDescriptor(c.at("slopes").get<std::vector<float>>());
    return NNNeuronDescriptor::cnnNeuronDescriptor(type, c.at("a").get<float>(), c.at("b").get<float>(),
                                                   c.at("c").get<float>());
}

UnaryPair pairOf(const DevicePtr& device, const NNNeuronDescriptor& descriptor) {
    UnaryPair pair;
    pair.forward = std::make_shared<MPS::CNNNeuron>(device, descriptor);
    pair.backward = std::make_shared<MPS::CNNNeuronGradient>(device, descriptor);
    return pair;
}

NNNeuronDescriptor tanH() { return NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::TanH, 1.5f, 0.5f); }

}  // namespace

TEST(NeuronKernel, EveryTypeAgreesWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("neuron"); const auto& c : all.at("cases")) {
            const auto pair = pairOf(device, descriptorOf(c));
            const auto result = pair.run(extentsOf(c.at("x")), numbers(c.at("x")),
                                         [&](std::size_t) { return numbers(c.at("g")); });
            EXPECT_TRUE(allNear(result.y, numbers(c.at("y")), 4e-6))
                << c.at("name") << " on " << device->name();
            EXPECT_TRUE(allNear(result.dx, numbers(c.at("dx")), 4e-6))
                << c.at("name") << " on " << device->name();
        }
}

TEST(NeuronKernel, GradientIsTheDerivativeForEveryPlacementOfTheResult) {
    Random random(11);
    const Extents e{2, 4, 5, 8};
    const auto x = distinct(random, e.count());
    for (const auto edge : {MPS::ImageEdgeMode::Zero, MPS::ImageEdgeMode::Clamp})
        for (const auto& [dx, dy] : {std::pair{0, 0}, {1, 2}, {-2, -1}}) {
            auto pair = pairOf(MTL::copyDevice("reference"), tanH());
            pair.keepOffset = true;
            pair.width = 4, pair.height = 4, pair.channels = 8;
            pair.forward->setOffset({dx, dy, 0});
            pair.forward->setEdgeMode(edge);
            pair.forward->setClipRect({{1, 0, 0}, {3, 4, 1}});
            pair.checkGradient(e, x, random, {Memory::Together, true, true});
        }
}

TEST(NeuronKernel, ChannelsReadAndWrittenAreSlices) {
    const auto device = MTL::copyDevice("reference");
    Random random(3);
    const Extents e{1, 2, 3, 12};
    const auto x = uniform(random, e.count());
    const auto pair = pairOf(device, NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::Linear, 2, 1));
    pair.forward->setSourceFeatureChannelOffset(4);
    pair.forward->setSourceFeatureChannelMaxCount(3);
    pair.forward->setDestinationFeatureChannelOffset(8);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto source = imageOf(device, 3, 2, 12, x), result = imageOf(device, 3, 2, 16, Numbers(96, -5));
    const auto state = pair.forward->resultState(source, {}, result);
    pair.forward->encode(commands, source, state, result);
    const auto g = uniform(random, 96);
    pair.backward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto gradient = pair.backward->encode(commands, imageOf(device, 3, 2, 16, g), source, state);
    finish(commands);
    const auto y = read(*result), dx = read(*gradient);
    ASSERT_EQ(gradient->featureChannels(), 3u) << "the channels that were read";
    for (std::size_t p = 0; p < 6; ++p)
        for (std::size_t c = 0; c < 16; ++c)
            // Lane 11 completes the four that were written.
            EXPECT_FLOAT_EQ(static_cast<float>(y[p * 16 + c]),
                            c == 11           ? 0
                            : c < 8 || c > 11 ? -5
                                              : static_cast<float>(2 * x[p * 12 + c - 4] + 1));
    for (std::size_t p = 0; p < 6; ++p)
        for (std::size_t c = 0; c < 3; ++c)
            EXPECT_FLOAT_EQ(static_cast<float>(dx[p * 3 + c]), static_cast<float>(2 * g[p * 16 + 8 + c]));
}

TEST(NeuronKernel, EveryWayToEncodeGivesTheSameBits) {
    Random random(5);
    const Extents e{3, 3, 5, 6};
    for (const auto& device : weightedDevices())
        pairOf(device, tanH()).checkWays(e, uniform(random, e.count()), random);
}

TEST(NeuronKernel, TheDeprecatedClassesFixTheType) {
    const auto device = MTL::copyDevice("reference");
    const float slopes[] = {0.5f, 0.25f};
    const std::vector<std::pair<std::shared_ptr<MPS::CNNNeuron>, CNNNeuronType>> all = {
        {std::make_shared<MPS::CNNNeuronLinear>(device, 1, 2), CNNNeuronType::Linear},
        {std::make_shared<MPS::CNNNeuronReLU>(device, 0), CNNNeuronType::ReLU},
        {std::make_shared<MPS::CNNNeuronPReLU>(device, slopes, 2), CNNNeuronType::PReLU},
        {std::make_shared<MPS::CNNNeuronSigmoid>(device), CNNNeuronType::Sigmoid},
        {std::make_shared<MPS::CNNNeuronHardSigmoid>(device, 1, 2), CNNNeuronType::HardSigmoid},
        {std::make_shared<MPS::CNNNeuronTanH>(device, 1, 2), CNNNeuronType::TanH},
        {std::make_shared<MPS::CNNNeuronAbsolute>(device), CNNNeuronType::Absolute},
        {std::make_shared<MPS::CNNNeuronSoftPlus>(device, 1, 2), CNNNeuronType::SoftPlus},
        {std::make_shared<MPS::CNNNeuronSoftSign>(device), CNNNeuronType::SoftSign},
        {std::make_shared<MPS::CNNNeuronELU>(device, 1), CNNNeuronType::ELU},
        {std::make_shared<MPS::CNNNeuronReLUN>(device, 1, 6), CNNNeuronType::ReLUN},
        {std::make_shared<MPS::CNNNeuronPower>(device, 1, 2, 3), CNNNeuronType::Power},
        {std::make_shared<MPS::CNNNeuronExponential>(device, 1, 2, 3), CNNNeuronType::Exponential},
        {std::make_shared<MPS::CNNNeuronLogarithm>(device, 1, 2, 3), CNNNeuronType::Logarithm},
    };
    for (const auto& [neuron, type] : all) EXPECT_EQ(neuron->neuronType(), type) << neuron->className();
    EXPECT_EQ(all[2].first->data()->at(1), 0.25f);
    EXPECT_EQ(all[11].first->c(), 3);
}

TEST(NeuronKernel, RefusalsNameKernelArgumentExpectedAndFound) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    MPS::CNNNeuron prelu(device, NNNeuronDescriptor::cnnNeuronPReLUDescriptor({1, 2, 3}));
    prelu.setLabel("slopes");
    const auto source = imageOf(device, 2, 2, 4, Numbers(16, 1));
    EXPECT_THAT(
        sentenceOf([&] { prelu.encode(commands, source, imageOf(device, 2, 2, 4)); }),
        testing::AllOf(HasSubstr("CNNNeuron 'slopes'"), HasSubstr("neuronDescriptor"), HasSubstr("3")));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNNeuronPReLU(device, nullptr, 2); }),
                HasSubstr("CNNNeuronPReLU: a: expected"));

    // A state of another kernel, and gradients of other extents.
    MPS::CNNSoftMax other(device);
    MPS::CNNNeuron neuron(device, tanH());
    MPS::CNNNeuronGradient gradient(device, tanH());
    const auto result = imageOf(device, 2, 2, 4);
    const auto foreign = other.resultState(source, {}, result),
               state = neuron.resultState(source, {}, result);
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, result, source, foreign); }),
                testing::AllOf(HasSubstr("gradientState: expected a state made by CNNNeuron"),
                               HasSubstr("found one made by CNNSoftMax")));
    EXPECT_THAT(sentenceOf([&] {
                    gradient.encode(commands, result, source,
                                    std::make_shared<MPS::State>(device, std::size_t{4}));
                }),
                HasSubstr("gradientState: expected a NNGradientState, found a State"));
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, imageOf(device, 2, 2, 3), source, state); }),
                HasSubstr("sourceGradient: expected 4 feature channels, as CNNNeuron wrote, found 3"));
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, imageOf(device, 1, 2, 4), source, state); }),
                HasSubstr("sourceGradient: expected 2 x 2 pixels"));
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, result, imageOf(device, 3, 2, 4), state); }),
                HasSubstr("sourceImage: expected 2 x 2 pixels of 4 feature channels"));
    // Nothing was lost by all that.
    gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    EXPECT_EQ(gradient.encode(commands, result, source, state)->featureChannels(), 4u);
    finish(commands);
}

TEST(SoftMaxKernel, AgreesWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("softmax"); const auto& c : all.at("cases")) {
            const bool logarithm = c.at("type") == "LogSoftMax";
            UnaryPair pair;
            pair.takesResult = true;
            if (logarithm) {
                pair.forward = std::make_shared<MPS::CNNLogSoftMax>(device);
                pair.backward = std::make_shared<MPS::CNNLogSoftMaxGradient>(device);
            } else {
                pair.forward = std::make_shared<MPS::CNNSoftMax>(device);
                pair.backward = std::make_shared<MPS::CNNSoftMaxGradient>(device);
            }
            const auto result = pair.run(extentsOf(c.at("x")), numbers(c.at("x")),
                                         [&](std::size_t) { return numbers(c.at("g")); });
            EXPECT_TRUE(allNear(result.y, numbers(c.at("y")), 4e-6))
                << c.at("name") << " on " << device->name();
            EXPECT_TRUE(allNear(result.dx, numbers(c.at("dx")), 4e-6))
                << c.at("name") << " on " << device->name();
        }
}

TEST(SoftMaxKernel, GradientIsTheDerivativeForEveryPlacementOfTheResult) {
    Random random(12);
    const Extents e{2, 3, 4, 5};
    const auto x = uniform(random, e.count());
    const auto device = MTL::copyDevice("reference");
    for (const bool logarithm : {false, true})
        for (const auto edge : {MPS::ImageEdgeMode::Zero, MPS::ImageEdgeMode::Clamp})
            for (const auto& [dx, dy] : {std::pair{0, 0}, {1, 2}, {-2, -1}}) {
                UnaryPair pair;
                pair.takesResult = true;
                if (logarithm) {
                    pair.forward = std::make_shared<MPS::CNNLogSoftMax>(device);
                    pair.backward = std::make_shared<MPS::CNNLogSoftMaxGradient>(device);
                } else {
                    pair.forward = std::make_shared<MPS::CNNSoftMax>(device);
                    pair.backward = std::make_shared<MPS::CNNSoftMaxGradient>(device);
                }
                pair.keepOffset = true;
                pair.width = 4, pair.height = 4, pair.channels = 5;
                pair.forward->setOffset({dx, dy, 0});
                pair.forward->setEdgeMode(edge);
                pair.forward->setClipRect({{1, 0, 0}, {3, 4, 1}});
                pair.checkGradient(e, x, random, {Memory::Together, true, true});
            }
}

TEST(SoftMaxKernel, EveryWayToEncodeGivesTheSameBits) {
    Random random(6);
    const Extents e{3, 2, 3, 7};
    for (const auto& device : weightedDevices()) {
        UnaryPair pair;
        pair.takesResult = true;
        pair.forward = std::make_shared<MPS::CNNSoftMax>(device);
        pair.backward = std::make_shared<MPS::CNNSoftMaxGradient>(device);
        pair.checkWays(e, uniform(random, e.count()), random);
    }
}

TEST(SoftMaxKernel, TheTwoFamiliesDoNotTakeEachOthersStates) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    MPS::CNNLogSoftMax forward(device);
    MPS::CNNSoftMaxGradient gradient(device);
    const auto image = imageOf(device, 2, 2, 4, Numbers(16, 1));
    const auto state = forward.resultState(image, {}, image);
    EXPECT_THAT(
        sentenceOf([&] { gradient.encode(commands, image, image, state); }),
        HasSubstr("CNNSoftMaxGradient: gradientState: expected a state made by CNNSoftMax, found one made by "
                  "CNNLogSoftMax"));
}
