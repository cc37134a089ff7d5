// Data sources of instance and group normalisation with an optimizer built in.

#include <gtest/gtest.h>

#include <MPS/CNNGroupNormalizationNode.hpp>
#include <MPS/CNNInstanceNormalizationNode.hpp>
#include <MPS/Handle.hpp>
#include <MPS/NNGraph.hpp>
#include <MTL/MTL.hpp>
#include <Pewter/Train.hpp>
#include <cmath>

#include "NormalizationKernels.h"

namespace pewter::train::tests {
namespace {

using pewter::test::DevicePtr;
using pewter::test::imageOf;
using pewter::test::Numbers;
using pewter::test::sentenceOf;
using pewter::test::statesOf;
using testing::HasSubstr;
using OptimizerKind = OptimizerSettings::Kind;

constexpr std::size_t kChannels = 4;

/// A handle that is only a name.
class Called final : public MPS::Handle {
public:
    explicit Called(std::string text) : text_(std::move(text)) {}
    std::string label() const override { return text_; }

private:
    std::string text_;
};

struct Instance {
    using Kind = pewter::test::InstanceKind;
    using Node = MPS::CNNInstanceNormalizationNode;
    using Source = InstanceNormalizationDataSource;
    static std::shared_ptr<Source> make(const DevicePtr& device, const OptimizerSettings& optimizer) {
        return std::make_shared<Source>(device, "norm", kChannels, optimizer, 0.0f);
    }
    static constexpr const char* kName = "Instance";
};
struct Group {
    using Kind = pewter::test::GroupKind;
    using Node = MPS::CNNGroupNormalizationNode;
    using Source = GroupNormalizationDataSource;
    static std::shared_ptr<Source> make(const DevicePtr& device, const OptimizerSettings& optimizer) {
        return std::make_shared<Source>(device, "norm", kChannels, kChannels, optimizer, 0.0f);
    }
    static constexpr const char* kName = "Group";
};

template <class Case>
class NormalizationSources : public testing::Test {
protected:
    using Kind = typename Case::Kind;

    /// States of a batch whose gradients for gamma and beta are sums of the drawn integers; each image's
    /// gradients differ.
    typename Kind::StateBatch states(const std::shared_ptr<typename Kind::Kernel>& kernel,
                                     const std::shared_ptr<MTL::CommandBuffer>& commands, const Numbers& g,
                                     bool temporary) const {
        Numbers x;
        for (std::size_t i = 0; i < g.size(); ++i) x.push_back(i / kChannels % 2 ? 1 : -1);
        const auto device = kernel->device();
        const auto xs = imageOf(device, 2, 2, kChannels, x, MPS::ImageFeatureChannelFormat::Float32, 3)
                            ->batchRepresentation(),
                   gs = imageOf(device, 2, 2, kChannels, g, MPS::ImageFeatureChannelFormat::Float32, 3)
                            ->batchRepresentation();
        typename Kind::Gradient gradient(device);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        kernel->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        MPS::StateBatch made;
        kernel->encodeBatch(commands, xs, &made, temporary);
        if (temporary) MPS::StateBatchIncrementReadCount(made, 1);
        gradient.encodeBatch(commands, gs, xs, made);
        return statesOf<Kind>(made);
    }
    static Numbers valuesOf(typename Case::Source& source) {
        Numbers values(source.gamma(), source.gamma() + kChannels);
        values.insert(values.end(), source.beta(), source.beta() + kChannels);
        return values;
    }
};

struct CaseNames {
    template <class Case>
    static std::string GetName(int) {
        return Case::kName;
    }
};
using Cases = testing::Types<Instance, Group>;
TYPED_TEST_SUITE(NormalizationSources, Cases, CaseNames);

TYPED_TEST(NormalizationSources, StartAsTheIdentity) {
    const auto source = TypeParam::make(MTL::createSystemDefaultDevice(), {});
    EXPECT_EQ(this->valuesOf(*source), (Numbers{1, 1, 1, 1, 0, 0, 0, 0}));
    EXPECT_EQ(source->numberOfFeatureChannels(), kChannels);
    EXPECT_EQ(source->parameterCount(), 2 * kChannels);
    EXPECT_EQ(source->sourceLabel(), "norm");
    EXPECT_EQ(source->updateCount(), 0u);
    EXPECT_EQ(source->epsilon(), 0);
}

TYPED_TEST(NormalizationSources, AStepOfPlainDescentSubtractsTheSumOverTheBatchTimesTheRate) {
    pewter::test::Random random(61);
    for (const auto& device : MTL::copyAllDevices()) {
        OptimizerSettings sgd;
        sgd.kind = OptimizerKind::StochasticGradientDescent;
        sgd.descriptor.learningRate = 0.5f;
        const auto source = TypeParam::make(device, sgd);
        const auto kernel = std::make_shared<typename TypeParam::Kind::Kernel>(device, source);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto g = pewter::test::integers(random, 3 * 4 * kChannels);
        const auto states = this->states(kernel, commands, g, true);
        const auto updated = source->updateGammaAndBeta(commands, states);
        for (const auto& state : states)
            EXPECT_EQ(state->readCount(), 0u) << "the callback's read is given back";
        kernel->reloadGammaAndBeta(commands, updated);
        pewter::test::finish(commands);
        Numbers expected{1, 1, 1, 1, 0, 0, 0, 0};
        for (std::size_t i = 0; i < g.size(); ++i) {
            expected[i % kChannels] -= 0.5 * g[i] * (i / kChannels % 2 ? 1 : -1);
            expected[kChannels + i % kChannels] -= 0.5 * g[i];
        }
        EXPECT_EQ(this->valuesOf(*source), expected) << device->name();
        EXPECT_EQ(source->updateCount(), 1u);
        source->setLearningRate(0);
        const auto more = device->newCommandQueue()->commandBuffer();
        source->updateGammaAndBeta(more, this->states(kernel, more, g, true));
        pewter::test::finish(more);
        EXPECT_EQ(this->valuesOf(*source), expected);
        EXPECT_EQ(source->updateCount(), 2u);
    }
}

TYPED_TEST(NormalizationSources, OnTheDeviceAndOnTheHostGiveTheSameBits) {
    for (const auto& device : MTL::copyAllDevices())
        for (const auto kind :
             {OptimizerKind::StochasticGradientDescent, OptimizerKind::RMSProp, OptimizerKind::Adam}) {
            OptimizerSettings settings;
            settings.kind = kind;
            settings.momentum = 0.5f;
            settings.descriptor.learningRate = 0.1f;
            const auto onDevice = TypeParam::make(device, settings),
                       onHost = TypeParam::make(device, settings);
            const auto kernel = std::make_shared<typename TypeParam::Kind::Kernel>(device, onDevice);
            pewter::test::Random random(62);
            for (int step = 0; step < 3; ++step) {
                const auto g = pewter::test::integers(random, 3 * 4 * kChannels);
                const auto commands = device->newCommandQueue()->commandBuffer();
                const auto states = this->states(kernel, commands, g, false);
                onDevice->updateGammaAndBeta(commands, states);
                pewter::test::finish(commands);
                EXPECT_TRUE(onHost->updateGammaAndBeta(states));
                EXPECT_EQ(this->valuesOf(*onDevice), this->valuesOf(*onHost)) << device->name();
            }
            EXPECT_NE(this->valuesOf(*onDevice), (Numbers{1, 1, 1, 1, 0, 0, 0, 0}));
        }
}

/// The first step of Adam is rate * g / (|g| + epsilon') whatever the size of g: one time step for gamma and
/// beta.
TYPED_TEST(NormalizationSources, AdamCountsOneStepForGammaAndBeta) {
    for (const auto& device : MTL::copyAllDevices()) {
        OptimizerSettings adam;
        adam.kind = OptimizerKind::Adam;
        adam.descriptor.learningRate = 0.25f;
        const auto source = TypeParam::make(device, adam);
        const auto kernel = std::make_shared<typename TypeParam::Kind::Kernel>(device, source);
        const auto commands = device->newCommandQueue()->commandBuffer();
        Numbers g;  // gradient of gamma 6 = 3 images * 2, of beta 6 too
        for (std::size_t i = 0; i < 3 * 4 * kChannels; ++i) g.push_back(i / kChannels % 2 ? 1 : 0);
        source->updateGammaAndBeta(commands, this->states(kernel, commands, g, true));
        pewter::test::finish(commands);
        for (std::size_t c = 0; c < kChannels; ++c) {
            EXPECT_NEAR(source->gamma()[c], 0.75, 1e-6) << device->name();
            EXPECT_NEAR(source->beta()[c], -0.25, 1e-6) << device->name();
        }
    }
}

/// A layer that must learn to double its input's deviation and add three to its mean.
TYPED_TEST(NormalizationSources, TrainALayerToItsTarget) {
    for (const auto& device : MTL::copyAllDevices()) {
        OptimizerSettings sgd;
        sgd.kind = OptimizerKind::StochasticGradientDescent;
        sgd.descriptor.learningRate = 1.0f / 24;
        const auto source = TypeParam::make(device, sgd);
        const auto kernel = std::make_shared<typename TypeParam::Kind::Kernel>(device, source);
        for (int step = 0; step < 40; ++step) {
            // For x = -1, 1 the result is beta - gamma, beta + gamma; half the squared distance to 3 - 2 and
            // 3 + 2.
            Numbers g;
            for (std::size_t i = 0; i < 3 * 4 * kChannels; ++i) {
                const std::size_t c = i % kChannels;
                const double sign = i / kChannels % 2 ? 1 : -1;
                g.push_back(source->beta()[c] + sign * source->gamma()[c] - (3 + 2 * sign));
            }
            const auto commands = device->newCommandQueue()->commandBuffer();
            kernel->reloadGammaAndBeta(
                commands, source->updateGammaAndBeta(commands, this->states(kernel, commands, g, true)));
            pewter::test::finish(commands);
        }
        // Each step halves the distance.
        for (std::size_t c = 0; c < kChannels; ++c) {
            EXPECT_NEAR(source->gamma()[c], 2, 1e-5) << device->name();
            EXPECT_NEAR(source->beta()[c], 3, 1e-5) << device->name();
        }
    }
}

/// The same layer as a node: the graph asks its source once an encode, whatever the size of the batch.
TYPED_TEST(NormalizationSources, TrainANodeOfAGraphToItsTarget) {
    for (const auto& device : MTL::copyAllDevices())
        for (const auto style :
             {MPS::NNTrainingStyle::UpdateDeviceGPU, MPS::NNTrainingStyle::UpdateDeviceCPU}) {
            OptimizerSettings sgd;
            sgd.kind = OptimizerKind::StochasticGradientDescent;
            sgd.descriptor.learningRate = 1.0f / 24;
            const auto source = TypeParam::make(device, sgd);
            const auto input = MPS::NNImageNode::node(std::make_shared<Called>("x")),
                       start = MPS::NNImageNode::node(std::make_shared<Called>("g"));
            const auto node = TypeParam::Node::node(input, source);
            node->setTrainingStyle(style);
            node->resultImage()->setExportFromGraph(true);
            node->resultImage()->setImageAllocator(MPS::Image::defaultAllocator());
            MPS::NNGraph forward(device, node->resultImage()),
                training(device, node->trainingGraph(start).at(0)->resultImage());
            for (auto* graph : {&forward, &training})
                graph->setFormat(MPS::ImageFeatureChannelFormat::Float32);
            Numbers x;
            for (std::size_t i = 0; i < 3 * 4 * kChannels; ++i) x.push_back(i / kChannels % 2 ? 1 : -1);
            const auto batch = [&](const Numbers& values) {
                return imageOf(device, 2, 2, kChannels, values, MPS::ImageFeatureChannelFormat::Float32, 3)
                    ->batchRepresentation();
            };
            for (int step = 0; step < 40; ++step) {
                forward.reloadFromDataSources();
                const auto ahead = device->newCommandQueue()->commandBuffer();
                const auto result = forward.encodeBatch(ahead, {batch(x)});
                pewter::test::finish(ahead);
                auto g = pewter::test::read(result);
                for (std::size_t i = 0; i < g.size(); ++i) g[i] -= 3 + 2 * x[i];
                const auto commands = device->newCommandQueue()->commandBuffer();
                std::vector<MPS::ImageBatch> sources;
                for (const auto& handle : training.sourceImageHandles())
                    sources.push_back(batch(handle->label() == "x" ? x : g));
                training.encodeBatch(commands, sources);
                pewter::test::finish(commands);
            }
            for (std::size_t c = 0; c < kChannels; ++c) {
                EXPECT_NEAR(source->gamma()[c], 2, 1e-5) << device->name();
                EXPECT_NEAR(source->beta()[c], 3, 1e-5) << device->name();
            }
            EXPECT_EQ(source->updateCount(), 40u);
        }
}

TEST(NormalizationSourcesAlone, RefuseANullDeviceAndNoChannels) {
    EXPECT_EQ(sentenceOf([] { InstanceNormalizationDataSource(nullptr, "norm", 4, {}); }),
              "data source norm: device: expected a device, found null.");
    EXPECT_EQ(
        sentenceOf([] { GroupNormalizationDataSource(MTL::createSystemDefaultDevice(), "norm", 0, 1, {}); }),
        "data source norm: channels: expected at least 1, found 0.");
}

TEST(NormalizationSourcesAlone, GroupsChangeWithTheNextReload) {
    const auto source = std::make_shared<GroupNormalizationDataSource>(MTL::createSystemDefaultDevice(),
                                                                       "norm", 8, 2, OptimizerSettings());
    MPS::CNNGroupNormalization kernel(MTL::createSystemDefaultDevice(), source);
    source->setNumberOfGroups(4);
    EXPECT_EQ(source->numberOfGroups(), 4u);
    EXPECT_EQ(kernel.numberOfGroups(), 2u);
    kernel.reloadGammaAndBetaFromDataSource();
    EXPECT_EQ(kernel.numberOfGroups(), 4u);
}

}  // namespace
}  // namespace pewter::train::tests
