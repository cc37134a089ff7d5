#include "inspect/Html.h"

#include <fmt/format.h>

#include <Pewter/Inspect.hpp>
#include <algorithm>
#include <iterator>

#include "inspect/Strings.h"

namespace pewter::inspect {

using MPS::NNGraphReport;

const char* classOf(Kind kind) {
    switch (kind) {
        case Kind::Image: return "image";
        case Kind::Gradient: return "gradient";
        case Kind::State: return "state";
        case Kind::Scratch: return "scratch";
    }
    return "";
}

std::string shortName(const std::string& label, double width, double size) {
    return escapeXml(shortenTo(ownName(label), width, size));
}

namespace {

/// Headings, numbers, and what the drawings mean.
class Page {
public:
    Page(const NNGraphReport& report, const Subject& subject) : report_(report), subject_(subject), roles_(report) {}

    std::string write() {
        const auto name = escapeXml(subject_.network);
        print("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" "
              "content=\"width=device-width, initial-scale=1\"/>\n<title>{}: graph and memory</title>\n<style>{}</style>\n"
              "</head>\n<body>\n<main>\n<h1>{}</h1>\n<p class=\"soft\">{}, batch {}, device {}</p>\n",
              name, kPageStyle, name, hasBackward() ? "Training graph" : "Graph", subject_.batch,
              escapeXml(subject_.device));
        writeNumbers();
        writeMemory();
        writeGraph();
        out_ += slotTables(report_, roles_);
        print("</main>\n<script>{}</script>\n</body>\n</html>\n", kPageScript);
        return std::move(out_);
    }

private:
    template <class... Args>
    void print(fmt::format_string<Args...> format, Args&&... args) {
        fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    }

    bool hasBackward() const { return roles_.turn < report_.steps.size(); }

    void number(const char* name, std::size_t value, bool isBytes) {
        if (isBytes)
            print("<div><dt>{}</dt><dd>{} <span class=\"soft\">{} bytes</span></dd></div>\n", name, humanBytes(value),
                  grouped(value));
        else
            print("<div><dt>{}</dt><dd>{}</dd></div>\n", name, grouped(value));
    }

    void writeNumbers() {
        out_ += "<dl>\n";
        number("Kernels", report_.steps.size(), false);
        number("Images", report_.images.size(), false);
        number("States", report_.states.size(), false);
        number("Peak", report_.peakBytes, true);
        number("Lower bound", report_.lowerBoundBytes, true);
        print("<div><dt>Peak / lower bound</dt><dd>{}</dd></div>\n", ratioOf(report_.peakBytes, report_.lowerBoundBytes));
        number("Without sharing", temporaryBytes(report_), true);
        const auto again = std::count_if(report_.steps.begin(), report_.steps.end(),
                                         [](const auto& step) { return step.recomputes != NNGraphReport::npos; });
        if (again > 0) number("Kernels run again", static_cast<std::size_t>(again), false);
        out_ += "</dl>\n";
    }

    void swatch(const char* drawing, const char* meaning) {
        print("<li><svg viewBox=\"0 0 34 14\" aria-hidden=\"true\">{}</svg>{}</li>\n", drawing, meaning);
    }
    void block(Kind kind, const char* meaning) {
        swatch(fmt::format("<g class=\"block {}\"><rect x=\"4\" y=\"1\" width=\"26\" height=\"12\"/></g>", classOf(kind))
                   .c_str(),
               meaning);
    }
    void edge(Kind kind, const char* meaning) {
        swatch(fmt::format("<path class=\"edge {}\" d=\"M1 7H33\"/>", classOf(kind)).c_str(), meaning);
    }
    void box(const char* classes, const char* meaning) {
        swatch(fmt::format("<g class=\"box {}\"><rect x=\"3\" y=\"1\" width=\"28\" height=\"12\" rx=\"3\"/></g>", classes)
                   .c_str(),
               meaning);
    }

    void writeMemory() {
        const auto ranges = rangesOf(report_);
        out_ += "<h2>Memory</h2>\n";
        out_ += ranges.empty()
                    ? "<p>Where things lie in the heap is not known; their bytes are.</p>\n"
                    : "<p>Each rectangle is a piece of temporary memory, at its place in the heap: from the step that takes "
                      "it to the step that is the last to need it. Where there is none, memory is free.</p>\n";
        out_ += "<ul class=\"legend\">\n";
        const auto has = [&](Kind kind) {
            return std::any_of(ranges.begin(), ranges.end(),
                               [&](const auto& range) { return roles_.kindOf(range) == kind; });
        };
        if (has(Kind::Image)) block(Kind::Image, "image");
        if (has(Kind::Gradient)) block(Kind::Gradient, "gradient image");
        if (has(Kind::State)) block(Kind::State, "state");
        if (has(Kind::Scratch)) block(Kind::Scratch, "scratch of a kernel");
        swatch("<path class=\"peak\" d=\"M1 7H33\"/>", fmt::format("peak, {}", humanBytes(report_.peakBytes)).c_str());
        swatch("<path class=\"bound\" d=\"M1 7H33\"/>",
               fmt::format("lower bound, {}: the most that is alive at one time", humanBytes(report_.lowerBoundBytes))
                   .c_str());
        out_ += "</ul>\n" + memorySvg(report_, roles_);
    }

    void writeGraph() {
        const auto any = [&](auto test) { return std::any_of(report_.steps.begin(), report_.steps.end(), test); };
        out_ += "<h2>Graph</h2>\n<p>A box is a kernel: its step and name, the bytes of the image that it writes, its class, "
                "the shape of that image.";
        if (hasBackward())
            out_ += " A gradient kernel stands beside the kernel whose state it reads, where the order of steps allows it.";
        out_ += "</p>\n<ul class=\"legend\">\n";
        box("", "forward kernel");
        if (hasBackward()) box("backward", "gradient kernel");
        if (any([](const auto& step) { return step.updatesWeights; }))
            box(hasBackward() ? "backward updates" : "updates", "updates weights");
        if (any([](const auto& step) { return step.recomputes != NNGraphReport::npos; }))
            box("again", "forward kernel run again");
        box("input", "input");
        edge(Kind::Image, "image");
        if (hasBackward()) edge(Kind::Gradient, "gradient image");
        if (!report_.states.empty()) edge(Kind::State, hasBackward() ? "gradient state" : "state");
        out_ += "</ul>\n" + graphSvg(report_, roles_);
    }

    const NNGraphReport& report_;
    const Subject& subject_;
    Roles roles_;
    std::string out_;
};

}  // namespace

std::string html(const NNGraphReport& report, const Subject& subject) { return Page(report, subject).write(); }

}  // namespace pewter::inspect
