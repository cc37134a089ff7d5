/// The command `pewter coverage` over small ledgers, headers and test programs of the test's own.
#ifdef PEWTER_COMMAND

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "DatasetSupport.h"
#include "RunCommand.h"

namespace pewter::train::tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

using Outcome = test::CommandOutcome;

class Coverage : public testing::Test {
protected:
    Coverage() {
        for (const char* part : {"source/docs", "source/include", "source/tests/coverage", "build"})
            fs::create_directories(path(part));
        write("source/include/Wheel.hpp",
              "/// MPSWheel: turns.\n"
              "class PEWTER_API Wheel : public Round {\n"
              "    /// Objective-C: -initWithDevice:\n"
              "    Wheel();\n"
              "    /// Objective-C: \u2026turnBy:[fromAngle:]degrees:\n"
              "    void turn();\n"
              "    std::size_t spokes() const { return spokes_; }\n"
              "};\n"
              "/// MPSRound: has no corners.\n"
              "class PEWTER_API Round {\n"
              "    /// Broken after a colon. Objective-C: -roll:\n"
              "    /// along:, -stop\n"
              "    void roll();\n"
              "};\n"
              "/// MPSWheelKind.\n"
              "enum class WheelKind { Front };\n"
              "class Ghost;  // declared nowhere and named by no comment\n");
        program("tests_unit",
                "Wheel.\\n  Turns\\n  DISABLED_Flies\\nSizes/Spokes.\\n  Count/few  # GetParam() = 3\\n  "
                "Count/many\\n"
                "Rim/Steel.  # TypeParam = Steel\\n  Bends\\n");
    }

    fs::path path(const std::string& name) const { return folder_.path() / name; }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(path(name), std::ios::binary) << text;
    }
    /// A test program that answers with `list`.
    void program(const std::string& name, const std::string& list, int status = 0) const {
        write("build/" + name, "#!/bin/sh\nprintf '" + list + "'\nexit " + std::to_string(status) + "\n");
        fs::permissions(path("build/" + name), fs::perms::owner_all);
    }
    /// One file of the ledger; the columns of a line stand between bars.
    void ledger(const std::string& name, std::string lines) const {
        for (char& c : lines) c = c == '|' ? '\t' : c;
        write("source/tests/coverage/" + name + ".tsv", lines);
    }
    std::string text(const std::string& name) const {
        return test::contentOf(path(name));
    }
    Outcome run(const std::string& arguments = "") const {
        return test::runCommand("coverage --source \"" + path("source").string() + "\" --tests \"" +
                                    path("build").string() + "\" " + arguments,
                                folder_.path());
    }
    /// The run fails with this sentence and writes no page.
    void expectRefused(const std::string& sentence) const {
        const auto outcome = run();
        EXPECT_EQ(outcome.status, 1);
        EXPECT_EQ(outcome.err, "pewter: " + sentence + "\n");
        EXPECT_EQ(outcome.out, "");
        EXPECT_FALSE(fs::exists(path("source/docs/coverage.md")));
    }
    /// The same for one line of the file `parts`.
    void expectRefusedLine(const std::string& line, const std::string& sentence) const {
        ledger("parts", "# A comment.\n\n" + line + "\n");
        expectRefused("tests/coverage/parts.tsv:3: " + sentence);
    }

    Folder folder_;
};

constexpr const char* kGood =
    "MPSWheel|-|done|unit.Wheel.Turns|-\n"
    "MPSWheel|-initWithDevice:|done|unit.Wheel.Turns|-\n"
    "MPSWheel|-slowlyTurnBy:degrees:|refused|-|wheels turn fast\n"
    "MPSWheel|spokes|done|unit.Spokes.Count unit.Spokes.Count/many unit.Rim.Bends/Steel|-\n"
    "MPSRound|-|partial|unit.Wheel.Turns|not on sand\n"
    "MPSRound|-roll:along:|done|unit.Wheel.Turns|-\n"
    "MPSRound|-stop|absent|-|brakes come later\n"
    "MPSGhost|-|absent|-|-\n"
    "-|MPSWheelKind|done|unit.Wheel.Turns|-\n";

TEST_F(Coverage, APageHasOneLineForEachClassAndMember) {
    ledger("parts", kGood);
    const auto outcome = run();
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    EXPECT_THAT(outcome.out,
                AllOf(StartsWith("parts\n"),
                      HasSubstr("   3 classes     1 done    1 partial    0 refused    1 absent\n"),
                      HasSubstr("   6 members     4 done    0 partial    1 refused    1 absent\n")));
    EXPECT_THAT(
        text("source/docs/coverage.md"),
        HasSubstr("## parts\n\n"
                  "- **MPSWheel** done: `unit.Wheel.Turns`\n"
                  "  - `-initWithDevice:` done: `unit.Wheel.Turns`\n"
                  "  - `-slowlyTurnBy:degrees:` refused (wheels turn fast)\n"
                  "  - `spokes` done: `unit.Spokes.Count`, `unit.Spokes.Count/many`, `unit.Rim.Bends/Steel`\n"
                  "- **MPSRound** partial (not on sand): `unit.Wheel.Turns`\n"
                  "  - `-roll:along:` done: `unit.Wheel.Turns`\n"
                  "  - `-stop` absent (brakes come later)\n"
                  "- **MPSGhost** absent\n"
                  "- Types and functions\n"
                  "  - `MPSWheelKind` done: `unit.Wheel.Turns`\n"));
    EXPECT_THAT(text("source/docs/coverage.md"),
                HasSubstr("| parts | 3 | 1 | 1 | 0 | 1 | 6 | 4 | 0 | 1 | 1 |\n"));
}

TEST_F(Coverage, JsonCountsByFamily) {
    ledger("parts", kGood);
    ledger("axles", "MPSGhost2|-|absent|-|-\nMPSGhost2|spin|refused|-|dizzy\n");
    const auto outcome = run("--json -");
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    const auto document = json::parse(outcome.out);
    ASSERT_EQ(document.at("families").size(), 2u);
    EXPECT_EQ(document.at("families")[0].at("name"), "axles");
    const auto& parts = document.at("families")[1];
    EXPECT_EQ(parts.at("name"), "parts");
    EXPECT_EQ(parts.at("classes"), json::parse(R"({"total":3,"done":1,"partial":1,"refused":0,"absent":1})"));
    EXPECT_EQ(parts.at("members"), json::parse(R"({"total":6,"done":4,"partial":0,"refused":1,"absent":1})"));
    EXPECT_EQ(document.at("total").at("classes"),
              json::parse(R"({"total":4,"done":1,"partial":1,"refused":0,"absent":2})"));
    EXPECT_EQ(document.at("total").at("members"),
              json::parse(R"({"total":7,"done":4,"partial":0,"refused":2,"absent":1})"));
    ASSERT_EQ(run("--json \"" + path("counts.json").string() + "\"").status, 0);
    EXPECT_EQ(json::parse(text("counts.json")), document);
}

TEST_F(Coverage, ALineWhoseTestsDoNotExistCountsAsAbsent) {
    ledger("parts",
           "MPSWheel|-|done|unit.Wheel.Turns|-\n"
           "MPSWheel|spokes|done|unit.Wheel.Turns unit.Wheel.Flies|-\n"
           "MPSRound|-|refused|unit.Square.IsRefused|no corners\n");
    const auto outcome = run("--json \"" + path("counts.json").string() + "\"");
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(
        outcome.err,
        "pewter: tests/coverage/parts.tsv:2: MPSWheel spokes is called done, but no test program has the "
        "test "
        "unit.Wheel.Flies; counted as absent.\n"
        "pewter: tests/coverage/parts.tsv:3: MPSRound is called refused, but no test program has the test "
        "unit.Square.IsRefused; counted as absent.\n"
        "pewter: tests/coverage/parts.tsv:1: MPSWheel is called done, but 1 of its 1 members is absent; "
        "counted as "
        "partial.\n");
    const auto document = json::parse(text("counts.json"));
    EXPECT_EQ(document.at("total").at("classes").at("partial"), 1);
    EXPECT_EQ(document.at("total").at("classes").at("absent"), 1);
    EXPECT_EQ(document.at("total").at("members").at("absent"), 1);
    EXPECT_THAT(text("source/docs/coverage.md"),
                HasSubstr("  - `spokes` absent (called done: no test program has"));
}

TEST_F(Coverage, ADisabledTestProvesNothing) {
    ledger("parts", "MPSWheel|-|done|unit.Wheel.DISABLED_Flies|-\n");
    EXPECT_THAT(run().err, HasSubstr("no test program has the test unit.Wheel.DISABLED_Flies"));
}

TEST_F(Coverage, HeadersMustDeclareAndNameWhatIsDone) {
    ledger("parts",
           "MPSGhost|-|done|unit.Wheel.Turns|-\n"
           "MPSCart|-|done|unit.Wheel.Turns|-\n"
           "MPSWheel|-|done|unit.Wheel.Turns|-\n"
           "MPSWheel|-initWithSpokes:|done|unit.Wheel.Turns|-\n"
           "MPSWheel|tyre|done|unit.Wheel.Turns|-\n"
           "MPSWheel|-turnBy:degrees:|done|unit.Wheel.Turns|-\n"
           "MPSWheel|-turnBy:fromAngle:degrees:|done|unit.Wheel.Turns|-\n"
           "MPSWheel|-turnBy:fromAngle:|done|unit.Wheel.Turns|-\n"
           "MPSWheel|-roll:along:|done|unit.Wheel.Turns|-\n"
           "MPSWheel|-roll:|done|unit.Wheel.Turns|-\n"
           "-|MPSAxleKind|done|unit.Wheel.Turns|-\n");
    const auto outcome = run();
    EXPECT_EQ(outcome.status, 1);
    const auto says = [&](int line, const std::string& problem) {
        EXPECT_THAT(outcome.err, HasSubstr("parts.tsv:" + std::to_string(line) + ": "));
        EXPECT_THAT(outcome.err, HasSubstr("but " + problem + "; counted as absent."));
    };
    says(1, "no doc comment of a public header says MPSGhost");
    says(2, "no public header declares Cart");
    says(4, "no doc comment of Wheel, its bases or what derives from it carries -initWithSpokes:");
    says(5, "neither Wheel nor its bases nor what derives from it declares tyre");
    // 6, 7: an abbreviated selector with an optional part; 9, 10: that of a base, broken after a colon or
    // not.
    says(8, "no doc comment of Wheel, its bases or what derives from it carries -turnBy:fromAngle:");
    says(11, "no doc comment of a public header says MPSAxleKind");
    for (const int fine : {6, 7, 9, 10})
        EXPECT_THAT(outcome.err, Not(HasSubstr("parts.tsv:" + std::to_string(fine) + ": ")));
}

TEST_F(Coverage, MistakesInTheLedgerNameFileAndLine) {
    expectRefusedLine("MPSWheel|-|finished|unit.Wheel.Turns|-",
                      "status: expected one of done, partial, refused, absent, found \"finished\".");
    expectRefusedLine(
        "MPSWheel|-|done|unit.Wheel.Turns",
        "columns: expected class, member, status, tests, reason with a tab between them, found 4 columns.");
    expectRefusedLine("|-|absent|-|-",
                      "class: expected a name, or - for what belongs to no class, found nothing.");
    expectRefusedLine("MPSWheel||absent|-|-",
                      "member: expected a name, or - for the class itself, found nothing.");
    expectRefusedLine("-|-|absent|-|-", "member: expected a type or function, found -.");
    expectRefusedLine("MPSWheel|-|done|-|-", "tests: expected the tests that run what is done, found none.");
    expectRefusedLine("MPSWheel|-|partial|-|why",
                      "tests: expected the tests that run what is partial, found none.");
    expectRefusedLine("MPSWheel|-|partial|unit.Wheel.Turns|-",
                      "reason: expected why it is partial, found none.");
    expectRefusedLine("MPSWheel|-|refused|-|-", "reason: expected why it is refused, found none.");
    expectRefusedLine("MPSWheel|-|done|unit.Wheel.Turns|nearly",
                      "reason: expected none for what is done, found \"nearly\".");
    expectRefusedLine("MPSWheel|-|absent|unit.Wheel.Turns|-",
                      "tests: expected none for what is absent, found \"unit.Wheel.Turns\".");
    expectRefusedLine(
        "MPSWheel|-|done|Wheel.Turns|-",
        "tests: expected - or names folder.Suite.Name with spaces between, found \"Wheel.Turns\".");
    expectRefusedLine("MPSWheel|spokes|absent|-|-",
                      "class: expected members right after the line of their class, found MPSWheel spokes.");
    ledger("parts", "MPSWheel|-|absent|-|-\nMPSWheel|spokes|absent|-|-\nMPSWheel|spokes|absent|-|-\n");
    expectRefused(
        "tests/coverage/parts.tsv:3: member: expected each line once, found MPSWheel spokes, as in "
        "tests/coverage/parts.tsv:2.");
    ledger("parts", "# nothing\n");
    expectRefused("tests/coverage/parts.tsv: file: expected at least one line, found none.");
}

TEST_F(Coverage, MissingFoldersAndProgramsThatFailAreNamed) {
    const auto quoted = [&](const std::string& name) { return std::string("\"").append(path(name).string()) + "\""; };
    expectRefused("coverage: --source: expected a source tree with files in tests/coverage, found " +
                  quoted("source/tests/coverage") + ".");
    ledger("parts", kGood);
    program("tests_graph", "", 3);
    expectRefused("coverage: --tests: expected test programs that list their tests, found " +
                  quoted("build/tests_graph") + ", which fails.");
    fs::remove_all(path("build"));
    expectRefused("coverage: --tests: expected a folder with test programs tests_*, found " +
                  quoted("build") + ".");
    fs::remove_all(path("source/include"));
    expectRefused("coverage: --source: expected a source tree with headers in include, found " +
                  quoted("source/include") + ".");
}

TEST_F(Coverage, CheckComparesAndWritesNothing) {
    ledger("parts", kGood);
    const auto before = run("--check");
    EXPECT_EQ(before.status, 1);
    EXPECT_THAT(before.err, HasSubstr("docs/coverage.md: line 1: expected \"# Coverage"));
    EXPECT_FALSE(fs::exists(path("source/docs/coverage.md")));
    ASSERT_EQ(run().status, 0);
    EXPECT_EQ(run("--check").status, 0);
    // The list of tests changes, and with it what the ledger may say.
    const auto page = text("source/docs/coverage.md");
    program("tests_unit", "Wheel.\\n  Turns\\n");
    const auto after = run("--check");
    EXPECT_EQ(after.status, 1);
    EXPECT_THAT(after.err, AllOf(HasSubstr("no test program has the test unit.Spokes.Count"),
                                 HasSubstr("docs/coverage.md: line "), HasSubstr("; run pewter coverage.")));
    EXPECT_EQ(text("source/docs/coverage.md"), page);
}

}  // namespace
}  // namespace pewter::train::tests

#endif
