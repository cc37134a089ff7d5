#include <gmock/gmock.h>

#include <Pewter/train/CsvDataset.hpp>
#include <Pewter/train/Digits.hpp>
#include <Pewter/train/Random.hpp>
#include <numeric>

#include "DatasetSupport.h"

namespace pewter::train::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Two pixels side by side, 0 to 16, ten classes.
CsvFormat twoPixels() {
    CsvFormat format;
    format.width = 2;
    format.height = 1;
    format.maxValue = 16;
    return format;
}

Dataset csv(std::string_view text, const CsvFormat& format = twoPixels()) {
    return readCsvDataset(bytesOf(text), format, "f");
}

std::string csvError(std::string_view text, const CsvFormat& format = twoPixels()) {
    return errorOf([&] { csv(text, format); });
}

TEST(DatasetCsv, ReadsPixelsAndThenTheLabelOfEachLine) {
    const Dataset set = csv("0,16,3\n16,0,9\n");
    EXPECT_EQ(set.name(), "f");
    EXPECT_EQ(set.width(), 2u);
    EXPECT_EQ(set.height(), 1u);
    EXPECT_EQ(set.channels(), 1u);
    EXPECT_THAT(set.bytes(), ElementsAre(0, 255, 255, 0));
    EXPECT_THAT(set.labels(), ElementsAre(3, 9));
}

TEST(DatasetCsv, ReadsLabelsOfAsManyClassesAsTheFormatHas) {
    CsvFormat format = twoPixels();
    format.classCount = 65536;
    EXPECT_THAT(csv("1,2,65535\n1,2,256", format).labels(), ElementsAre(65535, 256));
    format.classCount = 1000;
    EXPECT_EQ(csvError("1,2,1000", format),
              "f: line 1, column 3: expected a label of 0 to 999, found a number that begins with 1000.");
}

TEST(DatasetCsv, ScalesPixelsToBytesRoundingToTheNearest) {
    CsvFormat format = twoPixels();
    EXPECT_THAT(csv("1,7,0", format).bytes(), ElementsAre(16, 112));  // 15.94, 111.56
    format.maxValue = 2;
    EXPECT_THAT(csv("1,2,0", format).bytes(), ElementsAre(128, 255));  // 127.5: halves go upwards
    format.maxValue = 255;
    EXPECT_THAT(csv("1,254,0", format).bytes(), ElementsAre(1, 254));
    format.maxValue = 65535;
    EXPECT_THAT(csv("128,65535,0", format).bytes(), ElementsAre(0, 255));  // 0.498
}

TEST(DatasetCsv, AcceptsBothLineEndsAndALastLineWithout) {
    EXPECT_EQ(csv("1,2,3\r\n4,5,6\r\n").count(), 2u);
    EXPECT_EQ(csv("1,2,3\n4,5,6").count(), 2u);
    EXPECT_EQ(csv("1,2,3\r\n4,5,6").count(), 2u);
}

TEST(DatasetCsv, ReadsPlainAndGzipFilesAlikeWhateverTheirNames) {
    const Folder folder;
    std::string text;
    for (int i = 0; i < 30000; ++i) text += "12,3,4\n";  // longer than any buffer of the reader
    const Dataset plain = readCsvDataset(folder.write("a.gz", bytesOf(text)), twoPixels());
    const Dataset packed = readCsvDataset(folder.write("b.csv", gzipOf(bytesOf(text))), twoPixels(), "named");
    EXPECT_EQ(plain.count(), 30000u);
    EXPECT_TRUE(std::ranges::equal(plain.bytes(), packed.bytes()));
    EXPECT_EQ(plain.name(), "a.gz");
    EXPECT_EQ(packed.name(), "named");
}

TEST(DatasetCsv, NamesTheFileInItsErrors) {
    const Folder folder;
    const auto path = folder.write("bad.csv", bytesOf("1,2,x\n"));
    EXPECT_EQ(
        errorOf([&] { readCsvDataset(path, twoPixels(), "other"); }),
        path.string() + ": line 1, column 3: expected digits, a comma or the end of the line, found 'x'.");
    EXPECT_EQ(errorOf([&] { readCsvDataset(folder.path() / "none.csv", twoPixels()); }),
              (folder.path() / "none.csv").string() +
                  ": file: expected a file that can be read, found no such file.");
}

TEST(DatasetCsv, RefusesAnythingButDigitsAndCommas) {
    EXPECT_EQ(csvError("1,2,3\n4,-5,6\n"),
              "f: line 2, column 2: expected digits, a comma or the end of the line, found '-'.");
    EXPECT_EQ(csvError("1, 2,3\n"),
              "f: line 1, column 2: expected digits, a comma or the end of the line, found the byte 0x20.");
    EXPECT_EQ(csvError("\xEF\xBB\xBF"
                       "1,2,3\n"),
              "f: line 1, column 1: expected digits, a comma or the end of the line, found the byte 0xEF.");
}

TEST(DatasetCsv, RefusesALineWithTooFewColumns) {
    EXPECT_EQ(csvError("1,2,3\n1,2\n"), "f: columns of line 2: expected 3 (2 pixels and a label), found 2.");
    EXPECT_EQ(csvError("1,2,3\n1"), "f: columns of line 2: expected 3 (2 pixels and a label), found 1.");
}

TEST(DatasetCsv, RefusesALineWithTooManyColumns) {
    EXPECT_EQ(csvError("1,2,3,4\n"), "f: columns of line 1: expected 3 (2 pixels and a label), found more.");
    EXPECT_EQ(csvError("1,2,3,\n"), "f: columns of line 1: expected 3 (2 pixels and a label), found more.");
}

TEST(DatasetCsv, RefusesAColumnWithoutANumber) {
    EXPECT_EQ(csvError("1,,3\n"), "f: line 1, column 2: expected a number, found a comma.");
    EXPECT_EQ(csvError("1,2,\n"), "f: line 1, column 3: expected a number, found the end of the line.");
    EXPECT_EQ(csvError("1,2,"), "f: line 1, column 3: expected a number, found the end of the line.");
}

TEST(DatasetCsv, RefusesAnEmptyLine) {
    EXPECT_EQ(csvError("1,2,3\n\n1,2,3\n"), "f: line 2, column 1: expected a number, found an empty line.");
}

TEST(DatasetCsv, RefusesACarriageReturnInsideALine) {
    EXPECT_EQ(csvError("1,2,3\r4,5,6\n"),
              "f: end of line 1: expected a line feed after a carriage return, found '4'.");
    EXPECT_EQ(csvError("1,2,3\r"),
              "f: end of line 1: expected a line feed after a carriage return, found the end of the file.");
}

TEST(DatasetCsv, RefusesAPixelBeyondTheLargest) {
    EXPECT_EQ(csvError("1,17,3\n"),
              "f: line 1, column 2: expected a pixel of 0 to 16, found a number that begins "
              "with 17.");
    EXPECT_EQ(csvError("1,99999999999999999999999,3\n"),
              "f: line 1, column 2: expected a pixel of 0 to 16, found a number that begins with 99.");
}

TEST(DatasetCsv, RefusesALabelBeyondTheLastClass) {
    EXPECT_EQ(csvError("1,2,3\n1,2,10\n"),
              "f: line 2, column 3: expected a label of 0 to 9, found a number that begins with 10.");
}

TEST(DatasetCsv, RefusesAnEmptyFile) {
    EXPECT_EQ(csvError(""), "f: file: expected at least one line, found an empty file.");
    EXPECT_EQ(errorOf([] { readCsvDataset(gzipOf({}), twoPixels(), "f"); }),
              "f: file: expected at least one line, found an empty file.");
}

TEST(DatasetCsv, RefusesAGzipStreamThatIsCutOff) {
    Bytes packed = gzipOf(bytesOf("1,2,3\n"));
    packed.pop_back();
    EXPECT_EQ(errorOf([&] { readCsvDataset(packed, twoPixels(), "f"); }),
              "f: gzip data: expected a complete stream, found the end of the file after " +
                  std::to_string(packed.size()) + " bytes.");
}

TEST(DatasetCsv, RefusesMoreImagesThanAllowed) {
    CsvFormat format = twoPixels();
    format.maxImages = 2;
    EXPECT_EQ(csv("1,2,3\n1,2,3\n", format).count(), 2u);
    EXPECT_EQ(csvError("1,2,3\n1,2,3\n1,2,3\n", format),
              "f: line 3, column 1: expected at most 2 images, found one "
              "more.");
}

TEST(DatasetCsv, RefusesAFormatThatCannotBe) {
    CsvFormat format = twoPixels();
    format.width = 0;
    EXPECT_EQ(csvError("1\n", format),
              "f: CsvFormat width and height: expected 1 x 1 to 16777216 pixels, found 0 x 1.");
    format = twoPixels();
    format.width = format.height = std::size_t{1} << 32;  // the product is 0 modulo 2^64
    EXPECT_THAT(csvError("1\n", format), HasSubstr("found 4294967296 x 4294967296."));
    format = twoPixels();
    format.maxValue = 0;
    EXPECT_EQ(csvError("1\n", format), "f: CsvFormat maxValue: expected 1 to 65535, found 0.");
    format.maxValue = 65536;
    EXPECT_EQ(csvError("1\n", format), "f: CsvFormat maxValue: expected 1 to 65535, found 65536.");
    format = twoPixels();
    format.classCount = 0;
    EXPECT_EQ(csvError("1\n", format), "f: CsvFormat classCount: expected 1 to 65536, found 0.");
    format.classCount = 65537;
    EXPECT_EQ(csvError("1\n", format), "f: CsvFormat classCount: expected 1 to 65536, found 65537.");
}

TEST(DatasetCsv, AnswersAnyDamageWithAnErrorOrWholeImages) {
    Random random(42);
    const std::string_view alphabet = "0123456789,,,\n\n\r -x";
    for (int round = 0; round < 4000; ++round) {
        Bytes content = bytesOf("1,16,3\n0,2,9\n12,13,4\n");
        for (std::uint64_t change = 0, changes = 1 + random.below(3); change < changes; ++change) {
            content[random.below(content.size())] =
                static_cast<std::uint8_t>(alphabet[random.below(alphabet.size())]);
        }
        try {
            const Dataset set = readCsvDataset(content, twoPixels(), "f");
            EXPECT_EQ(set.bytes().size(), 2 * set.count());
        } catch (const MPS::Error& error) {
            EXPECT_EQ(error.subject(), "f");
        }
    }
}

TEST(DatasetDigits, AreTheDigitsOfTheirSource) {
    const Dataset digits = digitsDataset();
    EXPECT_EQ(digits.name(), "digits");
    EXPECT_EQ(digits.count(), 1797u);
    EXPECT_EQ(digits.width(), 8u);
    EXPECT_EQ(digits.height(), 8u);
    EXPECT_EQ(digits.channels(), 1u);
    EXPECT_EQ(digits.classCount(), 10u);
    std::vector<int> perClass(10);
    for (const auto label : digits.labels()) ++perClass[label];
    EXPECT_THAT(perClass, ElementsAre(178, 182, 177, 183, 181, 182, 181, 179, 174, 180));
    // The first row of the first digit: 0 0 5 13 9 1 0 0 of 16.
    EXPECT_THAT(digits.image(0).first(8), ElementsAre(0, 0, 80, 207, 143, 16, 0, 0));
    EXPECT_EQ(digits.label(0), 0);
    EXPECT_EQ(digits.label(1796), 8);
}

TEST(DatasetDigits, HoldOutTheSameFifthEverywhere) {
    const TrainTest parts = digitsSplit();
    EXPECT_EQ(parts.train.count(), 1438u);
    EXPECT_EQ(parts.test.count(), 359u);
    // The rule of Dataset::split with the seed of Digits.hpp, worked out by a separate Python program.
    const Dataset all = digitsDataset();
    EXPECT_TRUE(std::ranges::equal(parts.test.image(0), all.image(1)));
    EXPECT_TRUE(std::ranges::equal(parts.test.image(4), all.image(30)));
    EXPECT_TRUE(std::ranges::equal(parts.test.image(358), all.image(1793)));
    std::vector<int> perClass(10);
    for (const auto label : parts.test.labels()) ++perClass[label];
    EXPECT_THAT(perClass, ElementsAre(28, 47, 40, 36, 34, 29, 39, 33, 29, 44));
}

}  // namespace
}  // namespace pewter::train::tests
