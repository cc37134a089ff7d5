#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/Kernel.hpp>

#include "TestKernel.h"

using namespace pewter::test;
using namespace MPS;
using testing::HasSubstr;

namespace {

/// Every refused encode must say one sentence and leave commands, heap and read counts as they were.
class CoreErrors : public testing::Test {
protected:
    CoreErrors() {
        kernel.setLabel("k");
        sum.setLabel("s");
        gradient.setLabel("g");
        kernel.encode(commands, makeImage(4, 4, 8), t);
        kernel.encode(commands, makeImage(4, 4, 8), u);
    }
    ~CoreErrors() override {
        // Everything still works after the refusals.
        if (commands->status() != MTL::CommandBufferStatus::NotEnqueued) return;
        for (const auto& image : {t, u})
            if (image->readCount() > 0) image->setReadCount(0);
        run(commands);
    }

    void refuses(const std::function<void()>& encode, const std::string& part) {
        const Recorded before(commands);
        const auto a = t->readCount(), b = u->readCount();
        const Diagnostics diagnostics;
        const auto sentence = errorOf(encode);
        EXPECT_THAT(sentence, HasSubstr(part));
        EXPECT_THAT(sentence, HasSubstr("expected "));
        EXPECT_THAT(sentence, HasSubstr("found "));
        EXPECT_EQ(Recorded(commands).commands, before.commands) << sentence;
        EXPECT_EQ(Recorded(commands).liveBytes, before.liveBytes) << sentence;
        EXPECT_EQ(t->readCount(), a) << sentence;
        EXPECT_EQ(u->readCount(), b) << sentence;
    }

    BufferPtr commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    SumKernel sum;
    ProductGradient gradient;
    std::shared_ptr<TemporaryImage> t = makeTemporary(commands, 4, 4, 8, 3),
                                    u = makeTemporary(commands, 4, 4, 8, 3);
    ImagePtr plain = makeImage(4, 4, 8);
};

}  // namespace

TEST_F(CoreErrors, TheCommandBufferMustBeThereUncommittedAndWithoutAnOpenEncoder) {
    refuses([&] { kernel.encode(nullptr, t, plain); },
            "CopyKernel 'k': commandBuffer: expected a command buffer");
    refuses([&] { kernel.encode(nullptr, t); }, "commandBuffer");
    refuses([&] { sum.encode(nullptr, t, u); }, "SumKernel 's': commandBuffer");
    const auto done = testQueue()->commandBuffer();
    run(done);
    refuses([&] { kernel.encode(done, plain); }, "not committed yet");
    const auto blit = commands->blitCommandEncoder();
    EXPECT_THAT(errorOf([&] { kernel.encode(commands, t, plain); }), HasSubstr("without an open encoder"));
    blit->endEncoding();
}

TEST_F(CoreErrors, NullImagesAreRefusedByName) {
    refuses([&] { kernel.encode(commands, nullptr, plain); },
            "CopyKernel 'k': sourceImage: expected an image, found null");
    refuses([&] { kernel.encode(commands, t, nullptr); }, "destinationImage: expected an image, found null");
    refuses([&] { kernel.encode(commands, ImagePtr()); }, "sourceImage");
    refuses(
        [&] {
            kernel.encodeBatch(commands, {t, nullptr});
        },
        "sourceImage[1]: expected an image, found null");
    refuses([&] { sum.encode(commands, t, nullptr, plain); }, "secondaryImage");
    refuses(
        [&] {
            gradient.encode(commands, nullptr, t,
                            std::make_shared<NNGradientState>(StateOwner::of(testDevice())));
        },
        "sourceGradient");
}

TEST_F(CoreErrors, EverythingMustBelongToTheKernelsDevice) {
    const auto devices = MTL::copyAllDevices();
    if (devices.size() < 2) GTEST_SKIP() << "one device only";
    const auto other = devices[0] == testDevice() ? devices[1] : devices[0];
    const auto image = std::make_shared<Image>(other, describe(4, 4, 8));
    const auto foreign = other->newCommandQueue()->commandBuffer();
    refuses([&] { kernel.encode(commands, image, plain); },
            "sourceImage: expected an image of device reference");
    refuses([&] { kernel.encode(commands, t, image); },
            "destinationImage: expected an image of device reference");
    refuses([&] { kernel.encode(foreign, plain); }, "commandBuffer: expected one of device reference");
    refuses([&] { kernel.encode(commands, t, std::make_shared<State>(other, 64), plain); },
            "destinationState: expected a state of device reference");
    refuses(
        [&] { gradient.encode(commands, t, u, std::make_shared<NNGradientState>(StateOwner::of(other))); },
        "gradientState: expected a state of device reference");
}

TEST_F(CoreErrors, SpentTemporariesNameTheirLastReader) {
    const auto spent = makeTemporary(commands, 4, 4, 8);
    kernel.encode(commands, plain, spent);
    kernel.encode(commands, spent, makeImage(4, 4, 8));
    refuses([&] { kernel.encode(commands, spent, plain); },
            "with read count 0 (last read by CopyKernel 'k')");
    refuses([&] { kernel.encode(commands, t, spent); },
            "destinationImage: expected a read count of at least 1");
    refuses([&] { kernel.encodeBatch(commands, {spent, t}); }, "last read by CopyKernel 'k'");
    refuses([&] { sum.encode(commands, t, spent); }, "SumKernel 's': secondaryImage");
    const auto state = State::temporaryState(commands, 64);
    state->setReadCount(0);
    refuses([&] { kernel.encode(commands, t, state, plain); },
            "destinationState: expected a read count of at least 1");
}

TEST_F(CoreErrors, TemporariesOfAnotherCommandBufferAreRefused) {
    const auto other = testQueue()->commandBuffer();
    const auto stray = makeTemporary(other, 4, 4, 8);
    const auto state = State::temporaryState(other, 64);
    refuses([&] { kernel.encode(commands, stray, plain); }, "of another command buffer");
    refuses([&] { kernel.encode(commands, t, stray); }, "of another command buffer");
    refuses([&] { kernel.encode(commands, t, state, plain); }, "temporary state of another command buffer");
    stray->setReadCount(0);
    state->setReadCount(0);
}

TEST_F(CoreErrors, ADestinationMayNotShareMemoryWithASource) {
    refuses([&] { kernel.encode(commands, t, t); }, "an image that shares no memory with sourceImage");
    refuses([&] { kernel.encode(commands, plain, plain); }, "shares no memory");
    refuses([&] { sum.encode(commands, t, u, u); }, "shares no memory with secondaryImage");
    const ImagePtr a = makeImage(4, 4, 8), b = makeImage(4, 4, 8);
    refuses([&] { kernel.encodeBatch(commands, {a, b}, {plain, a}); }, "shares no memory");
    refuses([&] { kernel.encode(commands, plain, plain->subImage({0, 8})); }, "shares no memory");
    refuses(
        [&] {
            kernel.encode(commands, plain->subImage({0, 8}), plain->subImage({4, 4}));
        },
        "shares no memory");
    const auto around = std::make_shared<Image>(plain->texture(), 8),
               again = std::make_shared<Image>(plain->texture(), 8);
    refuses([&] { kernel.encode(commands, plain, around); }, "shares no memory");
    refuses([&] { kernel.encode(commands, around, again); }, "shares no memory");
    const auto several = makeImage(4, 4, 8, 0, 3);
    const auto views = several->batchRepresentation();
    refuses([&] { kernel.encode(commands, several, views[1]); }, "shares no memory");
    EXPECT_EQ(errorOf([&] { kernel.encode(commands, views[0], views[1]); }), "") << "disjoint parts may";
}

TEST_F(CoreErrors, ADestinationMayStandInABatchOnce) {
    const ImagePtr a = makeImage(4, 4, 8), b = makeImage(4, 4, 8), c = makeImage(4, 4, 8);
    refuses([&] { kernel.encodeBatch(commands, {a, b}, {c, c}); }, "distinct images");
    const auto batch = Image::defaultAllocator()->imageBatch(commands, describe(4, 4, 8), &kernel, 3);
    refuses(
        [&] {
            kernel.encodeBatch(commands, {a, b, c, a}, {batch[0], batch[1], batch[2], batch[1]});
        },
        "distinct images");
}

TEST_F(CoreErrors, DestinationsOfOneBatchMayNotShareMemory) {
    const ImagePtr a = makeImage(4, 4, 8), b = makeImage(4, 4, 8), c = makeImage(4, 4, 16);
    const std::string apart = "destinationImages: expected images that share no memory with each other";
    refuses([&] { kernel.encodeBatch(commands, {a, b}, {c->subImage({0, 8}), c->subImage({4, 8})}); }, apart);
    refuses([&] { kernel.encodeBatch(commands, {a, b}, {c->subImage({8, 8}), c->subImage({8, 8})}); }, apart);
    const auto around = std::make_shared<Image>(plain->texture(), 8),
               again = std::make_shared<Image>(plain->texture(), 8);
    refuses([&] { kernel.encodeBatch(commands, {a, b}, {around, again}); }, apart);
    refuses(
        [&] {
            kernel.encodeBatch(commands, {a, b, a}, {around, makeImage(4, 4, 8), plain});
        },
        "which overlap");
    EXPECT_EQ(errorOf([&] {
                  kernel.encodeBatch(commands, {a, b}, {c->subImage({8, 8}), c->subImage({0, 8})});
              }),
              "")
        << "disjoint channels of the same pixels may";
    const auto several = makeImage(4, 4, 8, 0, 3)->batchRepresentation();
    EXPECT_EQ(errorOf([&] { kernel.encodeBatch(commands, {a, b}, {several[2], several[0]}); }), "");
    refuses(
        [&] {
            kernel.encodeBatch(commands, {a, b},
                               {several[1]->subImage({0, 8}), several[1]->subImage({4, 4})});
        },
        "the size and format of the batch's first image");
}

TEST_F(CoreErrors, UsageMustAllowReadingSourcesAndWritingDestinations) {
    const auto with = [](MTL::TextureUsage usage) {
        auto d = describe(4, 4, 8);
        d.usage = usage;
        return std::make_shared<Image>(testDevice(), d);
    };
    const auto readable = with(MTL::TextureUsageShaderRead), writable = with(MTL::TextureUsageShaderWrite);
    refuses([&] { kernel.encode(commands, t, readable); },
            "CopyKernel 'k': destinationImage: expected an image whose usage has ShaderWrite, found Image: 4 "
            "x 4 x 8");
    refuses([&] { kernel.encodeBatch(commands, {t, u}, {writable, readable}); }, "usage has ShaderWrite");
    refuses([&] { kernel.encode(commands, writable, plain); },
            "sourceImage: expected an image whose usage has ShaderRead, found Image: 4 x 4 x 8, 1 image, "
            "float32 with usage 0x2");
    refuses([&] { kernel.encode(commands, writable); },
            "sourceImage: expected an image whose usage has ShaderRead");
    refuses([&] { sum.encode(commands, t, writable, plain); },
            "secondaryImage: expected an image whose usage has ShaderRead");
    EXPECT_EQ(errorOf([&] { kernel.encode(commands, readable, writable); }), "");
    const auto unknown = with(MTL::TextureUsageUnknown);
    EXPECT_EQ(errorOf([&] { kernel.encode(commands, readable, unknown); }), "")
        << "unknown allows everything";
    EXPECT_EQ(errorOf([&] { kernel.encode(commands, unknown, writable); }), "");
}

TEST_F(CoreErrors, TheHostReachesAPrivateImageOnlyThroughAnother) {
    auto d = describe(4, 4, 8);
    d.storageMode = MTL::StorageMode::Private;
    const auto hidden = std::make_shared<Image>(testDevice(), d);
    std::vector<float> values(128);
    const auto layout = DataLayout::HeightxWidthxFeatureChannels;
    const std::string how =
        "encode a kernel between it and an image with managed storage, found private storage";
    EXPECT_THAT(errorOf([&] { hidden->readBytes(values.data(), layout, 0); }), HasSubstr(how));
    EXPECT_THAT(errorOf([&] { hidden->writeBytes(values.data(), layout, 0); }), HasSubstr(how));
    EXPECT_THAT(errorOf([&] {
                    hidden->subImage({4, 4})->readBytes(values.data(), layout, 0);
                }),
                HasSubstr(how));
    const auto around = std::make_shared<Image>(hidden->texture(), 8);
    EXPECT_THAT(errorOf([&] { around->readBytes(values.data(), layout, 0); }), HasSubstr(how));
    // The way that the sentence names.
    const auto there = testQueue()->commandBuffer();
    const auto back = makeImage(4, 4, 8, 500);
    kernel.encode(there, plain, hidden);
    kernel.encode(there, hidden, back);
    run(there);
    EXPECT_EQ(readFloats(*back), readFloats(*plain));
}

TEST_F(CoreErrors, AHeapProviderGivesHeapsOfTheDeviceAndOfNoOtherClass) {
    class Foreign final : public MTL::Heap {
    public:
        const std::string& label() const override { return label_; }
        void setLabel(const std::string& label) override { label_ = label; }
        std::shared_ptr<MTL::Device> device() const override { return testDevice(); }
        MTL::StorageMode storageMode() const override { return MTL::StorageMode::Private; }
        std::size_t size() const override { return 1 << 20; }
        std::size_t usedSize() const override { return 0; }
        std::size_t maxAvailableSize(std::size_t) const override { return 1 << 20; }
        std::shared_ptr<MTL::Buffer> newBuffer(std::size_t, MTL::ResourceOptions) override { return nullptr; }

    private:
        std::string label_;
    };
    class Provider final : public HeapProvider {
    public:
        std::shared_ptr<MTL::Heap> newHeap(const MTL::HeapDescriptor& d) override { return make(d); }
        std::function<std::shared_ptr<MTL::Heap>(const MTL::HeapDescriptor&)> make;
    };
    const auto provider = std::make_shared<Provider>();
    const auto wrapper = MPS::CommandBuffer::commandBufferFromCommandQueue(testQueue());
    wrapper->setHeapProvider(provider);
    const auto result = makeImage(4, 4, 8);
    kernel.encode(wrapper, kernel.encode(wrapper, plain), result);
    provider->make = [](const MTL::HeapDescriptor&) { return std::make_shared<Foreign>(); };
    EXPECT_THAT(
        errorOf([&] { wrapper->commit(); }),
        HasSubstr(
            "heap provider: newHeap: expected a heap made by MTL::Device::newHeap(), found an object of "
            "another class derived from MTL::Heap"));
    for (const auto& other : MTL::copyAllDevices())
        if (other != testDevice()) {
            provider->make = [&](const MTL::HeapDescriptor& d) { return other->newHeap(d); };
            EXPECT_THAT(errorOf([&] { wrapper->commit(); }),
                        HasSubstr("a heap of device reference, found one of device " + other->name()));
        }
    // The buffer is as it was, and commits once the provider behaves.
    provider->make = [](const MTL::HeapDescriptor& d) { return testDevice()->newHeap(d); };
    EXPECT_EQ(errorOf([&] { wrapper->commit(); }), "");
    wrapper->waitUntilCompleted();
    EXPECT_EQ(readFloats(*result), readFloats(*plain));
}

TEST_F(CoreErrors, ChannelOffsetsAreMultiplesOfFourInsideTheImage) {
    kernel.setSourceFeatureChannelOffset(2);
    refuses([&] { kernel.encode(commands, t, plain); },
            "sourceFeatureChannelOffset: expected a multiple of 4, found 2");
    refuses([&] { kernel.encode(commands, t); }, "sourceFeatureChannelOffset");
    kernel.setSourceFeatureChannelOffset(8);
    refuses([&] { kernel.encode(commands, t, plain); }, "less than the image's 8 channels");
    kernel.setSourceFeatureChannelOffset(0);
    kernel.setSourceFeatureChannelMaxCount(0);
    refuses([&] { kernel.encode(commands, t, plain); }, "at least one channel to read");
    kernel.setSourceFeatureChannelMaxCount(100);
    kernel.setDestinationFeatureChannelOffset(3);
    refuses([&] { kernel.encode(commands, t, makeImage(4, 4, 16)); },
            "destinationFeatureChannelOffset: expected a multiple of 4");
    kernel.setDestinationFeatureChannelOffset(4);
    refuses([&] { kernel.encode(commands, t, plain); }, "at least 12 feature channels (8 from channel 4)");
    sum.setSecondarySourceFeatureChannelOffset(1);
    refuses([&] { sum.encode(commands, t, u, plain); },
            "secondarySourceFeatureChannelOffset: expected a multiple of 4");
}

TEST_F(CoreErrors, ZRangesLieInsideBothImages) {
    const auto source = makeImage(4, 4, 8, 0, 3), result = makeImage(4, 4, 8, 0, 2);
    kernel.setOffset({0, 0, -1});
    refuses([&] { kernel.encode(commands, source, result); }, "offset.z: expected 0 to 2");
    kernel.setOffset({0, 0, 3});
    refuses([&] { kernel.encode(commands, source, result); }, "found 3");
    kernel.setOffset({0, 0, 0});
    kernel.setClipRect({{0, 0, 2}, {4, 4, 1}});
    refuses([&] { kernel.encode(commands, source, result); }, "clipRect.origin.z: expected 0 to 1");
    kernel.setClipRect({{0, 0, 0}, {4, 4, 3}});
    refuses([&] { kernel.encode(commands, source, result); },
            "clipRect.size.depth: expected at most 2 images");
    sum.setSecondaryOffset({0, 0, 5});
    refuses([&] { sum.encode(commands, t, u, plain); }, "offset.z");
}

TEST_F(CoreErrors, BatchesHaveEqualCountsOfEqualSingleImages) {
    const ImagePtr a = makeImage(4, 4, 8), b = makeImage(4, 4, 8);
    refuses(
        [&] {
            kernel.encodeBatch(commands, {t, u}, ImageBatch{plain});
        },
        "destinationImages: expected 2 images");
    refuses(
        [&] {
            kernel.encodeBatch(commands, {t, u}, StateBatch{std::make_shared<State>(testDevice(), 64)},
                               {a, b});
        },
        "destinationStates: expected 2 entries");
    refuses([&] { kernel.encodeBatch(commands, {t, makeImage(4, 4, 8, 0, 2)}); }, "sourceImage[1]");
    refuses([&] { kernel.encodeBatch(commands, ImageBatch{makeImage(4, 4, 8, 0, 2)}); }, "holds one picture");
    refuses(
        [&] {
            kernel.encodeBatch(commands, {t, makeImage(5, 4, 8)});
        },
        "the size and format of the batch's first image");
    refuses([&] { kernel.encodeBatch(commands, {t, makeImage(4, 4, 7)}); }, "sourceImage[1]");
    refuses(
        [&] {
            kernel.encodeBatch(
                commands, {t, std::make_shared<Image>(testDevice(), describe(4, 4, 8, 1, Format::Float16))});
        },
        "float16");
    refuses([&] { kernel.encodeBatch(commands, {t, u}, {a, makeImage(4, 5, 8)}); }, "destinationImage[1]");
    refuses([&] { sum.encodeBatch(commands, {t, u}, {a}); }, "secondaryImage");
    refuses([&] { sum.encodeBatch(commands, {t}, {u}, ImageBatch{}); }, "destinationImages");
    refuses([&] { kernel.resultStateBatch({t, u}, {}, {a}); }, "destinationImage: expected 2 images");
}

TEST_F(CoreErrors, AGradientNeedsAStateOfItsClassForEveryImage) {
    const auto none = std::shared_ptr<State>();
    refuses([&] { gradient.encode(commands, t, u, none); },
            "ProductGradient 'g': gradientState: expected a NNGradientState, found null");
    refuses([&] { gradient.encode(commands, t, u, none, plain); }, "found null");
    const auto wrong = std::make_shared<State>(testDevice(), 64);
    refuses([&] { gradient.encode(commands, t, u, wrong); }, "found a State");
    const auto binary = std::make_shared<NNBinaryGradientState>(StateOwner::of(testDevice()));
    refuses([&] { gradient.encode(commands, t, u, binary, plain); }, "found a NNBinaryGradientState");
    const auto good = std::make_shared<NNGradientState>(StateOwner::of(testDevice()));
    refuses(
        [&] {
            gradient.encodeBatch(commands, {t}, {u}, StateBatch{good, good});
        },
        "1 states, one for each image");
    refuses([&] { gradient.encodeBatch(commands, {t}, {u}, StateBatch{}); }, "found 0");
    refuses([&] { gradient.encode(commands, t, u, good); }, "a state that an encode has filled");
    refuses([&] { gradient.encodeBatch(commands, {t}, {u}, StateBatch{good}, ImageBatch{}); },
            "destinationGradients");
}

TEST_F(CoreErrors, AGradientRefusesThePlainFormsOfAKernelWithTwoSources) {
    CNNBinaryKernel& plainForms = gradient;
    std::shared_ptr<State> state;
    StateBatch states;
    refuses([&] { plainForms.encode(commands, t, u, plain); }, "a form with a gradient state");
    refuses([&] { plainForms.encode(commands, t, u); }, "a form with a gradient state");
    refuses([&] { plainForms.encodeBatch(commands, {t}, {u}); }, "a form with a gradient state");
    refuses([&] { plainForms.encodeBatch(commands, {t}, {u}, ImageBatch{plain}); },
            "a form with a gradient state");
    refuses([&] { plainForms.encode(commands, t, u, &state, true); }, "a form with a gradient state");
    refuses([&] { plainForms.encodeBatch(commands, {t}, {u}, &states, true); },
            "a form with a gradient state");
}

TEST_F(CoreErrors, OnlyZeroAndClampAreEdgeModesOfCnnKernels) {
    for (const auto mode : {ImageEdgeMode::Mirror, ImageEdgeMode::MirrorWithEdge, ImageEdgeMode::Constant}) {
        kernel.setEdgeMode(mode);
        refuses([&] { kernel.encode(commands, t, plain); }, "edgeMode: expected Zero or Clamp");
        refuses([&] { kernel.encode(commands, t); }, "edgeMode");
        sum.setSecondaryEdgeMode(mode);
        refuses([&] { sum.encode(commands, t, u, plain); }, "secondaryEdgeMode");
    }
}

TEST_F(CoreErrors, OutParametersAndDestinationStatesMayNotBeNull) {
    refuses([&] { kernel.encode(commands, t, static_cast<std::shared_ptr<State>*>(nullptr), true); },
            "an address for the new state");
    refuses([&] { kernel.encodeBatch(commands, {t}, static_cast<StateBatch*>(nullptr), true); },
            "an address for the new states");
    refuses([&] { sum.encode(commands, t, u, static_cast<std::shared_ptr<State>*>(nullptr), true); },
            "an address");
    refuses([&] { sum.encodeBatch(commands, {t}, {u}, static_cast<StateBatch*>(nullptr), true); },
            "an address");
    refuses([&] { kernel.encode(commands, t, std::shared_ptr<State>(), plain); },
            "destinationState: expected a state, found null");
    refuses([&] { kernel.temporaryResultState(commands, nullptr, {}, plain); }, "sourceImage");
    refuses([&] { kernel.resultState(t, {}, nullptr); }, "destinationImage");
    refuses([&] { kernel.setDestinationImageAllocator(nullptr); },
            "destinationImageAllocator: expected an allocator");
    refuses([&] { kernel.destinationImageDescriptor({t, u}); }, "sourceImages: expected one image, found 2");
    refuses([&] { sum.destinationImageDescriptor({t}); }, "primaryImage and secondaryImage");
}

TEST_F(CoreErrors, WhatAReturnedEncodeMadeIsGivenUpWhenItFails) {
    kernel.makesState = true;
    kernel.refuse = "a bad day";
    std::shared_ptr<State> state;
    StateBatch states;
    refuses([&] { kernel.encode(commands, t, &state, true); }, "a bad day");
    refuses([&] { kernel.encodeBatch(commands, {t, u}, &states, true); }, "a bad day");
    refuses([&] { kernel.encode(commands, t); }, "a bad day");
    kernel.refuse.clear();
    kernel.breakDown = "while recording";
    refuses([&] { kernel.encode(commands, t, &state, true); }, "while recording");
    refuses([&] { kernel.encodeBatch(commands, {t, u}, &states, true); }, "while recording");
    kernel.breakDown.clear();
    kernel.statesMade = 0;
    kernel.nullState = 1;
    refuses([&] { kernel.encodeBatch(commands, {t, u}, &states, true); }, "null for image 1");
    EXPECT_EQ(state, nullptr);
    EXPECT_TRUE(states.empty());
    // Nothing is left over: strict mode agrees.
    t->setReadCount(0);
    u->setReadCount(0);
    MTL::setStrictTemporaries(true);
    EXPECT_EQ(errorOf([&] { commands->commit(); }), "");
    MTL::setStrictTemporaries(false);
    commands->waitUntilCompleted();
    EXPECT_EQ(commands->status(), MTL::CommandBufferStatus::Completed);
}

TEST_F(CoreErrors, AnAllocatorThatReturnsNullOrTooFewIsRefusedAndItsTemporariesGivenUp) {
    class Bad final : public ImageAllocator {
    public:
        ImagePtr image(const BufferPtr& buffer, const ImageDescriptor& d, const Kernel*) override {
            return calls++ == 0 ? ImagePtr(TemporaryImage::temporaryImage(buffer, d)) : nullptr;
        }
        int calls = 0;
    };
    kernel.setDestinationImageAllocator(std::make_shared<Bad>());
    refuses(
        [&] {
            kernel.encodeBatch(commands, {t, u});
        },
        "destinationImageAllocator: expected an image, found null");
    t->setReadCount(0);
    u->setReadCount(0);
    MTL::setStrictTemporaries(true);
    EXPECT_EQ(errorOf([&] { commands->commit(); }), "");
    MTL::setStrictTemporaries(false);
    commands->waitUntilCompleted();
}

TEST_F(CoreErrors, AFailedExplicitEncodeLeavesItsTemporaryDestinationAsItWas) {
    const auto fresh = makeTemporary(commands, 4, 4, 8);
    kernel.refuse = "no";
    refuses([&] { kernel.encode(commands, t, fresh); }, "found no");
    EXPECT_EQ(fresh->readCount(), 1u);
    kernel.refuse.clear();
    kernel.encode(commands, t, fresh);
    fresh->setReadCount(0);
}

TEST_F(CoreErrors, AKernelNeedsADeviceAndOneThatCannotBeCopiedSaysSo) {
    EXPECT_THAT(errorOf([] { CopyKernel broken(nullptr); }),
                HasSubstr("device: expected a device, found null"));
    EXPECT_THAT(errorOf([&] { kernel.copy(); }),
                HasSubstr("CopyKernel 'k': copy: expected a class that can be copied"));
    EXPECT_EQ(kernel.name(), "CopyKernel 'k'");
    EXPECT_EQ(CopyKernel().name(), "CopyKernel");
}

TEST_F(CoreErrors, AFormatThatTheDeviceCannotComputeIsRefused) {
    for (const auto& device : MTL::copyAllDevices()) {
        if (device->name() == "reference") continue;
        CopyKernel there(device);
        const auto queue = device->newCommandQueue();
        const auto image = std::make_shared<Image>(device, describe(2, 2, 1, 1, Format::Float64));
        EXPECT_THAT(errorOf([&] { there.encode(queue->commandBuffer(), image); }),
                    HasSubstr("a channel format that device " + device->name() + " computes, found float64"));
    }
}
