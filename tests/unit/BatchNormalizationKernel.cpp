#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNNeuron.hpp>

#include "UnaryKernels.h"

using namespace pewter::test;
using MPS::CNNBatchNormalizationState;
using MPS::NNNeuronDescriptor;

namespace {

class Values final : public MPS::CNNBatchNormalizationDataSource {
public:
    explicit Values(std::size_t channels) : count(channels) {}
    std::size_t numberOfFeatureChannels() const override { return count; }
    const float* gamma() override { return g.empty() ? nullptr : g.data(); }
    const float* beta() override { return b.empty() ? nullptr : b.data(); }
    const float* mean() override { return m.empty() ? nullptr : m.data(); }
    const float* variance() override { return v.empty() ? nullptr : v.data(); }
    bool load() override { return ++loads, loadable; }
    void purge() override { ++purges; }
    std::string label() const override { return "norm"; }
    float epsilon() const override { return eps; }

    std::size_t count;
    std::vector<float> g, b, m, v;
    float eps = 1e-5f;
    bool loadable = true;
    int loads = 0, purges = 0;
};

std::vector<float> floats(const Json& json) {
    const auto n = numbers(json);
    return {n.begin(), n.end()};
}

NNNeuronDescriptor neuronFrom(const Json& json) {
    if (json.is_null()) return {};
    const auto n = pewter::test::neuronOf(json);
    return NNNeuronDescriptor::cnnNeuronDescriptor(static_cast<MPS::CNNNeuronType>(n.type), n.a, n.b, n.c);
}

Numbers valuesOf(MTL::Buffer& buffer, std::size_t count) {
    if (buffer.length() >= count * sizeof(double)) {
        const auto* p = static_cast<const double*>(buffer.contents());
        return {p, p + count};
    }
    const auto* p = static_cast<const float*>(buffer.contents());
    return {p, p + count};
}

struct Training {
    Numbers y, dx, mean, variance, dgamma, dbeta;
};

/// One step, with the batch in `pieces` calls of every kernel.
Training train(const DevicePtr& device, const std::shared_ptr<Values>& source,
               const NNNeuronDescriptor& neuron, const Extents& e, const Numbers& x, const Numbers& g,
               std::size_t pieces = 1, Memory memory = Memory::Together, Format format = Format::Float32) {
    const auto kernel = std::make_shared<MPS::CNNBatchNormalization>(device, source, neuron);
    MPS::CNNBatchNormalizationStatistics statistics(device);
    MPS::CNNBatchNormalizationStatisticsGradient sums(device, neuron);
    MPS::CNNBatchNormalizationGradient gradient(device, neuron);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto xs = imagesOf(device, e, x, format, memory), gs = imagesOf(device, e, g, format, memory),
               ys = imagesOf(device, e, x, format, memory), dxs = imagesOf(device, e, x, format, memory);
    const auto state =
        std::dynamic_pointer_cast<CNNBatchNormalizationState>(kernel->resultState(xs[0], {}, ys[0]));
    const auto each = [&](const auto& body) {
        for (std::size_t i = 0; i < pieces; ++i) {
            const auto cut = [&](const MPS::ImageBatch& all) {
                return MPS::ImageBatch(
                    all.begin() + static_cast<std::ptrdiff_t>(i * all.size() / pieces),
                    all.begin() + static_cast<std::ptrdiff_t>((i + 1) * all.size() / pieces));
            };
            body(cut);
        }
    };
    each([&](const auto& cut) { statistics.encodeBatch(commands, cut(xs), state); });
    each([&](const auto& cut) { kernel->encodeBatch(commands, cut(xs), state, cut(ys)); });
    each([&](const auto& cut) { sums.encodeBatch(commands, cut(gs), cut(xs), state); });
    each([&](const auto& cut) { gradient.encodeBatch(commands, cut(gs), cut(xs), state, cut(dxs)); });
    finish(commands);
    return {read(ys),
            read(dxs),
            valuesOf(*state->mean(), e.c),
            valuesOf(*state->variance(), e.c),
            valuesOf(*state->gradientForGamma(), e.c),
            valuesOf(*state->gradientForBeta(), e.c)};
}

std::shared_ptr<Values> drawn(Random& random, std::size_t channels) {
    const auto source = std::make_shared<Values>(channels);
    for (std::size_t i = 0; i < channels; ++i) {
        source->g.push_back(static_cast<float>(random.uniform(0.5, 2)));
        source->b.push_back(static_cast<float>(random.uniform(-1, 1)));
        source->m.push_back(static_cast<float>(random.uniform(-1, 1)));
        source->v.push_back(static_cast<float>(random.uniform(0.5, 2)));
    }
    return source;
}

}  // namespace

TEST(BatchNormalizationKernel, TrainingAgreesWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("batch_normalization"); const auto& c : all.at("cases")) {
            const auto e = extentsOf(c.at("x"));
            const auto source = std::make_shared<Values>(e.c);
            source->g = floats(c.at("gamma"));
            source->b = floats(c.at("beta"));
            source->eps = c.at("epsilon").get<float>();
            const auto r =
                train(device, source, neuronFrom(c.at("neuron")), e, numbers(c.at("x")), numbers(c.at("g")));
            const auto near = [&](const Numbers& actual, const char* key) {
                EXPECT_TRUE(allNear(actual, numbers(c.at(key)), 2e-5))
                    << c.at("name") << ", " << key << " on " << device->name();
            };
            near(r.y, "y");
            near(r.dx, "dx");
            near(r.mean, "mean");
            near(r.variance, "variance");
            near(r.dgamma, "dgamma");
            near(r.dbeta, "dbeta");
        }
}

TEST(BatchNormalizationKernel, InferenceUsesTheStoredStatistics) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("batch_normalization"); const auto& c : all.at("inferenceCases")) {
            const auto e = extentsOf(c.at("x"));
            const auto source = std::make_shared<Values>(e.c);
            source->g = floats(c.at("gamma"));
            source->b = floats(c.at("beta"));
            source->m = floats(c.at("mean"));
            source->v = floats(c.at("variance"));
            source->eps = c.at("epsilon").get<float>();
            MPS::CNNBatchNormalization kernel(device, source);
            kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto ys = kernel.encodeBatch(commands, imagesOf(device, e, numbers(c.at("x"))));
            finish(commands);
            EXPECT_TRUE(allNear(read(ys), numbers(c.at("y")), 4e-6))
                << c.at("name") << " on " << device->name();
        }
}

TEST(BatchNormalizationKernel, GradientsAreTheDerivatives) {
    Random random(41);
    const Extents e{3, 2, 3, 2};
    const auto x = uniform(random, e.count()), g = uniform(random, e.count());
    const auto device = MTL::copyDevice("reference");
    const auto neuron = NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::TanH, 1, 0.5f);
    const auto source = drawn(random, e.c);
    const auto r = train(device, source, neuron, e, x, g, 1, Memory::Together, Format::Float64);
    EXPECT_TRUE(isDerivative(r.dx, x, [&](const Numbers& moved) {
        return dot(train(device, source, neuron, e, moved, g, 1, Memory::Together, Format::Float64).y, g);
    }));
    // gamma and beta are float32 numbers: a step that is exact there, and what a step of 2^-10 leaves of
    // f'''.
    for (auto [parameter, expected] : {std::pair{&source->g, &r.dgamma}, {&source->b, &r.dbeta}})
        for (std::size_t i = 0; i < e.c; ++i) {
            const float at = (*parameter)[i];
            (*parameter)[i] = at + 0x1p-10f;
            const double high = (*parameter)[i];
            const double above =
                dot(train(device, source, neuron, e, x, g, 1, Memory::Together, Format::Float64).y, g);
            (*parameter)[i] = at - 0x1p-10f;
            const double below =
                dot(train(device, source, neuron, e, x, g, 1, Memory::Together, Format::Float64).y, g);
            EXPECT_NEAR((*expected)[i], (above - below) / (high - (*parameter)[i]), 1e-5);
            (*parameter)[i] = at;
        }
}

TEST(BatchNormalizationKernel, TwoSubBatchesEqualOneBatch) {
    Random random(42);
    const Extents e{4, 3, 5, 6};
    const auto x = uniform(random, e.count()), g = uniform(random, e.count());
    const auto source = drawn(random, e.c);
    for (const auto& device : weightedDevices()) {
        const auto one = train(device, source, {}, e, x, g), two = train(device, source, {}, e, x, g, 2);
        for (const auto& [a, b] : {std::pair{one.y, two.y},
                                   {one.dx, two.dx},
                                   {one.mean, two.mean},
                                   {one.variance, two.variance},
                                   {one.dgamma, two.dgamma},
                                   {one.dbeta, two.dbeta}})
            EXPECT_TRUE(allNear(a, b, 4e-6)) << device->name();
        const auto loose = train(device, source, {}, e, x, g, 1, Memory::Loose);
        EXPECT_EQ(loose.y, one.y) << "loose images, " << device->name();
        EXPECT_EQ(loose.dx, one.dx);
        EXPECT_EQ(loose.dgamma, one.dgamma);
    }
}

TEST(BatchNormalizationKernel, AConstantChannelGivesBetaUnderTheDefaultEpsilon) {
    for (const auto& device : weightedDevices()) {
        const auto source = std::make_shared<Values>(2);
        source->eps = source->MPS::CNNBatchNormalizationDataSource::epsilon();
        source->b = {3, -1};
        EXPECT_EQ(source->eps, std::numeric_limits<float>::min());
        const auto r = train(device, source, {}, {2, 3, 3, 2}, Numbers(36, 0.3f), Numbers(36, 0));
        for (std::size_t i = 0; i < 36; ++i) EXPECT_EQ(r.y[i], i % 2 ? -1 : 3) << device->name();
    }
}

TEST(BatchNormalizationKernel, TheStateFollowsItsLifeOfCountsAndBuffers) {
    const auto device = MTL::copyDevice("reference");
    const auto source = std::make_shared<Values>(4);
    source->m = {1, 2, 3, 4};
    const auto kernel = std::make_shared<MPS::CNNBatchNormalization>(device, source);
    const auto queue = device->newCommandQueue();
    const auto commands = queue->commandBuffer();
    const auto x = imageOf(device, 2, 2, 4, Numbers(16, 5)), y = imageOf(device, 2, 2, 4);
    const auto state = std::dynamic_pointer_cast<CNNBatchNormalizationState>(
        kernel->temporaryResultState(commands, x, {}, y));
    EXPECT_EQ(state->batchNormalization(), kernel);
    EXPECT_EQ(floatsOf(*state->mean()), (Numbers{1, 2, 3, 4})) << "the stored ones before any statistics";
    EXPECT_EQ(state->gradientForGamma(), nullptr);
    state->setReadCount(3);
    MPS::CNNBatchNormalizationStatistics statistics(device);
    MPS::CNNBatchNormalizationStatisticsGradient sums(device);
    MPS::CNNBatchNormalizationGradient gradient(device);
    statistics.encodeBatch(commands, {x}, state);
    EXPECT_EQ(state->readCount(), 3u) << "statistics write";
    kernel->encode(commands, x, state, y);
    EXPECT_EQ(state->readCount(), 2u);
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, y, x, state); }),
                HasSubstr("expected statistics gradients of all 4 pixels in the statistics, found of 0"));
    sums.encodeBatch(commands, {y}, {x}, state);
    EXPECT_EQ(state->readCount(), 1u);
    EXPECT_NE(state->gradientForGamma(), nullptr);
    gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    gradient.encode(commands, y, x, state);
    EXPECT_EQ(state->readCount(), 0u);
    EXPECT_THAT(sentenceOf([&] { statistics.encodeBatch(commands, {x}, state); }), HasSubstr("read count 0"));
    finish(commands);

    const auto kept = std::dynamic_pointer_cast<CNNBatchNormalizationState>(kernel->resultState(x, {}, y));
    const auto more = queue->commandBuffer();
    statistics.encodeBatch(more, {x}, kept);
    sums.encodeBatch(more, {y}, {x}, kept);
    finish(more);
    EXPECT_EQ(floatsOf(*kept->mean()), Numbers(4, 5));
    kept->reset();
    EXPECT_EQ(floatsOf(*kept->mean()), (Numbers{1, 2, 3, 4}));
    EXPECT_EQ(kept->gradientForBeta(), nullptr);
}

TEST(BatchNormalizationKernel, StatisticsAfterAGradientPassStartAfresh) {
    const auto device = MTL::copyDevice("reference");
    const auto kernel = std::make_shared<MPS::CNNBatchNormalization>(device, std::make_shared<Values>(1));
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto a = imageOf(device, 2, 1, 1, {1, 3}), b = imageOf(device, 2, 1, 1, {10, 14}),
               g = imageOf(device, 2, 1, 1, {1, 2});
    const auto state = std::dynamic_pointer_cast<CNNBatchNormalizationState>(kernel->resultState(a, {}, a));
    MPS::CNNBatchNormalizationStatistics statistics(device);
    MPS::CNNBatchNormalizationStatisticsGradient sums(device);
    MPS::CNNBatchNormalizationGradient gradient(device);
    gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    statistics.encodeBatch(commands, {a}, state);
    sums.encodeBatch(commands, {g}, {a}, state);
    gradient.encode(commands, g, a, state);
    statistics.encodeBatch(commands, {b}, state);
    sums.encodeBatch(commands, {g}, {b}, state);
    finish(commands);
    EXPECT_EQ(floatsOf(*state->mean()), Numbers{12});
    EXPECT_EQ(floatsOf(*state->variance()), Numbers{4});
    EXPECT_EQ(floatsOf(*state->gradientForBeta()), Numbers{3});
}

TEST(BatchNormalizationKernel, WithStoredStatisticsTheGradientLeavesTheMeansOut) {
    for (const auto& device : weightedDevices()) {
        const auto source = std::make_shared<Values>(1);
        source->g = {2};
        source->v = {4};
        source->eps = 0;
        const auto kernel = std::make_shared<MPS::CNNBatchNormalization>(device, source);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto x = imageOf(device, 2, 1, 1, {1, 3}), g = imageOf(device, 2, 1, 1, {5, 7});
        const auto state =
            std::dynamic_pointer_cast<CNNBatchNormalizationState>(kernel->resultState(x, {}, x));
        MPS::CNNBatchNormalizationStatisticsGradient sums(device);
        MPS::CNNBatchNormalizationGradient gradient(device);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        sums.encodeBatch(commands, {g}, {x}, state);
        const auto dx = gradient.encode(commands, g, x, state);
        finish(commands);
        EXPECT_EQ(read(*dx), (Numbers{5, 7})) << device->name();
        EXPECT_EQ(floatsOf(*state->gradientForBeta()), Numbers{12});
        EXPECT_EQ(floatsOf(*state->gradientForGamma()), Numbers{13});
    }
}

TEST(BatchNormalizationKernel, ReloadsReachTheKernelAndStatesThatWereMadeBefore) {
    for (const auto& device : weightedDevices()) {
        const auto source = std::make_shared<Values>(2);
        source->g = {1, 1};
        source->eps = 0;
        const auto kernel = std::make_shared<MPS::CNNBatchNormalization>(device, source);
        EXPECT_EQ(source->loads, source->purges);
        const auto queue = device->newCommandQueue();
        const auto x = imageOf(device, 1, 1, 2, {3, 4}), a = imageOf(device, 1, 1, 2),
                   b = imageOf(device, 1, 1, 2), c = imageOf(device, 1, 1, 2);
        const auto state =
            std::dynamic_pointer_cast<CNNBatchNormalizationState>(kernel->resultState(x, {}, a));
        const auto commands = queue->commandBuffer();
        kernel->encode(commands, x, a);
        source->g = {2, 3};
        kernel->reloadGammaAndBetaFromDataSource();  // the encode before keeps its values
        kernel->encode(commands, x, b);
        const auto pair = MPS::CNNNormalizationGammaAndBetaState::temporaryState(commands, 5);
        EXPECT_EQ(pair->readCount(), 1u);
        const auto values = std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(
            bufferOf(device, {10, 20, 99}), bufferOf(device, {1, 2, 99}));
        kernel->reloadGammaAndBeta(commands, values);
        kernel->encode(commands, x, c);
        kernel->reloadGammaAndBeta(commands, pair);
        EXPECT_EQ(pair->readCount(), 0u);
        EXPECT_THAT(sentenceOf([&] { kernel->reloadGammaAndBeta(commands, pair); }),
                    HasSubstr("read count 0"));
        kernel->reloadGammaAndBeta(commands, values);
        const auto moments = std::make_shared<MPS::CNNNormalizationMeanAndVarianceState>(
            bufferOf(device, {6, 7}), bufferOf(device, {8, 9}));
        kernel->reloadMeanAndVariance(commands, moments);
        finish(commands);
        EXPECT_EQ(read(*a), (Numbers{3, 4})) << device->name();
        EXPECT_EQ(read(*b), (Numbers{6, 12}));
        EXPECT_EQ(read(*c), (Numbers{31, 82}));
        EXPECT_EQ(floatsOf(*state->gamma()), (Numbers{10, 20}));
        EXPECT_EQ(floatsOf(*state->beta()), (Numbers{1, 2}));
        EXPECT_EQ(floatsOf(*state->mean()), (Numbers{6, 7}));
        EXPECT_EQ(floatsOf(*state->variance()), (Numbers{8, 9}));
    }
}

TEST(BatchNormalizationKernel, ReloadingAnotherSourceTakesEverythingFromIt) {
    for (const auto& device : weightedDevices()) {
        const auto source = std::make_shared<Values>(2), other = std::make_shared<Values>(2);
        const auto kernel = std::make_shared<MPS::CNNBatchNormalization>(device, source);
        other->g = {2, 4};
        other->b = {1, -1};
        other->m = {3, 5};
        other->v = {3, 15};
        other->eps = 1;
        kernel->reloadDataSource(other);
        EXPECT_EQ(other->loads, 1);
        EXPECT_EQ(other->purges, 1);
        EXPECT_EQ(kernel->epsilon(), 1);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = imageOf(device, 1, 1, 2);
        kernel->encode(commands, imageOf(device, 1, 1, 2, {5, 9}), y);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{3, 3})) << device->name();
        EXPECT_THAT(sentenceOf([&] { kernel->reloadDataSource(nullptr); }), HasSubstr("found null"));
        EXPECT_THAT(sentenceOf([&] { kernel->reloadDataSource(std::make_shared<Values>(3)); }),
                    HasSubstr("dataSource.numberOfFeatureChannels: expected 2, found 3"));
    }
}

TEST(BatchNormalizationKernel, ACopyTakesTheCopyOfItsSourceAndHasParametersOfItsOwn) {
    class Copied final : public MPS::CNNBatchNormalizationDataSource {
    public:
        std::size_t numberOfFeatureChannels() const override { return 1; }
        const float* gamma() override { return &scale; }
        const float* beta() override { return nullptr; }
        const float* mean() override { return nullptr; }
        const float* variance() override { return nullptr; }
        bool load() override { return true; }
        void purge() override {}
        std::string label() const override { return "copied"; }
        std::shared_ptr<CNNBatchNormalizationDataSource> copy(
            const std::shared_ptr<MTL::Device>& device) const override {
            const auto made = std::make_shared<Copied>();
            made->scale = scale;
            made->on = device;
            return made;
        }
        float scale = 2;
        std::shared_ptr<MTL::Device> on;
    };
    const auto source = std::make_shared<Copied>();
    MPS::CNNBatchNormalization kernel(MTL::copyDevice("reference"), source);
    kernel.setEpsilon(0);
    for (const auto& device : weightedDevices()) {
        const auto copy = std::dynamic_pointer_cast<MPS::CNNBatchNormalization>(kernel.copy(device));
        const auto own = std::dynamic_pointer_cast<Copied>(copy->dataSource());
        ASSERT_NE(own, nullptr);
        EXPECT_NE(own, source);
        EXPECT_EQ(own->on, device);
        own->scale = 8;
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto x = imageOf(device, 1, 1, 1, {3}), before = imageOf(device, 1, 1, 1),
                   after = imageOf(device, 1, 1, 1);
        copy->encode(commands, x, before);
        copy->reloadGammaAndBetaFromDataSource();
        copy->encode(commands, x, after);
        finish(commands);
        EXPECT_EQ(read(*before), Numbers{6}) << device->name();
        EXPECT_EQ(read(*after), Numbers{24});
    }
    const auto commands = kernel.device()->newCommandQueue()->commandBuffer();
    const auto y = imageOf(kernel.device(), 1, 1, 1);
    kernel.encode(commands, imageOf(kernel.device(), 1, 1, 1, {3}), y);
    finish(commands);
    EXPECT_EQ(read(*y), Numbers{6}) << "the original keeps its values";
}

TEST(BatchNormalizationKernel, GradientsOfOneImageAtATimeGiveWhatTheBatchFormGives) {
    Random random(43);
    const Extents e{2, 3, 4, 5};
    const auto x = uniform(random, e.count()), g = uniform(random, e.count());
    for (const auto& device : weightedDevices()) {
        const auto source = drawn(random, e.c);
        const auto expected = train(device, source, {}, e, x, g);
        const auto kernel = std::make_shared<MPS::CNNBatchNormalization>(device, source);
        MPS::CNNBatchNormalizationGradient gradient(device);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto xs = imagesOf(device, e, x), gs = imagesOf(device, e, g);
        const auto state =
            std::dynamic_pointer_cast<CNNBatchNormalizationState>(kernel->resultState(xs[0], {}, xs[0]));
        MPS::CNNBatchNormalizationStatistics(device).encodeBatch(commands, xs, state);
        MPS::CNNBatchNormalizationStatisticsGradient(device).encodeBatch(commands, gs, xs, state);
        const auto returned = gradient.encode(commands, gs[0], xs[0], state);
        const auto given = imageOf(device, e.w, e.h, e.c);
        gradient.encode(commands, gs[1], xs[1], state, given);
        finish(commands);
        EXPECT_EQ(read({returned, given}), expected.dx) << device->name();
    }
}

TEST(BatchNormalizationKernel, TheOptionalUpdatesConsumeOneReadAndChangeNothing) {
    const auto device = MTL::copyDevice("reference");
    const auto source = std::make_shared<Values>(1);
    const auto kernel = std::make_shared<MPS::CNNBatchNormalization>(device, source);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto x = imageOf(device, 1, 1, 1, {1});
    const auto state = std::dynamic_pointer_cast<CNNBatchNormalizationState>(
        kernel->temporaryResultState(commands, x, {}, x));
    state->setReadCount(2);
    EXPECT_EQ(source->updateGammaAndBeta(commands, state), nullptr);
    EXPECT_EQ(state->readCount(), 1u);
    EXPECT_EQ(source->updateMeanAndVariance(commands, state), nullptr);
    EXPECT_EQ(state->readCount(), 0u);
    EXPECT_FALSE(source->updateGammaAndBeta(state));
    EXPECT_FALSE(source->updateMeanAndVariance(state));
    finish(commands);
}

TEST(BatchNormalizationKernel, RefusalsNameKernelArgumentExpectedAndFound) {
    const auto device = MTL::copyDevice("reference");
    EXPECT_THAT(sentenceOf([&] { MPS::CNNBatchNormalization(device, nullptr); }),
                HasSubstr("dataSource: expected"));
    const auto broken = std::make_shared<Values>(2);
    broken->loadable = false;
    EXPECT_THAT(sentenceOf([&] { MPS::CNNBatchNormalization(device, broken); }),
                HasSubstr("CNNBatchNormalization 'norm': dataSource: expected one that loads"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNBatchNormalization(device, std::make_shared<Values>(0)); }),
                HasSubstr("numberOfFeatureChannels"));
    const auto kernel = std::make_shared<MPS::CNNBatchNormalization>(device, std::make_shared<Values>(4));
    const auto stranger = std::make_shared<MPS::CNNBatchNormalization>(device, std::make_shared<Values>(4));
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto x = imageOf(device, 2, 2, 4, Numbers(16, 1)), y = imageOf(device, 2, 2, 4),
               narrow = imageOf(device, 2, 2, 3);
    const auto state = std::dynamic_pointer_cast<CNNBatchNormalizationState>(kernel->resultState(x, {}, y));
    EXPECT_THAT(sentenceOf([&] { kernel->encode(commands, narrow, imageOf(device, 2, 2, 3)); }),
                HasSubstr("CNNBatchNormalization 'norm': sourceImage: expected 4 feature channels, found 3"));
    EXPECT_THAT(sentenceOf([&] { stranger->encode(commands, x, state, y); }),
                HasSubstr("batchNormalizationState: expected a state that this kernel made"));
    std::shared_ptr<MPS::State> out;
    EXPECT_THAT(sentenceOf([&] { kernel->encode(commands, x, &out, false); }), HasSubstr("inherited forms"));
    EXPECT_THAT(sentenceOf([&] { kernel->encode(commands, x, std::shared_ptr<MPS::State>(state), y); }),
                HasSubstr("inherited forms"));
    EXPECT_THAT(
        sentenceOf([&] { kernel->encode(commands, x, std::shared_ptr<CNNBatchNormalizationState>(), y); }),
        HasSubstr("found null"));
    MPS::CNNBatchNormalizationStatistics statistics(device);
    MPS::CNNBatchNormalizationStatisticsGradient sums(device);
    MPS::CNNBatchNormalizationGradient gradient(device);
    EXPECT_THAT(sentenceOf([&] { static_cast<MPS::CNNKernel&>(statistics).encode(commands, x, y); }),
                HasSubstr("found one that makes an image"));
    EXPECT_THAT(sentenceOf([&] { statistics.encodeBatch(commands, {narrow}, state); }),
                HasSubstr("sourceImages: expected 4 feature channels"));
    EXPECT_THAT(sentenceOf([&] { sums.encodeBatch(commands, {narrow}, {x}, state); }),
                HasSubstr("sourceGradient: expected 4 feature channels"));
    EXPECT_THAT(sentenceOf([&] { static_cast<MPS::CNNGradientKernel&>(sums).encode(commands, y, x, state); }),
                HasSubstr("no destination"));
    MPS::CNNNeuron neuron(device, NNNeuronDescriptor());
    EXPECT_THAT(sentenceOf([&] { gradient.encode(commands, y, x, neuron.resultState(x, {}, y)); }),
                HasSubstr("gradientState: expected a CNNBatchNormalizationState, found a NNGradientState"));
    const auto small = std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(bufferOf(device, {1}),
                                                                                bufferOf(device, {1}));
    EXPECT_THAT(sentenceOf([&] { kernel->reloadGammaAndBeta(commands, small); }),
                HasSubstr("gammaAndBetaState: expected 4 values of float32, found 4 bytes"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNNormalizationGammaAndBetaState(nullptr, bufferOf(device, {1})); }),
                HasSubstr("gamma: expected a buffer, found null"));
    kernel->encode(commands, x, y);
    finish(commands);
}
