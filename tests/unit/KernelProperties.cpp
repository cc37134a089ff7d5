#include <MPS/CNNArithmetic.hpp>
#include <MPS/CNNMultiaryKernel.hpp>
#include <MPS/CNNNeuron.hpp>
#include <MPS/CNNPooling.hpp>
#include <MPS/NNPadding.hpp>

#include "TestKernel.h"

/// What the base classes start with, tell and take that no other test needs on its own.
using namespace pewter::test;
using namespace MPS;

namespace {

/// The sum of its sources, each moved by its offset.
class Total final : public CNNMultiaryKernel {
public:
    explicit Total(std::size_t sources) : CNNMultiaryKernel(testDevice(), sources) {}
    const char* className() const override { return "Total"; }

protected:
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::vector<ImagePtr>&,
                                          const StateBatch&, const ImagePtr&) override {
        return std::make_shared<NNMultiaryGradientState>(owner, StateResourceList::bufferSizes({16}));
    }
    void record(pewter::mps::MultiaryEncoding& encoding) override {
        auto& encoder = *encoding.encoder;
        for (std::size_t i = 0; i < encoding.sources.size(); ++i) {
            const auto from = encoder.region(encoding.sources[i].tensor, offsetAtIndex(i).x,
                                             offsetAtIndex(i).y, encoding.clip.width, encoding.clip.height,
                                             pewter::mps::edgeOf(edgeModeAtIndex(i)));
            encoder.run([from, to = encoding.destination, first = i == 0] {
                pewter::ops::Arithmetic op;
                op.primary = first ? from.tensor() : to.tensor();
                op.secondary = from.tensor();
                op.secondaryScale = first ? 0 : 1;
                op.dst = to.tensor();
                return op;
            });
        }
    }
};

ImagePtr zeros(std::size_t width, std::size_t height, std::size_t channels) {
    return makeImage(width, height, channels, 0, 1, true);
}

}  // namespace

TEST(KernelProperties, DevicesSayWhatTheyAre) {
    for (const auto& device : MTL::copyAllDevices()) {
        EXPECT_FALSE(device->isRemovable());
        EXPECT_FALSE(device->isLowPower());
        if (device->name() == "reference" || device->name() == "cpu") {
            EXPECT_TRUE(device->isHeadless());
            EXPECT_TRUE(device->hasUnifiedMemory());
        }
        // Three quarters of what a single buffer may have at most.
        EXPECT_EQ(device->recommendedMaxWorkingSetSize(), device->maxBufferLength() / 4 * 3);
        EXPECT_EQ(device->newCommandQueue()->device(), device);
        EXPECT_EQ(device->newFence()->device(), device);

        MTL::TextureDescriptor texture;
        texture.width = 5;
        texture.height = 3;
        texture.pixelFormat = MTL::PixelFormat::RGBA32Float;
        const auto needs = device->heapTextureSizeAndAlign(texture);
        EXPECT_GE(needs.size, 5u * 3 * 16);
        EXPECT_EQ(needs.size % needs.align, 0u);

        MTL::HeapDescriptor descriptor;
        descriptor.size = 4096;
        descriptor.storageMode = MTL::StorageMode::Shared;
        const auto heap = device->newHeap(descriptor);
        EXPECT_EQ(heap->storageMode(), MTL::StorageMode::Shared);
        EXPECT_EQ(heap->newBuffer(64, MTL::ResourceStorageModeShared)->heap(), heap);

        const auto buffer = device->newBuffer(64);
        EXPECT_EQ(buffer->device(), device);
        EXPECT_EQ(buffer->cpuCacheMode(), MTL::CPUCacheMode::DefaultCache);
        buffer->setLabel("weights");
        EXPECT_EQ(buffer->label(), "weights");
    }
}

TEST(KernelProperties, ImagesTakeTheModesOfTheirDescriptorAndOfItsCopy) {
    for (const auto& device : MTL::copyAllDevices()) {
        auto d = ImageDescriptor::imageDescriptor(ImageFeatureChannelFormat::Float32, 2, 1, 1);
        const auto managed = d;
        d.storageMode = MTL::StorageMode::Private;
        d.cpuCacheMode = MTL::CPUCacheMode::WriteCombined;
        const auto given = std::make_shared<Image>(device, managed),
                   taken = std::make_shared<Image>(device, managed);
        const auto hidden = std::make_shared<Image>(device, ImageDescriptor(d));
        EXPECT_EQ(hidden->texture()->storageMode(), MTL::StorageMode::Private);
        EXPECT_EQ(hidden->texture()->cpuCacheMode(), MTL::CPUCacheMode::WriteCombined);
        EXPECT_EQ(given->texture()->storageMode(), MTL::StorageMode::Managed);
        float values[] = {3, -4};
        given->writeBytes(values, DataLayout::HeightxWidthxFeatureChannels, 0);
        EXPECT_THROW(hidden->readBytes(values, DataLayout::HeightxWidthxFeatureChannels, 0), MTL::Error);
        CNNNeuron twice(device, NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::Linear, 2, 0));
        const auto commands = device->newCommandQueue()->commandBuffer();
        twice.encode(commands, given, hidden);
        twice.encode(commands, hidden, taken);
        commands->commit();
        commands->waitUntilCompleted();
        taken->readBytes(values, DataLayout::HeightxWidthxFeatureChannels, 0);
        EXPECT_EQ(values[0], 12) << device->name();
        EXPECT_EQ(values[1], -16) << device->name();
    }
}

TEST(KernelProperties, KernelsStartWithTheDefaultsOfTheDocumentation) {
    const CNNNeuron neuron(testDevice(), NNNeuronDescriptor());
    EXPECT_EQ(neuron.device(), testDevice());
    EXPECT_EQ(neuron.label(), "");
    EXPECT_EQ(neuron.options() & ~KernelOptionsVerbose, KernelOptionsNone);
    EXPECT_EQ(neuron.offset(), Offset());
    EXPECT_EQ(neuron.clipRect(), RectNoClip);
    EXPECT_EQ(neuron.sourceFeatureChannelMaxCount(), std::numeric_limits<std::size_t>::max());
    EXPECT_EQ(neuron.kernelWidth() + neuron.kernelHeight(), 2u);
    EXPECT_EQ(neuron.padding()->paddingMethod(), NNPaddingMethodSizeSame);
    EXPECT_EQ(neuron.destinationImageAllocator(), TemporaryImage::defaultAllocator());
    EXPECT_FALSE(neuron.isBackwards());
    EXPECT_FALSE(neuron.isStateModified());
    EXPECT_FALSE(neuron.appendBatchBarrier());

    const CNNDilatedPoolingMax pooling(testDevice(), 2, 3, 4, 5, 6, 7);
    EXPECT_EQ(pooling.kernelWidth(), 2u);
    EXPECT_EQ(pooling.kernelHeight(), 3u);
    EXPECT_EQ(pooling.dilationRateX(), 4u);
    EXPECT_EQ(pooling.dilationRateY(), 5u);
    EXPECT_EQ(pooling.strideInPixelsX(), 6u);
    EXPECT_EQ(pooling.strideInPixelsY(), 7u);

    const CNNPoolingMaxGradient gradient(testDevice(), 2, 3, 4, 5);
    EXPECT_EQ(gradient.primaryOffset(), Offset());
    EXPECT_EQ(gradient.kernelOffsetX() + gradient.kernelOffsetY(), 0);
    EXPECT_EQ(gradient.secondaryDilationRateX() + gradient.secondaryDilationRateY(), 2u);
    EXPECT_FALSE(gradient.isBackwards());
    EXPECT_FALSE(gradient.isStateModified());

    SumKernel sum;
    EXPECT_EQ(sum.primaryKernelWidth() + sum.primaryKernelHeight(), 2u);
    EXPECT_EQ(sum.secondaryKernelWidth() + sum.secondaryKernelHeight(), 2u);
    EXPECT_EQ(sum.primaryStrideInPixelsX() + sum.primaryStrideInPixelsY(), 2u);
    EXPECT_EQ(sum.primaryDilationRateX() + sum.primaryDilationRateY(), 2u);
    EXPECT_EQ(sum.secondarySourceFeatureChannelMaxCount(), std::numeric_limits<std::size_t>::max());
    EXPECT_EQ(sum.destinationImageAllocator(), TemporaryImage::defaultAllocator());
    EXPECT_FALSE(sum.isBackwards());
    EXPECT_FALSE(sum.isStateModified());
    EXPECT_FALSE(sum.appendBatchBarrier());
}

TEST(KernelProperties, ResourceListsTakeSeveralResourcesAtOnce) {
    const State buffers(testDevice(), StateResourceList::bufferSizes({64, 4096}));
    ASSERT_EQ(buffers.resourceCount(), 2u);
    EXPECT_EQ(buffers.bufferSize(0), 64u);
    EXPECT_EQ(buffers.bufferSize(1), 4096u);
    MTL::TextureDescriptor small, wide;
    wide.width = 9;
    auto list = StateResourceList::textureDescriptors({small, wide});
    list.appendBuffer(16);
    const State textures(testDevice(), list);
    ASSERT_EQ(textures.resourceCount(), 3u);
    EXPECT_EQ(textures.textureInfo(0).width, 1u);
    EXPECT_EQ(textures.textureInfo(1).width, 9u);
    EXPECT_EQ(textures.bufferSize(2), 16u);
}

TEST(KernelProperties, PaddingPoliciesHaveLabels) {
    EXPECT_EQ(NNDefaultPadding::padding(NNPaddingMethodSizeFull)->label(), "full size, method 0x20");
    EXPECT_EQ(NNDefaultPadding::paddingForTensorflowAveragePooling()->label(),
              "TensorFlow average pooling, same size");
    struct Silent final : NNPadding {
        NNPaddingMethod paddingMethod() const override { return NNPaddingMethodSizeSame; }
    };
    EXPECT_EQ(Silent().label(), "");
}

TEST(KernelProperties, ScratchMemoryIsEstimatedAsNone) {
    const CopyKernel copy;
    const auto image = zeros(4, 4, 4);
    EXPECT_EQ(copy.encodingStorageSize(image, {}, image), 0u);
    EXPECT_EQ(copy.batchEncodingStorageSize({image}, {}, {image}), 0u);
    const SumKernel sum;
    EXPECT_EQ(sum.encodingStorageSize(image, image, {}, nullptr), 0u);
    EXPECT_EQ(sum.batchEncodingStorageSize({image}, {image}, {}, {}), 0u);
}

TEST(KernelProperties, EachSourceOfABinaryKernelHasChannelsOfItsOwn) {
    SumKernel sum;
    sum.setPrimarySourceFeatureChannelOffset(4);
    sum.setPrimarySourceFeatureChannelMaxCount(2);
    sum.setSecondarySourceFeatureChannelOffset(8);
    sum.setSecondarySourceFeatureChannelMaxCount(2);
    sum.setDestinationFeatureChannelOffset(4);
    EXPECT_EQ(sum.primarySourceFeatureChannelOffset(), 4u);
    EXPECT_EQ(sum.primarySourceFeatureChannelMaxCount(), 2u);
    EXPECT_EQ(sum.secondarySourceFeatureChannelOffset(), 8u);
    EXPECT_EQ(sum.secondarySourceFeatureChannelMaxCount(), 2u);
    EXPECT_EQ(sum.destinationFeatureChannelOffset(), 4u);
    const auto result = zeros(1, 1, 8);
    const auto commands = testQueue()->commandBuffer();
    // Channels 4, 5 of 0 ... 11 and 8, 9 of 100 ... 111.
    sum.encode(commands, makeImage(1, 1, 12), makeImage(1, 1, 12, 100), result);
    run(commands);
    EXPECT_EQ(readFloats(*result), (std::vector<float>{0, 0, 0, 0, 112, 114, 0, 0}));
}

TEST(KernelProperties, SourcesOfAMultiaryKernelHaveWindowsOfTheirOwn) {
    Total total(2);
    EXPECT_EQ(total.sourceCount(), 2u);
    EXPECT_FALSE(total.isBackwards());
    EXPECT_FALSE(total.isStateModified());
    EXPECT_FALSE(total.isResultStateReusedAcrossBatch());
    EXPECT_FALSE(total.appendBatchBarrier());
    EXPECT_EQ(total.kernelWidthAtIndex(1) + total.strideInPixelsXatIndex(1) + total.dilationRateYatIndex(1),
              3u);
    total.setKernelWidth(3, 0);
    total.setKernelHeight(1, 0);
    total.setKernelWidth(5, 1);
    total.setKernelHeight(3, 1);
    for (std::size_t i = 0; i < 2; ++i) {
        total.setStrideInPixelsX(2, i);
        total.setStrideInPixelsY(1, i);
    }
    total.setDilationRateX(1, 1);
    total.setDilationRateY(2, 1);
    EXPECT_EQ(total.kernelHeightAtIndex(1), 3u);
    EXPECT_EQ(total.strideInPixelsYatIndex(0), 1u);
    EXPECT_EQ(total.dilationRateXatIndex(1), 1u);
    EXPECT_EQ(total.dilationRateYatIndex(1), 2u);
    total.setPadding(NNDefaultPadding::padding(NNPaddingMethodSizeValidOnly));
    // Source 0 gives the size: (9 - 3) / 2 + 1 by 6. The windows of source 1, 5 pixels by 5 with the
    // dilation, just fit: (4 - 1) * 2 + 5 = 11 and 6 - 1 + 5 = 10.
    const auto d = total.destinationImageDescriptor({zeros(9, 6, 1), zeros(11, 10, 1)});
    EXPECT_EQ(d.width, 4u);
    EXPECT_EQ(d.height, 6u);
    EXPECT_EQ(total.offsetAtIndex(0), (Offset{1, 0, 0}));
    EXPECT_EQ(total.offsetAtIndex(1), (Offset{2, 2, 0}));

    total.setSourceFeatureChannelMaxCount(1, 0);
    total.setSourceFeatureChannelMaxCount(1, 1);
    total.setOffset({0, 0, 0}, 0);
    total.setOffset({0, 0, 0}, 1);
    EXPECT_EQ(total.sourceFeatureChannelMaxCountAtIndex(1), 1u);
    const auto result = zeros(1, 1, 1);
    const auto commands = testQueue()->commandBuffer();
    total.encode(commands, {makeImage(1, 1, 3, 5), makeImage(1, 1, 2, 20)}, result);
    run(commands);
    EXPECT_EQ(readFloats(*result), std::vector<float>{25});

    total.setSourceFeatureChannelOffset(4, 1);
    EXPECT_EQ(total.sourceFeatureChannelOffsetAtIndex(0), 0u);
    EXPECT_EQ(total.sourceFeatureChannelOffsetAtIndex(1), 4u);
    const auto next = testQueue()->commandBuffer();
    const auto wide = makeImage(1, 1, 5, 20);
    total.encode(next, {makeImage(1, 1, 3, 5), wide}, result);
    run(next);
    EXPECT_EQ(readFloats(*result)[0], 5 + readFloats(*wide)[4]);
}

TEST(KernelProperties, AMultiaryKernelMakesStatesInEveryForm) {
    Total total(2);
    total.setDestinationImageAllocator(Image::defaultAllocator());
    const auto a = makeImage(2, 1, 1, 1), b = makeImage(2, 1, 1, 10), y = zeros(2, 1, 1);
    const auto commands = testQueue()->commandBuffer();
    std::shared_ptr<State> state;
    const auto result = total.encode(commands, {a, b}, &state, true);
    ASSERT_TRUE(state);
    EXPECT_EQ(state->readCount(), 1u);
    EXPECT_EQ(dynamic_cast<NNMultiaryGradientState&>(*state).records().size(), 2u);
    state->setReadCount(0);
    EXPECT_FALSE(total.resultState({a, b}, {}, y)->isTemporary());
    const auto temporary = total.temporaryResultState(commands, {a, b}, {}, y);
    EXPECT_TRUE(temporary->isTemporary());
    temporary->setReadCount(0);
    const auto plainBatch = total.resultStateBatch({{a, b}, {b, a}}, {}, {y, zeros(2, 1, 1)});
    ASSERT_EQ(plainBatch.size(), 2u);
    EXPECT_NE(plainBatch[0], plainBatch[1]);
    const auto temporaryBatch =
        total.temporaryResultStateBatch(commands, {{a, b}, {b, a}}, {}, {y, zeros(2, 1, 1)});
    ASSERT_EQ(temporaryBatch.size(), 2u);
    EXPECT_TRUE(temporaryBatch[1]->isTemporary());
    StateBatchIncrementReadCount(temporaryBatch, -1);
    run(commands);
    EXPECT_EQ(readFloats(*result), (std::vector<float>{11, 13}));
}
