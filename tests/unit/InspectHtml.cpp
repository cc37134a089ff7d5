/// The page that shows a graph and its memory.
#include <gmock/gmock.h>

#include <Pewter/Inspect.hpp>
#include <map>
#include <set>

#include "ReportBuilder.h"
#include "TinyXml.h"

using namespace pewter;
using namespace pewter::test;
using MPS::NNGraphReport;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

namespace {

const inspect::Subject kSubject{"chain", "cpu", 4};

double numberOf(const XmlElement& element, const char* name) { return std::stod(element.attributes.at(name)); }

struct Rectangle {
    double x, y, width, height;
    bool overlaps(const Rectangle& other, double slack) const {
        return x + slack < other.x + other.width && other.x + slack < x + width && y + slack < other.y + other.height &&
               other.y + slack < y + height;
    }
};

/// The rectangle of every element of a class.
std::vector<Rectangle> rectanglesOf(const TinyXml& page, const std::string& name) {
    std::vector<Rectangle> found;
    for (const auto* group : page.ofClass(name)) {
        // Not those of the legend.
        if (!group->attributes.contains("data-m")) continue;
        const auto* rect = page.childrenOf(*group, "rect").front();
        found.push_back({numberOf(*rect, "x"), numberOf(*rect, "y"), numberOf(*rect, "width"), numberOf(*rect, "height")});
    }
    return found;
}

std::vector<std::pair<const char*, NNGraphReport>> reports() {
    ReportBuilder forward;
    const auto x = forward.input("pictures", 8, 8, 3);
    forward.report.images[forward.kernel("CNNNeuron", "only", {x}, 8, 8, 3)].result = true;
    return {{"chain", chainReport()},
            {"residual", residualReport()},
            {"forward only", forward.place()},
            {"empty", NNGraphReport()},
            {"deep", residualReport(10)}};
}

}  // namespace

TEST(InspectHtml, ThePageIsWellFormedAndNeedsNothingFromOutside) {
    for (const auto& [name, report] : reports()) {
        const auto text = inspect::html(report, kSubject);
        ASSERT_NO_THROW(TinyXml{text}) << name;
        EXPECT_THAT(text, Not(HasSubstr("http"))) << name;
        const TinyXml page(text);
        for (const auto& element : page.elements) {
            EXPECT_NE(element.name, "link");
            EXPECT_NE(element.name, "img");
            EXPECT_FALSE(element.attributes.contains("src")) << element.name;
            EXPECT_FALSE(element.attributes.contains("href")) << element.name;
        }
        EXPECT_THAT(text, Not(HasSubstr("@import")));
        // The only url() are those of the arrow heads.
        for (std::size_t at = 0; (at = text.find("url(", at)) != text.npos; ++at) EXPECT_EQ(text.substr(at, 8), "url(#to-");
    }
}

TEST(InspectHtml, EveryStepHasABoxAndEveryImageAndStateALine) {
    for (const auto& [name, report] : reports()) {
        const TinyXml page(inspect::html(report, kSubject));
        std::multiset<std::string> boxes, lines;
        for (const auto* box : page.ofClass("box"))
            if (box->attributes.contains("data-m")) boxes.insert(box->attributes.at("data-m"));
        for (const auto& element : page.elements)
            if (element.name == "tr" && element.attributes.contains("data-m")) lines.insert(element.attributes.at("data-m"));
        for (std::size_t i = 0; i < report.steps.size(); ++i) EXPECT_EQ(boxes.count("k" + std::to_string(i)), 1u) << name;
        for (std::size_t i = 0; i < report.images.size(); ++i) {
            EXPECT_EQ(lines.count("i" + std::to_string(i)), 1u) << name;
            EXPECT_EQ(boxes.count("i" + std::to_string(i)), report.images[i].source ? 1u : 0u) << name;
        }
        for (std::size_t i = 0; i < report.states.size(); ++i) {
            EXPECT_EQ(lines.count("s" + std::to_string(i)), 1u) << name;
            EXPECT_EQ(boxes.count("s" + std::to_string(i)), report.states[i].source ? 1u : 0u) << name;
        }
        EXPECT_EQ(lines.size(), report.images.size() + report.states.size());
    }
}

TEST(InspectHtml, BoxesLieOnThePageAndDoNotOverlap) {
    for (const auto& [name, report] : reports()) {
        const TinyXml page(inspect::html(report, kSubject));
        const auto boxes = rectanglesOf(page, "box");
        for (std::size_t i = 0; i < boxes.size(); ++i) {
            EXPECT_GE(boxes[i].x, 0);
            EXPECT_LE(boxes[i].x + boxes[i].width, 1232);
            for (std::size_t j = 0; j < i; ++j) EXPECT_FALSE(boxes[i].overlaps(boxes[j], 0)) << name << ' ' << i << ' ' << j;
        }
    }
}

TEST(InspectHtml, EveryReadingIsAnEdgeAndThoseOfStatesAreDashed) {
    const auto report = residualReport();
    const TinyXml page(inspect::html(report, kSubject));
    std::set<std::string> edges;
    for (const auto* edge : page.ofClass("edge"))
        if (edge->attributes.contains("data-k"))
            edges.insert(edge->attributes.at("data-k") + ' ' + edge->attributes.at("class"));
    std::size_t count = 0;
    for (std::size_t i = 0; i < report.steps.size(); ++i) {
        const auto to = " k" + std::to_string(i) + ' ';
        for (const auto image : report.steps[i].sourceImages) {
            const auto& of = report.images[image];
            const auto slot = 'i' + std::to_string(image);
            const bool isGradient = of.label.starts_with("gradient") || of.label.starts_with("sum") || of.label.ends_with("'loss'");
            const auto from = of.source ? ' ' + slot : " k" + std::to_string(of.firstWriter);
            EXPECT_THAT(edges, Contains(slot + from + to + "edge " + (isGradient ? "gradient" : "image")));
            ++count;
        }
        for (const auto state : report.steps[i].sourceStates) {
            const auto slot = 's' + std::to_string(state);
            const auto& of = report.states[state];
            const auto from = of.source ? ' ' + slot : " k" + std::to_string(of.firstWriter);
            EXPECT_THAT(edges, Contains(slot + from + to + "edge state"));
            ++count;
        }
    }
    EXPECT_THAT(edges, SizeIs(count));
    EXPECT_THAT(inspect::html(report, kSubject), HasSubstr(".edge.state { stroke: var(--state); stroke-dasharray:"));
}

TEST(InspectHtml, AGradientKernelStandsToTheRightOfTheKernelWhoseStateItReads) {
    const auto report = chainReport();
    const TinyXml page(inspect::html(report, kSubject));
    std::map<std::string, Rectangle> boxes;
    for (const auto* group : page.ofClass("box"))
        if (group->attributes.contains("data-m")) {
            const auto* rect = page.childrenOf(*group, "rect").front();
            boxes[group->attributes.at("data-m")] = {numberOf(*rect, "x"), numberOf(*rect, "y"), 0, 0};
        }
    std::size_t pairs = 0;
    for (std::size_t i = 0; i < report.steps.size(); ++i)
        for (const auto state : report.steps[i].sourceStates) {
            if (report.states[state].source) continue;
            const auto &forward = boxes.at('k' + std::to_string(report.states[state].firstWriter)),
                       &backward = boxes.at('k' + std::to_string(i));
            EXPECT_EQ(forward.y, backward.y);
            EXPECT_LT(forward.x, backward.x);
            ++pairs;
        }
    EXPECT_EQ(pairs, 8u);
}

TEST(InspectHtml, WeightUpdatesAndKernelsRunAgainAreMarked) {
    auto report = chainReport();
    std::size_t updates = 0;
    for (const auto& step : report.steps) updates += step.updatesWeights;
    const auto drawn = [](const TinyXml& page, const char* name) {
        std::size_t count = 0;
        for (const auto* box : page.ofClass(name)) count += box->attributes.contains("data-m");
        return count;
    };
    EXPECT_EQ(drawn(TinyXml(inspect::html(report, kSubject)), "updates"), updates);
    EXPECT_EQ(drawn(TinyXml(inspect::html(report, kSubject)), "again"), 0u);
    report.steps[10].recomputes = 1;
    const auto text = inspect::html(report, kSubject);
    EXPECT_EQ(drawn(TinyXml(text), "again"), 1u);
    EXPECT_THAT(text, HasSubstr("runs step 1 again"));
    EXPECT_THAT(text, HasSubstr("<dt>Kernels run again</dt><dd>1</dd>"));
}

TEST(InspectHtml, MemoryHasARectangleForEachRangeAndNoTwoOverlap) {
    for (const auto& [name, report] : reports()) {
        const TinyXml page(inspect::html(report, kSubject));
        const auto blocks = rectanglesOf(page, "block");
        ASSERT_EQ(blocks.size(), report.ranges.size()) << name;
        // Two decimals of a pixel are drawn.
        for (std::size_t i = 0; i < blocks.size(); ++i)
            for (std::size_t j = 0; j < i; ++j) EXPECT_FALSE(blocks[i].overlaps(blocks[j], 0.03)) << name << ' ' << i << ' ' << j;
        if (report.ranges.empty()) continue;
        // One scale for all: bytes upwards from offset 0, steps to the right.
        double floor = 0, left = 1e9;
        for (const auto& block : blocks) {
            floor = std::max(floor, block.y + block.height);
            left = std::min(left, block.x);
        }
        const double perByte = 440.0 / static_cast<double>(report.peakBytes);
        const double perStep = (1220.0 - left) / static_cast<double>(report.steps.size());
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            const auto& range = report.ranges[i];
            EXPECT_NEAR(floor - blocks[i].y - blocks[i].height, static_cast<double>(range.offset) * perByte, 0.02);
            EXPECT_NEAR(blocks[i].height, static_cast<double>(range.bytes) * perByte, 0.02);
            EXPECT_NEAR(blocks[i].x, left + static_cast<double>(range.firstStep) * perStep, 0.02);
            EXPECT_NEAR(blocks[i].width, static_cast<double>(range.lastStep - range.firstStep + 1) * perStep, 0.02);
        }
    }
}

TEST(InspectHtml, BytesThatChangeHandsInsideAStepAreDrawnToItsMiddle) {
    NNGraphReport report;
    report.steps.resize(3);
    report.ranges = {{.offset = 0, .bytes = 100, .firstStep = 0, .lastStep = 1},
                     {.offset = 50, .bytes = 50, .firstStep = 1, .lastStep = 2},
                     {.offset = 100, .bytes = 10, .firstStep = 1, .lastStep = 1}};
    report.peakBytes = report.lowerBoundBytes = 110;
    const TinyXml page(inspect::html(report, kSubject));
    const auto blocks = rectanglesOf(page, "block");
    ASSERT_EQ(blocks.size(), 3u);
    EXPECT_FALSE(blocks[0].overlaps(blocks[1], 0.03));
    EXPECT_NEAR(blocks[0].width, blocks[1].width, 0.02);
    EXPECT_NEAR(blocks[2].width * 1.5, blocks[0].width, 0.02);
}

TEST(InspectHtml, PlacesComeFromTheSlotsWhereTheReportHasNoRanges) {
    auto report = chainReport();
    std::size_t placed = 0;
    for (const auto& image : report.images) placed += image.offset != NNGraphReport::npos;
    for (const auto& state : report.states) placed += state.offset != NNGraphReport::npos;
    report.ranges.clear();
    EXPECT_EQ(rectanglesOf(TinyXml(inspect::html(report, kSubject)), "block").size(), placed);
    for (auto& image : report.images) image.offset = NNGraphReport::npos;
    for (auto& state : report.states) state.offset = NNGraphReport::npos;
    const auto text = inspect::html(report, kSubject);
    EXPECT_THAT(rectanglesOf(TinyXml(text), "block"), SizeIs(0));
    EXPECT_THAT(text, HasSubstr("Where things lie in the heap is not known"));
}

TEST(InspectHtml, NumbersOfTheReportStandOnThePage) {
    NNGraphReport report = chainReport();
    report.peakBytes = 27222016;
    report.lowerBoundBytes = 26214400;
    const auto text = inspect::html(report, {"<net> & \"co\"", "cpu", 40});
    EXPECT_THAT(text, HasSubstr("<h1>&lt;net&gt; &amp; &quot;co&quot;</h1>"));
    EXPECT_THAT(text, HasSubstr("batch 40, device cpu"));
    EXPECT_THAT(text, HasSubstr("26.0 MiB <span class=\"soft\">27,222,016 bytes</span>"));
    EXPECT_THAT(text, HasSubstr("25.0 MiB <span class=\"soft\">26,214,400 bytes</span>"));
    EXPECT_THAT(text, HasSubstr("<dd>1.038</dd>"));
}

TEST(InspectHtml, LabelsOfAnyKindAreEscaped) {
    auto report = chainReport();
    report.steps[0].label = "Conv '</svg><script>alert(1)</script>&'";
    report.images[1].label = "bad \xff\x01 \xc3\xa9 utf-8 & <b>\n";
    report.states[0].label = "\" onload=\"";
    report.states[0].className = "'><";
    const auto text = inspect::html(report, kSubject);
    ASSERT_NO_THROW(TinyXml{text});
    EXPECT_THAT(text, Not(HasSubstr("<script>alert")));
    EXPECT_THAT(text, Not(HasSubstr("\xff")));
    EXPECT_THAT(text, HasSubstr("bad \xEF\xBF\xBD\xEF\xBF\xBD \xc3\xa9 utf-8 &amp; &lt;b&gt;"));
}

TEST(InspectHtml, BothColourSchemesAreThere) {
    const auto text = inspect::html(chainReport(), kSubject);
    EXPECT_THAT(text, HasSubstr("color-scheme: light dark"));
    EXPECT_THAT(text, HasSubstr("@media (prefers-color-scheme: dark)"));
}
