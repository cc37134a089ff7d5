#include <gmock/gmock.h>
#include <pty.h>
#include <unistd.h>

#include <Pewter/train/Progress.hpp>
#include <array>
#include <cstdlib>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace pewter::train::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// A terminal that remembers what was drawn, with a clock that stands until told to go on.
struct Screen {
    double time = 100;
    std::size_t columns = 100;
    bool isTerminal = true;
    std::vector<std::string> drawn;

    Console console() {
        Console console;
        console.isTerminal = isTerminal;
        console.columns = [this] { return columns; };
        console.write = [this](std::string_view text) { drawn.emplace_back(text); };
        console.seconds = [this] { return time; };
        return console;
    }

    /// The last line drawn, without the characters that place it.
    std::string line() const {
        if (drawn.empty()) return "nothing was drawn";
        const std::string& text = drawn.back();
        EXPECT_TRUE(text.starts_with("\r"));
        EXPECT_TRUE(text.ends_with("\x1b[K"));
        return text.substr(1, text.size() - 4);
    }
};

TEST(Progress, ShowsShareStepsRateLossAndTimeLeft) {
    Screen screen;
    Progress progress(100, "digits", screen.console());
    for (int step = 0; step < 25; ++step) {
        screen.time += 0.5;
        progress.advance(32, 1.25);
    }
    EXPECT_EQ(screen.line(),
              "digits  [#######-----------------------]  25%  25/100  64 images/s  loss 1.2500  0:38 left");
}

TEST(Progress, DrawsOverTheSameLine) {
    Screen screen;
    Progress progress(10, "run", screen.console());
    for (int step = 0; step < 3; ++step) {
        screen.time += 1;
        progress.advance(1);
        EXPECT_TRUE(screen.drawn.back().starts_with("\r"));
        EXPECT_THAT(screen.drawn.back(), Not(HasSubstr("\n")));
    }
    EXPECT_EQ(screen.drawn.size(), 3u);
}

TEST(Progress, DrawsAtMostTenTimesASecond) {
    Screen screen;
    Progress progress(100000, "run", screen.console());
    for (int step = 0; step < 1024; ++step) {
        screen.time += 1.0 / 256;  // 4 seconds in all, exact in binary
        progress.advance(1);
    }
    EXPECT_LE(screen.drawn.size(), 41u);
    EXPECT_GE(screen.drawn.size(), 30u);
}

TEST(Progress, IsSilentWhereThereIsNoTerminal) {
    Screen screen;
    screen.isTerminal = false;
    {
        Progress progress(2, "run", screen.console());
        screen.time += 1;
        progress.advance(8, 0.5);
        progress.clear();
        screen.time += 1;
        progress.advance(8, 0.5);
        progress.finish();
    }
    EXPECT_TRUE(screen.drawn.empty());
}

TEST(Progress, CountsWhereThereIsNoTerminal) {
    Screen screen;
    screen.isTerminal = false;
    Progress progress(4, "run", screen.console());
    screen.time += 2;
    progress.advance(8);
    progress.advance(4);
    EXPECT_EQ(progress.steps(), 2u);
    EXPECT_EQ(progress.images(), 12u);
    EXPECT_EQ(progress.seconds(), 2);
    EXPECT_EQ(progress.imagesPerSecond(), 6);
}

TEST(Progress, StopsItsClockWhenFinished) {
    Screen screen;
    Progress progress(1, "run", screen.console());
    screen.time += 2;
    progress.advance(10);
    progress.finish();
    screen.time += 3;
    EXPECT_EQ(progress.seconds(), 2);
    EXPECT_EQ(progress.imagesPerSecond(), 5);
}

TEST(Progress, HasNoRateBeforeTimeHasPassed) {
    Screen screen;
    Progress progress(10, "run", screen.console());
    EXPECT_EQ(progress.imagesPerSecond(), 0);
    progress.advance(10, 3.0);
    EXPECT_THAT(screen.line(), Not(HasSubstr("images/s")));
    EXPECT_THAT(screen.line(), Not(HasSubstr("left")));
}

TEST(Progress, ShowsTheRateOfTheLastSecondsNotOfTheWholeRun) {
    Screen screen;
    Progress progress(1000, "run", screen.console());
    screen.time += 60;  // a slow start
    progress.advance(100);
    for (int step = 0; step < 60; ++step) {
        screen.time += 1;
        progress.advance(100);
    }
    EXPECT_THAT(screen.line(), HasSubstr(" 100 images/s"));
    EXPECT_THAT(screen.line(), HasSubstr(" 15:39 left"));  // 939 steps of a second
}

TEST(Progress, ShowsHoursWhenThereAreSome) {
    Screen screen;
    Progress progress(3601, "run", screen.console());
    screen.time += 2;
    progress.advance(1);
    EXPECT_THAT(screen.line(), HasSubstr("2:00:00 left"));
}

TEST(Progress, ShowsSlowRatesWithTheirFraction) {
    Screen screen;
    Progress progress(10, "run", screen.console());
    screen.time += 4;
    progress.advance(1);
    EXPECT_THAT(screen.line(), HasSubstr(" 0.25 images/s"));
}

TEST(Progress, KeepsTheLastLossUntilAnotherComes) {
    Screen screen;
    Progress progress(10, "run", screen.console());
    screen.time += 1;
    progress.advance(1);
    EXPECT_THAT(screen.line(), Not(HasSubstr("loss")));
    screen.time += 1;
    progress.advance(1, 2.5);
    screen.time += 1;
    progress.advance(1);
    EXPECT_THAT(screen.line(), HasSubstr("loss 2.5000"));
}

TEST(Progress, ShowsALossThatIsNoNumber) {
    Screen screen;
    Progress progress(10, "run", screen.console());
    screen.time += 1;
    progress.advance(1, std::numeric_limits<double>::quiet_NaN());
    EXPECT_THAT(screen.line(), HasSubstr("loss nan"));
}

TEST(Progress, NeverFillsTheTerminalToItsLastColumn) {
    Screen screen;
    Progress progress(1000000, "a rather long label", screen.console());
    for (std::size_t columns = 200; columns >= 1; --columns) {
        screen.columns = columns;
        screen.time += 1;
        progress.advance(40, 0.125);
        EXPECT_LT(screen.line().size(), columns);
    }
}

TEST(Progress, LeavesOutTheBarThenTheLabelThenTheRest) {
    Screen screen;
    Progress progress(100, "label", screen.console());
    const auto lineAt = [&](std::size_t columns) {
        screen.columns = columns;
        screen.time += 1;
        progress.advance(40, 0.5);
        return screen.line();
    };
    EXPECT_EQ(lineAt(70), "label  [-----------]   1%  1/100  40 images/s  loss 0.5000  1:39 left");
    EXPECT_EQ(lineAt(60), "label    2%  2/100  40 images/s  loss 0.5000  1:38 left");
    EXPECT_EQ(lineAt(50), "  3%  3/100  40 images/s  loss 0.5000  1:37 left");
    EXPECT_EQ(lineAt(30), "  4%  4/100");
    EXPECT_EQ(lineAt(8), "  5%  5");
}

TEST(Progress, MeasuresLabelsInCharactersNotBytes) {
    Screen screen;
    screen.columns = 10;
    Progress progress(1, "äöüäöüäöüäöü", screen.console());
    screen.time += 1;
    progress.finish();
    EXPECT_EQ(screen.drawn.front(), "\räöüäöüäöü\x1b[K");
}

TEST(Progress, TakesEightyColumnsForATerminalOfUnknownWidth) {
    Screen screen;
    screen.columns = 0;
    Progress progress(100, std::string(200, 'x'), screen.console());
    progress.finish();
    EXPECT_EQ(screen.drawn.front().size(), 79 + std::string("\r\x1b[K").size());
}

TEST(Progress, EndsWithTheTotals) {
    Screen screen;
    Progress progress(2, "mnist", screen.console());
    screen.time += 1;
    progress.advance(40, 2.0);
    screen.time += 1;
    progress.advance(40, 1.0);
    screen.drawn.clear();
    progress.finish();
    EXPECT_THAT(screen.drawn,
                ElementsAre("\rmnist  80 images in 2.0 s  40 images/s  loss 1.0000\x1b[K", "\n"));
}

TEST(Progress, DrawsNothingAfterItHasFinished) {
    Screen screen;
    {
        Progress progress(2, "run", screen.console());
        progress.finish();
        screen.drawn.clear();
        screen.time += 1;
        progress.advance(1);
        progress.finish();
    }
    EXPECT_TRUE(screen.drawn.empty());
}

TEST(Progress, EndsItsLineWhenItIsLeftUnfinished) {
    Screen screen;
    {
        Progress progress(2, "run", screen.console());
        screen.time += 1;
        progress.advance(1);
    }
    EXPECT_EQ(screen.drawn.back(), "\n");
}

TEST(Progress, WipesItsLineForOtherOutput) {
    Screen screen;
    {
        Progress progress(2, "run", screen.console());
        progress.clear();
        EXPECT_TRUE(screen.drawn.empty());
        screen.time += 1;
        progress.advance(1);
        progress.clear();
        EXPECT_EQ(screen.drawn.back(), "\r\x1b[K");
        screen.drawn.clear();
    }
    EXPECT_TRUE(screen.drawn.empty());  // no line was open
}

TEST(Progress, ShowsMoreStepsThanPlannedAsTheyAre) {
    Screen screen;
    Progress progress(1, "run", screen.console());
    progress.advance(1);
    screen.time += 1;
    progress.advance(1);
    EXPECT_THAT(screen.line(), HasSubstr("100%  2/1"));
}

/// Puts another file in the place of standard error, until the end of the block.
class StandardErrorTo {
public:
    explicit StandardErrorTo(int file) : saved_(dup(STDERR_FILENO)) { dup2(file, STDERR_FILENO); }
    ~StandardErrorTo() {
        dup2(saved_, STDERR_FILENO);
        close(saved_);
    }
    StandardErrorTo(const StandardErrorTo&) = delete;
    StandardErrorTo& operator=(const StandardErrorTo&) = delete;

private:
    int saved_;
};

TEST(Progress, SeesThatAPipeIsNoTerminal) {
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    {
        const StandardErrorTo redirected(ends[1]);
        EXPECT_FALSE(Console::standardError().isTerminal);
        Progress progress(1, "run");
        progress.advance(1);
        progress.finish();
    }
    close(ends[1]);
    char byte = 0;
    EXPECT_EQ(read(ends[0], &byte, 1), 0);  // the end of the file, and nothing before it
    close(ends[0]);
}

TEST(Progress, DrawsOnARealTerminalWithinItsWidth) {
    int master = -1, terminal = -1;
    const winsize size{24, 33, 0, 0};
    if (openpty(&master, &terminal, nullptr, nullptr, &size) != 0)
        GTEST_SKIP() << "this machine has no pseudo terminals";
    const char* term = std::getenv("TERM");
    const std::optional<std::string> before = term ? std::optional<std::string>(term) : std::nullopt;
    {
        const StandardErrorTo redirected(terminal);
        setenv("TERM", "dumb", 1);
        EXPECT_FALSE(Console::standardError().isTerminal);
        setenv("TERM", "xterm", 1);
        EXPECT_TRUE(Console::standardError().isTerminal);
        EXPECT_EQ(Console::standardError().columns(), 33u);
        Progress progress(4, "run");
        progress.advance(1);
        progress.finish();
    }
    if (before) {
        setenv("TERM", before->c_str(), 1);
    } else {
        unsetenv("TERM");
    }
    std::string drawn;
    std::array<char, 256> text{};
    while (drawn.find('\n') == std::string::npos) {
        const ssize_t length = read(master, text.data(), text.size());
        ASSERT_GT(length, 0);
        drawn.append(text.data(), static_cast<std::size_t>(length));
    }
    EXPECT_THAT(drawn, HasSubstr("\rrun  1 images in 0."));
    std::istringstream lines(drawn);
    for (std::string line; std::getline(lines, line, '\r');)
        EXPECT_LE(line.size(), 32 + std::string("\x1b[K").size());
    close(terminal);
    close(master);
}

TEST(Progress, CountsEveryStepOfSeveralThreads) {
    Screen screen;
    Progress progress(4000, "run", screen.console());
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&] {
            for (int step = 0; step < 1000; ++step) progress.advance(2, 1.0);
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(progress.steps(), 4000u);
    EXPECT_EQ(progress.images(), 8000u);
}

}  // namespace
}  // namespace pewter::train::tests
