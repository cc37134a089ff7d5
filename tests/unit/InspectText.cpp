/// A report as text, JSON and Graphviz, and the small strings that they are made of.
#include <gmock/gmock.h>

#include <Pewter/Inspect.hpp>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "ReportBuilder.h"
#include "inspect/Layout.h"
#include "inspect/MemoryMap.h"
#include "inspect/Strings.h"

using namespace pewter;
using namespace pewter::test;
using MPS::NNGraphReport;
using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

const inspect::Subject kSubject{"chain", "cpu", 4};

/// A string, with its quotation marks, as Graphviz reads it.
const std::string kQuoted = R"("(?:[^"\\]|\\.)*")";

}  // namespace

TEST(InspectText, BytesHaveThreeDigits) {
    using inspect::humanBytes;
    EXPECT_EQ(humanBytes(0), "0 B");
    EXPECT_EQ(humanBytes(1023), "1023 B");
    EXPECT_EQ(humanBytes(1024), "1.00 KiB");
    EXPECT_EQ(humanBytes(10234), "9.99 KiB");
    EXPECT_EQ(humanBytes(10239), "10.0 KiB");
    EXPECT_EQ(humanBytes(27222016), "26.0 MiB");
    EXPECT_EQ(humanBytes((1u << 20) - 1), "1.00 MiB");
    EXPECT_EQ(humanBytes(527470080), "503 MiB");
    EXPECT_EQ(humanBytes(NNGraphReport::npos), "16.0 EiB");
    EXPECT_EQ(inspect::grouped(27222016), "27,222,016");
    EXPECT_EQ(inspect::grouped(999), "999");
    EXPECT_EQ(inspect::ratioOf(3, 2), "1.500");
    EXPECT_EQ(inspect::ratioOf(3, 0), "-");
}

TEST(InspectText, StringsAreShortenedByCharactersAndInvalidBytesReplaced) {
    using namespace inspect;
    EXPECT_EQ(shorten("convolution", 11), "convolution");
    EXPECT_EQ(shorten("convolution", 5), "conv\u2026");
    EXPECT_EQ(shorten("\u00e9\u00e9\u00e9", 2), "\u00e9\u2026");
    EXPECT_EQ(clean("a\x80z"), "a\uFFFDz");
    EXPECT_EQ(clean("\xc0\xaf"), "\uFFFD\uFFFD");          // overlong
    EXPECT_EQ(clean("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");  // half of a surrogate pair
    EXPECT_EQ(clean("\xf0\x9f\x99\x82"), "\xf0\x9f\x99\x82");
    EXPECT_EQ(clean("\xe2\x82"), "\uFFFD\uFFFD");            // cut
    for (const double width : {40.0, 90.0, 300.0}) {
        EXPECT_LE(widthOf(shortenTo("WIDE convolution of images", width, 12), 12), width);
        EXPECT_GT(lengthOf(shortenTo("WIDE convolution of images", width, 12)), 2u);
    }
    EXPECT_EQ(shortenTo("conv", 100, 12), "conv");
    EXPECT_EQ(shortenTo("conv", 1, 12), "c\u2026");
    EXPECT_EQ(ownName("CNNConvolution 'conv1'"), "conv1");
    EXPECT_EQ(ownName("CNNAdd"), "CNNAdd");
    EXPECT_EQ(ownName("'"), "'");
    EXPECT_EQ(ownName(""), "");
}

TEST(InspectText, TicksAreRoundAndFew) {
    EXPECT_EQ(inspect::tickDistance(150, 24), 10u);
    EXPECT_EQ(inspect::tickDistance(0, 24), 1u);
    EXPECT_EQ(inspect::byteTickDistance(26u << 20, 8), 5u << 20);
    EXPECT_EQ(inspect::byteTickDistance((1u << 20) + (1u << 19), 8), 1u << 18);
    for (std::size_t extent = 1; extent < (1ull << 50); extent = extent * 3 / 2 + 1)
        for (const std::size_t most : {4u, 8u}) {
            const auto ticks = extent / inspect::byteTickDistance(extent, most);
            EXPECT_LE(ticks, most) << extent;
            if (extent > 8) {
                EXPECT_GE(ticks, most / 4) << extent;
            }
        }
}

TEST(InspectText, TheTablesNameEverySlotItsStepsAndItsPlace) {
    const auto report = chainReport();
    const auto text = inspect::text(report, kSubject);
    EXPECT_THAT(text, StartsWith("chain, batch 4: 17 steps\n"));
    for (const auto& step : report.steps) EXPECT_THAT(text, HasSubstr(step.label));
    const auto hasLine = [&](std::size_t index, const auto& slot) {
        const auto number = [](std::size_t value) { return value == NNGraphReport::npos ? "-" : std::to_string(value); };
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) {
            std::istringstream words(line);
            const std::vector<std::string> found{std::istream_iterator<std::string>(words), {}};
            if (found.empty() || found[0] != std::to_string(index) || line.find(slot.label) == line.npos) continue;
            const std::vector<std::string> expected{std::to_string(slot.bytes), number(slot.firstWriter),
                                                    number(slot.lastReader), number(slot.offset)};
            if (std::search(found.begin(), found.end(), expected.begin(), expected.end()) != found.end()) return true;
        }
        return false;
    };
    for (std::size_t i = 0; i < report.images.size(); ++i) EXPECT_TRUE(hasLine(i, report.images[i])) << i;
    for (std::size_t i = 0; i < report.states.size(); ++i) EXPECT_TRUE(hasLine(i, report.states[i])) << i;
    for (const auto bytes : {report.peakBytes, report.lowerBoundBytes})
        EXPECT_THAT(text, HasSubstr(std::to_string(bytes) + " bytes"));
    EXPECT_THAT(text, HasSubstr(inspect::ratioOf(report.peakBytes, report.lowerBoundBytes)));
}

TEST(InspectText, AnImageWrittenInPlaceNamesTheOneWhoseMemoryItHas) {
    NNGraphReport report;
    report.steps.resize(4);
    report.images.resize(4);
    for (std::size_t i = 0; i < 4; ++i) {
        auto& step = report.steps[i];
        step.label = "kernel";
        step.resultImage = i;
        if (i > 0) step.sourceImages = {i - 1};
        auto& image = report.images[i];
        image.label = "image";
        image.count = image.width = image.height = image.featureChannels = 1;
        image.bytes = 64;
        image.firstWriter = i;
        image.temporary = true;
        if (i < 3) image.lastReader = i + 1;
    }
    // 1 and 2 are written over 0, 3 has memory of its own.
    report.images[0].offset = 0;
    report.images[3].offset = 64;
    report.ranges = {{.offset = 0, .bytes = 64, .firstStep = 0, .lastStep = 3, .image = 0},
                     {.offset = 64, .bytes = 64, .firstStep = 3, .lastStep = 3, .image = 3}};
    const auto images = json::parse(inspect::json(report, kSubject)).at("images");
    EXPECT_TRUE(images[0].at("in_place_of").is_null());
    EXPECT_EQ(images[1].at("in_place_of"), 0);
    EXPECT_EQ(images[2].at("in_place_of"), 0);
    EXPECT_TRUE(images[3].at("in_place_of").is_null());
    EXPECT_THAT(inspect::text(report, kSubject), HasSubstr("  in place of 0\n"));
    EXPECT_THAT(inspect::html(report, kSubject), HasSubstr("in place of 0</td>"));
    // What ends before the image is read cannot be its memory.
    report.ranges[0].lastStep = 2;
    const auto shorter = json::parse(inspect::json(report, kSubject)).at("images");
    EXPECT_EQ(shorter[1].at("in_place_of"), 0);
    EXPECT_TRUE(shorter[2].at("in_place_of").is_null());
}

TEST(InspectText, JsonHasTheWholeReport) {
    auto report = chainReport();
    report.steps[10].recomputes = 1;
    report.images[3].label = "caf\xe9";
    const auto document = json::parse(inspect::json(report, kSubject));
    EXPECT_EQ(document.at("network"), "chain");
    EXPECT_EQ(document.at("device"), "cpu");
    EXPECT_EQ(document.at("batch"), 4);
    EXPECT_EQ(document.at("peak_bytes"), report.peakBytes);
    EXPECT_EQ(document.at("lower_bound_bytes"), report.lowerBoundBytes);
    ASSERT_EQ(document.at("steps").size(), report.steps.size());
    ASSERT_EQ(document.at("images").size(), report.images.size());
    ASSERT_EQ(document.at("states").size(), report.states.size());
    ASSERT_EQ(document.at("ranges").size(), report.ranges.size());
    EXPECT_EQ(document.at("steps")[10].at("recomputes"), 1);
    EXPECT_TRUE(document.at("steps")[9].at("recomputes").is_null());
    EXPECT_EQ(document.at("images")[3].at("label"), "caf\uFFFD");
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < report.images.size(); ++i) {
        const auto& image = document.at("images")[i];
        if (report.images[i].source) {
            EXPECT_TRUE(image.at("offset").is_null());
            EXPECT_TRUE(image.at("first_writer").is_null());
        } else {
            EXPECT_EQ(image.at("offset"), report.images[i].offset);
            EXPECT_EQ(image.at("first_writer"), report.images[i].firstWriter);
            bytes += image.at("bytes").get<std::size_t>();
        }
    }
    for (const auto& state : report.states) bytes += state.source ? 0 : state.bytes;
    EXPECT_EQ(document.at("temporary_bytes"), bytes);
    for (std::size_t i = 0; i < report.ranges.size(); ++i) {
        EXPECT_EQ(document.at("ranges")[i].at("offset"), report.ranges[i].offset);
        EXPECT_EQ(document.at("ranges")[i].at("last_step"), report.ranges[i].lastStep);
    }
}

TEST(InspectText, GraphvizHasANodeForEachKernelAndInputAndAnEdgeForEachReading) {
    for (auto report : {chainReport(), residualReport()}) {
        report.steps[0].label = "Conv 'a\"b\\c\nd'";
        report.images[0].label = "in \\";
        const std::regex node("  (\\w+) \\[[^\\[\\]\"]*(?:" + kQuoted + "[^\\[\\]\"]*)*\\];"),
            edge("  (\\w+) -> (\\w+) \\[(?:" + kQuoted + "|[^\\[\\]\"])*\\];"),
            defaults("  (graph|node|edge) \\[(?:" + kQuoted + "|[^\\[\\]\"])*\\];"),
            row("  \\{ rank=same; k\\d+; k\\d+; \\}");
        std::istringstream lines(inspect::dot(report, {"a \"net\" \\", "cpu", 4}));
        std::string line;
        ASSERT_TRUE(std::getline(lines, line));
        EXPECT_EQ(line, R"(digraph "a \"net\" \\" {)");
        std::set<std::string> nodes;
        std::size_t edges = 0, dashed = 0;
        bool closed = false;
        while (std::getline(lines, line)) {
            std::smatch match;
            ASSERT_FALSE(closed);
            if (line == "}") {
                closed = true;
            } else if (std::regex_match(line, match, edge)) {
                EXPECT_TRUE(nodes.contains(match[1]) && nodes.contains(match[2])) << line;
                ++edges;
                dashed += line.find("style=dashed") != line.npos;
            } else if (std::regex_match(line, defaults) || std::regex_match(line, row)) {
                continue;
            } else {
                ASSERT_TRUE(std::regex_match(line, match, node)) << line;
                EXPECT_TRUE(nodes.insert(match[1]).second) << line;
            }
        }
        EXPECT_TRUE(closed);
        std::size_t images = 0, states = 0;
        for (const auto& step : report.steps) {
            images += step.sourceImages.size();
            states += step.sourceStates.size();
        }
        EXPECT_EQ(dashed, states);
        EXPECT_EQ(edges, images + states);
        EXPECT_EQ(nodes.size(), report.steps.size() + 2);  // pictures and labels
    }
}

TEST(InspectLayout, RowsFollowTheOrderOfStepsOnBothSides) {
    for (const auto& report : {chainReport(), residualReport(), residualReport(12)}) {
        const inspect::Roles roles(report);
        const inspect::Layout layout(report, roles);
        std::vector<std::size_t> row(report.steps.size());
        for (const auto& box : layout.boxes)
            if (box.what == inspect::Layout::Box::What::Step) {
                row[box.index] = box.row;
                EXPECT_EQ(box.column, roles.backward[box.index] ? 1u : 0u);
            }
        for (std::size_t i = 1; i < report.steps.size(); ++i) {
            if (roles.backward[i - 1] != roles.backward[i]) continue;
            if (roles.backward[i])
                EXPECT_LT(row[i], row[i - 1]);
            else
                EXPECT_GT(row[i], row[i - 1]);
        }
        EXPECT_LE(layout.rows, report.steps.size() + 2);
    }
}

TEST(InspectLayout, EdgesInOneLaneDoNotMeet) {
    const auto report = residualReport(12);
    const inspect::Layout layout(report, inspect::Roles(report));
    std::size_t inLanes = 0;
    for (const auto& a : layout.edges) {
        if (a.route != inspect::Layout::Edge::Route::Lane) continue;
        ++inLanes;
        const auto column = layout.boxes[a.from].column;
        EXPECT_LT(a.lane, layout.lanes[column]);
        for (const auto& b : layout.edges) {
            if (b.route != a.route || b.lane != a.lane || layout.boxes[b.from].column != column) continue;
            if (a.slot == b.slot && a.kind == b.kind) continue;
            const auto rows = [&](const auto& edge) {
                return std::minmax({layout.boxes[edge.from].row, layout.boxes[edge.to].row});
            };
            EXPECT_TRUE(rows(a).second < rows(b).first || rows(b).second < rows(a).first);
        }
    }
    EXPECT_GT(inLanes, 20u);
}
