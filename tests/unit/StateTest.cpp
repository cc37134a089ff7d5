#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "TestKernel.h"

using namespace pewter::test;
using MPS::State;
using MPS::StateResourceList;
using MPS::StateResourceType;
using testing::HasSubstr;

namespace {

MTL::TextureDescriptor describeTexture(std::size_t w = 4, std::size_t h = 3) {
    MTL::TextureDescriptor d;
    d.pixelFormat = MTL::PixelFormat::R32Float;
    d.width = w;
    d.height = h;
    return d;
}

StateResourceList mixed() {
    StateResourceList list;
    list.appendBuffer(100);
    list.appendTexture(describeTexture());
    list.appendBuffer(200);
    return list;
}

}  // namespace

TEST(StateTest, EveryPlainCreatorHoldsWhatItSaysAndHasNoReadCount) {
    const auto buffer = testDevice()->newBuffer(16);
    MTL::TextureDescriptor d = describeTexture();
    State bySize(testDevice(), 10), byTexture(testDevice(), d), byList(testDevice(), mixed()),
        around(std::shared_ptr<MTL::Resource>{buffer}), none(std::shared_ptr<MTL::Resource>{}),
        several(std::vector<std::shared_ptr<MTL::Resource>>{buffer, testDevice()->newTexture(d)});
    EXPECT_EQ(bySize.bufferSize(0), 10u);
    EXPECT_EQ(byTexture.resourceType(0), StateResourceType::Texture);
    EXPECT_EQ(byList.resourceCount(), 3u);
    EXPECT_EQ(around.resource(), buffer);
    EXPECT_EQ(none.resourceCount(), 0u);
    EXPECT_EQ(several.resourceType(0), StateResourceType::Buffer);
    EXPECT_EQ(several.resourceType(1), StateResourceType::Texture);
    for (State* state : {&bySize, &byTexture, &byList, &around, &none, &several}) {
        EXPECT_FALSE(state->isTemporary());
        EXPECT_EQ(state->readCount(), 0u);
        state->setReadCount(3);
        EXPECT_EQ(state->readCount(), 0u) << "ignored on plain states";
    }
}

TEST(StateTest, EveryTemporaryCreatorStartsWithOneRead) {
    const auto commands = testQueue()->commandBuffer();
    const auto bySize = State::temporaryState(commands, 10);
    const auto byTexture = State::temporaryState(commands, describeTexture());
    const auto byList = State::temporaryState(commands, mixed());
    for (const auto& state : {bySize, byTexture, byList}) {
        EXPECT_TRUE(state->isTemporary());
        EXPECT_EQ(state->readCount(), 1u);
        state->setReadCount(0);
        EXPECT_THAT(errorOf([&] { state->setReadCount(1); }), HasSubstr("whose count is 0"));
    }
    EXPECT_EQ(byTexture->resourceType(0), StateResourceType::Texture);
    EXPECT_THAT(errorOf([] { State::temporaryState(nullptr, 4); }), HasSubstr("commandBuffer"));
    EXPECT_THAT(errorOf([] { State(std::shared_ptr<MTL::Device>(), 4); }), HasSubstr("device"));
}

TEST(StateTest, AStateWithoutResourcesIsNotTemporary) {
    const auto state = State::temporaryState(testQueue()->commandBuffer());
    EXPECT_FALSE(state->isTemporary());
    EXPECT_EQ(state->readCount(), 0u);
    EXPECT_EQ(state->resourceSize(), 0u);
    EXPECT_EQ(state->resource(), nullptr);
}

TEST(StateTest, TexturesComeBeforeBuffersEachInListOrder) {
    const State state(testDevice(), mixed());
    EXPECT_EQ(state.resourceType(0), StateResourceType::Texture);
    EXPECT_EQ(state.bufferSize(0), 0u);
    EXPECT_EQ(state.bufferSize(1), 100u);
    EXPECT_EQ(state.bufferSize(2), 200u);
    EXPECT_EQ(state.resourceType(3), StateResourceType::None);
    EXPECT_EQ(state.bufferSize(3), 0u);
}

TEST(StateTest, AListMayChangeAfterwardsAndRefusesEmptyBuffers) {
    auto list = StateResourceList::bufferSizes({4, 8});
    const State state(testDevice(), list);
    list.appendBuffer(16);
    EXPECT_EQ(state.resourceCount(), 2u);
    EXPECT_EQ(StateResourceList::textureDescriptors({describeTexture()}).textures().size(), 1u);
    EXPECT_THAT(errorOf([&] { list.appendBuffer(0); }), HasSubstr("at least 1 byte"));
    auto odd = describeTexture();
    odd.pixelFormat = MTL::PixelFormat::Invalid;
    EXPECT_THAT(errorOf([&] { State(testDevice(), odd); }), HasSubstr("pixelFormat"));
    EXPECT_THAT(errorOf([] { State(std::vector<std::shared_ptr<MTL::Resource>>{nullptr}); }), HasSubstr("null among"));
}

TEST(StateTest, TextureInfoMirrorsTheDescriptorAndIsAllZeroForOthers) {
    const State state(testDevice(), mixed());
    const auto info = state.textureInfo(0);
    EXPECT_EQ(info.width, 4u);
    EXPECT_EQ(info.height, 3u);
    EXPECT_EQ(info.depth, 1u);
    EXPECT_EQ(info.arrayLength, 1u);
    EXPECT_EQ(info.pixelFormat, MTL::PixelFormat::R32Float);
    EXPECT_EQ(info.textureType, MTL::TextureType::Texture2D);
    for (const std::size_t index : {1u, 9u}) {
        const auto none = state.textureInfo(index);
        EXPECT_EQ(none.width + none.height + none.depth + none.arrayLength, 0u);
        EXPECT_EQ(static_cast<int>(none.textureType), 0);
        EXPECT_EQ(none.pixelFormat, MTL::PixelFormat::Invalid);
    }
}

TEST(StateTest, ResourcesAreAllocatedWhenAskedForAndNotBefore) {
    State state(testDevice(), mixed());
    const auto before = testDevice()->currentAllocatedSize();
    State big(testDevice(), 1 << 26);
    EXPECT_EQ(big.resourceSize(), std::size_t{1} << 26);
    EXPECT_EQ(testDevice()->currentAllocatedSize(), before);
    EXPECT_EQ(state.resource(1, false), nullptr);
    const auto buffer = std::dynamic_pointer_cast<MTL::Buffer>(state.resource(1, true));
    ASSERT_TRUE(buffer);
    EXPECT_EQ(buffer->length(), 100u);
    EXPECT_EQ(buffer->storageMode(), MTL::StorageMode::Managed);
    EXPECT_EQ(state.resource(1, false), buffer);
    EXPECT_EQ(state.resource(2, false), nullptr);
    EXPECT_TRUE(std::dynamic_pointer_cast<MTL::Texture>(state.resource()));
    EXPECT_EQ(state.resource(3, true), nullptr);
}

TEST(StateTest, ResourceSizeSumsOwnResourcesOnly) {
    EXPECT_EQ(State(testDevice(), mixed()).resourceSize(), 64u + 128 + 256);
    EXPECT_EQ(State(std::shared_ptr<MTL::Resource>(testDevice()->newBuffer(64))).resourceSize(), 0u);
}

TEST(StateTest, ATemporaryStatesMemoryComesFromTheHeapAndReturnsAtZero) {
    const auto commands = testQueue()->commandBuffer();
    const auto state = State::temporaryState(commands, mixed());
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    const auto buffer = std::dynamic_pointer_cast<MTL::Buffer>(state->resource(2, true));
    EXPECT_EQ(buffer->storageMode(), MTL::StorageMode::Private);
    EXPECT_EQ(buffer->contents(), nullptr);
    EXPECT_EQ(Recorded(commands).liveBytes, 256u);
    state->resource(1, true);
    EXPECT_EQ(Recorded(commands).liveBytes, 256u + 128);
    state->setReadCount(0);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    EXPECT_EQ(state->resource(2, false), nullptr);
    EXPECT_THAT(errorOf([&] { state->resource(2, true); }), HasSubstr("at least 1 for a resource"));
    run(commands);
}

TEST(StateTest, ADestroyedTemporaryStateGivesItsMemoryBack) {
    const Diagnostics diagnostics;
    const auto commands = testQueue()->commandBuffer();
    State::temporaryState(commands, mixed())->resource(1, true);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    run(commands);
}

TEST(StateTest, BatchFunctionsCountDistinctStates) {
    const auto commands = testQueue()->commandBuffer();
    const auto a = State::temporaryState(commands, 64), b = State::temporaryState(commands, 100);
    const auto plain = std::make_shared<State>(testDevice(), 64);
    EXPECT_EQ(MPS::StateBatchIncrementReadCount({a, b, a, plain}, 2), 3u);
    EXPECT_EQ(a->readCount(), 3u);
    EXPECT_EQ(plain->readCount(), 0u);
    EXPECT_EQ(MPS::StateBatchIncrementReadCount({}, 2), 0u);
    EXPECT_EQ(MPS::StateBatchResourceSize({a, b, a, plain}), 64u + 128 + 64);
    EXPECT_EQ(MPS::StateBatchResourceSize({}), 0u);
    EXPECT_EQ(MPS::StateBatchIncrementReadCount({a, b}, -3), 2u);
    EXPECT_EQ(MPS::StateBatchIncrementReadCount({a, b}, 1), 2u) << "spent ones are skipped";
    EXPECT_EQ(a->readCount(), 0u);
    EXPECT_THAT(errorOf([&] { MPS::StateBatchSynchronize({nullptr}, commands); }), HasSubstr("null at index 0"));
    MPS::StateBatchSynchronize({plain, plain}, commands);
    run(commands);
}

TEST(StateTest, SynchronizingKeepsAPlainStateAliveUntilCompletion) {
    auto state = std::make_shared<State>(testDevice(), 16);
    const std::weak_ptr<State> weak = state;
    const auto commands = testQueue()->commandBuffer();
    state->synchronize(commands);
    EXPECT_THAT(errorOf([&] { state->synchronize(nullptr); }), HasSubstr("commandBuffer"));
    state.reset();
    EXPECT_FALSE(weak.expired());
    run(commands);
    EXPECT_TRUE(weak.expired());
}

TEST(StateTest, DescriptionSaysClassLabelBytesAndCount) {
    const auto commands = testQueue()->commandBuffer();
    const auto state = State::temporaryState(commands, mixed());
    state->setLabel("indices");
    EXPECT_EQ(state->description(), "State 'indices': 448 bytes in 3 resources, temporary, read count 1");
    std::ostringstream out;
    out << *state;
    EXPECT_EQ(out.str(), state->description());
    state->resource(1, true);
    EXPECT_EQ(state->debugDescription(),
              "State 'indices'\n  temporary: yes\n  readCount: 1\n"
              "  resource 0: texture, 4 x 3, 1 slices, not allocated\n"
              "  resource 1: buffer, 100 bytes, allocated\n"
              "  resource 2: buffer, 200 bytes, not allocated\n");
    state->setReadCount(0);
    EXPECT_EQ(State(testDevice(), 1).description(), "State: 64 bytes in 1 resource, not temporary");
}

TEST(StateTest, EqualStatesHaveTheSameClassAndResourcesAndEqualHashes) {
    const State a(testDevice(), 64), b(testDevice(), 64), c(testDevice(), 65), d(testDevice(), describeTexture(4, 4));
    const State callers(std::shared_ptr<MTL::Resource>(testDevice()->newBuffer(64)));
    EXPECT_TRUE(a == b);
    EXPECT_EQ(a.hash(), b.hash());
    EXPECT_TRUE(a == callers);
    EXPECT_EQ(a.hash(), callers.hash());
    EXPECT_FALSE(a == c);
    EXPECT_NE(a.hash(), c.hash());
    EXPECT_FALSE(a == d) << "64 bytes of texture are not 64 bytes of buffer";
    const auto t = State::temporaryState(testQueue()->commandBuffer(), 64);
    EXPECT_FALSE(*t == a);
    t->setReadCount(0);
    const MPS::NNGradientState gradient(MPS::StateOwner::of(testDevice()), StateResourceList::bufferSizes({64}));
    EXPECT_FALSE(gradient == a);
}

TEST(StateTest, TheBaseHookChangesNothing) {
    State state(testDevice(), 4);
    CopyKernel kernel;
    kernel.setOffset({3, 4, 0});
    const auto d = describe(3, 5, 7);
    EXPECT_EQ(state.destinationImageDescriptor({}, {}, kernel, d), d);
    EXPECT_EQ(kernel.offset(), (MPS::Offset{3, 4, 0}));
}

TEST(StateTest, AGradientStateRecordsTheForwardKernelAsItWasWhenEncoded) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    kernel.setLabel("f");
    kernel.makesState = true;
    kernel.window(3, 5, 1, 1, 2, 1);
    const auto source = makeImage(8, 6, 2), plain = makeImage(8, 6, 2);
    kernel.setOffset({1, 2, 0});
    const auto state = std::dynamic_pointer_cast<MPS::NNGradientState>(kernel.resultState(source, {}, plain));
    ASSERT_TRUE(state && state->record());
    EXPECT_EQ(state->record()->offset, (MPS::Offset{1, 2, 0}));
    kernel.setOffset({-1, 0, 0});
    kernel.setEdgeMode(MPS::ImageEdgeMode::Clamp);
    kernel.setClipRect({{2, 1, 0}, {100, 3, 1}});
    kernel.encode(commands, source, state, plain);
    kernel.setOffset({9, 9, 9});
    kernel.window(1, 1);
    const auto& r = *state->record();
    EXPECT_EQ(r.kernel, "CopyKernel 'f'");
    EXPECT_EQ(r.offset, (MPS::Offset{-1, 0, 0}));
    EXPECT_EQ(r.edgeMode, MPS::ImageEdgeMode::Clamp);
    EXPECT_EQ(r.clip, (MTL::Region{{2, 1, 0}, {6, 3, 1}}));
    EXPECT_EQ(r.kernelWidth * 100 + r.kernelHeight, 305u);
    EXPECT_EQ(r.windowWidth(), 5);
    EXPECT_EQ(state->sourceWidth(), 8u);
    EXPECT_EQ(state->sourceHeight(), 6u);
    EXPECT_THAT(state->description(), HasSubstr("of CopyKernel 'f', source 8 x 6 x 2 float32"));
    EXPECT_THAT(state->debugDescription(), HasSubstr("  edge mode: clamp\n"));
    EXPECT_THAT(state->debugDescription(), HasSubstr("  clip: 6 x 3 at (2, 1)\n"));
    run(commands);
}

TEST(StateTest, GradientStatesOfEqualEncodesAreEqual) {
    CopyKernel kernel;
    kernel.makesState = true;
    const auto source = makeImage(8, 6, 2), plain = makeImage(8, 6, 2);
    const auto a = kernel.resultState(source, {}, plain), b = kernel.resultState(source, {}, plain);
    kernel.setOffset({1, 0, 0});
    const auto c = kernel.resultState(source, {}, plain);
    EXPECT_TRUE(*a == *b);
    EXPECT_EQ(a->hash(), b->hash());
    EXPECT_FALSE(*a == *c);
}

TEST(StateTest, ABinaryStateRecordsBothSources) {
    SumKernel kernel;
    kernel.makesState = true;
    kernel.setPrimaryOffset({1, 0, 0});
    kernel.setSecondaryEdgeMode(MPS::ImageEdgeMode::Clamp);
    const auto a = makeImage(4, 4, 8), b = makeImage(5, 5, 8), plain = makeImage(4, 4, 12);
    const auto state =
        std::dynamic_pointer_cast<MPS::NNBinaryGradientState>(kernel.resultState(a, b, {}, plain));
    ASSERT_TRUE(state && state->primaryRecord() && state->secondaryRecord());
    EXPECT_EQ(state->primaryRecord()->offset.x, 1);
    EXPECT_EQ(state->secondaryRecord()->sourceWidth, 5u);
    EXPECT_EQ(state->secondaryRecord()->edgeMode, MPS::ImageEdgeMode::Clamp);
    EXPECT_EQ(state->primaryRecord()->resultFeatureChannels, 8u) << "written, not the destination's 12";
    EXPECT_THAT(state->description(), HasSubstr("primary offset (1, 0, 0)"));
    EXPECT_THAT(state->description(), HasSubstr("secondary source 5 x 5 x 8"));
}
