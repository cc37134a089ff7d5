#include <gmock/gmock.h>

#include <Pewter/train/IdxDataset.hpp>
#include <Pewter/train/Random.hpp>
#include <numeric>

#include "DatasetSupport.h"

namespace pewter::train::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Bytes counting(std::size_t count) {
    Bytes values(count);
    std::iota(values.begin(), values.end(), std::uint8_t{0});
    return values;
}

/// The message for an IDX file of this content, called "f".
std::string idxError(const Bytes& content) {
    return errorOf([&] { readIdx(content, "f"); });
}

TEST(DatasetIdx, ReadsArraysOfOneToFourDimensions) {
    EXPECT_THAT(readIdx(joined(idxHeader({6}), counting(6)), "f").extents, ElementsAre(6));
    EXPECT_THAT(readIdx(joined(idxHeader({3, 2}), counting(6)), "f").extents, ElementsAre(3, 2));
    EXPECT_THAT(readIdx(joined(idxHeader({1, 3, 2}), counting(6)), "f").extents, ElementsAre(1, 3, 2));
    EXPECT_THAT(readIdx(joined(idxHeader({1, 3, 1, 2}), counting(6)), "f").extents, ElementsAre(1, 3, 1, 2));
}

TEST(DatasetIdx, ReadsValuesInTheOrderOfTheFile) {
    EXPECT_EQ(readIdx(joined(idxHeader({3, 2}), counting(6)), "f").values, counting(6));
}

TEST(DatasetIdx, ReadsExtentsAsBigEndian) {
    EXPECT_THAT(readIdx(joined(idxHeader({0x0102}), Bytes(0x0102)), "f").extents, ElementsAre(258));
}

TEST(DatasetIdx, ReadsPlainAndGzipFilesAlikeWhateverTheirNames) {
    const Folder folder;
    const Bytes plain =
        joined(idxHeader({300, 1000}), counting(300000));  // longer than any buffer of the reader
    const IdxArray one = readIdx(folder.write("a.gz", plain));
    const IdxArray two = readIdx(folder.write("b", gzipOf(plain)));
    EXPECT_EQ(one.values, counting(300000));
    EXPECT_EQ(one.values, two.values);
    EXPECT_EQ(one.extents, two.extents);
}

TEST(DatasetIdx, ReadsGzipFilesOfSeveralStreams) {
    const Bytes content = joined(gzipOf(idxHeader({4})), joined(gzipOf({1, 2}), gzipOf({3, 4})));
    EXPECT_THAT(readIdx(content, "f").values, ElementsAre(1, 2, 3, 4));
}

TEST(DatasetIdx, RefusesAFileThatIsNotThere) {
    EXPECT_EQ(errorOf([] { readIdx(std::filesystem::path("/nowhere/at/all")); }),
              "/nowhere/at/all: file: expected a file that can be read, found no such file.");
}

TEST(DatasetIdx, RefusesADirectory) {
    const Folder folder;
    EXPECT_EQ(errorOf([&] { readIdx(folder.path()); }),
              folder.path().string() + ": file: expected a regular file, found a directory.");
}

TEST(DatasetIdx, RefusesAnEmptyFile) {
    EXPECT_EQ(idxError({}), "f: IDX magic number: expected 4 bytes, found the end of the file after 0.");
}

TEST(DatasetIdx, RefusesAFileWithoutTheLeadingZeros) {
    EXPECT_EQ(idxError(bytesOf("PNG!")),
              "f: IDX magic number: expected two zero bytes first, found 0x50 0x4E.");
}

TEST(DatasetIdx, RefusesAnotherTypeByItsName) {
    EXPECT_EQ(idxError(joined(idxHeader({1}, 0x0D), Bytes(4))),
              "f: IDX type code: expected 0x08 (unsigned byte), found 0x0D (32-bit float).");
    EXPECT_EQ(idxError(joined(idxHeader({1}, 0x42), Bytes(4))),
              "f: IDX type code: expected 0x08 (unsigned byte), found 0x42.");
}

TEST(DatasetIdx, RefusesNoDimensionsAndMoreThanFour) {
    EXPECT_EQ(idxError({0, 0, 8, 0}), "f: number of IDX dimensions: expected 1 to 4, found 0.");
    EXPECT_EQ(idxError(joined(idxHeader({1, 1, 1, 1, 1}), Bytes(1))),
              "f: number of IDX dimensions: expected 1 to 4, found 5.");
}

TEST(DatasetIdx, RefusesAHeaderThatStopsShort) {
    EXPECT_EQ(idxError({0, 0, 8, 2, 0, 0, 0, 1, 0}),
              "f: IDX extents: expected 8 bytes, found the end of the file after 5.");
}

TEST(DatasetIdx, RefusesAnExtentOfZero) {
    EXPECT_EQ(idxError(idxHeader({3, 0})), "f: IDX extent 1: expected at least 1, found 0.");
}

TEST(DatasetIdx, RefusesAPlainFileThatStopsShort) {
    EXPECT_EQ(idxError(joined(idxHeader({3, 2}), counting(5))),
              "f: number of values: expected 3 x 2 bytes, as its header declares, found a file of 17 bytes, "
              "header included.");
}

TEST(DatasetIdx, RefusesBytesAfterTheLastValue) {
    EXPECT_EQ(idxError(joined(idxHeader({3, 2}), counting(8))),
              "f: number of values: expected 3 x 2 = 6 bytes, as its header declares, found 8.");
    EXPECT_EQ(idxError(gzipOf(joined(idxHeader({3, 2}), counting(8)))),
              "f: number of values: expected 3 x 2 = 6 bytes, as its header declares, found more.");
}

TEST(DatasetIdx, RefusesAGzipFileWithFewerValuesThanItDeclares) {
    EXPECT_EQ(idxError(gzipOf(joined(idxHeader({3, 2}), counting(5)))),
              "f: number of values: expected 3 x 2 = 6 bytes, as its header declares, found 5.");
}

TEST(DatasetIdx, RefusesAGzipStreamThatIsCutOff) {
    Bytes content = gzipOf(joined(idxHeader({3, 2}), counting(6)));
    const std::size_t length = content.size();
    for (std::size_t kept = 2; kept < length; ++kept) {  // the checksum and the length at the end count too
        content.resize(length);
        const Bytes cut(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(kept));
        EXPECT_EQ(idxError(cut),
                  "f: gzip data: expected a complete stream, found the end of the file after " +
                      std::to_string(kept) + " bytes.");
    }
}

TEST(DatasetIdx, RefusesDamagedGzipData) {
    Bytes content = gzipOf(joined(idxHeader({3, 2}), counting(6)));
    content[content.size() - 8] ^= 1;  // the checksum
    EXPECT_THAT(idxError(content),
                HasSubstr("f: gzip data: expected an undamaged stream, found 'incorrect data "
                          "check' near byte"));
}

TEST(DatasetIdx, RefusesGarbageAfterAGzipStream) {
    EXPECT_THAT(
        idxError(joined(gzipOf(joined(idxHeader({1}), {5})), bytesOf("more"))),
        HasSubstr("f: gzip data: expected an undamaged stream, found 'incorrect header check' near byte"));
}

TEST(DatasetIdx, RefusesALyingHeaderWithoutTakingTheMemory) {
    const std::size_t before = peakMemory();
    const Bytes header = idxHeader({1u << 31, 28, 28});  // 1.6 TB
    EXPECT_EQ(
        idxError(joined(header, Bytes(100))),
        "f: number of values: expected 2147483648 x 28 x 28 bytes, as its header declares, found a file of "
        "116 bytes, header included.");
    EXPECT_THAT(
        idxError(gzipOf(joined(header, Bytes(100)))),
        testing::MatchesRegex("f: number of values: expected 2147483648 x 28 x 28 bytes, as its header "
                              "declares, found a gzip file of [0-9]+ bytes, which cannot hold them."));
    EXPECT_LT(peakMemory() - before, std::size_t{64} << 20);
}

TEST(DatasetIdx, RefusesExtentsWhoseProductOverflows) {
    EXPECT_THAT(idxError(joined(idxHeader({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}), Bytes(100))),
                HasSubstr("expected 4294967295 x 4294967295 x 4294967295 x 4294967295 bytes, as its header"));
    // 2^16 x 2^16 x 2^16 x 2^16 is 0 modulo 2^64.
    EXPECT_THAT(idxError(joined(idxHeader({65536, 65536, 65536, 65536}), Bytes(100))),
                HasSubstr("expected 65536 x 65536 x 65536 x 65536 bytes, as its header"));
}

TEST(DatasetIdx, TakesMemoryOnlyAsValuesOfAGzipFileCome) {
    // 64 KiB that do not compress could stand for 66 MB, so the header cannot be refused; the memory must not
    // be taken.
    Bytes noise(1 << 16);
    Random random(1);
    for (std::uint8_t& byte : noise) byte = static_cast<std::uint8_t>(random.next());
    const Bytes content = gzipOf(joined(idxHeader({60u << 20}), noise));
    const std::size_t before = peakMemory();
    EXPECT_THAT(idxError(content), HasSubstr("= 62914560 bytes, as its header declares, found 65536."));
    EXPECT_LT(peakMemory() - before, std::size_t{32} << 20);
}

TEST(DatasetIdx, UnpacksNoMoreOfAGzipFileThanItDeclares) {
    // 100 MiB, packed in parts so that making them takes little memory.
    Bytes content = gzipOf(idxHeader({10}));
    const Bytes zeros = gzipOf(Bytes(4 << 20), 9);
    for (int part = 0; part < 25; ++part) content = joined(std::move(content), zeros);
    const std::size_t before = peakMemory();
    EXPECT_EQ(idxError(content),
              "f: number of values: expected 10 = 10 bytes, as its header declares, found more.");
    EXPECT_LT(peakMemory() - before, std::size_t{32} << 20);
}

TEST(DatasetIdx, AnswersAnyDamageWithAnErrorOrAnArrayThatFits) {
    const Bytes good = joined(idxHeader({3, 2}), counting(6));
    Random random(42);
    for (int round = 0; round < 4000; ++round) {
        Bytes content = round % 2 == 0 ? good : gzipOf(good);
        for (std::uint64_t change = 0, changes = 1 + random.below(3); change < changes; ++change) {
            content[random.below(content.size())] = static_cast<std::uint8_t>(random.next());
        }
        content.resize(random.below(4) == 0 ? random.below(content.size() + 1) : content.size());
        try {
            const IdxArray array = readIdx(content, "f");
            std::size_t product = 1;
            for (const std::size_t extent : array.extents) product *= extent;
            EXPECT_EQ(product, array.values.size());
        } catch (const MPS::Error& error) {
            EXPECT_EQ(error.subject(), "f");
        }
    }
}

class DatasetIdxFiles : public testing::Test {
protected:
    Folder folder_;
    std::filesystem::path images(const Bytes& content) const { return folder_.write("images", content); }
    std::filesystem::path labels(const Bytes& content) const { return folder_.write("labels", content); }
    std::string at(const char* file) const { return (folder_.path() / file).string(); }
};

TEST_F(DatasetIdxFiles, PairImagesWithTheirLabels) {
    const Dataset set = readIdxDataset(images(joined(idxHeader({2, 1, 3}), counting(6))),
                                       labels(gzipOf(joined(idxHeader({2}), {9, 4}))));
    EXPECT_EQ(set.name(), "images");
    EXPECT_EQ(set.width(), 3u);
    EXPECT_EQ(set.height(), 1u);
    EXPECT_EQ(set.channels(), 1u);
    EXPECT_EQ(set.classCount(), 10u);
    EXPECT_THAT(set.image(1), ElementsAre(3, 4, 5));
    EXPECT_THAT(set.labels(), ElementsAre(9, 4));
}

TEST_F(DatasetIdxFiles, MayHoldChannelsAsTheirFourthDimension) {
    const Dataset set = readIdxDataset(images(joined(idxHeader({1, 1, 2, 3}), counting(6))),
                                       labels(joined(idxHeader({1}), {0})), 2, "colour");
    EXPECT_EQ(set.name(), "colour");
    EXPECT_EQ(set.width(), 2u);
    EXPECT_EQ(set.channels(), 3u);
    EXPECT_EQ(set.classCount(), 2u);
}

TEST_F(DatasetIdxFiles, MustAgreeInTheirCounts) {
    const auto imagesPath = images(joined(idxHeader({2, 1, 3}), counting(6)));
    const auto labelsPath = labels(joined(idxHeader({3}), {0, 1, 2}));
    EXPECT_EQ(errorOf([&] { readIdxDataset(imagesPath, labelsPath); }),
              at("labels") + ": number of labels: expected 2, as many as " + at("images") +
                  " has images, found 3.");
}

TEST_F(DatasetIdxFiles, MustHaveTheDimensionsOfImagesAndLabels) {
    const auto imagesPath = images(joined(idxHeader({2, 1, 3}), counting(6)));
    const auto labelsPath = labels(joined(idxHeader({2}), {0, 1}));
    EXPECT_EQ(errorOf([&] { readIdxDataset(labelsPath, labelsPath); }),
              at("labels") + ": number of IDX dimensions: expected 3 or 4 for images, found 1.");
    EXPECT_EQ(errorOf([&] { readIdxDataset(imagesPath, imagesPath); }),
              at("images") + ": number of IDX dimensions: expected 1 for labels, found 3.");
}

TEST_F(DatasetIdxFiles, MustHaveLabelsBelowTheNumberOfClasses) {
    const auto imagesPath = images(joined(idxHeader({2, 1, 3}), counting(6)));
    const auto labelsPath = labels(joined(idxHeader({2}), {0, 10}));
    EXPECT_EQ(errorOf([&] { readIdxDataset(imagesPath, labelsPath); }),
              at("labels") + ": label 1: expected 0 to 9, found 10.");
}

class DatasetMnistDirectory : public testing::Test {
protected:
    void SetUp() override {
        folder_.write("train-images-idx3-ubyte", joined(idxHeader({2, 1, 3}), counting(6)));
        folder_.write("train-labels-idx1-ubyte.gz", gzipOf(joined(idxHeader({2}), {3, 4})));
        folder_.write("t10k-images-idx3-ubyte.gz", gzipOf(joined(idxHeader({1, 1, 3}), {7, 8, 9})));
        folder_.write("t10k-labels-idx1-ubyte", joined(idxHeader({1}), {5}));
    }
    Folder folder_;
};

TEST_F(DatasetMnistDirectory, HoldsTrainingAndTestImagesPlainOrGzip) {
    const TrainTest both = readMnistDirectory(folder_.path());
    EXPECT_THAT(both.train.labels(), ElementsAre(3, 4));
    EXPECT_THAT(both.test.bytes(), ElementsAre(7, 8, 9));
}

TEST_F(DatasetMnistDirectory, GivesItsNameToBothParts) {
    const std::string name = folder_.path().filename().string();
    EXPECT_EQ(readMnistDirectory(folder_.path()).test.name(), name + " test");
    EXPECT_EQ(readMnistDirectory(folder_.path() / "").train.name(), name + " train");
}

TEST_F(DatasetMnistDirectory, MustHoldAllFourFiles) {
    std::filesystem::remove(folder_.path() / "t10k-images-idx3-ubyte.gz");
    EXPECT_EQ(errorOf([&] { readMnistDirectory(folder_.path()); }),
              folder_.path().string() +
                  ": files: expected t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz, found neither.");
}

TEST_F(DatasetMnistDirectory, MustHoldTestImagesOfTheSizeOfTheTrainingImages) {
    folder_.write("t10k-images-idx3-ubyte.gz", gzipOf(joined(idxHeader({1, 2, 2}), counting(4))));
    EXPECT_EQ(errorOf([&] { readMnistDirectory(folder_.path()); }),
              (folder_.path() / "t10k-images-idx3-ubyte.gz").string() +
                  ": image size: expected 1 x 3 x 1, that of the training images, found 2 x 2 x 1.");
}

TEST_F(DatasetMnistDirectory, MustExist) {
    EXPECT_EQ(errorOf([] { readMnistDirectory("/nowhere/at/all"); }),
              "/nowhere/at/all: data directory: expected a directory with the four IDX files of MNIST, found "
              "no such "
              "directory.");
}

TEST(DatasetFashionMnist, HasSixtyThousandImagesToLearnFromAndTenThousandToBeTestedOn) {
    if (!std::filesystem::exists(kFashionMnistDirectory)) {
        GTEST_SKIP() << "Debian's package dataset-fashion-mnist is not installed: no "
                     << kFashionMnistDirectory;
    }
    const TrainTest both = readMnistDirectory();
    EXPECT_EQ(both.train.name(), "fashion-mnist train");
    EXPECT_EQ(both.train.count(), 60000u);
    EXPECT_EQ(both.test.count(), 10000u);
    EXPECT_EQ(both.train.width(), 28u);
    EXPECT_EQ(both.train.height(), 28u);
    std::vector<std::size_t> perClass(10);
    for (const auto label : both.train.labels()) ++perClass[label];
    EXPECT_THAT(perClass, testing::Each(6000u));
    EXPECT_THAT(both.train.labels().first(5), ElementsAre(9, 0, 0, 3, 0));
}

}  // namespace
}  // namespace pewter::train::tests
