#include <MPS/CNNArithmetic.hpp>
#include <MPS/CNNNeuron.hpp>
#include <optional>
#include <tuple>

#include "UnaryKernels.h"

using namespace pewter::test;

namespace {

/// Scales, strides and limits of one operation, and how to run it both ways.
struct Operation {
    std::string type;
    float p = 1, s = 1, bias = 0;
    std::size_t px = 1, py = 1, pc = 1, sx = 1, sy = 1, sc = 1;
    std::optional<float> minimum, maximum;
    MPS::Offset primaryOffset, secondaryOffset;
    MPS::ImageEdgeMode edge = MPS::ImageEdgeMode::Zero;
    MTL::Region clip = MPS::RectNoClip;
    /// Size and channels of the result where it is given; 0: returned.
    Extents out{0, 0, 0, 0};

    std::shared_ptr<MPS::CNNArithmetic> kernel(const DevicePtr& device) const {
        std::shared_ptr<MPS::CNNArithmetic> k;
        if (type == "Add") k = std::make_shared<MPS::CNNAdd>(device);
        if (type == "Subtract") k = std::make_shared<MPS::CNNSubtract>(device);
        if (type == "Multiply") k = std::make_shared<MPS::CNNMultiply>(device);
        if (type == "Divide") k = std::make_shared<MPS::CNNDivide>(device);
        k->setPrimaryScale(p);
        k->setSecondaryScale(s);
        k->setBias(bias);
        k->setPrimaryStrideInPixelsX(px);
        k->setPrimaryStrideInPixelsY(py);
        k->setPrimaryStrideInFeatureChannels(pc);
        k->setSecondaryStrideInPixelsX(sx);
        k->setSecondaryStrideInPixelsY(sy);
        k->setSecondaryStrideInFeatureChannels(sc);
        if (minimum) k->setMinimumValue(*minimum);
        if (maximum) k->setMaximumValue(*maximum);
        k->setPrimaryOffset(primaryOffset);
        k->setSecondaryOffset(secondaryOffset);
        k->setPrimaryEdgeMode(edge);
        k->setSecondaryEdgeMode(edge);
        k->setClipRect(clip);
        k->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        return k;
    }

    /// The gradient kernel with the scales that the true derivative needs.
    std::shared_ptr<MPS::CNNArithmeticGradient> gradient(const DevicePtr& device, bool secondary) const {
        std::shared_ptr<MPS::CNNArithmeticGradient> k;
        if (type == "Add") k = std::make_shared<MPS::CNNAddGradient>(device, secondary);
        if (type == "Subtract") k = std::make_shared<MPS::CNNSubtractGradient>(device, secondary);
        if (type == "Multiply") k = std::make_shared<MPS::CNNMultiplyGradient>(device, secondary);
        k->setPrimaryScale(type == "Multiply" ? p : secondary ? (type == "Subtract" ? -s : s) : p);
        k->setSecondaryScale(type == "Multiply" ? s : 1);
        k->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        return k;
    }

    struct Result {
        Numbers y, dPrimary, dSecondary;
    };

    Result run(const DevicePtr& device, const Extents& ep, const Numbers& primary, const Extents& es,
               const Numbers& secondary, const std::function<Numbers(std::size_t)>& g,
               Format format = Format::Float32, Memory memory = Memory::Together, bool given = false) const {
        const auto k = kernel(device);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto ps = imagesOf(device, ep, primary, format, memory),
                   ss = imagesOf(device, es, secondary, format, memory);
        MPS::ImageBatch ys;
        MPS::StateBatch states;
        if (out.count() > 0 || given) {
            Extents e{ep.n, out.h, out.w, out.c};
            if (out.count() == 0) {
                const auto d = k->destinationImageDescriptor({ps[0], ss[0]});
                e = {ep.n, d.height, d.width, d.featureChannels};
            }
            ys = imagesOf(device, e, Numbers(e.count(), 0.5), format, memory);
            states = k->resultStateBatch(ps, ss, {}, ys);
            k->encodeBatch(commands, ps, ss, states, ys);
        } else {
            ys = k->encodeBatch(commands, ps, ss, &states, false);
        }
        Result result;
        const Extents e{ep.n, ys[0]->height(), ys[0]->width(), ys[0]->featureChannels()};
        MPS::ImageBatch dp, ds;
        if (type != "Divide") {
            const auto gs = imagesOf(device, e, g(e.count()), format, memory);
            const bool other = type == "Multiply";
            dp = gradient(device, false)->encodeBatch(commands, gs, other ? ss : ps, states);
            ds = gradient(device, true)->encodeBatch(commands, gs, other ? ps : ss, states);
        }
        finish(commands);
        return {read(ys), read(dp), read(ds)};
    }
};

Operation operationOf(const Json& c) {
    Operation o;
    o.type = c.at("type").get<std::string>();
    o.p = c.at("primaryScale").get<float>();
    o.s = c.at("secondaryScale").get<float>();
    o.bias = c.at("bias").get<float>();
    const auto stride = [&](const char* key) { return c.at(key).get<std::size_t>(); };
    o.px = stride("primaryStrideInPixelsX"), o.py = stride("primaryStrideInPixelsY");
    o.pc = stride("primaryStrideInFeatureChannels");
    o.sx = stride("secondaryStrideInPixelsX"), o.sy = stride("secondaryStrideInPixelsY");
    o.sc = stride("secondaryStrideInFeatureChannels");
    if (!c.at("minimumValue").is_null()) o.minimum = c.at("minimumValue").get<float>();
    if (!c.at("maximumValue").is_null()) o.maximum = c.at("maximumValue").get<float>();
    return o;
}

}  // namespace

TEST(ArithmeticKernel, AgreesWithPyTorchWithBroadcastingScalesAndLimits) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("arithmetic"); const auto& c : all.at("cases")) {
            const auto o = operationOf(c);
            const auto r = o.run(device, extentsOf(c.at("primary")), numbers(c.at("primary")),
                                 extentsOf(c.at("secondary")), numbers(c.at("secondary")),
                                 [&](std::size_t) { return numbers(c.at("g")); });
            EXPECT_TRUE(allNear(r.y, numbers(c.at("result")), 4e-6))
                << c.at("name") << " on " << device->name();
            if (o.type == "Divide") continue;
            EXPECT_TRUE(allNear(r.dPrimary, numbers(c.at("dPrimary")), 8e-6))
                << c.at("name") << " on " << device->name();
            EXPECT_TRUE(allNear(r.dSecondary, numbers(c.at("dSecondary")), 8e-6))
                << c.at("name") << " on " << device->name();
        }
}

TEST(ArithmeticKernel, GradientsAreTheDerivativesForEveryPlacementAndBroadcast) {
    Random random(51);
    const auto device = MTL::copyDevice("reference");
    for (const auto* type : {"Add", "Subtract", "Multiply"})
        for (const auto edge : {MPS::ImageEdgeMode::Zero, MPS::ImageEdgeMode::Clamp})
            for (const auto& [sx, sy, sc] :
                 {std::tuple{1u, 1u, 1u}, {0u, 1u, 1u}, {0u, 0u, 1u}, {0u, 0u, 0u}, {1u, 1u, 0u}}) {
                Operation o{.type = type, .p = 0.75f, .s = -1.5f, .bias = 0.25f};
                o.sx = sx, o.sy = sy, o.sc = sc;
                o.minimum = -1.0f;
                o.edge = edge;
                o.primaryOffset = {1, -1, 0};
                o.secondaryOffset = {0, 1, 0};
                o.clip = {{1, 0, 0}, {3, 3, 1}};
                o.out = {2, 3, 5, 4};
                // The secondary operand is larger than 1 along broadcast axes, too: one element of it is
                // read.
                const Extents ep{2, 3, 4, 4}, es{2, 3, 3, 4};
                auto p = uniform(random, ep.count()), s = uniform(random, es.count());
                Numbers g;
                const auto draw = [&](std::size_t count) {
                    if (g.size() != count) g = uniform(random, count);
                    return g;
                };
                const auto r = o.run(device, ep, p, es, s, draw, Format::Float64);
                EXPECT_TRUE(isDerivative(r.dPrimary, p,
                                         [&](const Numbers& x) {
                                             return dot(o.run(device, ep, x, es, s, draw, Format::Float64).y,
                                                        g);
                                         }))
                    << type << " primary, strides " << sx << sy << sc;
                EXPECT_TRUE(isDerivative(r.dSecondary, s,
                                         [&](const Numbers& x) {
                                             return dot(o.run(device, ep, p, es, x, draw, Format::Float64).y,
                                                        g);
                                         }))
                    << type << " secondary, strides " << sx << sy << sc;
            }
}

TEST(ArithmeticKernel, EveryWayToEncodeGivesTheSameBits) {
    Random random(52);
    const Extents e{3, 4, 3, 5}, line{3, 1, 3, 5};
    const auto a = uniform(random, e.count()), b = uniform(random, line.count()),
               g = uniform(random, e.count());
    for (const auto& device : weightedDevices()) {
        Operation o{.type = "Multiply", .p = 2, .s = 0.5f};
        o.sy = 0;
        o.maximum = 0.25f;
        const auto draw = [&](std::size_t) { return g; };
        const auto first = o.run(device, e, a, line, b, draw);
        for (const auto memory : {Memory::Together, Memory::Loose})
            for (const bool given : {false, true}) {
                const auto again = o.run(device, e, a, line, b, draw, Format::Float32, memory, given);
                EXPECT_EQ(again.y, first.y) << device->name();
                EXPECT_EQ(again.dPrimary, first.dPrimary) << device->name();
                EXPECT_EQ(again.dSecondary, first.dSecondary) << device->name();
            }
    }
}

TEST(ArithmeticKernel, ResultsAreCutToTheLimitsAndNaNStays) {
    for (const auto& device : weightedDevices()) {
        Operation o{.type = "Divide"};
        const double nan = std::numeric_limits<double>::quiet_NaN();
        const auto r = o.run(device, {1, 1, 3, 1}, {1, -1, nan}, {1, 1, 3, 1}, {0, 0, 1}, {});
        EXPECT_EQ(r.y[0], std::numeric_limits<float>::max()) << device->name();
        EXPECT_EQ(r.y[1], -std::numeric_limits<float>::max()) << device->name();
        EXPECT_TRUE(std::isnan(r.y[2])) << device->name();
    }
}

TEST(ArithmeticKernel, OneObjectAsBothOperandsIsReadTwice) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    MPS::CNNNeuron copy(device, MPS::NNNeuronDescriptor());
    MPS::CNNMultiply multiply(device);
    const auto t = std::dynamic_pointer_cast<MPS::TemporaryImage>(
        copy.encode(commands, imageOf(device, 2, 1, 1, {3, 4})));
    const auto y = imageOf(device, 2, 1, 1);
    EXPECT_THAT(sentenceOf([&] { multiply.encode(commands, t, t, y); }), HasSubstr("CNNMultiply"));
    t->setReadCount(2);
    multiply.encode(commands, t, t, y);
    EXPECT_EQ(t->readCount(), 0u);
    finish(commands);
    EXPECT_EQ(read(*y), (Numbers{9, 16}));
}

TEST(ArithmeticKernel, RefusalsNameKernelArgumentExpectedAndFound) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    MPS::CNNAdd add(device);
    add.setLabel("join");
    const auto a = imageOf(device, 2, 2, 4, Numbers(16, 1)), b = imageOf(device, 2, 2, 3),
               y = imageOf(device, 2, 2, 4);
    EXPECT_THAT(
        sentenceOf([&] { add.encode(commands, a, b, y); }),
        HasSubstr(
            "CNNAdd 'join': secondaryImage: expected 4 feature channels, as the primary image has, found 3"));
    add.setSecondaryStrideInPixelsX(2);
    EXPECT_THAT(sentenceOf([&] { add.encode(commands, a, a, y); }),
                HasSubstr("secondaryStrideInPixelsX: expected 0 or 1, found 2"));
    add.setSecondaryStrideInPixelsX(1);
    MPS::CNNMultiply multiply(device);
    const auto state = add.resultState(a, a, {}, y);
    add.setMaximumValue(3);
    EXPECT_THAT(sentenceOf([&] {
                    add.encode(commands, a, a,
                               std::dynamic_pointer_cast<MPS::CNNArithmeticGradientState>(state), y);
                }),
                HasSubstr("destinationState: expected one made for 4 channels and a mask of 16 bytes"));
    add.setMaximumValue(std::numeric_limits<float>::max());
    add.encode(commands, a, a, std::dynamic_pointer_cast<MPS::CNNArithmeticGradientState>(state), y);
    MPS::CNNMultiplyGradient foreign(device, false);
    MPS::CNNAddGradient gradient(device, true);
    EXPECT_THAT(
        sentenceOf([&] { foreign.encode(commands, y, a, state); }),
        HasSubstr("gradientState: expected a state made by CNNMultiply, found one made by CNNAdd 'join'"));
    MPS::CNNNeuron neuron(device, MPS::NNNeuronDescriptor());
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, y, a, neuron.resultState(a, {}, y)); }),
                HasSubstr("gradientState: expected a CNNArithmeticGradientState, found a NNGradientState"));
    const auto dx = imageOf(device, 2, 2, 4);
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, b, a, state, dx); }),
                HasSubstr("sourceGradient: expected 4 feature channels"));
    EXPECT_THAT(sentenceOf([&] {
                    gradient.encode(commands, imageOf(device, 2, 2, 4), imageOf(device, 1, 2, 4), state, dx);
                }),
                HasSubstr("sourceImage: expected the secondary operand of CNNAdd 'join': 2 x 2"));
    gradient.setSecondaryStrideInFeatureChannels(0);
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, imageOf(device, 2, 2, 4), a, state, dx); }),
                HasSubstr("secondaryStride: expected 1, 1, 1"));
    gradient.setSecondaryStrideInFeatureChannels(1);
    gradient.encode(commands, imageOf(device, 2, 2, 4, Numbers(16, 2)), a, state, dx);
    finish(commands);
    EXPECT_EQ(read(*dx), Numbers(16, 2));
}
