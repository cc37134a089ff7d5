#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MTL/MTL.hpp>
#include <cstring>

#include "TestKernel.h"
#include "mtl/FreeList.h"

using namespace pewter::test;
using pewter::mtl::FreeList;
using testing::HasSubstr;

namespace {

std::shared_ptr<MTL::Heap> heapOf(std::size_t bytes, MTL::StorageMode mode = MTL::StorageMode::Shared) {
    MTL::HeapDescriptor d;
    d.size = bytes;
    d.storageMode = mode;
    return testDevice()->newHeap(d);
}

}  // namespace

TEST(HeapMTL, BuffersOfAHeapDoNotShareBytes) {
    const auto heap = heapOf(1024);
    const auto a = heap->newBuffer(100, MTL::ResourceStorageModeShared);
    const auto b = heap->newBuffer(100, MTL::ResourceStorageModeShared);
    ASSERT_TRUE(a && b);
    std::memset(a->contents(), 1, 100);
    std::memset(b->contents(), 2, 100);
    EXPECT_EQ(static_cast<char*>(a->contents())[99], 1);
    EXPECT_EQ(a->heap(), heap);
    EXPECT_NE(a->heapOffset(), b->heapOffset());
    EXPECT_EQ(heap->usedSize(), 256u);
}

TEST(HeapMTL, AFullHeapReturnsNull) {
    const auto heap = heapOf(256);
    const auto a = heap->newBuffer(200, MTL::ResourceStorageModeShared);
    ASSERT_TRUE(a);
    EXPECT_EQ(heap->newBuffer(1, MTL::ResourceStorageModeShared), nullptr);
    EXPECT_EQ(heap->maxAvailableSize(64), 0u);
}

TEST(HeapMTL, ADestroyedBufferReturnsItsBytes) {
    const auto heap = heapOf(256);
    { const auto a = heap->newBuffer(256, MTL::ResourceStorageModeShared); }
    EXPECT_EQ(heap->usedSize(), 0u);
    EXPECT_TRUE(heap->newBuffer(256, MTL::ResourceStorageModeShared));
}

TEST(HeapMTL, AnAliasableBufferLetsTheNextOneHaveItsBytes) {
    const auto heap = heapOf(256);
    const auto a = heap->newBuffer(256, MTL::ResourceStorageModeShared);
    EXPECT_FALSE(a->isAliasable());
    a->makeAliasable();
    EXPECT_TRUE(a->isAliasable());
    const auto b = heap->newBuffer(256, MTL::ResourceStorageModeShared);
    ASSERT_TRUE(b);
    EXPECT_EQ(b->contents(), a->contents());
    EXPECT_EQ(heap->usedSize(), 256u);
}

TEST(HeapMTL, MakingAliasableTwiceAndThenDyingReturnsTheBytesOnce) {
    const auto heap = heapOf(256);
    auto a = heap->newBuffer(128, MTL::ResourceStorageModeShared);
    const auto keep = heap->newBuffer(128, MTL::ResourceStorageModeShared);
    a->makeAliasable();
    a->makeAliasable();
    const auto b = heap->newBuffer(128, MTL::ResourceStorageModeShared);
    a.reset();
    EXPECT_EQ(heap->usedSize(), 256u);
    EXPECT_EQ(heap->newBuffer(1, MTL::ResourceStorageModeShared), nullptr);
}

TEST(HeapMTL, SizesTellWhatAHeapSpends) {
    const auto size = testDevice()->heapBufferSizeAndAlign(100, MTL::ResourceStorageModeShared);
    const auto heap = heapOf(size.size);
    EXPECT_TRUE(heap->newBuffer(100, MTL::ResourceStorageModeShared));
    EXPECT_EQ(size.size % size.align, 0u);
    EXPECT_THAT(errorOf([] { heapOf(0); }), HasSubstr("length"));
}

TEST(HeapMTL, AHeapOutlivesItsHandleThroughItsBuffers) {
    std::shared_ptr<MTL::Buffer> buffer;
    { buffer = heapOf(256)->newBuffer(64, MTL::ResourceStorageModeShared); }
    std::memset(buffer->contents(), 3, 64);
    EXPECT_EQ(static_cast<char*>(buffer->contents())[63], 3);
}

TEST(HeapMTL, AFreeListTakesTheSmallestHoleThatFitsAndMergesNeighbours) {
    FreeList list(1000);
    EXPECT_EQ(list.take(100), 0u);
    EXPECT_EQ(list.take(300), 100u);
    EXPECT_EQ(list.take(100), 400u);
    EXPECT_EQ(list.take(200), 500u);
    EXPECT_EQ(list.take(100), 700u);
    list.give(100, 300);
    list.give(500, 200);
    EXPECT_EQ(list.take(150), 500u);  // of 300, 200 and 200 the lower of the smallest
    list.give(400, 100);
    EXPECT_EQ(list.largest(), 400u);  // 100..500 in one piece
    EXPECT_EQ(list.used(), 350u);
}

TEST(HeapMTL, AGrowingFreeListExtendsTheHoleAtItsEnd) {
    FreeList list;
    EXPECT_EQ(list.take(64), 0u);
    EXPECT_EQ(list.take(64), 64u);
    list.give(64, 64);
    EXPECT_EQ(list.take(128), 64u);
    EXPECT_EQ(list.highest(), 192u);
    list.freeze(256);
    EXPECT_EQ(list.take(64), 192u);
    EXPECT_EQ(list.take(64), std::nullopt);
}
