#include "NormalizationKernels.h"

using namespace pewter::test;

namespace {

template <class Kind>
class NormalizationKernel : public testing::Test {};

struct KindNames {
    template <class Kind>
    static std::string GetName(int) {
        return Kind::kName;
    }
};
using Kinds = testing::Types<InstanceKind, GroupKind>;
TYPED_TEST_SUITE(NormalizationKernel, Kinds, KindNames);

struct Step {
    Numbers y, dx;
    /// Of each image, one after the other.
    Numbers dgamma, dbeta;

    Numbers sum(const Numbers& each, std::size_t channels) const {
        Numbers total(channels);
        for (std::size_t i = 0; i < each.size(); ++i) total[i % channels] += each[i];
        return total;
    }
};

/// One forward and backward pass over a batch with plain states.
template <class Kind>
Step step(const DevicePtr& device, const std::shared_ptr<typename Kind::Source>& source, const Extents& e,
          const Numbers& x, const Numbers& g, Memory memory = Memory::Together,
          Format format = Format::Float32, bool madeOneByOne = false) {
    const auto kernel = std::make_shared<typename Kind::Kernel>(device, source);
    typename Kind::Gradient gradient(device);
    gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto xs = imagesOf(device, e, x, format, memory), gs = imagesOf(device, e, g, format, memory),
               ys = imagesOf(device, e, x, format, memory);
    auto states = kernel->resultStateBatch(xs, {}, ys);
    if (madeOneByOne) {
        for (const auto& state : states)
            for (const std::size_t i : {0u, 1u, 2u, 3u}) EXPECT_NE(state->resource(i, true), nullptr);
    }
    kernel->encodeBatch(commands, xs, states, ys);
    const auto dxs = gradient.encodeBatch(commands, gs, xs, states);
    finish(commands);
    Step result{read(ys), read(dxs), {}, {}};
    for (const auto& state : statesOf<Kind>(states))
        for (auto [to, buffer] : {std::pair{&result.dgamma, state->gradientForGamma()},
                                  {&result.dbeta, state->gradientForBeta()}}) {
            const auto values = contentsOf(*buffer, e.c);
            to->insert(to->end(), values.begin(), values.end());
        }
    return result;
}

std::vector<float> floatsFrom(const Json& json) {
    const auto n = numbers(json);
    return {n.begin(), n.end()};
}

template <class Kind>
std::shared_ptr<typename Kind::Source> drawn(Random& random, std::size_t channels, std::size_t groups) {
    const auto source = std::make_shared<typename Kind::Source>(channels, groups);
    for (std::size_t i = 0; i < channels; ++i) {
        source->g.push_back(static_cast<float>(random.uniform(0.5, 2)));
        source->b.push_back(static_cast<float>(random.uniform(-1, 1)));
    }
    return source;
}

}  // namespace

TYPED_TEST(NormalizationKernel, AgreesWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture(TypeParam::kFixture); const auto& c : all.at("cases")) {
            const auto e = extentsOf(c.at("x"));
            const auto source =
                std::make_shared<typename TypeParam::Source>(e.c, c.at("groups").template get<std::size_t>());
            source->g = floatsFrom(c.at("gamma"));
            source->b = floatsFrom(c.at("beta"));
            source->eps = c.at("epsilon").template get<float>();
            const auto r = step<TypeParam>(device, source, e, numbers(c.at("x")), numbers(c.at("g")));
            const auto near = [&](const Numbers& actual, const char* key) {
                EXPECT_TRUE(allNear(actual, numbers(c.at(key)), 1e-5))
                    << c.at("name") << ", " << key << " on " << device->name();
            };
            near(r.y, "y");
            near(r.dx, "dx");
            near(r.sum(r.dgamma, e.c), "dgamma");
            near(r.sum(r.dbeta, e.c), "dbeta");
        }
}

TYPED_TEST(NormalizationKernel, SmallIntegersByHand) {
    for (const auto& device : weightedDevices()) {
        const auto source = std::make_shared<typename TypeParam::Source>(2, 2);
        source->g = {2, 3};
        source->b = {1, -1};
        source->eps = 0;
        // Per channel: mean 3 and 10, deviations 1 and 4.
        const auto r = step<TypeParam>(device, source, {1, 2, 2, 2}, {2, 6, 4, 14, 2, 14, 4, 6},
                                       {1, 1, 2, 1, 3, 5, 2, 1});
        EXPECT_EQ(r.y, (Numbers{-1, -4, 3, 2, -1, 2, 3, -4})) << device->name();
        EXPECT_EQ(r.dbeta, (Numbers{8, 8}));
        EXPECT_EQ(r.dgamma, (Numbers{0, 4}));
        // dx = gamma r (g - 2 - xh G / 4) with r = 1 and 1/4, G = 0 and 4.
        EXPECT_EQ(r.dx, (Numbers{-2, 0, 0, -1.5, 2, 1.5, 0, 0}));
    }
}

TYPED_TEST(NormalizationKernel, GradientsAreTheDerivatives) {
    Random random(51);
    const Extents e{2, 3, 2, 4};
    const auto x = uniform(random, e.count()), g = uniform(random, e.count());
    const auto device = MTL::copyDevice("reference");
    const auto source = drawn<TypeParam>(random, e.c, 2);
    const auto run = [&](const Numbers& values) {
        return step<TypeParam>(device, source, e, values, g, Memory::Together, Format::Float64);
    };
    const auto r = run(x);
    EXPECT_TRUE(isDerivative(r.dx, x, [&](const Numbers& moved) { return dot(run(moved).y, g); }));
    // y is linear in gamma and beta, which are float32 numbers: any step that is exact there will do.
    const auto dgamma = r.sum(r.dgamma, e.c), dbeta = r.sum(r.dbeta, e.c);
    for (auto [parameter, expected] : {std::pair{&source->g, &dgamma}, {&source->b, &dbeta}})
        for (std::size_t i = 0; i < e.c; ++i) {
            const float at = (*parameter)[i];
            (*parameter)[i] = at + 0.25f;
            const double high = (*parameter)[i], above = dot(run(x).y, g);
            (*parameter)[i] = at - 0.25f;
            const double low = (*parameter)[i], below = dot(run(x).y, g);
            (*parameter)[i] = at;
            EXPECT_NEAR((*expected)[i], (above - below) / (high - low), 1e-12);
        }
}

TYPED_TEST(NormalizationKernel, EveryWayToEncodeGivesTheSameBits) {
    Random random(52);
    const Extents e{3, 4, 5, 8};
    const auto x = uniform(random, e.count()), g = uniform(random, e.count());
    for (const auto& device : weightedDevices()) {
        const auto source = drawn<TypeParam>(random, e.c, 4);
        UnaryPair pair;
        pair.forward = std::make_shared<typename TypeParam::Kernel>(device, source);
        pair.backward = std::make_shared<typename TypeParam::Gradient>(device);
        pair.checkWays(e, x, random);
        const auto together = step<TypeParam>(device, source, e, x, g);
        for (const auto& other :
             {step<TypeParam>(device, source, e, x, g, Memory::Loose),
              step<TypeParam>(device, source, e, x, g, Memory::Together, Format::Float32, true)}) {
            EXPECT_EQ(other.y, together.y) << device->name();
            EXPECT_EQ(other.dx, together.dx);
            EXPECT_EQ(other.dgamma, together.dgamma);
            EXPECT_EQ(other.dbeta, together.dbeta);
        }
        // One image at a time.
        const std::size_t one = e.count() / e.n;
        for (std::size_t n = 0; n < e.n; ++n) {
            const auto part = [&](const Numbers& all, std::size_t size) {
                const auto from = all.begin() + static_cast<std::ptrdiff_t>(n * size);
                return Numbers(from, from + static_cast<std::ptrdiff_t>(size));
            };
            const auto alone =
                step<TypeParam>(device, source, {1, e.h, e.w, e.c}, part(x, one), part(g, one));
            EXPECT_EQ(alone.y, part(together.y, one)) << "images are independent, " << device->name();
            EXPECT_EQ(alone.dx, part(together.dx, one));
            EXPECT_EQ(alone.dgamma, part(together.dgamma, e.c));
        }
    }
}

TYPED_TEST(NormalizationKernel, AnImageOfSeveralPicturesHasOneStateWhoseGradientsAreTheirSum) {
    Random random(53);
    const Extents e{3, 2, 3, 4};
    const auto x = uniform(random, e.count()), g = uniform(random, e.count());
    for (const auto& device : weightedDevices()) {
        const auto source = drawn<TypeParam>(random, e.c, 2);
        const auto batch = step<TypeParam>(device, source, e, x, g);
        const auto kernel = std::make_shared<typename TypeParam::Kernel>(device, source);
        typename TypeParam::Gradient gradient(device);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto from = imageOf(device, e.w, e.h, e.c, x, Format::Float32, e.n),
                   in = imageOf(device, e.w, e.h, e.c, g, Format::Float32, e.n),
                   to = imageOf(device, e.w, e.h, e.c, {}, Format::Float32, e.n),
                   dx = imageOf(device, e.w, e.h, e.c, {}, Format::Float32, e.n);
        const auto state = kernel->resultState(from, {}, to);
        kernel->encode(commands, from, state, to);
        gradient.destinationImageDescriptor({in, from}, {state});
        gradient.encode(commands, in, from, state, dx);
        finish(commands);
        EXPECT_EQ(read(*to), batch.y) << device->name();
        EXPECT_EQ(read(*dx), batch.dx);
        const auto typed = statesOf<TypeParam>({state})[0];
        EXPECT_TRUE(allNear(contentsOf(*typed->gradientForGamma(), e.c), batch.sum(batch.dgamma, e.c), 1e-6));
        EXPECT_TRUE(allNear(contentsOf(*typed->gradientForBeta(), e.c), batch.sum(batch.dbeta, e.c), 1e-6));
    }
}

TYPED_TEST(NormalizationKernel, ChannelOffsetsChooseWhatIsReadAndWhereItGoes) {
    for (const auto& device : weightedDevices()) {
        const auto source = std::make_shared<typename TypeParam::Source>(4, 4);
        source->eps = 0;
        typename TypeParam::Kernel kernel(device, source);
        Numbers x;
        for (std::size_t p = 0; p < 4; ++p)
            for (std::size_t c = 0; c < 12; ++c)
                x.push_back(static_cast<double>(c) + (p % 2 ? 2.0 : -2.0) * (c < 8 ? 1 : 4));
        kernel.setSourceFeatureChannelOffset(8);
        kernel.setDestinationFeatureChannelOffset(4);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = imageOf(device, 2, 2, 8, Numbers(32, 7));
        kernel.encode(commands, imageOf(device, 2, 2, 12, x), y);
        finish(commands);
        const auto result = read(*y);
        for (std::size_t i = 0; i < 32; ++i)
            EXPECT_EQ(result[i], i % 8 < 4 ? 7 : (i / 8 % 2 ? 1 : -1)) << device->name();
    }
}

TYPED_TEST(NormalizationKernel, PropertiesAreThoseOfTheDataSource) {
    const auto device = MTL::copyDevice("reference");
    const auto source = std::make_shared<typename TypeParam::Source>(6, 3);
    const auto kernel = std::make_shared<typename TypeParam::Kernel>(device, source);
    EXPECT_EQ(kernel->numberOfFeatureChannels(), 6u);
    EXPECT_EQ(kernel->dataSource(), source);
    EXPECT_EQ(kernel->label(), "norm");
    EXPECT_EQ(kernel->epsilon(), 1e-5f);
    kernel->setEpsilon(0.5f);
    EXPECT_EQ(kernel->epsilon(), 0.5f);
    EXPECT_FALSE(kernel->isResultStateReusedAcrossBatch());
    EXPECT_FALSE(kernel->appendBatchBarrier());
    EXPECT_FALSE(kernel->isStateModified());
    typename TypeParam::Gradient gradient(device);
    EXPECT_TRUE(gradient.isStateModified()) << "it writes gradients into the state";
    const auto x = imageOf(device, 2, 2, 6);
    const auto state = statesOf<TypeParam>({kernel->resultState(x, {}, x)})[0];
    EXPECT_EQ(TypeParam::makerOf(*state), kernel);
    EXPECT_EQ(contentsOf(*state->gamma(), 6), Numbers(6, 1)) << "null means 1";
    EXPECT_EQ(contentsOf(*state->beta(), 6), Numbers(6, 0)) << "and 0";
    EXPECT_EQ(state->readCount(), 0u);
    EXPECT_EQ(state->gradientForGamma()->length(), 6 * sizeof(float));
    EXPECT_THAT(state->description(), HasSubstr("NormalizationGradientState"));
}

TYPED_TEST(NormalizationKernel, TheDefaultEpsilonIsTheSmallestNormalNumberAndConstantImagesGiveBeta) {
    for (const auto& device : weightedDevices()) {
        const auto source = std::make_shared<typename TypeParam::Source>(2, 1);
        source->eps = source->TypeParam::Source::Protocol::epsilon();
        EXPECT_EQ(source->eps, std::numeric_limits<float>::min());
        source->b = {3, -1};
        const auto r = step<TypeParam>(device, source, {2, 3, 3, 2}, Numbers(36, 0.3f), Numbers(36, 0));
        for (std::size_t i = 0; i < 36; ++i) EXPECT_EQ(r.y[i], i % 2 ? -1 : 3) << device->name();
    }
}

TYPED_TEST(NormalizationKernel, ReadCountsFollowTheLedger) {
    const auto device = MTL::copyDevice("reference");
    const auto source = std::make_shared<typename TypeParam::Source>(4, 2);
    const auto kernel = std::make_shared<typename TypeParam::Kernel>(device, source);
    typename TypeParam::Gradient gradient(device);
    gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto commands = device->newCommandQueue()->commandBuffer();
    Random random(54);
    const Extents e{2, 2, 2, 4};
    const auto xs = imagesOf(device, e, uniform(random, e.count())),
               gs = imagesOf(device, e, uniform(random, e.count()));
    MPS::StateBatch states;
    kernel->setDestinationImageAllocator(MPS::Image::defaultAllocator());
    kernel->encodeBatch(commands, xs, &states, true);
    ASSERT_EQ(states.size(), 2u);
    EXPECT_NE(states[0], states[1]) << "one state an image";
    for (const auto& state : states) EXPECT_EQ(state->readCount(), 1u) << "the forward encode writes";
    MPS::StateBatchIncrementReadCount(states, 2);
    gradient.encodeBatch(commands, gs, xs, states);
    for (const auto& state : states) EXPECT_EQ(state->readCount(), 2u);
    const auto typed = statesOf<TypeParam>(states);
    EXPECT_EQ(source->updateGammaAndBeta(commands, typed), nullptr) << "no update by default";
    EXPECT_FALSE(source->updateGammaAndBeta(typed));
    for (const auto& state : states) EXPECT_EQ(state->readCount(), 1u);
    const auto sums = MPS::CNNNormalizationGradientState::batchGradient(commands, typed);
    EXPECT_EQ(sums->readCount(), 1u);
    sums->setReadCount(0);
    for (const auto& state : states) EXPECT_EQ(state->readCount(), 0u);
    EXPECT_THAT(sentenceOf([&] { gradient.encodeBatch(commands, gs, xs, states); }),
                HasSubstr("read count 0"));
    finish(commands);
}

TYPED_TEST(NormalizationKernel, TheBatchGradientIsTheSumOverItsStates) {
    Random random(55);
    const Extents e{3, 2, 2, 4};
    // Integers that are balanced around their means, so that every sum is exact.
    Numbers x;
    for (std::size_t i = 0; i < e.count(); ++i) x.push_back(i / 4 % 2 ? 1 : -1);
    const auto g = integers(random, e.count());
    for (const auto& device : weightedDevices())
        for (const bool loose : {false, true}) {
            const auto source = std::make_shared<typename TypeParam::Source>(e.c, 4);
            source->eps = 0;
            const auto kernel = std::make_shared<typename TypeParam::Kernel>(device, source);
            typename TypeParam::Gradient gradient(device);
            gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto xs = imagesOf(device, e, x), gs = imagesOf(device, e, g), ys = imagesOf(device, e, x);
            const auto states = kernel->resultStateBatch(xs, {}, ys);
            if (loose)
                for (const auto& state : states) state->resource(2, true), state->resource(3, true);
            kernel->encodeBatch(commands, xs, states, ys);
            gradient.encodeBatch(commands, gs, xs, states);
            const auto typed = statesOf<TypeParam>(states);
            const auto sums = MPS::CNNNormalizationGradientState::batchGradient(commands, typed);
            // Copied by a reload, which also gives the memory back.
            kernel->reloadGammaAndBeta(commands, sums);
            EXPECT_EQ(sums->readCount(), 0u);
            finish(commands);
            Numbers gamma(e.c), beta(e.c);
            for (std::size_t i = 0; i < g.size(); ++i) {
                gamma[i % e.c] += g[i] * x[i];
                beta[i % e.c] += g[i];
            }
            EXPECT_EQ(contentsOf(*typed[0]->gamma(), e.c), gamma) << device->name();
            EXPECT_EQ(contentsOf(*typed[0]->beta(), e.c), beta) << device->name();
        }
}

TYPED_TEST(NormalizationKernel, ReloadsReachTheKernelInTheirOrder) {
    for (const auto& device : weightedDevices()) {
        const auto source = std::make_shared<typename TypeParam::Source>(2, 2);
        source->eps = 0;
        const auto kernel = std::make_shared<typename TypeParam::Kernel>(device, source);
        const auto x = imageOf(device, 2, 1, 2, {1, 10, 3, 30});
        MPS::ImageBatch y;
        for (int i = 0; i < 4; ++i) y.push_back(imageOf(device, 2, 1, 2));
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto state = statesOf<TypeParam>({kernel->resultState(x, {}, y[0])})[0];
        kernel->encode(commands, x, state, y[0]);
        source->g = {2, 3};
        source->b = {0, 1};
        kernel->reloadGammaAndBetaFromDataSource();  // the encode before keeps its values
        kernel->encode(commands, x, y[1]);
        const auto values = std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(
            bufferOf(device, {10, 20, 99}), bufferOf(device, {1, 2, 99}));
        kernel->reloadGammaAndBeta(commands, values);
        kernel->encode(commands, x, y[2]);
        const auto pair = MPS::CNNNormalizationGammaAndBetaState::temporaryState(commands, 5);
        kernel->reloadGammaAndBeta(commands, pair);
        EXPECT_EQ(pair->readCount(), 0u);
        EXPECT_THAT(sentenceOf([&] { kernel->reloadGammaAndBeta(commands, pair); }),
                    HasSubstr("read count 0"));
        kernel->reloadGammaAndBeta(commands, values);
        finish(commands);
        EXPECT_EQ(read(*y[0]), (Numbers{-1, -1, 1, 1})) << device->name();
        EXPECT_EQ(read(*y[1]), (Numbers{-2, -2, 2, 4}));
        EXPECT_EQ(read(*y[2]), (Numbers{-9, -18, 11, 22}));
        EXPECT_EQ(contentsOf(*state->gamma(), 2), Numbers(2, 1)) << "those that its forward encode used";
        const auto later = statesOf<TypeParam>({kernel->resultState(x, {}, y[0])})[0];
        EXPECT_EQ(contentsOf(*later->gamma(), 2), (Numbers{10, 20}));
        EXPECT_EQ(contentsOf(*later->beta(), 2), (Numbers{1, 2}));
    }
}

TYPED_TEST(NormalizationKernel, ACopyHasParametersOfItsOwnOnAnyDevice) {
    const auto reference = MTL::copyDevice("reference");
    const auto source = std::make_shared<typename TypeParam::Source>(2, 2);
    source->g = {2, 3};
    source->eps = 0;
    const auto kernel = std::make_shared<typename TypeParam::Kernel>(reference, source);
    kernel->setEpsilon(0);
    for (const auto& device : weightedDevices()) {
        const auto copy = std::dynamic_pointer_cast<typename TypeParam::Kernel>(kernel->copy(device));
        ASSERT_NE(copy, nullptr);
        EXPECT_EQ(copy->device(), device);
        EXPECT_EQ(copy->dataSource(), source) << "shared when the source has no copy of its own";
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = imageOf(device, 2, 1, 2);
        copy->encode(commands, imageOf(device, 2, 1, 2, {1, 10, 3, 30}), y);
        copy->reloadGammaAndBeta(commands, std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(
                                               bufferOf(device, {9, 9}), bufferOf(device, {9, 9})));
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{-2, -3, 2, 3})) << device->name();
    }
    const auto state = statesOf<TypeParam>(
        {kernel->resultState(imageOf(reference, 2, 1, 2), {}, imageOf(reference, 2, 1, 2))})[0];
    EXPECT_EQ(contentsOf(*state->gamma(), 2), (Numbers{2, 3})) << "the original keeps its values";
    typename TypeParam::Gradient gradient(reference);
    gradient.setLabel("g");
    EXPECT_EQ(gradient.copy()->label(), "g");
}

namespace {

/// A data source that copies itself, for any of the two protocols.
template <class Base>
class Copied final : public NormalizationValues<Base> {
public:
    using NormalizationValues<Base>::NormalizationValues;
    std::shared_ptr<Base> copy(const std::shared_ptr<MTL::Device>& device) const override {
        const auto made = std::make_shared<Copied>(this->count);
        made->g = this->g;
        made->eps = this->eps;
        made->on = device;
        return made;
    }
    std::shared_ptr<MTL::Device> on;
};

class CopiedGroups final : public NormalizationValues<MPS::CNNGroupNormalizationDataSource> {
public:
    using NormalizationValues::NormalizationValues;
    std::size_t numberOfGroups() const override { return 1; }
    void setNumberOfGroups(std::size_t) override {}
    std::shared_ptr<MPS::CNNGroupNormalizationDataSource> copy(
        const std::shared_ptr<MTL::Device>& device) const override {
        const auto made = std::make_shared<CopiedGroups>(count);
        made->on = device;
        return made;
    }
    std::shared_ptr<MTL::Device> on;
};

}  // namespace

TEST(InstanceNormalizationKernel, ACopyTakesTheCopyOfItsSource) {
    using Source = Copied<MPS::CNNInstanceNormalizationDataSource>;
    const auto source = std::make_shared<Source>(2);
    source->g = {2, 3};
    source->eps = 0;
    const MPS::CNNInstanceNormalization kernel(MTL::copyDevice("reference"), source);
    for (const auto& device : weightedDevices()) {
        const auto copy = std::dynamic_pointer_cast<MPS::CNNInstanceNormalization>(kernel.copy(device));
        const auto own = std::dynamic_pointer_cast<Source>(copy->dataSource());
        ASSERT_NE(own, nullptr);
        EXPECT_NE(own, source);
        EXPECT_EQ(own->on, device);
        own->g = {4, 5};
        copy->reloadGammaAndBetaFromDataSource();
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = imageOf(device, 2, 1, 2);
        copy->encode(commands, imageOf(device, 2, 1, 2, {1, 10, 3, 30}), y);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{-4, -5, 4, 5})) << device->name();
    }
}

TEST(GroupNormalizationKernel, ACopyTakesTheCopyOfItsSource) {
    const auto source = std::make_shared<CopiedGroups>(2);
    const MPS::CNNGroupNormalization kernel(MTL::copyDevice("reference"), source);
    for (const auto& device : weightedDevices()) {
        const auto copy = std::dynamic_pointer_cast<MPS::CNNGroupNormalization>(kernel.copy(device));
        const auto own = std::dynamic_pointer_cast<CopiedGroups>(copy->dataSource());
        ASSERT_NE(own, nullptr);
        EXPECT_NE(own, source);
        EXPECT_EQ(own->on, device);
        own->b = {7, 8};
        copy->reloadGammaAndBetaFromDataSource();
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = imageOf(device, 2, 1, 2);
        copy->encode(commands, imageOf(device, 2, 1, 2, {3, 3, 3, 3}), y);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{7, 8, 7, 8})) << device->name();
    }
}

TEST(InstanceNormalizationKernel, LoadsAndPurgesItsSourceAndReloadsEverythingFromAnother) {
    const auto device = MTL::copyDevice("reference");
    const auto source = std::make_shared<InstanceKind::Source>(2, 0),
               other = std::make_shared<InstanceKind::Source>(2, 0);
    MPS::CNNInstanceNormalization kernel(device, source);
    EXPECT_EQ(source->loads, 1);
    EXPECT_EQ(source->purges, 1);
    kernel.reloadGammaAndBetaFromDataSource();
    EXPECT_EQ(source->loads, 2);
    EXPECT_EQ(source->purges, 2);
    other->g = {4, 8};
    other->eps = 3;
    kernel.reloadDataSource(other);
    EXPECT_EQ(other->loads, 1);
    EXPECT_EQ(kernel.epsilon(), 3);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto y = imageOf(device, 2, 1, 2);
    kernel.encode(commands, imageOf(device, 2, 1, 2, {1, 10, 3, 12}), y);
    finish(commands);
    EXPECT_EQ(read(*y), (Numbers{-2, -4, 2, 4}));
}

TEST(GroupNormalizationKernel, ReadsTheNumberOfGroupsAtConstructionAndAtAReload) {
    for (const auto& device : weightedDevices()) {
        const auto source = std::make_shared<GroupKind::Source>(4, 2);
        source->eps = 0;
        const auto kernel = std::make_shared<MPS::CNNGroupNormalization>(device, source);
        const auto x = imageOf(device, 1, 1, 4, {1, 3, 5, 9}), y = imageOf(device, 1, 1, 4),
                   z = imageOf(device, 1, 1, 4);
        const auto before = kernel->resultState(x, {}, y);
        const auto commands = device->newCommandQueue()->commandBuffer();
        kernel->encode(commands, x, y);
        source->setNumberOfGroups(4);
        EXPECT_EQ(kernel->numberOfGroups(), 2u);
        kernel->setEpsilon(1);
        kernel->reloadGammaAndBetaFromDataSource();
        EXPECT_EQ(kernel->numberOfGroups(), 4u);
        EXPECT_THAT(sentenceOf([&] { kernel->encode(commands, x, before, z); }),
                    HasSubstr("destinationState: expected one made for 4 groups, found 2"));
        kernel->encode(commands, x, z);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{-1, 1, -1, 1})) << device->name();
        EXPECT_EQ(read(*z), (Numbers{0, 0, 0, 0})) << "each channel is its own mean";
    }
}
