#ifdef PEWTER_HAVE_CPU

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "EnvironmentVariable.h"
#include "SquareConvolution.h"
#include "backends/cpu/ConvolutionChoices.h"

namespace pewter::test {
namespace {

namespace fs = std::filesystem;
using cpu::Algorithm;
using cpu::ConvolutionChoices;
using cpu::ConvolutionTask;
using cpu::Direction;
using ops::Exactness;

TEST(CpuConvolutionAlgorithms, SumsOfProductsInBlockedImagesAreExactOnIntegers) {
    Random random(41);
    for (const Direction direction : kDirections)
        for (const std::int64_t channels : {3, 16, 20}) {
            Square square(random, 2, 9, channels, 24, 1, true);
            const auto expected = square.expected(direction);
            ASSERT_TRUE(compute(square, direction, Algorithm::Blocked));
            EXPECT_EQ(square.resultOf(direction).values(), expected) << channels << " channels";
        }
}

TEST(CpuConvolutionAlgorithms, SumsByColumnsAreExactOnIntegers) {
    Random random(44);
    for (const Direction direction : {Direction::Forward, Direction::WeightsGradient})
        for (const std::int64_t outputs : {1, 3, 8})
            for (const std::int64_t pad : {0, 1, 2}) {
                Square square(random, 2, 7, 5, outputs, pad, true);
                for (const bool add : {false, true}) {
                    OpTensor& result = square.resultOf(direction);
                    std::vector<double> expected = square.expected(direction);
                    const std::vector<double> before = result.values();
                    if (add && direction == Direction::Forward) continue;
                    for (std::size_t i = 0; add && i < expected.size(); ++i) expected[i] += before[i];
                    ASSERT_TRUE(compute(square, direction, Algorithm::Columns, add));
                    EXPECT_EQ(result.values(), expected) << outputs << " outputs, pad " << pad;
                }
            }
}

TEST(CpuConvolutionAlgorithms, ColumnsAreForFewOutputsAndStepsOfOnePixel) {
    Random random(45);
    Square square(random, 1, 7, 4, 3, 1, true), wide(random, 1, 7, 4, 9, 1, true);
    ConvolutionTask task{Direction::Forward, square.problem()};
    EXPECT_TRUE(cpu::prepare(task, Algorithm::Columns));
    EXPECT_FALSE(cpu::prepare({Direction::DataGradient, square.problem()}, Algorithm::Columns));
    EXPECT_FALSE(cpu::prepare({Direction::Forward, wide.problem()}, Algorithm::Columns));
    task.problem.x.stride = 2;
    EXPECT_FALSE(cpu::prepare(task, Algorithm::Columns));
}

TEST(CpuConvolutionAlgorithms, WinogradStaysInsideItsStatedError) {
    Random random(42);
    double worst = 0;
    int cases = 0;
    for (int i = 0; i < 60; ++i)
        for (const Direction direction : kDirections) {
            Square square(random, random.integer(1, 4), random.integer(4, 21), 16 * random.integer(1, 4),
                          16 * random.integer(1, 4), random.integer(0, 1), false);
            const auto expected = square.expected(direction);
            if (!compute(square, direction, Algorithm::Winograd)) continue;
            const double allowance = kWinogradError * std::numeric_limits<float>::epsilon() * square.length(direction);
            worst = std::max(worst, worstShare(square.resultOf(direction).values(), expected, allowance));
            ++cases;
        }
    if (cases == 0) GTEST_SKIP() << "this processor has no Winograd kernel";
    std::printf("[    worst ] winograd: %.3f of its allowance in %d cases\n", worst, cases);
    EXPECT_LE(worst, 1);
    EXPECT_GT(worst, 0) << "a product algorithm would not be compared";
}

// --- choices ---

using Variable = EnvironmentVariable;

class ConvolutionChoice : public testing::Test {
protected:
    ConvolutionChoice() { fs::remove_all(folder_); }
    ~ConvolutionChoice() override { fs::remove_all(folder_); }

    /// A forward convolution that is worth a measurement.
    Algorithm choose(ConvolutionChoices& choices, Exactness exactness = Exactness::Transformed) {
        return choices.choose({Direction::Forward, square_.problem()}, exactness, square_.operands()).algorithm;
    }
    nlohmann::json written() {
        std::ifstream file(file_);
        return nlohmann::json::parse(file);
    }

    /// Of the files that are written now.
    int currentVersion() {
        ConvolutionChoices choices("version");
        choose(choices);
        const int version = written().at("version");
        fs::remove(file_);
        return version;
    }

    Random random_{43};
    Square square_{random_, 4, 24, 32, 32, 1, false};
    fs::path folder_ = fs::path(testing::TempDir()) / ("choices-" + std::to_string(getpid()));
    std::string file_ = folder_ / "inner" / "algorithms.json";
    Variable cache_{"PEWTER_ALGORITHM_CACHE", file_};
    Variable pin_{"PEWTER_CONVOLUTION", "measured"}, layouts_{"PEWTER_LAYOUTS", "measured"};
};

TEST_F(ConvolutionChoice, IsMeasuredOnceAndWrittenToTheFileOfItsMachine) {
    ConvolutionChoices choices("machine A");
    const Algorithm first = choose(choices);
    const auto problems = written().at("machines").at("machine A");
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_EQ(problems.begin().value().at("algorithm"), cpu::nameOf(first));
    EXPECT_TRUE(problems.begin().value().at("milliseconds").contains("direct"));
    fs::remove(file_);
    EXPECT_EQ(choose(choices), first);
    EXPECT_FALSE(fs::exists(file_)) << "it was measured again";
}

TEST_F(ConvolutionChoice, ComesFromTheFileOfItsMachineAlone) {
    ConvolutionChoices first("machine A");
    choose(first);
    auto whole = written();
    auto& entry = whole["machines"]["machine A"].begin().value();
    for (const Algorithm algorithm : {Algorithm::Blocked, Algorithm::Direct}) {
        entry["algorithm"] = cpu::nameOf(algorithm);
        std::ofstream(file_) << whole.dump();
        ConvolutionChoices second("machine A");
        EXPECT_EQ(choose(second), algorithm);
    }
    ConvolutionChoices other("machine B");
    choose(other);
    EXPECT_EQ(written().at("machines").size(), 2u);
}

TEST_F(ConvolutionChoice, IgnoresADamagedFileAndWritesItAnew) {
    fs::create_directories(fs::path(file_).parent_path());
    const int version = currentVersion();
    const auto head = "{\"version\": " + std::to_string(version);
    const std::string texts[] = {"", "{", "[1, 2]", head + "}", head + ", \"machines\": 3}", head + ", \"machines\": {\"m\": 7}}",
                                 head + ", \"machines\": {\"m\": {\"p\": {\"algorithm\": \"magic\"}, \"q\": 1}}}",
                                 "{\"version\": 1, \"machines\": {}}", "{\"version\": \"3\", \"machines\": {}}", "{\"version\": 99}"};
    for (const auto& text : texts) {
        std::ofstream(file_) << text;
        ConvolutionChoices choices("m");
        choose(choices);
        EXPECT_EQ(written().at("version"), version) << text;
        EXPECT_EQ(written().at("machines").at("m").size(), 1u) << text;
        ConvolutionChoices next("m");
        fs::remove(file_);
        choose(next);
        EXPECT_FALSE(fs::exists(file_)) << "it was measured again: " << text;
    }
}

TEST_F(ConvolutionChoice, KeepsWhatIsNotDamagedInTheFile) {
    const auto good = nlohmann::json{{"algorithm", "blocked"}, {"milliseconds", {{"blocked", 1.5}, {"direct", 2.5}}}};
    const int version = currentVersion();
    std::ofstream(file_) << nlohmann::json{
        {"version", version},
        {"machines", {{"m", {{"p", good}, {"q", {{"algorithm", "blocked"}}}}}, {"other", {{"p", good}}}}}};
    ConvolutionChoices choices("m");
    choose(choices);
    const auto machines = written().at("machines");
    EXPECT_EQ(machines.at("m").at("p"), good);
    EXPECT_FALSE(machines.at("m").contains("q"));
    EXPECT_EQ(machines.at("m").size(), 2u);
    EXPECT_EQ(machines.at("other"), (nlohmann::json{{"p", good}}));
}

TEST_F(ConvolutionChoice, IsDescribedWithoutAMeasurement) {
    using Origin = ops::ConvolutionChoice::Origin;
    const ConvolutionTask task{Direction::Forward, square_.problem()};
    ConvolutionChoices choices("m");
    const auto describe = [&](ConvolutionChoices& of, Exactness exactness = Exactness::Transformed) {
        return of.describe(task, exactness, task);
    };
    const auto before = describe(choices);
    EXPECT_EQ(before.origin, Origin::NotMeasured);
    EXPECT_EQ(before.algorithm, "");
    EXPECT_EQ(before.direction, "forward");
    EXPECT_TRUE(before.milliseconds.empty());
    EXPECT_FALSE(fs::exists(file_));

    const auto chosen = cpu::nameOf(choose(choices));
    const auto after = describe(choices);
    EXPECT_EQ(after.origin, Origin::Measured);
    EXPECT_EQ(after.algorithm, chosen);
    EXPECT_GT(after.milliseconds.at("direct"), 0);
    ConvolutionChoices next("m");
    const auto read = describe(next);
    EXPECT_EQ(read.origin, Origin::File);
    EXPECT_EQ(read.algorithm, chosen);
    EXPECT_EQ(read.milliseconds, after.milliseconds);
    EXPECT_EQ(written().at("machines").at("m").begin().key(), read.problem);

    // What the options rule out is what would be measured without them.
    for (const Algorithm algorithm : {Algorithm::Winograd, Algorithm::Winograd5, Algorithm::Winograd2}) {
        const auto forbidden = describe(next, Exactness::Products).forbidden;
        EXPECT_EQ(std::count(forbidden.begin(), forbidden.end(), cpu::nameOf(algorithm)),
                  static_cast<long>(after.milliseconds.count(cpu::nameOf(algorithm))));
    }
    EXPECT_TRUE(read.forbidden.empty());

    const Variable pin("PEWTER_CONVOLUTION", "winograd5");
    ConvolutionChoices pinned("m");
    const auto other = describe(pinned);
    EXPECT_EQ(other.origin, Origin::Pinned);
    EXPECT_EQ(other.algorithm, "direct");
    EXPECT_EQ(other.reason, "no winograd5 for this problem");
}

TEST_F(ConvolutionChoice, WarnsOnceOfAFileThatCannotBeWritten) {
    std::ofstream(folder_) << "a file where a folder has to be";
    testing::internal::CaptureStderr();
    ConvolutionChoices choices("m");
    choose(choices);
    choose(choices, Exactness::Products);
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_NE(text.find("pewter: warning: cannot write the file of measured algorithms, " + file_), std::string::npos)
        << text;
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST_F(ConvolutionChoice, CanBePinnedByName) {
    for (const Algorithm algorithm : cpu::kAlgorithms) {
        if (!cpu::prepare({Direction::Forward, square_.problem()}, algorithm)) continue;
        const Variable pin("PEWTER_CONVOLUTION", cpu::nameOf(algorithm));
        ConvolutionChoices choices("m");
        EXPECT_EQ(choose(choices), algorithm);
    }
    EXPECT_FALSE(fs::exists(file_)) << "a pinned algorithm was measured";
}

TEST_F(ConvolutionChoice, TransformsNothingWhereSumsOfProductsAreAskedFor) {
    Square five(random_, 4, 12, 32, 32, 2, false, 5);
    for (const Algorithm algorithm : {Algorithm::Winograd, Algorithm::Winograd5}) {
        const Variable pin("PEWTER_CONVOLUTION", cpu::nameOf(algorithm));
        ConvolutionChoices choices("m");
        EXPECT_EQ(choose(choices, Exactness::Products), Algorithm::Direct);
        EXPECT_EQ(choices.choose({Direction::Forward, five.problem()}, Exactness::Products, five.operands()).algorithm,
                  Algorithm::Direct);
    }
}

TEST_F(ConvolutionChoice, TimesOfLayoutsAreMeasuredOnceAndAskedForOnlyWhereNothingIsPinned) {
    ConvolutionTask task{Direction::Forward, square_.problem()};
    task.srcLayout = task.dstLayout = ops::ImageLayout::ChannelBlocks;
    {
        ConvolutionChoices choices("m");
        const auto choice = choices.measured(task, Exactness::Transformed);
        ASSERT_TRUE(choice);
        EXPECT_GT(choice->milliseconds(), 0);
        EXPECT_EQ(choices.measured(task, Exactness::Transformed)->times, choice->times);
        EXPECT_EQ(written().at("machines").at("m").size(), 1U);
        // The way in blocks is another problem.
        ASSERT_TRUE(choices.measured({Direction::Forward, square_.problem()}, Exactness::Transformed));
        EXPECT_EQ(written().at("machines").at("m").size(), 2U);
        EXPECT_EQ(ConvolutionChoices("m").measured(task, Exactness::Transformed)->times, choice->times);
        const double reorder = choices.reorderMilliseconds(2, 9, 32);
        EXPECT_GT(reorder, 0);
        EXPECT_EQ(choices.reorderMilliseconds(2, 9, 32), reorder);
    }
    for (const auto& [name, value] : {std::pair{"PEWTER_LAYOUTS", "plain"}, {"PEWTER_CONVOLUTION", "direct"}}) {
        const Variable pin(name, value);
        EXPECT_FALSE(ConvolutionChoices("m").measuresLayouts());
        EXPECT_FALSE(ConvolutionChoices("m").measured(task, Exactness::Transformed));
    }
}

TEST_F(ConvolutionChoice, RefusesAnUnknownLayout) {
    const Variable pin("PEWTER_LAYOUTS", "blocks");
    try {
        ConvolutionChoices choices("m");
        FAIL() << "nothing thrown";
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(), "PEWTER_LAYOUTS: expected measured or plain, found \"blocks\"");
    }
}

TEST_F(ConvolutionChoice, RefusesAnUnknownName) {
    const Variable pin("PEWTER_CONVOLUTION", "fastest");
    try {
        ConvolutionChoices choices("m");
        FAIL() << "nothing thrown";
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(),
                     "PEWTER_CONVOLUTION: expected measured, direct, blocked, winograd, columns, winograd5, winograd2 or "
                     "products, found \"fastest\"");
    }
}

}  // namespace
}  // namespace pewter::test

#endif
