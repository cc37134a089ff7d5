// Mistakes with instance and group normalisation: one sentence, nothing encoded, everything usable
// afterwards. The op table's rows have those that need a single call.

#include <MPS/CNNNeuron.hpp>

#include "NormalizationKernels.h"

using namespace pewter::test;
using testing::AllOf;

namespace {

template <class Kind>
class NormalizationErrors : public testing::Test {
protected:
    DevicePtr device = MTL::copyDevice("reference");
    std::shared_ptr<MTL::CommandBuffer> commands = device->newCommandQueue()->commandBuffer();
    std::shared_ptr<typename Kind::Source> source = std::make_shared<typename Kind::Source>(4, 2);
    std::shared_ptr<typename Kind::Kernel> kernel = std::make_shared<typename Kind::Kernel>(device, source);
    typename Kind::Gradient gradient{device};
    ImagePtr x = imageOf(device, 2, 3, 4, Numbers(24, 1)), y = imageOf(device, 2, 3, 4),
             g = imageOf(device, 2, 3, 4, Numbers(24, 1)), dx = imageOf(device, 2, 3, 4);

    NormalizationErrors() {
        gradient.setLabel("back");
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        source->b = {1, 2, 3, 4};
        kernel->reloadGammaAndBetaFromDataSource();
    }
    /// After a refused call the same command buffer takes the right one, and it gives the right numbers.
    void TearDown() override {
        const auto state = kernel->resultState(x, {}, y);
        kernel->encode(commands, x, state, y);
        gradient.encode(commands, g, x, state);
        finish(commands);
        for (std::size_t i = 0; i < 24; ++i) EXPECT_EQ(read(*y)[i], static_cast<double>(i % 4 + 1));
    }
    std::shared_ptr<MPS::State> filled() {
        const auto state = kernel->resultState(x, {}, y);
        kernel->encode(commands, x, state, y);
        return state;
    }
};

struct KindNames {
    template <class Kind>
    static std::string GetName(int) {
        return Kind::kName;
    }
};
using Kinds = testing::Types<InstanceKind, GroupKind>;
TYPED_TEST_SUITE(NormalizationErrors, Kinds, KindNames);

}  // namespace

TYPED_TEST(NormalizationErrors, StatesAreOfTheKernelsOwnClassAndOneForEachImage) {
    const std::string name = std::string("CNN") + TypeParam::kName;
    MPS::CNNNeuron neuron(this->device, MPS::NNNeuronDescriptor());
    const auto foreign = neuron.resultState(this->x, {}, this->y),
               own = this->kernel->resultState(this->x, {}, this->y);
    EXPECT_THAT(sentenceOf([&] { this->kernel->encode(this->commands, this->x, foreign, this->y); }),
                AllOf(HasSubstr(name + " 'norm': destinationState: expected a " + name + "GradientState"),
                      HasSubstr("found a NNGradientState")));
    EXPECT_THAT(
        sentenceOf([&] {
            this->kernel->encodeBatch(this->commands, {this->x, this->g}, MPS::StateBatch{own, own},
                                      {this->y, this->dx});
        }),
        HasSubstr("destinationStates: expected a state of its own for every image, found one state twice"));
    EXPECT_THAT(sentenceOf([&] { this->gradient.encode(this->commands, this->g, this->x, foreign); }),
                HasSubstr(name + "Gradient 'back': gradientState: expected a " + name +
                          "GradientState, found a NNGradientState"));
    EXPECT_THAT(sentenceOf([&] { this->gradient.encode(this->commands, this->g, this->x, nullptr); }),
                HasSubstr("found null"));
    const auto state = this->filled();
    EXPECT_THAT(
        sentenceOf([&] {
            this->gradient.encodeBatch(this->commands, {this->g, this->g}, {this->x, this->x},
                                       {state, state});
        }),
        HasSubstr("gradientStates: expected a state of its own for every image, found one state twice"));
}

TYPED_TEST(NormalizationErrors, AStateServesAsManyPicturesAsItWasMadeFor) {
    const auto several = imageOf(this->device, 2, 3, 4, {}, Format::Float32, 3),
               to = imageOf(this->device, 2, 3, 4, {}, Format::Float32, 3);
    const auto one = this->kernel->resultState(this->x, {}, this->y);
    EXPECT_THAT(sentenceOf([&] { this->kernel->encode(this->commands, several, one, to); }),
                HasSubstr("destinationState: expected one made for 3 images, found 1"));
    const auto state = this->filled();
    EXPECT_THAT(sentenceOf([&] { this->gradient.encode(this->commands, several, several, state, to); }),
                HasSubstr("gradientState: expected one made for 3 images, found 1"));
}

TYPED_TEST(NormalizationErrors, TheGradientTakesTheForwardPassesImagesWhole) {
    const auto state = this->filled();
    const auto narrow = imageOf(this->device, 1, 3, 4), thin = imageOf(this->device, 2, 3, 3);
    EXPECT_THAT(sentenceOf([&] { this->gradient.encode(this->commands, this->g, narrow, state); }),
                HasSubstr("sourceImage: expected 2 x 3 pixels of 4 feature channels"));
    EXPECT_THAT(sentenceOf([&] { this->gradient.encode(this->commands, narrow, this->x, state); }),
                HasSubstr("sourceGradient: expected 2 x 3 pixels"));
    EXPECT_THAT(sentenceOf([&] { this->gradient.encode(this->commands, thin, this->x, state); }),
                HasSubstr("sourceGradient: expected 4 feature channels"));
    typename TypeParam::Gradient moved(this->device);
    moved.setSecondaryOffset({1, 0, 0});
    EXPECT_THAT(sentenceOf([&] { moved.encode(this->commands, this->g, this->x, state, this->dx); }),
                HasSubstr("secondaryOffset: expected (0, 0), since the statistics are those of the whole "
                          "image, found (1, 0)"));
    moved.setSecondaryOffset({0, 0, 0});
    moved.setPrimaryOffset({0, 1, 0});
    const auto taller = imageOf(this->device, 2, 4, 4, Numbers(32, 1));
    EXPECT_THAT(sentenceOf([&] { moved.encode(this->commands, taller, this->x, state, this->dx); }),
                HasSubstr("primaryOffset: expected (0, 0), since the statistics are those of the whole "
                          "image, found (0, 1)"));
}

TYPED_TEST(NormalizationErrors, ABatchGradientNeedsFilledStatesOfOneLayer) {
    using States = typename TypeParam::StateBatch;
    const auto sum = [&](const States& states) {
        return sentenceOf([&] {
            MPS::CNNNormalizationGradientState::batchGradient(this->commands, states)->setReadCount(0);
        });
    };
    const auto state = this->filled();
    const auto typed = statesOf<TypeParam>({state});
    EXPECT_THAT(sum({}), HasSubstr("states: expected at least one state, found none"));
    EXPECT_THAT(sum({typed[0], nullptr}), HasSubstr("states: expected states"));
    EXPECT_THAT(sum(typed), HasSubstr("states: expected states that a gradient encode has filled"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNNormalizationGradientState::batchGradient(nullptr, typed); }),
                HasSubstr("commandBuffer: expected a command buffer, found null"));
    this->gradient.encode(this->commands, this->g, this->x, state);
    const auto wide = std::make_shared<typename TypeParam::Kernel>(
        this->device, std::make_shared<typename TypeParam::Source>(8, 2));
    const auto x8 = imageOf(this->device, 2, 3, 8, Numbers(48, 1)), y8 = imageOf(this->device, 2, 3, 8);
    const auto other = wide->resultState(x8, {}, y8);
    wide->encode(this->commands, x8, other, y8);
    this->gradient.encode(this->commands, x8, x8, other);
    EXPECT_THAT(sum(statesOf<TypeParam>({state, other})),
                HasSubstr("states: expected 4 channels in each, found 8"));
    EXPECT_EQ(sum(typed), "");
    const auto spent = this->kernel->temporaryResultState(this->commands, this->x, {}, this->y);
    this->kernel->encode(this->commands, this->x, spent, this->y);
    this->gradient.encode(this->commands, this->g, this->x, spent);
    EXPECT_THAT(sum(statesOf<TypeParam>({spent})), HasSubstr("read count 0"));
}

TYPED_TEST(NormalizationErrors, AReloadThatFailsLeavesTheValues) {
    this->source->count = 5;
    EXPECT_THAT(sentenceOf([&] { this->kernel->reloadGammaAndBetaFromDataSource(); }),
                HasSubstr("dataSource.numberOfFeatureChannels: expected 4, found 5"));
    this->source->count = 4;
    const auto elsewhere = std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(
        bufferOf(this->device, {1, 1, 1}), bufferOf(this->device, {1, 1, 1}));
    EXPECT_THAT(sentenceOf([&] { this->kernel->reloadGammaAndBeta(this->commands, elsewhere); }),
                HasSubstr("gammaAndBetaState: expected 4 values of float32, found 12 bytes"));
    EXPECT_THAT(sentenceOf([&] { this->kernel->reloadGammaAndBeta(nullptr, elsewhere); }),
                HasSubstr("commandBuffer"));
}

TEST(GroupNormalizationErrors, GroupsThatNoLongerDivideAreRefusedAtTheReload) {
    const auto device = MTL::copyDevice("reference");
    const auto source = std::make_shared<GroupKind::Source>(6, 3);
    MPS::CNNGroupNormalization kernel(device, source);
    source->setNumberOfGroups(4);
    EXPECT_THAT(sentenceOf([&] { kernel.reloadGammaAndBetaFromDataSource(); }),
                HasSubstr("dataSource.numberOfGroups: expected a divisor of 6 feature channels, found 4"));
    EXPECT_EQ(kernel.numberOfGroups(), 3u);
}
