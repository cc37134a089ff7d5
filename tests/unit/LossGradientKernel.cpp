#include <MPS/NNLoss.hpp>

#include "UnaryKernels.h"

using namespace pewter::test;
using MPS::CNNLossDescriptor;
using MPS::CNNLossType;
using MPS::CNNReductionType;

namespace {

CNNLossDescriptor descriptorOf(CNNLossType type, CNNReductionType reduction, bool across = false) {
    auto d = CNNLossDescriptor::cnnLossDescriptor(type, reduction);
    d.reduceAcrossBatch = across;
    return d;
}

CNNLossDescriptor descriptorOf(const Json& c) {
    auto d =
        descriptorOf(static_cast<CNNLossType>(c.at("value").get<int>()),
                     static_cast<CNNReductionType>(c.at("reduction").get<int>()), c.at("reduceAcrossBatch"));
    d.weight = c.at("weight").get<float>();
    d.labelSmoothing = c.at("labelSmoothing").get<float>();
    d.numberOfClasses = c.at("numberOfClasses").get<std::size_t>();
    d.epsilon = c.at("epsilon").get<float>();
    d.delta = c.at("delta").get<float>();
    return d;
}

struct Batch {
    Extents extents;
    Numbers source, labels, weights, gradient;
};

Batch batchOf(const Json& c) {
    const auto weights = c.at("weights").is_null() ? Numbers() : numbers(c.at("weights"));
    return {extentsOf(c.at("source")), numbers(c.at("source")), numbers(c.at("labels")), weights,
            numbers(c.at("g"))};
}

enum class States { None, Plain, Temporary };

struct How {
    Memory memory = Memory::Together;
    bool given = false;
    States states = States::Temporary;
    Format format = Format::Float32;
};

struct Result {
    Numbers loss, dSource, dLabels;
};

/// Forward and both gradients on one command buffer.
Result run(const DevicePtr& device, const CNNLossDescriptor& d, const Batch& b, const How& how = {}) {
    MPS::NNForwardLoss forward(device, d);
    MPS::NNLossGradient backward(device, d);
    forward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    backward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto commands = device->newCommandQueue()->commandBuffer();
    const bool reduces = d.reductionType != CNNReductionType::None;
    const Extents& e = b.extents;
    const Extents out = reduces ? Extents{e.n, 1, 1, 1} : e;
    const auto of = [&](const Extents& size, const Numbers& values) {
        return values.empty() ? MPS::ImageBatch() : imagesOf(device, size, values, how.format, how.memory);
    };
    const auto x = of(e, b.source), t = of(e, b.labels), w = of(e, b.weights), u = of(out, b.gradient);
    MPS::StateBatch states;
    MPS::ImageBatch losses, dx, dt;
    if (how.given) {
        losses = of(out, Numbers(out.count(), 0.25));
        if (how.states == States::Plain) states = forward.resultStateBatch(x, {}, losses);
        if (how.states == States::Temporary)
            states = forward.temporaryResultStateBatch(commands, x, {}, losses);
        forward.encodeBatch(commands, x, t, w, states, losses);
    } else {
        losses = forward.encodeBatch(commands, x, t, w, how.states == States::None ? nullptr : &states,
                                     how.states == States::Temporary);
    }
    for (const auto& state : states)
        if (state->isTemporary()) state->setReadCount(2);
    for (const bool labels : {false, true}) {
        backward.setComputeLabelGradients(labels);
        auto& gradients = labels ? dt : dx;
        if (how.given) {
            gradients = of(e, Numbers(e.count(), 7));
            backward.encodeBatch(commands, u, x, t, w, states, gradients);
        } else {
            gradients = backward.encodeBatch(commands, u, x, t, w, states);
        }
    }
    for (const auto& state : states) EXPECT_EQ(state->readCount(), 0u);
    finish(commands);
    return {read(losses), read(dx), read(dt)};
}

}  // namespace

TEST(LossGradientKernel, LossesAndBothGradientsAgreeWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("loss_gradient"); const auto& c : all.at("cases")) {
            const bool oracle = device->name() == "reference";
            const auto r = run(device, descriptorOf(c), batchOf(c),
                               {.format = oracle ? Format::Float64 : Format::Float32});
            // Labels, weights and epsilon are floats in the kernel: on the oracle nothing else rounds.
            const double allowance = oracle ? 1e-10 : 1e-5;
            const auto what = c.at("name").get<std::string>() + " on " + device->name();
            EXPECT_TRUE(allNear(r.loss, numbers(c.at("loss")), allowance)) << what;
            EXPECT_TRUE(allNear(r.dSource, numbers(c.at("dSource")), allowance)) << what;
            EXPECT_TRUE(allNear(r.dLabels, numbers(c.at("dLabels")), allowance)) << what;
        }
}

TEST(LossGradientKernel, SmallIntegersAreExact) {
    const Batch b{{2, 1, 1, 2}, {3, 5, 0, -2}, {1, 1, 1, 0}, {}, {1, 3}};
    for (const auto& device : weightedDevices()) {
        auto d = descriptorOf(CNNLossType::MeanSquaredError, CNNReductionType::Mean);
        d.weight = 2;
        auto r = run(device, d, b);
        EXPECT_EQ(r.loss, (Numbers{20, 5}));
        EXPECT_EQ(r.dSource, (Numbers{4, 8, -6, -12}));
        EXPECT_EQ(r.dLabels, (Numbers{-4, -8, 6, 12}));
        d.reduceAcrossBatch = true;
        r = run(device, d, b);
        EXPECT_EQ(r.loss, (Numbers{12.5, 0}));
        EXPECT_EQ(r.dSource, (Numbers{2, 4, -1, -2}));
    }
}

TEST(LossGradientKernel, EveryWayToEncodeGivesTheSameBits) {
    const auto all = fixture("loss_gradient");
    for (const auto& device : weightedDevices())
        for (const std::size_t i : {std::size_t{1}, std::size_t{5}, std::size_t{21}}) {
            const auto& c = all.at("cases").at(i);
            const auto b = batchOf(c);
            const auto first = run(device, descriptorOf(c), b);
            for (const auto memory : {Memory::Together, Memory::Loose})
                for (const bool given : {false, true})
                    for (const auto states : {States::None, States::Plain, States::Temporary}) {
                        const auto again = run(device, descriptorOf(c), b, {memory, given, states});
                        EXPECT_EQ(again.loss, first.loss) << device->name();
                        EXPECT_EQ(again.dSource, first.dSource) << device->name();
                        EXPECT_EQ(again.dLabels, first.dLabels) << device->name();
                    }
        }
}

TEST(LossGradientKernel, AStateBringsTheWeightSmoothingEpsilonAndDeltaOfItsForwardEncode) {
    for (const auto& device : weightedDevices()) {
        const auto d = descriptorOf(CNNLossType::Huber, CNNReductionType::None);
        MPS::NNForwardLoss forward(device, d);
        MPS::NNLossGradient backward(device, d);
        forward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        backward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        forward.setWeight(2);
        forward.setDelta(4);
        forward.setEpsilon(0.5f);
        forward.setLabelSmoothing(0.25f);
        backward.setWeight(8);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const MPS::ImageBatch x = {imageOf(device, 1, 1, 1, {10})}, t = {imageOf(device, 1, 1, 1, {0})},
                              u = {imageOf(device, 1, 1, 1, {1})};
        MPS::StateBatch states;
        const auto losses = forward.encodeBatch(commands, x, t, {}, &states, false);
        EXPECT_THAT(states[0]->debugDescription(), HasSubstr("weight"));
        forward.setWeight(100);  // does not reach the state
        const auto with = backward.encodeBatch(commands, u, x, t, {}, states);
        const auto without = backward.encodeBatch(commands, u, x, t, {}, {});
        finish(commands);
        EXPECT_EQ(read(losses), Numbers{2 * (8 + 4 * 6)});
        EXPECT_EQ(read(with), Numbers{8});
        EXPECT_EQ(read(without), Numbers{8});  // weight 8, delta 1
        EXPECT_EQ(backward.weight(), 8);
    }
}

TEST(LossGradientKernel, ACallbackGivesTheWeightOfEachEncode) {
    struct Growing : MPS::NNLossCallback {
        float scalarWeight(const ImagePtr& sourceImage, const ImagePtr& destinationImage) override {
            EXPECT_EQ(sourceImage->featureChannels(), 3u);
            widths.push_back(destinationImage->width());
            return next++;
        }
        float next = 2;
        std::vector<std::size_t> widths;
    };
    for (const auto& device : weightedDevices()) {
        const auto d = descriptorOf(CNNLossType::MeanAbsoluteError, CNNReductionType::Sum);
        MPS::NNForwardLoss forward(device, d);
        MPS::NNLossGradient backward(device, d);
        forward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        backward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto growing = std::make_shared<Growing>();
        forward.setPropertyCallBack(growing);
        backward.setPropertyCallBack(growing);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const MPS::ImageBatch x = {imageOf(device, 2, 1, 3, Numbers(6, 1))},
                              t = {imageOf(device, 2, 1, 3, Numbers(6, 0))},
                              u = {imageOf(device, 1, 1, 1, {1})};
        const auto first = forward.encodeBatch(commands, x, t, {}, nullptr, false);
        const auto second = forward.encodeBatch(commands, x, t, {}, nullptr, false);
        const auto third = backward.encodeBatch(commands, u, x, t, {}, {});
        finish(commands);
        EXPECT_EQ(read(first), Numbers{12});
        EXPECT_EQ(read(second), Numbers{18});
        EXPECT_EQ(read(third), Numbers(6, 4));
        EXPECT_EQ(growing->widths, (std::vector<std::size_t>{1, 1, 2}));
    }
}

TEST(LossGradientKernel, EachRoleOfATemporaryIsOneRead) {
    const auto device = MTL::copyDevice("reference");
    MPS::NNForwardLoss forward(device, descriptorOf(CNNLossType::MeanSquaredError, CNNReductionType::Sum));
    MPS::NNLossGradient backward(device, descriptorOf(CNNLossType::MeanSquaredError, CNNReductionType::Sum));
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto temporary = [&](std::size_t channels, std::size_t reads) {
        auto d = MPS::ImageDescriptor::imageDescriptor(Format::Float32, 2, 1, channels);
        if (channels == 1) d.width = 1;
        auto image = MPS::TemporaryImage::temporaryImage(commands, d);
        image->setReadCount(reads);
        return image;
    };
    const auto x = temporary(3, 3), t = temporary(3, 2), w = temporary(3, 2), u = temporary(1, 1);
    MPS::StateBatch states;
    const auto losses = forward.encodeBatch(commands, {x}, {t}, {w}, &states, true);
    EXPECT_EQ(x->readCount(), 2u);
    EXPECT_EQ(t->readCount(), 1u);
    EXPECT_EQ(w->readCount(), 1u);
    EXPECT_EQ(std::dynamic_pointer_cast<MPS::TemporaryImage>(losses[0])->readCount(), 1u);
    // Predictions that are their own labels: two reads of one image, which it must have.
    EXPECT_THAT(sentenceOf([&] { forward.encodeBatch(commands, {t}, {t}, {}, nullptr, false); }),
                HasSubstr("sourceImage and labels"));
    EXPECT_EQ(t->readCount(), 1u);
    backward.encodeBatch(commands, {u}, {x}, {t}, {w}, states);
    EXPECT_EQ(x->readCount(), 1u);
    EXPECT_EQ(t->readCount(), 0u);
    EXPECT_EQ(w->readCount(), 0u);
    EXPECT_EQ(u->readCount(), 0u);
    EXPECT_EQ(states[0]->readCount(), 0u);
}

TEST(LossGradientKernel, ASliceOfTheChannelsHasLabelsOfItsOwnSize) {
    for (const auto& device : weightedDevices()) {
        MPS::NNForwardLoss forward(device,
                                   descriptorOf(CNNLossType::MeanAbsoluteError, CNNReductionType::None));
        MPS::NNLossGradient backward(device,
                                     descriptorOf(CNNLossType::MeanAbsoluteError, CNNReductionType::None));
        forward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        backward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        forward.setSourceFeatureChannelOffset(4);
        forward.setSourceFeatureChannelMaxCount(2);
        const MPS::ImageBatch x = {imageOf(device, 1, 1, 7, {9, 9, 9, 9, 1, 2, 9})},
                              t = {imageOf(device, 1, 1, 2, {0, 5})}, u = {imageOf(device, 1, 1, 2, {1, 10})};
        const auto commands = device->newCommandQueue()->commandBuffer();
        MPS::StateBatch states;
        const auto losses = forward.encodeBatch(commands, x, t, {}, &states, false);
        const auto gradients = backward.encodeBatch(commands, u, x, t, {}, states);
        finish(commands);
        EXPECT_EQ(read(losses), (Numbers{1, 3}));
        EXPECT_EQ(read(gradients), (Numbers{1, -10}));
    }
}

TEST(LossGradientKernel, CopiesAndProperties) {
    const auto device = MTL::copyDevice("reference");
    auto d = descriptorOf(CNNLossType::Log, CNNReductionType::Mean, true);
    d.weight = 2, d.labelSmoothing = 0.5f, d.numberOfClasses = 3, d.epsilon = 0.25f, d.delta = 4;
    const auto check = [&](const auto& kernel) {
        EXPECT_EQ(kernel.lossType(), CNNLossType::Log);
        EXPECT_EQ(kernel.reductionType(), CNNReductionType::Mean);
        EXPECT_TRUE(kernel.reduceAcrossBatch());
        EXPECT_EQ(kernel.numberOfClasses(), 3u);
        EXPECT_EQ(kernel.weight(), 2);
        EXPECT_EQ(kernel.labelSmoothing(), 0.5f);
        EXPECT_EQ(kernel.epsilon(), 0.25f);
        EXPECT_EQ(kernel.delta(), 4);
        EXPECT_EQ(kernel.propertyCallBack(), nullptr);
    };
    for (const auto& other : weightedDevices()) {
        const MPS::NNForwardLoss forward(device, d);
        const auto forwardCopy = std::dynamic_pointer_cast<MPS::NNForwardLoss>(forward.copy(other));
        EXPECT_EQ(forwardCopy->device(), other);
        check(forward);
        check(*forwardCopy);
        MPS::NNLossGradient backward(device, d);
        EXPECT_FALSE(backward.computeLabelGradients());
        backward.setComputeLabelGradients(true);
        const auto backwardCopy = std::dynamic_pointer_cast<MPS::NNLossGradient>(backward.copy(other));
        EXPECT_EQ(backwardCopy->device(), other);
        check(*backwardCopy);
        EXPECT_TRUE(backwardCopy->computeLabelGradients());
    }
}

TEST(LossGradientKernel, RefusalsNameKernelArgumentExpectedAndFound) {
    const auto device = MTL::copyDevice("reference");
    EXPECT_THAT(sentenceOf([&] {
                    MPS::NNForwardLoss(device,
                                       descriptorOf(CNNLossType::CosineDistance, CNNReductionType::Mean));
                }),
                HasSubstr("NNForwardLoss: reductionType: expected Sum"));
    EXPECT_THAT(sentenceOf([&] {
                    MPS::NNLossGradient(device, descriptorOf(CNNLossType::Count, CNNReductionType::Mean));
                }),
                HasSubstr("NNLossGradient: lossType"));
    const auto d = descriptorOf(CNNLossType::MeanSquaredError, CNNReductionType::Sum);
    MPS::NNForwardLoss forward(device, d);
    forward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    MPS::NNLossGradient backward(device, d);
    EXPECT_THAT(sentenceOf([&] { forward.setLabelSmoothing(-1); }),
                HasSubstr("labelSmoothing: expected 0 to 1"));
    EXPECT_THAT(sentenceOf([&] { backward.setLabelSmoothing(2); }),
                HasSubstr("labelSmoothing: expected 0 to 1"));
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto image = [&](std::size_t w, std::size_t c) {
        return imageOf(device, w, 1, c, Numbers(w * c, 1));
    };
    const auto x = image(2, 3), t = image(2, 3), u = image(1, 1), y = image(1, 1), dx = image(2, 3);
    const auto forwardError = [&](const MPS::ImageBatch& labels, const MPS::ImageBatch& weights,
                                  const MPS::ImageBatch& to) {
        return sentenceOf(
            [&] { forward.encodeBatch(commands, {x}, labels, weights, MPS::StateBatch{}, to); });
    };
    EXPECT_THAT(
        forwardError({image(2, 4)}, {}, {y}),
        HasSubstr("NNForwardLoss: labels: expected 2 x 1 x 3, the size of the source, found 2 x 1 x 4"));
    EXPECT_THAT(forwardError({t}, {image(1, 3)}, {y}),
                HasSubstr("NNForwardLoss: weights: expected 2 x 1 x 3"));
    EXPECT_THAT(forwardError({}, {}, {y}),
                HasSubstr("labels: expected 1 entries, as in the other arguments, found 0"));
    EXPECT_THAT(forwardError({nullptr}, {}, {y}), HasSubstr("labels[0]: expected an image, found null"));
    EXPECT_THAT(forwardError({t}, {}, {image(2, 1)}),
                HasSubstr("destinationImage: expected 1 x 1 pixels for a loss that reduces, found 2 x 1"));
    EXPECT_THAT(forwardError({t}, {}, {}),
                HasSubstr("destinationImages: expected 1 images, as many as sources"));
    EXPECT_THAT(forwardError({y}, {}, {y}), HasSubstr("shares no memory with labels"));
    EXPECT_THAT(sentenceOf([&] { static_cast<MPS::CNNKernel&>(forward).encode(commands, x, y); }),
                HasSubstr("NNForwardLoss: labels: expected an encode with labels"));
    forward.setOffset({1, 0, 0});
    EXPECT_THAT(forwardError({t}, {}, {y}), HasSubstr("offset: expected (0, 0, 0)"));
    forward.setOffset({});
    forward.setClipRect({{0, 0, 0}, {1, 1, 1}});
    EXPECT_THAT(forwardError({t}, {}, {y}), HasSubstr("clipRect: expected RectNoClip"));
    forward.setClipRect(MPS::RectNoClip);

    MPS::StateBatch states, otherStates;
    forward.encodeBatch(commands, {x}, {t}, {}, &states, false);
    const auto backwardError = [&](const MPS::ImageBatch& gradients, const MPS::ImageBatch& sources,
                                   const MPS::ImageBatch& labels, const MPS::StateBatch& from,
                                   const MPS::ImageBatch& to) {
        return sentenceOf([&] { backward.encodeBatch(commands, gradients, sources, labels, {}, from, to); });
    };
    EXPECT_THAT(
        backwardError({x}, {x}, {t}, {}, {dx}),
        HasSubstr("NNLossGradient: sourceGradient: expected 1 x 1 x 1, the size of a loss that reduces"));
    EXPECT_THAT(backwardError({u}, {x}, {image(1, 3)}, {}, {dx}),
                HasSubstr("NNLossGradient: labels: expected 2 x 1 x 3"));
    EXPECT_THAT(backwardError({u}, {image(2, 4)}, {image(2, 4)}, states, {image(2, 4)}),
                HasSubstr("sourceImage: expected 2 x 1 x 3, as NNForwardLoss read, found 2 x 1 x 4"));
    EXPECT_THAT(backwardError({u}, {x}, {t},
                              {std::make_shared<MPS::NNGradientState>(MPS::StateOwner::of(device))}, {dx}),
                HasSubstr("sourceStates: expected states that an encode of NNForwardLoss has filled"));
    forward.setWeight(3);
    forward.encodeBatch(commands, {x}, {t}, {}, &otherStates, false);
    EXPECT_THAT(backwardError({u, u}, {x, x}, {t, t}, {states[0], otherStates[0]}, {dx, image(2, 3)}),
                HasSubstr("sourceStates: expected states of one forward encode"));
    EXPECT_THAT(backwardError({u}, {x}, {t}, {}, {image(1, 3)}),
                HasSubstr("destinationGradients: expected 2 x 1 pixels, as the source, found 1 x 1"));
    EXPECT_THAT(backwardError({u}, {x}, {t}, {}, {}), HasSubstr("destinationGradients: expected 1 images"));
    EXPECT_THAT(sentenceOf([&] { static_cast<MPS::CNNBinaryKernel&>(backward).encode(commands, u, x, dx); }),
                HasSubstr("NNLossGradient: encode"));
    backward.setSecondaryOffset({0, 1, 0});
    EXPECT_THAT(backwardError({u}, {x}, {t}, {}, {dx}), HasSubstr("secondaryOffset: expected (0, 0, 0)"));
    backward.setSecondaryOffset({});
    backward.setClipRect({{0, 0, 0}, {1, 1, 1}});
    EXPECT_THAT(backwardError({u}, {x}, {t}, {}, {dx}), HasSubstr("clipRect: expected RectNoClip"));
    backward.setClipRect(MPS::RectNoClip);
    backward.encodeBatch(commands, {u}, {x}, {t}, {}, states, {dx});
    finish(commands);
    EXPECT_EQ(read(*dx), Numbers(6, 0));
}
