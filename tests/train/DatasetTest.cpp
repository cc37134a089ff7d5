#include <gmock/gmock.h>

#include <Pewter/train/Dataset.hpp>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "DatasetSupport.h"

namespace pewter::train::tests {
namespace {

using testing::ElementsAre;

/// Image i is the one row {2i, 2i + 1} with label i modulo 3.
Dataset pairs(std::size_t count) {
    Bytes bytes(2 * count), labels(count);
    std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
    for (std::size_t i = 0; i < count; ++i) labels[i] = static_cast<std::uint8_t>(i % 3);
    return Dataset("pairs", 2, 1, 1, 3, bytes, labels);
}

TEST(Dataset, GivesEachImageItsOwnBytesAndLabel) {
    const Dataset set = pairs(5);
    EXPECT_EQ(set.count(), 5u);
    EXPECT_EQ(set.imageBytes(), 2u);
    EXPECT_THAT(set.image(3), ElementsAre(6, 7));
    EXPECT_EQ(set.label(4), 1);
}

TEST(Dataset, CountsChannelsInTheSizeOfAnImage) {
    const Dataset set("rgb", 2, 4, 3, 1, Bytes(48), Bytes(2));
    EXPECT_EQ(set.imageBytes(), 24u);
    EXPECT_EQ(set.image(1).size(), 24u);
}

TEST(Dataset, RefusesAnImageBeyondTheLast) {
    const Dataset set = pairs(5);
    EXPECT_EQ(errorOf([&] { set.image(5); }), "pairs: image index: expected 0 to 4, found 5.");
    EXPECT_EQ(errorOf([&] { set.label(7); }), "pairs: label index: expected 0 to 4, found 7.");
}

TEST(Dataset, RefusesBytesThatDoNotMatchTheLabels) {
    EXPECT_EQ(errorOf([] { Dataset("odd", 2, 3, 1, 4, Bytes(11), Bytes(2)); }),
              "odd: bytes: expected 2 images x 3 x 2 x 1 bytes, found 11 bytes.");
}

TEST(Dataset, RefusesSizesWhoseProductOverflows) {
    const std::size_t half = std::size_t{1} << 32;
    EXPECT_EQ(errorOf([&] { Dataset("huge", half, half, 1, 4, Bytes(), Bytes(1)); }),
              "huge: bytes: expected 1 images x 4294967296 x 4294967296 x 1 bytes, found 0 bytes.");
}

TEST(Dataset, RefusesAnExtentOfZero) {
    EXPECT_EQ(errorOf([] { Dataset("flat", 0, 3, 1, 4, Bytes(), Bytes(2)); }),
              "flat: image size: expected width, height and channels of at least 1, found 0 x 3 x 1.");
}

TEST(Dataset, RefusesToBeEmpty) {
    EXPECT_EQ(errorOf([] { Dataset("none", 2, 3, 1, 4, Bytes(), Bytes()); }),
              "none: labels: expected 1 to 4294967295 images, found 0.");
}

TEST(Dataset, RefusesALabelOutsideItsClasses) {
    EXPECT_EQ(errorOf([] {
                  Dataset("set", 1, 1, 1, 4, Bytes(3), Bytes{0, 3, 4});
              }),
              "set: label of image 2: expected 0 to 3, found 4.");
}

TEST(Dataset, RefusesAClassCountThatLabelsCannotReach) {
    EXPECT_EQ(errorOf([] { Dataset("set", 1, 1, 1, 65537, Bytes(1), Bytes(1)); }),
              "set: classCount: expected 1 to 65536, found 65537.");
    EXPECT_EQ(errorOf([] { Dataset("set", 1, 1, 1, 0, Bytes(1), Bytes(1)); }),
              "set: classCount: expected 1 to 65536, found 0.");
}

TEST(Dataset, HasMoreClassesThanAByteCounts) {
    const Labels labels{65535, 256, 0};
    const Dataset set("many", 1, 1, 1, 65536, Bytes{7, 8, 9}, labels);
    EXPECT_EQ(set.classCount(), 65536u);
    EXPECT_EQ(set.label(0), 65535);
    Labels gathered(2);
    set.gather(std::vector<std::uint32_t>{1, 0}, {}, gathered);
    EXPECT_THAT(gathered, ElementsAre(256, 65535));
    EXPECT_THAT(set.subset(std::vector<std::uint32_t>{2, 1}, "part").labels(), ElementsAre(0, 256));
    EXPECT_EQ(errorOf([&] { Dataset("few", 1, 1, 1, 1000, Bytes(3), labels); }),
              "few: label of image 0: expected 0 to 999, found 65535.");
}

TEST(DatasetGather, CopiesTheImagesAskedForInTheirOrder) {
    const std::vector<std::uint32_t> indices{4, 0, 4};
    Bytes images(6);
    Labels labels(3);
    pairs(5).gather(indices, images, labels);
    EXPECT_THAT(images, ElementsAre(8, 9, 0, 1, 8, 9));
    EXPECT_THAT(labels, ElementsAre(1, 0, 1));
}

TEST(DatasetGather, LeavesOutWhatHasNoRoomGiven) {
    const std::vector<std::uint32_t> indices{2};
    Bytes images(2);
    Labels labels(1);
    pairs(5).gather(indices, images, {});
    pairs(5).gather(indices, {}, labels);
    EXPECT_THAT(images, ElementsAre(4, 5));
    EXPECT_THAT(labels, ElementsAre(2));
}

TEST(DatasetGather, CopiesNothingWhenAnIndexIsWrong) {
    const std::vector<std::uint32_t> indices{1, 5};
    Bytes images(4, 77);
    Labels labels(2, 77);
    EXPECT_EQ(errorOf([&] { pairs(5).gather(indices, images, labels); }),
              "pairs: indices[1]: expected 0 to 4, found 5.");
    EXPECT_THAT(images, testing::Each(77));
    EXPECT_THAT(labels, testing::Each(77));
}

TEST(DatasetGather, RefusesRoomOfTheWrongSize) {
    const std::vector<std::uint32_t> indices{1, 2};
    Bytes images(3);
    Labels labels(1);
    EXPECT_EQ(errorOf([&] { pairs(5).gather(indices, images, {}); }),
              "pairs: images: expected room for 2 images of 2 bytes, found 3 bytes.");
    EXPECT_EQ(errorOf([&] { pairs(5).gather(indices, {}, labels); }),
              "pairs: labels: expected room for 2 labels, found 1.");
}

TEST(DatasetSubset, HoldsTheImagesAskedFor) {
    const std::vector<std::uint32_t> indices{3, 1};
    const Dataset part = pairs(5).subset(indices, "part");
    EXPECT_EQ(part.name(), "part");
    EXPECT_EQ(part.classCount(), 3u);
    EXPECT_THAT(part.bytes(), ElementsAre(6, 7, 2, 3));
    EXPECT_THAT(part.labels(), ElementsAre(0, 1));
}

TEST(DatasetSubset, RefusesNoImagesAndImagesBeyondTheLast) {
    const std::vector<std::uint32_t> beyond{9};
    EXPECT_EQ(errorOf([] { pairs(5).subset({}, "part"); }),
              "pairs: indices: expected at least one image, found none.");
    EXPECT_EQ(errorOf([&] { pairs(5).subset(beyond, "part"); }),
              "pairs: indices[0]: expected 0 to 4, found 9.");
}

TEST(DatasetSplit, PutsEveryImageIntoExactlyOnePart) {
    const TrainTest parts = pairs(100).split(0.2, 1);
    EXPECT_EQ(parts.test.count(), 20u);
    Bytes all(parts.train.bytes().begin(), parts.train.bytes().end());
    all.insert(all.end(), parts.test.bytes().begin(), parts.test.bytes().end());
    std::sort(all.begin(), all.end());
    EXPECT_TRUE(std::ranges::equal(all, pairs(100).bytes()));
}

TEST(DatasetSplit, KeepsTheOrderOfTheImagesInBothParts) {
    const TrainTest parts = pairs(100).split(0.3, 5);
    EXPECT_TRUE(std::ranges::is_sorted(parts.train.bytes()));
    EXPECT_TRUE(std::ranges::is_sorted(parts.test.bytes()));
}

TEST(DatasetSplit, ChoosesTheSameImagesOnEveryMachine) {
    // First images of the rule in Dataset.hpp, worked out by a separate Python program.
    const TrainTest parts = pairs(10).split(0.3, 7);
    EXPECT_THAT(parts.test.bytes(), ElementsAre(6, 7, 16, 17, 18, 19));
}

TEST(DatasetSplit, ChoosesOtherImagesForAnotherSeed) {
    EXPECT_FALSE(
        std::ranges::equal(pairs(100).split(0.2, 1).test.bytes(), pairs(100).split(0.2, 2).test.bytes()));
}

TEST(DatasetSplit, RoundsTheHeldOutPartToTheNearestImage) {
    EXPECT_EQ(pairs(7).split(0.2, 1).test.count(), 1u);  // 1.4
    EXPECT_EQ(pairs(8).split(0.2, 1).test.count(), 2u);  // 1.6
    EXPECT_EQ(pairs(8).split(0.2, 1).train.count(), 6u);
}

TEST(DatasetSplit, NamesItsParts) {
    const TrainTest parts = pairs(10).split(0.5, 1);
    EXPECT_EQ(parts.train.name(), "pairs train");
    EXPECT_EQ(parts.test.name(), "pairs test");
}

TEST(DatasetSplit, RefusesToLeaveAPartEmpty) {
    EXPECT_EQ(errorOf([] { pairs(5).split(0, 1); }),
              "pairs: heldOut: expected more than 0 and less than 1, found 0.");
    EXPECT_EQ(errorOf([] { pairs(5).split(1, 1); }),
              "pairs: heldOut: expected more than 0 and less than 1, found 1.");
    EXPECT_EQ(errorOf([] { pairs(5).split(std::nan(""), 1); }),
              "pairs: heldOut: expected more than 0 and less than 1, found nan.");
    EXPECT_EQ(errorOf([] { pairs(5).split(0.05, 1); }),
              "pairs: heldOut: expected a part that leaves both sides images, of 5, found 0.05, which holds "
              "out 0.");
    EXPECT_EQ(errorOf([] { pairs(5).split(0.95, 1); }),
              "pairs: heldOut: expected a part that leaves both sides images, of 5, found 0.95, which holds "
              "out 5.");
}

/// Image i is bytes 2i, 2i + 1; its target is 3 bytes from 10 i.
Dataset withTargets(std::size_t count) {
    Bytes bytes(2 * count);
    std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
    TargetImages targets{1, 3, 1, {}};
    for (std::size_t i = 0; i < 3 * count; ++i) targets.bytes.push_back(static_cast<std::uint8_t>(10 * (i / 3) + i % 3));
    return Dataset("images", 2, 1, 1, bytes, targets);
}

TEST(DatasetTargets, BelongToTheirImages) {
    const Dataset set = withTargets(4);
    EXPECT_EQ(set.count(), 4u);
    EXPECT_EQ(set.classCount(), 0u);
    EXPECT_TRUE(set.hasTargets());
    EXPECT_FALSE(pairs(3).hasTargets());
    Bytes images(4), targets(6);
    const std::vector<std::uint32_t> order{3, 1};
    set.gather(order, images, {});
    set.gatherTargets(order, targets);
    EXPECT_THAT(images, ElementsAre(6, 7, 2, 3));
    EXPECT_THAT(targets, ElementsAre(30, 31, 32, 10, 11, 12));
    const auto parts = set.split(0.25, 1);
    EXPECT_EQ(parts.train.count(), 3u);
    const auto first = parts.test.image(0)[0] / 2;
    EXPECT_EQ(parts.test.targets().bytes[0], 10 * first);
}

TEST(DatasetTargets, AreNoLabels) {
    const Dataset set = withTargets(4), labelled = pairs(4);
    Bytes four(4), three(3);
    Labels one(1);
    const std::vector<std::uint32_t> order{0};
    EXPECT_EQ(errorOf([&] { set.label(0); }), "images: label: expected a dataset with labels, found one with target images.");
    EXPECT_EQ(errorOf([&] { set.gather(order, {}, one); }),
              "images: labels: expected none for a dataset with target images, found 1.");
    EXPECT_EQ(errorOf([&] { labelled.gatherTargets(order, three); }),
              "pairs: targets: expected a dataset with target images, found one with labels.");
    EXPECT_EQ(errorOf([&] { set.gatherTargets(order, four); }),
              "images: targets: expected room for 1 images of 3 bytes, found 4 bytes.");
    EXPECT_EQ(errorOf([&] { set.gatherTargets(std::vector<std::uint32_t>{4}, three); }),
              "images: indices[0]: expected 0 to 3, found 4.");
}

TEST(DatasetTargets, HaveTheSizeTheySay) {
    EXPECT_EQ(errorOf([] { Dataset("odd", 2, 1, 1, Bytes(4), TargetImages{1, 3, 1, Bytes(5)}); }),
              "odd: targets: expected 2 images x 3 x 1 x 1 bytes, found 5 bytes.");
    EXPECT_EQ(errorOf([] { Dataset("odd", 2, 1, 1, Bytes(5), TargetImages{1, 3, 1, Bytes(6)}); }),
              "odd: bytes: expected 2 images x 1 x 2 x 1 bytes, found 5 bytes.");
    EXPECT_EQ(errorOf([] { Dataset("flat", 2, 1, 1, Bytes(4), TargetImages{1, 0, 1, Bytes(0)}); }),
              "flat: target size: expected width, height and channels of at least 1, found 1 x 0 x 1.");
    EXPECT_EQ(errorOf([] { Dataset("none", 2, 1, 1, Bytes(), TargetImages{1, 3, 1, Bytes(0)}); }),
              "none: bytes: expected 1 to 4294967295 images, found 0.");
}

}  // namespace
}  // namespace pewter::train::tests
