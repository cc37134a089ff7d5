/// The command `pewter inspect`: its outputs and its mistakes.
#ifdef PEWTER_COMMAND

#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "DatasetSupport.h"
#include "EnvironmentVariable.h"
#include "RunCommand.h"
#include "TinyXml.h"

namespace pewter::train::tests {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class InspectCommand : public testing::Test {
protected:
    test::CommandOutcome run(const std::string& arguments) const {
        return test::runCommand("inspect " + arguments, folder_.path());
    }
    std::string file(const std::string& name) const { return (folder_.path() / name).string(); }
    std::string contentOf(const std::string& name) const { return test::contentOf(folder_.path() / name); }

    Folder folder_;
};

TEST_F(InspectCommand, EveryOutputGoesToItsFileAndTheTablesAreStillPrinted) {
    const auto outcome = run("digits --batch 3 --device reference --json \"" + file("a") + "\" --html \"" + file("b") +
                             "\" --dot \"" + file("c") + "\"");
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, StartsWith("digits, batch 3: "));
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("\nImages\n"), HasSubstr("\nStates\n"), HasSubstr("offset"),
                                   HasSubstr("peak of temporary memory"), HasSubstr("lower bound"),
                                   HasSubstr("peak / lower bound")));
    const auto document = json::parse(contentOf("a"));
    EXPECT_EQ(document.at("device"), "reference");
    EXPECT_EQ(document.at("replays"), json::array()) << "the host runs the commands of this device itself";
    EXPECT_THAT(contentOf("b"), AllOf(StartsWith("<!DOCTYPE html>"), HasSubstr("batch 3, device reference")));
    EXPECT_THAT(contentOf("c"), StartsWith("digraph \"digits\" {\n"));
    EXPECT_EQ(outcome.err, "");
}

TEST_F(InspectCommand, AMinusIsStandardOutputAlone) {
    EXPECT_NO_THROW(json::parse(run("digits --json -").out));
    EXPECT_NO_THROW(test::TinyXml{run("digits --html -").out});
    const auto dot = run("digits --dot -").out;
    EXPECT_THAT(dot, StartsWith("digraph"));
    EXPECT_EQ(dot.substr(dot.size() - 3), "\n}\n");
}

TEST_F(InspectCommand, ThePageOfATrainingGraphIsWellFormedAndShowsEveryStep) {
    const auto outcome = run("mnist --html - --json \"" + file("json") + "\"");
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const test::TinyXml page(outcome.out);
    const auto document = json::parse(contentOf("json"));
    std::size_t boxes = 0, updates = 0;
    for (const auto* box : page.ofClass("box")) {
        const auto token = box->attributes.find("data-m");
        if (token == box->attributes.end() || token->second[0] != 'k') continue;
        ++boxes;
        updates += box->attributes.at("class").ends_with(" updates");
    }
    EXPECT_EQ(boxes, document.at("steps").size());
    EXPECT_EQ(updates, 4u);
    EXPECT_THAT(outcome.out, Not(HasSubstr("http")));
}

/// What the plan of a graph promises: nothing lies where something else lies at the same time, and the numbers agree.
TEST_F(InspectCommand, MemoryIsWhatThePeakAndTheBoundSay) {
    for (const char* network : {"digits", "mnist"}) {
        const auto outcome = run(std::string(network) + " --json -");
        ASSERT_EQ(outcome.status, 0) << outcome.err;
        const auto document = json::parse(outcome.out);
        const std::size_t steps = document.at("steps").size();
        struct Range {
            std::size_t offset, end, first, last;
        };
        std::vector<Range> ranges;
        std::size_t extent = 0;
        for (const auto& range : document.at("ranges")) {
            const std::size_t offset = range.at("offset"), bytes = range.at("bytes");
            ranges.push_back({offset, offset + bytes, range.at("first_step"), range.at("last_step")});
            EXPECT_LE(ranges.back().first, ranges.back().last);
            EXPECT_LT(ranges.back().last, steps);
            extent = std::max(extent, offset + bytes);
        }
        EXPECT_THAT(ranges, Not(IsEmpty()));
        EXPECT_EQ(extent, document.at("peak_bytes")) << network;
        // Inside one step bytes may go from one to the next.
        for (const auto& a : ranges)
            for (const auto& b : ranges) {
                if (&a == &b || a.last <= b.first || b.last <= a.first) continue;
                EXPECT_TRUE(a.end <= b.offset || b.end <= a.offset) << network;
            }
        std::size_t most = 0;
        for (const auto& step : document.at("steps")) {
            EXPECT_LE(step.at("live_bytes"), step.at("peak_bytes"));
            most = std::max<std::size_t>(most, step.at("peak_bytes"));
        }
        EXPECT_EQ(most, document.at("lower_bound_bytes")) << network;
        EXPECT_LE(document.at("lower_bound_bytes"), document.at("peak_bytes"));
    }
}

TEST_F(InspectCommand, FilesThatCannotBeWrittenAreNamedBeforeAnythingIsDone) {
    const auto missing = file("no/such/folder/out");
    for (const char* option : {"--json", "--html", "--dot"}) {
        const auto outcome = run(std::string("digits ") + option + " \"" + missing + "\"");
        EXPECT_EQ(outcome.status, 1);
        EXPECT_EQ(outcome.err, "pewter: " + std::string(option) + ": FILE: expected a file that can be written, found \"" +
                                   missing + "\".\n");
        EXPECT_EQ(outcome.out, "");
    }
    const auto full = run("digits --html /dev/full");
    EXPECT_EQ(full.status, 1);
    EXPECT_EQ(full.err, "pewter: --html: FILE: expected a file that can be written, found \"/dev/full\".\n");
}

TEST_F(InspectCommand, TwoOutputsCannotShareAFile) {
    const auto both = run("digits --json - --html -");
    EXPECT_EQ(both.status, 1);
    EXPECT_EQ(both.err, "pewter: --html: FILE: expected a file of its own, found \"-\", which --json has.\n");
    EXPECT_EQ(both.out, "");
    const auto same = run("digits --html \"" + file("x") + "\" --dot \"" + file("x") + "\"");
    EXPECT_THAT(same.err, StartsWith("pewter: --dot: FILE: expected a file of its own"));
}

TEST_F(InspectCommand, NothingIsWrittenForANetworkOrDeviceThatDoesNotExist) {
    EXPECT_EQ(run("lenet --html \"" + file("page") + "\"").status, 1);
    EXPECT_EQ(run("digits --device tpu --html \"" + file("page") + "\"").status, 1);
    EXPECT_FALSE(std::filesystem::exists(file("page")));
    EXPECT_THAT(run("digits --batch 0").err, HasSubstr("--batch"));
    EXPECT_THAT(run("digits --html").err, HasSubstr("--html"));
}

#ifdef PEWTER_HAVE_CPU

/// Convolutions of digits: the first is too small to be measured, pictures need no gradient.
class InspectConvolutions : public InspectCommand {
protected:
    json listOf(const std::string& arguments) const {
        const auto outcome = run("digits --device cpu --json - " + arguments);
        EXPECT_EQ(outcome.status, 0) << outcome.err;
        return json::parse(outcome.out).at("convolutions").at("list");
    }

    const test::EnvironmentVariable cache_{"PEWTER_ALGORITHM_CACHE", file("choices")};
    const test::EnvironmentVariable measured_{"PEWTER_CONVOLUTION", "measured"};
};

TEST_F(InspectConvolutions, EveryDirectionOfEveryKernelIsListed) {
    std::vector<std::pair<std::string, std::string>> found;
    for (const auto& convolution : listOf("")) found.emplace_back(convolution.at("kernel"), convolution.at("direction"));
    const std::string gradient = "CNNConvolutionGradient ";
    EXPECT_THAT(found, testing::UnorderedElementsAre(
                           std::pair("CNNConvolution 'conv1'", "forward"), std::pair("CNNConvolution 'conv2'", "forward"),
                           std::pair(gradient + "'conv2 gradient'", "data gradient"),
                           std::pair(gradient + "'conv2 gradient'", "weights gradient"),
                           std::pair(gradient + "'conv1 gradient'", "weights gradient")));
}

TEST_F(InspectConvolutions, ChoicesAreNotMeasuredThenMeasuredThenFromTheFile) {
    const auto check = [&](const json& list, const std::string& found) {
        for (const auto& convolution : list) {
            const bool isSmall = std::string(convolution.at("kernel")).find("conv1") != std::string::npos;
            EXPECT_EQ(convolution.at("found"), isSmall ? "only one" : found);
            if (isSmall) {
                EXPECT_EQ(convolution.at("algorithm"), "direct");
                EXPECT_EQ(convolution.at("reason"), "too small to be worth a measurement");
            } else if (found == "not measured") {
                EXPECT_EQ(convolution.at("algorithm"), nullptr);
                EXPECT_EQ(convolution.at("milliseconds"), json::object());
            } else {
                EXPECT_TRUE(convolution.at("milliseconds").contains(convolution.at("algorithm")));
                EXPECT_TRUE(convolution.at("milliseconds").contains("direct"));
            }
        }
    };
    check(listOf(""), "not measured");
    EXPECT_FALSE(std::filesystem::exists(file("choices")));
    const auto measured = listOf("--measure");
    check(measured, "measured now");
    auto again = listOf("");
    check(again, "file");
    for (std::size_t i = 0; i < again.size(); ++i) {
        EXPECT_EQ(again[i].at("algorithm"), measured[i].at("algorithm"));
        EXPECT_EQ(again[i].at("milliseconds"), measured[i].at("milliseconds"));
    }
    check(listOf("--threads 1"), "not measured");

    const auto outcome = run("digits --device cpu");
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("choices are kept in " + file("choices")), HasSubstr("  file  "),
                                   HasSubstr("other candidates"), HasSubstr("direct ")));
}

TEST_F(InspectConvolutions, ThePinnedAlgorithmIsShownAsSuch) {
    const test::EnvironmentVariable pinned("PEWTER_CONVOLUTION", "direct");
    for (const auto& convolution : listOf("")) {
        EXPECT_EQ(convolution.at("algorithm"), "direct");
        EXPECT_EQ(convolution.at("found"), "pinned");
    }
    EXPECT_THAT(run("digits --device cpu").out, HasSubstr("  pinned  "));
}

TEST_F(InspectConvolutions, WhatOptionsForbidIsNamed) {
    const auto measured = listOf("--measure"), exact = listOf("--exact");
    ASSERT_EQ(measured.size(), exact.size());
    for (std::size_t i = 0; i < exact.size(); ++i) {
        json transforms = json::array();
        for (const auto& [algorithm, time] : measured[i].at("milliseconds").items())
            if (algorithm.starts_with("winograd")) transforms.push_back(algorithm);
        EXPECT_EQ(exact[i].at("forbidden"), transforms) << exact[i];
        EXPECT_EQ(measured[i].at("forbidden"), json::array());
    }
}

TEST_F(InspectConvolutions, ADeviceThatDoesNotChooseHasNone) {
    const auto outcome = run("digits --device reference --json \"" + file("json") + "\"");
    EXPECT_THAT(outcome.out, Not(HasSubstr("Convolutions")));
    EXPECT_EQ(json::parse(contentOf("json")).at("convolutions"), nullptr);
}

#endif

}  // namespace
}  // namespace pewter::train::tests

#endif
