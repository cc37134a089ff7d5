#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "TestKernel.h"

using namespace pewter::test;
using testing::HasSubstr;
using testing::Not;

namespace {

constexpr std::size_t kBlock = 64;  // a 4 x 4 x 1 float32 image

std::size_t live(const BufferPtr& commandBuffer) { return Recorded(commandBuffer).liveBytes; }

}  // namespace

TEST(CoreTemporary, ReadOnceTheStorageReturnsInsideTheEncodeAndASecondReadIsRefused) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    kernel.setLabel("first");
    const auto t = makeTemporary(commands, 4, 4, 1);
    kernel.encode(commands, makeImage(4, 4, 1), t);
    EXPECT_EQ(live(commands), kBlock);
    const auto plain = makeImage(4, 4, 1);
    kernel.encode(commands, t, plain);
    EXPECT_EQ(t->readCount(), 0u);
    EXPECT_EQ(live(commands), 0u);
    const Recorded before(commands);
    kernel.setLabel("second");
    const auto sentence = errorOf([&] { kernel.encode(commands, t, plain); });
    EXPECT_THAT(sentence, HasSubstr("CopyKernel 'second': sourceImage"));
    EXPECT_THAT(sentence, HasSubstr("read count 0 (last read by CopyKernel 'first')"));
    EXPECT_EQ(Recorded(commands), before);
    EXPECT_THAT(errorOf([&] { kernel.encode(commands, plain, t); }), HasSubstr("destinationImage"));
    run(commands);
}

TEST(CoreTemporary, ThreeReadersReleaseTheStorageWithTheThird) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    const auto t = makeTemporary(commands, 4, 4, 1, 3);
    kernel.encode(commands, makeImage(4, 4, 1, 5), t);
    const auto plain = makeImage(4, 4, 1);
    for (const std::size_t left : {2u, 1u, 0u}) {
        EXPECT_EQ(live(commands), kBlock);
        kernel.encode(commands, t, plain);
        EXPECT_EQ(t->readCount(), left);
    }
    EXPECT_EQ(live(commands), 0u);
    EXPECT_EQ(commands->peakTemporaryMemory(), kBlock);
    run(commands);
    EXPECT_EQ(readFloats(*plain), counting(16, 5));
}

TEST(CoreTemporary, AChainNeedsTwoImagesAtATimeAndItsPeakIsTheSumByHand) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    auto image = kernel.encode(commands, makeImage(4, 4, 1, 9));
    for (int i = 0; i < 6; ++i) image = kernel.encode(commands, image);
    const auto plain = makeImage(4, 4, 1);
    kernel.encode(commands, image, plain);
    EXPECT_EQ(commands->liveTemporaryMemoryPeak(), 2 * kBlock);
    EXPECT_EQ(commands->peakTemporaryMemory(), 2 * kBlock);
    run(commands);
    EXPECT_EQ(commands->peakTemporaryMemory(), 2 * kBlock);
    EXPECT_EQ(readFloats(*plain), counting(16, 9));
}

TEST(CoreTemporary, OneStateRepeatedInABatchLosesOneReadAndIncrementsOnce) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel forward;
    forward.makesState = forward.reusesState = true;
    ProductGradient gradient;
    const MPS::ImageBatch sources{makeImage(2, 2, 1, 1), makeImage(2, 2, 1, 2), makeImage(2, 2, 1, 3)};
    MPS::StateBatch states;
    const auto results = forward.encodeBatch(commands, sources, &states, true);
    ASSERT_EQ(states.size(), 3u);
    EXPECT_EQ(states[0], states[2]);
    EXPECT_EQ(states[0]->readCount(), 1u);
    EXPECT_EQ(MPS::StateBatchIncrementReadCount(states, 1), 1u);
    EXPECT_EQ(states[0]->readCount(), 2u);
    const auto gradients = gradient.encodeBatch(commands, results, sources, states);
    EXPECT_EQ(states[0]->readCount(), 1u);
    EXPECT_EQ(MPS::StateBatchIncrementReadCount(states, -1), 1u);
    EXPECT_EQ(states[0]->readCount(), 0u);
    MPS::ImageBatchIncrementReadCount(gradients, -1);
    EXPECT_EQ(live(commands), 0u);
    run(commands);
}

TEST(CoreTemporary, IncrementingAMixOfImagesSkipsPlainAndSpentOnesAndCountsAllDistinct) {
    const auto commands = testQueue()->commandBuffer();
    const auto alive = makeTemporary(commands, 2, 2, 1, 2), spent = makeTemporary(commands, 2, 2, 1);
    spent->setReadCount(0);
    const auto plain = makeImage(2, 2, 1);
    EXPECT_EQ(MPS::ImageBatchIncrementReadCount({alive, plain, spent, alive}, 3), 3u);
    EXPECT_EQ(alive->readCount(), 5u);
    EXPECT_EQ(spent->readCount(), 0u);
    EXPECT_EQ(MPS::ImageBatchIncrementReadCount({alive}, -5), 1u);
    EXPECT_EQ(alive->readCount(), 0u);
    EXPECT_EQ(MPS::ImageBatchIncrementReadCount({}, 1), 0u);
}

TEST(CoreTemporary, IncrementingBelowZeroIsRefusedAndChangesNothing) {
    const auto commands = testQueue()->commandBuffer();
    const auto a = makeTemporary(commands, 2, 2, 1, 5), b = makeTemporary(commands, 2, 2, 1, 2);
    EXPECT_THAT(errorOf([&] { MPS::ImageBatchIncrementReadCount({a, b}, -3); }), HasSubstr("at least -2"));
    EXPECT_EQ(a->readCount(), 5u);
    const auto s = MPS::State::temporaryState(commands, 16);
    EXPECT_THAT(errorOf([&] { MPS::StateBatchIncrementReadCount({s}, -2); }), HasSubstr("at least -1"));
    EXPECT_THAT(errorOf([&] { MPS::ImageBatchIncrementReadCount({a, nullptr}, 1); }), HasSubstr("null at index 1"));
    MPS::ImageBatchIncrementReadCount({a, b}, -2);
    a->setReadCount(0);
    s->setReadCount(0);
}

TEST(CoreTemporary, TheOwnerSetsACountWhileItIsNotZero) {
    const auto commands = testQueue()->commandBuffer();
    const auto t = makeTemporary(commands, 4, 4, 1);
    CopyKernel().encode(commands, makeImage(4, 4, 1), t);
    t->setReadCount(7);
    EXPECT_EQ(t->readCount(), 7u);
    t->setReadCount(0);
    EXPECT_EQ(live(commands), 0u);
    EXPECT_THAT(errorOf([&] { t->setReadCount(1); }), HasSubstr("whose count is 0 (last read by its owner"));
    EXPECT_THAT(errorOf([&] { t->setReadCount(0); }), HasSubstr("whose count is 0"));
}

TEST(CoreTemporary, AfterCommitACountCanOnlyBeSetToZero) {
    const Diagnostics diagnostics;
    const auto commands = testQueue()->commandBuffer();
    const auto t = makeTemporary(commands, 4, 4, 1, 2);
    commands->commit();
    EXPECT_THAT(errorOf([&] { t->setReadCount(3); }), HasSubstr("0 once its command buffer is committed"));
    t->setReadCount(0);
    t->setReadCount(0);
    EXPECT_EQ(t->readCount(), 0u);
    commands->waitUntilCompleted();
}

TEST(CoreTemporary, WritingNeverChangesACount) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    const auto t = makeTemporary(commands, 4, 4, 1);
    kernel.encode(commands, makeImage(4, 4, 1), t);
    kernel.encode(commands, makeImage(4, 4, 1, 100), t);
    EXPECT_EQ(t->readCount(), 1u);
    const auto plain = makeImage(4, 4, 1);
    kernel.encode(commands, t, plain);
    run(commands);
    EXPECT_EQ(readFloats(*plain), counting(16, 100));
}

TEST(CoreTemporary, CreatingAndDiscardingCostsNothing) {
    const auto commands = testQueue()->commandBuffer();
    const auto t = makeTemporary(commands, 512, 512, 64);
    const auto s = MPS::State::temporaryState(commands, 1 << 20);
    EXPECT_EQ(t->resourceSize(), 512u * 512 * 64 * 4);
    EXPECT_EQ(live(commands), 0u);
    t->setReadCount(0);
    s->setReadCount(0);
    run(commands);
    EXPECT_EQ(commands->peakTemporaryMemory(), 0u);
}

TEST(CoreTemporary, HostCopiesOfATemporaryAreRefused) {
    const auto commands = testQueue()->commandBuffer();
    const auto t = makeTemporary(commands, 2, 2, 1);
    float values[4];
    EXPECT_THAT(errorOf([&] { t->readBytes(values, MPS::DataLayout::HeightxWidthxFeatureChannels, 0); }),
                HasSubstr("not temporary"));
    EXPECT_THAT(errorOf([&] { t->writeBytes(values, MPS::DataLayout::HeightxWidthxFeatureChannels, 0); }),
                HasSubstr("not temporary"));
    EXPECT_THAT(errorOf([&] { t->texture()->getBytes(values, 8, 0, {{0, 0, 0}, {2, 2, 1}}, 0, 0); }),
                HasSubstr("private"));
    t->setReadCount(0);
    EXPECT_THAT(errorOf([&] { t->texture(); }), HasSubstr("read count of at least 1"));
}

TEST(CoreTemporary, AnObjectInTwoSlotsIsReadTwice) {
    const auto commands = testQueue()->commandBuffer();
    SumKernel sum;
    CopyKernel copy;
    const auto t = makeTemporary(commands, 2, 2, 1);
    copy.encode(commands, makeImage(2, 2, 1, 1), t);
    const auto plain = makeImage(2, 2, 1);
    const Recorded before(commands);
    const auto sentence = errorOf([&] { sum.encode(commands, t, t, plain); });
    EXPECT_THAT(sentence, HasSubstr("primaryImage and secondaryImage: expected a read count of at least 2"));
    EXPECT_EQ(Recorded(commands), before);
    EXPECT_EQ(t->readCount(), 1u);
    t->setReadCount(2);
    sum.encode(commands, t, t, plain);
    EXPECT_EQ(t->readCount(), 0u);
    run(commands);
    EXPECT_EQ(readFloats(*plain), (std::vector<float>{2, 4, 6, 8}));
}

TEST(CoreTemporary, AnObjectTwiceInOneBatchIsReadOnce) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    const auto t = makeTemporary(commands, 2, 2, 1);
    kernel.encode(commands, makeImage(2, 2, 1, 1), t);
    const MPS::ImageBatch results{makeImage(2, 2, 1), makeImage(2, 2, 1)};
    kernel.encodeBatch(commands, {t, t}, results);
    EXPECT_EQ(t->readCount(), 0u);
    run(commands);
    EXPECT_EQ(readFloats(*results[1]), counting(4, 1));
}

TEST(CoreTemporary, ATemporaryOfAnotherCommandBufferIsRefused) {
    const auto mine = testQueue()->commandBuffer(), other = testQueue()->commandBuffer();
    CopyKernel kernel;
    const auto t = makeTemporary(other, 2, 2, 1);
    t->setLabel("stray");
    const auto plain = makeImage(2, 2, 1);
    EXPECT_THAT(errorOf([&] { kernel.encode(mine, t, plain); }),
                HasSubstr("temporary image 'stray' of another command buffer"));
    EXPECT_THAT(errorOf([&] { kernel.encode(mine, plain, t); }), HasSubstr("destinationImage"));
    t->setReadCount(0);
    run(other);
    EXPECT_THAT(errorOf([&] { kernel.encode(mine, t, plain); }), HasSubstr("committed"));
}

TEST(CoreTemporary, LeftoversAtCommitAreReportedWithObjectMakerAndCount) {
    const Diagnostics diagnostics;
    const auto commands = testQueue()->commandBuffer();
    commands->setLabel("step");
    CopyKernel kernel;
    kernel.setLabel("conv1");
    kernel.makesState = true;
    std::shared_ptr<MPS::State> state;
    const auto image = kernel.encode(commands, makeImage(4, 4, 1), &state, true);
    image->setLabel("y");
    temporary(image).setReadCount(2);
    state->setLabel("s");
    run(commands);
    ASSERT_EQ(diagnostics.messages.size(), 2u);
    EXPECT_THAT(diagnostics.messages[0], HasSubstr("command buffer 'step'"));
    EXPECT_THAT(diagnostics.messages[0],
                HasSubstr("temporary image 'y' made by CopyKernel 'conv1' (read count 2)"));
    EXPECT_THAT(diagnostics.messages[1], HasSubstr("temporary state 's' made by CopyKernel 'conv1' (read count 1)"));
}

TEST(CoreTemporary, AnObjectDestroyedWithReadsLeftIsStillReportedAtCommit) {
    const Diagnostics diagnostics;
    const auto commands = testQueue()->commandBuffer();
    { makeTemporary(commands, 4, 4, 1)->setLabel("forgotten"); }
    { MPS::State::temporaryState(commands, 8)->setLabel("lost"); }
    run(commands);
    ASSERT_EQ(diagnostics.messages.size(), 2u);
    EXPECT_THAT(diagnostics.messages[0], HasSubstr("temporary image 'forgotten' (read count 1)"));
    EXPECT_THAT(diagnostics.messages[1], HasSubstr("temporary state 'lost' (read count 1)"));
}

TEST(CoreTemporary, InStrictModeLeftoversKeepTheBufferFromBeingCommitted) {
    MTL::setStrictTemporaries(true);
    const auto commands = testQueue()->commandBuffer();
    const auto t = makeTemporary(commands, 4, 4, 1);
    t->setLabel("x");
    const auto u = makeTemporary(commands, 4, 4, 1);
    EXPECT_THAT(errorOf([&] { commands->commit(); }),
                HasSubstr("temporary image 'x' (read count 1) and 1 more"));
    EXPECT_EQ(commands->status(), MTL::CommandBufferStatus::NotEnqueued);
    t->setReadCount(0);
    u->setReadCount(0);
    run(commands);
    MTL::setStrictTemporaries(false);
}

TEST(CoreTemporary, NothingIsReportedWhenEveryReadHappened) {
    const Diagnostics diagnostics;
    const auto commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    kernel.encode(commands, kernel.encode(commands, makeImage(4, 4, 1)), makeImage(4, 4, 1));
    run(commands);
    EXPECT_TRUE(diagnostics.messages.empty());
}

// Random graphs of copies with fan-out: each result is checked at the moment it is placed, the values at the end.
TEST(CoreTemporary, InRandomGraphsNoDestinationLiesOnASourceThatDiesInItsEncode) {
    std::mt19937 random(20240611);
    const auto draw = [&](int low, int high) {
        return std::uniform_int_distribution<int>(low, high)(random);
    };
    for (int graph = 0; graph < 1000; ++graph) {
        const auto commands = testQueue()->commandBuffer();
        SumKernel sum;
        CopyKernel copy;
        struct Node {
            std::shared_ptr<MPS::TemporaryImage> image;
            std::size_t width;
            float value;
        };
        std::vector<Node> alive;
        std::vector<std::pair<ImagePtr, float>> results;
        std::size_t liveByHand = 0, peakByHand = 0;
        const auto bytes = [](std::size_t width) { return (width * 3 * 2 * 4 + 63) / 64 * 64; };
        const auto place = [&](std::size_t width, float value, const std::vector<ImagePtr>& sources,
                               const std::vector<Extent>& extents) {
            const auto image = makeTemporary(commands, width, 3, 2, static_cast<std::size_t>(draw(1, 3)));
            liveByHand += bytes(width);
            peakByHand = std::max(peakByHand, liveByHand);
            if (sources.size() == 2)
                sum.encode(commands, sources[0], sources[1], image);
            else
                copy.encode(commands, sources[0], image);
            const auto mine = Extent::of(*image);
            for (const auto& extent : extents) ASSERT_FALSE(mine.overlaps(extent)) << "graph " << graph;
            for (const auto& other : alive)
                if (other.image->readCount() > 0) {
                    ASSERT_FALSE(mine.overlaps(Extent::of(*other.image))) << "graph " << graph;
                }
            alive.push_back({image, width, value});
        };
        const auto bury = [&] {
            std::erase_if(alive, [&](const Node& node) {
                if (node.image->readCount() > 0) return false;
                liveByHand -= bytes(node.width);
                return true;
            });
        };
        for (int step = 0; step < 12; ++step) {
            if (alive.empty() || draw(0, 3) == 0) {
                const auto width = static_cast<std::size_t>(draw(1, 9));
                const auto value = static_cast<float>(draw(1, 9));
                place(width, value, {makeImage(width, 3, 2, value, 1, true)}, {});
            } else {
                const auto a = alive[static_cast<std::size_t>(draw(0, static_cast<int>(alive.size()) - 1))];
                const auto b = alive[static_cast<std::size_t>(draw(0, static_cast<int>(alive.size()) - 1))];
                if (a.image != b.image && a.width == b.width)
                    place(a.width, a.value + b.value, {a.image, b.image},
                          {Extent::of(*a.image), Extent::of(*b.image)});
                else
                    place(a.width, a.value, {a.image}, {Extent::of(*a.image)});
            }
            bury();
            ASSERT_EQ(live(commands), liveByHand) << "graph " << graph;
        }
        while (!alive.empty()) {
            const auto node = alive.back();
            const auto plain = makeImage(node.width, 3, 2);
            copy.encode(commands, node.image, plain);
            results.emplace_back(plain, node.value);
            bury();
        }
        ASSERT_EQ(commands->liveTemporaryMemoryPeak(), peakByHand) << "graph " << graph;
        run(commands);
        for (const auto& [image, value] : results)
            ASSERT_EQ(readFloats(*image), std::vector<float>(image->width() * 6, value)) << "graph " << graph;
    }
}

TEST(CoreTemporary, ChangingOrDestroyingAKernelAfterAnEncodeDoesNotReachTheEncodedWork) {
    const auto commands = testQueue()->commandBuffer();
    const auto source = makeImage(4, 1, 1, 10), plain = makeImage(2, 1, 1);
    {
        CopyKernel kernel;
        kernel.setOffset({1, 0, 0});
        kernel.encode(commands, source, plain);
        kernel.setOffset({2, 0, 0});
        kernel.setEdgeMode(MPS::ImageEdgeMode::Clamp);
    }
    run(commands);
    EXPECT_EQ(readFloats(*plain), (std::vector<float>{11, 12}));
}

TEST(CoreTemporary, ObjectsMayBeDroppedRightAfterTheEncode) {
    const auto commands = testQueue()->commandBuffer();
    const auto plain = makeImage(4, 4, 1);
    {
        CopyKernel kernel;
        kernel.encode(commands, kernel.encode(commands, makeImage(4, 4, 1, 3)), plain);
    }
    run(commands);
    EXPECT_EQ(readFloats(*plain), counting(16, 3));
}

TEST(CoreTemporary, AnEncodeWithAnEmptyClipRecordsNothingAndStillReads) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    kernel.makesState = true;
    const auto t = makeTemporary(commands, 4, 4, 1);
    kernel.encode(commands, makeImage(4, 4, 1, 1), t);
    kernel.setClipRect({{9, 0, 0}, {4, 4, 1}});
    const auto plain = makeImage(4, 4, 1, 50);
    const std::size_t before = Recorded(commands).commands;
    const auto state = kernel.resultState(t, {}, plain);
    kernel.encode(commands, t, state, plain);
    EXPECT_EQ(Recorded(commands).commands, before);
    EXPECT_EQ(t->readCount(), 0u);
    EXPECT_EQ(std::dynamic_pointer_cast<MPS::NNGradientState>(state)->sourceWidth(), 4u);
    run(commands);
    EXPECT_EQ(readFloats(*plain), counting(16, 50));
}
